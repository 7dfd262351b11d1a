//! The index in Azure Table storage, by its REST protocol: there is no official client for it.
//!
//! A commit is one entity group transaction. Azurite does not enforce the service's limits (100
//! operations, one partition, no row twice, 4 MiB), so `entity::batch` does.

use std::sync::Arc;

use azure_core::{
    Bytes,
    error::ErrorKind as SdkErrorKind,
    http::{
        Context, Method, Pipeline, PipelineSendOptions, RawResponse, Request, StatusCode, Url,
        policies::{Policy, auth::BearerTokenAuthorizationPolicy},
    },
};
use serde_json::{Map, Value};
use tokio::task::JoinSet;

use super::{
    Azure,
    entity::{self, Operation},
    retry::{Call, Failed, SMALL, call},
};
use crate::{
    core::{
        journal::change_set::{Head, Linked},
        revocation::Status,
        serial::Serial,
    },
    store::{
        Version,
        error::{DriverError, ErrorKind},
        index::{Commit, ScopeRow},
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

/// A page of a query, and where the next begins.
struct Page {
    rows: Vec<Map<String, Value>>,
    next: Option<Vec<(String, String)>>,
}

impl Table {
    /// The table in the account at this URL, such as `https://ACCOUNT.table.core.windows.net`.
    pub fn new(azure: &Azure, account: &Url) -> Self {
        let (identity, options) = azure.storage_access(account);
        let by_identity = identity.is_some();
        let bearer = identity.map(|identity| -> Arc<dyn Policy> {
            Arc::new(BearerTokenAuthorizationPolicy::new(
                identity,
                ["https://storage.azure.com/.default"],
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

    fn call(&self, operation: &str, role: &'static str) -> Call {
        Call {
            operation: format!("{operation} {}", self.name()),
            role,
            limit: SMALL,
        }
    }

    /// A URL in the account; a signature in the account's URL stays.
    fn url(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.account.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/{path}"));
        for (name, value) in query {
            url.query_pairs_mut().append_pair(name, value);
        }
        url
    }

    async fn send(&self, mut request: Request) -> azure_core::Result<RawResponse> {
        for (name, value) in [
            ("x-ms-version", "2019-02-02"),
            ("dataserviceversion", "3.0"),
            ("accept", "application/json;odata=nometadata"),
        ] {
            request.insert_header(name, value);
        }
        let checks = Some(PipelineSendOptions {
            skip_checks: true,
            ..Default::default()
        });
        let answer = self
            .pipeline
            .send(&Context::new(), &mut request, checks)
            .await?;
        if answer.status().is_success() {
            Ok(answer)
        } else {
            Err(failure(answer))
        }
    }

    /// One row and its ETag; `None` where row or table does not exist.
    async fn point(
        &self,
        operation: &str,
        issuer: &str,
        key: &str,
    ) -> Result<Option<entity::VersionedRow>, DriverError> {
        let what = self.call(operation, READ);
        let path = format!("{TABLE}(PartitionKey='{issuer}',RowKey='{key}')");
        let read = call(&what, || async {
            self.send(Request::new(self.url(&path, &[]), Method::Get))
                .await
        });
        let answer = match read.await {
            Ok(answer) => answer,
            Err(failed) if failed.error.kind == ErrorKind::Missing => return Ok(None),
            Err(failed) => return Err(failed.into()),
        };
        let etag = answer
            .headers()
            .get_optional_str(&"etag".into())
            .map(str::to_owned);
        let row: Result<Map<String, Value>, _> = serde_json::from_slice(answer.body());
        match (row, etag) {
            (Ok(row), Some(etag)) => Ok(Some((row, Version::At(etag)))),
            _ => Err(DriverError::because(
                what.operation,
                ErrorKind::Other,
                "the answer is no row with an ETag",
            )),
        }
    }

    async fn page(
        &self,
        what: &Call,
        filter: &str,
        top: usize,
        from: &[(String, String)],
    ) -> Result<Page, DriverError> {
        let top = top.to_string();
        let mut query = vec![("$filter", filter), ("$top", top.as_str())];
        query.extend(
            from.iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        let url = self.url(&format!("{TABLE}()"), &query);
        let answer = match call(what, || async {
            self.send(Request::new(url.clone(), Method::Get)).await
        })
        .await
        {
            Ok(answer) => answer,
            Err(failed) if failed.error.kind == ErrorKind::Missing => {
                return Ok(Page {
                    rows: vec![],
                    next: None,
                });
            }
            Err(failed) => return Err(failed.into()),
        };
        let header = |name: &'static str| {
            answer
                .headers()
                .get_optional_str(&name.into())
                .map(str::to_owned)
        };
        let pair = |query: &str, name| header(name).map(|value| (query.to_owned(), value));
        // The service may leave out the row key, and may send a token with an empty page.
        let next =
            pair("NextPartitionKey", "x-ms-continuation-nextpartitionkey").map(|partition| {
                let row = pair("NextRowKey", "x-ms-continuation-nextrowkey");
                [partition].into_iter().chain(row).collect()
            });
        let body: Result<Value, _> = serde_json::from_slice(answer.body());
        let rows = body
            .ok()
            .and_then(|mut body| serde_json::from_value(body.get_mut("value")?.take()).ok());
        let rows = rows.ok_or_else(|| {
            DriverError::because(
                what.operation.clone(),
                ErrorKind::Other,
                "the answer is no list of rows",
            )
        })?;
        Ok(Page { rows, next })
    }

    pub(crate) async fn head(&self, issuer: &str) -> Result<Option<(Head, Version)>, DriverError> {
        let operation = "read the head in";
        let found = self.point(operation, issuer, row_key::HEAD).await?;
        found
            .map(|(row, version)| {
                Ok((
                    entity::head(&row).map_err(|what| self.damaged(operation, what))?,
                    version,
                ))
            })
            .transpose()
    }

    fn damaged(&self, operation: &str, what: String) -> DriverError {
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
        read: fn(&Map<String, Value>) -> Result<T, String>,
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
                        .map(|(row, _)| entity::status(&row, serial))
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

    pub(crate) async fn scope(
        &self,
        issuer: &str,
        scope: &str,
    ) -> Result<Option<(ScopeRow, Version)>, DriverError> {
        let operation = "read the last CRL's row in";
        let found = self
            .point(operation, issuer, &row_key::scope(scope))
            .await?;
        found
            .map(|(row, version)| {
                Ok((
                    entity::scope(&row).map_err(|what| self.damaged(operation, what))?,
                    version,
                ))
            })
            .transpose()
    }

    pub(crate) async fn put_scope(
        &self,
        issuer: &str,
        scope: &str,
        row: ScopeRow,
        expected: Version,
    ) -> Result<Version, DriverError> {
        let key = row_key::scope(scope);
        let what = self.call("write the last CRL's row in", WRITE);
        let operation = Operation::new(issuer, &key, entity::scope_row(&row), Some(expected));
        match self.write(&what, vec![operation]).await {
            Ok(()) => {}
            // The answer to an earlier try may have been lost after it took effect.
            Err(Failed {
                error,
                retried: true,
            }) if error.kind == ErrorKind::Conflict => {
                let found = self.scope(issuer, scope).await?;
                if found.as_ref().is_none_or(|(found, _)| *found != row) {
                    return Err(error);
                }
            }
            Err(failed) => return Err(failed.into()),
        }
        let found = self
            .point("read the last CRL's row in", issuer, &key)
            .await?;
        found
            .map(|(_, version)| version)
            .ok_or_else(|| DriverError::new(what.operation, ErrorKind::Missing))
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
                if head.is_some_and(|(head, _)| head.hash == hash) {
                    Ok(())
                } else {
                    Err(error)
                }
            }
            Err(failed) => Err(failed.into()),
        }
    }

    /// Writes rows of one partition, all or none; makes the table where there is none.
    async fn write(&self, what: &Call, operations: Vec<Operation>) -> Result<(), Failed> {
        let first = self.transact(what, &operations).await;
        match first {
            Err(Failed { error, .. }) if error.kind == ErrorKind::Missing => {
                self.create_table().await?;
                self.transact(what, &operations).await
            }
            done => done,
        }
    }

    async fn transact(&self, what: &Call, operations: &[Operation]) -> Result<(), Failed> {
        let base = self.url(TABLE, &[]);
        let body = entity::batch(&base, operations).map_err(|why| Failed {
            error: DriverError::because(what.operation.clone(), ErrorKind::Other, why),
            retried: false,
        })?;
        let body = Bytes::from(body);
        call(what, || async {
            let mut request = Request::new(self.url("$batch", &[]), Method::Post);
            request.insert_header("content-type", entity::BATCH_TYPE);
            request.set_body(body.clone());
            let answer = self.send(request).await?;
            // The outer status is 202 whatever happened inside.
            match entity::batch_failure(answer.body()) {
                None => Ok(()),
                Some((status, body)) => {
                    let headers = answer.headers().clone();
                    Err(failure(RawResponse::from_bytes(
                        StatusCode::from(status),
                        headers,
                        body,
                    )))
                }
            }
        })
        .await
    }

    async fn create_table(&self) -> Result<(), Failed> {
        let what = self.call("create", WRITE);
        let created = call(&what, || async {
            let mut request = Request::new(self.url("Tables", &[]), Method::Post);
            request.insert_header("content-type", "application/json");
            request.insert_header("prefer", "return-no-content");
            request.set_body(Bytes::from(format!(r#"{{"TableName":"{TABLE}"}}"#)));
            self.send(request).await
        });
        match created.await {
            Ok(_) => Ok(()),
            Err(failed) if failed.error.kind == ErrorKind::Conflict => Ok(()),
            Err(failed) => Err(failed),
        }
    }
}

/// Rows whose keys lie between these two.
fn between(issuer: &str, after: &str, before: &str) -> String {
    format!("PartitionKey eq '{issuer}' and RowKey gt '{after}' and RowKey lt '{before}'")
}

/// An answer that is none, with everything the service said.
fn failure(answer: RawResponse) -> azure_core::Error {
    let status = answer.status();
    let error_code = answer
        .headers()
        .get_optional_str(&"x-ms-error-code".into())
        .map(str::to_owned);
    SdkErrorKind::HttpResponse {
        status,
        error_code,
        raw_response: Some(Box::new(answer)),
    }
    .into_error()
}
