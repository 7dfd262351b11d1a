//! What the next CRL of a scope is to say, and whether it is time for it.

use std::time::Duration;

use super::{Observed, Pass, Why};
use crate::{
    ca::Ca,
    core::{
        crl::{
            Appearance, CrlError, CrlPlan, CrlRef, EXPIRED_CERTS_ON_CRL, delta,
            gate::Previous,
            scope::{Base, Scope},
        },
        der::oid,
        time::{CLOCK_SKEW, Timestamp, Window},
    },
};

/// What is decided of a scope.
#[derive(Clone, Debug)]
pub(super) enum Decision {
    /// A CRL is due, and this is what it is to say.
    Due(Why, CrlPlan),
    /// Nothing is to be done.
    NotDue,
}

/// Why no CRL can be planned.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// There is no time behind it for nextUpdate.
    #[error("thisUpdate would be at the end of time; check the clock")]
    EndOfTime,
    /// RFC 5280 §5.2.3: numbers only rise.
    #[error("the CRL number cannot rise above 2^64 - 1")]
    NumbersEnded,
    /// A delta CRL names its base by number, and lists what changed since its change set.
    #[error("the base of the delta CRL has no number or no place in the journal")]
    Base,
    /// What was just drafted or signed cannot be read.
    #[error("the full CRL beside the delta CRL cannot be read")]
    Full(#[source] CrlError),
}

/// Decides of a shard.
pub(super) fn decide(pass: &Pass<'_>, observed: &Observed<'_>) -> Result<Decision, PlanError> {
    let plan = plan(pass, observed)?;
    Ok(match due(pass, &plan, observed) {
        Some(why) => Decision::Due(why, plan),
        None => Decision::NotDue,
    })
}

/// Decides of the full CRL, which is due too where the delta CRL beside it is.
pub(super) fn decide_pair(
    pass: &Pass<'_>,
    full: &Observed<'_>,
    delta: Option<&Observed<'_>>,
) -> Result<Decision, PlanError> {
    let plan = plan(pass, full)?;
    let mut why = due(pass, &plan, full);
    if let Some(delta) = delta {
        // RFC 5280 §5.2.3: a pair shares its number. Two publishers at once may have left one half
        // each.
        let is_pair = delta.number() == full.number();
        why = why
            .or(due(pass, &beside(pass, &plan), delta))
            .or((!is_pair).then_some(Why::Healed));
    }
    Ok(why.map_or(Decision::NotDue, |why| Decision::Due(why, plan)))
}

/// Plans the full CRL, or that of a shard.
fn plan(pass: &Pass<'_>, observed: &Observed<'_>) -> Result<CrlPlan, PlanError> {
    let (ca, now, scope) = (pass.ca, pass.now, observed.scope);
    let previous = observed.previous();
    let start = now.before(ca.crl.backdate);
    let mut plan = CrlPlan {
        window: window(ca, scope, start)?,
        scope,
        distribution_points: ca.crl.points_of(scope),
        contains: ca.crl.contains,
        freshest: freshest(ca, scope),
        delta: None,
        expired_since: ca
            .crl
            .keep_expired
            .then_some(ca.issuer.certificate().not_before),
        previous: previous.as_ref().and_then(appearance),
    };
    // An entry may not be dated after thisUpdate, and thisUpdate goes on from CRL to CRL (HTTP's
    // Last-Modified is made of it), if only by a second and never beyond now. From a CRL of the
    // future it goes back, if the gate lets it.
    let entries = plan.entries(pass.replica);
    let newest = entries.map(|entry| entry.revoked_at()).max();
    let last = previous.map(|previous| previous.crl().this_update);
    let floor = last
        .filter(|&last| last <= now)
        .map(|last| last.after(Duration::from_secs(1)).min(now));
    let this = Some(start).max(newest).max(floor).unwrap_or(start);
    plan.window = window(ca, scope, this)?;
    Ok(plan)
}

/// Where relying parties find what changed since a full CRL.
fn freshest(ca: &Ca, scope: Scope) -> Option<String> {
    let delta = ca.crl.delta.as_ref().filter(|_| scope == Scope::Full)?;
    Some(delta.url.clone())
}

/// What the previous CRL has listed already; none where nobody knows from what it was made.
fn appearance(previous: &Previous<'_>) -> Option<Appearance> {
    Some(Appearance {
        this_update: previous.crl().this_update,
        seq: previous.seq()?,
    })
}

/// The delta CRL beside `full`, as far as it does not depend on its base.
fn beside(pass: &Pass<'_>, full: &CrlPlan) -> CrlPlan {
    let this = full.window.this();
    let window = window(pass.ca, Scope::Delta, this).unwrap_or(full.window);
    CrlPlan {
        scope: Scope::Delta,
        window,
        freshest: None,
        ..full.clone()
    }
}

/// The delta CRL beside `full` that continues `base`.
pub(super) fn delta(
    pass: &Pass<'_>,
    full: &CrlPlan,
    base: &Previous<'_>,
) -> Result<CrlPlan, PlanError> {
    let listed = base.crl();
    let base = Base {
        number: listed.number().ok_or(PlanError::Base)?,
        this_update: listed.this_update,
        seq: base.seq().ok_or(PlanError::Base)?,
    };
    let delta = delta::beside(full, pass.replica, base, listed);
    Ok(CrlPlan {
        delta: Some(delta),
        ..beside(pass, full)
    })
}

/// The nextUpdate of a CRL with this thisUpdate. Nobody can sign after the CA certificate's end,
/// and a vault refuses to: the last CRLs before it are made to last, delta CRLs too, since the last
/// full CRL names one to be fetched.
fn end(ca: &Ca, scope: Scope, this: Timestamp) -> Timestamp {
    let usual = this.after(ca.crl.validity_of(scope));
    let ca_end = ca.issuer.certificate().not_after;
    match ca.crl.final_validity {
        Some(validity) if usual >= ca_end => ca_end.after(validity).max(usual),
        _ => usual,
    }
}

fn window(ca: &Ca, scope: Scope, this: Timestamp) -> Result<Window, PlanError> {
    Window::new(this, end(ca, scope, this)).ok_or(PlanError::EndOfTime)
}

/// Why a CRL is due, if it is.
fn due(pass: &Pass<'_>, plan: &CrlPlan, observed: &Observed<'_>) -> Option<Why> {
    let Some(previous) = observed.previous() else {
        let is_first = observed.damage.is_empty();
        return Some(if is_first { Why::First } else { Why::Healed });
    };
    let old = previous.crl();
    if !observed.is_on_shelf() {
        Some(Why::Healed)
    } else if observed.is_forked() {
        Some(Why::Readopted)
    } else if pass.options.force {
        Some(Why::Forced)
    } else if previous
        .seq()
        .is_none_or(|seq| seq < pass.replica.crl_seq())
    {
        Some(Why::Changed)
    } else if is_configured_otherwise(pass.ca, plan, old) {
        Some(Why::Configuration)
    } else if is_old(pass, old) {
        Some(Why::Refresh)
    } else {
        None
    }
}

/// Older than `refresh`, or of the future, by a clock that ran ahead.
fn is_old(pass: &Pass<'_>, old: &CrlRef<'_>) -> bool {
    let crl = &pass.ca.crl;
    let refresh = old.this_update.after(crl.backdate).after(crl.refresh);
    pass.now >= refresh || old.this_update > pass.now.after(CLOCK_SKEW)
}

/// Whether what the configuration governs is another than on `old`.
fn is_configured_otherwise(ca: &Ca, plan: &CrlPlan, old: &CrlRef<'_>) -> bool {
    let end = end(ca, plan.scope, old.this_update);
    old.next_update != Some(end)
        || old.inner_algorithm != ca.issuer.algorithm().identifier()
        || value(old, oid::ISSUING_DISTRIBUTION_POINT) != plan.distribution_point().as_deref()
        || value(old, oid::FRESHEST_CRL) != plan.freshest_point().as_deref()
        || value(old, EXPIRED_CERTS_ON_CRL).is_some() != plan.expired_since.is_some()
}

fn value<'a>(crl: &CrlRef<'a>, id: &[u8]) -> Option<&'a [u8]> {
    crl.extension(id).map(|extension| extension.value)
}
