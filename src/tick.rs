//! One tick of the timer: a pass over every issuer, and the alarms that follow from it.

use std::{sync::atomic::Ordering, time::Duration};

use crate::{
    core::time::Timestamp,
    http::App,
    publish::{self, Options},
    respond::Served,
    status::{self, Problem},
};

/// How long a pass over one issuer may take; well below the timeout of the Functions host.
const DEADLINE: Duration = Duration::from_secs(240);

/// What a tick came to, in sentences.
#[derive(Debug, Default)]
pub struct Ticked {
    /// What was done, an issuer each.
    pub done: Vec<String>,
    /// What failed, an issuer each. The previous CRLs stay.
    pub failed: Vec<String>,
}

/// A pass over every issuer.
pub async fn tick(app: &App) -> Ticked {
    let mut ticked = Ticked::default();
    for served in app.responder.issuers() {
        let issuer = &served.ca.name;
        match pass(app, served, (app.clock)()).await {
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

async fn pass(app: &App, served: &Served, now: Timestamp) -> Result<String, String> {
    let known = served.known();
    let replica = known.replica.as_ref().map(|(replica, _)| replica);
    let pass = publish::publish(&served.ca, replica, Options::default(), now);
    let result = match tokio::time::timeout(DEADLINE, pass).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err(format!("the pass took longer than {DEADLINE:?}")),
    };
    let count = if result.is_ok() { &app.counts.passes } else { &app.counts.failed_passes };
    count.fetch_add(1, Ordering::Relaxed);
    let outcome = result?;
    let issuer = &served.ca.name;
    for healed in &outcome.healed {
        tracing::warn!(issuer, "{healed}");
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
    for problem in status::status(&served.ca, now).await.found {
        let detail = problem.to_string();
        match problem {
            Problem::Late(_) => tracing::error!(issuer, detail, "a CRL is late"),
            Problem::Credential(_) => tracing::error!(issuer, detail, "the OCSP credential ends soon"),
            Problem::Certificate(_) => tracing::warn!(issuer, detail, "the CA certificate ends soon"),
            Problem::Other(_) => tracing::error!(issuer, detail, "something is wrong"),
        }
    }
}
