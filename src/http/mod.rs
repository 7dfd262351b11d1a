//! The HTTP door: it translates requests and answers, and decides nothing.

mod api;
mod health;
mod ocsp;
mod sending;
mod shelf;
mod status;
mod vault;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
    response::Response,
    routing::{any, get, post},
};
use tracing::Instrument;

use crate::{
    ca::Ca,
    config::Alias,
    core::{ocsp::Refusal, time::Timestamp},
    functions,
    respond::{Responder, Served},
};

/// What the handlers share.
#[derive(Debug)]
pub struct App {
    /// Answers OCSP, and knows the issuers.
    pub responder: Responder,
    /// Vault's mounts that are served.
    pub aliases: Vec<Alias>,
    /// Who may use `/api`.
    pub api: Access,
    /// Counted since the start.
    pub counts: Counts,
    /// The only clock of the handlers.
    pub clock: fn() -> Timestamp,
}

/// Who may use `/api`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nobody.
    Closed,
    /// Who shows this token.
    Token(String),
    /// Whom the Functions host lets pass, by its function keys. Only it can reach us there.
    Host,
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
        .route("/status", get(status::page))
        .route("/v1/{*path}", any(vault::any))
        .route("/publish", post(functions::publish))
        .route("/api/{issuer}/revocations", post(api::revoke))
        .route("/api/{issuer}/releases", post(api::release))
        .route("/api/{issuer}/certificates/{serial}", get(api::lookup))
        .layer(middleware::from_fn(in_invocation))
        .with_state(app)
}

/// What is logged while a request of the Functions host is answered carries its invocation id.
async fn in_invocation(request: Request, next: Next) -> Response {
    let id = request.headers().get("x-azure-functions-invocationid").and_then(|id| id.to_str().ok());
    match id.map(|id| tracing::info_span!("invocation", id)) {
        Some(span) => next.run(request).instrument(span).await,
        None => next.run(request).await,
    }
}
