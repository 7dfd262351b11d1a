//! Key material: real keys, so that what the vault signs verifies.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock},
};

use aws_lc_rs::{
    digest::{self, Digest},
    encoding::AsDer,
    rand::SystemRandom,
    rsa::{KeySize, PublicKey},
    signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair, RsaEncoding, RsaKeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use serde_json::{Value, json};

use crate::support::{keys::Key, pem};

/// The kinds of keys that CAs have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Rsa2048,
    Rsa3072,
    Rsa4096,
    P256,
    P384,
    P521,
}

impl Kind {
    pub const ALL: [Self; 6] = [
        Self::Rsa2048,
        Self::Rsa3072,
        Self::Rsa4096,
        Self::P256,
        Self::P384,
        Self::P521,
    ];

    fn curve(self) -> Option<(&'static str, &'static EcdsaSigningAlgorithm)> {
        match self {
            Self::P256 => Some(("P-256", &signature::ECDSA_P256_SHA256_FIXED_SIGNING)),
            Self::P384 => Some(("P-384", &signature::ECDSA_P384_SHA384_FIXED_SIGNING)),
            Self::P521 => Some(("P-521", &signature::ECDSA_P521_SHA512_FIXED_SIGNING)),
            _ => None,
        }
    }
}

impl Kind {
    /// The tests' own key of this kind.
    fn file(self) -> Key {
        match self {
            Self::Rsa2048 => Key::Rsa2048,
            Self::Rsa3072 => Key::Rsa3072,
            Self::Rsa4096 => Key::Rsa4096,
            Self::P256 => Key::P256,
            Self::P384 => Key::P384,
            Self::P521 => Key::P521,
        }
    }
}

enum Pair {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair, &'static str),
}

pub struct Material {
    pair: Pair,
    /// PKCS #8.
    pub pkcs8: Vec<u8>,
}

/// Why a digest cannot be signed.
pub enum Unsignable {
    /// No such algorithm.
    Unknown,
    /// It is for the other type of key.
    Incompatible {
        needed: &'static str,
        has: &'static str,
    },
    /// What the digest's length must be.
    Length(usize),
}

impl Material {
    /// The `nth` key of a kind. RSA keys are shared by all vaults, and the first is a file: making
    /// them is slow.
    pub fn nth(kind: Kind, nth: usize) -> Arc<Self> {
        type Pool = Mutex<HashMap<(Kind, usize), Arc<OnceLock<Arc<Material>>>>>;
        static POOL: OnceLock<Pool> = OnceLock::new();
        if kind.curve().is_some() {
            return Arc::new(Self::generate(kind));
        }
        let slot = POOL
            .get_or_init(Pool::default)
            .lock()
            .unwrap()
            .entry((kind, nth))
            .or_default()
            .clone();
        let first = || pem::only(kind.file().shared(), "PRIVATE KEY");
        slot.get_or_init(|| {
            Arc::new(if nth == 0 {
                Self::import(&first())
            } else {
                Self::generate(kind)
            })
        })
        .clone()
    }

    fn generate(kind: Kind) -> Self {
        let pkcs8 = match (kind.curve(), kind) {
            (Some((_, algorithm)), _) => {
                EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new())
                    .unwrap()
                    .as_ref()
                    .to_vec()
            }
            (None, Kind::Rsa3072) => Self::rsa(KeySize::Rsa3072),
            (None, Kind::Rsa4096) => Self::rsa(KeySize::Rsa4096),
            (None, _) => Self::rsa(KeySize::Rsa2048),
        };
        Self::import(&pkcs8)
    }

    fn rsa(size: KeySize) -> Vec<u8> {
        let pair = aws_lc_rs::rsa::KeyPair::generate(size).unwrap();
        AsDer::<aws_lc_rs::encoding::Pkcs8V1Der>::as_der(&pair)
            .unwrap()
            .as_ref()
            .to_vec()
    }

    /// A key that somebody else made.
    pub fn import(pkcs8: &[u8]) -> Self {
        let curves = [Kind::P256, Kind::P384, Kind::P521]
            .iter()
            .filter_map(|kind| kind.curve());
        let ec = curves.filter_map(|(name, algorithm)| {
            Some((EcdsaKeyPair::from_pkcs8(algorithm, pkcs8).ok()?, name))
        });
        let pair = match ec.into_iter().next() {
            Some((pair, curve)) => Pair::Ec(pair, curve),
            None => Pair::Rsa(
                RsaKeyPair::from_pkcs8(pkcs8).expect("an RSA key, or one of the NIST curves"),
            ),
        };
        Self {
            pair,
            pkcs8: pkcs8.to_vec(),
        }
    }

    /// The public half as a JSON Web Key.
    pub fn jwk(&self) -> Value {
        match &self.pair {
            Pair::Rsa(pair) => {
                let public: &PublicKey = pair.public_key();
                let [n, e] = integers(public.as_ref());
                json!({ "kty": "RSA", "n": BASE64URL.encode(n), "e": BASE64URL.encode(e) })
            }
            Pair::Ec(pair, curve) => {
                // An uncompressed point: 4, x, y.
                let point = pair.public_key().as_ref();
                let (x, y) = point[1..].split_at(point.len() / 2);
                json!({ "kty": "EC", "crv": curve, "x": BASE64URL.encode(x), "y": BASE64URL.encode(y) })
            }
        }
    }

    pub fn sign(&self, algorithm: &str, value: &[u8]) -> Result<Vec<u8>, Unsignable> {
        if algorithm.starts_with("ES") {
            return self.sign_ec(algorithm, value);
        }
        let (hash, encoding): (_, &'static dyn RsaEncoding) = match algorithm {
            "RS256" => (&digest::SHA256, &signature::RSA_PKCS1_SHA256),
            "RS384" => (&digest::SHA384, &signature::RSA_PKCS1_SHA384),
            "RS512" => (&digest::SHA512, &signature::RSA_PKCS1_SHA512),
            "PS256" => (&digest::SHA256, &signature::RSA_PSS_SHA256),
            "PS384" => (&digest::SHA384, &signature::RSA_PSS_SHA384),
            "PS512" => (&digest::SHA512, &signature::RSA_PSS_SHA512),
            _ => return Err(Unsignable::Unknown),
        };
        let Pair::Rsa(pair) = &self.pair else {
            return Err(Unsignable::Incompatible {
                needed: "RSA",
                has: "EC",
            });
        };
        let digest = hashed(value, hash)?;
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign_digest(encoding, &digest, &mut signature).unwrap();
        Ok(signature)
    }

    fn sign_ec(&self, algorithm: &str, value: &[u8]) -> Result<Vec<u8>, Unsignable> {
        let (curve, hash) = match algorithm {
            "ES256" => ("P-256", &digest::SHA256),
            "ES384" => ("P-384", &digest::SHA384),
            "ES512" => ("P-521", &digest::SHA512),
            _ => return Err(Unsignable::Unknown),
        };
        let Pair::Ec(pair, has) = &self.pair else {
            return Err(Unsignable::Incompatible {
                needed: "EC",
                has: "RSA",
            });
        };
        if *has != curve {
            return Err(Unsignable::Incompatible { needed: curve, has });
        }
        // Raw r ‖ s, as JSON Web Signatures have it.
        Ok(pair
            .sign_digest(&hashed(value, hash)?)
            .unwrap()
            .as_ref()
            .to_vec())
    }
}

fn hashed(value: &[u8], hash: &'static digest::Algorithm) -> Result<Digest, Unsignable> {
    Digest::import_less_safe(value, hash).map_err(|_| Unsignable::Length(hash.output_len()))
}

/// The two integers of an RSAPublicKey (RFC 8017 §A.1.1), without leading zeros.
fn integers(der: &[u8]) -> [&[u8]; 2] {
    let (body, _) = value(der);
    let (n, rest) = value(body);
    let (e, _) = value(rest);
    [n, e].map(|integer| &integer[usize::from(integer[0] == 0)..])
}

/// A DER value, and what is behind it.
fn value(der: &[u8]) -> (&[u8], &[u8]) {
    let (len, start) = match usize::from(der[1]) {
        short if short < 0x80 => (short, 2),
        long => {
            let count = long & 0x7f;
            (
                der[2..2 + count]
                    .iter()
                    .fold(0, |len, byte| len << 8 | usize::from(*byte)),
                2 + count,
            )
        }
    };
    der[start..].split_at(len)
}
