//! The full CRL, and the delta CRL that goes with it: RFC 5280 §5.2.4 asks for a complete CRL with
//! each delta.

use super::{
    Decision, Issued, Observed, Pass, PlanError, PublishError, bookkeeping,
    observed::{Found, continues},
    plan, publish_scope,
};
use crate::core::crl::{CrlError, CrlRef, SignedCrl, delta::Neighbours, gate::Previous};

/// Publishes both, if one of them is due.
pub(super) async fn publish(
    pass: &mut Pass<'_>,
    full: Observed<'_>,
    delta: Option<Observed<'_>>,
) -> Result<(), PublishError> {
    for observed in [Some(&full), delta.as_ref()].into_iter().flatten() {
        pass.outcome.healed.extend(observed.damage.iter().cloned());
        pass.line.raise(observed.number());
    }
    let decision = plan::decide_pair(pass, &full, delta.as_ref())?;
    let issued = publish_scope(pass, &full, decision.clone(), None).await?;
    pass.outcome.add(&issued);
    if let Some(delta) = &delta {
        // Who was first with a delta CRL was so with its full CRL.
        match publish_delta(pass, &issued, &decision, &full, delta).await {
            // Where the full CRL is out, a delta CRL that is not is a trouble, and the next pass's
            // work.
            Err(error) if pass.outcome.became.is_published() => {
                let error = PublishError::Delta(Box::new(error));
                pass.outcome.troubles.push(error);
            }
            published => drop(published?),
        }
    }
    let Issued::Published(_, checked) = issued else {
        return Ok(());
    };
    // What was there before, and the twin of a large CRL, need not be in memory together.
    drop((full, delta));
    if let Err(error) = bookkeeping::derive(pass.ca, checked.bytes(), true).await {
        pass.outcome.troubles.push(PublishError::Replace(error));
    }
    Ok(())
}

/// The delta CRL that goes with the full CRL that was just issued; nothing without one.
async fn publish_delta(
    pass: &mut Pass<'_>,
    issued: &Issued,
    decision: &Decision,
    full: &Observed<'_>,
    delta: &Observed<'_>,
) -> Result<Issued, PublishError> {
    let (why, planned) = match decision {
        Decision::NotDue => return publish_scope(pass, delta, Decision::NotDue, None).await,
        Decision::Due(why, planned) => (*why, planned),
    };
    let read = match issued.read() {
        None => return Ok(Issued::LostRace),
        Some(read) => read.map_err(PlanError::Full)?,
    };
    let archived = delta.archived_base(pass.now, planned).await?;
    // Without a base that the index remembers, the full CRL continues itself: nothing can have
    // changed since.
    let last_full = full
        .previous()
        .filter(|base| base.seq().is_some() && continues(base.crl(), planned));
    let base = archived
        .as_ref()
        .and_then(Found::previous)
        .or(last_full)
        .unwrap_or_else(|| Previous::of_this_pass(read.clone(), pass.replica));
    let plan = plan::delta(pass, planned, &base)?;
    let neighbours = Neighbours { base, full: read };
    publish_scope(pass, delta, Decision::Due(why, plan), Some(neighbours)).await
}

impl Issued {
    /// The CRL that is out, or would be; none without one.
    fn read(&self) -> Option<Result<CrlRef<'_>, CrlError>> {
        match self {
            Self::Published(_, checked) => {
                Some(SignedCrl::read(checked.bytes()).map(|signed| signed.crl))
            }
            Self::Drafted(_, compared) => Some(CrlRef::read(compared.to_be_signed())),
            Self::NotDue | Self::LostRace => None,
        }
    }
}
