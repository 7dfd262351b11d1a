//! Connections: HTTP/1.1 and HTTP/1.0 with a limit for everything. HTTP/2 and TLS are refused; a
//! proxy in front may speak them.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::{
        Request, Response, StatusCode, Version,
        header::{CONNECTION, HOST, HeaderValue},
    },
};
use hyper::{
    body::{Frame, Incoming, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinHandle,
    time::{Sleep, sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;

use super::{Door, sending::failure};
use crate::core::chain::Chain;

/// How long a client may take for the head of a request, from the first octet or from the last
/// answer on; an idle connection is closed after it.
pub const HEAD: Duration = Duration::from_secs(15);
/// The same where the Functions host is the only client: it reads whole requests before it sends
/// them on, and keeps connections open for a minute.
pub(crate) const HEAD_FROM_HOST: Duration = Duration::from_secs(120);
/// How long a client may take for the body of a request.
pub const BODY: Duration = Duration::from_secs(10);
/// How long a client may take nothing of an answer that is being sent to it.
pub const STALL: Duration = Duration::from_secs(60);
/// How long a connection is kept for more requests, and how long the last of its answers may take
/// after that.
pub(crate) const LIFE: Duration = Duration::from_secs(600);
/// Most connections. When they are all taken, idle ones are closed, and others wait in the system's
/// queue.
pub const MAX_CONNECTIONS: usize = 512;
/// How long a connection that is to make room may still wait for a request: the client's may be
/// under way.
pub(crate) const ROOM: Duration = Duration::from_secs(1);
/// Most octets of a request's head.
pub(crate) const MAX_HEAD: usize = 32 * 1024;
/// Most header fields of a request.
pub(crate) const MAX_FIELDS: usize = 100;
/// Most octets of a request's target: what the platforms in front allow, too.
pub(crate) const MAX_TARGET: usize = 8 * 1024;

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    /// Tells connections to end when their present answers are out; whether because the server
    /// stops.
    finish: watch::Sender<bool>,
    slots: Arc<Semaphore>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Serves what is behind the door. `from_host`: whether the Functions host is the only client.
    pub(crate) fn start(listener: TcpListener, door: Door, from_host: bool) -> Self {
        let finish = watch::Sender::new(false);
        let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let head = if from_host { HEAD_FROM_HOST } else { HEAD };
        let accepting = tokio::spawn(accept(
            listener,
            door,
            head,
            (finish.clone(), Arc::clone(&slots)),
        ));
        Self {
            finish,
            slots,
            accepting,
        }
    }

    /// Takes no more connections, and waits until those that are open have their answers.
    pub(crate) async fn stop(self) {
        self.accepting.abort();
        self.finish.send_replace(true);
        // An error means that the slots are gone, which they are not.
        let _ = self.slots.acquire_many(MAX_CONNECTIONS as u32).await;
    }
}

async fn accept(
    listener: TcpListener,
    door: Door,
    head: Duration,
    (finish, slots): (watch::Sender<bool>, Arc<Semaphore>),
) {
    loop {
        if slots.available_permits() == 0 {
            finish.send_replace(false);
        }
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                // Answers are written whole; waiting for more would only delay them.
                let _ = stream.set_nodelay(true);
                // It ends by itself, and gives its slot back.
                drop(tokio::spawn(connection(
                    stream,
                    door.clone(),
                    head,
                    (finish.subscribe(), slot),
                )));
            }
            Err(error) => refused(&error).await,
        }
    }
}

/// A client that is gone already is no trouble; too few file descriptors are, and pass when others
/// go.
async fn refused(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    ) {
        tracing::error!(error = %Chain(error), "a connection could not be accepted");
        sleep(Duration::from_millis(100)).await;
    }
}

async fn connection(
    stream: TcpStream,
    door: Door,
    head: Duration,
    (mut finish, _slot): (watch::Receiver<bool>, OwnedSemaphorePermit),
) {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(STALL));
    let stream = std::pin::pin!(stream);
    let service = service_fn(|request| answer(&door, request));
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_FIELDS);
    // A client may shut down its side when it has asked.
    builder.half_close(true);
    let mut serving = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let done = tokio::select! {
        result = serving.as_mut() => Some(result),
        _ = finish.changed() => {
            let stops = *finish.borrow();
            if stops { None } else { timeout(ROOM, serving.as_mut()).await.ok() }
        }
        () = sleep(LIFE) => None,
    };
    let result = match done {
        Some(result) => result,
        None => {
            serving.as_mut().graceful_shutdown();
            timeout(LIFE, serving).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = result {
        tracing::debug!(error = %Chain(&error), "a connection ended");
    }
}

async fn answer(door: &Door, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    if let Some(mut refused) = refuse(&request) {
        refused
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
        return Ok(refused);
    }
    Ok(door
        .answer(request.map(|body| {
            Body::new(InTime {
                body,
                deadline: None,
            })
        }))
        .await)
}

/// What is refused whoever asks for it.
fn refuse<B>(request: &Request<B>) -> Option<Response<Body>> {
    // RFC 9112 §3.2: a request of HTTP/1.1 without Host, or with two, is answered 400.
    let hosts = request.headers().get_all(HOST).iter().count();
    if hosts > 1 || (hosts == 0 && request.version() == Version::HTTP_11) {
        return Some(failure(
            StatusCode::BAD_REQUEST,
            "a request of HTTP/1.1 has exactly one Host",
        ));
    }
    let uri = request.uri();
    if uri.path().len() + uri.query().map_or(0, str::len) > MAX_TARGET {
        return Some(failure(
            StatusCode::URI_TOO_LONG,
            "a request's target has at most 8192 octets",
        ));
    }
    None
}

/// A request's body, which must be there in time.
struct InTime {
    body: Incoming,
    /// Made when it is first waited for.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl hyper::body::Body for InTime {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        ready!(
            self.deadline
                .get_or_insert_with(|| Box::pin(sleep(BODY)))
                .as_mut()
                .poll(context)
        );
        Poll::Ready(Some(Err(TooLate.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body that was not there in time.
#[derive(Debug, thiserror::Error)]
#[error("the body took longer than {} seconds", BODY.as_secs())]
struct TooLate;

/// Why a body could not be read up to a limit: it came too slowly, or in pieces that are not HTTP,
/// or it is too large.
pub(super) fn unread(error: &axum::Error) -> StatusCode {
    let causes =
        std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |error| {
            error.source()
        });
    for cause in causes {
        if cause.is::<TooLate>() {
            return StatusCode::REQUEST_TIMEOUT;
        }
        if cause.is::<hyper::Error>() {
            return StatusCode::BAD_REQUEST;
        }
    }
    StatusCode::PAYLOAD_TOO_LARGE
}
