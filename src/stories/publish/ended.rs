//! After the CA certificate's end nothing is signed. That is no failure while the last CRLs on the
//! shelf are valid and say all that the index says.

use std::fmt;

use super::{
    Became, Damage, Observed, Options, Outcome, Pass, PublishError,
    observed::{Found, Last},
};
use crate::{
    ca::Ca,
    core::chain::Chain,
    core::{crl::scope::Scope, journal::replica::Replica, serial::CrlNumber, time::Timestamp},
    stories::replicate,
};

/// Looks whether the last CRLs are still good.
pub(super) async fn ended(
    ca: &Ca,
    known: Option<&Replica>,
    options: Options,
    now: Timestamp,
) -> Result<Outcome, PublishError> {
    let full = Observed::read(ca, Scope::Full).await?;
    let replica = replicate::level(ca, known).await?;
    let mut pass = Pass::new(ca, &replica, options, now, &full);
    pass.outcome.became = Became::Ended;
    // The full CRL, which may be large, is not read and verified a second time.
    let mut full = Some(full);
    let mut wrong = vec![];
    for scope in ca.crl.scopes() {
        let observed = match full.take_if(|full| full.scope == scope) {
            Some(full) => full,
            None => Observed::read(ca, scope).await?,
        };
        match problem(&pass, &observed) {
            Some(problem) => wrong.push(problem),
            None => pass.finish(&observed).await?,
        }
        pass.outcome.healed.extend(observed.damage);
    }
    if pass.options.force {
        wrong.push(LastCrlProblem::Forced);
    }
    if wrong.is_empty() {
        return Ok(pass.outcome);
    }
    let damage = pass.outcome.healed.into_iter();
    wrong.extend(damage.map(LastCrlProblem::Damage));
    Err(PublishError::Expired {
        on: ca.issuer.certificate().not_after,
        wrong: LastCrlProblems(wrong),
    })
}

/// What is wrong with the last CRL of a scope.
fn problem(pass: &Pass<'_>, observed: &Observed<'_>) -> Option<LastCrlProblem> {
    let name = observed.name();
    match &observed.last {
        Last::Nothing => Some(LastCrlProblem::Missing { name }),
        Last::FromArchive(found) => Some(LastCrlProblem::NotLast {
            name,
            number: found.crl.number(),
        }),
        Last::OnShelf(found) => stale(pass, found, name),
    }
}

fn stale(pass: &Pass<'_>, found: &Found, name: String) -> Option<LastCrlProblem> {
    let Some(last) = found.previous() else {
        return Some(LastCrlProblem::Missing { name });
    };
    if last.seq().is_none_or(|seq| seq < pass.replica.crl_seq()) {
        return Some(LastCrlProblem::SaysLess { name });
    }
    match last.crl().next_update {
        Some(next) if pass.now < next => None,
        _ => Some(LastCrlProblem::Stale { name }),
    }
}

/// What is wrong with the last CRLs, so that relying parties fail.
#[derive(Debug)]
pub struct LastCrlProblems(Vec<LastCrlProblem>);

#[derive(Debug)]
enum LastCrlProblem {
    Missing {
        name: String,
    },
    NotLast {
        name: String,
        number: Option<CrlNumber>,
    },
    SaysLess {
        name: String,
    },
    Stale {
        name: String,
    },
    Forced,
    Damage(Damage),
}

impl fmt::Display for LastCrlProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&texts.join("; "))
    }
}

impl fmt::Display for LastCrlProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { name } => write!(f, "there is no {name}"),
            Self::NotLast { name, number } => {
                let number = number.map_or(0, CrlNumber::get);
                write!(
                    f,
                    "{name} is not the last one that was published; copy number {number} from the \
                     archive there"
                )
            }
            Self::SaysLess { name } => write!(f, "{name} does not say all that was revoked since"),
            Self::Stale { name } => write!(f, "{name} went stale"),
            Self::Forced => f.write_str("nothing can be forced any more"),
            Self::Damage(damage) => write!(f, "{}", Chain(damage)),
        }
    }
}
