//! How an HTTP request is handed to the handler, in the two ways that hosts have.

use http_body_util::Full;
use hyper::{
    HeaderMap, Request, Response, Uri, Version,
    body::Bytes,
    header::{self, HeaderName, HeaderValue},
};

use super::{Mode, path};

/// What each side of a connection says for itself.
const HOP_BY_HOP: [&str; 7] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
    "proxy-authenticate",
    "te",
];

/// What .NET counts among a body's headers: without a body object they get lost.
const CONTENT: [&str; 10] = [
    "allow",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-location",
    "content-md5",
    "content-range",
    "content-type",
    "expires",
    "last-modified",
];

/// A public request, and what the host knows about it.
pub struct Public<'a> {
    pub request: &'a Request<Bytes>,
    /// `Request.Path`, decoded.
    pub path: &'a str,
    pub invocation: &'a str,
    pub port: u16,
}

/// The host's version, by mode: proxying came later.
pub fn version(mode: Mode) -> &'static str {
    match mode {
        Mode::Forwarding => "4.1037.0.0",
        Mode::Proxying => "4.1052.200.0",
    }
}

impl Public<'_> {
    pub fn handed_over(&self, mode: Mode) -> Result<Request<Full<Bytes>>, String> {
        match mode {
            Mode::Forwarding => self.forwarded(),
            Mode::Proxying => self.proxied(),
        }
    }

    /// `enableForwardingHttpRequest`: a message made anew.
    fn forwarded(&self) -> Result<Request<Full<Bytes>>, String> {
        let query = self
            .request
            .uri()
            .query()
            .map(path::requery)
            .filter(|query| !query.is_empty());
        let mut headers = self.end_to_end();
        // A body without a length is dropped, and with it everything said about it.
        let length = self.request.headers().get(header::CONTENT_LENGTH);
        let length = length
            .and_then(|value| value.to_str().ok()?.parse::<u64>().ok())
            .unwrap_or(0);
        for name in CONTENT
            .iter()
            .filter(|name| length == 0 || **name != "content-type")
        {
            headers.remove(*name);
        }
        headers.remove(header::CONTENT_LENGTH);
        headers.append("x-azure-functions-invocationid", value(self.invocation)?);
        headers.append(
            "x-azure-functions-hostversion",
            value(version(Mode::Forwarding))?,
        );
        headers.append(
            header::USER_AGENT,
            value(&format!(
                "Azure-Functions-Host/{}",
                version(Mode::Forwarding)
            ))?,
        );
        let body = if length > 0 {
            self.request.body().clone()
        } else {
            Bytes::new()
        };
        if length > 0 {
            headers.insert(header::CONTENT_LENGTH, body.len().into());
        } else if self.request.method() != "GET" && self.request.method() != "HEAD" {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        self.message(&path::forwarded(self.path), query.as_deref(), headers, body)
    }

    /// `enableProxyingHttpRequest`: YARP.
    fn proxied(&self) -> Result<Request<Full<Bytes>>, String> {
        let mut headers = self.end_to_end();
        let host = headers.remove(header::HOST);
        headers.insert(header::HOST, value(&format!("127.0.0.1:{}", self.port))?);
        headers.remove("forwarded");
        // What the front end said of the client is overwritten: to YARP the front end is the
        // client.
        headers.insert("x-forwarded-for", HeaderValue::from_static("10.0.0.4"));
        headers.insert("x-forwarded-proto", HeaderValue::from_static("http"));
        headers.remove("x-forwarded-prefix");
        headers.remove("x-forwarded-host");
        if let Some(host) = host {
            headers.insert("x-forwarded-host", host);
        }
        headers.insert("x-azure-functions-invocationid", value(self.invocation)?);
        headers.insert(
            "x-azure-functions-hostversion",
            value(version(Mode::Proxying))?,
        );
        headers.insert("x-ms-invocation-id", value(self.invocation)?);
        let chunked = self
            .request
            .headers()
            .contains_key(header::TRANSFER_ENCODING);
        if chunked {
            headers.remove(header::CONTENT_LENGTH);
            headers.insert(
                header::TRANSFER_ENCODING,
                HeaderValue::from_static("chunked"),
            );
        }
        let query = self.request.uri().query();
        self.message(
            &path::proxied(self.path),
            query,
            headers,
            self.request.body().clone(),
        )
    }

    fn end_to_end(&self) -> HeaderMap {
        let mut headers = self.request.headers().clone();
        HOP_BY_HOP
            .iter()
            .for_each(|name| drop(headers.remove(*name)));
        headers
    }

    fn message(
        &self,
        path: &str,
        query: Option<&str>,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, String> {
        let target = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = self.request.method().clone();
        *request.uri_mut() = target
            .parse::<Uri>()
            .map_err(|error| format!("{target}: {error}"))?;
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = headers;
        Ok(request)
    }
}

/// The handler's answer as clients get it: status, headers and bytes pass; what belongs to the
/// connection does not.
pub fn handed_back(answer: Response<Bytes>) -> Response<Full<Bytes>> {
    let (mut parts, body) = answer.into_parts();
    for name in HOP_BY_HOP {
        parts.headers.remove(HeaderName::from_static(name));
    }
    parts.version = Version::HTTP_11;
    Response::from_parts(parts, Full::new(body))
}

fn value(text: &str) -> Result<HeaderValue, String> {
    text.parse().map_err(|error| format!("{text}: {error}"))
}
