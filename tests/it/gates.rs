//! What contradicts the last CRL is refused by name, and passed only by name, once, and in the journal.

use std::fs;

use crate::support::{ISSUER, Site};

/// A site whose index was put back to a time before the last revocation was published.
fn put_back() -> Site {
    let site = Site::new();
    site.revoke("0a01", "superseded");
    site.publish(&[]);
    let index = site.path("data/index.sqlite");
    let older = fs::read(&index).unwrap();
    site.revoke("0a02", "keyCompromise");
    site.publish(&[]);
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(site.path(&format!("data/index.sqlite{suffix}")));
    }
    fs::write(&index, older).unwrap();
    site
}

#[test]
fn a_gate_is_passed_once_by_name_and_the_journal_says_who_and_why() {
    let site = put_back();
    let refused = site.run(&["publish"]);
    assert!(refused.code == 1 && refused.stderr.contains("entry_vanished"), "{refused:?}");
    let accept = |gate: &str| {
        let reason = "0a02 was a test; the ticket is 4711";
        site.run(&["publish", "--issuer", ISSUER, "--accept", gate, "--comment", reason])
    };
    let other = accept("date_moved");
    assert!(other.code == 1 && other.stderr.contains("entry_vanished"), "{other:?}");
    assert_eq!(site.crl().serials().len(), 2);

    let passed = accept("entry_vanished");
    assert_eq!(passed.code, 0, "{passed:?}");
    assert_eq!(site.crl().serials(), ["0A01"]);
    let log = site.ok(&["log", "--issuer", ISSUER]).stdout;
    assert!(log.contains("accepted entry_vanished: 0a02 was a test; the ticket is 4711"), "{log}");
    assert!(!log.contains("accepted date_moved"), "{log}");
    // The change set that changes nothing is read like any other.
    site.ok(&["export", "--issuer", ISSUER]);
    assert_eq!(site.publish(&[])["published"], false);
}

#[test]
fn rules_of_the_format_have_no_gate_and_a_reason_must_be_given() {
    let site = put_back();
    for args in [
        &["--accept", "serial_order", "--comment", "x", "--issuer", ISSUER][..],
        &["--accept", "entry_vanished", "--issuer", ISSUER],
        &["--accept", "entry_vanished", "--comment", "x"],
        &["--comment", "x"],
    ] {
        let said = site.run(&[&["publish"], args].concat());
        assert_eq!(said.code, 2, "{args:?}: {said:?}");
    }
}

#[test]
fn a_crl_that_grows_too_large_is_published_and_status_warns() {
    let site = Site::with_settings("[issuer.crl]\nsize_warning = 300\nsize_alarm = 100000\n");
    for serial in ["0a01", "0a02", "0a03"] {
        site.revoke(serial, "superseded");
    }
    site.publish(&[]);
    let said = site.run(&["status"]);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.stdout.contains("octets, and it is larger than relying parties like"), "{said:?}");
    assert!(site.crl_bytes().len() > 300);
}
