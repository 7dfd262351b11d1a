//! The envelope of the Azure Functions host: the timer calls, and is answered.
//!
//! In scope: who may call, the host's JSON, its idea of success. HTTP functions need none of this:
//! the host forwards them as they are.

use std::sync::Arc;

use axum::{
    Json,
    body::{Body, to_bytes},
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::server::{
    app::App,
    tick::{Ticked, tick},
};

/// The function's name, which is its folder's.
const FUNCTION: &str = "publish";

/// Most octets of an envelope.
const MAX_ENVELOPE: usize = 64 * 1024;

/// Headers that stand on what came from outside, and never on the host's own calls.
const FROM_OUTSIDE: [&str; 6] = [
    "x-forwarded-for",
    "x-forwarded-host",
    "x-waws-unencoded-url",
    "x-original-url",
    "disguised-host",
    "x-ms-invocation-id",
];

/// The port that the host wants us to listen on, if it is the host that started us.
pub(crate) fn port(get: impl Fn(&str) -> Option<String>) -> Option<u16> {
    get("FUNCTIONS_CUSTOMHANDLER_PORT")
        .or_else(|| get("FUNCTIONS_HTTPWORKER_PORT"))?
        .parse()
        .ok()
}

/// `POST /publish`: one tick.
pub(crate) async fn publish(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if !app.is_hosted || !is_from_host(&headers) {
        return answer(
            StatusCode::FORBIDDEN,
            &["only the Functions host may call this".to_owned()],
        );
    }
    let body = to_bytes(body, MAX_ENVELOPE).await.unwrap_or_default();
    let Some(is_past_due) = is_past_due(&body) else {
        return answer(
            StatusCode::BAD_REQUEST,
            &["this is not the timer's envelope".to_owned()],
        );
    };
    if is_past_due {
        tracing::warn!("the timer is late; an earlier tick was missed");
    }
    let Ticked { done, failed } = tick(&app).await;
    // The host takes anything but 2xx for a failure, and retries.
    let status = if failed.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::INTERNAL_SERVER_ERROR
    };
    answer(status, &[done, failed].concat())
}

/// What a host forwards has its own headers beside the client's, so each that counts must stand
/// alone.
fn is_from_host(headers: &HeaderMap) -> bool {
    let only = |name| {
        let mut values = headers.get_all(name).iter();
        values
            .next()
            .filter(|_| values.next().is_none())
            .and_then(|value| value.to_str().ok())
    };
    only("user-agent").is_some_and(|agent| agent.starts_with("Azure-Functions-Host/"))
        && only("x-azure-functions-invocationid").is_some()
        && !FROM_OUTSIDE.iter().any(|name| headers.contains_key(*name))
}

/// Reads the timer's envelope: `Data.<binding>.IsPastDue`. The binding may have any name, and the
/// fields may change. `None`: it is no envelope, or another function's.
pub fn is_past_due(envelope: &[u8]) -> Option<bool> {
    let envelope: Value = serde_json::from_slice(envelope).ok()?;
    let named = envelope.pointer("/Metadata/sys/MethodName")?.as_str()?;
    let data = envelope.get("Data").and_then(Value::as_object);
    let is_past_due = data.is_some_and(|data| {
        data.values()
            .any(|binding| binding.get("IsPastDue") == Some(&Value::Bool(true)))
    });
    named.eq_ignore_ascii_case(FUNCTION).then_some(is_past_due)
}

/// Never an empty body: the host would wait for one until its timeout.
fn answer(status: StatusCode, logs: &[String]) -> Response {
    (
        status,
        Json(json!({ "Outputs": {}, "Logs": logs, "ReturnValue": null })),
    )
        .into_response()
}
