//! The JSON interface for revocations. Errors are problem documents (RFC 9457).

use std::sync::Arc;

use axum::{
    Json,
    body::{Body, HttpBody, to_bytes},
    extract::{Path, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::connections::unread;
use crate::server::app::{Access, App};
use crate::{
    ca::Ca,
    core::{
        chain::Chain, journal::change_set::MAX_CHANGES, revocation::ChangeRequest, serial::Serial,
        time::Timestamp,
    },
    store::error::{DriverError, ErrorKind},
    stories::{
        revoke::{self, Author, RevokeError},
        schema::{self, Revocation, SchemaError},
    },
};

/// Most octets of a body.
const MAX_BODY: usize = 1 << 20;

/// A problem document.
#[derive(Debug)]
struct ProblemDocument {
    status: StatusCode,
    detail: String,
}

impl ProblemDocument {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
        }
    }

    fn driver(error: &DriverError) -> Self {
        tracing::error!(error = %Chain(error), "the index could not be used");
        let what = match error.kind {
            ErrorKind::Transient | ErrorKind::Throttled => "out of reach",
            _ => "unusable, and the log says why",
        };
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("the index is {what}; nothing is known to have changed"),
        )
    }
}

impl IntoResponse for ProblemDocument {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let body = serde_json::json!({
            "type": "about:blank",
            "title": title,
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<RevokeError> for ProblemDocument {
    fn from(error: RevokeError) -> Self {
        match error {
            RevokeError::Merge(_) => Self::new(StatusCode::CONFLICT, Chain(&error).to_string()),
            RevokeError::Driver(error) => Self::driver(&error),
            RevokeError::OtherKey(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, Chain(&error).to_string())
            }
            RevokeError::Twice(_) | RevokeError::Text(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, Chain(&error).to_string())
            }
        }
    }
}

impl From<SchemaError> for ProblemDocument {
    fn from(error: SchemaError) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, Chain(&error).to_string())
    }
}

/// What is to be released.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReleaseRequest {
    serial: String,
    #[serde(default)]
    comment: Option<String>,
}

/// Lets a caller pass who may, and names the issuer.
fn admit<'a>(app: &'a App, headers: &HeaderMap, issuer: &str) -> Result<&'a Ca, ProblemDocument> {
    match &app.api {
        Access::Host => {}
        Access::Closed => {
            return Err(ProblemDocument::new(
                StatusCode::FORBIDDEN,
                "the API is closed: RESCIND_API_TOKEN is not set, or the function api is disabled",
            ));
        }
        Access::Token(token) => {
            let given = headers
                .get(AUTHORIZATION)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default();
            let given = given
                .split_once(' ')
                .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
            // Digests are compared, so the time it takes tells nothing about the token.
            if given.is_none_or(|(_, given)| Sha256::digest(given.trim()) != Sha256::digest(token))
            {
                return Err(ProblemDocument::new(
                    StatusCode::UNAUTHORIZED,
                    "give the API token: Authorization: Bearer TOKEN",
                ));
            }
        }
    }
    app.ca(issuer).ok_or_else(|| {
        ProblemDocument::new(
            StatusCode::NOT_FOUND,
            format!("there is no issuer {issuer:?}"),
        )
    })
}

/// Reads one object or a list of them.
async fn read<T: for<'de> Deserialize<'de>>(body: Body) -> Result<Vec<T>, ProblemDocument> {
    let too_large = || {
        ProblemDocument::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("a body has at most {MAX_BODY} octets"),
        )
    };
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(too_large());
    }
    let body = to_bytes(body, MAX_BODY)
        .await
        .map_err(|error| match unread(&error) {
            StatusCode::PAYLOAD_TOO_LARGE => too_large(),
            status => ProblemDocument::new(status, "the body did not arrive whole"),
        })?;
    let malformed = |error: serde_json::Error| {
        ProblemDocument::new(
            StatusCode::BAD_REQUEST,
            format!("the body: {}", Chain(&error)),
        )
    };
    let items = match serde_json::from_slice(&body).map_err(malformed)? {
        serde_json::Value::Array(items) if items.is_empty() => {
            return Err(ProblemDocument::new(
                StatusCode::BAD_REQUEST,
                "the body: the list is empty",
            ));
        }
        serde_json::Value::Array(items) => items,
        one => vec![one],
    };
    if items.len() > MAX_CHANGES {
        // One change set, all or nothing.
        let what = format!("a list has at most {MAX_CHANGES} certificates");
        return Err(ProblemDocument::new(StatusCode::UNPROCESSABLE_ENTITY, what));
    }
    items
        .into_iter()
        .map(|item| serde_json::from_value(item).map_err(malformed))
        .collect()
}

/// The comment of the change set: the callers' comments, each once.
fn comment<'a>(comments: impl Iterator<Item = Option<&'a str>>) -> String {
    let mut all: Vec<&str> = Vec::new();
    for comment in comments.flatten().filter(|comment| !comment.is_empty()) {
        if !all.contains(&comment) {
            all.push(comment);
        }
    }
    all.join("; ")
}

async fn record(
    ca: &Ca,
    requests: &[ChangeRequest],
    comment: String,
    now: Timestamp,
) -> Result<Response, ProblemDocument> {
    let author = Author {
        actor: "api".to_owned(),
        comment,
    };
    let recorded = revoke::commit(ca, requests, &author, now, |_| ()).await?;
    tracing::info!(
        issuer = ca.name,
        seq = recorded.seq,
        changed = recorded.changed,
        "recorded by the API"
    );
    Ok(([(CACHE_CONTROL, "no-store")], Json(recorded)).into_response())
}

pub(super) async fn revoke(
    State(app): State<Arc<App>>,
    Path(issuer): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let revoke = async {
        let ca = admit(&app, &headers, &issuer)?;
        let now = (app.clock)();
        let wanted: Vec<Revocation> = read(body).await?;
        let requests: Vec<_> = wanted
            .iter()
            .map(|one| one.request(ca, now))
            .collect::<Result<_, _>>()?;
        record(
            ca,
            &requests,
            comment(wanted.iter().map(|one| one.comment.as_deref())),
            now,
        )
        .await
    };
    revoke.await.unwrap_or_else(ProblemDocument::into_response)
}

pub(super) async fn release(
    State(app): State<Arc<App>>,
    Path(issuer): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let release = async {
        let ca = admit(&app, &headers, &issuer)?;
        let wanted: Vec<ReleaseRequest> = read(body).await?;
        let requests: Vec<_> = wanted
            .iter()
            .map(|one| schema::release(&one.serial))
            .collect::<Result<_, _>>()?;
        record(
            ca,
            &requests,
            comment(wanted.iter().map(|one| one.comment.as_deref())),
            (app.clock)(),
        )
        .await
    };
    release.await.unwrap_or_else(ProblemDocument::into_response)
}

pub(super) async fn lookup(
    State(app): State<Arc<App>>,
    Path((issuer, serial)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let lookup = async {
        let ca = admit(&app, &headers, &issuer)?;
        let serial = Serial::from_hex(&serial).map_err(|error| {
            ProblemDocument::new(
                StatusCode::BAD_REQUEST,
                format!("the serial number {error}"),
            )
        })?;
        let found = ca
            .index
            .statuses(&ca.name, vec![serial])
            .await
            .map_err(|error| ProblemDocument::driver(&error))?;
        let shown = schema::Shown::new(serial, found.first());
        Ok::<_, ProblemDocument>(([(CACHE_CONTROL, "no-store")], Json(shown)).into_response())
    };
    lookup.await.unwrap_or_else(ProblemDocument::into_response)
}
