//! Opening configured issuers: locations become drivers.

use std::{path::Path, sync::Arc};

use super::{
    Ca, Key, credential::Credentials, index::Index, shelf::Shelf, state::Checkpoints, store::Store,
};
use crate::{
    azure::{self, Azure, blob::Container, identity::Environment, table::Table, vault::Vault},
    config::{Config, IssuerConfig, Location},
    core::{
        certificate::{Certificate, CertificateError},
        issuer::{Issuer, IssuerError},
    },
    local::{directory::Directory, sqlite::Sqlite},
    store::{
        error::{DriverError, ErrorKind},
        object::Object,
    },
};

/// Why a configured issuer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// Its certificate is not one that may sign CRLs.
    #[error("issuer {name}")]
    Certificate {
        /// The issuer's name.
        name: String,
        #[source]
        error: UnusableCertificate,
    },
    /// Another one has the same key and name.
    #[error(
        "issuers {name} and {other} have the same key and subject, and so are one issuer: two \
         indexes would each tell \
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

/// A place that holds no certificate that can be used.
#[derive(Debug, thiserror::Error)]
#[error("the certificate {place} {why}")]
pub struct UnusableCertificate {
    /// Its file, or its URL in a vault.
    pub place: String,
    #[source]
    pub why: CertificateFault,
}

/// Why a certificate cannot be used; each is a predicate of "the certificate FILE".
#[derive(Debug, thiserror::Error)]
pub enum CertificateFault {
    /// The file cannot be read.
    #[error("cannot be read")]
    Read(#[from] std::io::Error),
    /// What it holds is no certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// It may not sign CRLs.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
}

impl Ca {
    /// Opens every configured issuer, as who the environment says that we are to Azure.
    pub async fn open_as(config: &Config, environment: &Environment) -> Result<Vec<Self>, CaError> {
        let azure = match config.needs_azure() {
            true => Some(Azure::new(environment, azure::transport()?)?),
            false => None,
        };
        Self::open_all(config, azure.as_ref()).await
    }

    /// Opens every configured issuer. `azure` is needed where the configuration names something in
    /// Azure.
    pub async fn open_all(
        config: &Config,
        azure: Option<&Arc<Azure>>,
    ) -> Result<Vec<Self>, CaError> {
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
            let shelf = Shelf::new(
                &issuer.name,
                shelf.clone(),
                archive.clone(),
                issuer.crl.refresh,
            );
            let checkpoints = Checkpoints::new(&issuer.name, state.clone());
            let ca = places.open(issuer, &index, shelf, checkpoints).await?;
            if let Some(same) = cas.iter().find(|one| one.issuer.is_same(&ca.issuer)) {
                return Err(CaError::Twice {
                    name: ca.name,
                    other: same.name.clone(),
                });
            }
            cas.push(ca);
        }
        Ok(cas)
    }
}

/// Turns configured locations into drivers.
struct Places<'a> {
    azure: Option<&'a Arc<Azure>>,
}

impl Places<'_> {
    fn azure(&self) -> Result<&Arc<Azure>, DriverError> {
        self.azure
            .ok_or_else(|| DriverError::new("use Azure without an identity", ErrorKind::Other))
    }

    fn store(&self, location: &Location) -> Result<Store, DriverError> {
        Ok(match location {
            Location::File(path) => Store::Local(Directory::new(path)),
            Location::Azure(url) => Store::Azure(Container::new(self.azure()?, url)?),
        })
    }

    fn object(&self, url: &url::Url, kind: &str) -> Result<(Arc<Vault>, Object), DriverError> {
        let object = Object::parse(url, kind);
        let object = object.ok_or_else(|| {
            DriverError::new(format!("use {url} as one of {kind}"), ErrorKind::Other)
        })?;
        Ok((self.azure()?.vault(&object.vault)?, object))
    }

    async fn open(
        &self,
        config: &IssuerConfig,
        index: &Index,
        shelf: Shelf,
        checkpoints: Checkpoints,
    ) -> Result<Ca, CaError> {
        let name = config.name.clone();
        let (certificate, own_key, place) = match &config.certificate {
            Location::File(path) => (from_file(path), Key::None, path.display().to_string()),
            Location::Azure(url) => {
                let (vault, object) = self.object(url, "certificates")?;
                let found = vault.certificate(&object).await?;
                let certificate = Certificate::from_der(&found.der).map_err(CertificateFault::from);
                (certificate, Key::Vault(vault, found.key), url.to_string())
            }
        };
        let issuer = certificate
            .and_then(|certificate| Ok(Issuer::new(certificate, config.signature)?))
            .map_err(|why| CaError::Certificate {
                name: name.clone(),
                error: UnusableCertificate { place, why },
            })?;
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
        Ok(Ca {
            name,
            issuer,
            index,
            checkpoints,
            shelf,
            credentials,
            rsa_credentials,
            crl,
            ocsp,
            key,
            azure,
        })
    }
}

/// Reads a certificate, PEM or DER.
pub(crate) fn read_certificate(path: &Path) -> Result<Certificate, UnusableCertificate> {
    from_file(path).map_err(|why| UnusableCertificate {
        place: path.display().to_string(),
        why,
    })
}

fn from_file(path: &Path) -> Result<Certificate, CertificateFault> {
    Ok(Certificate::from_pem_or_der(&std::fs::read(path)?)?)
}
