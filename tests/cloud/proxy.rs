//! The way from the product to its cloud: an HTTP proxy that opens TLS with the tests' certificate,
//! lets go wrong what a test wants to go wrong, and hands the rest to the services.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http_body_util::{BodyExt, Empty, Full, combinators::BoxBody};
use hyper::{
    HeaderMap, Method, Request, Response, Uri,
    body::{Body, Frame, Incoming},
    header,
    server::conn::http1::Builder,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Sleep, sleep},
};

use super::{
    Answer, Bytes, Inner, answer,
    faults::{Call, Fault},
    storage, tls,
    upstream::Upstream,
    vault,
};

type Sent = Response<BoxBody<Bytes, io::Error>>;

/// Accepts connections for ever.
pub async fn serve(listener: TcpListener, inner: Arc<Inner>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(plain(stream, inner.clone()));
    }
}

async fn plain(stream: TcpStream, inner: Arc<Inner>) {
    let _ = stream.set_nodelay(true);
    let upstream = Arc::new(Upstream::default());
    let service = service_fn(|request| front(request, inner.clone(), upstream.clone()));
    // An error is a client that went away, or a fault that a test asked for.
    let _ = Builder::new()
        .preserve_header_case(true)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
}

/// What arrives without TLS: tunnels to open, requests for `http://` addresses, and the managed
/// identity's endpoint.
async fn front(
    request: Request<Incoming>,
    inner: Arc<Inner>,
    upstream: Arc<Upstream>,
) -> Result<Sent, io::Error> {
    if request.method() == Method::CONNECT {
        tokio::spawn(tunnel(request, inner));
        return Ok(Response::new(Empty::new().map_err(never).boxed()));
    }
    let Some(authority) = request.uri().authority().cloned() else {
        return Ok(whole(identity(&request, &inner)));
    };
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = path.parse().map_err(io::Error::other)?;
    parts.headers.insert(
        header::HOST,
        authority.as_str().parse().map_err(io::Error::other)?,
    );
    parts.headers.remove("proxy-connection");
    exchange(Request::from_parts(parts, body), inner, upstream, false).await
}

async fn tunnel(request: Request<Incoming>, inner: Arc<Inner>) -> Result<(), io::Error> {
    let stream = hyper::upgrade::on(request)
        .await
        .map_err(io::Error::other)?;
    let stream = tls::shared().acceptor.accept(TokioIo::new(stream)).await?;
    let upstream = Arc::new(Upstream::default());
    let service = service_fn(|request| exchange(request, inner.clone(), upstream.clone(), true));
    let builder = Builder::new();
    let _ = builder
        .serve_connection(TokioIo::new(stream), service)
        .await;
    Ok(())
}

/// `GET /msi/token?resource=…`.
fn identity(request: &Request<Incoming>, inner: &Inner) -> Answer {
    if request.uri().path() != "/msi/token" {
        return answer(404, "text/plain", "this is a proxy");
    }
    let header = request
        .headers()
        .get("x-identity-header")
        .and_then(|value| value.to_str().ok());
    inner
        .token_calls
        .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let query = pairs(request.uri().query().unwrap_or_default());
    let (status, body) = inner
        .identities
        .managed(&query, header, request.method().as_str());
    answer(status, "application/json; charset=utf-8", body.to_string())
}

fn pairs(query: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        percent_decode_str(&text.replace('+', " "))
            .decode_utf8_lossy()
            .into_owned()
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (decode(key), decode(value)))
        .collect()
}

async fn exchange(
    request: Request<Incoming>,
    inner: Arc<Inner>,
    upstream: Arc<Upstream>,
    tls: bool,
) -> Result<Sent, io::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let request = Request::from_parts(parts, body);
    let host = storage::host(&request);
    let call = Call {
        method: request.method().to_string(),
        host: host.clone(),
        path: request
            .uri()
            .path_and_query()
            .map_or_else(String::new, ToString::to_string),
        who: storage::bearer(&request).and_then(|token| inner.identities.name_of(token)),
        status: 0,
        fault: None,
    };
    let (number, fault) = inner.faults.note(call);
    let world = inner.clone();
    // A task of its own: a service does what it was asked even if the client has given up
    // meanwhile.
    let task =
        tokio::spawn(async move { perform(&host, request, &world, &upstream, tls, fault).await });
    let answer = task.await.map_err(io::Error::other)?;
    let answer = answer.ok_or_else(|| io::Error::other("a fault that a test asked for"))?;
    inner.faults.answered(number, answer.status().as_u16());
    Ok(match fault {
        Some(Fault::Cut) => cut(answer)?,
        _ => whole(answer),
    })
}

/// The answer, unless there shall be none.
async fn perform(
    host: &str,
    request: Request<Bytes>,
    inner: &Inner,
    upstream: &Upstream,
    tls: bool,
    fault: Option<Fault>,
) -> Option<Answer> {
    match fault {
        Some(Fault::Unreached) => return None,
        Some(Fault::Refused(status, after)) => {
            let mut answer = refusal(host, status);
            if let Some(after) = after {
                answer
                    .headers_mut()
                    .insert(header::RETRY_AFTER, after.into());
            }
            return Some(answer);
        }
        Some(Fault::Slow(time)) => sleep(time).await,
        _ => {}
    }
    let mut answer = service(host, request, inner, upstream, tls).await;
    match fault {
        Some(Fault::Lost) => return None,
        Some(Fault::Late(time)) => sleep(time).await,
        Some(Fault::Misreported(status)) => answer = refusal(host, status),
        Some(Fault::Garbled) => *answer.body_mut() = vec![b'~'; answer.body().len()].into(),
        _ => {}
    }
    Some(answer)
}

async fn service(
    host: &str,
    request: Request<Bytes>,
    inner: &Inner,
    upstream: &Upstream,
    tls: bool,
) -> Answer {
    if let Some((account, service)) = storage::service(host) {
        return service.handle(account, inner, upstream, request, tls).await;
    }
    if host.contains(".vault.") && tls {
        return inner.vault.handle(&inner.identities, host, &request);
    }
    if host == "login.microsoftonline.com" && tls {
        let form = pairs(&String::from_utf8_lossy(request.body()));
        let (status, body) = inner.identities.entra(request.uri().path(), &form);
        return answer(status, "application/json; charset=utf-8", body.to_string());
    }
    inner
        .violations
        .lock()
        .unwrap()
        .push(format!("nobody should call {host}"));
    answer(502, "text/plain", format!("the tests know no {host}"))
}

fn refusal(host: &str, status: u16) -> Answer {
    match storage::service(host) {
        Some((_, service)) => service.refusal(status),
        None => vault::refusal(status),
    }
}

fn never(never: Infallible) -> io::Error {
    match never {}
}

fn whole(answer: Answer) -> Sent {
    answer.map(|body| Full::new(body).map_err(never).boxed())
}

/// A body that ends early; but its first half, and the head before it, have been on their way for a
/// moment.
struct Half {
    bytes: Option<Bytes>,
    pause: Pin<Box<Sleep>>,
}

impl Body for Half {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(half) = self.bytes.take() {
            return Poll::Ready(Some(Ok(Frame::data(half))));
        }
        let cut = || Some(Err(io::Error::other("a fault that a test asked for")));
        self.pause.as_mut().poll(context).map(|()| cut())
    }
}

fn cut(answer: Answer) -> Result<Sent, io::Error> {
    let (mut parts, body) = answer.into_parts();
    if body.len() < 2 {
        return Err(io::Error::other("a fault that a test asked for"));
    }
    parts
        .headers
        .insert(header::CONTENT_LENGTH, body.len().into());
    let half = body.slice(..body.len() / 2);
    let half = Half {
        bytes: Some(half),
        pause: Box::pin(sleep(Duration::from_millis(100))),
    };
    Ok(Response::from_parts(parts, BodyExt::boxed(half)))
}

/// A request to Azurite that does not pass the proxy.
pub fn direct(method: &str, uri: &str, headers: HeaderMap, body: Vec<u8>) -> Request<Bytes> {
    let mut request = Request::new(Bytes::from(body));
    *request.method_mut() = method.parse().expect("a method");
    *request.uri_mut() = uri.parse::<Uri>().expect("a path");
    *request.headers_mut() = headers;
    request
}
