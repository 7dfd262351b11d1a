//! One tick of the timer: a pass over every issuer, and the alarms that follow from it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{runtime::Handle, sync::oneshot};
use tracing::Instrument;

use crate::{
    core::time::Timestamp,
    http::App,
    publish::{self, Options},
    respond::Served,
    status::{self, Problem},
};

/// How long the passes of one tick may take together; below the `functionTimeout` of host.json.
const DEADLINE: Duration = Duration::from_secs(480);
/// How long a look for alarms may take.
const LOOK: Duration = Duration::from_secs(30);

/// By how much the publisher's thread is nicer than the others: it has about a tenth of a processor that they want too.
const POLITE: i32 = 10;

/// What a tick came to, in sentences.
#[derive(Debug, Default)]
pub struct Ticked {
    /// What was done, an issuer each.
    pub done: Vec<String>,
    /// What failed, an issuer each. The previous CRLs stay.
    pub failed: Vec<String>,
}

/// A pass over every issuer, on a thread of its own that gives way to others: a large CRL keeps a processor for a good part
/// of a second, and OCSP is answered meanwhile. Whoever lets go of the future ends the pass where it next waits, as with any other.
pub async fn tick(app: &Arc<App>) -> Ticked {
    let (wanted, mut unwanted) = oneshot::channel::<()>();
    let (app, runtime) = (Arc::clone(app), Handle::current());
    let passes = async move {
        tokio::select! {
            ticked = all(&app) => ticked,
            _ = &mut unwanted => Ticked::default(),
        }
    };
    // What is logged there belongs to the same invocation.
    let passes = passes.in_current_span();
    let (done, ticked) = oneshot::channel();
    let work = move || {
        if cfg!(target_os = "linux") {
            // There it is about the thread alone. Where it fails, the pass is only less polite.
            let _ = rustix::process::nice(POLITE);
        }
        // Nobody may be waiting any more.
        let _ = done.send(runtime.block_on(passes));
    };
    let started = std::thread::Builder::new().name("publisher".to_owned()).spawn(work);
    let ticked = match started {
        Ok(_) => ticked.await.map_err(|_| "a pass ended by itself".to_owned()),
        Err(error) => Err(format!("couldn't start the publisher's thread: {error}")),
    };
    drop(wanted);
    ticked.unwrap_or_else(|failed| {
        tracing::error!(failed, "nothing was published; the previous CRLs stay");
        Ticked { done: vec![], failed: vec![failed] }
    })
}

async fn all(app: &App) -> Ticked {
    let mut ticked = Ticked::default();
    let start = (app.clock)();
    for served in app.responder.issuers() {
        let issuer = &served.ca.name;
        let now = (app.clock)();
        match pass(app, served, now, DEADLINE.saturating_sub(now.since(start))).await {
            Ok(done) => ticked.done.push(format!("{issuer}: {done}")),
            Err(error) => {
                tracing::error!(issuer, error, "nothing was published; the previous CRL stays");
                ticked.failed.push(format!("{issuer}: {error}"));
            }
        }
        alarm(served, (app.clock)()).await;
    }
    ticked
}

async fn pass(app: &App, served: &Served, now: Timestamp, limit: Duration) -> Result<String, String> {
    let known = served.known();
    let replica = known.replica.as_ref().map(|(replica, _)| replica);
    let pass = publish::publish(&served.ca, replica, Options::default(), now);
    let result = match tokio::time::timeout(limit, pass).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err(format!("the passes took longer than {DEADLINE:?} together")),
    };
    let count = if result.is_ok() { &app.counts.passes } else { &app.counts.failed_passes };
    count.fetch_add(1, Ordering::Relaxed);
    let outcome = result?;
    let issuer = &served.ca.name;
    for healed in &outcome.healed {
        tracing::warn!(issuer, "{healed}");
    }
    if let Some(trouble) = &outcome.trouble {
        tracing::error!(issuer, trouble, "the CRL is out, but something failed behind it; the next pass repairs");
    }
    let number = outcome.number.map_or(0, |number| number.get());
    let reason = outcome.reason.text();
    if outcome.published {
        tracing::info!(issuer, number, reason, "published a CRL");
        Ok(format!("published CRL number {number} ({reason})"))
    } else {
        Ok(format!("nothing published ({reason})"))
    }
}

/// Says what will become an outage; the messages are what alert rules look for.
async fn alarm(served: &Served, now: Timestamp) {
    let issuer = &served.ca.name;
    let found = match tokio::time::timeout(LOOK, status::status(&served.ca, now)).await {
        Ok(status) => status.found,
        Err(_) => vec![Problem::Other(format!("the stores did not answer within {LOOK:?}"))],
    };
    for problem in found {
        let detail = problem.to_string();
        match problem {
            Problem::Late(_) => tracing::error!(issuer, detail, "a CRL is late"),
            Problem::Credential(_) => tracing::error!(issuer, detail, "the OCSP credential ends soon"),
            Problem::Certificate(_) => tracing::warn!(issuer, detail, "the CA certificate ends soon"),
            Problem::Other(_) => tracing::error!(issuer, detail, "something is wrong"),
        }
    }
}
