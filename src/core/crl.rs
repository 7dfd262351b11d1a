//! Certificate revocation lists: drafting one, and reading any.
//!
//! In scope: RFC 5280 §5, full, delta and sharded CRLs. [`Crl::draft`] writes with [`mod@write`]; [`CrlRef`] reads with [`Reader`], in one
//! pass over borrowed bytes, and shares nothing with the writer.

use super::{
    der::{DerError, ExtensionRef, Reader, extension, extensions, oid, tag, write},
    issuer::Issuer,
    key::SignatureAlgorithm,
    replica::Replica,
    revocation::{Reason, Status},
    scope::{Base, Contains, Scope},
    seal::{Draft, Tbs},
    serial::{CrlNumber, Serial, SerialError},
    time::{Calendar, TimeError, Timestamp, Window},
};

/// What is to be on a CRL, besides the revocations.
#[derive(Clone, Debug)]
pub struct Crl {
    /// Its number.
    pub number: CrlNumber,
    /// thisUpdate and nextUpdate.
    pub window: Window,
    /// What it is about.
    pub scope: Scope,
    /// The URLs of its issuing distribution point; none on a full CRL for everybody (RFC 5280 §5.2.5).
    pub distribution_points: Vec<String>,
    /// Which certificates there are at all.
    pub contains: Contains,
    /// Where its delta CRL is; none on delta CRLs (RFC 5280 §5.2.6).
    pub freshest: Option<String>,
    /// On a delta CRL: the full CRL that it continues, and its rows.
    pub delta: Option<(Base, Vec<Status>)>,
    /// Since when expired certificates are kept on it (X.509 §9.5.2.8); none where they are dropped.
    pub expired_since: Option<Timestamp>,
    /// The last published CRL, for what it has listed already.
    pub previous: Option<Appearance>,
}

/// When the previous CRL was issued, and from which state of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appearance {
    /// Its thisUpdate.
    pub this_update: Timestamp,
    /// The change set its index was level with.
    pub seq: u64,
}

impl Crl {
    /// Whether `status` stands on this CRL. RFC 5280 §3.3: "An entry MUST NOT be removed from the CRL until it
    /// appears on one regularly scheduled CRL issued beyond the revoked certificate's validity period."
    pub fn lists(&self, status: &Status) -> bool {
        let has_appeared_expired = || match (status.not_after, self.previous) {
            (Some(end), Some(previous)) => end < previous.this_update && status.seq <= previous.seq,
            _ => false,
        };
        status.is_listed()
            && self.scope.holds(&status.serial)
            && (self.expired_since.is_some() || !has_appeared_expired())
    }

    /// The statuses that stand on this CRL, in order of serial.
    pub fn entries<'a>(&'a self, replica: &'a Replica) -> impl Iterator<Item = &'a Status> {
        let changes = self.delta.iter().flat_map(|(_, rows)| rows);
        let all = self.delta.is_none().then(|| replica.rows().filter(|status| self.lists(status)));
        all.into_iter().flatten().chain(changes)
    }

    /// Writes the bytes to be signed.
    pub fn draft(self, issuer: &Issuer, replica: &Replica) -> Draft<Self> {
        let entries_len: usize = self.entries(replica).map(entry_len).sum();
        // RFC 5280 §5.1.2.6: "When there are no revoked certificates, the revoked certificates list MUST be absent."
        let list_len = if entries_len == 0 { 0 } else { write::header_len(entries_len) + entries_len };
        let before = self.before_entries(issuer);
        let behind = write::value(tag::context(0), &[&self.extensions(issuer)]);
        let tbs = Tbs::sequence(before.len() + list_len + behind.len(), |out| {
            out.extend_from_slice(&before);
            if entries_len > 0 {
                write::header(out, tag::SEQUENCE, entries_len);
                let mut calendar = Calendar::default();
                self.entries(replica).for_each(|status| put_entry(out, status, &mut calendar));
            }
            out.extend_from_slice(&behind);
        });
        Draft::new(self, tbs, issuer.algorithm())
    }

    /// The value of the issuing distribution point, if there is to be one.
    pub fn distribution_point(&self) -> Option<Vec<u8>> {
        // RFC 5280 §5.2.5: TRUE alone is encoded, and "at most one" of these stands there.
        let contains: &[u8] = match self.contains {
            Contains::All => &[],
            Contains::User => &[0x81, 1, 0xff],
            Contains::Ca => &[0x82, 1, 0xff],
        };
        let point = point_name(&self.distribution_points);
        (!point.is_empty() || !contains.is_empty()).then(|| write::sequence(&[&point, contains]))
    }

    /// The value of the freshest CRL, if there is to be one.
    pub fn freshest_point(&self) -> Option<Vec<u8>> {
        let url = self.freshest.as_ref()?;
        Some(write::sequence(&[&write::sequence(&[&point_name(std::slice::from_ref(url))])]))
    }

    fn before_entries(&self, issuer: &Issuer) -> Vec<u8> {
        [
            // RFC 5280 §5.1.2.1: "this field MUST be present and MUST specify version 2 (the integer value is 1)".
            write::integer(1),
            issuer.algorithm().identifier(),
            // RFC 5280 §5.1.2.3: byte for byte as in the CA certificate.
            issuer.name().to_vec(),
            write::time(self.window.this()),
            // RFC 5280 §5.1.2.5: "Conforming CRL issuers MUST include the nextUpdate field in all CRLs."
            write::time(self.window.next()),
        ]
        .concat()
    }

    fn extensions(&self, issuer: &Issuer) -> Vec<u8> {
        // RFC 5280 §5.2.1: the keyIdentifier of the CA that signs, which is the SKI of its certificate.
        let key_id = write::value(tag::context_primitive(0), &[issuer.key_id()]);
        let authority = write::extension(oid::AUTHORITY_KEY_IDENTIFIER, false, &write::sequence(&[&key_id]));
        let number = write::extension(oid::CRL_NUMBER, false, &write::integer(self.number.get()));
        // RFC 5280 §5.2.5: "the issuing distribution point is a critical CRL extension".
        let point = self
            .distribution_point()
            .map_or(vec![], |point| write::extension(oid::ISSUING_DISTRIBUTION_POINT, true, &point));
        let expired = self
            .expired_since
            .map_or(vec![], |since| write::extension(EXPIRED_CERTS_ON_CRL, false, &write::generalized_time(since)));
        // RFC 5280 §5.2.4: "The delta CRL indicator is a critical CRL extension".
        let base = self.delta.as_ref().map_or(vec![], |(base, _)| {
            write::extension(oid::DELTA_CRL_INDICATOR, true, &write::integer(base.number.get()))
        });
        // RFC 5280 §5.2.6: non-critical, and the syntax of cRLDistributionPoints.
        let freshest =
            self.freshest_point().map_or(vec![], |points| write::extension(oid::FRESHEST_CRL, false, &points));
        write::sequence(&[&authority, &number, &base, &point, &freshest, &expired])
    }
}

/// id-ce-expiredCertsOnCRL (X.509 §9.5.2.8).
pub const EXPIRED_CERTS_ON_CRL: &[u8] = &[0x55, 0x1d, 0x3c];

/// `distributionPoint [0] { fullName [0] { uniformResourceIdentifier [6] … } }`; empty without URLs.
fn point_name(urls: &[String]) -> Vec<u8> {
    if urls.is_empty() {
        return vec![];
    }
    let names: Vec<_> = urls.iter().map(|url| write::value(tag::context_primitive(6), &[url.as_bytes()])).collect();
    write::value(tag::context(0), &[&write::value(tag::context(0), &[&names.concat()])])
}

/// `Extension { reasonCode, ENUMERATED }` up to the reason (RFC 5280 §5.3.1).
const REASON: [u8; 11] = [0x30, 0x0a, 0x06, 0x03, 0x55, 0x1d, 0x15, 0x04, 0x03, 0x0a, 0x01];
/// `Extension { invalidityDate, GeneralizedTime }` up to the digits (RFC 5280 §5.3.2).
const INVALIDITY: [u8; 11] = [0x30, 0x18, 0x06, 0x03, 0x55, 0x1d, 0x18, 0x04, 0x11, 0x18, 0x0f];

/// Octets of an entry's extensions, and of the content of the entry.
fn entry_lens(status: &Status) -> (usize, usize) {
    let reason = status.reason.map_or(0, |_| REASON.len() + 1);
    let invalidity = status.invalidity_date.map_or(0, |_| INVALIDITY.len() + 15);
    let extensions = reason + invalidity;
    let time = status.revoked_at.is_some_and(Timestamp::is_utc_time);
    let time = if time { 2 + 13 } else { 2 + 15 };
    let list = if extensions == 0 { 0 } else { 2 + extensions };
    (extensions, 2 + status.serial.integer().1 + time + list)
}

fn entry_len(status: &Status) -> usize {
    2 + entry_lens(status).1
}

/// Most octets of an entry: serial, GeneralizedTime, reason and invalidity date.
const LONGEST: usize = 2 + 23 + 17 + 2 + 12 + 26;

/// Octets of an entry that is being written.
struct EntryBytes {
    octets: [u8; LONGEST],
    len: usize,
}

impl EntryBytes {
    fn put(&mut self, part: &[u8]) {
        self.octets[self.len..self.len + part.len()].copy_from_slice(part);
        self.len += part.len();
    }
}

/// Appends one entry of revokedCertificates. All of its lengths are below 128.
fn put_entry(out: &mut Vec<u8>, status: &Status, calendar: &mut Calendar) {
    let (extensions, content) = entry_lens(status);
    let (serial, serial_len) = status.serial.integer();
    let mut entry = EntryBytes { octets: [0; LONGEST], len: 0 };
    entry.put(&[tag::SEQUENCE, content as u8, tag::INTEGER, serial_len as u8]);
    entry.put(&serial[serial.len() - serial_len..]);
    // A listed status always has a date; see `ChangeSet::decode_changes`.
    let revoked_at = status.revoked_at.unwrap_or(Timestamp::EPOCH);
    let digits = calendar.digits(revoked_at);
    if revoked_at.is_utc_time() {
        entry.put(&[tag::UTC_TIME, 13]);
        entry.put(&digits[2..]);
    } else {
        entry.put(&[tag::GENERALIZED_TIME, 15]);
        entry.put(&digits);
    }
    if extensions > 0 {
        entry.put(&[tag::SEQUENCE, extensions as u8]);
    }
    if let Some(reason) = status.reason {
        entry.put(&REASON);
        entry.put(&[reason.code()]);
    }
    if let Some(date) = status.invalidity_date {
        entry.put(&INVALIDITY);
        // RFC 5280 §5.3.2: always a GeneralizedTime.
        entry.put(&calendar.digits(date));
    }
    out.extend_from_slice(&entry.octets[..entry.len]);
}

/// Why some bytes are not a CRL that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CrlError {
    /// Malformed.
    #[error("it is not a DER CRL: {0}")]
    Der(#[from] DerError),
    /// A serial number that breaks the rules.
    #[error("entry {entry} has a serial number that {error}")]
    Serial {
        /// Counted from 1.
        entry: usize,
        /// Why.
        error: SerialError,
    },
    /// A time that breaks the rules.
    #[error("{place}: {error}")]
    Time {
        /// Where.
        place: &'static str,
        /// Why.
        error: TimeError,
    },
    /// A reason that RFC 5280 §5.3.1 does not have.
    #[error("entry {entry} has the reason code {code}, which RFC 5280 §5.3.1 does not have")]
    Reason {
        /// Counted from 1.
        entry: usize,
        /// The code.
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
    /// Tag and content of thisUpdate and nextUpdate.
    pub time_tags: (u8, Option<u8>),
    /// The content of revokedCertificates.
    pub revoked: Option<Reader<'a>>,
    /// crlExtensions.
    pub extensions: Vec<ExtensionRef<'a>>,
}

/// One entry of revokedCertificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whose.
    pub serial: Serial,
    /// Since when.
    pub revoked_at: Timestamp,
    /// Whether that is a UTCTime.
    pub is_utc_time: bool,
    /// The reason code, if any.
    pub reason: Option<u8>,
    /// When the key was compromised, if told.
    pub invalidity_date: Option<Timestamp>,
    /// Whether it has no other extensions than these, and none that is critical (RFC 5280 §5.3.1, §5.3.2).
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
        let algorithm = outer.value(tag::SEQUENCE, "signatureAlgorithm is not a SEQUENCE")?.whole;
        let signature = outer.content(tag::BIT_STRING, "signatureValue is not a BIT STRING")?;
        let signature = signature.strip_prefix(&[0]).ok_or(outer.error("the signature is not whole octets"))?;
        outer.finish("octets behind the signature")?;
        Ok(Self { crl: CrlRef::read(tbs.whole)?, algorithm, signature })
    }

    /// The signature algorithm, if it is one we know and the one that the signed part names (RFC 5280 §5.1.1.2).
    pub fn signature_algorithm(&self) -> Option<SignatureAlgorithm> {
        SignatureAlgorithm::from_identifier(self.algorithm).filter(|_| self.algorithm == self.crl.inner_algorithm)
    }
}

impl<'a> CrlRef<'a> {
    /// Reads a `TBSCertList`.
    pub fn read(tbs: &'a [u8]) -> Result<Self, CrlError> {
        let mut list = Reader::new(tbs).sequence("tbsCertList is not a SEQUENCE")?;
        let version = list.optional(tag::INTEGER)?;
        let inner_algorithm = list.value(tag::SEQUENCE, "signature is not a SEQUENCE")?.whole;
        let issuer = list.value(tag::SEQUENCE, "issuer is not a SEQUENCE")?.whole;
        let (this_tag, this_update) = time(&mut list, "thisUpdate")?.ok_or(list.error("thisUpdate is missing"))?;
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
        Entries { rest: self.revoked.unwrap_or(Reader::new(&[])), count: 0 }
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

    /// The usual form, read in one go: a UTCTime, and no extension or a reason alone. Anything else is left to
    /// [`Self::any_entry`], which finds what is wrong with it.
    fn usual_entry(&mut self) -> Option<Entry> {
        let mut next = self.rest;
        let mut fields = next.any().ok().filter(|value| value.tag == tag::SEQUENCE)?.content;
        let serial = match fields {
            [0x02, len, rest @ ..] if *len < 0x80 => {
                let (serial, rest) = rest.split_at_checked(usize::from(*len))?;
                fields = rest;
                Serial::from_integer(serial).ok()?
            }
            _ => return None,
        };
        let ([0x17, 13, date @ ..], rest) = fields.split_first_chunk::<15>()? else { return None };
        let reason = match rest {
            [] => None,
            [0x30, 0x0c, 0x30, 0x0a, 0x06, 0x03, 0x55, 0x1d, 0x15, 0x04, 0x03, 0x0a, 0x01, code] => Some(*code),
            _ => return None,
        };
        let revoked_at = Timestamp::from_utc_time(date).ok()?;
        self.rest = next;
        Some(Entry { serial, revoked_at, is_utc_time: true, reason, invalidity_date: None, is_plain: true })
    }

    fn entry(&mut self) -> Result<Entry, CrlError> {
        self.usual_entry().map_or_else(|| self.any_entry(), Ok)
    }

    fn any_entry(&mut self) -> Result<Entry, CrlError> {
        let mut fields = self.rest.sequence("an entry is not a SEQUENCE")?;
        let serial = fields.content(tag::INTEGER, "an entry has no serial number")?;
        let serial = Serial::from_integer(serial).map_err(|error| CrlError::Serial { entry: self.count, error })?;
        let (time_tag, revoked_at) =
            time(&mut fields, "a revocation date")?.ok_or(fields.error("an entry has no revocation date"))?;
        let is_utc_time = time_tag == tag::UTC_TIME;
        let mut entry = Entry { serial, revoked_at, is_utc_time, reason: None, invalidity_date: None, is_plain: true };
        if !fields.is_empty() {
            self.entry_extensions(&mut fields, &mut entry)?;
        }
        fields.finish("octets behind an entry")?;
        Ok(entry)
    }

    fn entry_extensions(&self, fields: &mut Reader<'_>, entry: &mut Entry) -> Result<(), CrlError> {
        let mut list = fields.sequence("an entry's extensions are not a SEQUENCE")?;
        if list.is_empty() {
            return Err(list.error("an entry with an empty list of extensions").into());
        }
        while !list.is_empty() {
            let at = list.error("an entry's extension stands twice");
            let found = extension(&mut list)?;
            entry.is_plain &= !found.critical;
            let mut value = Reader::new(found.value);
            match found.id {
                oid::REASON_CODE => {
                    let code = match value.content(tag::ENUMERATED, "a reason that is not ENUMERATED")? {
                        &[code] => code,
                        _ => return Err(at.into()),
                    };
                    value.finish("octets behind a reason")?;
                    entry.reason.replace(code).map_or(Ok(()), |_| Err(at))?;
                }
                oid::INVALIDITY_DATE => {
                    let date = value.content(tag::GENERALIZED_TIME, "an invalidity date that is no GeneralizedTime")?;
                    value.finish("octets behind an invalidity date")?;
                    let date = Timestamp::from_generalized_time(date)
                        .map_err(|error| CrlError::Time { place: "an invalidity date", error })?;
                    entry.invalidity_date.replace(date).map_or(Ok(()), |_| Err(at))?;
                }
                // RFC 5280 §5.3: "If a CRL contains a critical CRL entry extension that the application cannot
                // process, then the application MUST NOT use that CRL".
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
        return Ok(Some((value.tag, Timestamp::from_utc_time(value.content).map_err(error)?)));
    }
    match reader.optional(tag::GENERALIZED_TIME)? {
        Some(value) => Ok(Some((value.tag, Timestamp::from_generalized_time(value.content).map_err(error)?))),
        None => Ok(None),
    }
}
