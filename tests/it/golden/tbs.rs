//! A TBSCertList in parts, and parts to put into one.

use crate::support::{
    crl::REASON,
    der::{self, Extension},
};

/// An entry of revokedCertificates, its parts with tag and length.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) serial: Vec<u8>,
    pub(super) date: Vec<u8>,
    pub(super) extensions: Vec<Extension>,
}

/// A TBSCertList in parts, to be changed and written again.
#[derive(Clone, Debug)]
pub(super) struct Tbs {
    pub(super) version: Vec<u8>,
    pub(super) algorithm: Vec<u8>,
    pub(super) issuer: Vec<u8>,
    pub(super) this: Vec<u8>,
    pub(super) next: Vec<u8>,
    pub(super) list: Option<Vec<Entry>>,
    pub(super) extensions: Vec<Extension>,
    /// What nothing may stand behind.
    pub(super) behind: Vec<u8>,
}

impl Tbs {
    pub(super) fn read(bytes: &[u8]) -> Self {
        let parts = der::children(der::only(bytes).content);
        let (list, extensions) = match parts[5..] {
            [list, extensions] => (Some(list), extensions),
            [extensions] => (None, extensions),
            ref other => panic!("{other:x?}"),
        };
        let entry = |value: der::Tlv<'_>| {
            let parts = der::children(value.content);
            let extensions = parts
                .get(2)
                .map_or(vec![], |list| der::extensions(list.whole));
            Entry {
                serial: parts[0].whole.to_vec(),
                date: parts[1].whole.to_vec(),
                extensions,
            }
        };
        let [version, algorithm, issuer, this, next] =
            [0, 1, 2, 3, 4].map(|at: usize| parts[at].whole.to_vec());
        let list = list.map(|list| der::children(list.content).into_iter().map(entry).collect());
        let extensions = der::extensions(extensions.content);
        Self {
            version,
            algorithm,
            issuer,
            this,
            next,
            list,
            extensions,
            behind: vec![],
        }
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let list = |extensions: &[Extension]| {
            der::sequence(&[&extensions.iter().flat_map(write).collect::<Vec<_>>()])
        };
        let entry = |entry: &Entry| {
            let extensions = if entry.extensions.is_empty() {
                vec![]
            } else {
                list(&entry.extensions)
            };
            // A serial that was changed keeps its old length.
            let serial = der::tlv(2, &[&entry.serial[2..]]);
            der::sequence(&[&serial, &entry.date, &extensions])
        };
        let entries = self.list.as_ref().map_or(vec![], |list| {
            der::sequence(&[&list.iter().flat_map(entry).collect::<Vec<_>>()])
        });
        let extensions = der::tlv(0xa0, &[&list(&self.extensions)]);
        let head = [
            &self.version[..],
            &self.algorithm,
            &self.issuer,
            &self.this,
            &self.next,
        ]
        .concat();
        der::sequence(&[&head, &entries, &extensions, &self.behind])
    }

    pub(super) fn list(&mut self) -> &mut Vec<Entry> {
        self.list.as_mut().unwrap()
    }

    pub(super) fn entry(&mut self, at: usize) -> &mut Entry {
        &mut self.list()[at]
    }

    pub(super) fn extension(&mut self, id: &[u8]) -> &mut Extension {
        self.extensions
            .iter_mut()
            .find(|extension| extension.id == id)
            .unwrap()
    }
}

fn write(extension: &Extension) -> Vec<u8> {
    let critical: &[u8] = if extension.critical {
        &[1, 1, 0xff]
    } else {
        &[]
    };
    der::sequence(&[
        &der::tlv(6, &[&extension.id]),
        critical,
        &der::tlv(4, &[&extension.value]),
    ])
}

pub(super) fn extension(id: &[u8], value: Vec<u8>) -> Extension {
    Extension {
        id: id.to_vec(),
        critical: false,
        value,
    }
}

pub(super) fn reason(code: u8) -> Extension {
    extension(REASON, vec![0x0a, 1, code])
}

/// An issuing distribution point that says onlyContainsUserCerts.
pub(super) fn only_user() -> Vec<u8> {
    der::sequence(&[&[0x81, 1, 0xff]])
}

pub(super) fn integer(number: u64) -> Vec<u8> {
    der::unsigned(&number.to_be_bytes())
}

pub(super) fn utc(digits: &str) -> Vec<u8> {
    der::tlv(0x17, &[digits.as_bytes()])
}

pub(super) fn general(digits: &str) -> Vec<u8> {
    der::tlv(0x18, &[digits.as_bytes()])
}
