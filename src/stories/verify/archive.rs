//! One archived CRL: ours, as it was labelled, and what the journal said at its change set.

use super::{Journal, VerifyError};
use crate::core::{
    crl::{
        CrlRef, EXPIRED_CERTS_ON_CRL, Entry,
        delta::{Neighbours, fits},
        gate::Previous,
        scope::Scope,
    },
    digest::Digest,
    journal::replica::Fold,
    revocation::Status,
    serial::CrlNumber,
};

/// Looks at one; `before` is the change set of the one before it in its scope. Returns its own.
pub(super) async fn crl(
    journal: &mut Journal<'_>,
    scope: Scope,
    number: CrlNumber,
    before: u64,
) -> Result<u64, VerifyError> {
    let ca = journal.ca;
    let name = format!("{}/{number}{}", ca.name, scope.archived());
    let wrong = |what: String| VerifyError::Archive {
        name: name.clone(),
        what,
    };
    let stored = ca
        .shelf
        .from_archive(scope, number)
        .await?
        .ok_or_else(|| wrong("it is gone".to_owned()))?;
    let previous = Previous::verified(&stored.bytes, &ca.issuer, None)
        .map_err(|error| wrong(error.to_string()))?;
    let crl = previous.crl();
    if crl.number() != Some(number) {
        return Err(wrong("it has another CRL number than its name".to_owned()));
    }
    let label = stored
        .label
        .filter(|label| label.sha256 == Digest::of(&stored.bytes));
    let label =
        label.ok_or_else(|| wrong("it has no label, or that of other content".to_owned()))?;
    if label.seq < before {
        return Err(wrong(format!(
            "it was made from change set {}, older than the CRL before it",
            label.seq
        )));
    }
    journal.go_to(label.seq).await?;
    if journal.fold.seq() != label.seq || journal.fold.hash() != label.hash {
        return Err(wrong(format!(
            "it was made from a change set {} that the journal does not have",
            label.seq
        )));
    }
    match scope {
        Scope::Full | Scope::Shard(_) => entries(crl, &journal.fold, scope).map_err(wrong)?,
        Scope::Delta => beside(journal, crl, number)
            .await?
            .map_or(Ok(()), |what| Err(wrong(what)))?,
    }
    Ok(label.seq)
}

/// A full CRL, or a shard, lists what the journal says is revoked in its scope; the error tells the
/// difference.
fn entries(crl: &CrlRef<'_>, fold: &Fold, scope: Scope) -> Result<(), String> {
    let keeps_expired = crl.extension(EXPIRED_CERTS_ON_CRL).is_some();
    let mut entries = crl.entries();
    let mut next = || {
        entries
            .next()
            .transpose()
            .map_err(|error| error.to_string())
    };
    let mut entry = next()?;
    let listed = fold
        .rows()
        .filter(|status| status.is_listed() && scope.holds(&status.serial()));
    for status in listed {
        let serial = status.serial();
        match &entry {
            Some(found) if found.serial == serial => {
                if !is_same(found, status) {
                    return Err(format!("serial {serial} is not as the journal says"));
                }
                entry = next()?;
            }
            Some(found) if found.serial < serial => {
                return Err(format!("serial {} is on it, and not revoked", found.serial));
            }
            // Listed once after it expired, and then dropped (RFC 5280 §3.3).
            _ if !keeps_expired && status.not_after().is_some_and(|end| end < crl.this_update) => {}
            _ => return Err(format!("serial {serial} is revoked, and not on it")),
        }
    }
    match entry {
        Some(found) => Err(format!("serial {} is on it, and not revoked", found.serial)),
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
) -> Result<Option<String>, VerifyError> {
    let ca = journal.ca;
    let Some(base) = delta.base_number() else {
        return Ok(Some("it does not say which CRL it continues".to_owned()));
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
            findings.0.first().map(|finding| finding.detail.clone())
        }
        (Err(error), _) | (_, Err(error)) => {
            Some(format!("the full CRL that it belongs to: {error}"))
        }
    })
}
