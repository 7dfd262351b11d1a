//! A CRL, taken apart by hand.

use std::collections::BTreeSet;

use super::der::{self, Extension};

pub const AKI: &[u8] = &[0x55, 0x1d, 0x23];
pub const CRL_NUMBER: &[u8] = &[0x55, 0x1d, 0x14];
pub const IDP: &[u8] = &[0x55, 0x1d, 0x1c];
pub const EXPIRED_CERTS_ON_CRL: &[u8] = &[0x55, 0x1d, 0x3c];
pub const REASON: &[u8] = &[0x55, 0x1d, 0x15];
pub const INVALIDITY_DATE: &[u8] = &[0x55, 0x1d, 0x18];

#[derive(Clone, Debug)]
pub struct Crl {
    pub version: Vec<u8>,
    pub inner_algorithm: Vec<u8>,
    pub outer_algorithm: Vec<u8>,
    pub issuer: Vec<u8>,
    /// Tag and digits.
    pub this_update: (u8, String),
    pub next_update: (u8, String),
    /// Absent where there is no list at all.
    pub entries: Option<Vec<Entry>>,
    pub extensions: Vec<Extension>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The INTEGER's content.
    pub serial: Vec<u8>,
    pub revoked_at: (u8, String),
    pub extensions: Vec<Extension>,
}

impl Entry {
    /// The serial as OpenSSL prints it: upper case, without a sign octet.
    pub fn hex(&self) -> String {
        let magnitude = self.serial.strip_prefix(&[0]).unwrap_or(&self.serial);
        der::hex(magnitude).to_uppercase()
    }

    pub fn extension(&self, id: &[u8]) -> Option<&Extension> {
        self.extensions.iter().find(|extension| extension.id == id)
    }

    /// The CRLReason.
    pub fn reason(&self) -> Option<u8> {
        let reason = der::only(&self.extension(REASON)?.value);
        assert_eq!((reason.tag, reason.content.len()), (0x0a, 1));
        Some(reason.content[0])
    }

    pub fn invalidity_date(&self) -> Option<String> {
        let (tag, digits) = der::time(der::only(&self.extension(INVALIDITY_DATE)?.value));
        assert_eq!(
            tag, 0x18,
            "an invalidity date is GeneralizedTime in any year"
        );
        Some(digits)
    }
}

impl Crl {
    /// Takes a DER CRL apart; anything but a v2 CRL with nextUpdate and extensions panics.
    pub fn read(bytes: &[u8]) -> Self {
        let outer = der::children(der::only(bytes).content);
        assert_eq!(outer.len(), 3);
        let tbs = der::children(outer[0].content);
        let mut fields = tbs.iter();
        let mut next = || *fields.next().expect("a field is missing");
        let (version, inner, issuer) = (next(), next(), next());
        let (this_update, next_update) = (der::time(next()), der::time(next()));
        let (list, extensions) = match next() {
            list if list.tag == 0x30 => (Some(list), next()),
            extensions => (None, extensions),
        };
        assert_eq!(extensions.tag, 0xa0);
        assert_eq!(fields.next(), None);
        Self {
            version: version.whole.to_vec(),
            inner_algorithm: inner.whole.to_vec(),
            outer_algorithm: outer[1].whole.to_vec(),
            issuer: issuer.whole.to_vec(),
            this_update,
            next_update,
            entries: list.map(|list| der::children(list.content).into_iter().map(entry).collect()),
            extensions: der::extensions(extensions.content),
        }
    }

    pub fn extension(&self, id: &[u8]) -> Option<&Extension> {
        self.extensions.iter().find(|extension| extension.id == id)
    }

    pub fn number(&self) -> u64 {
        let value = der::only(&self.extension(CRL_NUMBER).expect("a CRL number").value);
        assert!(value.content.len() <= 9);
        value
            .content
            .iter()
            .fold(0, |number, &octet| number << 8 | u64::from(octet))
    }

    /// The entries, if any.
    pub fn list(&self) -> &[Entry] {
        self.entries.as_deref().unwrap_or_default()
    }

    pub fn serials(&self) -> Vec<String> {
        self.list().iter().map(Entry::hex).collect()
    }

    /// It has all that was `listed` on an earlier one, which it replaces.
    pub fn lists_no_less_than(&self, listed: &mut BTreeSet<String>) {
        let serials: BTreeSet<_> = self.serials().into_iter().collect();
        assert!(
            serials.is_superset(listed),
            "CRL {} lost {:?}",
            self.number(),
            listed.difference(&serials)
        );
        *listed = serials;
    }

    /// The entry with this serial, in hexadecimal as OpenSSL prints it.
    pub fn entry(&self, serial: &str) -> Option<&Entry> {
        self.list()
            .iter()
            .find(|entry| entry.hex() == serial.to_uppercase())
    }
}

fn entry(value: der::Tlv<'_>) -> Entry {
    let fields = der::children(value.content);
    assert_eq!(fields[0].tag, 2);
    Entry {
        serial: fields[0].content.to_vec(),
        revoked_at: der::time(fields[1]),
        extensions: fields
            .get(2)
            .map_or(vec![], |list| der::extensions(list.whole)),
    }
}
