//! What a responder may be asked to say besides good and revoked: what was never issued, since when
//! it remembers, and with which algorithm it signs (RFC 6960 §4.4).

use std::{fs, time::Duration};

use crate::support::{
    ISSUER, Plan, Site, der,
    judge::response_verifies,
    ocsp::{Basic, IssuerId, NONCE, Status, nonce, preferring, request, status},
    pki::{self, Key},
    poll,
    server::serving,
    stories::supply_credential,
};

const EXTENDED_REVOKE: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 9];
const ARCHIVE_CUTOFF: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 6];

const ECDSA_SHA256: &str = "300a06082a8648ce3d040302";
const RSA_SHA256: &str = "300d06092a864886f70d01010b0500";
const RSA_SHA1: &str = "300d06092a864886f70d0101050500";
const RSA_MD5: &str = "300d06092a864886f70d0101040500";

/// RFC 6960 §2.2 and §4.4.8.
#[test]
fn what_was_never_issued_is_revoked_where_that_is_wanted() {
    let site = Site::with_settings("[issuer.ocsp]\nunlisted = \"revoked\"\n");
    let leaf = site.leaf("leaf", "0d");
    site.ok(&["record", "--issuer", ISSUER, "--cert", &leaf]);
    site.revoke("0b", "superseded");
    site.publish(&[]);
    let server = site.serve();
    let id = site.issuer_id();
    let ask =
        |serial: &str, nonce: Option<&[u8]>| server.ocsp(&request(&[id.usual(serial)], nonce));
    let extended = der::Extension {
        id: EXTENDED_REVOKE.to_vec(),
        critical: false,
        value: vec![5, 0],
    };
    let never = Status::Revoked("1970-01-01T00:00:00Z".to_owned(), Some(6));
    let basic = Basic::read(&ask("0a", None));
    assert_eq!(
        (&basic.only().status, &basic.extensions[..]),
        (&never, std::slice::from_ref(&extended))
    );
    assert!(basic.only().extensions.is_empty());
    response_verifies(&ask("0a", None), &site.ca_der());
    // The extension stands beside a nonce, and in no answer that does not need it.
    let asked = nonce(16);
    let echoed = der::Extension {
        id: NONCE.to_vec(),
        critical: false,
        value: asked.clone(),
    };
    assert_eq!(
        Basic::read(&ask("0a", Some(&asked))).extensions,
        [echoed, extended.clone()]
    );
    for (serial, listed) in [("0d", true), ("0b", false)] {
        let basic = Basic::read(&ask(serial, None));
        assert_eq!(
            (basic.only().status == Status::Good, basic.extensions.len()),
            (listed, 0),
            "{serial}"
        );
    }
    let several = Basic::read(&server.ocsp(&request(&[id.usual("0d"), id.usual("0a")], None)));
    assert_eq!(
        (&several.singles[0].status, &several.singles[1].status),
        (&Status::Good, &never)
    );
    assert_eq!(several.extensions, [extended]);
    // It goes into no CRL.
    assert_eq!(site.crl().entries.map_or(0, |entries| entries.len()), 1);
}

/// RFC 6960 §4.4.4: since when; here, since the CA began.
#[test]
fn archive_cutoff_is_named_where_expired_certificates_are_kept() {
    let (site, server) = serving("[issuer.crl]\nkeep_expired = true\n");
    let response = server.ocsp(&request(&[site.issuer_id().usual("0b")], None));
    let basic = Basic::read(&response);
    let ca = site.ca_der();
    let (_, not_before) = der::time(der::children(pki::tbs(&ca)[4].content)[0]);
    let value = der::tlv(0x18, &[not_before.as_bytes()]);
    let cutoff = der::Extension {
        id: ARCHIVE_CUTOFF.to_vec(),
        critical: false,
        value,
    };
    assert_eq!(basic.only().extensions, [cutoff]);
    response_verifies(&response, &site.ca_der());
}

/// RFC 6960 §4.4.7.2: the dearest algorithm that we have; never a weaker one than our own.
#[test]
fn the_algorithm_that_a_client_prefers_is_used_if_a_credential_has_it() {
    let (site, server) = serving("[issuer.ocsp]\ncredential_key = \"p256+rsa2048\"\n");
    assert!(site.path(&format!("data/{ISSUER}-ocsp-rsa.pem")).exists());
    let id = site.issuer_id().usual("0b");
    let item = |algorithm: &str, key: &[u8]| der::sequence(&[&der::from_hex(algorithm), key]);
    let list = |algorithms: &[&str]| {
        let items: Vec<_> = algorithms
            .iter()
            .map(|algorithm| item(algorithm, &[]))
            .collect();
        der::sequence(&[&items.concat()])
    };
    const EC: &[u8] = &[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
    let p384 = der::sequence(&[EC, &[6, 5, 0x2b, 0x81, 4, 0, 0x22]]);
    let p256 = der::sequence(&[EC, &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]]);
    let other_curve = der::sequence(&[&item(ECDSA_SHA256, &p384), &item(RSA_SHA256, &[])]);
    let our_curve = der::sequence(&[&item(ECDSA_SHA256, &p256), &item(RSA_SHA256, &[])]);
    // The credentials are read one after the other.
    poll(Duration::from_secs(20), "the second credential", || {
        let response = server.ocsp(&preferring(&id, &list(&[RSA_SHA256]), None));
        (der::hex(&Basic::read(&response).algorithm) == RSA_SHA256).then_some(())
    });
    for (what, wanted, expected) in [
        ("RSA", list(&[RSA_SHA256]), RSA_SHA256),
        ("ECDSA", list(&[ECDSA_SHA256]), ECDSA_SHA256),
        (
            "ECDSA before RSA",
            list(&[ECDSA_SHA256, RSA_SHA256]),
            ECDSA_SHA256,
        ),
        (
            "RSA before ECDSA",
            list(&[RSA_SHA256, ECDSA_SHA256]),
            RSA_SHA256,
        ),
        ("SHA-1 alone", list(&[RSA_SHA1]), ECDSA_SHA256),
        ("MD5 before RSA", list(&[RSA_MD5, RSA_SHA256]), RSA_SHA256),
        ("another curve before RSA", other_curve, RSA_SHA256),
        ("our curve before RSA", our_curve, ECDSA_SHA256),
        ("nothing", list(&[]), ECDSA_SHA256),
        ("garbage", vec![0xff; 9], ECDSA_SHA256),
        (
            "garbage behind RSA",
            [list(&[RSA_SHA256]), vec![0]].concat(),
            ECDSA_SHA256,
        ),
    ] {
        // Twice without a nonce, so that a kept answer of the other kind would show.
        for nonce in [None, None, Some(nonce(16))] {
            let response = server.ocsp(&preferring(&id, &wanted, nonce.as_deref()));
            let basic = Basic::read(&response);
            assert_eq!(der::hex(&basic.algorithm), expected, "{what}");
            assert_eq!(
                basic.extensions.len(),
                usize::from(nonce.is_some()),
                "{what}"
            );
            assert!(
                matches!(basic.only().status, Status::Revoked(_, Some(1))),
                "{what}"
            );
        }
    }
    response_verifies(
        &server.ocsp(&preferring(&id, &list(&[RSA_SHA256]), None)),
        &site.ca_der(),
    );
    let usual = Basic::read(&server.ocsp(&request(&[id], None)));
    assert_eq!(der::hex(&usual.algorithm), ECDSA_SHA256);
    // Both are known to the index, and in order.
    assert_eq!(site.export().matches("\"valid\"").count(), 2);
    assert_eq!(site.run(&["status"]).code, 0);
}

#[test]
fn preferred_algorithms_change_nothing_where_there_is_one_credential() {
    let (site, server) = serving("");
    let id = site.issuer_id().usual("0b");
    let wanted = der::sequence(&[&der::sequence(&[&der::from_hex(RSA_SHA256)])]);
    assert_eq!(
        der::hex(&Basic::read(&server.ocsp(&preferring(&id, &wanted, None))).algorithm),
        ECDSA_SHA256
    );
}

/// The parent is an issuer like any other, and answers for the CA certificates that it issued.
#[test]
fn ca_certificates_are_answered_for_by_their_own_issuer() {
    let site = Plan {
        intermediate: true,
        ..Plan::default()
    }
    .build();
    site.configure(
        "[[issuer]]\nname = \"root\"\ncertificate = \"file:root.pem\"\nkey = \
                    \"file:root.key.pem\"\n",
    );
    site.publish(&[]);
    let server = site.serve();
    let root = IssuerId::of(&pki::der_of(&site.path("root.pem")));
    // The serial number of the intermediate's certificate.
    let asked = request(&[root.usual("0ca0")], None);
    assert_eq!(status(&server.ocsp(&asked)), Status::Good);
    site.ok(&[
        "revoke",
        "--issuer",
        "root",
        "--serial",
        "0ca0",
        "--reason",
        "cACompromise",
    ]);
    crate::support::poll(
        std::time::Duration::from_secs(5),
        "the revoked answer",
        || {
            // BR §7.3: with a reason.
            matches!(status(&server.ocsp(&asked)), Status::Revoked(_, Some(2))).then_some(())
        },
    );
    // The intermediate's own certificates are another matter.
    assert_eq!(
        status(&server.ocsp(&request(&[site.issuer_id().usual("0ca0")], None))),
        Status::Good
    );
}

/// A credential that an administrator had the CA issue: used as it is, and left alone while it is
/// of use.
#[test]
fn credential_that_an_administrator_supplied_signs_and_is_not_replaced() {
    let site = Site::new();
    site.revoke("0b", "superseded");
    let pem = supply_credential(&site, Key::P384);
    site.publish(&[]);
    assert_eq!(
        fs::read_to_string(site.path(&format!("data/{ISSUER}-ocsp.pem"))).unwrap(),
        pem
    );
    let server = site.serve();
    let response = server.ocsp(&request(&[site.issuer_id().usual("0b")], None));
    assert_eq!(
        Basic::read(&response).certificates,
        [pki::der_of(&site.path("own.pem"))]
    );
    response_verifies(&response, &site.ca_der());
}
