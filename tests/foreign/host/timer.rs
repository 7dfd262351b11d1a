//! What a timer sends, and what the host makes of the answer.

use std::time::SystemTime;

use http_body_util::Full;
use hyper::{Request, Response, body::Bytes, header};
use serde_json::{Value, json};

use super::{Mode, app::Timer, forward, guid};

/// One tick.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tick {
    /// A run that was missed, made up for at the start.
    pub past_due: bool,
    /// Which attempt it is; 0 is the first.
    pub attempt: i64,
    /// Whether the schedule's state is left out, as it is without `useMonitor`.
    pub no_status: bool,
}

/// `POST /FUNCTION` with the envelope.
pub fn envelope(
    timer: &Timer,
    tick: Tick,
    mode: Mode,
    port: u16,
) -> Result<Request<Full<Bytes>>, String> {
    let now = humantime::format_rfc3339_seconds(SystemTime::now())
        .to_string()
        .replace('Z', "+00:00");
    let status = match tick.no_status {
        true => Value::Null,
        false => json!({ "Last": "0001-01-01T00:00:00+00:00", "Next": now, "LastUpdated": now }),
    };
    let info = json!({ "Schedule": { "AdjustForDST": true }, "ScheduleStatus": status, "IsPastDue": tick.past_due });
    let mut metadata =
        json!({ "sys": { "MethodName": timer.function, "UtcNow": now, "RandGuid": guid() } });
    if let Some(most) = timer.retries {
        let exception = if tick.attempt == 0 {
            Value::Null
        } else {
            json!({ "Message": "the attempt before failed" })
        };
        metadata["RetryContext"] =
            json!({ "MaxRetryCount": most, "RetryCount": tick.attempt, "Exception": exception });
    }
    let body = json!({ "Data": { &timer.binding: info }, "Metadata": metadata }).to_string();
    let version = forward::version(mode);
    Request::post(format!("/{}", timer.function))
        .header(header::HOST, format!("127.0.0.1:{port}"))
        .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
        .header(header::CONTENT_LENGTH, body.len())
        .header(
            header::USER_AGENT,
            format!("Azure-Functions-Host/{version}"),
        )
        .header("X-Azure-Functions-InvocationId", guid())
        .header("X-Azure-Functions-HostVersion", version)
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| error.to_string())
}

/// The invocation's result: success needs 2xx and a JSON object.
pub fn verdict(answer: &Response<Bytes>) -> Result<Value, String> {
    let text = String::from_utf8_lossy(answer.body()).into_owned();
    if answer.status().is_redirection() {
        return Err(format!("{}: the host would follow it", answer.status()));
    }
    if !answer.status().is_success() {
        return Err(format!("{}: {text}", answer.status()));
    }
    let kind = answer
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    if text.trim().is_empty() || text.trim() == "null" {
        return Err(
            "an empty answer never completes: the invocation hangs until functionTimeout".into(),
        );
    }
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !matches!(kind, "application/json" | "text/json") {
        return Err(format!(
            "Invalid HttpResponseMessage: Content-Type {kind:?}"
        ));
    }
    let value: Value = serde_json::from_str(&text)
        .map_err(|error| format!("Invalid HttpResponseMessage: {error}"))?;
    let fits = value.as_object().is_some_and(|result| {
        let logs = result
            .get("Logs")
            .is_none_or(|logs| logs.is_null() || strings(logs));
        let outputs = result
            .get("Outputs")
            .is_none_or(|outputs| outputs.is_null() || outputs.is_object());
        logs && outputs
    });
    match fits {
        true => Ok(value),
        false => Err(format!("Invalid HttpResponseMessage: {text}")),
    }
}

fn strings(logs: &Value) -> bool {
    logs.as_array()
        .is_some_and(|logs| logs.iter().all(Value::is_string))
}
