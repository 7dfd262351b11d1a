//! The HTTP door: it translates requests and answers, and decides nothing.

mod api;
mod health;
mod ocsp;
mod sending;
pub mod server;
mod shelf;
mod status;
mod vault;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{Request, State},
    http::{Method, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use tokio::{sync::watch, time::timeout};
use tower::ServiceExt;
use tracing::Instrument;

use crate::{
    ca::Ca,
    config::Alias,
    core::{ocsp::Refusal, time::Timestamp},
    functions,
    respond::{Responder, Served},
    status::IssuerStatus,
};

pub use shelf::Lately;

/// What the handlers share.
#[derive(Debug)]
pub struct App {
    /// Answers OCSP, and knows the issuers.
    pub responder: Responder,
    /// Vault's mounts that are served.
    pub aliases: Vec<Alias>,
    /// Who may use `/api`.
    pub api: Access,
    /// Whether the Functions host started us, and may call the timer's function.
    pub is_hosted: bool,
    /// What of the shelf was read lately.
    pub lately: Lately,
    /// What `/status` said last, and when.
    pub last_status: Mutex<Option<(Timestamp, Vec<IssuerStatus>)>>,
    /// Whether the next passes give way to nobody.
    pub is_urgent: AtomicBool,
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
    /// Whom the Functions host lets pass, by its function keys.
    Host,
}

/// Counted since the start.
#[derive(Debug, Default)]
pub struct Counts {
    /// Signed OCSP answers.
    pub answered: AtomicU64,
    /// OCSP refusals in the order of [`REFUSALS`].
    pub refused: [AtomicU64; REFUSALS.len()],
    /// The minute in which the log was last told of each.
    told: [AtomicU64; REFUSALS.len()],
    /// Passes over an issuer that did what they should.
    pub passes: AtomicU64,
    /// Passes that failed.
    pub failed_passes: AtomicU64,
}

/// Every refusal.
pub const REFUSALS: [Refusal; 4] =
    [Refusal::MalformedRequest, Refusal::InternalError, Refusal::TryLater, Refusal::Unauthorized];

impl Counts {
    /// Counts a refusal; whether it is the first of its kind in this minute. One a minute is enough for the log, which
    /// clients could fill otherwise; `/metrics` has the number.
    pub fn refuse(&self, refusal: Refusal, now: Timestamp) -> bool {
        let Some(which) = REFUSALS.iter().position(|one| *one == refusal) else { return true };
        self.refused[which].fetch_add(1, Ordering::Relaxed);
        let minute = now.seconds() / 60;
        self.told[which].swap(minute, Ordering::Relaxed) != minute
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

/// How long a request waits for a process that is starting.
const STARTING: Duration = Duration::from_secs(20);

/// The door: shut while the process starts, then open. Clones share it.
#[derive(Clone, Debug)]
pub struct Door(watch::Receiver<Option<Open>>);

/// The door, from within.
#[derive(Debug)]
pub struct Opener(watch::Sender<Option<Open>>);

#[derive(Clone, Debug)]
struct Open {
    app: Arc<App>,
    router: Router,
}

/// A door that is shut, and what opens it.
pub fn door() -> (Opener, Door) {
    let (sender, receiver) = watch::channel(None);
    (Opener(sender), Door(receiver))
}

impl Opener {
    /// Opens the door.
    pub fn open(&self, app: Arc<App>) {
        self.0.send_replace(Some(Open { router: router(Arc::clone(&app)), app }));
    }
}

impl Door {
    /// Answers `GET /` at once, and everything else as soon as the door is open.
    pub async fn answer(&self, request: Request) -> Response {
        if request.uri().path() == "/" {
            return "rescind\n".into_response();
        }
        let Some(Open { app, router }) = self.opened().await else {
            return sending::failure(StatusCode::SERVICE_UNAVAILABLE, "starting; try again in a moment");
        };
        // Most requests are these; under the Functions host, their logs carry the invocation's id.
        if request.method() == Method::POST && request.uri().path() == "/ocsp" && !app.is_hosted {
            return ocsp::post(State(app), request).await;
        }
        router.oneshot(request).await.into_response()
    }

    async fn opened(&self) -> Option<Open> {
        if let Some(open) = self.0.borrow().as_ref() {
            return Some(open.clone());
        }
        let mut door = self.0.clone();
        timeout(STARTING, door.wait_for(Option::is_some)).await.ok()?.ok()?.clone()
    }
}

/// Every route.
fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/ocsp", post(ocsp::post).get(ocsp::get))
        .route("/ocsp/", post(ocsp::post).get(ocsp::get))
        .route("/ocsp/{*request}", post(ocsp::post).get(ocsp::get))
        .route("/crl/{file}", get(shelf::crl))
        .route("/crl/{issuer}/{file}", get(shelf::shard))
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
