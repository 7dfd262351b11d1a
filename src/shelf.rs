//! Stores of named bytes: the shelf, where relying parties fetch CRLs, and the archive, which keeps every one.
//!
//! Contract, for every driver:
//! - `replace` happens only if the content is still the version that was read; otherwise `Conflict`.
//! - `create` never overwrites; `Conflict` where the name is taken.
//! - Readers see the old or the new content, whole; when a write returned, it survives the loss of power.
//! - A label is metadata about exactly the content it was written with; where what was read does not fit, it is absent.
//!
//! The shelf is not trusted: whoever can write there could put anything. What is read from it is believed only
//! under the issuer's own signature.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::{
    azure::blob::Container,
    core::{
        crl::Crl,
        scope::Scope,
        seal::Checked,
        serial::{CrlNumber, hex},
    },
    driver::{self, DriverError, Version},
    local::directory::Directory,
};

/// Where named bytes are kept.
#[derive(Clone, Debug)]
pub enum Store {
    /// A directory on this machine.
    Local(Directory),
    /// A container in Blob storage.
    Azure(Container),
}

/// Most octets of content that is read, and so of content that is written: the full CRL of ten million certificates.
pub const MOST_OCTETS: u64 = 512 << 20;

/// Content as it was found.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The content.
    pub bytes: Vec<u8>,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
    /// What a replace must find.
    pub version: Version,
    /// What the writer said of it; of exactly these bytes.
    pub label: Option<Label>,
    /// When it was written.
    pub modified: Option<SystemTime>,
}

/// Content to be written.
#[derive(Clone, Debug)]
pub struct Content {
    /// The content.
    pub bytes: Bytes,
    /// Metadata, if it is a CRL's DER.
    pub label: Option<Label>,
    /// Its media type, for stores that serve it themselves.
    pub content_type: &'static str,
    /// Its Cache-Control, likewise.
    pub cache_control: Option<String>,
}

/// Metadata of a CRL.
///
/// *Warning:* stored state.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Label {
    /// Its number.
    pub number: u64,
    /// The change set its index was level with.
    pub seq: u64,
    /// The journal's chain up to there, in hexadecimal.
    pub hash: String,
    /// SHA-256 of the CRL's DER, in hexadecimal.
    pub sha256: String,
}

impl Store {
    /// How long what was read may be served without reading again: a file is read at every request, a service is not.
    pub fn keep_for(&self) -> Duration {
        match self {
            Self::Local(_) => Duration::ZERO,
            Self::Azure(_) => Duration::from_secs(5),
        }
    }

    /// Reads.
    pub async fn get(&self, name: &str) -> Result<Option<Stored>, DriverError> {
        match self {
            Self::Local(directory) => blocking(directory, name, |directory, name| directory.get(name)).await,
            Self::Azure(container) => container.get(name).await,
        }
    }

    /// What the writer said of the content, which a service need not send for that. Somebody else's content may stand
    /// under it, so it says what was once published there, and no more.
    async fn label(&self, name: &str) -> Result<Option<Label>, DriverError> {
        match self {
            Self::Local(_) => Ok(self.get(name).await?.and_then(|stored| stored.label)),
            Self::Azure(container) => container.label(name).await,
        }
    }

    /// The names in a folder.
    pub async fn list(&self, folder: &str) -> Result<Vec<String>, DriverError> {
        match self {
            Self::Local(directory) => blocking(directory, folder, |directory, folder| directory.list(folder)).await,
            Self::Azure(container) => container.list(folder).await,
        }
    }

    /// Whether the content is this.
    async fn holds(&self, name: &str, bytes: Bytes) -> Result<bool, DriverError> {
        match self {
            Self::Local(directory) => {
                blocking(directory, name, move |directory, name| directory.holds(name, &bytes)).await
            }
            Self::Azure(container) => Ok(container.get(name).await?.is_some_and(|stored| stored.bytes == bytes)),
        }
    }

    async fn replace(&self, name: &str, content: Content, expected: Version) -> Result<(), DriverError> {
        match self {
            Self::Local(directory) => {
                let replace = move |directory: &Directory, name: &str| directory.replace(name, &content, &expected);
                blocking(directory, name, replace).await
            }
            Self::Azure(container) => container.replace(name, content, expected).await,
        }
    }

    /// Writes a checkpoint.
    pub(crate) async fn put_state(&self, name: &str, bytes: Vec<u8>) -> Result<(), DriverError> {
        let content =
            Content { bytes: bytes.into(), label: None, content_type: "application/octet-stream", cache_control: None };
        self.put(name, content).await
    }

    /// Removes what can be derived from something else at any time.
    pub(crate) async fn remove(&self, name: &str) -> Result<(), DriverError> {
        match self {
            Self::Local(directory) => blocking(directory, name, Directory::remove).await,
            Self::Azure(container) => container.remove(name).await,
        }
    }

    async fn create(&self, name: &str, content: Content) -> Result<(), DriverError> {
        match self {
            Self::Local(directory) => {
                blocking(directory, name, move |directory, name| directory.create(name, &content)).await
            }
            Self::Azure(container) => container.create(name, content).await,
        }
    }

    /// Writes what can be derived from something else at any time, without condition.
    async fn put(&self, name: &str, content: Content) -> Result<(), DriverError> {
        match self {
            Self::Local(directory) => {
                blocking(directory, name, move |directory, name| directory.put(name, &content)).await
            }
            Self::Azure(container) => container.put(name, content).await,
        }
    }
}

/// Runs file work away from the async threads.
async fn blocking<T: Send + 'static>(
    directory: &Directory,
    name: &str,
    work: impl FnOnce(&Directory, &str) -> Result<T, DriverError> + Send + 'static,
) -> Result<T, DriverError> {
    let (directory, name) = (directory.clone(), name.to_owned());
    let doing = format!("reach {name}");
    match driver::blocking(move || work(&directory, &name)).await {
        Ok(result) => result,
        Err(error) => Err(DriverError::because(doing, driver::Trouble::Other, error)),
    }
}

/// The media type of a DER CRL (RFC 2585 §4.2).
const CRL_TYPE: &str = "application/pkix-crl";

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// One issuer's CRLs on the shelf and in the archive.
#[derive(Clone, Debug)]
pub struct Shelf {
    issuer: String,
    shelf: Store,
    archive: Store,
    /// How long caches may keep what a store serves itself.
    cache_age: Duration,
}

/// A store's Cache-Control cannot shrink as the next CRL comes nearer, so it is short.
const LONGEST_CACHE_AGE: Duration = Duration::from_secs(3600);

impl Shelf {
    /// The places of the issuer with this name, whose CRLs are replaced every `refresh`.
    pub fn new(issuer: &str, shelf: Store, archive: Store, refresh: Duration) -> Self {
        Self { issuer: issuer.to_owned(), shelf, archive, cache_age: refresh.min(LONGEST_CACHE_AGE) }
    }

    /// The shelf itself.
    pub fn store(&self) -> &Store {
        &self.shelf
    }

    /// The full CRL that relying parties fetch now.
    pub async fn current(&self) -> Result<Option<Stored>, DriverError> {
        self.current_of(Scope::Full).await
    }

    /// From which change set the full CRL on the shelf was made, as far as that is known without reading it.
    pub async fn current_label(&self) -> Result<Option<Label>, DriverError> {
        self.shelf.label(&self.name(&Scope::Full.file())).await
    }

    /// The CRL of a scope that relying parties fetch now.
    pub async fn current_of(&self, scope: Scope) -> Result<Option<Stored>, DriverError> {
        self.shelf.get(&self.name(&scope.file())).await
    }

    /// Replaces what relying parties fetch, if it is still what was read.
    pub async fn publish(&self, crl: &Checked<Crl>, label: Label, read: Version) -> Result<(), DriverError> {
        let name = self.name(&crl.document().scope.file());
        self.shelf.replace(&name, self.content(crl.shared(), Some(label), CRL_TYPE), read).await
    }

    /// Keeps a CRL for ever.
    pub async fn archive(&self, crl: &Checked<Crl>, label: Label) -> Result<(), DriverError> {
        let name = self.archived(crl.document().scope, crl.document().number);
        self.archive.create(&name, self.content(crl.shared(), Some(label), CRL_TYPE)).await
    }

    /// The CRL of a scope with this number from the archive.
    pub async fn from_archive(&self, scope: Scope, number: CrlNumber) -> Result<Option<Stored>, DriverError> {
        self.archive.get(&self.archived(scope, number)).await
    }

    /// The numbers of a scope's CRLs in the archive.
    pub async fn archived_numbers(&self, scope: Scope) -> Result<Vec<CrlNumber>, DriverError> {
        let (names, suffix) = (self.archive.list(&self.issuer).await?, scope.archived());
        Ok(names.iter().filter_map(|name| name.strip_suffix(&*suffix)?.parse().ok()).map(CrlNumber::known).collect())
    }

    /// Writes bytes to the shelf under the issuer's name and `suffix`, unless they are there already.
    pub async fn keep_derived(
        &self,
        suffix: &str,
        content_type: &'static str,
        bytes: Vec<u8>,
    ) -> Result<(), DriverError> {
        let bytes = Bytes::from(bytes);
        match self.shelf.holds(&self.name(suffix), bytes.clone()).await? {
            true => Ok(()),
            false => self.put_derived(suffix, content_type, bytes).await,
        }
    }

    /// Writes bytes to the shelf under the issuer's name and `suffix`.
    pub async fn put_derived(
        &self,
        suffix: &str,
        content_type: &'static str,
        bytes: impl Into<Bytes>,
    ) -> Result<(), DriverError> {
        self.shelf.put(&self.name(suffix), self.content(bytes.into(), None, content_type)).await
    }

    fn content(&self, bytes: Bytes, label: Option<Label>, content_type: &'static str) -> Content {
        let cache_control = Some(format!("max-age={}, public, no-transform", self.cache_age.as_secs()));
        Content { bytes, label, content_type, cache_control }
    }

    /// The name on the shelf.
    pub fn name(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.issuer)
    }

    fn archived(&self, scope: Scope, number: CrlNumber) -> String {
        format!("{}/{number}{}", self.issuer, scope.archived())
    }
}
