//! `GET /metrics`: numbers for Prometheus.

use std::{fmt::Write, sync::Arc};

use axum::{
    extract::State,
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    response::{IntoResponse, Response},
};

use crate::{
    core::{
        crl::{SignedCrl, scope::Scope},
        ocsp::Refusal,
        time::Timestamp,
    },
    server::{
        app::App,
        shelved::{Wanted, shelved},
    },
    stories::respond::{CacheSize, IssuerState, Purpose, Served},
};

/// Prometheus text format 0.0.4.
pub(super) async fn page(State(app): State<Arc<App>>) -> Response {
    let now = (app.clock)();
    let mut text = Metrics::default();
    let version = env!("CARGO_PKG_VERSION");
    text.family("rescind_build_info", "gauge", "The version that runs.");
    text.sample("rescind_build_info", &[("version", version)], 1);
    ocsp(&app, &mut text);
    passes(&app, &mut text);
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

fn ocsp(app: &App, text: &mut Metrics) {
    let responses = "rescind_ocsp_responses_total";
    text.family(responses, "counter", "OCSP responses by status.");
    text.sample(
        responses,
        &[("status", "successful")],
        app.counters.answered(),
    );
    for refusal in Refusal::ALL {
        let count = app.counters.refused(refusal);
        text.sample(responses, &[("status", refusal.name())], count);
    }
    let signatures = "rescind_ocsp_signatures_total";
    text.family(
        signatures,
        "counter",
        "Signatures by OCSP credentials by what they were for.",
    );
    for purpose in Purpose::ALL {
        let count = app.responder.signatures(purpose);
        text.sample(signatures, &[("for", name(purpose))], count);
    }
    let CacheSize { octets, answers } = app.responder.cache_size();
    text.family(
        "rescind_ocsp_cache_octets",
        "gauge",
        "Memory of kept OCSP answers.",
    );
    text.sample("rescind_ocsp_cache_octets", &[], octets);
    text.family("rescind_ocsp_cache_answers", "gauge", "Kept OCSP answers.");
    text.sample("rescind_ocsp_cache_answers", &[], answers as u64);
}

fn name(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Fleeting => "nonce",
        Purpose::Kept => "request",
        Purpose::Ahead => "ahead",
    }
}

fn passes(app: &App, text: &mut Metrics) {
    let passes = "rescind_passes_total";
    text.family(
        passes,
        "counter",
        "Publisher passes over an issuer by result.",
    );
    text.sample(passes, &[("result", "done")], app.counters.passes());
    text.sample(
        passes,
        &[("result", "failed")],
        app.counters.failed_passes(),
    );
}

/// A number that each issuer has, or none just now.
struct Gauge {
    name: &'static str,
    help: &'static str,
    value: Option<u64>,
}

impl Gauge {
    fn new(name: &'static str, help: &'static str, value: Option<u64>) -> Self {
        Self { name, help, value }
    }
}

/// Every issuer has the same gauges in the same order; a family's samples stand together.
async fn gauges(app: &App, now: Timestamp, text: &mut Metrics) {
    let mut all: Vec<(&str, Vec<Gauge>)> = Vec::new();
    for served in app.responder.issuers() {
        let mut gauges = of_crl(app, served).await;
        gauges.extend(of_state(&served.state(), now));
        gauges.push(Gauge::new(
            "rescind_ca_not_after_seconds",
            "End of the CA certificate, in seconds since 1970.",
            Some(served.ca.issuer.certificate().not_after.seconds()),
        ));
        all.push((&served.ca.name, gauges));
    }
    let Some((_, first)) = all.first() else {
        return;
    };
    for (at, Gauge { name, help, .. }) in first.iter().enumerate() {
        text.family(name, "gauge", help);
        for (issuer, gauges) in &all {
            if let Some(value) = gauges.get(at).and_then(|gauge| gauge.value) {
                text.sample(name, &[("issuer", issuer)], value);
            }
        }
    }
}

async fn of_crl(app: &App, served: &Served) -> Vec<Gauge> {
    let shelved = shelved(app, &served.ca, Wanted::Der(Scope::Full))
        .await
        .ok()
        .flatten();
    let bytes = shelved
        .map(|shelved| shelved.bytes.clone())
        .unwrap_or_default();
    let crl = SignedCrl::read(&bytes).ok().map(|signed| signed.crl);
    let crl = crl.as_ref();
    vec![
        Gauge::new(
            "rescind_crl_number",
            "Number of the CRL on the shelf.",
            crl.and_then(|crl| Some(crl.number()?.get())),
        ),
        Gauge::new(
            "rescind_crl_bytes",
            "Size of the CRL on the shelf.",
            crl.map(|_| bytes.len() as u64),
        ),
        Gauge::new(
            "rescind_crl_this_update_seconds",
            "thisUpdate of the CRL on the shelf, in seconds since 1970.",
            crl.map(|crl| crl.this_update.seconds()),
        ),
        Gauge::new(
            "rescind_crl_next_update_seconds",
            "nextUpdate of the CRL on the shelf, in seconds since 1970.",
            crl.and_then(|crl| Some(crl.next_update?.seconds())),
        ),
    ]
}

fn of_state(state: &IssuerState, now: Timestamp) -> Vec<Gauge> {
    let level = state.level.as_ref();
    let counts = level.map(|level| level.replica.counts());
    let ends = state
        .credentials
        .iter()
        .filter_map(|one| Some(one.credential.as_ref()?.validity.next().seconds()));
    vec![
        Gauge::new(
            "rescind_revoked",
            "Certificates revoked for good.",
            counts.map(|counts| counts.revoked),
        ),
        Gauge::new(
            "rescind_held",
            "Certificates on hold.",
            counts.map(|counts| counts.held),
        ),
        Gauge::new(
            "rescind_valid",
            "Certificates listed as issued.",
            counts.map(|counts| counts.valid),
        ),
        Gauge::new(
            "rescind_index_seq",
            "Newest change set that OCSP answers from.",
            level.map(|level| level.replica.head().seq),
        ),
        Gauge::new(
            "rescind_replica_age_seconds",
            "Since when OCSP's view of the index was last seen to be level.",
            level.map(|level| now.since(level.at).as_secs()),
        ),
        Gauge::new(
            "rescind_credential_not_after_seconds",
            "End of the OCSP credential, in seconds since 1970.",
            ends.min(),
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
