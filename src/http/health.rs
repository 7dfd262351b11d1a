//! `GET /healthz`: whether all is well, for whoever would restart or raise the alarm.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header::CACHE_CONTROL},
    response::{IntoResponse, Response},
};

use crate::{
    core::{chain::Chain, crl::scope::Scope, time::Timestamp},
    server::{
        app::App,
        health::{credential_problem, crl_lateness},
        shelved::{Wanted, shelved},
    },
    stories::respond::Served,
};

/// 200 while everything is in time; 503 with reasons when a CRL is late, a replica stale or a
/// credential at its end.
pub(super) async fn healthz(State(app): State<Arc<App>>) -> Response {
    let now = (app.clock)();
    let mut problems = Vec::new();
    for served in app.responder.issuers() {
        let name = &served.ca.name;
        problems.extend(
            problems_of(&app, served, now)
                .await
                .into_iter()
                .map(|problem| format!("{name}: {problem}")),
        );
    }
    let (status, word) = match problems.is_empty() {
        true => (StatusCode::OK, "ok"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "failing"),
    };
    let issuers: Vec<_> = app
        .responder
        .issuers()
        .iter()
        .map(|served| view(served, now))
        .collect();
    let body = serde_json::json!({ "status": word, "problems": problems, "issuers": issuers });
    (status, [(CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

/// What OCSP answers from; `null` until the index is in memory.
fn view(served: &Served, now: Timestamp) -> serde_json::Value {
    let state = served.state();
    let level = state.level.as_ref();
    serde_json::json!({
        "name": served.ca.name,
        "seq": level.map(|level| level.replica.head().seq),
        "rows": level.map(|level| level.replica.counts().total()),
        "staleness_seconds": level.map(|level| now.since(level.at).as_secs()),
    })
}

async fn problems_of(app: &App, served: &Served, now: Timestamp) -> Vec<String> {
    let mut problems = Vec::new();
    for scope in served.ca.crl.scopes() {
        match shelved(app, &served.ca, Wanted::Der(scope)).await {
            Ok(Some(shelved)) => {
                problems.extend(crl_lateness(&served.ca, scope, &shelved.bytes, now))
            }
            Ok(None) if scope == Scope::Full => {
                problems.push("no CRL has been published yet".to_owned())
            }
            Ok(None) => problems.push(format!("no CRL of scope {scope} has been published yet")),
            Err(error) => problems.push(Chain(&error).to_string()),
        }
    }
    let state = served.state();
    let is_fresh = state
        .level
        .as_ref()
        .is_some_and(|level| level.is_within(served.ca.ocsp.max_staleness, now));
    if !is_fresh {
        let why = state.problem().unwrap_or("it was not read yet");
        problems.push(format!(
            "OCSP answers tryLater, because the index cannot be read: {why}"
        ));
    }
    let of_credentials = state
        .credentials
        .iter()
        .filter_map(|one| credential_problem(&served.ca, one.credential.as_deref(), now));
    problems.extend(of_credentials);
    problems
}
