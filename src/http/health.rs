//! Liveness, and numbers for Prometheus.

use std::{
    fmt::Write,
    sync::{Arc, atomic::Ordering},
};

use axum::{
    Json,
    extract::State,
    http::{
        StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};

use crate::server::{
    app::{App, REFUSALS},
    shelved::{Wanted, shelved},
};
use crate::{
    core::{
        chain::Chain,
        crl::{SignedCrl, scope::Scope},
        time::Timestamp,
    },
    server::health::{credential_problem, crl_lateness},
    stories::respond::{Purpose, Served},
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
    let known = served.known();
    let replica = known.replica.as_ref();
    let rows = replica.map(|(index, _)| index.counts().total());
    serde_json::json!({
        "name": served.ca.name,
        "seq": replica.map(|(index, _)| index.head().seq),
        "rows": rows,
        "staleness_seconds": replica.map(|(_, at)| now.since(*at).as_secs()),
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
    let known = served.known();
    let is_stale = known
        .replica
        .as_ref()
        .is_none_or(|(_, at)| now.since(*at) > served.ca.ocsp.max_staleness);
    if is_stale {
        let why = known.problem().unwrap_or("it was not read yet");
        problems.push(format!(
            "OCSP answers tryLater, because the index cannot be read: {why}"
        ));
    }
    let held = known
        .held
        .iter()
        .filter_map(|held| credential_problem(&served.ca, held.credential.as_deref(), now));
    problems.extend(held);
    problems
}

/// Prometheus text format 0.0.4.
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Response {
    let now = (app.clock)();
    let mut text = Metrics::default();
    let version = env!("CARGO_PKG_VERSION");
    text.family("rescind_build_info", "gauge", "The version that runs.");
    text.sample("rescind_build_info", &[("version", version)], 1);
    text.family(
        "rescind_ocsp_responses_total",
        "counter",
        "OCSP responses by status.",
    );
    let answered = app.counts.answered.load(Ordering::Relaxed);
    text.sample(
        "rescind_ocsp_responses_total",
        &[("status", "successful")],
        answered,
    );
    for (refusal, count) in REFUSALS.iter().zip(&app.counts.refused) {
        let count = count.load(Ordering::Relaxed);
        text.sample(
            "rescind_ocsp_responses_total",
            &[("status", refusal.name())],
            count,
        );
    }
    text.family(
        "rescind_ocsp_signatures_total",
        "counter",
        "Signatures by OCSP credentials by what they were for.",
    );
    for purpose in Purpose::ALL {
        let count = app.responder.signatures(purpose);
        text.sample(
            "rescind_ocsp_signatures_total",
            &[("for", purpose.name())],
            count,
        );
    }
    let (octets, answers) = app.responder.kept_octets();
    text.family(
        "rescind_ocsp_cache_octets",
        "gauge",
        "Memory of kept OCSP answers.",
    );
    text.sample("rescind_ocsp_cache_octets", &[], octets);
    text.family("rescind_ocsp_cache_answers", "gauge", "Kept OCSP answers.");
    text.sample("rescind_ocsp_cache_answers", &[], answers as u64);
    text.family(
        "rescind_passes_total",
        "counter",
        "Publisher passes over an issuer by result.",
    );
    text.sample(
        "rescind_passes_total",
        &[("result", "done")],
        app.counts.passes.load(Ordering::Relaxed),
    );
    text.sample(
        "rescind_passes_total",
        &[("result", "failed")],
        app.counts.failed_passes.load(Ordering::Relaxed),
    );
    gauges(&app, now, &mut text).await;
    (
        [
            (CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"),
            (CACHE_CONTROL, "no-store"),
        ],
        text.0,
    )
        .into_response()
}

/// Name, help, and the value for an issuer.
type Gauge = (&'static str, &'static str, Option<u64>);

async fn gauges(app: &App, now: Timestamp, text: &mut Metrics) {
    let mut all: Vec<(String, Vec<Gauge>)> = Vec::new();
    for served in app.responder.issuers() {
        all.push((served.ca.name.clone(), gauges_of(app, served, now).await));
    }
    let Some((_, first)) = all.first() else {
        return;
    };
    for (at, (name, help, _)) in first.iter().enumerate() {
        text.family(name, "gauge", help);
        for (issuer, gauges) in &all {
            if let Some((_, _, Some(value))) = gauges.get(at) {
                text.sample(name, &[("issuer", issuer)], *value);
            }
        }
    }
}

async fn gauges_of(app: &App, served: &Served, now: Timestamp) -> Vec<Gauge> {
    let shelved = shelved(app, &served.ca, Wanted::Der(Scope::Full))
        .await
        .ok()
        .flatten();
    let bytes = shelved
        .map(|shelved| shelved.bytes.clone())
        .unwrap_or_default();
    let crl = SignedCrl::read(&bytes).ok().map(|signed| signed.crl);
    let crl = crl.as_ref();
    let known = served.known();
    let replica = known.replica.as_ref();
    let counts = replica.map(|(replica, _)| replica.counts());
    let ends = known
        .held
        .iter()
        .filter_map(|held| Some(held.credential.as_ref()?.validity.next().seconds()));
    let end = ends.min();
    vec![
        (
            "rescind_crl_number",
            "Number of the CRL on the shelf.",
            crl.and_then(|crl| Some(crl.number()?.get())),
        ),
        (
            "rescind_crl_bytes",
            "Size of the CRL on the shelf.",
            crl.map(|_| bytes.len() as u64),
        ),
        (
            "rescind_crl_this_update_seconds",
            "thisUpdate of the CRL on the shelf, in seconds since 1970.",
            crl.map(|crl| crl.this_update.seconds()),
        ),
        (
            "rescind_crl_next_update_seconds",
            "nextUpdate of the CRL on the shelf, in seconds since 1970.",
            crl.and_then(|crl| Some(crl.next_update?.seconds())),
        ),
        (
            "rescind_revoked",
            "Certificates revoked for good.",
            counts.map(|counts| counts.revoked),
        ),
        (
            "rescind_held",
            "Certificates on hold.",
            counts.map(|counts| counts.held),
        ),
        (
            "rescind_valid",
            "Certificates listed as issued.",
            counts.map(|counts| counts.valid),
        ),
        (
            "rescind_index_seq",
            "Newest change set that OCSP answers from.",
            replica.map(|(index, _)| index.head().seq),
        ),
        (
            "rescind_replica_age_seconds",
            "Since when OCSP's view of the index was last seen to be level.",
            replica.map(|(_, at)| now.since(*at).as_secs()),
        ),
        (
            "rescind_credential_not_after_seconds",
            "End of the OCSP credential, in seconds since 1970.",
            end,
        ),
        (
            "rescind_ca_not_after_seconds",
            "End of the CA certificate, in seconds since 1970.",
            Some(served.ca.issuer.certificate().not_after.seconds()),
        ),
    ]
}

/// Text that grows.
#[derive(Default)]
struct Metrics(String);

impl Metrics {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        let labels: Vec<_> = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{value}\""))
            .collect();
        let labels = if labels.is_empty() {
            String::new()
        } else {
            format!("{{{}}}", labels.join(","))
        };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }
}
