//! OCSP (RFC 6960, RFC 9654, RFC 9919): requests, read strictly over borrowed bytes, and what may
//! be answered.

use crate::core::{
    der::{DerError, Reader, extensions, oid, tag},
    issuer::HashAlgorithm,
    revocation::Reason,
    serial::{Serial, SerialError},
    time::Timestamp,
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
    /// The value of the extension that names the algorithms which the client prefers, not looked at
    /// yet.
    preferred: Option<&'a [u8]>,
}

/// An algorithm that a client prefers (RFC 6960 §4.4.7.1).
#[derive(Clone, Copy, Debug)]
pub struct Preferred<'a> {
    /// The `AlgorithmIdentifier` of the signature.
    pub signature: &'a [u8],
    /// What the responder's key should be: an object identifier and its parameters, if any.
    pub key: Option<(&'a [u8], Option<&'a [u8]>)>,
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
    /// The serial number; none where no certificate can have it (zero, negative or above 20
    /// octets).
    pub serial: Option<Serial>,
}

/// Why some bytes are not a request; the answer is `malformedRequest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not DER, or not of a request's form.
    #[error("it is not a DER OCSP request")]
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
    /// Reads a DER `OCSPRequest`. A signature is not looked at (RFC 9919 §3.1.2 lets responders
    /// ignore it).
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
        let (nonce, preferred) = match tbs.optional(tag::context(2))? {
            Some(value) => request_extensions(value.reader())?,
            None => (None, None),
        };
        tbs.finish("octets behind the request's extensions")?;

        // Nearly always one.
        let mut cert_ids = Vec::with_capacity(1);
        while !list.is_empty() {
            if cert_ids.len() == MAX_CERT_IDS {
                return Err(RequestError::TooMany);
            }
            cert_ids.push(single(&mut list)?);
        }
        if cert_ids.is_empty() {
            return Err(RequestError::Empty);
        }
        Ok(Self {
            cert_ids,
            nonce,
            preferred,
        })
    }

    /// The signature algorithms that the client prefers, the dearest first. What cannot be read
    /// ends the list: it is a wish, and a responder may always answer as it usually does.
    pub fn preferred(&self) -> impl Iterator<Item = Preferred<'a>> {
        let list = self.preferred.and_then(|value| {
            let mut outer = Reader::new(value);
            let list = outer.sequence("").ok()?;
            outer.finish("").ok().map(|()| list)
        });
        let mut list = list.unwrap_or(Reader::new(&[]));
        std::iter::from_fn(move || preferred(&mut list).ok())
    }
}

/// The value of the nonce, and of the preferred algorithms.
type Wishes<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// Reads `requestExtensions`.
fn request_extensions(list: Reader<'_>) -> Result<Wishes<'_>, RequestError> {
    // id-pkix-ocsp-response (acceptable types; basic is always one), id-pkix-ocsp-pref-sig-algs.
    const UNDERSTOOD: [&[u8]; 2] = [oid::OCSP_RESPONSE, oid::OCSP_PREFERRED_ALGORITHMS];
    let (mut nonce, mut preferred) = (None, None);
    for extension in extensions(list)? {
        if extension.id == oid::OCSP_NONCE {
            nonce = Some(checked_nonce(extension.value)?);
        } else if extension.critical && !UNDERSTOOD.contains(&extension.id) {
            return Err(RequestError::Critical);
        } else if extension.id == oid::OCSP_PREFERRED_ALGORITHMS {
            preferred = Some(extension.value);
        }
    }
    Ok((nonce, preferred))
}

/// One `PreferredSignatureAlgorithm`.
fn preferred<'a>(list: &mut Reader<'a>) -> Result<Preferred<'a>, DerError> {
    let mut item = list.sequence("a PreferredSignatureAlgorithm is not a SEQUENCE")?;
    let signature = item
        .value(tag::SEQUENCE, "sigIdentifier is not a SEQUENCE")?
        .whole;
    let key = match item.optional(tag::SEQUENCE)? {
        Some(key) => {
            let mut key = key.reader();
            let id = key.content(tag::OID, "pubKeyAlgIdentifier has no object identifier")?;
            Some((
                id,
                if key.is_empty() {
                    None
                } else {
                    Some(key.any()?.whole)
                },
            ))
        }
        None => None,
    };
    item.finish("octets behind a PreferredSignatureAlgorithm")?;
    Ok(Preferred { signature, key })
}

/// RFC 9654 §2.1: an OCTET STRING of 1 to 128 octets. Some clients forget to wrap it; that is
/// echoed as it came.
fn checked_nonce(value: &[u8]) -> Result<&[u8], RequestError> {
    let len = if value.first() == Some(&tag::OCTET_STRING) {
        let mut inner = Reader::new(value);
        let nonce = inner.content(tag::OCTET_STRING, "the nonce is not an OCTET STRING")?;
        inner.finish("octets behind the nonce")?;
        nonce.len()
    } else {
        value.len()
    };
    if (1..=128).contains(&len) {
        Ok(value)
    } else {
        Err(RequestError::Nonce)
    }
}

fn single<'a>(list: &mut Reader<'a>) -> Result<CertId<'a>, RequestError> {
    let mut request = list.sequence("a Request is not a SEQUENCE")?;
    let id = CertId::read(&mut request)?;
    if let Some(value) = request.optional(tag::context(0))?
        && extensions(value.reader())?
            .iter()
            .any(|extension| extension.critical)
    {
        return Err(RequestError::Critical);
    }
    request.finish("octets behind a Request")?;
    Ok(id)
}

impl<'a> CertId<'a> {
    /// Reads the next value, a CertID.
    pub fn read(input: &mut Reader<'a>) -> Result<Self, RequestError> {
        let cert_id = input.value(tag::SEQUENCE, "a CertID is not a SEQUENCE")?;
        let mut fields = cert_id.reader();
        let mut algorithm = fields.sequence("hashAlgorithm is not a SEQUENCE")?;
        let id = algorithm.content(tag::OID, "hashAlgorithm has no object identifier")?;
        // RFC 5754 §2: NULL or absent; clients send both.
        let parameters = if algorithm.is_empty() {
            None
        } else {
            Some(algorithm.any()?)
        };
        algorithm.finish("octets behind hashAlgorithm")?;
        let plain = parameters.is_none_or(|parameters| parameters.whole == [tag::NULL, 0]);
        let name_hash =
            fields.content(tag::OCTET_STRING, "issuerNameHash is not an OCTET STRING")?;
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
        Ok(Self {
            der: cert_id.whole,
            algorithm,
            name_hash,
            key_hash,
            serial,
        })
    }
}

/// What is answered about one certificate (RFC 6960 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CertStatus {
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
    /// Never issued, and therefore to be taken for revoked (RFC 6960 §2.2).
    NeverIssued,
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
    /// Every refusal.
    pub const ALL: [Self; 4] = [
        Self::MalformedRequest,
        Self::InternalError,
        Self::TryLater,
        Self::Unauthorized,
    ];

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
