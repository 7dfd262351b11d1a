//! OCSP requests written, and responses taken apart, by hand.

use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::der::{self, Extension};

/// The content octets of id-pkix-ocsp-nonce.
pub const NONCE: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 2];
/// Those of id-pkix-ocsp-pref-sig-algs.
pub const PREFERRED: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 8];
/// malformedRequest, tryLater and unauthorized: whole responses.
pub const MALFORMED_REQUEST: [u8; 5] = [0x30, 3, 0x0a, 1, 1];
pub const TRY_LATER: [u8; 5] = [0x30, 3, 0x0a, 1, 3];
pub const UNAUTHORIZED: [u8; 5] = [0x30, 3, 0x0a, 1, 6];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    pub const ALL: [Self; 4] = [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512];

    pub fn of(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => Sha1::digest(bytes).to_vec(),
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha384 => Sha384::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }

    /// The content octets of its identifier.
    pub fn oid(self) -> Vec<u8> {
        match self {
            Self::Sha1 => vec![0x2b, 0x0e, 3, 2, 0x1a],
            Self::Sha256 => vec![0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1],
            Self::Sha384 => vec![0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2],
            Self::Sha512 => vec![0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3],
        }
    }
}

/// What CertIDs say of an issuer.
#[derive(Clone, Debug)]
pub struct IssuerId {
    pub subject: Vec<u8>,
    /// The key's bits, without the unused-bits octet.
    pub key: Vec<u8>,
}

impl IssuerId {
    /// Of the CA whose DER certificate this is.
    pub fn of(certificate: &[u8]) -> Self {
        let tbs = der::children(der::children(der::only(certificate).content)[0].content);
        let spki = der::children(tbs[6].content);
        Self {
            subject: tbs[5].whole.to_vec(),
            key: spki[1].content[1..].to_vec(),
        }
    }

    /// A CertID; `null`: whether the hash algorithm has NULL parameters. `serial` is a whole
    /// INTEGER.
    pub fn cert_id(&self, hash: Hash, null: bool, serial: &[u8]) -> Vec<u8> {
        let parameters: &[u8] = if null { &[5, 0] } else { &[] };
        let algorithm = der::sequence(&[&der::tlv(6, &[&hash.oid()]), parameters]);
        let name_hash = der::tlv(4, &[&hash.of(&self.subject)]);
        let key_hash = der::tlv(4, &[&hash.of(&self.key)]);
        der::sequence(&[&algorithm, &name_hash, &key_hash, serial])
    }

    /// What most clients send: SHA-1 with NULL, about a serial in hexadecimal.
    pub fn usual(&self, serial: &str) -> Vec<u8> {
        self.cert_id(Hash::Sha1, true, &der::unsigned(&der::from_hex(serial)))
    }
}

/// A request about `ids`; `nonce` is the extension's value as it is to stand there.
pub fn request(ids: &[Vec<u8>], nonce: Option<&[u8]>) -> Vec<u8> {
    let list: Vec<_> = ids.iter().map(|id| der::sequence(&[id])).collect();
    let list = der::sequence(&[&list.concat()]);
    let extensions = nonce.map_or(vec![], |value| {
        request_extensions(&[extension(NONCE, false, value)])
    });
    der::sequence(&[&der::sequence(&[&list, &extensions])])
}

/// `PreferredSignatureAlgorithms`, and what else may stand there.
pub fn preferring(id: &[u8], list: &[u8], nonce: Option<&[u8]>) -> Vec<u8> {
    let mut extensions = vec![extension(PREFERRED, false, list)];
    extensions.extend(nonce.map(|nonce| extension(NONCE, false, nonce)));
    let asked = der::sequence(&[&der::sequence(&[id])]);
    der::sequence(&[&der::sequence(&[&asked, &request_extensions(&extensions)])])
}

/// A nonce of `len` octets as RFC 9654 wants it: an OCTET STRING.
pub fn nonce(len: usize) -> Vec<u8> {
    let octets: Vec<u8> = (0..len).map(|at| at as u8 ^ 0x5a).collect();
    der::tlv(4, &[&octets])
}

pub fn extension(id: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
    der::sequence(&[&der::tlv(6, &[id]), critical, &der::tlv(4, &[value])])
}

pub fn request_extensions(extensions: &[Vec<u8>]) -> Vec<u8> {
    der::tlv(0xa2, &[&der::sequence(&[&extensions.concat()])])
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    Good,
    /// RFC 3339, and the CRLReason.
    Revoked(String, Option<u8>),
    Unknown,
}

#[derive(Clone, Debug)]
pub struct Single {
    /// The whole CertID.
    pub cert_id: Vec<u8>,
    pub status: Status,
    /// Digits.
    pub this_update: String,
    pub next_update: String,
    pub extensions: Vec<Extension>,
}

/// A successful response.
#[derive(Clone, Debug)]
pub struct Basic {
    /// ResponderID: its tag, and the key hash.
    pub responder: (u8, Vec<u8>),
    pub produced_at: String,
    pub singles: Vec<Single>,
    pub extensions: Vec<Extension>,
    pub algorithm: Vec<u8>,
    /// Whole certificates.
    pub certificates: Vec<Vec<u8>>,
}

impl Basic {
    /// Takes a successful `OCSPResponse` apart; anything else panics.
    pub fn read(response: &[u8]) -> Self {
        let outer = der::children(der::only(response).content);
        assert_eq!(
            outer[0].whole,
            [0x0a, 1, 0],
            "the response is an error: {}",
            der::hex(response)
        );
        let typed = der::children(der::only(outer[1].content).content);
        assert_eq!(typed[0].content, [0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1]);
        let basic = der::children(der::only(typed[1].content).content);
        let tbs = der::children(basic[0].content);
        // RFC 6960 §4.2.1: v1 is the default, so the version is not encoded.
        assert!(matches!(tbs[0].tag, 0xa1 | 0xa2), "the version is encoded");
        Self {
            responder: (tbs[0].tag, der::only(tbs[0].content).content.to_vec()),
            produced_at: general(tbs[1]),
            singles: der::children(tbs[2].content)
                .into_iter()
                .map(single)
                .collect(),
            extensions: tbs
                .get(3)
                .map_or(vec![], |list| der::extensions(list.content)),
            algorithm: basic[1].whole.to_vec(),
            certificates: basic.get(3).map_or(vec![], |certs| {
                der::children(der::only(certs.content).content)
                    .iter()
                    .map(|cert| cert.whole.to_vec())
                    .collect()
            }),
        }
    }

    /// The one answer.
    pub fn only(&self) -> &Single {
        assert_eq!(self.singles.len(), 1);
        &self.singles[0]
    }
}

/// The status in a response to a question about one certificate.
pub fn status(response: &[u8]) -> Status {
    Basic::read(response).only().status.clone()
}

fn general(value: der::Tlv<'_>) -> String {
    let (tag, digits) = der::time(value);
    assert_eq!(tag, 0x18, "OCSP times are GeneralizedTime");
    digits
}

fn single(value: der::Tlv<'_>) -> Single {
    let fields = der::children(value.content);
    assert_eq!(fields[3].tag, 0xa0, "nextUpdate");
    let extensions = fields.get(4).map_or(vec![], |list| {
        assert_eq!((fields.len(), list.tag), (5, 0xa1));
        der::extensions(list.content)
    });
    let status = match fields[1].tag {
        0x80 => Status::Good,
        0x82 => Status::Unknown,
        0xa1 => {
            let info = der::children(fields[1].content);
            let reason = info
                .get(1)
                .map(|reason| der::only(reason.content).content[0]);
            Status::Revoked(der::rfc3339(&general(info[0])), reason)
        }
        other => panic!("certStatus has the tag {other:x}"),
    };
    let next = der::only(fields[3].content);
    let (this_update, next_update) = (general(fields[2]), general(next));
    Single {
        cert_id: fields[0].whole.to_vec(),
        status,
        this_update,
        next_update,
        extensions,
    }
}
