//! Bytes with their caching headers, conditional requests and ranges (RFC 9110, RFC 9111).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::{
    body::{Body, Bytes},
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{
            ACCEPT_RANGES, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, ETAG, EXPIRES,
            IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE,
        },
    },
    response::Response,
};

use crate::core::time::Timestamp;

/// What a cache may do with some bytes.
#[derive(Clone, Debug)]
pub(super) struct Caching {
    /// A strong validator, without quotes.
    pub(super) etag: String,
    /// thisUpdate.
    pub(super) modified: Timestamp,
    /// nextUpdate.
    pub(super) expires: Timestamp,
    /// Until when a cache may use it without asking.
    pub(super) fresh_until: Timestamp,
    /// What follows `max-age`.
    pub(super) directives: &'static str,
}

/// Bytes of a type, for a request.
pub(super) struct Sending<'a> {
    pub(super) method: &'a Method,
    pub(super) request: &'a HeaderMap,
    pub(super) content_type: &'static str,
    pub(super) bytes: Bytes,
}

impl Sending<'_> {
    /// Sends the bytes with validators, or 304, or the range that was asked for.
    pub(super) fn cacheable(self, caching: &Caching, now: Timestamp) -> Response {
        let safe = matches!(*self.method, Method::GET | Method::HEAD);
        let request = self.request;
        let mut response = if safe && is_unchanged(request, caching) {
            plain(StatusCode::NOT_MODIFIED, Body::empty())
        } else {
            match range(request, caching, self.bytes.len()).filter(|_| safe) {
                Some(Ok((start, end))) => part(&self.bytes, start, end),
                Some(Err(())) => unsatisfiable(self.bytes.len()),
                None => plain(StatusCode::OK, Body::from(self.bytes)),
            }
        };
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        let max_age = caching.fresh_until.since(now).as_secs();
        put(headers, ETAG, format!("\"{}\"", caching.etag));
        put(headers, LAST_MODIFIED, date(caching.modified));
        put(headers, EXPIRES, date(caching.expires));
        put(
            headers,
            CACHE_CONTROL,
            format!("max-age={max_age}{}", caching.directives),
        );
        response
    }

    /// Sends the bytes without any header about caching.
    pub(super) fn silent(self) -> Response {
        let mut response = plain(StatusCode::OK, Body::from(self.bytes));
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        response
    }

    /// Sends the bytes so that nobody keeps them.
    pub(super) fn never_kept(self) -> Response {
        let mut response = self.silent();
        response
            .headers_mut()
            .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

/// A status with a sentence, never kept.
pub(super) fn failure(status: StatusCode, sentence: &str) -> Response {
    let mut response = plain(status, Body::from(format!("{sentence}\n")));
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn plain(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

fn put(headers: &mut HeaderMap, name: axum::http::HeaderName, value: String) {
    if let Ok(value) = HeaderValue::from_str(&value) {
        headers.insert(name, value);
    }
}

fn system_time(time: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(time.seconds())
}

fn date(time: Timestamp) -> String {
    httpdate::fmt_http_date(system_time(time))
}

/// RFC 9110 §13.2.2: If-None-Match decides; If-Modified-Since only where it is absent.
fn is_unchanged(request: &HeaderMap, caching: &Caching) -> bool {
    let mut tags = request
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .peekable();
    if tags.peek().is_some() {
        return tags.flat_map(|tags| tags.split(',')).any(|tag| {
            let tag = tag.trim();
            tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"') == caching.etag
        });
    }
    let since = request
        .get(IF_MODIFIED_SINCE)
        .and_then(|value| httpdate::parse_http_date(value.to_str().ok()?).ok());
    since.is_some_and(|since| system_time(caching.modified) <= since)
}

/// The one range asked for: `None` where there is none to obey, `Err` where it lies outside (RFC
/// 9110 §14).
fn range(request: &HeaderMap, caching: &Caching, len: usize) -> Option<Result<(usize, usize), ()>> {
    let asked = request.get(RANGE)?.to_str().ok()?.strip_prefix("bytes=")?;
    if let Some(condition) = request.get(IF_RANGE)
        && condition.to_str().ok()?.trim_matches('"') != caching.etag
    {
        return None;
    }
    let (first, last) = asked.split_once('-')?;
    let last_octet = len.checked_sub(1)?;
    let (start, end) = match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(start), Ok(end)) if start <= end => (start, end.min(last_octet)),
        (Ok(start), Err(_)) if last.is_empty() => (start, last_octet),
        (Err(_), Ok(suffix)) if first.is_empty() && suffix > 0 => {
            (len.saturating_sub(suffix), last_octet)
        }
        // Several ranges, or nonsense: a server may send the whole.
        _ => return None,
    };
    Some(if start <= last_octet {
        Ok((start, end))
    } else {
        Err(())
    })
}

fn part(bytes: &Bytes, start: usize, end: usize) -> Response {
    let body = bytes.slice(start..=end);
    let mut response = plain(StatusCode::PARTIAL_CONTENT, Body::from(body));
    put(
        response.headers_mut(),
        CONTENT_RANGE,
        format!("bytes {start}-{end}/{}", bytes.len()),
    );
    response
}

fn unsatisfiable(len: usize) -> Response {
    let mut response = plain(StatusCode::RANGE_NOT_SATISFIABLE, Body::empty());
    put(
        response.headers_mut(),
        CONTENT_RANGE,
        format!("bytes */{len}"),
    );
    response
}
