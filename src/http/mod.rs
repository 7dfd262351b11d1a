//! The HTTP door: it translates requests and answers, and decides nothing.

mod api;
mod health;
mod ocsp;
mod sending;
mod shelf;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{
    Router,
    routing::{get, post},
};

use crate::{
    ca::Ca,
    core::{ocsp::Refusal, time::Timestamp},
    respond::{Responder, Served},
};

/// What the handlers share.
#[derive(Debug)]
pub struct App {
    /// Answers OCSP, and knows the issuers.
    pub responder: Responder,
    /// What callers of `/api` must show; `None` closes it.
    pub api_token: Option<String>,
    /// Counted since the start.
    pub counts: Counts,
    /// The only clock of the handlers.
    pub clock: fn() -> Timestamp,
}

/// Counted since the start.
#[derive(Debug, Default)]
pub struct Counts {
    /// Signed OCSP answers.
    pub answered: AtomicU64,
    /// OCSP refusals in the order of [`REFUSALS`].
    pub refused: [AtomicU64; REFUSALS.len()],
    /// Passes over an issuer that did what they should.
    pub passes: AtomicU64,
    /// Passes that failed.
    pub failed_passes: AtomicU64,
}

/// Every refusal.
pub const REFUSALS: [Refusal; 4] =
    [Refusal::MalformedRequest, Refusal::InternalError, Refusal::TryLater, Refusal::Unauthorized];

impl Counts {
    /// Counts a refusal.
    pub fn refuse(&self, refusal: Refusal) {
        for (which, count) in REFUSALS.iter().zip(&self.refused) {
            if *which == refusal {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl App {
    fn served(&self, name: &str) -> Option<&Served> {
        self.responder.issuers().iter().find(|served| served.ca.name == name)
    }

    fn ca(&self, name: &str) -> Option<&Ca> {
        self.served(name).map(|served| &served.ca)
    }
}

/// Every route.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(|| async { "rescind\n" }))
        .route("/ocsp", post(ocsp::post).get(ocsp::get))
        .route("/ocsp/", post(ocsp::post).get(ocsp::get))
        .route("/ocsp/{*request}", post(ocsp::post).get(ocsp::get))
        .route("/crl/{file}", get(shelf::crl))
        .route("/ca/{file}", get(shelf::certificate))
        .route("/healthz", get(health::healthz))
        .route("/metrics", get(health::metrics))
        .route("/api/{issuer}/revocations", post(api::revoke))
        .route("/api/{issuer}/releases", post(api::release))
        .route("/api/{issuer}/certificates/{serial}", get(api::lookup))
        .with_state(app)
}
