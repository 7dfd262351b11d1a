//! The full CRL, and the delta CRL that goes with it: RFC 5280 §5.2.4 asks for a complete CRL with
//! each delta.

use bytes::Bytes;

use super::{
    Decision, Issued, Observed, Outcome, Pass, PlanError, PublishError, bookkeeping,
    observed::{Found, continues},
    plan, publish_scope,
};
use crate::core::crl::{CrlError, CrlRef, SignedCrl, delta::Neighbours, gate::Previous};

/// Publishes both, if one of them is due.
pub(super) async fn publish(
    pass: &mut Pass<'_>,
    full: Observed<'_>,
    delta: Option<Observed<'_>>,
) -> Result<Outcome, PublishError> {
    let decision = plan::decide_pair(pass, &full, delta.as_ref())?;
    pass.line.raise(delta.as_ref().and_then(Observed::number));
    let issued = publish_scope(pass, &full, decision.clone(), None).await?;
    let mut outcome = Outcome {
        became: issued.became(),
        number: issued.number().or(full.number()),
        healed: full.damage.clone(),
        troubles: vec![],
    };
    let new = issued.shared();
    if let Some(delta) = &delta {
        outcome.healed.extend(delta.damage.iter().cloned());
        match publish_delta(pass, &issued, &decision, &full, delta).await {
            Ok(beside) => outcome.add(None, beside),
            // Where the full CRL is out, a delta CRL that is not is a trouble, and the next pass's
            // work.
            Err(error) if outcome.became.is_published() => {
                outcome.troubles.push(PublishError::Delta(Box::new(error)));
            }
            Err(error) => return Err(error),
        }
    }
    outcome.add(None, issued);
    // What was there before, and the twin of a large CRL, need not be in memory together.
    drop((full, delta));
    if let Some(new) = new
        && let Err(error) = bookkeeping::derive(pass.ca, &new, true).await
    {
        outcome.troubles.push(PublishError::Replace(error));
    }
    Ok(outcome)
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
    /// The bytes of what is out.
    fn shared(&self) -> Option<Bytes> {
        match self {
            Self::Published(_, checked, _) => Some(checked.shared()),
            Self::Drafted(..) | Self::NotDue | Self::LostRace => None,
        }
    }

    /// The CRL that is out, or would be; none without one.
    fn read(&self) -> Option<Result<CrlRef<'_>, CrlError>> {
        match self {
            Self::Published(_, checked, _) => {
                Some(SignedCrl::read(checked.bytes()).map(|signed| signed.crl))
            }
            Self::Drafted(_, compared) => Some(CrlRef::read(compared.to_be_signed())),
            Self::NotDue | Self::LostRace => None,
        }
    }
}
