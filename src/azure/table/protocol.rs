//! The service's protocol: one row, a page of rows, a transaction, the table itself.

use azure_core::{
    Bytes,
    error::ErrorKind as SdkErrorKind,
    http::{Context, Method, PipelineSendOptions, RawResponse, Request, StatusCode, Url},
};
use serde_json::{Map, Value};

use super::{READ, TABLE, Table, WRITE};
use crate::{
    azure::{
        entity::{self, Operation},
        retry::{Call, Failed, SMALL, call},
    },
    store::{
        Version, Versioned,
        error::{DriverError, ErrorKind},
    },
};

/// A page of a query, and where the next begins.
pub(super) struct Page {
    pub(super) rows: Vec<Map<String, Value>>,
    pub(super) next: Option<Vec<(String, String)>>,
}

impl Table {
    pub(super) fn call(&self, operation: &str, role: &'static str) -> Call {
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
    pub(super) async fn point(
        &self,
        operation: &str,
        issuer: &str,
        key: &str,
    ) -> Result<Option<Versioned<Map<String, Value>>>, DriverError> {
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
            (Ok(value), Some(etag)) => Ok(Some(Versioned {
                value,
                version: Version::At(etag),
            })),
            _ => Err(DriverError::because(
                what.operation,
                ErrorKind::Other,
                "the answer is no row with an ETag",
            )),
        }
    }

    pub(super) async fn page(
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

    /// Writes rows of one partition, all or none; makes the table where there is none.
    pub(super) async fn write(
        &self,
        what: &Call,
        operations: Vec<Operation>,
    ) -> Result<(), Failed> {
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
