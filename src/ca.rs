//! One configured issuer with its stores: what the stories are told about.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    azure::{
        Azure,
        blob::Container,
        table::Table,
        vault::{Object, Vault},
    },
    checkpoints::{self, Checkpoints},
    config::{Config, CrlConfig, IssuerConfig, Location, OcspConfig},
    core::{
        certificate::Certificate,
        changeset::{Head, Linked},
        issuer::Issuer,
        replica::{Fold, Replica, ReplicaError},
    },
    credential::Credentials,
    driver::{DriverError, Trouble},
    index::Index,
    local::{directory::Directory, pem_key::NewKey, sqlite::Sqlite},
    shelf::{Label, Shelf, Store},
    signer::Signer,
};

/// One issuer.
#[derive(Clone, Debug)]
pub struct Ca {
    /// Its name.
    pub name: String,
    /// Its certificate and key.
    pub issuer: Issuer,
    /// What is revoked.
    pub index: Index,
    /// Where the index is kept as a whole, for processes that begin.
    pub checkpoints: Checkpoints,
    /// Where CRLs go.
    pub shelf: Shelf,
    /// Where the OCSP credential is.
    pub credentials: Credentials,
    /// Where the second one is, with an RSA key, if there shall be one.
    pub rsa_credentials: Option<Credentials>,
    /// How CRLs are made.
    pub crl: CrlConfig,
    /// How OCSP is answered.
    pub ocsp: OcspConfig,
    key: Key,
    /// Whose identity commits to an index in Azure.
    azure: Option<Arc<Azure>>,
}

/// Where the CA's key is.
#[derive(Clone, Debug)]
enum Key {
    None,
    File(PathBuf),
    Vault(Arc<Vault>, Object),
}

/// Why a configured issuer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// Its certificate is not one that may sign CRLs.
    #[error("issuer {name}: the certificate {file} {what}")]
    Certificate {
        /// The issuer's name.
        name: String,
        /// The certificate's file.
        file: String,
        /// What is wrong.
        what: String,
    },
    /// Another one has the same key and name.
    #[error(
        "issuers {name} and {other} have the same key and subject, and so are one issuer: two indexes would each tell \
         half of the truth. A renewed certificate takes the place of the old one"
    )]
    Twice {
        /// The issuer's name.
        name: String,
        /// The name of the one before it.
        other: String,
    },
    /// A store cannot be opened.
    #[error(transparent)]
    Driver(#[from] DriverError),
}

/// Why the index cannot be read into memory.
#[derive(Debug, thiserror::Error)]
pub enum LevelError {
    /// It is out of reach.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// It is not to be believed.
    #[error("the index of issuer {name} is not to be trusted: {error}")]
    Replica {
        /// The issuer's name.
        name: String,
        /// Why.
        error: ReplicaError,
    },
}

/// Change sets read at once.
const PAGE: u32 = 1024;

/// Most change sets that are merged at once: a set of one row takes ten times a row's memory.
const MOST_SETS: usize = 1 << 16;

/// How often to start again when the head moves on while the journal is read.
const MOVES: usize = 100;

impl Ca {
    /// Opens every configured issuer. `azure` is needed where the configuration names something in Azure.
    pub async fn open_all(config: &Config, azure: Option<&Arc<Azure>>) -> Result<Vec<Self>, CaError> {
        let places = Places { azure };
        let index = match &config.storage.index {
            Location::File(path) => Index::Local(Sqlite::open(path)?),
            Location::Azure(url) => Index::Azure(Table::new(places.azure()?, url)),
        };
        let shelf = places.store(&config.storage.shelf)?;
        let archive = places.store(&config.storage.archive)?;
        let state = places.store(&config.storage.state)?;
        let mut cas: Vec<Self> = Vec::new();
        for issuer in &config.issuers {
            let shelf = Shelf::new(&issuer.name, shelf.clone(), archive.clone(), issuer.crl.refresh);
            let checkpoints = Checkpoints::new(&issuer.name, state.clone());
            let ca = places.open(issuer, &index, shelf, checkpoints).await?;
            if let Some(same) = cas.iter().find(|one| one.issuer.is_same(&ca.issuer)) {
                return Err(CaError::Twice { name: ca.name, other: same.name.clone() });
            }
            cas.push(ca);
        }
        Ok(cas)
    }

    /// Opens the CA's key; only publishing needs it.
    pub fn signer(&self) -> Result<Signer, DriverError> {
        match &self.key {
            Key::File(key) => Signer::open(key, &self.issuer),
            Key::Vault(vault, key) => Ok(Signer::Azure(Arc::clone(vault), key.clone())),
            Key::None => Err(DriverError::because(
                format!("sign for issuer {}", self.name),
                Trouble::Missing,
                "no key is configured; give the issuer a key",
            )),
        }
    }

    /// Where credentials are, the usual one first, and the kind of key that ours have.
    pub fn credentials(&self) -> impl Iterator<Item = (NewKey, &Credentials)> {
        let second = self.rsa_credentials.as_ref().map(|place| (NewKey::Rsa2048, place));
        std::iter::once((self.ocsp.credential_key, &self.credentials)).chain(second)
    }

    /// Who commits, where the index knows: the identity towards Azure.
    pub async fn actor(&self) -> Result<Option<String>, DriverError> {
        match (&self.index, &self.azure) {
            (Index::Azure(table), Some(azure)) if table.is_by_identity() => azure.actor().await.map(Some),
            _ => Ok(None),
        }
    }

    /// Whether a CRL that was made from this point of a journal was made from ours. An index that was lost, emptied or
    /// put back from a backup does not know it.
    pub async fn remembers(&self, label: &Label) -> Result<bool, DriverError> {
        let Some(before) = label.seq.checked_sub(1) else { return Ok(true) };
        let found = self.index.journal(&self.name, before, 1).await?;
        Ok(found.first().is_some_and(|linked| linked.hash.to_string() == label.hash))
    }

    /// The next change sets up to `head`: so many that merging them costs in proportion to what they are, and no more
    /// than is good for memory.
    async fn read_on(&self, fold: &Fold, head: u64) -> Result<Vec<Linked>, DriverError> {
        let (mut sets, mut rows, mut seq) = (vec![], 0, fold.seq());
        while seq < head && rows <= fold.base_len() / 8 && sets.len() < MOST_SETS {
            let page = self.index.journal(&self.name, seq, PAGE).await?;
            let Some(last) = page.last() else { break };
            seq = last.set.seq;
            rows += page.iter().map(|linked| linked.set.changes.len()).sum::<usize>();
            sets.extend(page);
        }
        Ok(sets)
    }

    /// Reads the index, or what is new in it since `known`, until it is level with the head.
    pub async fn level(&self, known: Option<&Replica>) -> Result<Replica, LevelError> {
        let distrust = |error| LevelError::Replica { name: self.name.clone(), error };
        let genesis = || Fold::new(&self.issuer.spki_hash());
        let mut fold = match known {
            Some(known) => known.resume(),
            None => checkpoints::load(self).await.unwrap_or_else(genesis),
        };
        for _ in 0..MOVES {
            let Some((head, _)) = self.index.head(&self.name).await? else {
                let empty = Fold::new(&self.issuer.spki_hash());
                let head = Head::genesis(&self.issuer.spki_hash());
                return match known {
                    // The head was there before: the index was emptied under us.
                    Some(known) if known.head().seq > 0 => {
                        Err(distrust(ReplicaError::Behind { head: 0, journal: known.head().seq }))
                    }
                    _ => empty.level(&head).map_err(distrust),
                };
            };
            if head.seq < fold.seq() {
                // What was read before this head was read is newer than it: the index went back.
                return Err(distrust(ReplicaError::Behind { head: head.seq, journal: fold.seq() }));
            }
            while fold.seq() < head.seq {
                let sets = self.read_on(&fold, head.seq).await?;
                if sets.is_empty() {
                    return Err(distrust(ReplicaError::Behind { head: head.seq, journal: fold.seq() }));
                }
                fold.read(&sets).map_err(distrust)?;
            }
            if fold.seq() == head.seq {
                return fold.level(&head).map_err(distrust);
            }
            // Commits came between reading the head and the journal; look at the head again.
        }
        let error = ReplicaError::Behind { head: 0, journal: fold.seq() };
        Err(distrust(error))
    }
}

/// Turns configured locations into drivers.
struct Places<'a> {
    azure: Option<&'a Arc<Azure>>,
}

impl Places<'_> {
    fn azure(&self) -> Result<&Arc<Azure>, DriverError> {
        self.azure.ok_or_else(|| DriverError::new("use Azure without an identity", Trouble::Other))
    }

    fn store(&self, location: &Location) -> Result<Store, DriverError> {
        Ok(match location {
            Location::File(path) => Store::Local(Directory::new(path)),
            Location::Azure(url) => Store::Azure(Container::new(self.azure()?, url)?),
        })
    }

    fn object(&self, url: &url::Url, kind: &str) -> Result<(Arc<Vault>, Object), DriverError> {
        let object = Object::parse(url, kind);
        let object = object.ok_or_else(|| DriverError::new(format!("use {url} as one of {kind}"), Trouble::Other))?;
        Ok((self.azure()?.vault(&object.vault)?, object))
    }

    async fn open(
        &self,
        config: &IssuerConfig,
        index: &Index,
        shelf: Shelf,
        checkpoints: Checkpoints,
    ) -> Result<Ca, CaError> {
        let (certificate, own_key, file) = match &config.certificate {
            Location::File(path) => (read_certificate(path), Key::None, path.display().to_string()),
            Location::Azure(url) => {
                let (vault, object) = self.object(url, "certificates")?;
                let found = vault.certificate(&object).await?;
                let certificate = Certificate::from_der(&found.der).map_err(|error| error.to_string());
                (certificate, Key::Vault(vault, found.key), url.to_string())
            }
        };
        let issuer = certificate
            .and_then(|certificate| Issuer::new(certificate, config.signature).map_err(|error| error.to_string()));
        let name = config.name.clone();
        let issuer = issuer.map_err(|what| CaError::Certificate { name: name.clone(), file, what })?;
        let key = match &config.key {
            None => own_key,
            Some(Location::File(path)) => Key::File(path.clone()),
            Some(Location::Azure(url)) => {
                let (vault, object) = self.object(url, "keys")?;
                Key::Vault(vault, object)
            }
        };
        let credentials = match &config.credential {
            Location::File(path) => Credentials::Local(path.clone()),
            Location::Azure(url) => {
                let (vault, object) = self.object(url, "secrets")?;
                Credentials::Azure(vault, object)
            }
        };
        let rsa_credentials = config.ocsp.rsa_too.then(|| credentials.beside("rsa"));
        let (index, azure) = (index.clone(), self.azure.cloned());
        let (crl, ocsp) = (config.crl.clone(), config.ocsp.clone());
        Ok(Ca { name, issuer, index, checkpoints, shelf, credentials, rsa_credentials, crl, ocsp, key, azure })
    }
}

/// Reads a certificate, PEM or DER; the error continues "the certificate FILE …".
pub fn read_certificate(path: &Path) -> Result<Certificate, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    Certificate::from_pem_or_der(&bytes).map_err(|error| error.to_string())
}
