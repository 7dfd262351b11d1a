//! Public keys and signature algorithms: which exist, how they are named, and verification.

use std::fmt;

use aws_lc_rs::signature as lc;
use sha1::{Digest, Sha1};

use super::der::{DerError, Reader, tag, write};

/// A signature algorithm, named as RFC 7518 and Azure Key Vault name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the algorithms")]
pub enum SignatureAlgorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
}

use SignatureAlgorithm::{Es256, Es384, Es512, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};

/// Kind and size of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA with this many bits, 2048 to 4096.
    Rsa(usize),
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
}

/// A public key that can verify signatures on CRLs and OCSP responses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    kind: KeyKind,
    /// `subjectPublicKey` without its unused-bits octet: RSAPublicKey, or an uncompressed point.
    bits: Vec<u8>,
    /// Whether the SubjectPublicKeyInfo says id-RSASSA-PSS, which forbids PKCS #1 v1.5 (RFC 4055
    /// §1.2).
    pss_only: bool,
}

/// Why a key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Malformed.
    #[error("the public key is malformed")]
    Der(#[from] DerError),
    /// Neither RSA nor a NIST curve.
    #[error("the key is neither RSA nor on P-256, P-384 or P-521")]
    Unsupported,
    /// RSA outside 2048 to 4096 bits.
    #[error("an RSA key of {0} bits; 2048 to 4096 are supported")]
    RsaSize(usize),
    /// The algorithm needs another kind of key.
    #[error("{0} cannot be used with {1}")]
    Mismatch(SignatureAlgorithm, KeyKind),
}

const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
pub(crate) const RSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10];
const MGF1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 8];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const P384: &[u8] = &[0x2b, 0x81, 4, 0, 0x22];
const P521: &[u8] = &[0x2b, 0x81, 4, 0, 0x23];

impl SignatureAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 9] = [
        Rs256, Rs384, Rs512, Ps256, Ps384, Ps512, Es256, Es384, Es512,
    ];

    /// Its name in RFC 7518.
    pub fn name(self) -> &'static str {
        match self {
            Rs256 => "RS256",
            Rs384 => "RS384",
            Rs512 => "RS512",
            Ps256 => "PS256",
            Ps384 => "PS384",
            Ps512 => "PS512",
            Es256 => "ES256",
            Es384 => "ES384",
            Es512 => "ES512",
        }
    }

    /// The algorithm with this name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// Its `AlgorithmIdentifier`.
    pub fn identifier(self) -> Vec<u8> {
        let oid = |id: &[u8]| write::value(tag::OID, &[id]);
        let null: &[u8] = &[tag::NULL, 0];
        match self {
            // RFC 4055 §5: parameters are NULL, not absent.
            Rs256 | Rs384 | Rs512 => {
                let last = [(Rs256, 11), (Rs384, 12), (Rs512, 13)]
                    .into_iter()
                    .find(|(is, _)| *is == self);
                let mut id = RSA.to_vec();
                id[8] = last.map_or(0, |(_, last)| last);
                write::sequence(&[&oid(&id), null])
            }
            // RFC 4055 §3.1: the hash, MGF1 with the same hash, and a salt as long as the hash.
            Ps256 | Ps384 | Ps512 => {
                let (hash, salt) = match self {
                    Ps256 => (super::der::oid::SHA256, 32),
                    Ps384 => (super::der::oid::SHA384, 48),
                    _ => (super::der::oid::SHA512, 64),
                };
                let hash = write::sequence(&[&oid(hash), null]);
                let mask = write::sequence(&[&oid(MGF1), &hash]);
                let parameters = write::sequence(&[
                    &write::value(tag::context(0), &[&hash]),
                    &write::value(tag::context(1), &[&mask]),
                    &write::value(tag::context(2), &[&write::integer(salt)]),
                ]);
                write::sequence(&[&oid(RSA_PSS), &parameters])
            }
            // RFC 5758 §3.2: parameters are absent.
            Es256 => write::sequence(&[&oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2])]),
            Es384 => write::sequence(&[&oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3])]),
            Es512 => write::sequence(&[&oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4])]),
        }
    }

    /// The algorithm with exactly this `AlgorithmIdentifier`.
    pub fn from_identifier(identifier: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.identifier() == identifier)
    }
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa(bits) => write!(f, "RSA-{bits}"),
            Self::P256 => f.write_str("P-256"),
            Self::P384 => f.write_str("P-384"),
            Self::P521 => f.write_str("P-521"),
        }
    }
}

impl PublicKey {
    /// From a `SubjectPublicKeyInfo`.
    pub fn from_spki(spki: &[u8]) -> Result<Self, KeyError> {
        let mut outer = Reader::new(spki).sequence("SubjectPublicKeyInfo is not a SEQUENCE")?;
        let mut algorithm = outer.sequence("the key's algorithm is not a SEQUENCE")?;
        let id = algorithm.content(tag::OID, "the key's algorithm has no object identifier")?;
        let bits = outer.content(tag::BIT_STRING, "the key is not a BIT STRING")?;
        let bits = bits
            .strip_prefix(&[0])
            .ok_or(outer.error("the key is not whole octets"))?
            .to_vec();
        let kind = match id {
            RSA | RSA_PSS => KeyKind::Rsa(rsa_bits(&bits)?),
            EC => match algorithm.content(tag::OID, "the curve is not named")? {
                P256 => KeyKind::P256,
                P384 => KeyKind::P384,
                P521 => KeyKind::P521,
                _ => return Err(KeyError::Unsupported),
            },
            _ => return Err(KeyError::Unsupported),
        };
        match kind {
            KeyKind::Rsa(size) if !(2048..=4096).contains(&size) => Err(KeyError::RsaSize(size)),
            _ => Ok(Self {
                kind,
                bits,
                pss_only: id == RSA_PSS,
            }),
        }
    }

    /// Kind and size.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// `subjectPublicKey` without tag, length and unused-bits octet: what key hashes are taken of.
    pub fn bits(&self) -> &[u8] {
        &self.bits
    }

    /// SHA-1 of the key's bits: a key identifier (RFC 5280 §4.2.1.2, method 1), and the KeyHash
    /// that names a responder (RFC 6960 §4.2.1).
    pub(crate) fn sha1(&self) -> [u8; 20] {
        Sha1::digest(&self.bits).into()
    }

    /// The algorithm used when nobody chose one (RFC 5758 §3.2 pairs curves with hashes).
    pub fn default_algorithm(&self) -> SignatureAlgorithm {
        match self.kind {
            KeyKind::Rsa(_) if self.pss_only => Ps256,
            KeyKind::Rsa(_) => Rs256,
            KeyKind::P256 => Es256,
            KeyKind::P384 => Es384,
            KeyKind::P521 => Es512,
        }
    }

    /// Whether `algorithm` fits this key.
    pub fn admit(&self, algorithm: SignatureAlgorithm) -> Result<(), KeyError> {
        let fits = match algorithm {
            Rs256 | Rs384 | Rs512 => matches!(self.kind, KeyKind::Rsa(_)) && !self.pss_only,
            Ps256 | Ps384 | Ps512 => matches!(self.kind, KeyKind::Rsa(_)),
            Es256 => self.kind == KeyKind::P256,
            Es384 => self.kind == KeyKind::P384,
            Es512 => self.kind == KeyKind::P521,
        };
        if fits {
            Ok(())
        } else {
            Err(KeyError::Mismatch(algorithm, self.kind))
        }
    }

    /// Whether `signature` over `message` is this key's. Other software pairs curves and hashes as
    /// it likes, and what it signed is as genuine.
    pub fn verifies(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        let verification: &'static dyn lc::VerificationAlgorithm = match (algorithm, self.kind) {
            (Rs256 | Rs384 | Rs512, KeyKind::Rsa(_)) if self.pss_only => return false,
            (Rs256, KeyKind::Rsa(_)) => &lc::RSA_PKCS1_2048_8192_SHA256,
            (Rs384, KeyKind::Rsa(_)) => &lc::RSA_PKCS1_2048_8192_SHA384,
            (Rs512, KeyKind::Rsa(_)) => &lc::RSA_PKCS1_2048_8192_SHA512,
            (Ps256, KeyKind::Rsa(_)) => &lc::RSA_PSS_2048_8192_SHA256,
            (Ps384, KeyKind::Rsa(_)) => &lc::RSA_PSS_2048_8192_SHA384,
            (Ps512, KeyKind::Rsa(_)) => &lc::RSA_PSS_2048_8192_SHA512,
            (Es256, KeyKind::P256) => &lc::ECDSA_P256_SHA256_ASN1,
            (Es384, KeyKind::P256) => &lc::ECDSA_P256_SHA384_ASN1,
            (Es512, KeyKind::P256) => &lc::ECDSA_P256_SHA512_ASN1,
            (Es256, KeyKind::P384) => &lc::ECDSA_P384_SHA256_ASN1,
            (Es384, KeyKind::P384) => &lc::ECDSA_P384_SHA384_ASN1,
            (Es512, KeyKind::P384) => &lc::ECDSA_P384_SHA512_ASN1,
            (Es256, KeyKind::P521) => &lc::ECDSA_P521_SHA256_ASN1,
            (Es384, KeyKind::P521) => &lc::ECDSA_P521_SHA384_ASN1,
            (Es512, KeyKind::P521) => &lc::ECDSA_P521_SHA512_ASN1,
            _ => return false,
        };
        lc::UnparsedPublicKey::new(verification, &self.bits)
            .verify(message, signature)
            .is_ok()
    }
}

fn rsa_bits(key: &[u8]) -> Result<usize, DerError> {
    let mut key = Reader::new(key).sequence("RSAPublicKey is not a SEQUENCE")?;
    let modulus = key.content(tag::INTEGER, "RSAPublicKey has no modulus")?;
    let zeros = modulus.iter().take_while(|&&octet| octet == 0).count();
    let magnitude = &modulus[zeros..];
    Ok(magnitude.first().map_or(0, |first| {
        magnitude.len() * 8 - first.leading_zeros() as usize
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::digest::hex;

    #[test]
    fn algorithm_identifiers_are_those_of_the_rfcs() {
        assert_eq!(hex(&Rs256.identifier()), "300d06092a864886f70d01010b0500");
        assert_eq!(hex(&Es256.identifier()), "300a06082a8648ce3d040302");
        assert_eq!(
            hex(&Ps256.identifier()),
            "304106092a864886f70d01010a3034a00f300d06096086480165030402010500a11c301a06092a\
             864886f70d010108\
             300d06096086480165030402010500a203020120"
        );
        for algorithm in SignatureAlgorithm::ALL {
            assert_eq!(
                SignatureAlgorithm::from_identifier(&algorithm.identifier()),
                Some(algorithm)
            );
            assert_eq!(
                SignatureAlgorithm::from_name(algorithm.name()),
                Some(algorithm)
            );
        }
    }
}
