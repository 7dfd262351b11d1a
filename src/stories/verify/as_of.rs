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
pub(crate) struct KnownAsOf {
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
pub(crate) async fn known_at(
    ca: &Ca,
    serial: &Serial,
    time: Timestamp,
) -> Result<KnownAsOf, VerifyError> {
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
    known.crl_number = Some(number.get());
    known.published_at = Some(at);
    let listed = known.read(ca, &stored.bytes, serial, time);
    listed.map_err(|what| VerifyError::Archive {
        name: ca.shelf.archived(Scope::Full, number),
        what,
    })?;
    Ok(known)
}

impl KnownAsOf {
    /// Takes over what the CRL says of `serial`.
    fn read(
        &mut self,
        ca: &Ca,
        bytes: &[u8],
        serial: &Serial,
        time: Timestamp,
    ) -> Result<(), Difference> {
        let previous = Previous::verified(bytes, &ca.issuer, None)?;
        self.is_current = previous.crl().next_update.is_some_and(|next| time < next);
        for entry in previous.crl().entries() {
            let entry = entry?;
            if entry.serial == *serial {
                self.is_listed = true;
                self.revoked_at = Some(entry.revoked_at);
                self.reason = entry.reason().ok().flatten().map(|reason| reason.name());
            }
        }
        Ok(())
    }
}

/// When it was written; the archive's copy is written once.
fn archived_at(stored: &Stored) -> Option<Timestamp> {
    let since = stored.modified?.duration_since(UNIX_EPOCH).ok()?;
    Timestamp::from_seconds(since.as_secs())
}
