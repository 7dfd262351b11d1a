//! One configured issuer with its stores: what the stories are told about.

use std::path::Path;

use crate::{
    config::{Config, CrlConfig, IssuerConfig, OcspConfig, Storage},
    core::{
        certificate::Certificate,
        issuer::Issuer,
        replica::{Fold, Replica, ReplicaError},
    },
    credential::Credentials,
    driver::DriverError,
    index::Index,
    local::{directory::Directory, sqlite::Sqlite},
    shelf::{Shelf, Store},
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
    /// Where CRLs go.
    pub shelf: Shelf,
    /// Where the OCSP credential is.
    pub credentials: Credentials,
    /// How CRLs are made.
    pub crl: CrlConfig,
    /// How OCSP is answered.
    pub ocsp: OcspConfig,
    key: Option<std::path::PathBuf>,
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

/// How often to start again when the head moves on while the journal is read.
const MOVES: usize = 100;

impl Ca {
    /// Opens every configured issuer.
    pub fn open_all(config: &Config) -> Result<Vec<Self>, CaError> {
        let index = Index::Local(Sqlite::open(&config.storage.index)?);
        config.issuers.iter().map(|issuer| Self::open(issuer, &config.storage, &index)).collect()
    }

    fn open(config: &IssuerConfig, storage: &Storage, index: &Index) -> Result<Self, CaError> {
        let name = config.name.clone();
        let certificate = read_certificate(&config.certificate);
        let issuer = certificate
            .and_then(|certificate| Issuer::new(certificate, config.signature).map_err(|error| error.to_string()));
        let file = config.certificate.display().to_string();
        let issuer = issuer.map_err(|what| CaError::Certificate { name: name.clone(), file, what })?;
        let [shelf, archive] = [&storage.shelf, &storage.archive].map(|path| Store::Local(Directory::new(path)));
        Ok(Self {
            shelf: Shelf::new(&name, shelf, archive),
            name,
            issuer,
            index: index.clone(),
            credentials: Credentials::Local(config.credential.clone()),
            crl: config.crl.clone(),
            ocsp: config.ocsp.clone(),
            key: config.key.clone(),
        })
    }

    /// Opens the CA's key; only publishing needs it.
    pub fn signer(&self) -> Result<Signer, DriverError> {
        match &self.key {
            Some(key) => Signer::open(key, &self.issuer),
            None => Err(DriverError::because(
                format!("sign for issuer {}", self.name),
                crate::driver::Trouble::Missing,
                "no key is configured; give the issuer a key = \"file:…\"",
            )),
        }
    }

    /// Reads the index, or what is new in it since `known`, until it is level with the head.
    pub async fn level(&self, known: Option<&Replica>) -> Result<Replica, LevelError> {
        let distrust = |error| LevelError::Replica { name: self.name.clone(), error };
        let genesis = || Fold::new(&self.issuer.spki_hash());
        let mut fold = known.map_or_else(genesis, Replica::resume);
        for _ in 0..MOVES {
            let Some((head, _)) = self.index.head(&self.name).await? else {
                let empty = Fold::new(&self.issuer.spki_hash());
                let head = crate::core::changeset::Head::genesis(&self.issuer.spki_hash());
                return match known {
                    // The head was there before: the index was emptied under us.
                    Some(known) if known.head().seq > 0 => {
                        Err(distrust(ReplicaError::Behind { head: 0, journal: known.head().seq }))
                    }
                    _ => empty.level(&head).map_err(distrust),
                };
            };
            while fold.seq() < head.seq {
                let sets = self.index.journal(&self.name, fold.seq(), PAGE).await?;
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

/// Reads a certificate, PEM or DER; the error continues "the certificate FILE …".
pub fn read_certificate(path: &Path) -> Result<Certificate, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    Certificate::from_pem_or_der(&bytes).map_err(|error| error.to_string())
}
