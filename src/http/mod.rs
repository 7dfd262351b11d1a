//! The HTTP door: it translates requests and answers, and decides nothing.

mod api;
pub(crate) mod connections;
mod crl;
pub(crate) mod functions;
mod hashicorp;
mod health;
mod metrics;
mod ocsp;
mod sending;
mod status;

use std::{sync::Arc, time::Duration};

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

use crate::server::app::App;

/// How long a request waits for a process that is starting.
const STARTING: Duration = Duration::from_secs(20);

/// The door: shut while the process starts, then open. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Door(watch::Receiver<Option<Open>>);

/// The door, from within.
#[derive(Debug)]
pub(crate) struct Opener(watch::Sender<Option<Open>>);

#[derive(Clone, Debug)]
struct Open {
    app: Arc<App>,
    router: Router,
}

/// A door that is shut, and what opens it.
pub(crate) fn door() -> (Opener, Door) {
    let (sender, receiver) = watch::channel(None);
    (Opener(sender), Door(receiver))
}

impl Opener {
    /// Opens the door.
    pub(crate) fn open(&self, app: Arc<App>) {
        self.0.send_replace(Some(Open {
            router: router(Arc::clone(&app)),
            app,
        }));
    }
}

impl Door {
    /// Answers `GET /` at once, and everything else as soon as the door is open.
    pub(crate) async fn answer(&self, request: Request) -> Response {
        if request.uri().path() == "/" {
            return "rescind\n".into_response();
        }
        let Some(Open { app, router }) = self.opened().await else {
            return sending::failure(
                StatusCode::SERVICE_UNAVAILABLE,
                "starting; try again in a moment",
            );
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
        timeout(STARTING, door.wait_for(Option::is_some))
            .await
            .ok()?
            .ok()?
            .clone()
    }
}

/// Every route.
fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/ocsp", post(ocsp::post).get(ocsp::get))
        .route("/ocsp/", post(ocsp::post).get(ocsp::get))
        .route("/ocsp/{*request}", post(ocsp::post).get(ocsp::get))
        .route("/crl/{file}", get(crl::crl))
        .route("/crl/{issuer}/{file}", get(crl::shard))
        .route("/ca/{file}", get(crl::certificate))
        .route("/healthz", get(health::healthz))
        .route("/metrics", get(metrics::page))
        .route("/status", get(status::page))
        .route("/v1/{*path}", any(hashicorp::any))
        .route("/publish", post(functions::publish))
        .route("/api/{issuer}/revocations", post(api::revoke))
        .route("/api/{issuer}/releases", post(api::release))
        .route("/api/{issuer}/certificates/{serial}", get(api::lookup))
        .layer(middleware::from_fn(in_invocation))
        .with_state(app)
}

/// What is logged while a request of the Functions host is answered carries its invocation id.
async fn in_invocation(request: Request, next: Next) -> Response {
    let id = request
        .headers()
        .get("x-azure-functions-invocationid")
        .and_then(|id| id.to_str().ok());
    match id.map(|id| tracing::info_span!("invocation", id)) {
        Some(span) => next.run(request).instrument(span).await,
        None => next.run(request).await,
    }
}
