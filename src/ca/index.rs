//! Where the index is: the contract is [`crate::store::index`]'s.

use std::time::Duration;

use crate::{
    azure::table::Table,
    core::{
        crl::scope::Scope,
        journal::change_set::{Head, Linked},
        revocation::Status,
        serial::Serial,
    },
    local::sqlite::Sqlite,
    store::{
        Version, Versioned,
        error::DriverError,
        index::{CheckpointRow, Commit, ScopeRow},
    },
};

/// Where the index is.
#[derive(Clone, Debug)]
pub enum Index {
    /// A SQLite file on this machine.
    Local(Sqlite),
    /// A table in Azure Table storage.
    Azure(Table),
}

impl Index {
    /// How often to look at the head, for OCSP to be up to date: a look at a file is cheaper than
    /// one at a service.
    pub fn look_every(&self) -> Duration {
        match self {
            Self::Local(_) => Duration::from_secs(2),
            Self::Azure(_) => Duration::from_secs(5),
        }
    }

    /// The head, and the version that the next commit must find. `None` before the first commit.
    pub async fn head(&self, issuer: &str) -> Result<Option<Versioned<Head>>, DriverError> {
        match self {
            Self::Local(sqlite) => sqlite.head(issuer).await,
            Self::Azure(table) => table.head(issuer).await,
        }
    }

    /// Commits, if the head is still `expected`.
    pub async fn commit(
        &self,
        issuer: &str,
        commit: Commit,
        expected: Version,
    ) -> Result<(), DriverError> {
        match self {
            Self::Local(sqlite) => sqlite.commit(issuer, commit, expected).await,
            Self::Azure(table) => table.commit(issuer, commit, expected).await,
        }
    }

    /// At most `limit` change sets after `seq`, in order.
    pub async fn journal(
        &self,
        issuer: &str,
        seq: u64,
        limit: u32,
    ) -> Result<Vec<Linked>, DriverError> {
        match self {
            Self::Local(sqlite) => sqlite.journal(issuer, seq, limit).await,
            Self::Azure(table) => table.journal(issuer, seq, limit).await,
        }
    }

    /// What is known of these serials; those not known are left out.
    pub async fn statuses(
        &self,
        issuer: &str,
        serials: Vec<Serial>,
    ) -> Result<Vec<Status>, DriverError> {
        match self {
            Self::Local(sqlite) => sqlite.statuses(issuer, serials).await,
            Self::Azure(table) => table.statuses(issuer, serials).await,
        }
    }

    /// At most `limit` status rows of serials above `after`, in order of serial; fewer only where
    /// there are no more. A row under a key that is no serial's is an error, as damaged ones are.
    pub async fn rows(
        &self,
        issuer: &str,
        after: Option<Serial>,
        limit: u32,
    ) -> Result<Vec<Status>, DriverError> {
        match self {
            Self::Local(sqlite) => sqlite.rows(issuer, after, limit).await,
            Self::Azure(table) => table.rows(issuer, after, limit).await,
        }
    }

    /// The row of a scope's last CRL.
    pub async fn row(
        &self,
        issuer: &str,
        scope: Scope,
    ) -> Result<Option<Versioned<ScopeRow>>, DriverError> {
        match self {
            Self::Local(sqlite) => sqlite.row(issuer, scope).await,
            Self::Azure(table) => table.row(issuer, scope).await,
        }
    }

    /// Replaces the row of a scope, if it is still `expected`; returns its new version.
    pub async fn put_row(
        &self,
        issuer: &str,
        scope: Scope,
        row: ScopeRow,
        expected: Version,
    ) -> Result<Version, DriverError> {
        match self {
            Self::Local(sqlite) => sqlite.put_row(issuer, scope, row, expected).await,
            Self::Azure(table) => table.put_row(issuer, scope, row, expected).await,
        }
    }

    /// The row of the last checkpoint.
    pub async fn checkpoint(
        &self,
        issuer: &str,
    ) -> Result<Option<Versioned<CheckpointRow>>, DriverError> {
        match self {
            Self::Local(sqlite) => sqlite.checkpoint(issuer).await,
            Self::Azure(table) => table.checkpoint(issuer).await,
        }
    }

    /// Replaces the row of the last checkpoint, if it is still `expected`; returns its new version.
    pub async fn put_checkpoint(
        &self,
        issuer: &str,
        row: CheckpointRow,
        expected: Version,
    ) -> Result<Version, DriverError> {
        match self {
            Self::Local(sqlite) => sqlite.put_checkpoint(issuer, row, expected).await,
            Self::Azure(table) => table.put_checkpoint(issuer, row, expected).await,
        }
    }
}
