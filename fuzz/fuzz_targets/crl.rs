//! A CRL from a shelf, an archive or another CA: what is read lies inside the input, and x509-cert
//! reads the same.
#![no_main]

use der::{Decode, ErrorKind};
use libfuzzer_sys::fuzz_target;
use rescind::facade::core::crl::{CrlError, CrlRef, Entry, SignedCrl};
use x509_cert::{
    certificate::Raw,
    crl::{CertificateList, RevokedCert},
    name::Name,
    time::Time,
};

fuzz_target!(|bytes: &[u8]| {
    let Ok(signed) = SignedCrl::read(bytes) else {
        return;
    };
    let crl = &signed.crl;
    for part in [
        crl.tbs,
        crl.issuer,
        crl.inner_algorithm,
        signed.algorithm,
        signed.signature,
    ] {
        assert!(bytes.as_ptr_range().contains(&part.as_ptr()) && part.len() < bytes.len());
    }
    // Every entry takes octets of its own.
    let entries: Result<Vec<_>, CrlError> = crl.entries().collect();
    assert!(crl.entries().count() < bytes.len());
    // The issuer's name and the algorithm are compared with those we know, octet for octet, before
    // anything else is believed; so these are not taken apart.
    let is_known = signed.signature_algorithm().is_some() && Name::from_der(crl.issuer).is_ok();
    if let (Ok(entries), true, true) = (&entries, is_known, crl.is_v2) {
        same(bytes, crl, entries);
    }
});

/// What the other parser says.
fn same(bytes: &[u8], crl: &CrlRef<'_>, entries: &[Entry]) {
    let other = match CertificateList::<Raw>::from_der(bytes) {
        Ok(other) => other.tbs_cert_list,
        // It has no object identifiers with numbers above 2^32 - 1, or of more than 39 octets.
        Err(error) if error.kind() == ErrorKind::OidMalformed => return,
        Err(error) => panic!("x509-cert does not read it: {error}"),
    };
    assert_eq!(seconds(other.this_update), crl.this_update.seconds());
    assert_eq!(
        other.next_update.map(seconds),
        crl.next_update.map(|time| time.seconds())
    );
    let extensions = other.crl_extensions.unwrap_or_default();
    assert_eq!(extensions.len(), crl.extensions.len());
    for (theirs, ours) in extensions.iter().zip(&crl.extensions) {
        assert_eq!(theirs.extn_id.as_bytes(), ours.id);
        assert_eq!(
            (theirs.critical, theirs.extn_value.as_bytes()),
            (ours.critical, ours.value)
        );
    }
    let revoked = other.revoked_certificates.unwrap_or_default();
    assert_eq!(revoked.len(), entries.len());
    revoked
        .iter()
        .zip(entries)
        .for_each(|(theirs, ours)| same_entry(theirs, ours));
}

fn same_entry(theirs: &RevokedCert<Raw>, ours: &Entry) {
    let (octets, len) = ours.serial.integer();
    assert_eq!(
        theirs.serial_number.as_bytes(),
        &octets[octets.len() - len..]
    );
    assert_eq!(seconds(theirs.revocation_date), ours.revoked_at.seconds());
    let extensions = theirs.crl_entry_extensions.as_deref().unwrap_or_default();
    let value = |id: &str| {
        extensions
            .iter()
            .find(|one| one.extn_id.to_string() == id)
            .map(|one| one.extn_value.as_bytes())
    };
    assert_eq!(
        value("2.5.29.21"),
        ours.reason
            .map(|code| [0x0a, 1, code])
            .as_ref()
            .map(<[u8; 3]>::as_slice)
    );
    assert_eq!(value("2.5.29.24").is_some(), ours.invalidity_date.is_some());
    assert!(ours.is_plain || !extensions.is_empty());
}

fn seconds(time: Time) -> u64 {
    time.to_unix_duration().as_secs()
}
