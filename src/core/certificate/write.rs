//! Certificates as they are written: the authorized responder's, and the demo's.

use crate::core::{
    der::{oid, tag, write},
    key::{PublicKey, SignatureAlgorithm},
    seal::{Document, Draft, Findings, Tbs},
    serial::Serial,
    time::Window,
};
use der::{Decode, Encode};

/// A certificate that is to be issued (RFC 5280 §4.1.2). Names, key and extensions are DER.
#[derive(Clone, Debug)]
pub(crate) struct NewCertificate {
    /// Its serial number.
    pub serial: Serial,
    /// The `Name` of who issues it.
    pub issuer: Vec<u8>,
    /// Its validity.
    pub validity: Window,
    /// The `Name` of whose it is.
    pub subject: Vec<u8>,
    /// The subject's SubjectPublicKeyInfo.
    pub spki: Vec<u8>,
    /// The extensions, one behind the other.
    pub extensions: Vec<u8>,
}

impl NewCertificate {
    /// The bytes to be signed with `algorithm`.
    pub(crate) fn draft(self, algorithm: SignatureAlgorithm) -> Draft<Self> {
        let tbs = self.tbs(algorithm);
        Draft::new(self, tbs, algorithm)
    }

    /// TBSCertificate.
    pub(in crate::core) fn tbs(&self, algorithm: SignatureAlgorithm) -> Tbs {
        let (serial, serial_len) = self.serial.integer();
        let validity = [self.validity.this(), self.validity.next()].map(write::time);
        let content = [
            // v3.
            write::value(tag::context(0), &[&write::integer(2)]),
            write::value(tag::INTEGER, &[&serial[serial.len() - serial_len..]]),
            algorithm.identifier(),
            self.issuer.clone(),
            write::sequence(&[&validity[0], &validity[1]]),
            self.subject.clone(),
            self.spki.clone(),
            write::value(tag::context(3), &[&write::sequence(&[&self.extensions])]),
        ]
        .concat();
        Tbs::sequence(content.len(), |out| out.extend_from_slice(&content))
    }
}

impl Document for NewCertificate {
    type Source<'a> = ();
    type Before<'a> = ();

    fn lint(&self, tbs: &[u8], _source: &()) -> Findings {
        let mut findings = Findings::default();
        let read = match x509_cert::TbsCertificate::from_der(tbs) {
            Ok(read) => read,
            Err(error) => {
                findings.add("der", "RFC 5280 §4.1", error.to_string());
                return findings;
            }
        };
        let parts = [
            (read.issuer().to_der(), &self.issuer),
            (read.subject().to_der(), &self.subject),
            (read.subject_public_key_info().to_der(), &self.spki),
        ];
        findings.require(
            parts
                .iter()
                .all(|(found, planned)| found.as_ref() == Ok(*planned))
                && Serial::from_integer(read.serial_number().as_bytes()) == Ok(self.serial),
            "names_key_serial",
            "RFC 5280 §4.1.2",
            "the names, the key or the serial number are not the planned ones",
        );
        let mut ids: Vec<_> = read
            .extensions()
            .into_iter()
            .flatten()
            .map(|one| one.extn_id)
            .collect();
        let count = ids.len();
        ids.sort();
        ids.dedup();
        findings.require(
            ids.len() == count,
            "extension_twice",
            "RFC 5280 §4.2",
            "an extension is there twice",
        );
        findings
    }

    fn compare(&self, _tbs: &[u8], _before: &()) -> Findings {
        Findings::default()
    }
}

/// A `Name` of one common name.
pub(crate) fn common_name(name: &str) -> Vec<u8> {
    let id = write::value(tag::OID, &[oid::COMMON_NAME]);
    let text = write::value(tag::UTF8_STRING, &[name.as_bytes()]);
    write::sequence(&[&write::value(tag::SET, &[&write::sequence(&[&id, &text])])])
}

/// The AKI extension that names the issuer's key by its identifier.
pub(crate) fn authority_key_id(id: &[u8]) -> Vec<u8> {
    let id = write::value(tag::context_primitive(0), &[id]);
    write::extension(
        oid::AUTHORITY_KEY_IDENTIFIER,
        false,
        &write::sequence(&[&id]),
    )
}

/// The SKI extension of `key`.
pub(crate) fn subject_key_id(key: &PublicKey) -> Vec<u8> {
    let id = write::value(tag::OCTET_STRING, &[&key.sha1()]);
    write::extension(oid::SUBJECT_KEY_IDENTIFIER, false, &id)
}

/// keyUsage: digitalSignature.
pub(crate) const DIGITAL_SIGNATURE: u8 = 0x80;
/// keyUsage: keyCertSign and cRLSign.
pub(crate) const CERT_AND_CRL_SIGN: u8 = 0x06;

/// The key usage extension, critical (RFC 5280 §4.2.1.3).
pub(crate) fn key_usage(bits: u8) -> Vec<u8> {
    // X.690 §11.2.2: "the bitstring shall have all trailing 0 bits removed".
    let unused = bits.trailing_zeros() as u8;
    write::extension(oid::KEY_USAGE, true, &[tag::BIT_STRING, 2, unused, bits])
}

/// The extended key usage extension.
pub(crate) fn extended_key_usage(purposes: &[&[u8]]) -> Vec<u8> {
    let ids: Vec<_> = purposes
        .iter()
        .map(|id| write::value(tag::OID, &[id]))
        .collect();
    write::extension(
        oid::EXTENDED_KEY_USAGE,
        false,
        &write::sequence(&[&ids.concat()]),
    )
}
