//! Drafting CRLs, full, delta and sharded (RFC 5280 §5).

use super::{
    listed::{Delta, DeltaEntry, Listed},
    scope::{Contains, Scope},
};
use crate::core::{
    certificate::write::authority_key_id,
    der::{oid, tag, write},
    issuer::Issuer,
    journal::replica::Replica,
    revocation::Status,
    seal::{Draft, Tbs},
    serial::{CrlNumber, Serial},
    time::{Calendar, Timestamp, Window},
};

/// A CRL to be made: what is to be on it besides the revocations, and its number.
#[derive(Clone, Debug)]
pub struct Crl {
    /// Its number.
    pub number: CrlNumber,
    /// All else.
    pub plan: CrlPlan,
}

/// What is to be on a CRL, besides the revocations and its number, which is reserved when it is
/// known that there is to be a CRL.
#[derive(Clone, Debug)]
pub struct CrlPlan {
    /// thisUpdate and nextUpdate.
    pub window: Window,
    /// What it is about.
    pub scope: Scope,
    /// The URLs of its issuing distribution point; none on a full CRL for everybody (RFC 5280
    /// §5.2.5).
    pub distribution_points: Vec<String>,
    /// Which certificates there are at all.
    pub contains: Contains,
    /// Where its delta CRL is; none on delta CRLs (RFC 5280 §5.2.6).
    pub freshest: Option<String>,
    /// On a delta CRL: what it continues, and what is on it.
    pub delta: Option<Delta>,
    /// Since when expired certificates are kept on it (X.509 §9.5.2.8); none where they are
    /// dropped.
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

impl CrlPlan {
    /// The CRL with this number.
    pub fn numbered(self, number: CrlNumber) -> Crl {
        Crl { number, plan: self }
    }

    /// Whether `status` stands on this CRL. RFC 5280 §3.3: "An entry MUST NOT be removed from the
    /// CRL until it appears on one regularly scheduled CRL issued beyond the revoked certificate's
    /// validity period."
    pub fn lists(&self, status: &Status) -> bool {
        let has_appeared_expired = || match (status.not_after(), self.previous) {
            (Some(end), Some(previous)) => {
                end < previous.this_update && status.seq() <= previous.seq
            }
            _ => false,
        };
        status.is_listed()
            && self.scope.holds(&status.serial())
            && (self.expired_since.is_some() || !has_appeared_expired())
    }

    /// What stands on this CRL, in order of serial.
    pub fn entries<'a>(&'a self, replica: &'a Replica) -> impl Iterator<Item = Listed<'a>> {
        let changes = self.delta.iter().flat_map(|delta| &delta.entries);
        let all = self.delta.is_none().then(|| {
            let rows = replica.rows().filter(|status| self.lists(status));
            rows.map(Listed::Revoked)
        });
        all.into_iter()
            .flatten()
            .chain(changes.map(DeltaEntry::listed))
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
        Some(write::sequence(&[&write::sequence(&[&point_name(
            std::slice::from_ref(url),
        )])]))
    }
}

impl Crl {
    /// Writes the bytes to be signed.
    pub fn draft(self, issuer: &Issuer, replica: &Replica) -> Draft<Self> {
        let behind = write::value(tag::context(0), &[&self.extensions(issuer)]);
        // RFC 5280 §5.1.2.6: "When there are no revoked certificates, the revoked certificates list
        // MUST be absent."
        let tbs = Tbs::around_list(&self.before_entries(issuer), &behind, |out| {
            let mut writer = EntryWriter::new(out);
            self.plan
                .entries(replica)
                .for_each(|entry| writer.put(entry));
            writer.finish();
        });
        Draft::new(self, tbs, issuer.algorithm())
    }

    fn before_entries(&self, issuer: &Issuer) -> Vec<u8> {
        [
            // RFC 5280 §5.1.2.1: "this field MUST be present and MUST specify version 2 (the
            // integer value is 1)".
            write::integer(1),
            issuer.algorithm().identifier(),
            // RFC 5280 §5.1.2.3: byte for byte as in the CA certificate.
            issuer.name().to_vec(),
            write::time(self.plan.window.this()),
            // RFC 5280 §5.1.2.5: "Conforming CRL issuers MUST include the nextUpdate field in all
            // CRLs."
            write::time(self.plan.window.next()),
        ]
        .concat()
    }

    fn extensions(&self, issuer: &Issuer) -> Vec<u8> {
        // RFC 5280 §5.2.1: the keyIdentifier of the CA that signs, which is the SKI of its
        // certificate.
        let authority = authority_key_id(issuer.key_id());
        let number = write::extension(oid::CRL_NUMBER, false, &write::integer(self.number.get()));
        // RFC 5280 §5.2.5: "the issuing distribution point is a critical CRL extension".
        let point = self.plan.distribution_point().map_or(vec![], |point| {
            write::extension(oid::ISSUING_DISTRIBUTION_POINT, true, &point)
        });
        let expired = self.plan.expired_since.map_or(vec![], |since| {
            write::extension(EXPIRED_CERTS_ON_CRL, false, &write::generalized_time(since))
        });
        // RFC 5280 §5.2.4: "The delta CRL indicator is a critical CRL extension".
        let base = self.plan.delta.as_ref().map_or(vec![], |delta| {
            write::extension(
                oid::DELTA_CRL_INDICATOR,
                true,
                &write::integer(delta.base.number.get()),
            )
        });
        // RFC 5280 §5.2.6: non-critical, and the syntax of cRLDistributionPoints.
        let freshest = self.plan.freshest_point().map_or(vec![], |points| {
            write::extension(oid::FRESHEST_CRL, false, &points)
        });
        write::sequence(&[&authority, &number, &base, &point, &freshest, &expired])
    }
}

/// id-ce-expiredCertsOnCRL (X.509 §9.5.2.8).
pub(crate) const EXPIRED_CERTS_ON_CRL: &[u8] = &[0x55, 0x1d, 0x3c];

/// `distributionPoint [0] { fullName [0] { uniformResourceIdentifier [6] … } }`; empty without
/// URLs.
fn point_name(urls: &[String]) -> Vec<u8> {
    if urls.is_empty() {
        return vec![];
    }
    let names: Vec<_> = urls
        .iter()
        .map(|url| write::value(tag::context_primitive(6), &[url.as_bytes()]))
        .collect();
    write::value(
        tag::context(0),
        &[&write::value(tag::context(0), &[&names.concat()])],
    )
}

/// `Extension { reasonCode, ENUMERATED }` up to the reason (RFC 5280 §5.3.1).
const REASON: [u8; 11] = [
    0x30, 0x0a, 0x06, 0x03, 0x55, 0x1d, 0x15, 0x04, 0x03, 0x0a, 0x01,
];
/// `Extension { invalidityDate, GeneralizedTime }` up to the digits (RFC 5280 §5.3.2).
const INVALIDITY: [u8; 11] = [
    0x30, 0x18, 0x06, 0x03, 0x55, 0x1d, 0x18, 0x04, 0x11, 0x18, 0x0f,
];

/// Most octets of an entry: serial, GeneralizedTime, reason and invalidity date.
const LONGEST: usize = 2 + 23 + 17 + 2 + 12 + 26;

/// Writes entries of revokedCertificates, a million in the time that copying them takes twice.
struct EntryWriter<'a> {
    /// Zeros stand behind what was written, so that entries can be written in place.
    out: &'a mut Vec<u8>,
    len: usize,
    calendar: Calendar,
}

impl<'a> EntryWriter<'a> {
    fn new(out: &'a mut Vec<u8>) -> Self {
        Self {
            len: out.len(),
            out,
            calendar: Calendar::default(),
        }
    }

    fn put(&mut self, listed: Listed<'_>) {
        const BLOCK: usize = 64 << 10;
        if self.out.len() < self.len + LONGEST {
            self.out.resize(self.len + BLOCK, 0);
        }
        if let Some(octets) = self.out[self.len..].first_chunk_mut() {
            let mut entry = EntryBytes { octets, len: 0 };
            entry.entry(listed, &mut self.calendar);
            self.len += entry.len;
        }
    }

    fn finish(self) {
        self.out.truncate(self.len);
    }
}

/// An entry that is being written. All of its lengths are below 128, and are written when they are
/// known.
struct EntryBytes<'a> {
    octets: &'a mut [u8; LONGEST],
    len: usize,
}

impl EntryBytes<'_> {
    fn put<const N: usize>(&mut self, part: &[u8; N]) {
        self.octets[self.len..self.len + N].copy_from_slice(part);
        self.len += N;
    }

    /// Begins a SEQUENCE; its length's place is for [`Self::close`].
    fn open(&mut self) -> usize {
        self.put(&[tag::SEQUENCE, 0]);
        self.len
    }

    fn close(&mut self, start: usize) {
        self.octets[start - 1] = (self.len - start) as u8;
    }

    fn entry(&mut self, listed: Listed<'_>, calendar: &mut Calendar) {
        let start = self.open();
        self.serial(&listed.serial());
        let revoked_at = listed.revoked_at();
        let digits = calendar.digits(revoked_at);
        if revoked_at.is_utc_time() {
            self.put(&[tag::UTC_TIME, 13]);
            digits
                .last_chunk::<13>()
                .into_iter()
                .for_each(|short| self.put(short));
        } else {
            self.put(&[tag::GENERALIZED_TIME, 15]);
            self.put(&digits);
        }
        // RFC 5280 §5.3: without extensions there is no list of them.
        let (reason, invalidity_date) = (listed.reason(), listed.invalidity_date());
        if reason.is_some() || invalidity_date.is_some() {
            let extensions = self.open();
            if let Some(reason) = reason {
                self.put(&REASON);
                self.put(&[reason]);
            }
            if let Some(date) = invalidity_date {
                self.put(&INVALIDITY);
                // RFC 5280 §5.3.2: always a GeneralizedTime.
                self.put(&calendar.digits(date));
            }
            self.close(extensions);
        }
        self.close(start);
    }

    fn serial(&mut self, serial: &Serial) {
        let len = serial.integer_len();
        self.put(&[tag::INTEGER, len as u8]);
        if len <= 16 {
            // Most are that short, and copies of a fixed size are fast; what is too much is written
            // over.
            self.put(&(serial.parts().1 << (8 * (16 - len))).to_be_bytes());
            self.len -= 16 - len;
        } else {
            let (content, _) = serial.integer();
            content[content.len() - len..]
                .iter()
                .for_each(|&octet| self.put(&[octet]));
        }
    }
}
