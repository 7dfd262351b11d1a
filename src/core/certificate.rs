//! An X.509 certificate, as far as revocation needs to look into it, and how a new one is written
//! ([`mod@write`]).

pub(crate) mod write;

use der::Decode;
use x509_cert::ext::pkix;

use super::{
    der::{DerError, Reader, oid, tag},
    key::{KeyError, PublicKey},
    serial::{Serial, SerialError},
    time::{TimeError, Timestamp},
};

/// The parts of a certificate that matter here; names and key also as the raw bytes they are
/// compared by.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The whole certificate.
    pub der: Vec<u8>,
    /// Its serial number.
    pub serial: Serial,
    /// The issuer's `Name`, DER.
    pub issuer: Vec<u8>,
    /// The subject's `Name`, DER.
    pub subject: Vec<u8>,
    /// `SubjectPublicKeyInfo`, DER.
    pub spki: Vec<u8>,
    /// The start of its validity.
    pub not_before: Timestamp,
    /// The end of its validity.
    pub not_after: Timestamp,
    /// The subject key identifier.
    pub subject_key_id: Option<Vec<u8>>,
    /// Whether basicConstraints say CA.
    pub is_ca: bool,
    /// The key usage, if limited.
    pub key_usage: Option<pkix::KeyUsage>,
    /// Whether the extended key usage names OCSPSigning.
    pub ocsp_signing: bool,
    /// The signature's AlgorithmIdentifier, the signed bytes, and the signature.
    signed: SignedMessage,
}

#[derive(Clone, Debug)]
struct SignedMessage {
    algorithm: Vec<u8>,
    message: Vec<u8>,
    signature: Vec<u8>,
}

/// Why some bytes are not a certificate we can use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Not DER of a certificate.
    #[error("is not a certificate")]
    Der(#[from] DerError),
    /// Not a certificate in the eyes of `x509-cert`.
    #[error("is not a certificate")]
    Parse(#[from] der::Error),
    /// Its serial number breaks the rules.
    #[error("has a serial number that {0}")]
    Serial(#[from] SerialError),
    /// Its validity breaks the rules.
    #[error("has a validity that cannot be read")]
    Time(#[from] TimeError),
}

impl Certificate {
    /// From PEM (the first certificate in it) or DER.
    pub fn from_pem_or_der(bytes: &[u8]) -> Result<Self, CertificateError> {
        const LABEL: &[u8] = b"-----BEGIN CERTIFICATE-----";
        match bytes
            .windows(LABEL.len())
            .position(|window| window == LABEL)
        {
            Some(start) => {
                let text = first_pem(&bytes[start..]);
                // As it is: another encoder might write other bytes, and the signature is over
                // these.
                let (_, der) = der::pem::decode_vec(text).map_err(der::Error::from)?;
                Self::from_der(&der)
            }
            None => Self::from_der(bytes),
        }
    }

    /// From DER.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let parsed = x509_cert::Certificate::from_der(der)?;
        let mut input = Reader::new(der);
        let mut outer = input.sequence("it is not a SEQUENCE")?;
        input.finish("octets behind the certificate")?;
        let message = outer.value(tag::SEQUENCE, "TBSCertificate is not a SEQUENCE")?;
        let algorithm = outer.value(tag::SEQUENCE, "signatureAlgorithm is not a SEQUENCE")?;
        let signature = outer.content(tag::BIT_STRING, "signatureValue is not a BIT STRING")?;
        let mut tbs = message.reader();
        tbs.optional(tag::context(0))?;
        let serial =
            Serial::from_integer(tbs.content(tag::INTEGER, "serialNumber is not an INTEGER")?)?;
        tbs.value(tag::SEQUENCE, "signature is not a SEQUENCE")?;
        let issuer = tbs
            .value(tag::SEQUENCE, "issuer is not a SEQUENCE")?
            .whole
            .to_vec();
        let mut validity = tbs.sequence("validity is not a SEQUENCE")?;
        let not_before = time(&mut validity)?;
        let not_after = time(&mut validity)?;
        let subject = tbs
            .value(tag::SEQUENCE, "subject is not a SEQUENCE")?
            .whole
            .to_vec();
        let spki = tbs
            .value(tag::SEQUENCE, "subjectPublicKeyInfo is not a SEQUENCE")?
            .whole
            .to_vec();

        let tbs = parsed.tbs_certificate();
        let key_id = tbs.get_extension::<pkix::SubjectKeyIdentifier>()?;
        // Nobody asks for it, but a malformed one is refused.
        tbs.get_extension::<pkix::AuthorityKeyIdentifier>()?;
        let purposes = tbs.get_extension::<pkix::ExtendedKeyUsage>()?;
        let is_ocsp_signing =
            |id: &der::asn1::ObjectIdentifier| id.as_bytes() == oid::KP_OCSP_SIGNING;
        Ok(Self {
            der: der.to_vec(),
            serial,
            issuer,
            subject,
            spki,
            not_before,
            not_after,
            subject_key_id: key_id.map(|(_, id)| id.0.as_bytes().to_vec()),
            is_ca: tbs
                .get_extension::<pkix::BasicConstraints>()?
                .is_some_and(|(_, basic)| basic.ca),
            key_usage: tbs
                .get_extension::<pkix::KeyUsage>()?
                .map(|(_, usage)| usage),
            ocsp_signing: purposes.is_some_and(|(_, usage)| usage.0.iter().any(is_ocsp_signing)),
            signed: SignedMessage {
                algorithm: algorithm.whole.to_vec(),
                message: message.whole.to_vec(),
                signature: signature.strip_prefix(&[0]).unwrap_or_default().to_vec(),
            },
        })
    }

    /// Its public key.
    pub fn public_key(&self) -> Result<PublicKey, KeyError> {
        PublicKey::from_spki(&self.spki)
    }

    /// Whether `key` signed it.
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        super::key::SignatureAlgorithm::from_identifier(&self.signed.algorithm).is_some_and(
            |algorithm| key.verifies(algorithm, &self.signed.message, &self.signed.signature),
        )
    }
}

/// RFC 5280 §4.1.2.5: UTCTime or GeneralizedTime.
pub(super) fn time(reader: &mut Reader<'_>) -> Result<Timestamp, CertificateError> {
    let value = reader.any()?;
    match value.tag {
        tag::UTC_TIME => Ok(Timestamp::from_utc_time(value.content)?),
        tag::GENERALIZED_TIME => Ok(Timestamp::from_generalized_time(value.content)?),
        _ => Err(value
            .error("a time is neither UTCTime nor GeneralizedTime")
            .into()),
    }
}

/// The text through the end of the first PEM block.
fn first_pem(bytes: &[u8]) -> &[u8] {
    const END: &[u8] = b"-----END CERTIFICATE-----";
    match bytes.windows(END.len()).position(|window| window == END) {
        Some(at) => &bytes[..at + END.len()],
        None => bytes,
    }
}
