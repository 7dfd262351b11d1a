//! `rescind serve`: HTTP, the look at the index every few seconds, and the publisher's tick every minute.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{Context, Failure, now, open};
use crate::{
    config::Config,
    http::{self, App, Counts},
    publish::{self, Options},
    respond::{Responder, Served},
};

/// How often to look whether another process committed.
const LOOK: Duration = Duration::from_secs(2);
/// How often to look whether a CRL is due.
const TICK: Duration = Duration::from_secs(60);
/// How long open requests may take after the signal to stop.
const GRACE: Duration = Duration::from_secs(10);

pub(super) async fn run(context: &Context) -> Result<(), Failure> {
    let config = context.configuration()?;
    let listener = bind(config.http.listen).await?;
    serve(&config, listener).await
}

pub(super) async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address)
        .await
        .map_err(|error| Failure::Failed(format!("couldn't listen on {address} (http.listen): {error}")))
}

/// Serves until a signal to stop.
pub(super) async fn serve(config: &Config, listener: TcpListener) -> Result<(), Failure> {
    let app = Arc::new(App {
        responder: Responder::new(open(config)?),
        api_token: std::env::var("RESCIND_API_TOKEN").ok().filter(|token| !token.is_empty()),
        counts: Counts::default(),
        clock: now,
    });
    let address = listener.local_addr().map_err(Failure::failed)?;
    tracing::info!(%address, issuers = app.responder.issuers().len(), "serving");
    let (stop, stopped) = watch::channel(());
    let looking = tokio::spawn(look(Arc::clone(&app)));
    let ticking = tokio::spawn(tick(Arc::clone(&app)));

    let router = http::router(Arc::clone(&app));
    let mut until_signal = stopped.clone();
    let serving = axum::serve(listener, router).with_graceful_shutdown(async move {
        // An error means that the sender is gone, which is a reason to stop too.
        let _ = until_signal.changed().await;
    });
    let serving = tokio::spawn(async move { serving.await });
    wait_for_signal().await?;
    tracing::info!("stopping");
    let _ = stop.send(());
    looking.abort();
    ticking.abort();
    match timeout(GRACE, serving).await {
        Ok(Ok(result)) => result.map_err(Failure::failed),
        Ok(Err(error)) => Err(Failure::failed(error)),
        Err(_) => {
            tracing::warn!("some requests took too long and were cut off");
            Ok(())
        }
    }
}

async fn wait_for_signal() -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::failed)?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        result = tokio::signal::ctrl_c() => result.map_err(Failure::failed),
    }
}

/// Keeps what OCSP answers from level with the index.
async fn look(app: Arc<App>) {
    let mut every = interval(LOOK);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        for served in app.responder.issuers() {
            refresh(served).await;
        }
    }
}

/// Refreshes, and logs a problem when it begins and when it ends, not every time.
async fn refresh(served: &Served) {
    let before = served.known().problem.clone();
    served.refresh(now()).await;
    let issuer = &served.ca.name;
    match (&before, &served.known().problem) {
        (before, Some(problem)) if before.as_ref() != Some(problem) => {
            tracing::error!(issuer, problem, "OCSP cannot be kept up to date");
        }
        (Some(_), None) => tracing::info!(issuer, "OCSP is up to date again"),
        _ => {}
    }
}

/// The publisher's timer.
async fn tick(app: Arc<App>) {
    let mut every = interval(TICK);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        for served in app.responder.issuers() {
            pass(&app, served).await;
            refresh(served).await;
        }
    }
}

async fn pass(app: &App, served: &Served) {
    let issuer = &served.ca.name;
    let known = served.known();
    let replica = known.replica.as_ref().map(|(replica, _)| replica);
    match publish::publish(&served.ca, replica, Options::default(), now()).await {
        Ok(outcome) => {
            app.counts.passes.fetch_add(1, Ordering::Relaxed);
            for healed in &outcome.healed {
                tracing::warn!(issuer, "{healed}");
            }
            if outcome.published {
                let number = outcome.number.map(|number| number.get());
                tracing::info!(issuer, number, reason = outcome.reason.text(), "published a CRL");
            }
        }
        Err(error) => {
            app.counts.failed_passes.fetch_add(1, Ordering::Relaxed);
            tracing::error!(issuer, %error, "nothing was published; the previous CRL stays");
        }
    }
}
