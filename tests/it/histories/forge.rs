//! A publisher with a bug: each CRL that the product writes is taken apart, changed, signed with
//! the CA's key and put back, before anybody else sees it. The product then goes on from there, as
//! if it had written it.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair},
};
use sha2::{Digest, Sha256};

use super::{
    check::Kind,
    index::{self, Index},
    story::{Bug, archived},
};
use crate::support::{ISSUER, der};

/// A CRL's parts, each with its tag and length.
#[derive(Clone, PartialEq, Eq)]
pub struct Parts {
    /// Version, algorithm and issuer.
    before: Vec<u8>,
    algorithm: Vec<u8>,
    pub this_update: Vec<u8>,
    pub next_update: Vec<u8>,
    pub entries: Vec<Entry>,
    extensions: Vec<u8>,
    /// Whether the signature is spoiled.
    pub is_forged: bool,
}

#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    pub serial: u8,
    /// `30 LEN 02 01 SERIAL 17 0d DATE … REASON`.
    bytes: Vec<u8>,
}

impl Entry {
    pub fn reason(&self) -> u8 {
        *self.bytes.last().unwrap()
    }

    pub fn set_reason(&mut self, reason: u8) {
        *self.bytes.last_mut().unwrap() = reason;
    }

    pub fn set_serial(&mut self, serial: u8) {
        self.serial = serial;
        self.bytes[4] = serial;
    }

    /// 12 digits and `Z`.
    pub fn set_date(&mut self, date: &[u8; 13]) {
        self.bytes[7..20].copy_from_slice(date);
    }
}

impl Parts {
    fn read(crl: &[u8]) -> Self {
        let outer = der::children(der::only(crl).content);
        let tbs = der::children(outer[0].content);
        let whole = |at: usize| tbs[at].whole.to_vec();
        let list = tbs[5].tag == 0x30;
        let entry = |entry: der::Tlv<'_>| Entry {
            serial: entry.whole[4],
            bytes: entry.whole.to_vec(),
        };
        Self {
            before: [whole(0), whole(1), whole(2)].concat(),
            algorithm: whole(1),
            this_update: whole(3),
            next_update: whole(4),
            entries: if list {
                der::children(tbs[5].content)
                    .into_iter()
                    .map(entry)
                    .collect()
            } else {
                vec![]
            },
            extensions: whole(if list { 6 } else { 5 }),
            is_forged: false,
        }
    }

    /// Changes the last octet of an extension's INTEGER, such as a number.
    pub fn change_integer(&mut self, id: &[u8], change: impl Fn(u8) -> u8) {
        let at = self
            .extensions
            .windows(id.len())
            .position(|octets| octets == id)
            .unwrap();
        let integer = self.extensions[at..]
            .iter()
            .position(|octet| *octet == 2)
            .unwrap()
            + at;
        let last = integer + 1 + usize::from(self.extensions[integer + 1]);
        self.extensions[last] = change(self.extensions[last]);
    }

    /// thisUpdate in seconds.
    pub fn seconds(&self) -> u64 {
        der::seconds(&der::time(der::only(&self.this_update)).1)
    }

    fn sign(&self, key: &EcdsaKeyPair) -> Vec<u8> {
        let entries: Vec<_> = self
            .entries
            .iter()
            .flat_map(|entry| entry.bytes.clone())
            .collect();
        let list = if entries.is_empty() {
            vec![]
        } else {
            der::sequence(&[&entries])
        };
        let tbs = der::sequence(&[
            &self.before,
            &self.this_update,
            &self.next_update,
            &list,
            &self.extensions,
        ]);
        let signed = key
            .sign(
                &SystemRandom::new(),
                if self.is_forged {
                    b"something else"
                } else {
                    &tbs
                },
            )
            .unwrap();
        der::sequence(&[
            &tbs,
            &self.algorithm,
            &der::tlv(3, &[&[0], signed.as_ref()]),
        ])
    }
}

/// What a publisher does wrong, given what the index says.
pub type Wrong = Box<dyn FnMut(&mut Parts, Kind, &Index)>;

struct Publisher {
    wrong: Wrong,
    key: Option<EcdsaKeyPair>,
    seen: HashSet<PathBuf>,
    /// What the product wrote, and what became of it.
    forged: HashMap<Vec<u8>, Vec<u8>>,
}

/// A publisher that does this with every CRL that it makes.
pub fn publisher(wrong: impl FnMut(&mut Parts, Kind, &Index) + 'static) -> Bug {
    let mut publisher = Publisher {
        wrong: Box::new(wrong),
        key: None,
        seen: HashSet::new(),
        forged: HashMap::new(),
    };
    Box::new(move |dir, _| publisher.meddle(dir))
}

impl Publisher {
    fn meddle(&mut self, dir: &Path) {
        if self.key.is_none() {
            let pem = fs::read(dir.join("ca.key.pem")).unwrap();
            let key = ::der::pem::decode_vec(&pem).map(|(_, key)| {
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &key).unwrap()
            });
            self.key = key.ok();
        }
        for (path, (kind, _)) in archived(dir) {
            if self.seen.insert(path.clone()) {
                self.forge(dir, &path, kind);
            }
        }
        for path in shelf(dir) {
            if let Some(forged) = fs::read(&path)
                .ok()
                .and_then(|bytes| self.forged.get(&bytes))
            {
                replace(&path, forged);
            }
        }
    }

    fn forge(&mut self, dir: &Path, path: &Path, kind: Kind) {
        let bytes = fs::read(path).unwrap();
        let right = Parts::read(&bytes);
        let mut parts = right.clone();
        (self.wrong)(&mut parts, kind, &Index::read(&index::open(dir)));
        if parts != right {
            let forged = parts.sign(self.key.as_ref().unwrap());
            replace(path, &forged);
            self.forged.insert(bytes, forged);
        }
    }
}

/// All DER CRLs on the shelf.
pub fn shelf(dir: &Path) -> Vec<PathBuf> {
    let shelf = dir.join("data/shelf");
    let folders = [shelf.clone(), shelf.join(ISSUER)];
    let entries = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).into_iter().flatten());
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.to_string_lossy().ends_with(".crl"))
        .collect()
}

/// Replaces a CRL, and what its label says that it is about.
fn replace(path: &Path, crl: &[u8]) {
    fs::write(path, crl).unwrap();
    let label = path.with_file_name(format!(
        ".{}.json",
        path.file_name().unwrap().to_str().unwrap()
    ));
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&label).unwrap()).unwrap();
    for name in ["content", "sha256"] {
        json[name] = der::hex(&Sha256::digest(crl)).into();
    }
    fs::write(label, json.to_string()).unwrap();
}
