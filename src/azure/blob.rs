//! A blob container as a store. Metadata travels with the content in one request, so a label is
//! always that of the content it stands with; it is believed only if its SHA-256 is the content's
//! all the same.

use std::{collections::HashMap, time::SystemTime};

use azure_core::http::{Etag, Url, headers::HeaderName};
use azure_storage_blob::{
    BlobContainerClient, BlobContainerClientOptions,
    models::{
        BlobClientGetPropertiesResultHeaders, BlobContainerClientListBlobsOptions,
        BlockBlobClientUploadOptions,
    },
};
use bytes::Bytes;
use futures::TryStreamExt;

use super::{
    Azure,
    retry::{Call, Failed, LARGE, call},
};
use crate::{
    core::{digest::Digest, journal::change_set::ChainHash, serial::CrlNumber},
    store::{
        Version,
        content::{Content, Label, MOST_OCTETS, Stored},
        error::{DriverError, ErrorKind},
    },
};

/// A container.
#[derive(Clone)]
pub struct Container {
    client: std::sync::Arc<BlobContainerClient>,
    /// Without the signature that may stand in the query.
    name: String,
}

impl std::fmt::Debug for Container {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Container({})", self.name)
    }
}

const READ: &str = "Storage Blob Data Reader on the container";
const WRITE: &str = "Storage Blob Data Contributor on the container";

impl Container {
    /// The container at this URL.
    pub fn new(azure: &Azure, url: &Url) -> Result<Self, DriverError> {
        let (identity, client_options) = azure.storage_access(url);
        let options = BlobContainerClientOptions {
            client_options,
            ..Default::default()
        };
        let mut plain = url.clone();
        plain.set_query(None);
        let name = plain.as_str().trim_end_matches('/').to_owned();
        let client = BlobContainerClient::new(url.clone(), identity, Some(options));
        let client = client.map_err(|error| {
            DriverError::because(format!("use the container {name}"), ErrorKind::Other, error)
        })?;
        Ok(Self {
            client: client.into(),
            name,
        })
    }

    fn call(&self, verb: &str, name: &str, role: &'static str) -> Call {
        Call {
            operation: format!("{verb} {}/{name}", self.name),
            role,
            limit: LARGE,
        }
    }

    pub(crate) async fn get(&self, name: &str) -> Result<Option<Stored>, DriverError> {
        let what = self.call("read", name, READ);
        let blob = self.client.blob_client(name);
        let read = call(&what, || async {
            let answer = blob.download(None).await?;
            let properties = answer.properties;
            // Nothing of ours has so much; as empty content it is refused and replaced like any
            // other garbage. The first answer is about a part, and says in Content-Range how much
            // there is.
            let range = answer
                .headers
                .get_optional_str(&HeaderName::from_static("content-range"));
            let total = range
                .and_then(|range| range.rsplit('/').next()?.parse().ok())
                .or(properties.content_length);
            let is_ours = total.is_none_or(|total| total <= MOST_OCTETS);
            let bytes = if is_ours {
                answer.body.collect().await?
            } else {
                Bytes::new()
            };
            Ok((
                bytes,
                properties.etag,
                properties.metadata,
                properties.last_modified,
            ))
        });
        let (bytes, etag, metadata, modified) = match read.await {
            Ok(read) => read,
            Err(failed) if failed.error.kind == ErrorKind::Missing => return Ok(None),
            Err(failed) => return Err(failed.into()),
        };
        let etag = etag.ok_or_else(|| {
            DriverError::because(what.operation, ErrorKind::Other, "the answer has no ETag")
        })?;
        let sha256 = Digest::of(&bytes);
        let label = label(&metadata).filter(|label| label.sha256 == sha256);
        Ok(Some(Stored {
            bytes: bytes.into(),
            sha256,
            version: Version::At(etag.to_string()),
            label,
            modified: modified.map(SystemTime::from),
        }))
    }

    /// What the writer said of the content, without reading that.
    pub(crate) async fn label(&self, name: &str) -> Result<Option<Label>, DriverError> {
        let blob = self.client.blob_client(name);
        let what = self.call("look at", name, READ);
        let look = call(&what, || async {
            blob.get_properties(None).await?.metadata()
        });
        match look.await {
            Ok(metadata) => Ok(label(&metadata)),
            Err(failed) if failed.error.kind == ErrorKind::Missing => Ok(None),
            Err(failed) => Err(failed.into()),
        }
    }

    /// Removes content; it may be gone already.
    pub(crate) async fn remove(&self, name: &str) -> Result<(), DriverError> {
        let what = self.call("remove", name, WRITE);
        let blob = self.client.blob_client(name);
        match call(&what, || async { blob.delete(None).await }).await {
            Ok(_) => Ok(()),
            Err(failed) if failed.error.kind == ErrorKind::Missing => Ok(()),
            Err(failed) => Err(failed.into()),
        }
    }

    pub(crate) async fn list(&self, folder: &str) -> Result<Vec<String>, DriverError> {
        let prefix = format!("{folder}/");
        let what = self.call("list", &prefix, READ);
        let listed = call(&what, || async {
            let options = BlobContainerClientListBlobsOptions {
                prefix: Some(prefix.clone()),
                ..Default::default()
            };
            let mut pages = self.client.list_blobs(Some(options))?.into_pages();
            let mut names = Vec::new();
            while let Some(page) = pages.try_next().await? {
                names.extend(
                    page.into_model()?
                        .blob_items
                        .into_iter()
                        .filter_map(|item| item.name),
                );
            }
            Ok(names)
        });
        match listed.await {
            Ok(names) => Ok(names
                .iter()
                .filter_map(|name| name.strip_prefix(&prefix))
                .map(str::to_owned)
                .collect()),
            Err(failed) if failed.error.kind == ErrorKind::Missing => Ok(vec![]),
            Err(failed) => Err(failed.into()),
        }
    }

    pub(crate) async fn replace(
        &self,
        name: &str,
        content: Content,
        expected: Version,
    ) -> Result<(), DriverError> {
        match expected {
            Version::Absent => self.create(name, content).await,
            Version::At(etag) => {
                let condition = BlockBlobClientUploadOptions {
                    if_match: Some(etag.into()),
                    ..Default::default()
                };
                self.upload("replace", name, content, condition).await
            }
        }
    }

    pub(crate) async fn create(&self, name: &str, content: Content) -> Result<(), DriverError> {
        let condition = BlockBlobClientUploadOptions {
            if_none_match: Some(Etag::from("*")),
            ..Default::default()
        };
        self.upload("create", name, content, condition).await
    }

    /// Without condition.
    pub(crate) async fn put(&self, name: &str, content: Content) -> Result<(), DriverError> {
        self.upload(
            "write",
            name,
            content,
            BlockBlobClientUploadOptions::default(),
        )
        .await
    }

    async fn upload(
        &self,
        verb: &str,
        name: &str,
        content: Content,
        condition: BlockBlobClientUploadOptions<'_>,
    ) -> Result<(), DriverError> {
        let what = self.call(verb, name, WRITE);
        let options = BlockBlobClientUploadOptions {
            blob_content_type: Some(content.content_type.to_owned()),
            blob_cache_control: content.cache_control.clone(),
            metadata: content.label.as_ref().map(metadata),
            ..condition
        };
        let bytes = content.bytes;
        let blob = self.client.blob_client(name).block_blob_client();
        let upload = call(&what, || async {
            blob.upload(bytes.clone().into(), Some(options.clone()))
                .await
        });
        match upload.await {
            Ok(_) => Ok(()),
            // The answer to an earlier try may have been lost after it took effect.
            Err(Failed {
                error,
                retried: true,
            }) if error.kind == ErrorKind::Conflict => {
                let found = self.get(name).await?;
                if found.is_some_and(|found| found.bytes == bytes) {
                    Ok(())
                } else {
                    Err(error)
                }
            }
            Err(failed) => Err(failed.into()),
        }
    }
}

fn metadata(label: &Label) -> HashMap<String, String> {
    [
        ("number", label.number.to_string()),
        ("seq", label.seq.to_string()),
        ("hash", label.hash.to_string()),
        ("sha256", label.sha256.to_string()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

fn label(metadata: &HashMap<String, String>) -> Option<Label> {
    Some(Label {
        number: CrlNumber::known(metadata.get("number")?.parse().ok()?),
        seq: metadata.get("seq")?.parse().ok()?,
        hash: ChainHash::stored(metadata.get("hash")?),
        sha256: Digest::stored(metadata.get("sha256")?),
    })
}
