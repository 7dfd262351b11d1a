//! Deadlines and retries for every call to Azure; the only place for either.
//!
//! Tried again: 408, 429, 5xx, and connections that failed. A conflict never is: the caller has to
//! read again. What took effect although its answer was lost shows as a conflict on the next try;
//! [`Failed::retried`] tells.

use std::{
    future::Future,
    time::{Duration, SystemTime},
};

use azure_core::{Error, error::ErrorKind as SdkErrorKind, http::StatusCode};

use crate::store::error::{DriverError, ErrorKind};

/// A call, for messages and limits.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// What it does, on what: "read https://…".
    pub(super) operation: String,
    /// The role that its identity needs, for when it is denied.
    pub(super) role: &'static str,
    /// How long one try may take.
    pub(super) limit: Duration,
}

/// A call that failed for good.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: DriverError,
    /// Whether an earlier try may have taken effect.
    pub(super) retried: bool,
}

impl From<Failed> for DriverError {
    fn from(failed: Failed) -> Self {
        failed.error
    }
}

/// Tries before a call fails for good.
const TRIES: u32 = 5;
/// The first pause; each is twice the one before.
const PAUSE: Duration = Duration::from_millis(200);
/// The longest pause, whatever Retry-After says.
const LONGEST: Duration = Duration::from_secs(10);
/// How long a small call may take.
pub(super) const SMALL: Duration = Duration::from_secs(15);
/// How long moving a large CRL may take.
pub(super) const LARGE: Duration = Duration::from_secs(90);

/// Calls `attempt` until it succeeds, fails for good, or was tried often enough.
pub(super) async fn call<T, F>(call: &Call, mut attempt: impl FnMut() -> F) -> Result<T, Failed>
where
    F: Future<Output = azure_core::Result<T>>,
{
    let mut tried = 0;
    loop {
        tried += 1;
        let (kind, pause, source): (_, _, Box<dyn std::error::Error + Send + Sync>) =
            match tokio::time::timeout(call.limit, attempt()).await {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(error)) => (
                    kind(&error),
                    retry_after(cause(&error)),
                    said(&error, call.role).into(),
                ),
                Err(_) => (
                    ErrorKind::Transient,
                    None,
                    format!("no answer within {:?}", call.limit).into(),
                ),
            };
        let is_passing = matches!(kind, ErrorKind::Throttled | ErrorKind::Transient);
        if !is_passing || tried >= TRIES {
            let error = DriverError::because(call.operation.clone(), kind, source);
            return Err(Failed {
                error,
                retried: tried > 1,
            });
        }
        let pause = pause.unwrap_or(PAUSE * 2u32.pow(tried - 1)).min(LONGEST);
        tracing::debug!(operation = call.operation, tried, ?pause, %source, "trying again");
        tokio::time::sleep(jittered(pause)).await;
    }
}

/// Between the pause and half as much again, so that clients that failed together do not return
/// together.
fn jittered(pause: Duration) -> Duration {
    let mut octets = [0; 2];
    // Without random octets the pause is as good.
    let _ = aws_lc_rs::rand::fill(&mut octets);
    pause + pause.mul_f64(f64::from(u16::from_be_bytes(octets)) / f64::from(u16::MAX) / 2.0)
}

/// What a caller can act on.
pub(super) fn kind(error: &Error) -> ErrorKind {
    match (error.kind(), error.http_status()) {
        (_, Some(StatusCode::Conflict | StatusCode::PreconditionFailed)) => ErrorKind::Conflict,
        (_, Some(StatusCode::Unauthorized | StatusCode::Forbidden)) => ErrorKind::Denied,
        (_, Some(StatusCode::NotFound)) => ErrorKind::Missing,
        (_, Some(StatusCode::TooManyRequests)) => ErrorKind::Throttled,
        (_, Some(StatusCode::RequestTimeout)) => ErrorKind::Transient,
        (_, Some(status)) if status.is_server_error() => ErrorKind::Transient,
        (SdkErrorKind::Connection | SdkErrorKind::Io, _) => ErrorKind::Transient,
        // Whoever gives out tokens may be busy or out of reach, too.
        (SdkErrorKind::Credential, _) => match cause(error) {
            inner if matches!(inner.kind(), SdkErrorKind::Credential) => ErrorKind::Denied,
            inner => match kind(inner) {
                passing @ (ErrorKind::Throttled | ErrorKind::Transient) => passing,
                _ => ErrorKind::Denied,
            },
        },
        _ => ErrorKind::Other,
    }
}

/// What stands behind the failure to get a token; any other error itself.
fn cause(error: &Error) -> &Error {
    let inner = std::error::Error::source(error).and_then(|source| source.downcast_ref::<Error>());
    match (error.kind(), inner) {
        (SdkErrorKind::Credential, Some(inner)) => cause(inner),
        _ => error,
    }
}

fn retry_after(error: &Error) -> Option<Duration> {
    let SdkErrorKind::HttpResponse {
        raw_response: Some(response),
        ..
    } = error.kind()
    else {
        return None;
    };
    let header = |name: &'static str| response.headers().get_optional_str(&name.into());
    let milliseconds = |name| header(name)?.trim().parse().ok().map(Duration::from_millis);
    milliseconds("x-ms-retry-after-ms")
        .or_else(|| milliseconds("retry-after-ms"))
        .or_else(|| {
            let text = header("retry-after")?.trim();
            match text.parse() {
                Ok(seconds) => Some(Duration::from_secs(seconds)),
                Err(_) => httpdate::parse_http_date(text)
                    .ok()?
                    .duration_since(now())
                    .ok(),
            }
        })
}

/// Only to turn an HTTP date into a pause.
#[expect(
    clippy::disallowed_methods,
    reason = "a pause is no decision; nothing depends on this clock"
)]
fn now() -> SystemTime {
    SystemTime::now()
}

/// What the service said, in a line; and which role is missing where it denied the call.
fn said(error: &Error, role: &str) -> String {
    let SdkErrorKind::HttpResponse {
        status,
        error_code,
        raw_response,
    } = error.kind()
    else {
        // The SDK's messages have several lines, the last one a link, and repeat their causes.
        let line = |error: &dyn std::error::Error| {
            let text = error.to_string();
            let lines = text
                .lines()
                .map(str::trim)
                .filter(|line| !line.starts_with("To troubleshoot"));
            lines.collect::<Vec<_>>().join(" ")
        };
        let mut text = line(error);
        let mut source = std::error::Error::source(error);
        while let Some(inner) = source {
            let line = line(inner);
            if !text.contains(&line) {
                text = format!("{text}: {line}");
            }
            source = inner.source();
        }
        return without_queries(&text);
    };
    let body = raw_response
        .as_ref()
        .map(|response| response.body().to_vec())
        .unwrap_or_default();
    let message = message(&body).unwrap_or_default();
    let code = error_code.as_deref().unwrap_or_default();
    let mut text = format!("the service said {} {code} {message}", u16::from(*status))
        .trim_end()
        .to_owned();
    if matches!(status, StatusCode::Unauthorized | StatusCode::Forbidden) {
        text.push_str(&format!("; the identity needs the role {role}"));
    }
    text
}

/// Without what stands behind the `?` of URLs: it may be a signature that is as good as a password.
fn without_queries(text: &str) -> String {
    let words = text
        .split_inclusive([' ', ')', '"'])
        .map(|word| match word.split_once('?') {
            Some((before, behind)) if before.contains("://") => {
                let end = behind
                    .chars()
                    .last()
                    .filter(|end| [' ', ')', '"'].contains(end));
                format!("{before}{}", end.map_or(String::new(), String::from))
            }
            _ => word.to_owned(),
        });
    words.collect()
}

/// The message in a JSON or XML error body, on one line.
fn message(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let found = match serde_json::from_str::<serde_json::Value>(text) {
        Ok(json) => {
            let error = json.get("error").or_else(|| json.get("odata.error"))?;
            let message = error.get("message")?;
            message
                .as_str()
                .or_else(|| message.get("value")?.as_str())?
                .to_owned()
        }
        Err(_) => text
            .split_once("<Message>")?
            .1
            .split_once("</Message>")?
            .0
            .to_owned(),
    };
    Some(found.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::{message, without_queries};

    #[test]
    fn signatures_in_urls_are_not_told() {
        let text = "error sending request for url \
             (https://a.blob.core.windows.net/crl?sv=1&sig=secret): refused";
        let told = without_queries(text);
        assert_eq!(
            told,
            "error sending request for url (https://a.blob.core.windows.net/crl): refused"
        );
    }

    #[test]
    fn messages_are_found_in_every_services_error_bodies() {
        for body in [
            r#"{"error":{"code":"Forbidden","message":"no\nmore"}}"#,
            r#"{"odata.error":{"code":"X","message":{"lang":"en-US","value":"no\nRequestId:1"}}}"#,
            "\u{feff}<?xml version=\"1.0\"?><Error><Code>X</Code>\
             <Message>no\nRequestId:1</Message></Error>",
        ] {
            assert_eq!(message(body.as_bytes()).as_deref(), Some("no"));
        }
        assert_eq!(message(b"<html>"), None);
    }
}
