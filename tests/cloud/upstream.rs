//! One connection to each of Azurite's services, for one connection of a client.

use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, client::conn::http1::SendRequest, header};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, sync::Mutex};
use tokio_rustls::rustls::pki_types::ServerName;

use super::{Answer, Bytes, azurite, storage::Service, tls};

type Sender = SendRequest<Full<Bytes>>;
type Error = Box<dyn std::error::Error + Send + Sync>;

#[derive(Default)]
pub struct Upstream {
    table: Mutex<Option<Sender>>,
    blob: Mutex<Option<Sender>>,
}

impl Upstream {
    /// Sends a request as it is, `Host` included: it names the account.
    pub async fn send(&self, service: Service, request: Request<Bytes>) -> Result<Answer, Error> {
        let azurite = azurite::shared();
        let (slot, port) = match service {
            Service::Table => (&self.table, azurite.table),
            Service::Blob => (&self.blob, azurite.blob),
        };
        let mut slot = slot.lock().await;
        if slot.as_ref().is_none_or(SendRequest::is_closed) {
            *slot = Some(connect(port).await?);
        }
        let sender = slot.as_mut().ok_or("no connection")?;
        sender.ready().await?;
        let (mut parts, body) = request.into_parts();
        parts.headers.remove(header::TRANSFER_ENCODING);
        parts
            .headers
            .insert(header::CONTENT_LENGTH, body.len().into());
        let response = sender
            .send_request(Request::from_parts(parts, Full::new(body)))
            .await?;
        let (mut parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        for hop in [header::CONNECTION, header::TRANSFER_ENCODING] {
            parts.headers.remove(hop);
        }
        parts.headers.remove("keep-alive");
        Ok(Response::from_parts(parts, body))
    }
}

async fn connect(port: u16) -> Result<Sender, Error> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let stream = tls::shared()
        .connector
        .connect(ServerName::try_from("localhost")?, stream)
        .await?;
    let (sender, connection) = hyper::client::conn::http1::Builder::new()
        .preserve_header_case(true)
        .handshake(TokioIo::new(stream))
        .await?;
    tokio::spawn(connection);
    Ok(sender)
}
