//! The delegated OCSP responder's credential: a certificate from the CA, and its key.
//!
//! It is one PEM text, PKCS #8 key then certificate: the form in which a Key Vault certificate
//! shows as a secret. The publisher makes and renews it; the responder only reads it. It is worth
//! little to a thief: it is short-lived, and signs nothing but OCSP responses.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use crate::{
    azure::vault::Vault,
    core::{
        certificate::{Certificate, CertificateError},
        issuer::Issuer,
        key::KeyError,
        key_pair::{KeyPair, KeyPairError},
        ocsp::{
            Signatory,
            certificate::{self, ResponderCertificateError},
        },
        seal::Proven,
        time::{Timestamp, Window},
    },
    local::directory::write_durably,
    store::{
        error::{DriverError, ErrorKind},
        object::Object,
    },
};

/// Where the credential is kept.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// In a file with mode 0600.
    Local(PathBuf),
    /// In a secret of Azure Key Vault.
    Azure(Arc<Vault>, Object),
}

/// A credential in memory.
#[derive(Debug)]
pub struct Credential {
    /// Its key pair, proven to be that of the certificate.
    pub key: Proven<KeyPair>,
    /// What its answers have in common.
    pub signatory: Signatory,
    /// Its certificate.
    pub certificate: Certificate,
    /// From notBefore to notAfter.
    pub validity: Window,
}

/// Why a PEM text is no credential.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// Its certificate cannot be read.
    #[error("its certificate {0}")]
    Certificate(#[from] CertificateError),
    /// Its certificate's key is of no use.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Its private key is of no use.
    #[error(transparent)]
    Pem(#[from] KeyPairError),
    /// Clients would refuse it.
    #[error("its certificate {0}")]
    Responder(#[from] ResponderCertificateError),
    /// It ends before it begins.
    #[error("its certificate ends before it begins")]
    Validity,
}

impl Credential {
    /// Reads a PEM text and makes sure that clients will accept it for `issuer`.
    pub fn from_pem(pem: &[u8], issuer: &Issuer) -> Result<Self, CredentialError> {
        let certificate = Certificate::from_pem_or_der(pem)?;
        certificate::admit(&certificate, issuer)?;
        let public = certificate.public_key()?;
        let signatory = Signatory::new(&certificate, &public)?;
        let key = KeyPair::from_pem(pem, &public)?.prove(public)?;
        let validity = Window::new(certificate.not_before, certificate.not_after)
            .ok_or(CredentialError::Validity)?;
        Ok(Self {
            key,
            signatory,
            certificate,
            validity,
        })
    }

    /// Whether half its life is gone.
    pub fn is_due(&self, now: Timestamp) -> bool {
        now.since(self.validity.this()) * 2 >= self.validity.length()
    }

    /// Whether it can sign at `now`.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.validity.this() <= now && now < self.validity.next()
    }
}

impl Credentials {
    /// How often to look whether there is another one: a vault is asked rarely, whatever the
    /// traffic.
    pub fn look_every(&self) -> Duration {
        match self {
            Self::Local(_) => Duration::ZERO,
            Self::Azure(..) => Duration::from_secs(300),
        }
    }

    /// The place of another credential of the same issuer: `NAME-SUFFIX`, beside `NAME`.
    pub fn beside(&self, suffix: &str) -> Self {
        match self {
            Self::Local(path) => {
                let text = |part: Option<&std::ffi::OsStr>| {
                    part.unwrap_or_default().to_string_lossy().into_owned()
                };
                let (stem, end) = (text(path.file_stem()), text(path.extension()));
                let dot = if end.is_empty() { "" } else { "." };
                Self::Local(path.with_file_name(format!("{stem}-{suffix}{dot}{end}")))
            }
            Self::Azure(vault, secret) => {
                let name = format!("{}-{suffix}", secret.name);
                Self::Azure(
                    Arc::clone(vault),
                    Object {
                        name,
                        version: None,
                        ..secret.clone()
                    },
                )
            }
        }
    }

    /// The PEM text; `None` where there is none yet.
    pub async fn load(&self) -> Result<Option<Vec<u8>>, DriverError> {
        match self {
            Self::Local(path) => match std::fs::read(path) {
                Ok(pem) => Ok(Some(pem)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(DriverError::io(
                    format!("read the credential {}", path.display()),
                    error,
                )),
            },
            Self::Azure(vault, secret) => Ok(vault.secret(secret).await?.map(String::into_bytes)),
        }
    }

    /// Replaces the PEM text.
    pub async fn save(&self, pem: &[u8]) -> Result<(), DriverError> {
        match self {
            Self::Local(path) => {
                let operation = || format!("write the credential {}", path.display());
                let write = || {
                    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
                    write_durably(path, pem, 0o600, true)
                };
                write().map_err(|error| DriverError::io(operation(), error))
            }
            Self::Azure(vault, secret) => {
                vault
                    .set_secret(secret, &String::from_utf8_lossy(pem))
                    .await
            }
        }
    }

    /// The credential, if there is one and it can be used for `issuer`.
    pub async fn open(&self, issuer: &Issuer) -> Result<Option<Credential>, DriverError> {
        let Some(pem) = self.load().await? else {
            return Ok(None);
        };
        let credential = Credential::from_pem(&pem, issuer);
        credential.map(Some).map_err(|error| {
            DriverError::because("use the OCSP credential", ErrorKind::Other, error)
        })
    }
}
