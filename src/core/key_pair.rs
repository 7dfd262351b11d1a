//! Private keys in PEM files: PKCS #8, PKCS #1 and SEC 1.

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{self as lc, EcdsaKeyPair, KeyPair as _, RsaKeyPair},
};
use der::pem;

use super::{
    der::{Reader, tag, write},
    key::{KeyKind, PublicKey, RSA_PSS, SignatureAlgorithm},
    seal::{Compared, Document, Proven, Signed, SignerAnswer},
};

/// A private key in memory.
#[derive(Debug)]
pub struct KeyPair(Pair);

#[derive(Debug)]
enum Pair {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
}

/// Why a private key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyPairError {
    /// No PEM in it.
    #[error("it holds no PEM private key")]
    NoKey,
    /// Encrypted.
    #[error("the private key is encrypted; decrypt it with `openssl pkey -in FILE -out FILE`")]
    Encrypted,
    /// Not a key of ours.
    #[error("the private key is malformed, or not RSA of 2048 to 4096 bits, P-256, P-384 or P-521")]
    Rejected,
    /// Of another certificate.
    #[error("the private key is not that of the certificate")]
    OtherKey,
    /// The signature could not be made.
    #[error("the key refused to sign with {0}")]
    Sign(SignatureAlgorithm),
}

impl KeyPair {
    /// The first private key in `pem`, which must be that of `public`.
    pub fn from_pem(pem: &[u8], public: &PublicKey) -> Result<Self, KeyPairError> {
        let (label, der) = private_block(pem)?;
        let pair = match public.kind() {
            KeyKind::Rsa(_) if label == "RSA PRIVATE KEY" => {
                RsaKeyPair::from_der(&der).map(Pair::Rsa)
            }
            KeyKind::Rsa(_) => {
                let inner = pss_inner(&der);
                inner
                    .map_or_else(|| RsaKeyPair::from_pkcs8(&der), RsaKeyPair::from_der)
                    .map(Pair::Rsa)
            }
            KeyKind::P256 => ecdsa(&lc::ECDSA_P256_SHA256_ASN1_SIGNING, &der),
            KeyKind::P384 => ecdsa(&lc::ECDSA_P384_SHA384_ASN1_SIGNING, &der),
            KeyKind::P521 => ecdsa(&lc::ECDSA_P521_SHA512_ASN1_SIGNING, &der),
        };
        // A key of another kind is rejected too, and is not that of the certificate.
        let pair = pair.map_err(|_| {
            if is_other_kind(&der, public) {
                KeyPairError::OtherKey
            } else {
                KeyPairError::Rejected
            }
        })?;
        let bits = match &pair {
            Pair::Rsa(pair) => pair.public_key().as_ref(),
            Pair::Ecdsa(pair) => pair.public_key().as_ref(),
        };
        if bits != public.bits() {
            return Err(KeyPairError::OtherKey);
        }
        Ok(Self(pair))
    }

    /// Signs; ECDSA signatures come out as DER.
    pub fn sign<D: Document>(&self, compared: Compared<D>) -> Result<Signed<D>, KeyPairError> {
        let algorithm = compared.algorithm();
        let signature = self
            .raw(algorithm, compared.to_be_signed())
            .ok_or(KeyPairError::Sign(algorithm))?;
        Ok(compared.answered(SignerAnswer::Signature(signature)))
    }

    /// Proves that it is the key of `public` by using it.
    pub fn prove(self, public: PublicKey) -> Result<Proven<Self>, KeyPairError> {
        Proven::new(self, Self::raw, public).ok_or(KeyPairError::OtherKey)
    }

    fn raw(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Option<Vec<u8>> {
        use SignatureAlgorithm::{Es256, Es384, Es512, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
        let random = SystemRandom::new();
        match (&self.0, algorithm) {
            (Pair::Ecdsa(pair), Es256 | Es384 | Es512) => {
                Some(pair.sign(&random, message).ok()?.as_ref().to_vec())
            }
            (Pair::Rsa(pair), _) => {
                let encoding: &'static dyn lc::RsaEncoding = match algorithm {
                    Rs256 => &lc::RSA_PKCS1_SHA256,
                    Rs384 => &lc::RSA_PKCS1_SHA384,
                    Rs512 => &lc::RSA_PKCS1_SHA512,
                    Ps256 => &lc::RSA_PSS_SHA256,
                    Ps384 => &lc::RSA_PSS_SHA384,
                    Ps512 => &lc::RSA_PSS_SHA512,
                    _ => return None,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, message, &mut signature).ok()?;
                Some(signature)
            }
            _ => None,
        }
    }
}

/// A key that was made just now.
pub struct Generated {
    /// The private key, PKCS #8 PEM.
    pub pem: String,
    /// Its SubjectPublicKeyInfo, DER.
    pub spki: Vec<u8>,
}

/// Makes a key; none where the random number generator fails.
pub fn generate(kind: NewKey) -> Option<Generated> {
    let (pkcs8, spki): (Vec<u8>, PublicKeyX509Der<'_>) = match kind {
        NewKey::P256 => {
            let pair = EcdsaKeyPair::generate(&lc::ECDSA_P256_SHA256_ASN1_SIGNING).ok()?;
            (
                pair.to_pkcs8v1().ok()?.as_ref().to_vec(),
                pair.public_key().as_der().ok()?,
            )
        }
        NewKey::Rsa2048 => {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048).ok()?;
            let pkcs8: Pkcs8V1Der<'_> = pair.as_der().ok()?;
            (pkcs8.as_ref().to_vec(), pair.public_key().as_der().ok()?)
        }
    };
    Some(Generated {
        pem: write::pem("PRIVATE KEY", &pkcs8),
        spki: spki.as_ref().to_vec(),
    })
}

/// The kind of a key to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewKey {
    /// NIST P-256.
    P256,
    /// RSA with 2048 bits.
    Rsa2048,
}

fn ecdsa(
    algorithm: &'static lc::EcdsaSigningAlgorithm,
    der: &[u8],
) -> Result<Pair, aws_lc_rs::error::KeyRejected> {
    EcdsaKeyPair::from_private_key_der(algorithm, der).map(Pair::Ecdsa)
}

/// Whether `der` is a good key, but not of the kind of `public`.
fn is_other_kind(der: &[u8], public: &PublicKey) -> bool {
    let curves = [
        (KeyKind::P256, &lc::ECDSA_P256_SHA256_ASN1_SIGNING),
        (KeyKind::P384, &lc::ECDSA_P384_SHA384_ASN1_SIGNING),
        (KeyKind::P521, &lc::ECDSA_P521_SHA512_ASN1_SIGNING),
    ];
    let is_rsa = RsaKeyPair::from_pkcs8(der)
        .or_else(|_| RsaKeyPair::from_der(der))
        .is_ok();
    is_rsa
        || curves
            .into_iter()
            .any(|(kind, algorithm)| kind != public.kind() && ecdsa(algorithm, der).is_ok())
}

/// Label and content of the first private key.
fn private_block(text: &[u8]) -> Result<(&'static str, Vec<u8>), KeyPairError> {
    const LABELS: [&str; 3] = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"];
    let text = std::str::from_utf8(text).map_err(|_| KeyPairError::NoKey)?;
    if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----")
        || text.contains("Proc-Type: 4,ENCRYPTED")
    {
        return Err(KeyPairError::Encrypted);
    }
    let found = LABELS.into_iter().find_map(|label| {
        let start = text.find(&format!("-----BEGIN {label}-----"))?;
        let end = format!("-----END {label}-----");
        let len = text[start..].find(&end)? + end.len();
        Some((label, &text[start..start + len]))
    });
    let (label, block) = found.ok_or(KeyPairError::NoKey)?;
    let (_, der) = pem::decode_vec(block.as_bytes()).map_err(|_| KeyPairError::Rejected)?;
    Ok((label, der))
}

/// The PKCS #1 key inside a PKCS #8 one that says id-RSASSA-PSS.
fn pss_inner(pkcs8: &[u8]) -> Option<&[u8]> {
    let mut fields = Reader::new(pkcs8).sequence("").ok()?;
    fields.content(tag::INTEGER, "").ok()?;
    let mut algorithm = fields.sequence("").ok()?;
    (algorithm.content(tag::OID, "").ok()? == RSA_PSS).then_some(())?;
    fields.content(tag::OCTET_STRING, "").ok()
}
