//! One archived CRL: ours, as it was labelled, and what the journal said at its change set.

use super::{Journal, VerifyError};
use crate::core::{
    crl::{
        CrlError, CrlRef, EXPIRED_CERTS_ON_CRL, Entry,
        delta::{Neighbours, fits},
        gate::{Previous, PreviousError},
        scope::Scope,
    },
    journal::replica::Fold,
    revocation::Status,
    seal::Finding,
    serial::{CrlNumber, Serial},
};

/// What is wrong with an archived CRL.
#[derive(Debug, thiserror::Error)]
pub enum Difference {
    /// Nothing has its name any more.
    #[error("it is gone")]
    Gone,
    /// It is not a CRL of ours.
    #[error(transparent)]
    NotOurs(#[from] PreviousError),
    /// It is another CRL.
    #[error("it has another CRL number than its name")]
    Number,
    /// Nothing says what it was made from.
    #[error("it has no label, or that of other content")]
    Label,
    /// Change sets went back.
    #[error("it was made from change set {0}, older than the CRL before it")]
    Older(u64),
    /// It comes from another journal.
    #[error("it was made from a change set {0} that the journal does not have")]
    OtherJournal(u64),
    /// What it lists cannot be read.
    #[error(transparent)]
    Entry(#[from] CrlError),
    /// An entry says something else than the journal.
    #[error("serial {0} is not as the journal says")]
    Entered(Serial),
    /// An entry too many.
    #[error("serial {0} is on it, and not revoked")]
    NotRevoked(Serial),
    /// An entry too few.
    #[error("serial {0} is revoked, and not on it")]
    NotListed(Serial),
    /// A delta CRL without a base.
    #[error("it does not say which CRL it continues")]
    Baseless,
    /// A delta CRL that leads elsewhere.
    #[error("{}", .0.detail)]
    Delta(Finding),
    /// The base of a delta CRL, or the full CRL of its number, is of no use.
    #[error("the full CRL that it belongs to")]
    Full(#[source] PreviousError),
}

/// Looks at one; `before` is the change set of the one before it in its scope. Returns its own.
pub(super) async fn crl(
    journal: &mut Journal<'_>,
    scope: Scope,
    number: CrlNumber,
    before: u64,
) -> Result<u64, VerifyError> {
    let name = journal.ca.shelf.archived(scope, number);
    match look(journal, scope, number, before).await {
        Err(Looked::Different(what)) => Err(VerifyError::Archive { name, what }),
        Err(Looked::Stopped(error)) => Err(error),
        Ok(seq) => Ok(seq),
    }
}

/// Why a look at an archived CRL found no good one.
enum Looked {
    /// It is another than it should be.
    Different(Difference),
    /// There was no look at it.
    Stopped(VerifyError),
}

impl<E: Into<Difference>> From<E> for Looked {
    fn from(what: E) -> Self {
        Self::Different(what.into())
    }
}

async fn look(
    journal: &mut Journal<'_>,
    scope: Scope,
    number: CrlNumber,
    before: u64,
) -> Result<u64, Looked> {
    let ca = journal.ca;
    let stored = ca.shelf.from_archive(scope, number).await;
    let stored = stored.map_err(|error| Looked::Stopped(error.into()))?;
    let stored = stored.ok_or(Difference::Gone)?;
    let previous = Previous::verified(&stored.bytes, &ca.issuer, None)?;
    let crl = previous.crl();
    if crl.number() != Some(number) {
        return Err(Difference::Number.into());
    }
    let label = stored.label.filter(|label| label.sha256 == stored.sha256);
    let label = label.ok_or(Difference::Label)?;
    if label.seq < before {
        return Err(Difference::Older(label.seq).into());
    }
    journal.go_to(label.seq).await.map_err(Looked::Stopped)?;
    if journal.fold.seq() != label.seq || journal.fold.hash() != label.hash {
        return Err(Difference::OtherJournal(label.seq).into());
    }
    match scope {
        Scope::Full | Scope::Shard(_) => entries(crl, &journal.fold, scope)?,
        Scope::Delta => {
            let different = beside(journal, crl, number).await;
            if let Some(what) = different.map_err(Looked::Stopped)? {
                return Err(what.into());
            }
        }
    }
    Ok(label.seq)
}

/// A full CRL, or a shard, lists what the journal says is revoked in its scope; the error tells the
/// difference.
fn entries(crl: &CrlRef<'_>, fold: &Fold, scope: Scope) -> Result<(), Difference> {
    let keeps_expired = crl.extension(EXPIRED_CERTS_ON_CRL).is_some();
    let mut entries = crl.entries();
    let mut entry = entries.next().transpose()?;
    let listed = fold
        .rows()
        .filter(|status| status.is_listed() && scope.holds(&status.serial()));
    for status in listed {
        let serial = status.serial();
        match &entry {
            Some(found) if found.serial == serial => {
                if !is_same(found, status) {
                    return Err(Difference::Entered(serial));
                }
                entry = entries.next().transpose()?;
            }
            Some(found) if found.serial < serial => {
                return Err(Difference::NotRevoked(found.serial));
            }
            // Listed once after it expired, and then dropped (RFC 5280 §3.3).
            _ if !keeps_expired && status.not_after().is_some_and(|end| end < crl.this_update) => {}
            _ => return Err(Difference::NotListed(serial)),
        }
    }
    match entry {
        Some(found) => Err(Difference::NotRevoked(found.serial)),
        None => Ok(()),
    }
}

fn is_same(entry: &Entry, status: &Status) -> bool {
    Some(entry.revoked_at) == status.revoked_at()
        && entry.reason().ok() == Some(status.reason())
        && entry.invalidity_date == status.invalidity_date()
}

/// A delta CRL makes the full CRL of its number out of its base, where the archive has both; what
/// is different.
async fn beside(
    journal: &Journal<'_>,
    delta: &CrlRef<'_>,
    number: CrlNumber,
) -> Result<Option<Difference>, VerifyError> {
    let ca = journal.ca;
    let Some(base) = delta.base_number() else {
        return Ok(Some(Difference::Baseless));
    };
    let (base, full) = (
        ca.shelf.from_archive(Scope::Full, base).await?,
        ca.shelf.from_archive(Scope::Full, number).await?,
    );
    let (Some(base), Some(full)) = (base, full) else {
        return Ok(None);
    };
    let base = Previous::verified(&base.bytes, &ca.issuer, None);
    let full = Previous::verified(&full.bytes, &ca.issuer, None);
    Ok(match (base, full) {
        (Ok(base), Ok(full)) => {
            let findings = fits(
                delta,
                &Neighbours {
                    base,
                    full: full.crl().clone(),
                },
            );
            findings.0.into_iter().next().map(Difference::Delta)
        }
        (Err(error), _) | (_, Err(error)) => Some(Difference::Full(error)),
    })
}
