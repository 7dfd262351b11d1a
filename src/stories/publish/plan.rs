//! What the next CRL of a scope is to say, and whether it is time for it.

use std::time::Duration;

use super::{Pass, PublishError, Reason, World};
use crate::core::time::CLOCK_SKEW;
use crate::{
    ca::Ca,
    core::{
        crl::{
            Appearance, Crl, CrlRef, EXPIRED_CERTS_ON_CRL,
            delta::Delta,
            gate::Previous,
            scope::{Base, Scope},
        },
        der::oid,
        serial::CrlNumber,
        time::{Timestamp, Window},
    },
};

/// Plans the full CRL, or that of a shard. Its number is given later, when it is known that there
/// is to be one.
pub(super) fn plan(
    pass: &Pass<'_>,
    scope: Scope,
    previous: Option<&Previous<'_>>,
) -> Result<Crl, PublishError> {
    let (ca, now) = (pass.ca, pass.now);
    let appearance = previous.and_then(|previous| {
        Some(Appearance {
            this_update: previous.crl().this_update,
            seq: previous.seq()?,
        })
    });
    let start = now.before(ca.crl.backdate);
    let freshest = ca
        .crl
        .delta
        .as_ref()
        .filter(|_| scope == Scope::Full)
        .map(|delta| delta.url.clone());
    let mut crl = Crl {
        number: CrlNumber::known(0),
        window: window(start, end(ca, scope, start))?,
        scope,
        distribution_points: ca.crl.points_of(scope),
        contains: ca.crl.contains,
        freshest,
        delta: None,
        expired_since: ca
            .crl
            .keep_expired
            .then_some(ca.issuer.certificate().not_before),
        previous: appearance,
    };
    // An entry may not be dated after thisUpdate, and thisUpdate goes on from CRL to CRL (HTTP's
    // Last-Modified is made of it), if only by a second and never beyond now. From a CRL of the
    // future it goes back, if the gate lets it.
    let newest = crl
        .entries(pass.replica)
        .map(|entry| entry.revoked_at)
        .max();
    let floor = previous
        .map(|previous| previous.crl().this_update)
        .filter(|&last| last <= now);
    let floor = floor.map(|last| last.after(Duration::from_secs(1)).min(now));
    let this = [Some(start), newest, floor]
        .into_iter()
        .flatten()
        .max()
        .unwrap_or(start);
    crl.window = window(this, end(ca, scope, this))?;
    Ok(crl)
}

/// The delta CRL beside `full`, as far as it does not depend on its base.
pub(super) fn beside(pass: &Pass<'_>, full: &Crl) -> Crl {
    let this = full.window.this();
    let window = Window::new(this, end(pass.ca, Scope::Delta, this)).unwrap_or(full.window);
    Crl {
        scope: Scope::Delta,
        window,
        freshest: None,
        ..full.clone()
    }
}

/// The delta CRL beside `full` that continues `base`.
pub(super) fn delta(pass: &Pass<'_>, full: &Crl, base: &Previous<'_>) -> Result<Crl, PublishError> {
    let unknown = || {
        PublishError::Plan(
            "the base of the delta CRL has no number or no place in the journal".to_owned(),
        )
    };
    let number = base.crl().number().ok_or_else(unknown)?;
    let (listed, this_update) = (base.crl(), base.crl().this_update);
    let base = Base {
        number,
        this_update,
        seq: base.seq().ok_or_else(unknown)?,
    };
    Ok(Crl {
        delta: Some(Delta::beside(full, pass.replica, base, listed)),
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

fn window(this: Timestamp, next: Timestamp) -> Result<Window, PublishError> {
    let too_late =
        || PublishError::Plan("thisUpdate would be at the end of time; check the clock".to_owned());
    Window::new(this, next).ok_or_else(too_late)
}

/// Why a CRL is due, if it is.
pub(super) fn due(
    pass: &Pass<'_>,
    crl: &Crl,
    previous: Option<&Previous<'_>>,
    world: &World<'_>,
) -> Reason {
    let Some(previous) = previous else {
        return if world.healed.is_empty() {
            Reason::First
        } else {
            Reason::Healed
        };
    };
    let (old, ca) = (previous.crl(), pass.ca);
    let is_other = old.next_update != Some(end(ca, crl.scope, old.this_update))
        || old.inner_algorithm != ca.issuer.algorithm().identifier()
        || !has_extensions_of(old, crl);
    let refresh = old.this_update.after(ca.crl.backdate).after(ca.crl.refresh);
    if !world.on_shelf {
        Reason::Healed
    } else if world.is_forked {
        Reason::Readopted
    } else if pass.options.force {
        Reason::Forced
    } else if previous
        .seq()
        .is_none_or(|seq| seq < pass.replica.crl_seq())
    {
        Reason::Changed
    } else if is_other {
        Reason::Configuration
    } else if pass.now >= refresh || old.this_update > pass.now.after(CLOCK_SKEW) {
        Reason::Refresh
    } else {
        Reason::NotDue
    }
}

/// Whether the extensions that the configuration governs are those of `old`.
fn has_extensions_of(old: &CrlRef<'_>, crl: &Crl) -> bool {
    let has = |id: &[u8]| old.extension(id).map(|extension| extension.value);
    has(oid::ISSUING_DISTRIBUTION_POINT) == crl.distribution_point().as_deref()
        && has(oid::FRESHEST_CRL) == crl.freshest_point().as_deref()
        && has(EXPIRED_CERTS_ON_CRL).is_some() == crl.expired_since.is_some()
}
