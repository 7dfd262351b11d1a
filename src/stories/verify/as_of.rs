//! What relying parties knew at some time, as the archive has it.

use std::time::UNIX_EPOCH;

use super::{VerifyError, archive::Difference};
use crate::{
    ca::Ca,
    core::{
        crl::{gate::Previous, scope::Scope},
        serial::Serial,
        time::Timestamp,
    },
    store::content::Stored,
};

/// What relying parties knew of a certificate at some time.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct KnownAsOf {
    /// The CRL that was the newest then; none before the first.
    pub crl_number: Option<u64>,
    /// When it was archived, just before it reached the shelf.
    pub published_at: Option<Timestamp>,
    /// Whether it was still valid then.
    pub is_current: bool,
    /// Whether it lists the certificate.
    pub is_listed: bool,
    /// Since when, as it says.
    pub revoked_at: Option<Timestamp>,
    /// Why, as it says.
    pub reason: Option<&'static str>,
}

/// Whether the full CRL that was out at `time` lists `serial`.
pub async fn known_at(ca: &Ca, serial: &Serial, time: Timestamp) -> Result<KnownAsOf, VerifyError> {
    let mut numbers = ca.shelf.archived_numbers(Scope::Full).await?;
    numbers.sort_unstable();
    let mut newest = None;
    // Numbers rise with time, so half of what is left is out of the question at each look.
    let (mut low, mut high) = (0, numbers.len());
    while low < high {
        let middle = (low + high) / 2;
        let stored = ca.shelf.from_archive(Scope::Full, numbers[middle]).await?;
        match stored.map(|stored| (archived_at(&stored), stored)) {
            Some((Some(at), stored)) if at <= time => {
                newest = Some((numbers[middle], at, stored));
                low = middle + 1;
            }
            _ => high = middle,
        }
    }
    let mut known = KnownAsOf {
        crl_number: None,
        published_at: None,
        is_current: false,
        is_listed: false,
        revoked_at: None,
        reason: None,
    };
    let Some((number, at, stored)) = newest else {
        return Ok(known);
    };
    let wrong = |what: Difference| VerifyError::Archive {
        name: format!("{}/{number}.crl", ca.name),
        what,
    };
    let previous =
        Previous::verified(&stored.bytes, &ca.issuer, None).map_err(|error| wrong(error.into()))?;
    known.crl_number = Some(number.get());
    known.published_at = Some(at);
    known.is_current = previous.crl().next_update.is_some_and(|next| time < next);
    for entry in previous.crl().entries() {
        let entry = entry.map_err(|error| wrong(error.into()))?;
        if entry.serial == *serial {
            known.is_listed = true;
            known.revoked_at = Some(entry.revoked_at);
            known.reason = entry.reason().ok().flatten().map(|reason| reason.name());
        }
    }
    Ok(known)
}

/// When it was written; the archive's copy is written once.
fn archived_at(stored: &Stored) -> Option<Timestamp> {
    let since = stored.modified?.duration_since(UNIX_EPOCH).ok()?;
    Timestamp::from_seconds(since.as_secs())
}
