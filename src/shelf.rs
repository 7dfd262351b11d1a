//! Stores of named bytes: the shelf, where relying parties fetch CRLs, and the archive, which keeps every one.
//!
//! Contract, for every driver:
//! - `replace` happens only if the content is still the version that was read; otherwise `Conflict`.
//! - `create` never overwrites; `Conflict` where the name is taken.
//! - Readers see the old or the new content, whole; when a write returned, it survives the loss of power.
//! - A label is metadata about exactly the content it was written with; where that is in doubt, it is absent.
//!
//! The shelf is not trusted: whoever can write there could put anything. What is read from it is believed only
//! under the issuer's own signature.

use std::time::SystemTime;

use crate::{
    core::{crl::Crl, seal::Checked, serial::CrlNumber},
    driver::{DriverError, Version},
    local::directory::Directory,
};

/// Where named bytes are kept.
#[derive(Clone, Debug)]
pub enum Store {
    /// A directory on this machine.
    Local(Directory),
}

/// Content as it was found.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The content.
    pub bytes: Vec<u8>,
    /// What a replace must find.
    pub version: Version,
    /// What the writer said of it.
    pub label: Option<Label>,
    /// When it was written.
    pub modified: Option<SystemTime>,
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
    /// Reads.
    pub async fn get(&self, name: &str) -> Result<Option<Stored>, DriverError> {
        match self {
            Self::Local(directory) => blocking(directory, name, |directory, name| directory.get(name)).await,
        }
    }

    /// The names in a folder.
    pub async fn list(&self, folder: &str) -> Result<Vec<String>, DriverError> {
        match self {
            Self::Local(directory) => blocking(directory, folder, |directory, folder| directory.list(folder)).await,
        }
    }

    async fn replace(&self, name: &str, bytes: Vec<u8>, label: Label, expected: Version) -> Result<(), DriverError> {
        match self {
            Self::Local(directory) => {
                let replace =
                    move |directory: &Directory, name: &str| directory.replace(name, &bytes, Some(&label), &expected);
                blocking(directory, name, replace).await
            }
        }
    }

    async fn create(&self, name: &str, bytes: Vec<u8>, label: Label) -> Result<(), DriverError> {
        match self {
            Self::Local(directory) => {
                let create = move |directory: &Directory, name: &str| directory.create(name, &bytes, Some(&label));
                blocking(directory, name, create).await
            }
        }
    }

    /// Writes what can be derived from something else at any time: no condition, no label.
    pub async fn put_derived(&self, name: &str, bytes: Vec<u8>) -> Result<(), DriverError> {
        match self {
            Self::Local(directory) => {
                let put = move |directory: &Directory, name: &str| {
                    let found = directory.get(name)?.map_or(Version::Absent, |stored| stored.version);
                    directory.replace(name, &bytes, None, &found)
                };
                blocking(directory, name, put).await
            }
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
    match tokio::task::spawn_blocking(move || work(&directory, &name)).await {
        Ok(result) => result,
        Err(error) => Err(DriverError::because(doing, crate::driver::Trouble::Other, error)),
    }
}

/// One issuer's CRLs on the shelf and in the archive.
#[derive(Clone, Debug)]
pub struct Shelf {
    issuer: String,
    shelf: Store,
    archive: Store,
}

impl Shelf {
    /// The places of the issuer with this name.
    pub fn new(issuer: &str, shelf: Store, archive: Store) -> Self {
        Self { issuer: issuer.to_owned(), shelf, archive }
    }

    /// The shelf itself.
    pub fn store(&self) -> &Store {
        &self.shelf
    }

    /// What relying parties fetch now.
    pub async fn current(&self) -> Result<Option<Stored>, DriverError> {
        self.shelf.get(&self.name(".crl")).await
    }

    /// Replaces what relying parties fetch, if it is still what was read.
    pub async fn publish(&self, crl: &Checked<Crl>, label: Label, read: Version) -> Result<(), DriverError> {
        self.shelf.replace(&self.name(".crl"), crl.bytes().to_vec(), label, read).await
    }

    /// Keeps a CRL for ever.
    pub async fn archive(&self, crl: &Checked<Crl>, label: Label) -> Result<(), DriverError> {
        self.archive.create(&self.archived(crl.document().number), crl.bytes().to_vec(), label).await
    }

    /// The CRL with this number from the archive.
    pub async fn from_archive(&self, number: CrlNumber) -> Result<Option<Stored>, DriverError> {
        self.archive.get(&self.archived(number)).await
    }

    /// The numbers of the CRLs in the archive.
    pub async fn archived_numbers(&self) -> Result<Vec<CrlNumber>, DriverError> {
        let names = self.archive.list(&self.issuer).await?;
        Ok(names.iter().filter_map(|name| name.strip_suffix(".crl")?.parse().ok()).map(CrlNumber::known).collect())
    }

    /// Writes `content` to the shelf under the issuer's name and `suffix`, unless it is there already.
    pub async fn keep_derived(&self, suffix: &str, content: Vec<u8>) -> Result<(), DriverError> {
        let name = self.name(suffix);
        match self.shelf.get(&name).await? {
            Some(stored) if stored.bytes == content => Ok(()),
            _ => self.shelf.put_derived(&name, content).await,
        }
    }

    /// The name on the shelf.
    pub fn name(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.issuer)
    }

    fn archived(&self, number: CrlNumber) -> String {
        format!("{}/{number}.crl", self.issuer)
    }
}
