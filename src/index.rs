//! The index: what is revoked, for every issuer. The only truth; everything else can be rebuilt from it.
//!
//! Contract, for every driver:
//! - A commit is one transaction: change set, head and status rows all happen or none does. It happens only if the
//!   head is still the version given; otherwise `Conflict`, and nothing was changed.
//! - When a commit returned, it survives the loss of power. When it failed with anything but `Conflict`, it may or may
//!   not have happened; commits are idempotent by their content, so the caller reads again and decides again.
//! - Reads see every commit that returned before they began, by any process.
//! - Drivers do not retry `Conflict`.

use std::time::Duration;

use crate::{
    azure::table::Table,
    core::{
        changeset::{ChainHash, Head, Linked},
        revocation::Status,
        serial::{CrlNumber, Serial},
        time::Timestamp,
    },
    driver::{DriverError, Version},
    local::sqlite::Sqlite,
};

/// Where the index is.
#[derive(Clone, Debug)]
pub enum Index {
    /// A SQLite file on this machine.
    Local(Sqlite),
    /// A table in Azure Table storage.
    Azure(Table),
}

/// The last CRL of one scope, and the number reserved for the next.
///
/// *Warning:* stored state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeRow {
    /// The highest number reserved or imported. Reserved before signing, so no number is ever used twice.
    pub number: CrlNumber,
    /// What is known of the last published CRL; none before the first.
    pub published: Option<Published>,
}

/// The last CRL that reached the shelf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The change set its index was level with.
    pub seq: u64,
    /// The chain up to there.
    pub hash: ChainHash,
    /// SHA-256 of its DER, in hexadecimal.
    pub sha256: String,
    /// thisUpdate.
    pub this_update: Timestamp,
    /// nextUpdate.
    pub next_update: Timestamp,
    /// When it reached the shelf.
    pub published_at: Timestamp,
}

/// A commit: a change set with the head that follows from it.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The change set in its place in the chain.
    pub linked: Linked,
    /// The head after it.
    pub head: Head,
}

/// Row keys, the same in every driver.
///
/// *Warning:* stored state.
pub(crate) mod row_key {
    use crate::core::serial::Serial;

    /// The head's.
    pub(crate) const HEAD: &str = "head";

    /// A change set's: `c.` and 20 digits, so that keys sort like numbers.
    pub(crate) fn change(seq: u64) -> String {
        format!("c.{seq:020}")
    }

    /// A certificate's.
    pub(crate) fn status(serial: &Serial) -> String {
        format!("s.{}", serial.row_key())
    }

    /// Before the certificates' rows that come after this one's, or before all.
    pub(crate) fn after(serial: Option<Serial>) -> String {
        serial.map_or_else(|| "s.".to_owned(), |serial| status(&serial))
    }

    /// Whose row has this key; none where no certificate's has.
    pub(crate) fn serial(key: &str) -> Option<Serial> {
        let serial = Serial::from_hex(key.strip_prefix("s.")?).ok()?;
        // There is one key for a serial number: another spelling of it is another row.
        (status(&serial) == key).then_some(serial)
    }

    /// What is wrong where [`serial`] finds none.
    pub(crate) fn not_a_serials(key: &str) -> String {
        format!("the row {key:?} stands among the certificates' rows, and its key is no serial number's")
    }

    /// That of the last CRL of a scope.
    pub(crate) fn scope(scope: &str) -> String {
        format!("p.{scope}")
    }
}

impl Index {
    /// How often to look at the head, for OCSP to be up to date: a look at a file is cheaper than one at a service.
    pub fn look_every(&self) -> Duration {
        match self {
            Self::Local(_) => Duration::from_secs(2),
            Self::Azure(_) => Duration::from_secs(5),
        }
    }

    /// The head, and the version that the next commit must find. `None` before the first commit.
    pub async fn head(&self, issuer: &str) -> Result<Option<(Head, Version)>, DriverError> {
        match self {
            Self::Local(sqlite) => sqlite.head(issuer).await,
            Self::Azure(table) => table.head(issuer).await,
        }
    }

    /// Commits, if the head is still `expected`.
    pub async fn commit(&self, issuer: &str, commit: Commit, expected: Version) -> Result<(), DriverError> {
        match self {
            Self::Local(sqlite) => sqlite.commit(issuer, commit, expected).await,
            Self::Azure(table) => table.commit(issuer, commit, expected).await,
        }
    }

    /// At most `limit` change sets after `seq`, in order.
    pub async fn journal(&self, issuer: &str, seq: u64, limit: u32) -> Result<Vec<Linked>, DriverError> {
        match self {
            Self::Local(sqlite) => sqlite.journal(issuer, seq, limit).await,
            Self::Azure(table) => table.journal(issuer, seq, limit).await,
        }
    }

    /// What is known of these serials; those not known are left out.
    pub async fn statuses(&self, issuer: &str, serials: Vec<Serial>) -> Result<Vec<Status>, DriverError> {
        match self {
            Self::Local(sqlite) => sqlite.statuses(issuer, serials).await,
            Self::Azure(table) => table.statuses(issuer, serials).await,
        }
    }

    /// At most `limit` status rows of serials above `after`, in order of serial; fewer only where there are no more. A
    /// row under a key that is no serial's is an error, as damaged ones are.
    pub async fn rows(&self, issuer: &str, after: Option<Serial>, limit: u32) -> Result<Vec<Status>, DriverError> {
        match self {
            Self::Local(sqlite) => sqlite.rows(issuer, after, limit).await,
            Self::Azure(table) => table.rows(issuer, after, limit).await,
        }
    }

    /// The row of a CRL scope, such as `full`, and its version.
    pub async fn scope(&self, issuer: &str, scope: &str) -> Result<Option<(ScopeRow, Version)>, DriverError> {
        match self {
            Self::Local(sqlite) => sqlite.scope(issuer, scope).await,
            Self::Azure(table) => table.scope(issuer, scope).await,
        }
    }

    /// Replaces the row of a scope, if it is still `expected`; returns its new version.
    pub async fn put_scope(
        &self,
        issuer: &str,
        scope: &str,
        row: ScopeRow,
        expected: Version,
    ) -> Result<Version, DriverError> {
        match self {
            Self::Local(sqlite) => sqlite.put_scope(issuer, scope, row, expected).await,
            Self::Azure(table) => table.put_scope(issuer, scope, row, expected).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::row_key;
    use crate::core::serial::Serial;

    #[test]
    fn a_serial_has_one_row_key_and_no_other_spelling() {
        let serial = Serial::from_hex("0a2e").unwrap();
        let key = row_key::status(&serial);
        assert_eq!(row_key::serial(&key), Some(serial));
        for other in ["s.0a2e", "s.", "head", &key.to_uppercase(), &key.replace("2e", "2E"), &format!("{key}0")] {
            assert_eq!(row_key::serial(other), None, "{other}");
        }
    }
}
