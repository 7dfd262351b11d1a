//! The auditor's stories: is everything still as it was written, and what did relying parties know at some time?
//!
//! Nothing stored is trusted here: the journal is read from its beginning, past any checkpoint; every archived CRL is
//! believed only under the issuer's own key, and must say what the journal said at its change set.

use std::time::UNIX_EPOCH;

use crate::{
    ca::Ca,
    core::{
        changeset::Head,
        compare::Previous,
        crl::{EXPIRED_CERTS_ON_CRL, Entry},
        replica::{Fold, ReplicaError},
        revocation::Status,
        scope::Scope,
        serial::{CrlNumber, Serial},
        time::Timestamp,
    },
    driver::DriverError,
    shelf::{Stored, sha256},
};

/// What was found to be right.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// The last change set.
    pub seq: u64,
    /// Status rows that are as the journal says.
    pub rows: u64,
    /// Archived CRLs that are as the journal says.
    pub crls: u64,
}

/// The first thing that is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Something is out of reach.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// The journal does not hold together.
    #[error("journal: {0}")]
    Journal(#[from] ReplicaError),
    /// A status row is not what the journal says.
    #[error("status row {serial}: {what}; the journal is right, and a backup of the table has the row")]
    Row {
        /// Whose.
        serial: Serial,
        /// What is different.
        what: &'static str,
    },
    /// An archived CRL is not what the journal says.
    #[error("archive: {name}: {what}")]
    Archive {
        /// Its name.
        name: String,
        /// What is different.
        what: String,
    },
    /// The shelf is not what the archive says.
    #[error("shelf: {name}: {what}; `rescind publish` heals it")]
    Shelf {
        /// Its name.
        name: String,
        /// What is different.
        what: String,
    },
}

/// Change sets, and status rows, read at once.
const PAGE: u32 = 1024;
const ROWS: usize = 256;

/// Recomputes the journal, and compares status rows, archive and shelf with it. `progress` is told what is looked at.
pub async fn verify(ca: &Ca, progress: impl Fn(String)) -> Result<Report, VerifyError> {
    let mut report = Report::default();
    // Under another key every archived CRL would look forged; that is not what is wrong then.
    Fold::new(&ca.issuer.spki_hash()).read(&ca.index.journal(&ca.name, 0, 1).await?)?;
    let mut journal = Journal { ca, fold: Fold::new(&ca.issuer.spki_hash()), ahead: vec![] };
    for scope in ca.crl.scopes() {
        let mut numbers = ca.shelf.archived_numbers(scope).await?;
        numbers.sort_unstable();
        for &number in &numbers {
            progress(format!("archived {} CRL {number}", scope.key()));
            archived(ca, scope, number, (scope == Scope::Full).then_some(&mut journal)).await?;
            report.crls += 1;
        }
        shelf(ca, scope, numbers.last().copied()).await?;
    }
    progress("the rest of the journal".to_owned());
    journal.read_to(u64::MAX).await?;
    let head = ca.index.head(&ca.name).await?.map(|(head, _)| head);
    let head = head.unwrap_or_else(|| Head::genesis(&ca.issuer.spki_hash()));
    let replica = journal.fold.level(&head)?;
    report.seq = head.seq;
    let statuses: Vec<_> = replica.rows().copied().collect();
    for some in statuses.chunks(ROWS) {
        progress(format!("status rows from {}", some[0].serial));
        let mut found = ca.index.statuses(&ca.name, some.iter().map(|status| status.serial).collect()).await?;
        found.sort_unstable_by_key(|status| status.serial);
        let mut found = found.iter().peekable();
        for status in some {
            let serial = status.serial;
            let row = found.next_if(|row| row.serial == serial);
            let row = row.ok_or(VerifyError::Row { serial, what: "it is missing" })?;
            if row != status {
                return Err(VerifyError::Row { serial, what: "it differs from what the journal says" });
            }
            report.rows += 1;
        }
    }
    Ok(report)
}

/// The journal, read as far as it is needed.
struct Journal<'a> {
    ca: &'a Ca,
    fold: Fold,
    /// Read from the index, and newer than what is asked for.
    ahead: Vec<crate::core::changeset::Linked>,
}

impl Journal<'_> {
    /// Reads on up to change set `seq`, or to the end.
    async fn read_to(&mut self, seq: u64) -> Result<(), VerifyError> {
        while self.fold.seq() < seq {
            if self.ahead.is_empty() {
                self.ahead = self.ca.index.journal(&self.ca.name, self.fold.seq(), PAGE).await?;
            }
            let count = self.ahead.iter().take_while(|linked| linked.set.seq <= seq).count();
            if count == 0 {
                return Ok(());
            }
            let now: Vec<_> = self.ahead.drain(..count).collect();
            self.fold.read(&now)?;
        }
        Ok(())
    }
}

/// One archived CRL: ours, as it was labelled, and, if full, what the journal said at its change set.
async fn archived(
    ca: &Ca,
    scope: Scope,
    number: CrlNumber,
    journal: Option<&mut Journal<'_>>,
) -> Result<(), VerifyError> {
    let name = format!("{}/{number}{}", ca.name, scope.archived());
    let wrong = |what: String| VerifyError::Archive { name: name.clone(), what };
    let stored = ca.shelf.from_archive(scope, number).await?.ok_or_else(|| wrong("it is gone".to_owned()))?;
    let previous = Previous::verified(&stored.bytes, &ca.issuer, None).map_err(|error| wrong(error.to_string()))?;
    if previous.crl().number() != Some(number) {
        return Err(wrong("it has another CRL number than its name".to_owned()));
    }
    let label = stored.label.clone().filter(|label| label.sha256 == sha256(&stored.bytes));
    let label = label.ok_or_else(|| wrong("it has no label, or that of other content".to_owned()))?;
    let Some(journal) = journal else {
        return match ca.remembers(&label).await? {
            true => Ok(()),
            false => Err(wrong(format!("it was made from a change set {} that the journal does not have", label.seq))),
        };
    };
    if label.seq < journal.fold.seq() {
        return Err(wrong(format!("it was made from change set {}, older than the CRL before it", label.seq)));
    }
    journal.read_to(label.seq).await?;
    if journal.fold.seq() != label.seq || journal.fold.hash().to_string() != label.hash {
        return Err(wrong(format!("it was made from a change set {} that the journal does not have", label.seq)));
    }
    let keeps_expired = previous.crl().extension(EXPIRED_CERTS_ON_CRL).is_some();
    let mut entries = previous.crl().entries();
    let mut next = || entries.next().transpose().map_err(|error| wrong(error.to_string()));
    let mut entry = next()?;
    for status in journal.fold.rows().filter(|status| status.is_listed()) {
        match &entry {
            Some(found) if found.serial == status.serial => {
                if !is_same(found, status) {
                    return Err(wrong(format!("serial {} is not as the journal says", status.serial)));
                }
                entry = next()?;
            }
            Some(found) if found.serial < status.serial => {
                return Err(wrong(format!("serial {} is on it, and not revoked", found.serial)));
            }
            // Listed once after it expired, and then dropped (RFC 5280 §3.3).
            _ if !keeps_expired && status.not_after.is_some_and(|end| end < previous.crl().this_update) => {}
            _ => return Err(wrong(format!("serial {} is revoked, and not on it", status.serial))),
        }
    }
    match entry {
        Some(found) => Err(wrong(format!("serial {} is on it, and not revoked", found.serial))),
        None => Ok(()),
    }
}

fn is_same(entry: &Entry, status: &Status) -> bool {
    Some(entry.revoked_at) == status.revoked_at
        && entry.reason().ok() == Some(status.reason)
        && entry.invalidity_date == status.invalidity_date
}

/// The shelf has the newest CRL of the archive.
async fn shelf(ca: &Ca, scope: Scope, newest: Option<CrlNumber>) -> Result<(), VerifyError> {
    let name = ca.shelf.name(&scope.file());
    let wrong = |what: &str| VerifyError::Shelf { name: name.clone(), what: what.to_owned() };
    let Some(stored) = ca.shelf.current_of(scope).await? else {
        return if newest.is_none() { Ok(()) } else { Err(wrong("it is missing")) };
    };
    let Some(number) = newest else { return Err(wrong("the archive has no copy of it")) };
    let archived = ca.shelf.from_archive(scope, number).await?;
    match archived.is_some_and(|archived| archived.bytes == stored.bytes) {
        true => Ok(()),
        false => Err(wrong("it is not the newest CRL of the archive")),
    }
}

/// What relying parties knew of a certificate at some time.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Known {
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
pub async fn known_at(ca: &Ca, serial: &Serial, time: Timestamp) -> Result<Known, VerifyError> {
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
    let mut known = Known {
        crl_number: None,
        published_at: None,
        is_current: false,
        is_listed: false,
        revoked_at: None,
        reason: None,
    };
    let Some((number, at, stored)) = newest else { return Ok(known) };
    let wrong = |what: String| VerifyError::Archive { name: format!("{}/{number}.crl", ca.name), what };
    let previous = Previous::verified(&stored.bytes, &ca.issuer, None).map_err(|error| wrong(error.to_string()))?;
    known.crl_number = Some(number.get());
    known.published_at = Some(at);
    known.is_current = previous.crl().next_update.is_some_and(|next| time < next);
    for entry in previous.crl().entries() {
        let entry = entry.map_err(|error| wrong(error.to_string()))?;
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
