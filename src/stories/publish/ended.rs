//! After the CA certificate's end nothing is signed. That is no failure while the last CRLs on the
//! shelf are valid and say all that the index says.

use super::{Line, Options, Outcome, Pass, PublishError, Reason, World, bookkeeping};
use crate::stories::replicate;
use crate::{
    ca::Ca,
    core::{crl::scope::Scope, journal::replica::Replica, time::Timestamp},
};

pub(super) async fn ended(
    ca: &Ca,
    known: Option<&Replica>,
    options: Options,
    now: Timestamp,
) -> Result<Outcome, PublishError> {
    let full = World::read(ca, Scope::Full).await?;
    let replica = replicate::level(ca, known).await?;
    let mut pass = Pass {
        ca,
        replica: &replica,
        options,
        now,
        line: Line::of(&full),
        is_remarked: false,
    };
    let mut outcome = Outcome {
        published: false,
        number: full.number(),
        reason: Reason::Ended,
        healed: vec![],
        trouble: None,
    };
    // The full CRL, which may be large, is not read and verified a second time.
    let mut full = Some(full);
    let mut wrong = vec![];
    for scope in ca.crl.scopes() {
        let world = match full.take_if(|full| full.scope == scope) {
            Some(full) => full,
            None => World::read(ca, scope).await?,
        };
        match problem(&pass, &world) {
            Some(what) => wrong.push(what),
            None if !pass.options.dry_run => bookkeeping::finish(&mut pass, &world).await?,
            None => {}
        }
        outcome.healed.extend(world.healed);
    }
    if pass.options.force {
        wrong.push("nothing can be forced any more".to_owned());
    }
    if wrong.is_empty() {
        return Ok(outcome);
    }
    wrong.extend(outcome.healed);
    Err(PublishError::Expired {
        on: ca.issuer.certificate().not_after,
        what: wrong.join("; "),
    })
}

/// What is wrong with the last CRL of a scope.
fn problem(pass: &Pass<'_>, world: &World<'_>) -> Option<String> {
    let name = pass.ca.shelf.name(&world.scope.file());
    let Some(last) = world.previous() else {
        return Some(format!("there is no {name}"));
    };
    let says_all = last.seq().is_some_and(|seq| seq >= pass.replica.crl_seq());
    match last.crl().next_update {
        _ if !world.on_shelf => {
            let number = last.crl().number().map_or(0, |number| number.get());
            Some(format!(
                "{name} is not the last one that was published; copy number {number} from the \
                 archive there"
            ))
        }
        _ if !says_all => Some(format!("{name} does not say all that was revoked since")),
        Some(next) if pass.now < next => None,
        _ => Some(format!("{name} went stale")),
    }
}
