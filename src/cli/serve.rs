//! `rescind serve`: HTTP, the look at the index every few seconds, and the publisher's tick every minute. Under the
//! Functions host, which ticks itself, only the first two.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
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
    functions,
    http::{self, Access, App, Counts},
    respond::{Responder, Served},
    tick::tick,
};

/// How often to look whether another process committed, where looking is cheap.
const LOOK: Duration = Duration::from_secs(2);
/// How often to look whether a CRL is due.
const TICK: Duration = Duration::from_secs(60);
/// How long open requests may take after the signal to stop.
const GRACE: Duration = Duration::from_secs(10);

pub(super) async fn run(context: &Context) -> Result<(), Failure> {
    let config = context.configuration()?;
    let address = match functions::port(|name| std::env::var(name).ok()) {
        // The host dials 127.0.0.1 and nothing else.
        Some(port) => SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        None => config.http.listen,
    };
    let listener = bind(address).await?;
    serve(&config, listener).await
}

pub(super) async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address)
        .await
        .map_err(|error| Failure::Failed(format!("couldn't listen on {address} (http.listen): {error}")))
}

/// Serves until a signal to stop.
pub(super) async fn serve(config: &Config, listener: TcpListener) -> Result<(), Failure> {
    let is_hosted = functions::port(|name| std::env::var(name).ok()).is_some();
    let token = std::env::var("RESCIND_API_TOKEN").ok().filter(|token| !token.is_empty());
    let app = Arc::new(App {
        responder: Responder::new(open(config).await?),
        aliases: config.aliases.clone(),
        api: if is_hosted { Access::Host } else { token.map_or(Access::Closed, Access::Token) },
        counts: Counts::default(),
        clock: now,
    });
    let address = listener.local_addr().map_err(Failure::failed)?;
    tracing::info!(%address, issuers = app.responder.issuers().len(), "serving");
    let (stop, stopped) = watch::channel(());
    let looking = tokio::spawn(look(Arc::clone(&app)));
    let ticking = (!is_hosted).then(|| tokio::spawn(tick_by_ourselves(Arc::clone(&app))));

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
    ticking.inspect(|ticking| ticking.abort());
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

/// Looks between two reminders of a problem that lasts: alerts look for them.
const REMIND: u32 = 60;

/// Keeps what OCSP answers from level with the index.
async fn look(app: Arc<App>) {
    let every = app.responder.issuers().iter().map(|served| served.ca.index.look_every()).min();
    let mut every = interval(every.unwrap_or(LOOK));
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut looks = 0u32;
    loop {
        every.tick().await;
        looks = looks.wrapping_add(1);
        for served in app.responder.issuers() {
            refresh(served, looks.is_multiple_of(REMIND)).await;
        }
    }
}

/// Refreshes, and logs a problem when it begins, when it ends, and when it is time to remind of it.
async fn refresh(served: &Served, remind: bool) {
    let before = served.known();
    served.refresh(now()).await;
    let issuer = &served.ca.name;
    match (before.problem(), served.known().problem()) {
        (before, Some(problem)) if remind || before != Some(problem) => {
            tracing::error!(issuer, problem, "OCSP cannot be kept up to date");
        }
        (Some(_), None) => tracing::info!(issuer, "OCSP is up to date again"),
        _ => {}
    }
}

/// The publisher's timer.
async fn tick_by_ourselves(app: Arc<App>) {
    let mut every = interval(TICK);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        tick(&app).await;
        for served in app.responder.issuers() {
            refresh(served, false).await;
        }
    }
}
