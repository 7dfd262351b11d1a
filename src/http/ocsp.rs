//! OCSP over HTTP (RFC 6960 appendix A, RFC 9919 §6).

use std::sync::{Arc, atomic::Ordering};

use axum::{
    body::{Bytes, HttpBody, to_bytes},
    extract::State,
    http::{HeaderMap, Method, StatusCode},
    response::Response,
};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use percent_encoding::percent_decode_str;

use super::{
    App,
    sending::{Caching, Sending, failure},
};
use crate::{
    core::ocsp::{Refusal, Request},
    respond::Answer,
};

/// Most octets of a request.
const MAX_REQUEST: usize = 16 * 1024;
const TOO_LARGE: &str = "an OCSP request has at most 16384 octets";

const CONTENT_TYPE: &str = "application/ocsp-response";

pub(super) async fn post(State(app): State<Arc<App>>, request: axum::extract::Request) -> Response {
    let (parts, body) = request.into_parts();
    // The body's declared length is checked before anything of it is read; what declares none is cut off.
    if body.size_hint().lower() > MAX_REQUEST as u64 {
        return failure(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE);
    }
    match to_bytes(body, MAX_REQUEST).await {
        Ok(body) => answer(&app, &parts.method, &parts.headers, &body).await,
        Err(error) => {
            tracing::debug!(%error, "an OCSP request was not read");
            failure(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE)
        }
    }
}

pub(super) async fn get(State(app): State<Arc<App>>, request: axum::extract::Request) -> Response {
    // The raw path: an extractor would decode it once, and `%2F` could no longer be told from `/`.
    let path = request.uri().path();
    get_from(&app, path.strip_prefix("/ocsp").unwrap_or(path), request.method(), request.headers()).await
}

/// Answers a request whose DER is in this part of its path.
pub(super) async fn get_from(app: &App, text: &str, method: &Method, headers: &HeaderMap) -> Response {
    let Some(text) = plain_base64(text) else {
        return refuse(app, method, headers, Refusal::MalformedRequest, "the path is not base64");
    };
    let direct = decode(&text).filter(|der| Request::read(der).is_ok());
    match direct.or_else(|| decode(&as_sent(headers, &text)?)).or_else(|| restored(app, &text)) {
        Some(der) => answer(app, method, headers, &der).await,
        None => refuse(app, method, headers, Refusal::MalformedRequest, "the path holds no OCSP request"),
    }
}

/// How often a path may have been percent-encoded.
const ENCODINGS: usize = 3;

/// The base64 in a path, after all that happens to it on its way: percent-encoding once or more, a slash or more in
/// front, spaces for `+`, the url-safe alphabet. `%` is not in the alphabet, so decoding is safe.
fn plain_base64(path: &str) -> Option<String> {
    if path.len() > 2 * MAX_REQUEST {
        return None;
    }
    let mut text = path.to_owned();
    for _ in 0..ENCODINGS {
        if !text.contains('%') {
            break;
        }
        text = percent_decode_str(&text).decode_utf8().ok()?.into_owned();
    }
    let plain = |c: char| match c {
        ' ' | '-' => '+',
        '_' => '/',
        c => c,
    };
    Some(text.trim_start_matches('/').chars().map(plain).collect())
}

/// App Service's front end decodes paths and merges slashes, and says in a header what was sent: the only way to tell
/// apart two places where a slash may be missing. It is believed only if that is what arrived, but for slashes.
fn as_sent(headers: &HeaderMap, arrived: &str) -> Option<String> {
    let target = headers.get("x-waws-unencoded-url")?.to_str().ok()?;
    let (_, text) = target.split('?').next()?.split_once("/ocsp/")?;
    let sent = plain_base64(text)?;
    let parts = |text: &str| text.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    (parts(&sent) == parts(arrived)).then_some(sent)
}

/// Padding may be missing.
fn decode(text: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    LENIENT.decode(text).ok().filter(|der| !der.is_empty())
}

/// Most slashes that a front end can have swallowed, most places to try, and the longest text to try them in. Clients
/// send by GET what is short (RFC 9919 §6: up to 255 octets).
const LOST_SLASHES: usize = 3;
const MOST_TRIES: usize = 1000;
const LONGEST_RESTORED: usize = 1024;

/// Front ends merge `//` in paths to `/`, and base64 has `//` in it. Puts slashes back beside those that are left, and
/// takes the result only if exactly one is a request for an issuer of ours: never an answer about another certificate.
fn restored(app: &App, text: &str) -> Option<Vec<u8>> {
    if text.len() > LONGEST_RESTORED {
        return None;
    }
    let mut level = vec![text.to_owned()];
    for _ in 0..LOST_SLASHES {
        let longer = level.iter().flat_map(|text| {
            // One place in each run of slashes: the others give the same text.
            let places = text.match_indices('/').filter(|(at, _)| !text[at + 1..].starts_with('/'));
            places.map(move |(at, _)| format!("{}/{}", &text[..at], &text[at..]))
        });
        level = longer.take(MOST_TRIES).collect();
        level.sort_unstable();
        level.dedup();
        let mut found = level.iter().filter_map(|text| decode(text)).filter(|der| app.responder.is_for_us(der));
        match (found.next(), found.next()) {
            (Some(der), None) => return Some(der),
            (Some(_), Some(_)) => return None,
            (None, _) => {}
        }
    }
    None
}

async fn answer(app: &App, method: &Method, headers: &HeaderMap, der: &[u8]) -> Response {
    let now = (app.clock)();
    let signed = match app.responder.ask(der, now).await {
        Answer::Signed(signed) => signed,
        Answer::Refused(refusal, why) => return refuse(app, method, headers, refusal, &why),
    };
    app.counts.answered.fetch_add(1, Ordering::Relaxed);
    let sending = Sending { method, request: headers, content_type: CONTENT_TYPE, bytes: signed.der.clone() };
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
fn refuse(app: &App, method: &Method, headers: &HeaderMap, refusal: Refusal, why: &str) -> Response {
    app.counts.refuse(refusal);
    match refusal {
        Refusal::InternalError => tracing::error!(why, "an OCSP request could not be answered"),
        Refusal::TryLater => tracing::warn!(why, "an OCSP request could not be answered yet"),
        refusal => tracing::debug!(why, status = refusal.name(), "an OCSP request was refused"),
    }
    let bytes = Bytes::copy_from_slice(&refusal.der());
    Sending { method, request: headers, content_type: CONTENT_TYPE, bytes }.never_kept()
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderName};

    use super::{as_sent, decode, plain_base64};

    fn der(path: &str) -> Option<Vec<u8>> {
        decode(&plain_base64(path)?)
    }

    #[test]
    fn get_paths_survive_encoding_and_mangling() {
        let bytes = [0x30, 0xfb, 0xff, 0xfe, 0x3e, 0x3f, 0x01];
        for path in [
            "/MPv//j4/AQ==",
            "/MPv%2F%2Fj4%2FAQ%3D%3D",
            "/MPv%2f%2fj4%2fAQ%3d%3d",
            "/MPv%252F%252Fj4%252FAQ%253D%253D",
            "//MPv//j4/AQ==",
            "/%2FMPv//j4/AQ",
            "/MPv__j4_AQ",
        ] {
            assert_eq!(der(path).as_deref(), Some(&bytes[..]), "{path}");
        }
        assert_eq!(der("/MA+ +A=="), der("/MA%2B+%2BA=="));
    }

    #[test]
    fn what_was_sent_is_believed_only_if_it_arrived() {
        let header =
            |url: &str| HeaderMap::from_iter([(HeaderName::from_static("x-waws-unencoded-url"), url.parse().unwrap())]);
        let sent = as_sent(&header("/ocsp/MPv%2F%2fj4/A%3D?x=/ocsp/"), "MPv/j4/A=");
        assert_eq!(sent.as_deref(), Some("MPv//j4/A="));
        assert_eq!(as_sent(&header("/v1/pki/ocsp/MPv//j4"), "MPv/j4").as_deref(), Some("MPv//j4"));
        for url in ["/ocsp/MPv//j5", "/ocsp/MPvj4", "/MPv//j4", "", "/ocsp/%80"] {
            assert_eq!(as_sent(&header(url), "MPv/j4"), None, "{url}");
        }
        assert_eq!(as_sent(&HeaderMap::new(), "MPv/j4"), None);
    }

    #[test]
    fn get_paths_that_are_no_base64_are_told_from_others() {
        for path in ["", "/", "/!", "/%00", "/%zz", "/..%2f..", "/M", "/MPv%80"] {
            assert_eq!(der(path), None, "{path}");
        }
    }
}
