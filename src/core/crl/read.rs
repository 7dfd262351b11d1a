//! Reading a CRL, of whoever made it, in one pass over borrowed bytes. Shares no code that writes
//! or reads DER with the writer.

use crate::core::{
    der::{DerError, ExtensionRef, Reader, extension, extensions, oid, tag},
    key::SignatureAlgorithm,
    revocation::Reason,
    serial::{CrlNumber, Serial, SerialError},
    time::{TimeError, Timestamp},
};

/// Why some bytes are not a CRL that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum CrlError {
    /// Malformed.
    #[error("it is not a DER CRL")]
    Der(#[from] DerError),
    /// A serial number that breaks the rules.
    #[error("entry {entry} has a serial number that {error}")]
    Serial {
        /// Counted from 1.
        entry: usize,
        #[source]
        error: SerialError,
    },
    /// A time that breaks the rules.
    #[error("{place}")]
    Time {
        place: &'static str,
        #[source]
        error: TimeError,
    },
    /// A reason that RFC 5280 §5.3.1 does not have.
    #[error("entry {entry} has the reason code {code}, which RFC 5280 §5.3.1 does not have")]
    Reason {
        /// Counted from 1.
        entry: usize,
        code: u8,
    },
    /// A critical extension we do not know, which forbids to use the CRL (RFC 5280 §5.2, §5.3).
    #[error("{0} has a critical extension that is not understood")]
    Critical(&'static str),
}

/// A CRL's bytes, taken apart but not copied.
#[derive(Clone, Debug)]
pub struct CrlRef<'a> {
    /// The signed bytes.
    pub tbs: &'a [u8],
    /// Whether version 2 is stated.
    pub is_v2: bool,
    /// `TBSCertList.signature`.
    pub inner_algorithm: &'a [u8],
    /// The issuer's `Name`.
    pub issuer: &'a [u8],
    /// thisUpdate.
    pub this_update: Timestamp,
    /// nextUpdate.
    pub next_update: Option<Timestamp>,
    /// The tags of thisUpdate and nextUpdate.
    pub time_tags: (u8, Option<u8>),
    /// The content of revokedCertificates.
    pub revoked: Option<Reader<'a>>,
    /// crlExtensions.
    pub extensions: Vec<ExtensionRef<'a>>,
}

/// One entry of revokedCertificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Of which certificate.
    pub serial: Serial,
    /// Since when.
    pub revoked_at: Timestamp,
    /// Whether that is a UTCTime.
    pub is_utc_time: bool,
    /// The reason code, if any.
    pub reason: Option<u8>,
    /// When the key was compromised, if told.
    pub invalidity_date: Option<Timestamp>,
    /// Whether it has no other extensions than these, and none that is critical (RFC 5280 §5.3.1,
    /// §5.3.2).
    pub is_plain: bool,
}

/// The three parts of a `CertificateList`.
#[derive(Clone, Debug)]
pub struct SignedCrl<'a> {
    /// What is signed.
    pub crl: CrlRef<'a>,
    /// The signature's AlgorithmIdentifier.
    pub algorithm: &'a [u8],
    /// The signature.
    pub signature: &'a [u8],
}

impl<'a> SignedCrl<'a> {
    /// Reads a whole CRL; nothing may stand behind it.
    pub fn read(bytes: &'a [u8]) -> Result<Self, CrlError> {
        let mut input = Reader::new(bytes);
        let mut outer = input.sequence("it is not a SEQUENCE")?;
        input.finish("octets behind the CRL")?;
        let tbs = outer.value(tag::SEQUENCE, "tbsCertList is not a SEQUENCE")?;
        let algorithm = outer
            .value(tag::SEQUENCE, "signatureAlgorithm is not a SEQUENCE")?
            .whole;
        let signature = outer.content(tag::BIT_STRING, "signatureValue is not a BIT STRING")?;
        let signature = signature
            .strip_prefix(&[0])
            .ok_or(outer.error("the signature is not whole octets"))?;
        outer.finish("octets behind the signature")?;
        Ok(Self {
            crl: CrlRef::read(tbs.whole)?,
            algorithm,
            signature,
        })
    }

    /// The signature algorithm, if it is one we know and the one that the signed part names (RFC
    /// 5280 §5.1.1.2).
    pub fn signature_algorithm(&self) -> Option<SignatureAlgorithm> {
        SignatureAlgorithm::from_identifier(self.algorithm)
            .filter(|_| self.algorithm == self.crl.inner_algorithm)
    }
}

impl<'a> CrlRef<'a> {
    /// Reads a `TBSCertList`.
    pub fn read(tbs: &'a [u8]) -> Result<Self, CrlError> {
        let mut list = Reader::new(tbs).sequence("tbsCertList is not a SEQUENCE")?;
        let version = list.optional(tag::INTEGER)?;
        let inner_algorithm = list
            .value(tag::SEQUENCE, "signature is not a SEQUENCE")?
            .whole;
        let issuer = list.value(tag::SEQUENCE, "issuer is not a SEQUENCE")?.whole;
        let (this_tag, this_update) =
            time(&mut list, "thisUpdate")?.ok_or(list.error("thisUpdate is missing"))?;
        let next = time(&mut list, "nextUpdate")?;
        let revoked = list.optional(tag::SEQUENCE)?.map(|value| value.reader());
        let extensions = match list.optional(tag::context(0))? {
            Some(value) => extensions(value.reader())?,
            None => vec![],
        };
        list.finish("octets behind the CRL's extensions")?;
        Ok(Self {
            tbs,
            is_v2: version.is_some_and(|version| version.content == [1]),
            inner_algorithm,
            issuer,
            this_update,
            next_update: next.map(|(_, time)| time),
            time_tags: (this_tag, next.map(|(tag, _)| tag)),
            revoked,
            extensions,
        })
    }

    /// The entries in the order in which they stand.
    pub fn entries(&self) -> Entries<'a> {
        Entries {
            rest: self.revoked.unwrap_or(Reader::new(&[])),
            count: 0,
        }
    }

    /// An extension by the content octets of its object identifier.
    pub fn extension(&self, id: &[u8]) -> Option<&ExtensionRef<'a>> {
        self.extensions.iter().find(|extension| extension.id == id)
    }

    /// Its number, if it has one of at most 64 bits.
    pub fn number(&self) -> Option<CrlNumber> {
        self.number_in(oid::CRL_NUMBER)
    }

    /// On a delta CRL, the number of the full CRL that it continues.
    pub fn base_number(&self) -> Option<CrlNumber> {
        self.number_in(oid::DELTA_CRL_INDICATOR)
    }

    fn number_in(&self, id: &[u8]) -> Option<CrlNumber> {
        let mut value = Reader::new(self.extension(id)?.value);
        let number = CrlNumber::from_integer(value.content(tag::INTEGER, "").ok()?)?;
        value.finish("").ok()?;
        Some(number)
    }
}

/// The entries of a CRL, read one at a time.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    rest: Reader<'a>,
    count: usize,
}

impl Iterator for Entries<'_> {
    type Item = Result<Entry, CrlError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        self.count += 1;
        let entry = self.entry();
        if entry.is_err() {
            self.rest = Reader::new(&[]);
        }
        Some(entry)
    }
}

impl Entries<'_> {
    /// Passes over all that is, octet for octet, next in both.
    pub fn skip_common(&mut self, other: &mut Self) {
        loop {
            let (mut here, mut there) = (self.rest, other.rest);
            match (here.any(), there.any()) {
                (Ok(a), Ok(b)) if a.whole == b.whole => (self.rest, other.rest) = (here, there),
                _ => return,
            }
            self.count += 1;
            other.count += 1;
        }
    }

    /// The usual form, read in one go: a UTCTime, and no extension or a reason alone. Anything else
    /// is left to [`Self::any_entry`], which finds what is wrong with it.
    fn usual_entry(&mut self) -> Option<Entry> {
        let mut next = self.rest;
        let mut fields = next
            .any()
            .ok()
            .filter(|value| value.tag == tag::SEQUENCE)?
            .content;
        let serial = match fields {
            [0x02, len, rest @ ..] if *len < 0x80 => {
                let (serial, rest) = rest.split_at_checked(usize::from(*len))?;
                fields = rest;
                Serial::from_integer(serial).ok()?
            }
            _ => return None,
        };
        let ([0x17, 13, date @ ..], rest) = fields.split_first_chunk::<15>()? else {
            return None;
        };
        let reason = match rest {
            [] => None,
            [
                0x30,
                0x0c,
                0x30,
                0x0a,
                0x06,
                0x03,
                0x55,
                0x1d,
                0x15,
                0x04,
                0x03,
                0x0a,
                0x01,
                code,
            ] => Some(*code),
            _ => return None,
        };
        let revoked_at = Timestamp::from_utc_time(date).ok()?;
        self.rest = next;
        Some(Entry {
            serial,
            revoked_at,
            is_utc_time: true,
            reason,
            invalidity_date: None,
            is_plain: true,
        })
    }

    fn entry(&mut self) -> Result<Entry, CrlError> {
        self.usual_entry().map_or_else(|| self.any_entry(), Ok)
    }

    fn any_entry(&mut self) -> Result<Entry, CrlError> {
        let mut fields = self.rest.sequence("an entry is not a SEQUENCE")?;
        let serial = fields.content(tag::INTEGER, "an entry has no serial number")?;
        let serial = Serial::from_integer(serial).map_err(|error| CrlError::Serial {
            entry: self.count,
            error,
        })?;
        let (time_tag, revoked_at) = time(&mut fields, "a revocation date")?
            .ok_or(fields.error("an entry has no revocation date"))?;
        let is_utc_time = time_tag == tag::UTC_TIME;
        let mut entry = Entry {
            serial,
            revoked_at,
            is_utc_time,
            reason: None,
            invalidity_date: None,
            is_plain: true,
        };
        if !fields.is_empty() {
            self.entry_extensions(&mut fields, &mut entry)?;
        }
        fields.finish("octets behind an entry")?;
        Ok(entry)
    }

    fn entry_extensions(&self, fields: &mut Reader<'_>, entry: &mut Entry) -> Result<(), CrlError> {
        let mut list = fields.sequence("an entry's extensions are not a SEQUENCE")?;
        if list.is_empty() {
            return Err(list
                .error("an entry with an empty list of extensions")
                .into());
        }
        while !list.is_empty() {
            let at = list.error("an entry's extension stands twice");
            let found = extension(&mut list)?;
            entry.is_plain &= !found.critical;
            let mut value = Reader::new(found.value);
            match found.id {
                oid::REASON_CODE => {
                    let code =
                        match value.content(tag::ENUMERATED, "a reason that is not ENUMERATED")? {
                            &[code] => code,
                            _ => return Err(at.into()),
                        };
                    value.finish("octets behind a reason")?;
                    entry.reason.replace(code).map_or(Ok(()), |_| Err(at))?;
                }
                oid::INVALIDITY_DATE => {
                    let date = value.content(
                        tag::GENERALIZED_TIME,
                        "an invalidity date that is no GeneralizedTime",
                    )?;
                    value.finish("octets behind an invalidity date")?;
                    let date =
                        Timestamp::from_generalized_time(date).map_err(|error| CrlError::Time {
                            place: "an invalidity date",
                            error,
                        })?;
                    entry
                        .invalidity_date
                        .replace(date)
                        .map_or(Ok(()), |_| Err(at))?;
                }
                // RFC 5280 §5.3: "If a CRL contains a critical CRL entry extension that the
                // application cannot process, then the application MUST NOT use that CRL".
                _ if found.critical => return Err(CrlError::Critical("an entry")),
                _ => entry.is_plain = false,
            }
        }
        Ok(())
    }
}

impl Entry {
    /// The reason; `Err` with the code where RFC 5280 §5.3.1 has none for it. 0 is unspecified.
    pub fn reason(&self) -> Result<Option<Reason>, u8> {
        match self.reason {
            None | Some(0) => Ok(None),
            Some(code) => Reason::from_code(code).map(Some).ok_or(code),
        }
    }
}

/// A UTCTime or GeneralizedTime with its tag, if one is next.
fn time(reader: &mut Reader<'_>, place: &'static str) -> Result<Option<(u8, Timestamp)>, CrlError> {
    let error = |error| CrlError::Time { place, error };
    if let Some(value) = reader.optional(tag::UTC_TIME)? {
        return Ok(Some((
            value.tag,
            Timestamp::from_utc_time(value.content).map_err(error)?,
        )));
    }
    match reader.optional(tag::GENERALIZED_TIME)? {
        Some(value) => Ok(Some((
            value.tag,
            Timestamp::from_generalized_time(value.content).map_err(error)?,
        ))),
        None => Ok(None),
    }
}
