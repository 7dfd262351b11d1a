//! Certificates, written by hand, so that they may be whatever a test needs.

use std::{fs, path::Path};

use sha1::{Digest, Sha1};

pub use super::keys::{Form, Key, Private, write_key};
use super::{at, der, now, ocsp::Hash, pem};

/// An extension of a certificate.
#[derive(Clone, Copy, Debug)]
pub enum Extension<'a> {
    /// Basic constraints, critical: whether it is a CA's.
    Ca(bool),
    /// Critical.
    KeyUsage(&'a [Usage]),
    ExtendedKeyUsage(&'a [Purpose]),
    SubjectKeyId,
    /// The issuer's subject key identifier.
    AuthorityKeyId,
    /// id-pkix-ocsp-nocheck.
    NoCheck,
    /// CRL distribution points: one URL.
    Crl(&'a str),
    /// Freshest CRL: one URL.
    Delta(&'a str),
    /// Authority information access: a responder's URL.
    Responder(&'a str),
}

/// What a key may do, by its bit (RFC 5280 §4.2.1.3).
#[derive(Clone, Copy, Debug)]
pub enum Usage {
    DigitalSignature = 0,
    KeyCertSign = 5,
    CrlSign = 6,
}

/// What a certificate is for, by the last arc of its identifier below id-kp.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    ServerAuth = 1,
    ClientAuth = 2,
    OcspSigning = 9,
}

/// What a CA certificate needs to be one that may sign CRLs.
pub const CA_EXTENSIONS: &[Extension<'_>] = &[
    Extension::Ca(true),
    Extension::KeyUsage(&[Usage::KeyCertSign, Usage::CrlSign]),
    Extension::SubjectKeyId,
];

/// What an ordinary certificate has.
pub const LEAF_EXTENSIONS: &[Extension<'_>] = &[
    Extension::Ca(false),
    Extension::KeyUsage(&[Usage::DigitalSignature]),
    Extension::ExtendedKeyUsage(&[Purpose::ServerAuth, Purpose::ClientAuth]),
    Extension::SubjectKeyId,
    Extension::AuthorityKeyId,
];

/// What a delegated responder's certificate has (RFC 6960 §4.2.2.2).
pub const RESPONDER_EXTENSIONS: &[Extension<'_>] = &[
    Extension::KeyUsage(&[Usage::DigitalSignature]),
    Extension::ExtendedKeyUsage(&[Purpose::OcspSigning]),
    Extension::NoCheck,
    Extension::SubjectKeyId,
    Extension::AuthorityKeyId,
];

/// A certificate to be made.
#[derive(Clone, Copy, Debug)]
pub struct Cert<'a> {
    /// `/C=DE/O=Contoso/CN=Test CA`.
    pub subject: &'a str,
    /// Hexadecimal.
    pub serial: &'a str,
    pub days: u32,
    pub extensions: &'a [Extension<'a>],
}

/// As which type of string a name's values are written, where the attribute itself does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strings {
    Utf8,
    Printable,
}

/// A self-signed certificate for the key in `key`.
pub fn self_signed(key: &Path, out: &Path, cert: Cert<'_>, strings: Strings) {
    let until = now() + u64::from(cert.days) * 86_400;
    write(
        out,
        &certify_itself(&Private::read(key), cert, strings, [now(), until]),
    );
}

/// A CA certificate that ended long ago.
pub fn expired_self_signed(key: &Path, out: &Path, subject: &str) {
    let cert = Cert {
        subject,
        serial: "0ca7",
        days: 0,
        extensions: CA_EXTENSIONS,
    };
    let dates = ["20200101000000Z", "20210101000000Z"].map(der::seconds);
    write(
        out,
        &certify_itself(&Private::read(key), cert, Strings::Utf8, dates),
    );
}

fn certify_itself(key: &Private, cert: Cert<'_>, strings: Strings, dates: [u64; 2]) -> Vec<u8> {
    let subject = name(cert.subject, strings);
    let issuer = Issuer {
        key,
        hash: key.hash(),
        key_id: key_id(&key.public()),
        subject: subject.clone(),
    };
    issuer.certify(&subject, &key.public(), cert, dates)
}

/// A certificate for the key in `key`, issued by the CA whose certificate and key are in `ca`.
pub fn issue(ca: (&Path, &Path), key: &Path, out: &Path, cert: Cert<'_>) {
    issue_with(ca, Private::read(ca.1).hash(), key, out, cert);
}

/// The same, signed with a hash that need not be the one that is usual for the CA's key.
pub fn issue_with(ca: (&Path, &Path), hash: Hash, key: &Path, out: &Path, cert: Cert<'_>) {
    let (signer, authority) = (Private::read(ca.1), der_of(ca.0));
    let fields = tbs(&authority);
    let subject_key_id = extensions_of(&authority)
        .into_iter()
        .find(|one| one.id == [0x55, 0x1d, 0x0e]);
    let key_id = subject_key_id
        .map(|one| der::only(&one.value).content.to_vec())
        .unwrap_or_default();
    let issuer = Issuer {
        key: &signer,
        hash,
        key_id,
        subject: fields[5].whole.to_vec(),
    };
    let dates = [now(), now() + u64::from(cert.days) * 86_400];
    write(
        out,
        &issuer.certify(
            &name(cert.subject, Strings::Utf8),
            &Private::read(key).public(),
            cert,
            dates,
        ),
    );
}

fn write(out: &Path, certificate: &[u8]) {
    fs::write(out, pem::write("CERTIFICATE", certificate)).unwrap();
}

struct Issuer<'a> {
    key: &'a Private,
    hash: Hash,
    key_id: Vec<u8>,
    subject: Vec<u8>,
}

impl Issuer<'_> {
    fn certify(&self, subject: &[u8], public: &[u8], cert: Cert<'_>, dates: [u64; 2]) -> Vec<u8> {
        let extensions: Vec<_> = cert
            .extensions
            .iter()
            .map(|one| self.extension(*one, public))
            .collect();
        let extensions = der::tlv(0xa3, &[&der::sequence(&[&extensions.concat()])]);
        let tbs = der::sequence(&[
            &der::tlv(0xa0, &[&[2, 1, 2]]),
            &der::unsigned(&der::from_hex(cert.serial)),
            &self.key.algorithm(self.hash),
            &self.subject,
            &der::sequence(&[&time(dates[0]), &time(dates[1])]),
            subject,
            public,
            if cert.extensions.is_empty() {
                &[]
            } else {
                &extensions
            },
        ]);
        self.key.signed(&tbs, self.hash)
    }

    fn extension(&self, one: Extension<'_>, public: &[u8]) -> Vec<u8> {
        // An id-ce, or an identifier of PKIX's own.
        let ce = |last: u8| vec![0x55, 0x1d, last];
        let pkix = |arcs: &[u8]| [&[0x2b, 6, 1, 5, 5, 7], arcs].concat();
        let uri = |url: &str| der::tlv(0x86, &[url.as_bytes()]);
        // DistributionPoint, DistributionPointName, fullName.
        let point = |url: &str| {
            let names = der::tlv(0xa0, &[&uri(url)]);
            der::sequence(&[&der::sequence(&[&der::tlv(0xa0, &[&names])])])
        };
        let (id, critical, value) = match one {
            Extension::Ca(true) => (ce(0x13), true, der::sequence(&[&[1, 1, 0xff]])),
            Extension::Ca(false) => (ce(0x13), true, der::sequence(&[])),
            Extension::KeyUsage(usages) => (ce(0x0f), true, bits(usages)),
            Extension::ExtendedKeyUsage(purposes) => {
                let ids = purposes
                    .iter()
                    .map(|purpose| der::tlv(6, &[&pkix(&[3, *purpose as u8])]));
                (
                    ce(0x25),
                    false,
                    der::sequence(&[&ids.collect::<Vec<_>>().concat()]),
                )
            }
            Extension::SubjectKeyId => (ce(0x0e), false, der::tlv(4, &[&key_id(public)])),
            Extension::AuthorityKeyId => (
                ce(0x23),
                false,
                der::sequence(&[&der::tlv(0x80, &[&self.key_id])]),
            ),
            Extension::NoCheck => (pkix(&[0x30, 1, 5]), false, vec![5, 0]),
            Extension::Crl(url) => (ce(0x1f), false, point(url)),
            Extension::Delta(url) => (ce(0x2e), false, point(url)),
            Extension::Responder(url) => {
                let method = der::tlv(6, &[&pkix(&[0x30, 1])]);
                (
                    pkix(&[1, 1]),
                    false,
                    der::sequence(&[&der::sequence(&[&method, &uri(url)])]),
                )
            }
        };
        let critical: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
        der::sequence(&[&der::tlv(6, &[&id]), critical, &der::tlv(4, &[&value])])
    }
}

/// A BIT STRING without zeros at its end.
fn bits(usages: &[Usage]) -> Vec<u8> {
    let octet = usages
        .iter()
        .fold(0u8, |octet, usage| octet | 0x80 >> *usage as u8);
    der::tlv(3, &[&[octet.trailing_zeros() as u8, octet]])
}

/// RFC 5280 §4.2.1.2 (1).
fn key_id(public: &[u8]) -> Vec<u8> {
    let bits = der::children(der::only(public).content)[1];
    Sha1::digest(&bits.content[1..]).to_vec()
}

/// RFC 5280 §4.1.2.5: UTCTime until 2049.
pub fn time(seconds: u64) -> Vec<u8> {
    let digits: String = at(seconds)
        .to_string()
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    match digits.as_str() < "2050" {
        true => der::tlv(0x17, &[&digits.as_bytes()[2..], b"Z"]),
        false => der::tlv(0x18, &[digits.as_bytes(), b"Z"]),
    }
}

/// A Name; in text a slash before every attribute.
pub fn name(text: &str, strings: Strings) -> Vec<u8> {
    let attribute = |text: &str| {
        let (kind, value) = text.split_once('=').expect("KIND=value");
        let usual = if strings == Strings::Utf8 { 0x0c } else { 0x13 };
        // RFC 5280 §A.1: countryName is printable, e-mail addresses and domain components are IA5.
        let (id, tag): (&[u8], u8) = match kind {
            "CN" => (&[0x55, 4, 3], usual),
            "O" => (&[0x55, 4, 10], usual),
            "C" => (&[0x55, 4, 6], 0x13),
            "emailAddress" => (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1], 0x16),
            "DC" => (
                &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 0x19],
                0x16,
            ),
            other => panic!("{other} is no attribute that the tests know"),
        };
        let pair = der::sequence(&[&der::tlv(6, &[id]), &der::tlv(tag, &[value.as_bytes()])]);
        der::tlv(0x31, &[&pair])
    };
    let sets: Vec<_> = text.split('/').skip(1).map(attribute).collect();
    der::sequence(&[&sets.concat()])
}

/// The public half of a key, PEM.
pub fn public_key(key: &str) -> String {
    pem::write("PUBLIC KEY", &Private::of(key).public())
}

/// The DER of a PEM certificate.
pub fn der_of(path: &Path) -> Vec<u8> {
    pem::only(&fs::read_to_string(path).unwrap(), "CERTIFICATE")
}

/// The fields of a certificate's inside.
pub fn tbs(certificate: &[u8]) -> Vec<der::Tlv<'_>> {
    der::children(der::children(der::only(certificate).content)[0].content)
}

/// A certificate's extensions.
pub fn extensions_of(certificate: &[u8]) -> Vec<der::Extension> {
    let fields = tbs(certificate);
    let list = fields.iter().find(|field| field.tag == 0xa3);
    list.map_or(vec![], |list| der::extensions(list.content))
}
