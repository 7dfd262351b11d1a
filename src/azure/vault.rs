//! Key Vault: CA certificates, signatures with CA keys, and the OCSP credential as a secret.
//!
//! In scope: certificate to key identifier, digest to signature, pinned versions. What Key Vault
//! cannot do: sign outside a key's validity, which for a certificate's key is the certificate's (so
//! a CA's last CRL is signed before).

use std::sync::Arc;

use azure_core::{
    credentials::TokenCredential,
    http::{ClientOptions, RequestContent, Url},
};
use azure_security_keyvault_certificates::{
    CertificateClient, CertificateClientOptions, models::CertificateClientGetCertificateOptions,
};
use azure_security_keyvault_keys::{
    KeyClient, KeyClientOptions,
    models::{KeyClientSignOptions, SignParameters, SignatureAlgorithm as Algorithm},
};
use azure_security_keyvault_secrets::{
    SecretClient, SecretClientOptions, models::SetSecretParameters,
};
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::retry::{Call, SMALL, call};
use crate::{
    core::{
        der::write,
        key::SignatureAlgorithm::{
            self, Es256, Es384, Es512, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512,
        },
        seal::{Compared, Signed, SignedByCa, SignerAnswer},
    },
    store::{
        error::{DriverError, ErrorKind},
        object::Object,
    },
};

/// One vault.
pub struct Vault {
    address: String,
    certificates: CertificateClient,
    keys: KeyClient,
    secrets: SecretClient,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vault({})", self.address)
    }
}

/// A certificate in a vault.
#[derive(Debug)]
pub struct VaultCertificate {
    /// DER.
    pub der: Vec<u8>,
    /// The key of exactly this version.
    pub key: Object,
}

impl Vault {
    pub(super) fn new(
        address: &str,
        identity: Arc<dyn TokenCredential>,
        client_options: ClientOptions,
    ) -> Result<Self, DriverError> {
        let operation = || format!("use the vault {address}");
        let failed =
            |error: azure_core::Error| DriverError::because(operation(), ErrorKind::Other, error);
        let options = client_options.clone();
        let certificates = CertificateClientOptions {
            client_options: options.clone(),
            ..Default::default()
        };
        let keys = KeyClientOptions {
            client_options: options,
            ..Default::default()
        };
        let secrets = SecretClientOptions {
            client_options,
            ..Default::default()
        };
        Ok(Self {
            address: address.to_owned(),
            certificates: CertificateClient::new(
                address,
                Arc::clone(&identity),
                Some(certificates),
            )
            .map_err(failed)?,
            keys: KeyClient::new(address, Arc::clone(&identity), Some(keys)).map_err(failed)?,
            secrets: SecretClient::new(address, identity, Some(secrets)).map_err(failed)?,
        })
    }

    /// Reads a certificate; its key is pinned to the version that belongs to it.
    pub async fn certificate(&self, object: &Object) -> Result<VaultCertificate, DriverError> {
        let operation = format!("read the certificate {}", object.url());
        let what = Call {
            operation: operation.clone(),
            role: "Key Vault Reader on the certificate",
            limit: SMALL,
        };
        let found = call(&what, || async {
            let certificate_version = object.version.clone();
            let options = CertificateClientGetCertificateOptions {
                certificate_version,
                ..Default::default()
            };
            self.certificates
                .get_certificate(&object.name, Some(options))
                .await?
                .into_model()
        });
        let found = found.await?;
        let key = found
            .kid
            .as_deref()
            .and_then(|kid| Object::parse(&Url::parse(kid).ok()?, "keys"));
        match (found.cer, key) {
            (Some(der), Some(key)) => Ok(VaultCertificate { der, key }),
            _ => Err(DriverError::because(
                operation,
                ErrorKind::Other,
                "the answer lacks cer or kid",
            )),
        }
    }

    /// Signs with a key in the vault.
    pub async fn sign<D: SignedByCa>(
        &self,
        key: &Object,
        compared: Compared<D>,
    ) -> Result<Signed<D>, DriverError> {
        let algorithm = compared.algorithm();
        let operation = format!("sign with the key {}", key.url());
        let what = Call {
            operation: operation.clone(),
            role: "Key Vault Crypto User on the key",
            limit: SMALL,
        };
        let digest = digest(algorithm, compared.to_be_signed());
        let signed = call(&what, || async {
            let parameters = SignParameters {
                algorithm: Some(name(algorithm)),
                value: Some(digest.clone()),
            };
            let options = KeyClientSignOptions {
                key_version: key.version.clone(),
                ..Default::default()
            };
            let content: RequestContent<SignParameters> = parameters.try_into()?;
            self.keys
                .sign(&key.name, content, Some(options))
                .await?
                .into_model()
        });
        let signature = signed.await?.result;
        let signature = signature.and_then(|raw| signature_value(algorithm, raw));
        let signature = signature.ok_or_else(|| {
            DriverError::because(operation, ErrorKind::Other, "the answer has no signature")
        })?;
        Ok(compared.answered(SignerAnswer::Signature(signature)))
    }

    /// Reads a secret's text.
    pub async fn secret(&self, object: &Object) -> Result<Option<String>, DriverError> {
        let operation = format!("read the secret {}", object.url());
        let what = Call {
            operation,
            role: "Key Vault Secrets User on the secret",
            limit: SMALL,
        };
        let found = call(&what, || async {
            self.secrets
                .get_secret(&object.name, None)
                .await?
                .into_model()
        });
        match found.await {
            Ok(found) => Ok(found.value),
            Err(failed) if failed.error.kind == ErrorKind::Missing => Ok(None),
            Err(failed) => Err(failed.into()),
        }
    }

    /// Makes a new version of a secret.
    pub async fn set_secret(&self, object: &Object, text: &str) -> Result<(), DriverError> {
        let operation = format!("write the secret {}", object.url());
        let what = Call {
            operation,
            role: "Key Vault Secrets Officer on the secret",
            limit: SMALL,
        };
        let set = call(&what, || async {
            let parameters = SetSecretParameters {
                // The form in which a Key Vault certificate shows as a secret.
                content_type: Some("application/x-pem-file".to_owned()),
                value: Some(text.to_owned()),
                ..Default::default()
            };
            let content: RequestContent<SetSecretParameters> = parameters.try_into()?;
            self.secrets.set_secret(&object.name, content, None).await
        });
        set.await.map(|_| ()).map_err(DriverError::from)
    }
}

fn name(algorithm: SignatureAlgorithm) -> Algorithm {
    match algorithm {
        Rs256 => Algorithm::Rs256,
        Rs384 => Algorithm::Rs384,
        Rs512 => Algorithm::Rs512,
        Ps256 => Algorithm::Ps256,
        Ps384 => Algorithm::Ps384,
        Ps512 => Algorithm::Ps512,
        Es256 => Algorithm::Es256,
        Es384 => Algorithm::Es384,
        Es512 => Algorithm::Es512,
    }
}

fn digest(algorithm: SignatureAlgorithm, message: &[u8]) -> Vec<u8> {
    match algorithm {
        Rs256 | Ps256 | Es256 => Sha256::digest(message).to_vec(),
        Rs384 | Ps384 | Es384 => Sha384::digest(message).to_vec(),
        Rs512 | Ps512 | Es512 => Sha512::digest(message).to_vec(),
    }
}

/// Key Vault answers ECDSA signatures as r ‖ s (RFC 7518 §3.4); certificates want a SEQUENCE of two
/// INTEGERs (RFC 3279 §2.2.3), each in the fewest octets.
fn signature_value(algorithm: SignatureAlgorithm, raw: Vec<u8>) -> Option<Vec<u8>> {
    let half = match algorithm {
        Es256 => 32,
        Es384 => 48,
        Es512 => 66,
        _ => return Some(raw).filter(|raw| !raw.is_empty()),
    };
    let (r, s) = (raw.len() == 2 * half).then(|| raw.split_at(half))?;
    Some(write::sequence(&[&write::unsigned(r), &write::unsigned(s)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_signatures_become_minimal_der() {
        let mut raw = [0; 64];
        raw[31] = 0x7f;
        raw[32] = 0x80;
        let der = signature_value(Es256, raw.to_vec()).unwrap();
        assert_eq!(der[..6], [0x30, 38, 2, 1, 0x7f, 2]);
        assert_eq!(der[6..9], [33, 0, 0x80]);
        assert_eq!(signature_value(Es256, vec![1; 63]), None);
        assert_eq!(signature_value(Rs256, vec![1; 256]), Some(vec![1; 256]));
    }
}
