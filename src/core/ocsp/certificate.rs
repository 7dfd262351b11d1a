//! The authorized responder's certificate (RFC 6960 §4.2.2.2): the CA delegates to it, so that its
//! own key signs no OCSP response.

use der::{Decode, Encode};
use x509_cert::ext::pkix;

pub(crate) use crate::core::certificate::write::common_name;
use crate::core::{
    certificate::{
        Certificate,
        write::{self as written, NewCertificate},
    },
    der::{oid, tag, write},
    issuer::Issuer,
    key::PublicKey,
    seal::{Document, Draft, Findings, SignedByCa},
    serial::Serial,
    time::Window,
};

/// What an authorized responder's certificate says (RFC 6960 §4.2.2.2, BR §7.1.2.8).
#[derive(Clone, Debug)]
pub(crate) struct ResponderCertificate {
    /// Its serial number.
    pub serial: Serial,
    /// Its validity; ends no later than the CA's.
    pub validity: Window,
    /// The common name of its subject.
    pub common_name: String,
    /// Its SubjectPublicKeyInfo, DER.
    pub spki: Vec<u8>,
}

impl ResponderCertificate {
    /// Writes the bytes to be signed.
    pub(crate) fn draft(self, issuer: &Issuer, key: &PublicKey) -> Draft<Self> {
        let extensions = [
            written::authority_key_id(issuer.key_id()),
            written::subject_key_id(key),
            // BR §7.1.2.8.8: critical, digitalSignature alone.
            written::key_usage(written::DIGITAL_SIGNATURE),
            // RFC 6960 §4.2.2.2: "id-kp-OCSPSigning".
            written::extended_key_usage(&[oid::KP_OCSP_SIGNING]),
            // RFC 6960 §4.2.2.2.1: "The value of the extension SHALL be NULL."
            write::extension(oid::OCSP_NOCHECK, false, &[tag::NULL, 0]),
        ];
        let tbs = NewCertificate {
            serial: self.serial,
            issuer: issuer.name().to_vec(),
            validity: self.validity,
            subject: common_name(&self.common_name),
            spki: self.spki.clone(),
            extensions: extensions.concat(),
        }
        .tbs(issuer.algorithm());
        Draft::new(self, tbs, issuer.algorithm())
    }
}

impl SignedByCa for ResponderCertificate {}

impl Document for ResponderCertificate {
    type Source<'a> = &'a Issuer;
    type Before<'a> = ();

    fn lint(&self, tbs: &[u8], issuer: &&Issuer) -> Findings {
        let mut findings = Findings::default();
        match x509_cert::TbsCertificate::from_der(tbs) {
            Err(error) => findings.add("der", "RFC 5280 §4.1", error.to_string()),
            Ok(read) => self.lint_fields(&read, issuer, &mut findings),
        }
        findings
    }

    fn compare(&self, _tbs: &[u8], _before: &()) -> Findings {
        Findings::default()
    }
}

impl ResponderCertificate {
    fn lint_fields(
        &self,
        read: &x509_cert::TbsCertificate,
        issuer: &Issuer,
        findings: &mut Findings,
    ) {
        self.lint_validity(issuer, findings);
        self.lint_names(read, issuer, findings);
        lint_usages(read, findings);
        lint_authority(read, issuer, findings);
        lint_nocheck(read, findings);
    }

    fn lint_validity(&self, issuer: &Issuer, findings: &mut Findings) {
        let end = issuer.certificate().not_after;
        findings.require(
            self.validity.next() <= end,
            "outlives_ca",
            "RFC 6960 §4.2.2.2",
            format!("it would end after the CA certificate, which ends {end}"),
        );
    }

    fn lint_names(
        &self,
        read: &x509_cert::TbsCertificate,
        issuer: &Issuer,
        findings: &mut Findings,
    ) {
        findings.require(
            is_written(read.issuer(), issuer.name()),
            "issuer_name",
            "RFC 6960 §4.2.2.2",
            "the issuer is not, byte for byte, the subject of the CA certificate",
        );
        findings.require(
            is_written(read.subject_public_key_info(), &self.spki)
                && Serial::from_integer(read.serial_number().as_bytes()) == Ok(self.serial),
            "key_and_serial",
            "RFC 5280 §4.1",
            "the key or the serial number is not the planned one",
        );
    }
}

fn is_written(found: &impl Encode, planned: &[u8]) -> bool {
    found.to_der().is_ok_and(|found| found == planned)
}

fn lint_usages(read: &x509_cert::TbsCertificate, findings: &mut Findings) {
    let purposes = read
        .get_extension::<pkix::ExtendedKeyUsage>()
        .ok()
        .flatten();
    findings.require(
        purposes.is_some_and(
            |(_, usage)| matches!(&usage.0[..], [id] if id.as_bytes() == oid::KP_OCSP_SIGNING),
        ),
        "extended_key_usage",
        "RFC 6960 §4.2.2.2",
        "the extended key usage is not OCSPSigning, alone",
    );
    let usage = read.get_extension::<pkix::KeyUsage>().ok().flatten();
    findings.require(
        usage.is_some_and(|(critical, usage)| {
            critical && usage.digital_signature() && !usage.crl_sign()
        }),
        "key_usage",
        "BR §7.1.2.8.8",
        "the key usage is not digitalSignature, critical",
    );
}

fn lint_authority(read: &x509_cert::TbsCertificate, issuer: &Issuer, findings: &mut Findings) {
    let authority = read
        .get_extension::<pkix::AuthorityKeyIdentifier>()
        .ok()
        .flatten();
    findings.require(
        authority
            .and_then(|(_, id)| id.key_identifier)
            .is_some_and(|id| id.as_bytes() == issuer.key_id()),
        "authority_key_identifier",
        "RFC 5280 §4.2.1.1",
        "the authority key identifier is not the CA's subject key identifier",
    );
}

fn lint_nocheck(read: &x509_cert::TbsCertificate, findings: &mut Findings) {
    let extensions = read.extensions().map(Vec::as_slice).unwrap_or_default();
    let nocheck = extensions
        .iter()
        .find(|extension| extension.extn_id.as_bytes() == oid::OCSP_NOCHECK);
    findings.require(
        nocheck.is_some_and(|nocheck| {
            !nocheck.critical && nocheck.extn_value.as_bytes() == [tag::NULL, 0]
        }),
        "nocheck",
        "RFC 6960 §4.2.2.2.1",
        "id-pkix-ocsp-nocheck is not there as a non-critical NULL",
    );
}

/// Why a certificate is no credential for an issuer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponderCertificateError {
    /// Issued by somebody else.
    #[error(
        "was not issued by this CA with its current key; clients would refuse it (RFC 6960 \
         §4.2.2.2)"
    )]
    OtherIssuer,
    /// Not for OCSP.
    #[error("lacks the extended key usage OCSPSigning (RFC 6960 §4.2.2.2)")]
    NotForOcsp,
}

/// Whether clients will accept `certificate` as `issuer`'s responder.
pub(crate) fn admit(
    certificate: &Certificate,
    issuer: &Issuer,
) -> Result<(), ResponderCertificateError> {
    if !issuer.issued(certificate) {
        return Err(ResponderCertificateError::OtherIssuer);
    }
    if !certificate.ocsp_signing {
        return Err(ResponderCertificateError::NotForOcsp);
    }
    Ok(())
}
