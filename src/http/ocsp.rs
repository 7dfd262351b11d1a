//! OCSP over HTTP (RFC 6960 appendix A, RFC 9919 §6).

use std::sync::Arc;

use axum::{
    body::{Bytes, HttpBody, to_bytes},
    extract::State,
    http::{HeaderMap, Method, StatusCode, header::CONTENT_ENCODING},
    response::Response,
};

use super::{
    connections::unread,
    sending::{Caching, Sending, failure},
};
use crate::{
    core::{
        chain::Chain,
        ocsp::{Refusal, get},
    },
    server::app::App,
    stories::respond::Answer,
};

/// Most octets of a request.
const MAX_REQUEST: usize = 16 * 1024;
const TOO_LARGE: &str = "an OCSP request has at most 16384 octets";

const CONTENT_TYPE: &str = "application/ocsp-response";

pub(super) async fn post(State(app): State<Arc<App>>, request: axum::extract::Request) -> Response {
    let (parts, body) = request.into_parts();
    // RFC 9110 §8.4: a coding that is not decoded here. Nothing that clients send is worth packing.
    let mut codings = parts.headers.get_all(CONTENT_ENCODING).iter();
    if codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return failure(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send the request without Content-Encoding",
        );
    }
    // The body's declared length is checked before anything of it is read; what declares none is
    // cut off.
    if body.size_hint().lower() > MAX_REQUEST as u64 {
        return failure(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE);
    }
    match to_bytes(body, MAX_REQUEST).await {
        Ok(body) => answer(&app, &parts.method, &parts.headers, &body).await,
        Err(error) => {
            tracing::debug!(error = %Chain(&error), "an OCSP request was not read");
            match unread(&error) {
                StatusCode::PAYLOAD_TOO_LARGE => failure(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE),
                status => failure(status, "the request did not arrive whole"),
            }
        }
    }
}

pub(super) async fn get(State(app): State<Arc<App>>, request: axum::extract::Request) -> Response {
    // The raw path: an extractor would decode it once, and `%2F` could no longer be told from `/`.
    let path = request.uri().path();
    get_from(
        &app,
        path.strip_prefix("/ocsp").unwrap_or(path),
        request.method(),
        request.headers(),
    )
    .await
}

/// Answers a request whose DER is in this part of its path.
pub(super) async fn get_from(
    app: &App,
    text: &str,
    method: &Method,
    headers: &HeaderMap,
) -> Response {
    let sent = headers
        .get("x-waws-unencoded-url")
        .and_then(|target| target.to_str().ok())
        .and_then(sent_in);
    match get::decode(text, sent, |der| app.responder.is_for_us(der)) {
        Some(der) => answer(app, method, headers, &der).await,
        None => refuse(
            app,
            method,
            headers,
            Refusal::MalformedRequest,
            "the path holds no OCSP request",
        ),
    }
}

/// What follows the responder's address in a request target.
fn sent_in(target: &str) -> Option<&str> {
    Some(target.split('?').next()?.split_once("/ocsp/")?.1)
}

async fn answer(app: &App, method: &Method, headers: &HeaderMap, der: &[u8]) -> Response {
    let now = (app.clock)();
    let signed = match app.responder.respond(der, now).await {
        Answer::Signed(signed) => signed,
        Answer::Refused(refusal, why) => return refuse(app, method, headers, refusal, &why),
    };
    app.counters.answer();
    let sending = Sending {
        method,
        request: headers,
        content_type: CONTENT_TYPE,
        bytes: signed.der.clone(),
    };
    match &signed.etag {
        // RFC 9919 §7.2; Last-Modified is thisUpdate, which is producedAt too.
        Some(etag) => sending.cacheable(
            &Caching {
                etag: etag.clone(),
                modified: signed.window.this(),
                expires: signed.window.next(),
                fresh_until: signed.replace_at,
                directives: ", public, no-transform, must-revalidate",
            },
            now,
        ),
        // A nonce makes it of use to one client only.
        None => sending.silent(),
    }
}

/// RFC 9919 §7.2: errors are never kept.
fn refuse(
    app: &App,
    method: &Method,
    headers: &HeaderMap,
    refusal: Refusal,
    why: &str,
) -> Response {
    let is_news = app.counters.refuse(refusal, (app.clock)());
    match refusal {
        Refusal::InternalError if is_news => {
            tracing::error!(why, "an OCSP request could not be answered")
        }
        Refusal::TryLater if is_news => {
            tracing::warn!(
                why,
                "an OCSP request could not be answered yet; others of this minute are only counted"
            )
        }
        refusal => tracing::debug!(why, status = refusal.name(), "an OCSP request was refused"),
    }
    let bytes = Bytes::copy_from_slice(&refusal.der());
    Sending {
        method,
        request: headers,
        content_type: CONTENT_TYPE,
        bytes,
    }
    .never_kept()
}
