//! The index in Azure Table storage, by its REST protocol: there is no official client for it.
//!
//! A commit is one entity group transaction. Azurite does not enforce the service's limits (100
//! operations, one partition, no row twice, 4 MiB), so `entity::batch` does.

mod protocol;

use std::sync::Arc;

use azure_core::http::{
    Pipeline, Url,
    policies::{Policy, auth::BearerTokenAuthorizationPolicy},
};
use serde_json::{Map, Value};
use tokio::task::JoinSet;

use super::{
    Azure,
    entity::{self, Operation},
    identity,
    retry::Failed,
    row::RowError,
};
use crate::{
    core::{
        crl::scope::Scope,
        journal::change_set::{Head, Linked},
        revocation::Status,
        serial::Serial,
    },
    store::{
        Version, Versioned,
        error::{DriverError, ErrorKind},
        index::{CheckpointRow, Commit, ScopeRow},
        row_key,
    },
};

/// The table's name in its account.
const TABLE: &str = "revocations";
/// Rows in one page of the service, at most.
const PAGE: usize = 1000;
/// Point reads at once.
const AT_ONCE: usize = 16;

const READ: &str = "Storage Table Data Reader on the storage account";
const WRITE: &str = "Storage Table Data Contributor on the storage account";

/// The table of an account.
#[derive(Clone)]
pub struct Table {
    pipeline: Arc<Pipeline>,
    account: Url,
    by_identity: bool,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Table({})", self.name())
    }
}

impl Table {
    /// The table in the account at this URL, such as `https://ACCOUNT.table.core.windows.net`.
    pub fn new(azure: &Azure, account: &Url) -> Self {
        let (identity, options) = azure.storage_access(account);
        let by_identity = identity.is_some();
        let bearer = identity.map(|identity| -> Arc<dyn Policy> {
            Arc::new(BearerTokenAuthorizationPolicy::new(
                identity,
                [identity::STORAGE],
            ))
        });
        let (name, version) = (
            option_env!("CARGO_PKG_NAME"),
            option_env!("CARGO_PKG_VERSION"),
        );
        let pipeline = Pipeline::new(
            name,
            version,
            options,
            vec![],
            bearer.into_iter().collect(),
            None,
        );
        Self {
            pipeline: pipeline.into(),
            account: account.clone(),
            by_identity,
        }
    }

    /// Whether calls are authorised by who we are, rather than by a key or a signature.
    pub fn is_by_identity(&self) -> bool {
        self.by_identity
    }

    fn name(&self) -> String {
        let mut account = self.account.clone();
        account.set_query(None);
        format!("{}/{TABLE}", account.as_str().trim_end_matches('/'))
    }

    /// One row, taken apart.
    async fn one<T>(
        &self,
        operation: &str,
        issuer: &str,
        key: &str,
        read: fn(&Map<String, Value>) -> Result<T, RowError>,
    ) -> Result<Option<Versioned<T>>, DriverError> {
        let Some(Versioned { value, version }) = self.point(operation, issuer, key).await? else {
            return Ok(None);
        };
        let value = read(&value).map_err(|what| self.damaged(operation, what))?;
        Ok(Some(Versioned { value, version }))
    }

    pub(crate) async fn head(&self, issuer: &str) -> Result<Option<Versioned<Head>>, DriverError> {
        self.one("read the head in", issuer, row_key::HEAD, entity::head)
            .await
    }

    fn damaged(&self, operation: &str, what: RowError) -> DriverError {
        DriverError::because(
            format!("{operation} {}", self.name()),
            ErrorKind::Other,
            what,
        )
    }

    pub(crate) async fn journal(
        &self,
        issuer: &str,
        seq: u64,
        limit: u32,
    ) -> Result<Vec<Linked>, DriverError> {
        let filter = between(issuer, &row_key::change(seq), "c/");
        self.range("read the journal in", &filter, limit, entity::linked)
            .await
    }

    pub(crate) async fn rows(
        &self,
        issuer: &str,
        after: Option<Serial>,
        limit: u32,
    ) -> Result<Vec<Status>, DriverError> {
        let filter = between(issuer, &row_key::after(after), "s/");
        self.range("read certificates in", &filter, limit, entity::listed)
            .await
    }

    /// At most `limit` rows, in order of key.
    async fn range<T>(
        &self,
        operation: &str,
        filter: &str,
        limit: u32,
        read: fn(&Map<String, Value>) -> Result<T, RowError>,
    ) -> Result<Vec<T>, DriverError> {
        let what = self.call(operation, READ);
        let limit = limit as usize;
        let mut found = Vec::new();
        let mut from = Vec::new();
        loop {
            let page = self
                .page(&what, filter, PAGE.min(limit - found.len()), &from)
                .await?;
            for row in &page.rows {
                found.push(read(row).map_err(|what| self.damaged(operation, what))?);
            }
            match page.next {
                Some(next) if found.len() < limit => from = next,
                _ => return Ok(found),
            }
        }
    }

    pub(crate) async fn statuses(
        &self,
        issuer: &str,
        serials: Vec<Serial>,
    ) -> Result<Vec<Status>, DriverError> {
        let operation = "read certificates in";
        let mut statuses = Vec::new();
        for some in serials.chunks(AT_ONCE) {
            let mut reads = JoinSet::new();
            for serial in some.iter().copied() {
                let (table, issuer) = (self.clone(), issuer.to_owned());
                reads.spawn(async move {
                    let found = table
                        .point(operation, &issuer, &row_key::status(&serial))
                        .await?;
                    let status = found
                        .map(|found| entity::status(&found.value, serial))
                        .transpose();
                    status.map_err(|what| table.damaged(operation, what))
                });
            }
            while let Some(read) = reads.join_next().await {
                let read =
                    read.map_err(|error| DriverError::because(operation, ErrorKind::Other, error))?;
                statuses.extend(read?);
            }
        }
        Ok(statuses)
    }

    pub(crate) async fn row(
        &self,
        issuer: &str,
        scope: Scope,
    ) -> Result<Option<Versioned<ScopeRow>>, DriverError> {
        let key = row_key::scope(scope);
        self.one("read the last CRL's row in", issuer, &key, entity::scope)
            .await
    }

    pub(crate) async fn put_row(
        &self,
        issuer: &str,
        scope: Scope,
        row: ScopeRow,
        expected: Version,
    ) -> Result<Version, DriverError> {
        let properties = entity::scope_row(&row);
        let key = row_key::scope(scope);
        let operation = Operation::new(issuer, &key, properties, Some(expected));
        self.replace("the last CRL's row", operation, &row, entity::scope)
            .await
    }

    pub(crate) async fn checkpoint(
        &self,
        issuer: &str,
    ) -> Result<Option<Versioned<CheckpointRow>>, DriverError> {
        let operation = "read the checkpoint's row in";
        let key = row_key::CHECKPOINT;
        self.one(operation, issuer, key, entity::checkpoint).await
    }

    pub(crate) async fn put_checkpoint(
        &self,
        issuer: &str,
        row: CheckpointRow,
        expected: Version,
    ) -> Result<Version, DriverError> {
        let properties = entity::checkpoint_row(&row);
        let operation = Operation::new(issuer, row_key::CHECKPOINT, properties, Some(expected));
        self.replace("the checkpoint's row", operation, &row, entity::checkpoint)
            .await
    }

    /// Writes one row, `row`, which `read` takes apart; returns its new version.
    async fn replace<T: PartialEq>(
        &self,
        what: &str,
        operation: Operation,
        row: &T,
        read: fn(&Map<String, Value>) -> Result<T, RowError>,
    ) -> Result<Version, DriverError> {
        let call = self.call(&format!("write {what} in"), WRITE);
        let (issuer, key) = (operation.partition.clone(), operation.key.clone());
        let conflict = match self.write(&call, vec![operation]).await {
            Ok(()) => None,
            // The answer to an earlier try may have been lost after it took effect.
            Err(Failed {
                error,
                retried: true,
            }) if error.kind == ErrorKind::Conflict => Some(error),
            Err(failed) => return Err(failed.into()),
        };
        let found = self
            .one(&format!("read {what} in"), &issuer, &key, read)
            .await?;
        match (found, conflict) {
            (Some(found), None) => Ok(found.version),
            (Some(found), Some(_)) if found.value == *row => Ok(found.version),
            (_, Some(conflict)) => Err(conflict),
            (None, None) => Err(DriverError::new(call.operation, ErrorKind::Missing)),
        }
    }

    pub(crate) async fn commit(
        &self,
        issuer: &str,
        commit: Commit,
        expected: Version,
    ) -> Result<(), DriverError> {
        let what = self.call("commit to", WRITE);
        let hash = commit.head.hash;
        let operations = entity::commit(issuer, &commit, expected);
        match self.write(&what, operations).await {
            Ok(()) => Ok(()),
            Err(Failed {
                error,
                retried: true,
            }) if error.kind == ErrorKind::Conflict => {
                let head = self.head(issuer).await?;
                if head.is_some_and(|head| head.value.hash == hash) {
                    Ok(())
                } else {
                    Err(error)
                }
            }
            Err(failed) => Err(failed.into()),
        }
    }
}

/// Rows whose keys lie between these two.
fn between(issuer: &str, after: &str, before: &str) -> String {
    format!("PartitionKey eq '{issuer}' and RowKey gt '{after}' and RowKey lt '{before}'")
}
