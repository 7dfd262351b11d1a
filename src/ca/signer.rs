//! The CA's key: it signs what was linted and compared, and nothing else.
//!
//! Contract, for every driver: `sign` returns a signature over exactly the compared bytes with the
//! algorithm that they name, ECDSA as DER; or a whole document that a CA elsewhere made; or an
//! error. Whether the key is the certificate's is verified afterwards in any case, and a whole
//! document is linted and compared again.

use std::{path::Path, sync::Arc};

use crate::{
    azure::vault::Vault,
    core::{
        issuer::Issuer,
        key_pair::KeyPair,
        seal::{Compared, Signed, SignedByCa},
    },
    store::{
        error::{DriverError, ErrorKind},
        object::Object,
    },
};

/// Where the CA's key is.
#[derive(Debug)]
pub enum Signer {
    /// In a PEM file.
    Local(KeyPair),
    /// In Azure Key Vault: the key never leaves it.
    Azure(Arc<Vault>, Object),
}

impl Signer {
    /// Opens the PEM file at `path`, which must hold `issuer`'s key.
    pub fn open(path: &Path, issuer: &Issuer) -> Result<Self, DriverError> {
        let operation = || format!("use the CA key {}", path.display());
        let pem = std::fs::read(path).map_err(|error| DriverError::io(operation(), error))?;
        let key = KeyPair::from_pem(&pem, issuer.key())
            .map_err(|error| DriverError::because(operation(), ErrorKind::Other, error))?;
        Ok(Self::Local(key))
    }

    /// Signs.
    pub async fn sign<D: SignedByCa>(
        &self,
        compared: Compared<D>,
    ) -> Result<Signed<D>, DriverError> {
        match self {
            Self::Local(key) => key.sign(compared).map_err(|error| {
                DriverError::because("sign with the CA key", ErrorKind::Other, error)
            }),
            Self::Azure(vault, key) => vault.sign(key, compared).await,
        }
    }
}
