//! What a CRL must look like before the key is used: one rule a check, each with its clause.
//!
//! The draft is read back by [`CrlRef`] and, for the values of its extensions, by `x509-cert`; neither wrote it.

use der::{Decode, Encode};
use x509_cert::ext::pkix;

use super::{
    compare::{self, Previous},
    crl::{Crl, CrlRef, EXPIRED_CERTS_ON_CRL, Entry},
    der::{oid, tag},
    issuer::Issuer,
    replica::Replica,
    revocation::Status,
    seal::{Document, Findings},
    time::Timestamp,
};

/// What a CRL was drafted from.
#[derive(Clone, Copy, Debug)]
pub struct CrlSource<'a> {
    /// Who signs.
    pub issuer: &'a Issuer,
    /// What is revoked.
    pub replica: &'a Replica,
    /// The time of drafting.
    pub now: Timestamp,
}

/// What a CRL is compared with before it goes out.
#[derive(Clone, Debug)]
pub struct CrlBefore<'a> {
    /// The last CRL of the same scope.
    pub previous: Option<Previous<'a>>,
    /// What explains the differences.
    pub replica: &'a Replica,
}

impl Document for Crl {
    type Source<'a> = CrlSource<'a>;
    type Before<'a> = CrlBefore<'a>;

    fn lint(&self, tbs: &[u8], source: &CrlSource<'_>) -> Findings {
        let mut findings = Findings::default();
        match CrlRef::read(tbs) {
            Err(error) => findings.add("der", "RFC 5280 §5.1", error.to_string()),
            Ok(read) => {
                header(self, &read, source, &mut findings);
                extensions(self, &read, source, &mut findings);
                entries(self, &read, source, &mut findings);
            }
        }
        findings
    }

    fn compare(&self, tbs: &[u8], before: &CrlBefore<'_>) -> Findings {
        match (&before.previous, CrlRef::read(tbs)) {
            (None, Ok(_)) => Findings::default(),
            (Some(previous), Ok(read)) => compare::crls(&read, previous, before.replica),
            (_, Err(error)) => {
                let mut findings = Findings::default();
                findings.add("der", "RFC 5280 §5.1", error.to_string());
                findings
            }
        }
    }
}

fn header(crl: &Crl, read: &CrlRef<'_>, source: &CrlSource<'_>, findings: &mut Findings) {
    let issuer = source.issuer;
    findings.require(read.is_v2, "version", "RFC 5280 §5.1.2.1", "the version is not 2");
    findings.require(
        read.inner_algorithm == issuer.algorithm().identifier(),
        "algorithm",
        "RFC 5280 §5.1.2.2",
        "the algorithm is not the one that signs",
    );
    findings.require(
        read.issuer == issuer.name(),
        "issuer_name",
        "RFC 5280 §5.1.2.3",
        "the issuer is not, byte for byte, the subject of the CA certificate",
    );
    findings.require(
        read.this_update == crl.window.this() && read.next_update == Some(crl.window.next()),
        "window",
        "RFC 5280 §5.1.2.5",
        "thisUpdate or nextUpdate is not the planned one",
    );
    findings.require(
        read.this_update <= source.now,
        "this_update_in_future",
        "RFC 5280 §5.1.2.4",
        format!("thisUpdate {} lies after now, {}; check the clock", read.this_update, source.now),
    );
    let (this_tag, next_tag) = read.time_tags;
    let right = |time: Timestamp| if time.is_utc_time() { tag::UTC_TIME } else { tag::GENERALIZED_TIME };
    findings.require(
        this_tag == right(read.this_update) && next_tag == read.next_update.map(right),
        "time_form",
        "RFC 5280 §5.1.2.4",
        "thisUpdate or nextUpdate is not UTCTime through 2049 and GeneralizedTime from 2050",
    );
}

fn extensions(crl: &Crl, read: &CrlRef<'_>, source: &CrlSource<'_>, findings: &mut Findings) {
    for extension in &read.extensions {
        let (name, critical, planned) = match extension.id {
            oid::AUTHORITY_KEY_IDENTIFIER => ("authority key identifier", false, true),
            oid::CRL_NUMBER => ("CRL number", false, true),
            oid::ISSUING_DISTRIBUTION_POINT => {
                ("issuing distribution point", true, !crl.distribution_points.is_empty())
            }
            EXPIRED_CERTS_ON_CRL => ("expired certificates on CRL", false, crl.expired_since.is_some()),
            _ => ("unknown extension", false, false),
        };
        findings.require(planned, "extension_unplanned", "RFC 5280 §5.2", format!("the {name} was not planned"));
        findings.require(
            extension.critical == critical,
            "extension_criticality",
            "RFC 5280 §5.2",
            format!("the {name} has the wrong criticality"),
        );
    }
    authority(read, source.issuer, findings);
    findings.require(
        read.number() == Some(crl.number),
        "crl_number",
        "RFC 5280 §5.2.3",
        format!("the CRL number is not {}", crl.number),
    );
    findings.require(
        points(read).as_ref() == Some(&crl.distribution_points),
        "issuing_distribution_point",
        "RFC 5280 §5.2.5",
        "the issuing distribution point is not exactly the planned URLs",
    );
    findings.require(
        read.extension(EXPIRED_CERTS_ON_CRL).is_some() == crl.expired_since.is_some(),
        "expired_certs_on_crl",
        "X.509 §9.5.2.8",
        "whether expired certificates are kept is not said as planned",
    );
}

fn authority(read: &CrlRef<'_>, issuer: &Issuer, findings: &mut Findings) {
    let authority = read
        .extension(oid::AUTHORITY_KEY_IDENTIFIER)
        .and_then(|found| pkix::AuthorityKeyIdentifier::from_der(found.value).ok());
    let good = authority.is_some_and(|authority| {
        authority.key_identifier.is_some_and(|id| id.as_bytes() == issuer.key_id())
            // BR §7.1.2.11.1: keyIdentifier alone.
            && authority.authority_cert_issuer.is_none()
            && authority.authority_cert_serial_number.is_none()
    });
    let detail = "the authority key identifier is not the CA's subject key identifier, alone";
    findings.require(good, "authority_key_identifier", "RFC 5280 §5.2.1", detail);
}

/// The URLs of the issuing distribution point; empty without one, none where it says anything else.
fn points(read: &CrlRef<'_>) -> Option<Vec<String>> {
    use pkix::name::{DistributionPointName, GeneralName};
    let Some(extension) = read.extension(oid::ISSUING_DISTRIBUTION_POINT) else { return Some(vec![]) };
    let point = pkix::IssuingDistributionPoint::from_der(extension.value).ok()?;
    // x509-cert writes FALSE defaults away, so equal bytes mean that none stands there.
    (point.to_der().ok()? == extension.value).then_some(())?;
    let limited = point.only_contains_user_certs
        || point.only_contains_ca_certs
        || point.only_contains_attribute_certs
        || point.indirect_crl
        || point.only_some_reasons.is_some();
    match point.distribution_point {
        Some(DistributionPointName::FullName(names)) if !limited => names
            .iter()
            .map(|name| match name {
                GeneralName::UniformResourceIdentifier(url) => Some(url.to_string()),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}

fn entries(crl: &Crl, read: &CrlRef<'_>, source: &CrlSource<'_>, findings: &mut Findings) {
    let mut planned = crl.entries(source.replica);
    let mut last = None;
    let mut count = 0u64;
    for entry in read.entries() {
        count += 1;
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => return findings.add("entry_der", "RFC 5280 §5.1", error.to_string()),
        };
        if last.is_some_and(|last| last >= entry.serial) {
            let detail = format!("entry {count}, serial {}, is not above the one before it", entry.serial);
            findings.add("serial_order", "RFC 5280 §5.1.2.6", detail);
        }
        last = Some(entry.serial);
        one_entry(&entry, read, findings);
        if !planned.next().is_some_and(|status| is_same(&entry, status)) {
            let detail = format!("entry {count}, serial {}, is not what the index says", entry.serial);
            return findings.add("entry_differs", "DESIGN: nothing is published unchecked", detail);
        }
    }
    if let Some(missing) = planned.next() {
        let detail = format!("serial {} is not on the list", missing.serial);
        findings.add("entry_missing", "DESIGN: nothing revoked is ever lost", detail);
    }
    findings.require(
        read.revoked.is_none() || count > 0,
        "empty_list",
        "RFC 5280 §5.1.2.6",
        "the list of revoked certificates is empty, but not absent",
    );
}

fn one_entry(entry: &Entry, read: &CrlRef<'_>, findings: &mut Findings) {
    let serial = entry.serial;
    if entry.is_utc_time != entry.revoked_at.is_utc_time() {
        let detail = format!("serial {serial}: the date is not UTCTime through 2049 and GeneralizedTime from 2050");
        findings.add("entry_time_form", "RFC 5280 §5.1.2.6", detail);
    }
    if entry.revoked_at > read.this_update {
        let detail = format!("serial {serial}: revoked at {}, after thisUpdate {}", entry.revoked_at, read.this_update);
        findings.add("entry_after_this_update", "RFC 5280 §5.1.2.6", detail);
    }
    match entry.reason {
        // RFC 5280 §5.3.1: "the reason code CRL entry extension SHOULD be absent instead of using the unspecified (0)".
        Some(0) => findings.add("reason_unspecified", "RFC 5280 §5.3.1", format!("serial {serial}: reason 0")),
        Some(8) => findings.add("remove_from_crl", "RFC 5280 §5.3.1", format!("serial {serial}: removeFromCRL")),
        Some(code) if entry.reason().is_err() => {
            findings.add("reason_unknown", "RFC 5280 §5.3.1", format!("serial {serial}: reason {code}"));
        }
        _ => {}
    }
}

fn is_same(entry: &Entry, status: &Status) -> bool {
    entry.serial == status.serial
        && Some(entry.revoked_at) == status.revoked_at
        && entry.reason == status.reason.map(|reason| reason.code())
        && entry.invalidity_date == status.invalidity_date
}
