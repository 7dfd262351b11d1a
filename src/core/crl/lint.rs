//! What a CRL must look like before the key is used: one rule a check, each with its clause.
//!
//! The draft is read back by [`CrlRef`] and, for the values of its extensions, by `x509-cert`;
//! neither wrote it.

use der::{Decode, Encode};
use x509_cert::ext::pkix;

use super::{
    Crl, CrlPlan, CrlRef, EXPIRED_CERTS_ON_CRL, Entry, Listed, REMOVE_FROM_CRL,
    delta::{self, Neighbours},
    gate::{self, Gate, Previous},
    scope::{Contains, Scope},
};
use crate::core::{
    chain::Chain,
    der::{Reader, oid, tag},
    digest::hex,
    issuer::Issuer,
    journal::replica::Replica,
    seal::{Document, Findings, SignedByCa},
    time::{Timestamp, Window},
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
    /// For a delta CRL, the full CRLs that it must fit.
    pub neighbours: Option<Neighbours<'a>>,
    /// The gate that an operator passes this time.
    pub accepted: Option<Gate>,
}

impl SignedByCa for Crl {}

impl Document for Crl {
    type Source<'a> = CrlSource<'a>;
    type Before<'a> = CrlBefore<'a>;

    fn lint(&self, tbs: &[u8], source: &CrlSource<'_>) -> Findings {
        let mut findings = Findings::default();
        match CrlRef::read(tbs) {
            Err(error) => findings.add("der", "RFC 5280 §5.1", Chain(&error).to_string()),
            Ok(read) => {
                header(self, &read, source, &mut findings);
                extensions(self, &read, source, &mut findings);
                entries(self, &read, source, &mut findings);
            }
        }
        findings
    }

    /// A CA elsewhere has a number line and a clock of its own; what it lists is ours to say.
    fn made_elsewhere(self, tbs: &[u8]) -> Option<Self> {
        let read = CrlRef::read(tbs).ok()?;
        let window = Window::new(read.this_update, read.next_update?)?;
        let plan = CrlPlan {
            window,
            ..self.plan
        };
        Some(plan.numbered(read.number()?))
    }

    fn compare(&self, tbs: &[u8], before: &CrlBefore<'_>) -> Findings {
        let mut findings = Findings::default();
        match CrlRef::read(tbs) {
            Ok(read) => {
                if let Some(previous) = &before.previous {
                    findings = gate::crls(&read, previous, before.replica);
                    let accepted = before.accepted.map(Gate::name);
                    findings.0.retain(|finding| Some(finding.lint) != accepted);
                }
                if let Some(neighbours) = &before.neighbours {
                    findings.0.extend(delta::fits(&read, neighbours).0);
                }
                let is_complete = self.plan.delta.is_some() == before.neighbours.is_some();
                let detail = "a delta CRL, and nothing else, is compared with its full CRLs";
                findings.require(is_complete, "delta_unproven", "RFC 5280 §5.2.4", detail);
            }
            Err(error) => findings.add("der", "RFC 5280 §5.1", Chain(&error).to_string()),
        }
        findings
    }
}

fn header(crl: &Crl, read: &CrlRef<'_>, source: &CrlSource<'_>, findings: &mut Findings) {
    let issuer = source.issuer;
    findings.require(
        read.is_v2,
        "version",
        "RFC 5280 §5.1.2.1",
        "the version is not 2",
    );
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
    let is_future = read.this_update > source.now;
    findings.require(
        !is_future,
        "this_update_in_future",
        "RFC 5280 §5.1.2.4",
        format!(
            "thisUpdate {} lies after now, {}; check the clock",
            read.this_update, source.now
        ),
    );
    findings.require(
        (is_future || read.this_update == crl.plan.window.this())
            && read.next_update == Some(crl.plan.window.next()),
        "window",
        "RFC 5280 §5.1.2.5",
        "thisUpdate or nextUpdate is not the planned one",
    );
    let (this_tag, next_tag) = read.time_tags;
    let right = |time: Timestamp| {
        if time.is_utc_time() {
            tag::UTC_TIME
        } else {
            tag::GENERALIZED_TIME
        }
    };
    findings.require(
        this_tag == right(read.this_update) && next_tag == read.next_update.map(right),
        "time_form",
        "RFC 5280 §5.1.2.4",
        "thisUpdate or nextUpdate is not UTCTime through 2049 and GeneralizedTime from 2050",
    );
}

fn extensions(crl: &Crl, read: &CrlRef<'_>, source: &CrlSource<'_>, findings: &mut Findings) {
    known(read, findings);
    authority(read, source.issuer, findings);
    findings.require(
        read.number() == Some(crl.number),
        "crl_number",
        "RFC 5280 §5.2.3",
        format!("the CRL number is not {}", crl.number),
    );
    let urls = &crl.plan.distribution_points;
    let is_planned = points(read) == Some((urls.clone(), crl.plan.contains));
    // Without its URL, a shard would pass for the full CRL (Mozilla policy §6.1.2).
    let is_lost = matches!(crl.plan.scope, Scope::Shard(_)) && urls.is_empty();
    findings.require(
        is_planned && !is_lost,
        "issuing_distribution_point",
        "RFC 5280 §5.2.5",
        "the issuing distribution point is not exactly the planned URLs and certificates, or a \
         shard has no URL",
    );
    findings.require(
        read.extension(oid::DELTA_CRL_INDICATOR)
            .map(|_| read.base_number())
            == crl.plan.delta.as_ref().map(|delta| Some(delta.base.number))
            && read.base_number().is_none_or(|base| base <= crl.number),
        "delta_crl_indicator",
        "RFC 5280 §5.2.4",
        "the base is not the planned CRL, or is newer than the delta",
    );
    // RFC 5280 §5.2.6: "This extension MUST NOT appear in delta CRLs."
    let planned = crl
        .plan
        .freshest
        .iter()
        .filter(|_| crl.plan.delta.is_none());
    findings.require(
        freshest(read) == Some(planned.cloned().collect()),
        "freshest_crl",
        "RFC 5280 §5.2.6",
        "the freshest CRL is not exactly the planned URL",
    );
    findings.require(
        read.extension(EXPIRED_CERTS_ON_CRL)
            .map(|extension| date(extension.value))
            == crl.plan.expired_since.map(Some),
        "expired_certs_on_crl",
        "X.509 §9.5.2.8",
        "since when expired certificates are kept is not said as planned",
    );
}

/// A GeneralizedTime alone.
fn date(value: &[u8]) -> Option<Timestamp> {
    let mut value = Reader::new(value);
    let content = value.content(tag::GENERALIZED_TIME, "").ok()?;
    value.finish("").ok()?;
    Timestamp::from_generalized_time(content).ok()
}

/// There are no extensions but those that are planned at times; each is as critical as its clause
/// says.
fn known(read: &CrlRef<'_>, findings: &mut Findings) {
    for extension in &read.extensions {
        let (name, critical) = match extension.id {
            oid::AUTHORITY_KEY_IDENTIFIER => ("authority key identifier", false),
            oid::CRL_NUMBER => ("CRL number", false),
            oid::ISSUING_DISTRIBUTION_POINT => ("issuing distribution point", true),
            oid::DELTA_CRL_INDICATOR => ("delta CRL indicator", true),
            oid::FRESHEST_CRL => ("freshest CRL", false),
            EXPIRED_CERTS_ON_CRL => ("expired certificates on CRL", false),
            id => {
                let detail = format!(
                    "an extension that is never planned, object identifier {}",
                    hex(id)
                );
                findings.add("extension_unplanned", "RFC 5280 §5.2", detail);
                continue;
            }
        };
        findings.require(
            extension.critical == critical,
            "extension_criticality",
            "RFC 5280 §5.2",
            format!("the {name} has the wrong criticality"),
        );
    }
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

/// What the issuing distribution point says; nothing without one, none where it says what we never
/// say.
fn points(read: &CrlRef<'_>) -> Option<(Vec<String>, Contains)> {
    let Some(extension) = read.extension(oid::ISSUING_DISTRIBUTION_POINT) else {
        return Some((vec![], Contains::All));
    };
    let point = pkix::IssuingDistributionPoint::from_der(extension.value).ok()?;
    // x509-cert writes FALSE defaults away, so equal bytes mean that none stands there.
    (point.to_der().ok()? == extension.value).then_some(())?;
    let is_other = point.only_contains_attribute_certs
        || point.indirect_crl
        || point.only_some_reasons.is_some();
    let contains = match (point.only_contains_user_certs, point.only_contains_ca_certs) {
        (false, false) => Contains::All,
        (true, false) => Contains::User,
        (false, true) => Contains::Ca,
        (true, true) => return None,
    };
    let urls = point
        .distribution_point
        .map_or(Some(vec![]), |name| urls(&name))?;
    // RFC 5280 §5.2.5: "… MUST NOT issue CRLs where the DER encoding of the issuing distribution
    // point extension is an empty sequence."
    let is_empty = urls.is_empty() && contains == Contains::All;
    (!is_other && !is_empty).then_some((urls, contains))
}

/// The URLs of the freshest CRL; empty without one.
fn freshest(read: &CrlRef<'_>) -> Option<Vec<String>> {
    let Some(extension) = read.extension(oid::FRESHEST_CRL) else {
        return Some(vec![]);
    };
    let points = pkix::FreshestCrl::from_der(extension.value).ok()?;
    let point = |point: &pkix::crl::dp::DistributionPoint| {
        let is_plain = point.reasons.is_none() && point.crl_issuer.is_none();
        point
            .distribution_point
            .as_ref()
            .filter(|_| is_plain)
            .and_then(urls)
    };
    let urls = points
        .0
        .iter()
        .map(point)
        .collect::<Option<Vec<_>>>()?
        .concat();
    (!urls.is_empty()).then_some(urls)
}

/// The URLs of a full name; none where it is anything else.
fn urls(name: &pkix::name::DistributionPointName) -> Option<Vec<String>> {
    use pkix::name::{DistributionPointName, GeneralName};
    let DistributionPointName::FullName(names) = name else {
        return None;
    };
    let url = |name: &GeneralName| match name {
        GeneralName::UniformResourceIdentifier(url) => Some(url.to_string()),
        _ => None,
    };
    names.iter().map(url).collect()
}

fn entries(crl: &Crl, read: &CrlRef<'_>, source: &CrlSource<'_>, findings: &mut Findings) {
    let mut planned = crl.plan.entries(source.replica);
    let mut last = None;
    for entry in read.entries() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                return findings.add("entry_der", "RFC 5280 §5.1", Chain(&error).to_string());
            }
        };
        let known = findings.0.len();
        one_entry(crl, &entry, read, findings);
        let listed = planned.next();
        let is_above = last.is_none_or(|last| last < entry.serial);
        if !is_above || !listed.is_some_and(|listed| is_same(&entry, listed)) {
            if findings.0.len() == known {
                differs(&entry, listed, read, findings);
            }
            return;
        }
        last = Some(entry.serial);
    }
    match planned.next() {
        Some(missing) => is_missing(missing, findings),
        None => findings.require(
            read.revoked.is_none_or(|list| !list.is_empty()),
            "empty_list",
            "RFC 5280 §5.1.2.6",
            "the list of revoked certificates is empty, but not absent",
        ),
    }
}

/// Names what is wrong where the list leaves the plan; the general name is for what no other name
/// explains.
#[cold]
fn differs(entry: &Entry, planned: Option<Listed<'_>>, read: &CrlRef<'_>, findings: &mut Findings) {
    let serials = read
        .entries()
        .map_while(Result::ok)
        .map(|entry| entry.serial);
    let mut pairs = serials.clone().zip(serials.skip(1));
    if let Some((before, serial)) = pairs.find(|(before, serial)| before >= serial) {
        let detail = format!("serial {serial} is not above {before}, the one before it");
        return findings.add("serial_order", "RFC 5280 §5.1.2.6", detail);
    }
    match planned {
        Some(planned) if planned.serial() < entry.serial => is_missing(planned, findings),
        _ => {
            let detail = format!("serial {} is not what the index says", entry.serial);
            findings.add(
                "entry_differs",
                "DESIGN: nothing is published unchecked",
                detail,
            );
        }
    }
}

fn is_missing(planned: Listed<'_>, findings: &mut Findings) {
    let detail = format!("serial {} is not on the list", planned.serial());
    findings.add(
        "entry_missing",
        "DESIGN: nothing revoked is ever lost",
        detail,
    );
}

fn one_entry(crl: &Crl, entry: &Entry, read: &CrlRef<'_>, findings: &mut Findings) {
    let serial = entry.serial;
    if entry.is_utc_time != entry.revoked_at.is_utc_time() {
        let detail = format!(
            "serial {serial}: the date is not UTCTime through 2049 and GeneralizedTime from 2050"
        );
        findings.add("entry_time_form", "RFC 5280 §5.1.2.6", detail);
    }
    if entry.revoked_at > read.this_update {
        let detail = format!(
            "serial {serial}: revoked at {}, after thisUpdate {}",
            entry.revoked_at, read.this_update
        );
        findings.add("entry_after_this_update", "RFC 5280 §5.1.2.6", detail);
    }
    if !entry.is_plain {
        let detail = format!(
            "serial {serial}: an extension that is critical, or neither reason nor invalidity date"
        );
        findings.add("entry_extension", "RFC 5280 §5.3", detail);
    }
    match entry.reason {
        // RFC 5280 §5.3.1: "the reason code CRL entry extension SHOULD be absent instead of using
        // the unspecified (0)".
        Some(0) => findings.add(
            "reason_unspecified",
            "RFC 5280 §5.3.1",
            format!("serial {serial}: reason 0"),
        ),
        // "removeFromCRL … reason code … MUST only appear in delta CRLs".
        Some(REMOVE_FROM_CRL) if crl.plan.delta.is_some() => {}
        Some(REMOVE_FROM_CRL) => findings.add(
            "remove_from_crl",
            "RFC 5280 §5.3.1",
            format!("serial {serial}: removeFromCRL"),
        ),
        Some(code) if entry.reason().is_err() => {
            findings.add(
                "reason_unknown",
                "RFC 5280 §5.3.1",
                format!("serial {serial}: reason {code}"),
            );
        }
        _ => {}
    }
}

fn is_same(entry: &Entry, planned: Listed<'_>) -> bool {
    entry.serial == planned.serial()
        && entry.revoked_at == planned.revoked_at()
        && entry.reason == planned.reason()
        && entry.invalidity_date == planned.invalidity_date()
}
