//! Private keys: made, written down in the forms that people have, and signed with.

use std::{fs, path::Path, sync::OnceLock};

use aws_lc_rs::{
    digest::{self, Digest},
    rand::SystemRandom,
    signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair, RsaEncoding, RsaKeyPair},
};

use super::{der, ocsp::Hash, pem};

/// The kinds of keys that CAs have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    P256,
    P384,
    P521,
    Rsa2048,
    Rsa3072,
    Rsa4096,
    /// 2048 bits, and id-RSASSA-PSS in its SubjectPublicKeyInfo.
    RsaPss,
}

impl Key {
    fn curve(self) -> Option<&'static Curve> {
        match self {
            Self::P256 => Some(&CURVES[0]),
            Self::P384 => Some(&CURVES[1]),
            Self::P521 => Some(&CURVES[2]),
            _ => None,
        }
    }

    /// A new key, PKCS #8 PEM.
    pub fn generate(self) -> String {
        let curve = self.curve().unwrap_or_else(|| {
            panic!("{self:?}: making RSA keys is slow, so there is one of each")
        });
        pem::write(
            "PRIVATE KEY",
            EcdsaKeyPair::generate_pkcs8(curve.signing, &SystemRandom::new())
                .unwrap()
                .as_ref(),
        )
    }

    /// A key that all tests share. Those of RSA are files, which OpenSSL made; they guard nothing.
    pub fn shared(self) -> &'static str {
        static KEYS: [OnceLock<String>; 3] = [const { OnceLock::new() }; 3];
        match self {
            Self::Rsa2048 => include_str!("keys/rsa2048.pem"),
            Self::Rsa3072 => include_str!("keys/rsa3072.pem"),
            Self::Rsa4096 => include_str!("keys/rsa4096.pem"),
            Self::RsaPss => include_str!("keys/rsa_pss.pem"),
            Self::P256 | Self::P384 | Self::P521 => {
                KEYS[self as usize].get_or_init(|| self.generate())
            }
        }
    }
}

/// A key under a password.
pub const ENCRYPTED: &str = include_str!("keys/encrypted.pem");

/// How a private key is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Pkcs8,
    /// PKCS #1 for RSA, SEC 1 for curves.
    Traditional,
    /// SEC 1 behind EC PARAMETERS, as `openssl ecparam -genkey` writes it.
    BehindParameters,
}

/// Writes a PKCS #8 key into `path` in another form.
pub fn write_key(path: &Path, pkcs8: &str, form: Form) {
    let text = match form {
        Form::Pkcs8 => pkcs8.to_owned(),
        Form::Traditional => traditional(pkcs8).1,
        Form::BehindParameters => {
            let (curve, text) = traditional(pkcs8);
            pem::write("EC PARAMETERS", &curve.expect("a curve")) + &text
        }
    };
    fs::write(path, text).unwrap();
}

/// The key inside, and its curve's identifier, if it has one.
fn traditional(pkcs8: &str) -> (Option<Vec<u8>>, String) {
    let whole = pem::only(pkcs8, "PRIVATE KEY");
    let fields = der::children(der::only(&whole).content);
    let algorithm = der::children(fields[1].content);
    if algorithm[0].content != EC_KEY {
        return (None, pem::write("RSA PRIVATE KEY", fields[2].content));
    }
    // RFC 5915 §3: outside of PKCS #8 the curve must be named inside.
    let inner = der::children(der::only(fields[2].content).content);
    let public = inner
        .iter()
        .find(|field| field.tag == 0xa1)
        .expect("the public key");
    let curve = algorithm[1].whole;
    let key = der::sequence(&[
        inner[0].whole,
        inner[1].whole,
        &der::tlv(0xa0, &[curve]),
        public.whole,
    ]);
    (Some(curve.to_vec()), pem::write("EC PRIVATE KEY", &key))
}

/// The content octets of id-ecPublicKey, rsaEncryption and id-RSASSA-PSS.
pub const EC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
pub const RSA_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
pub const PSS_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10];
const NULL: &[u8] = &[5, 0];

struct Curve {
    /// The content octets of its identifier.
    id: &'static [u8],
    signing: &'static EcdsaSigningAlgorithm,
    /// What it signs by itself; of the same length as the curve's order, or almost.
    digest: &'static digest::Algorithm,
    hash: Hash,
}

static CURVES: [Curve; 3] = [
    Curve {
        id: &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7],
        signing: &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
        digest: &digest::SHA256,
        hash: Hash::Sha256,
    },
    Curve {
        id: &[0x2b, 0x81, 4, 0, 0x22],
        signing: &signature::ECDSA_P384_SHA384_ASN1_SIGNING,
        digest: &digest::SHA384,
        hash: Hash::Sha384,
    },
    Curve {
        id: &[0x2b, 0x81, 4, 0, 0x23],
        signing: &signature::ECDSA_P521_SHA512_ASN1_SIGNING,
        digest: &digest::SHA512,
        hash: Hash::Sha512,
    },
];

fn curve(id: &[u8]) -> &'static Curve {
    CURVES
        .iter()
        .find(|curve| curve.id == id)
        .expect("a curve of ours")
}

enum Pair {
    Ec(EcdsaKeyPair, &'static Curve),
    Rsa(RsaKeyPair),
    Pss(RsaKeyPair),
}

/// A key that signs what the tests need.
pub struct Private(Pair);

impl Private {
    pub fn read(path: &Path) -> Self {
        Self::of(&fs::read_to_string(path).unwrap())
    }

    /// The private key in a PEM text, of any form.
    pub fn of(text: &str) -> Self {
        let blocks = pem::blocks(text);
        let (label, whole) = blocks
            .iter()
            .find(|(label, _)| label.ends_with("PRIVATE KEY"))
            .expect("a private key");
        let fields = der::children(der::only(whole).content);
        let rsa = |key: &[u8]| RsaKeyPair::from_der(key).unwrap();
        Self(match label.as_str() {
            "RSA PRIVATE KEY" => Pair::Rsa(rsa(whole)),
            "EC PRIVATE KEY" => {
                let named = fields
                    .iter()
                    .find(|field| field.tag == 0xa0)
                    .expect("the curve");
                let curve = curve(der::only(named.content).content);
                Pair::Ec(
                    EcdsaKeyPair::from_private_key_der(curve.signing, whole).unwrap(),
                    curve,
                )
            }
            "PRIVATE KEY" => {
                let algorithm = der::children(fields[1].content);
                match algorithm[0].content {
                    EC_KEY => {
                        let curve = curve(algorithm[1].content);
                        Pair::Ec(
                            EcdsaKeyPair::from_pkcs8(curve.signing, whole).unwrap(),
                            curve,
                        )
                    }
                    RSA_KEY => Pair::Rsa(rsa(fields[2].content)),
                    PSS_KEY => Pair::Pss(rsa(fields[2].content)),
                    other => panic!("{other:x?} is no algorithm of ours"),
                }
            }
            other => panic!("{other} cannot be read here"),
        })
    }

    /// The public half, a SubjectPublicKeyInfo.
    pub fn public(&self) -> Vec<u8> {
        let (id, parameters, key) = match &self.0 {
            Pair::Ec(pair, curve) => (EC_KEY, der::tlv(6, &[curve.id]), pair.public_key().as_ref()),
            Pair::Rsa(pair) => (RSA_KEY, NULL.to_vec(), pair.public_key().as_ref()),
            // RFC 4055 §1.2: without parameters, it may sign with any hash.
            Pair::Pss(pair) => (PSS_KEY, vec![], pair.public_key().as_ref()),
        };
        der::sequence(&[
            &der::sequence(&[&der::tlv(6, &[id]), &parameters]),
            &der::tlv(3, &[&[0], key]),
        ])
    }

    /// The hash that is usual for the key.
    pub fn hash(&self) -> Hash {
        match &self.0 {
            Pair::Ec(_, curve) => curve.hash,
            _ => Hash::Sha256,
        }
    }

    /// The AlgorithmIdentifier of [`Private::sign`] (RFC 5758 §3.2, RFC 4055 §3 and §5).
    pub fn algorithm(&self, hash: Hash) -> Vec<u8> {
        let last = match hash {
            Hash::Sha256 => 0,
            Hash::Sha384 => 1,
            Hash::Sha512 => 2,
            Hash::Sha1 => panic!("nobody signs with SHA-1"),
        };
        match &self.0 {
            Pair::Ec(..) => der::sequence(&[&der::tlv(
                6,
                &[&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2 + last]],
            )]),
            Pair::Rsa(_) => {
                let id = [&RSA_KEY[..RSA_KEY.len() - 1], &[11 + last]].concat();
                der::sequence(&[&der::tlv(6, &[&id]), NULL])
            }
            Pair::Pss(_) => pss(hash),
        }
    }

    /// A signature over `message`, as it stands in a BIT STRING.
    pub fn sign(&self, message: &[u8], hash: Hash) -> Vec<u8> {
        let (pair, encoding): (_, &'static dyn RsaEncoding) = match (&self.0, hash) {
            (Pair::Ec(pair, curve), _) => return sign_ec(pair, curve, &hash.of(message)),
            (Pair::Rsa(pair), Hash::Sha256) => (pair, &signature::RSA_PKCS1_SHA256),
            (Pair::Pss(pair), Hash::Sha256) => (pair, &signature::RSA_PSS_SHA256),
            (_, other) => panic!("no test signs with RSA and {other:?}"),
        };
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(encoding, &SystemRandom::new(), message, &mut signature)
            .unwrap();
        signature
    }

    /// The signed form of CRLs and certificates: what is signed, the algorithm, and the signature.
    pub fn signed(&self, tbs: &[u8], hash: Hash) -> Vec<u8> {
        der::sequence(&[
            tbs,
            &self.algorithm(hash),
            &der::tlv(3, &[&[0], &self.sign(tbs, hash)]),
        ])
    }
}

/// ECDSA takes as many bits of a digest as the curve's order has (SEC 1 §4.1.3): the first ones of
/// a longer digest, and a shorter one as the number that it is. So any can be signed as one of the
/// curve's own.
fn sign_ec(pair: &EcdsaKeyPair, curve: &Curve, value: &[u8]) -> Vec<u8> {
    let len = curve.digest.output_len();
    let mut own = vec![0; len.saturating_sub(value.len())];
    own.extend(&value[..value.len().min(len)]);
    let own = Digest::import_less_safe(&own, curve.digest).unwrap();
    pair.sign_digest(&own).unwrap().as_ref().to_vec()
}

/// RSASSA-PSS with this hash in both places and a salt as long as it (RFC 4055 §3.1).
pub fn pss(hash: Hash) -> Vec<u8> {
    let len = hash.of(b"").len() as u8;
    let hash = der::sequence(&[&der::tlv(6, &[&hash.oid()]), NULL]);
    let mgf1 = [&RSA_KEY[..RSA_KEY.len() - 1], &[8]].concat();
    let mask = der::sequence(&[&der::tlv(6, &[&mgf1]), &hash]);
    let parameters = [
        der::tlv(0xa0, &[&hash]),
        der::tlv(0xa1, &[&mask]),
        der::tlv(0xa2, &[&[2, 1, len]]),
    ];
    der::sequence(&[
        &der::tlv(6, &[PSS_KEY]),
        &der::sequence(&[&parameters.concat()]),
    ])
}
