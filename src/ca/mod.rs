//! One configured issuer with its roles: what the stories are told about.

pub(crate) mod credential;
pub(crate) mod index;
pub(crate) mod open;
pub(crate) mod shelf;
pub(crate) mod signer;
pub(crate) mod state;
pub(crate) mod store;

use std::{path::PathBuf, sync::Arc};

use crate::{
    azure::{Azure, vault::Vault},
    config::{CrlConfig, OcspConfig},
    core::{issuer::Issuer, key_pair::NewKey},
    store::{
        error::{DriverError, ErrorKind},
        object::Object,
    },
};

use self::{
    credential::Credentials, index::Index, shelf::Shelf, signer::Signer, state::Checkpoints,
};

/// One issuer.
#[derive(Clone, Debug)]
pub struct Ca {
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

/// Where a credential of an issuer is.
#[derive(Clone, Copy, Debug)]
pub struct CredentialPlace<'a> {
    /// There.
    pub place: &'a Credentials,
    /// The kind of key that is made for it.
    pub key: NewKey,
}

/// Where the CA's key is.
#[derive(Clone, Debug)]
enum Key {
    None,
    File(PathBuf),
    Vault(Arc<Vault>, Object),
}

impl Ca {
    /// Opens the CA's key; only publishing needs it.
    pub fn signer(&self) -> Result<Signer, DriverError> {
        match &self.key {
            Key::File(key) => Signer::open(key, &self.issuer),
            Key::Vault(vault, key) => Ok(Signer::Azure(Arc::clone(vault), key.clone())),
            Key::None => Err(DriverError::because(
                format!("sign for issuer {}", self.name),
                ErrorKind::Missing,
                "no key is configured; give the issuer a key",
            )),
        }
    }

    /// Where credentials are, the usual one first.
    pub fn credentials(&self) -> impl Iterator<Item = CredentialPlace<'_>> {
        let first = CredentialPlace {
            place: &self.credentials,
            key: self.ocsp.credential_key,
        };
        let second = self.rsa_credentials.as_ref().map(|place| CredentialPlace {
            place,
            key: NewKey::Rsa2048,
        });
        std::iter::once(first).chain(second)
    }

    /// Who commits, where the index knows: the identity towards Azure.
    pub async fn actor(&self) -> Result<Option<String>, DriverError> {
        match (&self.index, &self.azure) {
            (Index::Azure(table), Some(azure)) if table.is_by_identity() => {
                azure.actor().await.map(Some)
            }
            _ => Ok(None),
        }
    }
}
