//! One tick of the timer: a pass over every issuer, and the alarms that follow from it.

use std::{sync::Arc, time::Duration};

use tokio::{runtime::Handle, sync::oneshot, time::timeout};
use tracing::Instrument;

use super::{
    app::App,
    health::{self, Problem},
};
use crate::{
    core::{chain::Chain, time::Timestamp},
    stories::{
        publish::{self, Options, PublishError},
        respond::Served,
    },
};

/// How long the passes of one tick may take together; below the `functionTimeout` of host.json.
const DEADLINE: Duration = Duration::from_secs(480);
/// How long a look for alarms may take.
const LOOK: Duration = Duration::from_secs(30);

/// How long after the deadline a tick is given up whose thread got no processor to notice it.
const GRACE: Duration = Duration::from_secs(30);

/// What a tick came to, in sentences.
#[derive(Debug, Default)]
pub struct Ticked {
    /// What was done, an issuer each.
    pub done: Vec<String>,
    /// What failed, an issuer each. The previous CRLs stay.
    pub failed: Vec<String>,
}

/// Why a pass, or a tick as a whole, came to nothing. The previous CRLs stay.
#[derive(Debug, thiserror::Error)]
enum TickError {
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("the passes took longer than {DEADLINE:?} together")]
    TooLong,
    #[error("a pass ended by itself")]
    Ended,
    #[error("the publisher's thread got no processor")]
    NoProcessor,
    #[error("couldn't start the publisher's thread")]
    Thread(#[source] std::io::Error),
}

/// A pass over every issuer, on a thread that gives way to others: a large CRL keeps a processor
/// for a good part of a second, and OCSP is answered meanwhile. Where that came to no end in time,
/// as in a flood of requests, the next tick does not give way. Whoever lets go of the future ends
/// the pass where it next waits, as with any other.
pub async fn tick(app: &Arc<App>) -> Ticked {
    let start = (app.clock)();
    let ticked = if app.is_urgent() {
        all(app).await
    } else {
        politely(app).await
    };
    let is_late = (app.clock)().since(start) >= DEADLINE;
    if is_late {
        tracing::warn!("the passes took {DEADLINE:?}; the next ones do not give way to OCSP");
    }
    app.set_urgent(is_late);
    ticked
}

async fn politely(app: &Arc<App>) -> Ticked {
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
        give_way();
        // Nobody may be waiting any more.
        let _ = done.send(runtime.block_on(passes));
    };
    let started = std::thread::Builder::new()
        .name("publisher".to_owned())
        .spawn(work);
    let ticked = match started {
        Ok(_) => match timeout(DEADLINE + GRACE, ticked).await {
            Ok(ticked) => ticked.map_err(|_| TickError::Ended),
            Err(_) => Err(TickError::NoProcessor),
        },
        Err(error) => Err(TickError::Thread(error)),
    };
    drop(wanted);
    ticked.unwrap_or_else(|error| {
        let failed = Chain(&error).to_string();
        tracing::error!(failed, "nothing was published; the previous CRLs stay");
        Ticked {
            done: vec![],
            failed: vec![failed],
        }
    })
}

/// Leaves this thread next to nothing of a processor that others want. A nice thread would be in
/// their way for all of the slice that it was given, which is several milliseconds.
fn give_way() {
    #[cfg(target_os = "linux")]
    {
        use thread_priority::{
            NormalThreadSchedulePolicy::Idle, ThreadPriority, ThreadSchedulePolicy, unix,
        };
        let policy = ThreadSchedulePolicy::Normal(Idle);
        // Where the system refuses, the passes are only less polite.
        let _ = unix::set_thread_priority_and_policy(
            unix::thread_native_id(),
            ThreadPriority::Min,
            policy,
        );
    }
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
                let error = Chain(&error).to_string();
                tracing::error!(
                    issuer,
                    error,
                    "nothing was published; the previous CRL stays"
                );
                ticked.failed.push(format!("{issuer}: {error}"));
            }
        }
        alarm(served, (app.clock)()).await;
    }
    ticked
}

async fn pass(
    app: &App,
    served: &Served,
    now: Timestamp,
    limit: Duration,
) -> Result<String, TickError> {
    let state = served.state();
    let replica = state.level.as_ref().map(|level| &level.replica);
    let pass = publish::publish(&served.ca, replica, Options::default(), now);
    let result = match timeout(limit, pass).await {
        Ok(result) => result.map_err(TickError::from),
        Err(_) => Err(TickError::TooLong),
    };
    app.counters.pass(result.is_ok());
    let outcome = result?;
    let issuer = &served.ca.name;
    for damage in &outcome.healed {
        tracing::warn!(issuer, "{}", Chain(damage));
    }
    if let Some(trouble) = outcome.trouble() {
        tracing::error!(
            issuer,
            trouble,
            "the CRL is out, but something failed behind it; the next pass repairs"
        );
    }
    let number = outcome.number.map_or(0, |number| number.get());
    let reason = outcome.became.reason();
    if outcome.became.is_published() {
        tracing::info!(issuer, number, reason, "published a CRL");
        Ok(format!("published CRL number {number} ({reason})"))
    } else {
        Ok(format!("nothing published ({reason})"))
    }
}

/// Says what will become an outage; the messages are what alert rules look for.
async fn alarm(served: &Served, now: Timestamp) {
    let issuer = &served.ca.name;
    let found = match timeout(LOOK, health::status(&served.ca, now)).await {
        Ok(status) => status.found,
        Err(_) => vec![Problem::Other(format!(
            "the stores did not answer within {LOOK:?}"
        ))],
    };
    for problem in found {
        let detail = problem.to_string();
        match problem {
            Problem::Late(_) => tracing::error!(issuer, detail, "a CRL is late"),
            Problem::Credential(_) => {
                tracing::error!(issuer, detail, "the OCSP credential ends soon")
            }
            Problem::Certificate(_) => {
                tracing::warn!(issuer, detail, "the CA certificate ends soon")
            }
            Problem::Other(_) => tracing::error!(issuer, detail, "something is wrong"),
        }
    }
}
