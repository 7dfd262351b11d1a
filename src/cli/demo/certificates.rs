//! The demo's CA, and the certificates that it issues.

use std::{net::SocketAddr, time::Duration};

use super::{super::BoxedError, NAME};
use crate::core::{
    certificate::write::{
        CERT_AND_CRL_SIGN, DIGITAL_SIGNATURE, NewCertificate, authority_key_id, common_name,
        extended_key_usage, key_usage, subject_key_id,
    },
    der::{oid, tag, write},
    key::PublicKey,
    key_pair::{Generated, KeyPair, NewKey, generate},
    serial::Serial,
    time::{Timestamp, Window},
};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A certificate and its key, PEM.
pub(super) struct DemoCertificate {
    pub(super) certificate: String,
    pub(super) key: String,
    public: PublicKey,
    subject: Vec<u8>,
}

/// A CA that signed its own certificate.
pub(super) fn root(name: &str, now: Timestamp) -> Result<DemoCertificate, BoxedError> {
    let Generated { pem: key, spki } = new_key()?;
    let public = PublicKey::from_spki(&spki)?;
    // RFC 5280 §4.2.1.9: cA, and a pathLenConstraint of 0: no CA below it.
    let basic = write::sequence(&[&[tag::BOOLEAN, 1, 0xff], &write::integer(0)]);
    let extensions = [
        subject_key_id(&public),
        key_usage(CERT_AND_CRL_SIGN),
        write::extension(oid::BASIC_CONSTRAINTS, true, &basic),
    ];
    let subject = common_name(name);
    let new = NewCertificate {
        serial: new_serial()?,
        issuer: subject.clone(),
        validity: validity(now, 365)?,
        subject: subject.clone(),
        spki,
        extensions: extensions.concat(),
    };
    Ok(DemoCertificate {
        certificate: sign(new, &key, &public)?,
        key,
        public,
        subject,
    })
}

/// A certificate for TLS, with the demo's CDP and AIA in it.
pub(super) fn leaf(
    ca: &DemoCertificate,
    name: &str,
    address: SocketAddr,
    now: Timestamp,
) -> Result<DemoCertificate, BoxedError> {
    let Generated { pem: key, spki } = new_key()?;
    let public = PublicKey::from_spki(&spki)?;
    let names = write::sequence(&[&write::value(tag::context_primitive(2), &[name.as_bytes()])]);
    let extensions = [
        authority_key_id(&ca.public.sha1()),
        subject_key_id(&public),
        key_usage(DIGITAL_SIGNATURE),
        extended_key_usage(&[oid::KP_SERVER_AUTH, oid::KP_CLIENT_AUTH]),
        write::extension(oid::SUBJECT_ALT_NAME, false, &names),
        distribution_point(&format!("http://{address}/crl/{NAME}.crl")),
        access(&[
            (oid::OCSP, format!("http://{address}/ocsp")),
            (oid::CA_ISSUERS, format!("http://{address}/ca/{NAME}.cer")),
        ]),
    ];
    let subject = common_name(name);
    let new = NewCertificate {
        serial: new_serial()?,
        issuer: ca.subject.clone(),
        validity: validity(now, 90)?,
        subject: subject.clone(),
        spki,
        extensions: extensions.concat(),
    };
    Ok(DemoCertificate {
        certificate: sign(new, &ca.key, &ca.public)?,
        key,
        public,
        subject,
    })
}

fn new_key() -> Result<Generated, &'static str> {
    generate(NewKey::P256).ok_or("no key could be made")
}

fn new_serial() -> Result<Serial, aws_lc_rs::error::Unspecified> {
    let mut random = [0; 16];
    aws_lc_rs::rand::fill(&mut random)?;
    Ok(Serial::from_random(random))
}

/// Since yesterday, for clocks that run behind.
fn validity(now: Timestamp, days: u32) -> Result<Window, &'static str> {
    Window::new(now.before(DAY), now.after(DAY * days)).ok_or("the clock is wrong")
}

/// PEM.
fn sign(new: NewCertificate, key: &str, public: &PublicKey) -> Result<String, BoxedError> {
    let linted = new.draft(public.default_algorithm()).lint(&())?;
    let compared = linted.compare(&())?;
    let signed = KeyPair::from_pem(key.as_bytes(), public)?.sign(compared)?;
    let checked = signed.check(public, &(), &())?;
    Ok(write::pem("CERTIFICATE", checked.bytes()))
}

/// RFC 5280 §4.2.1.13: one DistributionPoint, with a fullName of one URL.
fn distribution_point(url: &str) -> Vec<u8> {
    let name = write::value(tag::context_primitive(6), &[url.as_bytes()]);
    let name = write::value(tag::context(0), &[&write::value(tag::context(0), &[&name])]);
    let points = write::sequence(&[&write::sequence(&[&name])]);
    write::extension(oid::CRL_DISTRIBUTION_POINTS, false, &points)
}

/// RFC 5280 §4.2.2.1: an AccessDescription for each method and URL.
fn access(places: &[(&[u8], String)]) -> Vec<u8> {
    let descriptions: Vec<_> = places
        .iter()
        .map(|(method, url)| {
            write::sequence(&[
                &write::value(tag::OID, &[method]),
                &write::value(tag::context_primitive(6), &[url.as_bytes()]),
            ])
        })
        .collect();
    let list = write::sequence(&[&descriptions.concat()]);
    write::extension(oid::AUTHORITY_INFO_ACCESS, false, &list)
}
