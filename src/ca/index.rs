//! Where the index is: the contract is [`crate::store::index`]'s.

use std::time::Duration;

use crate::{
    azure::table::Table,
    core::{
        journal::change_set::{Head, Linked},
        revocation::Status,
        serial::Serial,
    },
    local::sqlite::Sqlite,
    store::{
        Version,
        error::DriverError,
        index::{Commit, ScopeRow},
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
    pub async fn head(&self, issuer: &str) -> Result<Option<(Head, Version)>, DriverError> {
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

    /// The row of a CRL scope, such as `full`, and its version.
    pub async fn scope(
        &self,
        issuer: &str,
        scope: &str,
    ) -> Result<Option<(ScopeRow, Version)>, DriverError> {
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
