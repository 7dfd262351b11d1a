//! One (key, subject name) pair that signs CRLs.

use sha1::{Digest as _, Sha1};
use sha2::{Sha256, Sha384, Sha512};

use super::{
    certificate::Certificate,
    der::oid,
    digest::Digest,
    key::{KeyError, PublicKey, SignatureAlgorithm},
    time::Timestamp,
};

/// A CA that may sign CRLs. A renewed certificate with the same key and name is the same issuer.
#[derive(Clone, Debug)]
pub struct Issuer {
    certificate: Certificate,
    key: PublicKey,
    key_id: Vec<u8>,
    algorithm: SignatureAlgorithm,
    hashes: [IssuerHashes; 4],
}

/// What a CertID calls the issuer under one hash algorithm.
#[derive(Clone, Debug)]
struct IssuerHashes {
    algorithm: HashAlgorithm,
    name: Vec<u8>,
    key: Vec<u8>,
}

/// A hash that CertIDs may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the algorithms")]
pub enum HashAlgorithm {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl HashAlgorithm {
    /// From the content octets of an object identifier.
    pub fn from_oid(id: &[u8]) -> Option<Self> {
        match id {
            oid::SHA1 => Some(Self::Sha1),
            oid::SHA256 => Some(Self::Sha256),
            oid::SHA384 => Some(Self::Sha384),
            oid::SHA512 => Some(Self::Sha512),
            _ => None,
        }
    }

    fn hash(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => Sha1::digest(bytes).to_vec(),
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha384 => Sha384::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }
}

/// Why a certificate is not one of an issuer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    /// basicConstraints do not say CA.
    #[error("is not a CA certificate: basicConstraints do not say CA (RFC 5280 §4.2.1.9)")]
    NotCa,
    /// keyUsage lacks cRLSign.
    #[error("must not sign CRLs: its keyUsage lacks cRLSign (RFC 5280 §4.2.1.3)")]
    NoCrlSign,
    /// No subject key identifier.
    #[error("has no subject key identifier, which CRLs must name (RFC 5280 §5.2.1)")]
    NoKeyIdentifier,
    /// An empty subject.
    #[error("has an empty subject, which cannot name the issuer of a CRL (RFC 5280 §5.1.2.3)")]
    EmptySubject,
    /// A key we cannot verify with, or an algorithm that does not fit it.
    #[error("has a key that cannot be used")]
    Key(#[from] KeyError),
}

impl Issuer {
    /// Takes a CA certificate; `algorithm` is the one to sign with, or the key's usual one.
    pub fn new(
        certificate: Certificate,
        algorithm: Option<SignatureAlgorithm>,
    ) -> Result<Self, IssuerError> {
        if !certificate.is_ca {
            return Err(IssuerError::NotCa);
        }
        // RFC 5280 §6.3.3 (f): "verify that the cRLSign bit is set".
        if !certificate
            .key_usage
            .as_ref()
            .is_some_and(|usage| usage.crl_sign())
        {
            return Err(IssuerError::NoCrlSign);
        }
        let key_id = certificate
            .subject_key_id
            .clone()
            .ok_or(IssuerError::NoKeyIdentifier)?;
        if certificate.subject == [0x30, 0] {
            return Err(IssuerError::EmptySubject);
        }
        let key = certificate.public_key()?;
        let algorithm = algorithm.unwrap_or(key.default_algorithm());
        key.admit(algorithm)?;
        let all = [
            HashAlgorithm::Sha1,
            HashAlgorithm::Sha256,
            HashAlgorithm::Sha384,
            HashAlgorithm::Sha512,
        ];
        let hashes = all.map(|algorithm| IssuerHashes {
            algorithm,
            name: algorithm.hash(&certificate.subject),
            key: algorithm.hash(key.bits()),
        });
        Ok(Self {
            certificate,
            key,
            key_id,
            algorithm,
            hashes,
        })
    }

    /// The CA certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The CA's public key.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The CA's subject key identifier.
    pub fn key_id(&self) -> &[u8] {
        &self.key_id
    }

    /// The subject `Name`, byte for byte as in the CA certificate (RFC 5280 §5.1.2.3).
    pub fn name(&self) -> &[u8] {
        &self.certificate.subject
    }

    /// What it signs with.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// SHA-256 of the SubjectPublicKeyInfo: what its journal begins with.
    pub fn spki_hash(&self) -> Digest {
        Digest::of(&self.certificate.spki)
    }

    /// Whether both are one issuer: the same key and name, in whatever certificate.
    pub fn is_same(&self, other: &Self) -> bool {
        self.certificate.spki == other.certificate.spki && self.name() == other.name()
    }

    /// Whether the CA certificate has ended.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.certificate.not_after < now
    }

    /// RFC 6960 §4.1.1: a CertID means us if both hashes are ours.
    pub fn is_named_by(&self, algorithm: HashAlgorithm, name_hash: &[u8], key_hash: &[u8]) -> bool {
        self.hashes.iter().any(|ours| {
            ours.algorithm == algorithm && ours.name == name_hash && ours.key == key_hash
        })
    }

    /// Whether this issuer issued `certificate`: the same name, and its key made the signature.
    pub fn issued(&self, certificate: &Certificate) -> bool {
        certificate.issuer == self.certificate.subject && certificate.is_signed_by(&self.key)
    }
}
