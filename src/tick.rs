//! One tick of the timer: a pass over every issuer, and the alarms that follow from it.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    runtime::{self, Runtime},
    task::JoinSet,
    time::timeout,
};
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

/// How long passes may wait for a processor that nobody else wants.
const PATIENCE: Duration = Duration::from_secs(90);

/// What a tick came to, in sentences.
#[derive(Debug, Default)]
pub struct Ticked {
    /// What was done, an issuer each.
    pub done: Vec<String>,
    /// What failed, an issuer each. The previous CRLs stay.
    pub failed: Vec<String>,
}

/// The publisher's own threads. A large CRL keeps a processor for a good part of a second; those that answer OCSP go
/// first meanwhile.
#[derive(Debug)]
pub struct Publisher(Option<Runtime>);

impl Publisher {
    /// Starts them; fails where the system gives no threads.
    pub fn start() -> io::Result<Self> {
        let mut builder = runtime::Builder::new_multi_thread();
        builder.worker_threads(1).thread_name("publisher").on_thread_start(give_way).enable_all();
        builder.build().map(Some).map(Self)
    }

    /// None where it ended by itself.
    async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let mut tasks = JoinSet::new();
        // What is logged there belongs to the same invocation.
        tasks.spawn_on(work.in_current_span(), self.0.as_ref()?.handle());
        // Whoever lets go of this ends the work where it next waits.
        tasks.join_next().await?.ok()
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        // To wait for them is not allowed here, and not necessary: a process may end at any instruction.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Has the thread run only where no other thread wants the processor. A nice thread would be in the way for all of the
/// slice that it was given, which is several milliseconds.
fn give_way() {
    #[cfg(target_os = "linux")]
    {
        use thread_priority::{NormalThreadSchedulePolicy::Idle, ThreadPriority, ThreadSchedulePolicy, unix};
        let policy = ThreadSchedulePolicy::Normal(Idle);
        // Where the system refuses, the passes are only less polite.
        let _ = unix::set_thread_priority_and_policy(unix::thread_native_id(), ThreadPriority::Min, policy);
    }
}

/// A pass over every issuer, on the publisher's threads, or on this one if they get no processor for too long: a
/// flood of requests for OCSP must not keep CRLs from being published.
pub async fn tick(app: &Arc<App>) -> Ticked {
    within(PATIENCE, app).await
}

/// Likewise, with another patience.
pub async fn within(patience: Duration, app: &Arc<App>) -> Ticked {
    let (passes, start) = (Arc::clone(app), (app.clock)());
    let polite = async move { all(&passes, start).await };
    match timeout(patience, app.publisher.run(polite)).await {
        Ok(Some(ticked)) => ticked,
        Ok(None) => {
            let failed = "a pass ended by itself".to_owned();
            tracing::error!(failed, "nothing was published; the previous CRLs stay");
            Ticked { done: vec![], failed: vec![failed] }
        }
        Err(_) => {
            tracing::warn!("the passes took longer than {patience:?}; once more, without giving way to OCSP");
            all(app, start).await
        }
    }
}

async fn all(app: &App, start: Timestamp) -> Ticked {
    let mut ticked = Ticked::default();
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
    let result = match timeout(limit, pass).await {
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
    let found = match timeout(LOOK, status::status(&served.ca, now)).await {
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
