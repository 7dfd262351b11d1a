//! `rescind serve`: HTTP, the look at the index every few seconds, and the publisher's tick every
//! minute. Under the Functions host, which ticks itself, only the first two.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures::future::join_all;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use super::{Context, Failure, now, open};
use crate::{
    config::Config,
    core::chain::Chain,
    http::{self, connections, functions},
    server::{
        app::{Access, App},
        tick::tick,
    },
    stories::respond::{Responder, Served},
};

/// How often to look whether a CRL is due.
const TICK: Duration = Duration::from_secs(60);
/// How often, and how long apart, to try to open issuers in Azure.
const OPENINGS: u32 = 20;
const AGAIN: Duration = Duration::from_secs(5);
/// How long open requests may take after the signal to stop.
const GRACE: Duration = Duration::from_secs(10);

pub(super) async fn run(context: &Context) -> Result<(), Failure> {
    let config = context.configuration()?;
    let address = match functions::port(environment) {
        // The host dials 127.0.0.1 and nothing else.
        Some(port) => SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        None => config.http.listen,
    };
    let listener = bind(address).await?;
    serve(&config, listener).await
}

pub(super) async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::failed(format!(
            "couldn't listen on {address} (http.listen): {error}"
        ))
    })
}

/// Serves until a signal to stop. `GET /` is answered at once; everything else as soon as the
/// issuers are open, which takes calls where they are in a vault.
pub(super) async fn serve(config: &Config, listener: TcpListener) -> Result<(), Failure> {
    let address = listener.local_addr().map_err(Failure::failed)?;
    let (opener, door) = http::door();
    let server = connections::Server::start(listener, door, functions::port(environment).is_some());
    let running = async {
        let app = Arc::new(app(config).await?);
        tracing::info!(%address, issuers = app.responder.issuers().len(), "serving");
        let looking = look(Arc::clone(&app));
        let ticking = tick_by_ourselves(Arc::clone(&app));
        opener.open(Arc::clone(&app));
        // The host ticks by itself.
        if app.is_hosted {
            looking.await
        } else {
            tokio::join!(looking, ticking).0
        }
    };
    tokio::select! {
        result = wait_for_signal() => result?,
        failed = running => return failed,
    }
    tracing::info!("stopping");
    if timeout(GRACE, server.stop()).await.is_err() {
        tracing::warn!("some requests took too long and were cut off");
    }
    Ok(())
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Opens the issuers; what a service refuses for the moment is tried again.
async fn app(config: &Config) -> Result<App, Failure> {
    let mut tried = 0;
    let cas = loop {
        tried += 1;
        match open(config).await {
            Ok(cas) => break cas,
            Err(Failure::Failed(why)) if config.needs_azure() && tried < OPENINGS => {
                let error = Chain(&*why).to_string();
                tracing::error!(error, "the issuers cannot be opened yet");
                sleep(AGAIN).await;
            }
            Err(failure) => return Err(failure),
        }
    };
    let get = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let is_hosted = functions::port(get).is_some();
    // The host lets nobody call a function that is disabled; so does this, should it forward a path
    // that it should not.
    let is_disabled = ["AzureWebJobs.api.Disabled", "AzureWebJobs_api_Disabled"]
        .map(get)
        .into_iter()
        .flatten();
    let is_disabled = is_disabled
        .into_iter()
        .any(|value| value.eq_ignore_ascii_case("true") || value == "1");
    let api = match get("RESCIND_API_TOKEN") {
        _ if is_hosted && is_disabled => Access::Closed,
        Some(token) => Access::Token(token),
        None if is_hosted => Access::Host,
        None => Access::Closed,
    };
    let aliases = config.aliases.clone();
    Ok(App::new(Responder::new(cas), aliases, api, is_hosted, now))
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

/// Keeps what OCSP answers from level with the index, each issuer for itself: a slow one holds up
/// no other.
async fn look(app: Arc<App>) -> Result<(), Failure> {
    join_all(
        app.responder
            .issuers()
            .iter()
            .map(|served| look_at(&app, served)),
    )
    .await;
    Ok(())
}

async fn look_at(app: &App, served: &Served) {
    let mut looks = 0u32;
    loop {
        looks = looks.wrapping_add(1);
        refresh(served, looks.is_multiple_of(REMIND)).await;
        app.responder.tend(now()).await;
        sleep(jittered(served.ca.index.look_every())).await;
    }
}

/// A little less, by chance, so that instances which began together do not look together.
fn jittered(every: Duration) -> Duration {
    let mut chance = [0];
    // Without chance they march in step, which is no reason not to look.
    let _ = aws_lc_rs::rand::fill(&mut chance);
    every * (700 + u32::from(chance[0])) / 1000
}

/// Refreshes, and logs a problem when it begins, when it ends, and when it is time to remind of it.
async fn refresh(served: &Served, remind: bool) {
    let before = served.state();
    served.refresh(now()).await;
    let issuer = &served.ca.name;
    match (before.problem(), served.state().problem()) {
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
        app.responder.tend(now()).await;
    }
}
