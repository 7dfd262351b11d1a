//! The auditor's stories: is everything still as it was written, and what did relying parties know
//! at some time?
//!
//! Nothing stored is trusted here: the journal is read from its beginning, past any checkpoint;
//! every archived CRL is believed only under the issuer's own key, and must say what the journal
//! said at its change set; every status row, looked for or not, is one of the journal's.

mod archive;
mod as_of;

use std::collections::HashMap;

pub(crate) use archive::Difference;
pub(crate) use as_of::{KnownAsOf, known_at};

use crate::{
    ca::Ca,
    core::{
        crl::scope::Scope,
        journal::{
            change_set::{Head, Linked},
            replica::{Fold, ReplicaError},
        },
        revocation::Status,
        serial::{CrlNumber, Serial},
    },
    store::error::DriverError,
};

/// What was found to be right.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct VerifyReport {
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
    #[error("journal")]
    Journal(#[from] ReplicaError),
    /// A status row is not what the journal says.
    #[error("status row {serial}: {what}")]
    Row {
        serial: Serial,
        /// What is different.
        what: &'static str,
    },
    /// An archived CRL is not what the journal says.
    #[error("archive: {name}")]
    Archive {
        name: String,
        /// What is different.
        #[source]
        what: Difference,
    },
    /// The shelf is not what the archive says.
    #[error("shelf: {name}: {what}; `rescind publish --force` heals it")]
    Shelf {
        name: String,
        /// What is different.
        what: &'static str,
    },
}

/// Change sets, and status rows, read at once.
const PAGE: u32 = 1000;

/// How often to read on when the head moves on while the journal is read.
const MOVES: usize = 100;

/// Recomputes the journal, and compares status rows, archive and shelf with it. `progress` is told
/// what is looked at. The journal's rows are in memory once; everything else is read piece by
/// piece. Commits may go on meanwhile.
pub async fn verify(ca: &Ca, progress: impl Fn(String)) -> Result<VerifyReport, VerifyError> {
    let mut report = VerifyReport::default();
    // Under another key every archived CRL would look forged; that is not what is wrong then.
    Fold::new(&ca.issuer.spki_hash()).read(&ca.index.journal(&ca.name, 0, 1).await?)?;
    let mut journal = Journal::new(ca);
    let mut archived = vec![];
    for scope in ca.crl.scopes() {
        let numbers = ca.shelf.archived_numbers(scope).await?;
        archived.extend(numbers.into_iter().map(|number| (number, scope)));
    }
    // Roughly the order in which they were made, so that the journal is read about once. A delta
    // CRL has the number of its full CRL, and stands behind it.
    archived.sort_by_key(|&(number, _)| number);
    let mut last: HashMap<Scope, LastArchived> = HashMap::new();
    for &(number, scope) in &archived {
        progress(format!("archived {scope} CRL {number}"));
        let before = last.get(&scope).map_or(0, |last| last.seq);
        let seq = archive::crl(&mut journal, scope, number, before).await?;
        last.insert(scope, LastArchived { seq, number });
        report.crls += 1;
    }
    for scope in ca.crl.scopes() {
        shelf(ca, scope, last.get(&scope).map(|last| last.number)).await?;
    }
    progress("the rest of the journal".to_owned());
    report.seq = journal.read_to_head().await?;
    report.rows = rows(&mut journal, progress).await?;
    Ok(report)
}

/// The last archived CRL of a scope that was looked at.
struct LastArchived {
    /// The change set it was made from.
    seq: u64,
    number: CrlNumber,
}

/// The journal, read as far as it is needed.
struct Journal<'a> {
    ca: &'a Ca,
    fold: Fold,
    /// Read from the index, and newer than what is asked for.
    ahead: Vec<Linked>,
}

impl<'a> Journal<'a> {
    fn new(ca: &'a Ca) -> Self {
        Self {
            ca,
            fold: Fold::new(&ca.issuer.spki_hash()),
            ahead: vec![],
        }
    }

    /// Goes to change set `seq`, or to the end where there is none; from the beginning again if it
    /// was passed.
    async fn go_to(&mut self, seq: u64) -> Result<(), VerifyError> {
        if seq < self.fold.seq() {
            *self = Self::new(self.ca);
        }
        self.read_to(seq).await
    }

    /// Reads on up to change set `seq`, or to the end.
    async fn read_to(&mut self, seq: u64) -> Result<(), VerifyError> {
        while self.fold.seq() < seq {
            if self.ahead.is_empty() {
                self.ahead = self
                    .ca
                    .index
                    .journal(&self.ca.name, self.fold.seq(), PAGE)
                    .await?;
            }
            let count = self
                .ahead
                .iter()
                .take_while(|linked| linked.set.seq <= seq)
                .count();
            if count == 0 {
                return Ok(());
            }
            let now: Vec<_> = self.ahead.drain(..count).collect();
            self.fold.read(&now)?;
        }
        Ok(())
    }

    /// Reads to the end, which must be what the head says; returns its number.
    async fn read_to_head(&mut self) -> Result<u64, VerifyError> {
        let mut moves = 1;
        loop {
            self.read_to(u64::MAX).await?;
            let head = self
                .ca
                .index
                .head(&self.ca.name)
                .await?
                .map(|head| head.value);
            let head = head.unwrap_or_else(|| Head::genesis(&self.ca.issuer.spki_hash()));
            match self.fold.clone().level(&head) {
                Ok(_) => return Ok(head.seq),
                // Commits that came between; but the next look must find them in the journal.
                Err(ReplicaError::Behind { head, journal }) if head > journal && moves < MOVES => {
                    moves += 1;
                    self.read_to(head).await?;
                    if self.fold.seq() < head {
                        return Err(ReplicaError::Behind { head, journal }.into());
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Status rows and journal have the same certificates, with the same said of each; returns how
/// many.
async fn rows(journal: &mut Journal<'_>, progress: impl Fn(String)) -> Result<u64, VerifyError> {
    let ca = journal.ca;
    let (mut count, mut after) = (0, None);
    loop {
        progress(format!("status rows from the {}th on", count + 1));
        let page = ca.index.rows(&ca.name, after, PAGE).await?;
        let is_last = page.len() < PAGE as usize;
        if let Err(error) = same_rows(&journal.fold, after, &page, is_last) {
            let read = journal.fold.seq();
            journal.read_to(u64::MAX).await?;
            if journal.fold.seq() == read {
                return Err(error);
            }
            // A commit came between journal and rows: look again, now that the journal is as old as
            // the rows at most.
            continue;
        }
        count += page.len() as u64;
        match page.last() {
            Some(last) if !is_last => after = Some(last.serial()),
            _ => return Ok(count),
        }
    }
}

const DIFFERS: &str = "it differs from what the journal says; the journal is right, and a backup \
                       of the table has the row";
const MISSING: &str = "it is missing; the journal is right, and a backup of the table has the row";
const STRAY: &str = "the journal knows nothing of it; the journal is right";

fn same_rows(
    fold: &Fold,
    after: Option<Serial>,
    page: &[Status],
    is_last: bool,
) -> Result<(), VerifyError> {
    let mut expected = fold.rows_after(after).peekable();
    for row in page {
        let serial = row.serial();
        match expected.next() {
            Some(status) if status == row => {}
            Some(status) if status.serial() == serial => {
                return Err(VerifyError::Row {
                    serial,
                    what: DIFFERS,
                });
            }
            Some(status) if status.serial() < serial => {
                return Err(VerifyError::Row {
                    serial: status.serial(),
                    what: MISSING,
                });
            }
            _ => {
                return Err(VerifyError::Row {
                    serial,
                    what: STRAY,
                });
            }
        }
    }
    match expected.next() {
        Some(status) if is_last => Err(VerifyError::Row {
            serial: status.serial(),
            what: MISSING,
        }),
        _ => Ok(()),
    }
}

fn on_shelf(ca: &Ca, scope: Scope, what: &'static str) -> VerifyError {
    let name = ca.shelf.name(&scope.file());
    VerifyError::Shelf { name, what }
}

/// The shelf has the newest CRL of the archive.
async fn shelf(ca: &Ca, scope: Scope, newest: Option<CrlNumber>) -> Result<(), VerifyError> {
    let Some(stored) = ca.shelf.current_of(scope).await? else {
        return if newest.is_none() {
            Ok(())
        } else {
            Err(on_shelf(ca, scope, "it is missing"))
        };
    };
    let Some(number) = newest else {
        return Err(on_shelf(ca, scope, "the archive has no copy of it"));
    };
    let archived = ca.shelf.from_archive(scope, number).await?;
    if archived.is_some_and(|archived| archived.sha256 == stored.sha256) {
        return Ok(());
    }
    // A publisher may have gone on meanwhile.
    match ca.shelf.archived_numbers(scope).await?.into_iter().max() {
        Some(newest) if newest > number => Box::pin(shelf(ca, scope, Some(newest))).await,
        _ => Err(on_shelf(
            ca,
            scope,
            "it is not the newest CRL of the archive",
        )),
    }
}
