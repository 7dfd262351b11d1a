//! OCSP (RFC 6960, RFC 9654, RFC 9919): reading requests, drafting responses.
//!
//! Requests are read strictly over borrowed bytes. Responses are written here and read back by `rasn-ocsp`.

use sha1::{Digest, Sha1};

use super::{
    der::{DerError, Reader, extensions, oid, tag, write},
    issuer::HashAlgorithm,
    key::{PublicKey, SignatureAlgorithm},
    revocation::Reason,
    seal::{Document, Draft, Findings, Tbs},
    serial::{Serial, SerialError},
    time::{Timestamp, Window},
};

/// Most CertIDs in one request.
pub const MAX_CERT_IDS: usize = 100;

/// A request, its CertIDs in the order asked.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// At least one, at most [`MAX_CERT_IDS`].
    pub cert_ids: Vec<CertId<'a>>,
    /// The nonce extension's value, to be echoed verbatim.
    pub nonce: Option<&'a [u8]>,
}

/// Which certificate is asked about.
#[derive(Clone, Copy, Debug)]
pub struct CertId<'a> {
    /// The whole CertID, to be echoed byte for byte.
    pub der: &'a [u8],
    /// The hash algorithm, if it is one we know.
    pub algorithm: Option<HashAlgorithm>,
    /// The hash of the issuer's name.
    pub name_hash: &'a [u8],
    /// The hash of the issuer's key.
    pub key_hash: &'a [u8],
    /// The serial number; none where no certificate can have it (zero, negative or above 20 octets).
    pub serial: Option<Serial>,
}

/// Why some bytes are not a request; the answer is `malformedRequest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not DER, or not of a request's form.
    #[error("it is not a DER OCSP request: {0}")]
    Der(#[from] DerError),
    /// Another version.
    #[error("its version is not 1")]
    Version,
    /// Nothing is asked.
    #[error("it asks about no certificate")]
    Empty,
    /// Too much is asked.
    #[error("it asks about more than {MAX_CERT_IDS} certificates")]
    TooMany,
    /// RFC 9654 §2.1.
    #[error("its nonce is empty or longer than 128 octets")]
    Nonce,
    /// RFC 6960 §4.4: a critical extension that is not understood cannot be ignored.
    #[error("it has a critical extension that is not understood")]
    Critical,
}

impl<'a> Request<'a> {
    /// Reads a DER `OCSPRequest`. A signature is not looked at (RFC 9919 §3.1.2 lets responders ignore it).
    pub fn read(bytes: &'a [u8]) -> Result<Self, RequestError> {
        let mut input = Reader::new(bytes);
        let mut outer = input.sequence("OCSPRequest is not a SEQUENCE")?;
        input.finish("octets behind the request")?;
        let mut tbs = outer.sequence("tbsRequest is not a SEQUENCE")?;
        if let Some(signature) = outer.optional(tag::context(0))? {
            let mut inner = signature.reader();
            inner.sequence("optionalSignature is not a SEQUENCE")?;
            inner.finish("octets behind the signature")?;
        }
        outer.finish("octets behind tbsRequest")?;

        if let Some(version) = tbs.optional(tag::context(0))? {
            let mut version = version.reader();
            if version.content(tag::INTEGER, "version is not an INTEGER")? != [0] {
                return Err(RequestError::Version);
            }
            version.finish("octets behind the version")?;
        }
        if let Some(name) = tbs.optional(tag::context(1))? {
            let mut name = name.reader();
            name.any()?;
            name.finish("octets behind requestorName")?;
        }
        let mut list = tbs.sequence("requestList is not a SEQUENCE")?;
        let nonce = match tbs.optional(tag::context(2))? {
            Some(value) => request_extensions(value.reader())?,
            None => None,
        };
        tbs.finish("octets behind the request's extensions")?;

        let mut cert_ids = Vec::new();
        while !list.is_empty() {
            if cert_ids.len() == MAX_CERT_IDS {
                return Err(RequestError::TooMany);
            }
            cert_ids.push(single(&mut list)?);
        }
        if cert_ids.is_empty() {
            return Err(RequestError::Empty);
        }
        Ok(Self { cert_ids, nonce })
    }
}

/// Reads `requestExtensions`; returns the nonce's value.
fn request_extensions(list: Reader<'_>) -> Result<Option<&[u8]>, RequestError> {
    // id-pkix-ocsp-response (acceptable types; basic is always one), id-pkix-ocsp-pref-sig-algs.
    const UNDERSTOOD: [&[u8]; 2] = [oid::OCSP_RESPONSE, oid::OCSP_PREFERRED_ALGORITHMS];
    let mut nonce = None;
    for extension in extensions(list)? {
        if extension.id == oid::OCSP_NONCE {
            nonce = Some(checked_nonce(extension.value)?);
        } else if extension.critical && !UNDERSTOOD.contains(&extension.id) {
            return Err(RequestError::Critical);
        }
    }
    Ok(nonce)
}

/// RFC 9654 §2.1: an OCTET STRING of 1 to 128 octets. Some clients forget to wrap it; that is echoed as it came.
fn checked_nonce(value: &[u8]) -> Result<&[u8], RequestError> {
    let len = if value.first() == Some(&tag::OCTET_STRING) {
        let mut inner = Reader::new(value);
        let nonce = inner.content(tag::OCTET_STRING, "the nonce is not an OCTET STRING")?;
        inner.finish("octets behind the nonce")?;
        nonce.len()
    } else {
        value.len()
    };
    if (1..=128).contains(&len) { Ok(value) } else { Err(RequestError::Nonce) }
}

fn single<'a>(list: &mut Reader<'a>) -> Result<CertId<'a>, RequestError> {
    let mut request = list.sequence("a Request is not a SEQUENCE")?;
    let cert_id = request.value(tag::SEQUENCE, "a CertID is not a SEQUENCE")?;
    if let Some(value) = request.optional(tag::context(0))?
        && extensions(value.reader())?.iter().any(|extension| extension.critical)
    {
        return Err(RequestError::Critical);
    }
    request.finish("octets behind a Request")?;

    let mut fields = cert_id.reader();
    let mut algorithm = fields.sequence("hashAlgorithm is not a SEQUENCE")?;
    let id = algorithm.content(tag::OID, "hashAlgorithm has no object identifier")?;
    // RFC 5754 §2: NULL or absent; clients send both.
    let parameters = if algorithm.is_empty() { None } else { Some(algorithm.any()?) };
    algorithm.finish("octets behind hashAlgorithm")?;
    let plain = parameters.is_none_or(|parameters| parameters.whole == [tag::NULL, 0]);
    let name_hash = fields.content(tag::OCTET_STRING, "issuerNameHash is not an OCTET STRING")?;
    let key_hash = fields.content(tag::OCTET_STRING, "issuerKeyHash is not an OCTET STRING")?;
    let number = fields.value(tag::INTEGER, "serialNumber is not an INTEGER")?;
    fields.finish("octets behind a CertID")?;
    let serial = match Serial::from_integer(number.content) {
        Ok(serial) => Some(serial),
        Err(SerialError::Empty | SerialError::NotMinimal) => {
            return Err(number.error("serialNumber is not minimal").into());
        }
        Err(_) => None,
    };
    let algorithm = HashAlgorithm::from_oid(id).filter(|_| plain);
    Ok(CertId { der: cert_id.whole, algorithm, name_hash, key_hash, serial })
}

/// What is answered about one certificate (RFC 6960 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertStatus {
    /// Not revoked.
    Good,
    /// Revoked, or on hold.
    Revoked {
        /// Since when.
        at: Timestamp,
        /// Why; none for unspecified.
        reason: Option<Reason>,
    },
    /// Not known to us.
    Unknown,
}

/// A response without an answer (RFC 6960 §4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The request is not one.
    MalformedRequest = 1,
    /// Our own fault.
    InternalError = 2,
    /// Nothing trustworthy to answer from just now.
    TryLater = 3,
    /// Not our certificate.
    Unauthorized = 6,
}

impl Refusal {
    /// The DER `OCSPResponse`: a status and nothing else (RFC 6960 §4.2.1).
    pub fn der(self) -> [u8; 5] {
        [tag::SEQUENCE, 3, tag::ENUMERATED, 1, self as u8]
    }

    /// RFC 6960's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::MalformedRequest => "malformedRequest",
            Self::InternalError => "internalError",
            Self::TryLater => "tryLater",
            Self::Unauthorized => "unauthorized",
        }
    }
}

/// SHA-1 of a key's bits without tag, length and unused-bits octet (RFC 6960 §4.2.1 KeyHash).
pub fn key_hash(key: &PublicKey) -> [u8; 20] {
    Sha1::digest(key.bits()).into()
}

/// A basic response.
#[derive(Clone, Debug)]
pub struct Response {
    /// One for each CertID asked, in the order asked: its DER, and the answer.
    pub singles: Vec<(Vec<u8>, CertStatus)>,
    /// thisUpdate, which is producedAt too, and nextUpdate.
    pub window: Window,
    /// The nonce extension's value, if one was sent.
    pub nonce: Option<Vec<u8>>,
    /// The KeyHash of the responder.
    pub responder: [u8; 20],
    /// The responder's certificate, DER.
    pub certificate: Vec<u8>,
}

impl Response {
    /// Writes the bytes to be signed.
    pub fn draft(self, algorithm: SignatureAlgorithm) -> Draft<Self> {
        let produced_at = write::generalized_time(self.window.this());
        let responses = self.singles.iter().map(|(cert_id, status)| self.single(cert_id, *status));
        let nonce = self.nonce.as_ref().map_or(vec![], |nonce| {
            let extension = write::extension(oid::OCSP_NONCE, false, nonce);
            write::value(tag::context(1), &[&write::sequence(&[&extension])])
        });
        let content = [
            // RFC 9919 §3.2.2: "byKey". RFC 6960 §4.2.1: the version is DEFAULT, so not encoded.
            write::value(tag::context(2), &[&write::value(tag::OCTET_STRING, &[&self.responder])]),
            produced_at,
            write::sequence(&[&responses.collect::<Vec<_>>().concat()]),
            nonce,
        ]
        .concat();
        let tbs = Tbs::sequence(content.len(), |out| out.extend_from_slice(&content));
        Draft::new(self, tbs, algorithm)
    }

    fn single(&self, cert_id: &[u8], status: CertStatus) -> Vec<u8> {
        let status = match status {
            CertStatus::Good => write::value(tag::context_primitive(0), &[]),
            CertStatus::Unknown => write::value(tag::context_primitive(2), &[]),
            CertStatus::Revoked { at, reason } => {
                let reason = reason
                    .map_or(vec![], |reason| write::value(tag::context(0), &[&[tag::ENUMERATED, 1, reason.code()]]));
                write::value(tag::context(1), &[&write::generalized_time(at), &reason])
            }
        };
        // RFC 9919 §3.2.4: thisUpdate and nextUpdate, both always, never with a fraction.
        let next = write::value(tag::context(0), &[&write::generalized_time(self.window.next())]);
        write::sequence(&[cert_id, &status, &write::generalized_time(self.window.this()), &next])
    }

    /// `OCSPResponse` around a signed `BasicOCSPResponse`.
    fn wrap(basic: &[u8]) -> Vec<u8> {
        let kind = write::value(tag::OID, &[oid::OCSP_BASIC]);
        let bytes = write::sequence(&[&kind, &write::value(tag::OCTET_STRING, &[basic])]);
        write::sequence(&[&[tag::ENUMERATED, 1, 0], &write::value(tag::context(0), &[&bytes])])
    }
}

impl Document for Response {
    type Source<'a> = ();
    type Before<'a> = ();

    fn lint(&self, tbs: &[u8], _source: &()) -> Findings {
        let mut findings = Findings::default();
        match rasn::der::decode::<rasn_ocsp::ResponseData>(tbs) {
            Err(error) => findings.add("der", "RFC 6960 §4.2.1", error.to_string()),
            Ok(read) => self.lint_fields(tbs, &read, &mut findings),
        }
        findings
    }

    fn compare(&self, _tbs: &[u8], _before: &()) -> Findings {
        Findings::default()
    }

    fn assemble(&self, tbs: Tbs, algorithm: SignatureAlgorithm, signature: &[u8]) -> Vec<u8> {
        // RFC 6960 §4.2.1: the delegate's certificate, once.
        let certs = write::value(tag::context(0), &[&write::sequence(&[&self.certificate])]);
        Self::wrap(&tbs.assemble(algorithm, signature, &certs))
    }
}

impl Response {
    fn lint_fields(&self, tbs: &[u8], read: &rasn_ocsp::ResponseData, findings: &mut Findings) {
        findings.require(
            rasn::der::encode(read).is_ok_and(|again| again == tbs),
            "der_exact",
            "X.690 §10",
            "another encoder writes other bytes",
        );
        findings.require(
            matches!(&read.responder_id, rasn_ocsp::ResponderId::ByKey(hash) if hash[..] == self.responder),
            "responder_id",
            "RFC 9919 §3.2.2",
            "the responder is not named by the SHA-1 of its key",
        );
        let seconds = |time: Timestamp| time.seconds() as i64;
        let (this, next) = (seconds(self.window.this()), seconds(self.window.next()));
        findings.require(
            read.produced_at.timestamp() == this,
            "produced_at",
            "RFC 6960 §4.2.2.1",
            "producedAt is not the planned one",
        );
        findings.require(
            read.responses.len() == self.singles.len(),
            "single_responses",
            "RFC 6960 §4.2.2.3",
            "there is not exactly one answer for each CertID asked",
        );
        for (single, (cert_id, status)) in read.responses.iter().zip(&self.singles) {
            let times = single.this_update.timestamp() == this
                && single.next_update.as_ref().is_some_and(|time| time.timestamp() == next);
            findings.require(times, "window", "RFC 9919 §3.2.4", "thisUpdate or nextUpdate is not the planned one");
            findings.require(
                rasn::der::encode(&single.cert_id).is_ok_and(|again| again == *cert_id),
                "cert_id",
                "RFC 6960 §4.2.1",
                "the CertID is not the one asked, byte for byte",
            );
            findings.require(
                is_same(&single.cert_status, *status),
                "cert_status",
                "DESIGN: OCSP never guesses",
                "the status is not that of the index",
            );
        }
        let nonce = read.response_extensions.iter().flat_map(|list| list.iter()).map(|found| &found.extn_value[..]);
        findings.require(
            nonce.eq(self.nonce.as_deref()),
            "nonce",
            "RFC 9654 §2.1",
            "the response's extensions are not the nonce asked, alone",
        );
    }
}

fn is_same(read: &rasn_ocsp::CertStatus, status: CertStatus) -> bool {
    match (read, status) {
        (rasn_ocsp::CertStatus::Good, CertStatus::Good) => true,
        (rasn_ocsp::CertStatus::Unknown(()), CertStatus::Unknown) => true,
        (rasn_ocsp::CertStatus::Revoked(info), CertStatus::Revoked { at, reason }) => {
            let code = info.revocation_reason.map(|reason| reason as u8);
            info.revocation_time.timestamp() == at.seconds() as i64 && code == reason.map(Reason::code)
        }
        _ => false,
    }
}
