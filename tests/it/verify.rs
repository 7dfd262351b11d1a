//! `verify` finds whatever was altered, and `lookup --at` tells what relying parties knew.

use std::fs;

use crate::support::{ISSUER, Site, now};

fn site() -> Site {
    let site = Site::with_settings("[issuer.crl]\ndelta = \"4h\"\nshards = 2\n");
    site.revoke("0a01", "keyCompromise");
    site.publish(&[]);
    site.revoke("0a02", "certificateHold");
    site.publish(&[]);
    site.ok(&["release", "--issuer", ISSUER, "--serial", "0a02"]);
    site.publish(&[]);
    site
}

fn sql(site: &Site, statement: &str) {
    let database = rusqlite::Connection::open(site.path("data/index.sqlite")).unwrap();
    assert!(database.execute(statement, []).unwrap() > 0, "{statement}");
}

/// What `verify` says of a site that was altered.
fn difference(alter: impl FnOnce(&Site)) -> String {
    let site = site();
    alter(&site);
    let said = site.run(&["verify", "--issuer", ISSUER]);
    assert_eq!(said.code, 1, "{said:?}");
    said.stderr
}

/// The archive's full CRLs, oldest first.
fn archive(site: &Site) -> Vec<std::path::PathBuf> {
    let folder = site.path("data/archive").join(ISSUER);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.file_stem().is_some_and(|name| name.to_str().unwrap().parse::<u64>().is_ok()));
    files.retain(|file| file.extension().is_some_and(|extension| extension == "crl"));
    files.sort();
    files
}

#[test]
fn what_was_written_verifies() {
    let site = site();
    let said = site.json(&["verify", "--issuer", ISSUER]);
    let line = &said["issuers"][0];
    // Three passes of a full CRL, a delta and two shards.
    assert_eq!((&line["crls"], &line["difference"]), (&12.into(), &serde_json::Value::Null), "{said}");
    assert_eq!(line["rows"], 3);
}

#[test]
fn every_alteration_is_found_and_named() {
    for (statement, told) in [
        ("UPDATE revocations SET Comment = 'other' WHERE RowKey = 'c.00000000000000000001'", "chain"),
        ("UPDATE revocations SET Revoked = 7 WHERE RowKey = 'head'", "counts"),
        ("DELETE FROM revocations WHERE RowKey = 'c.00000000000000000002'", "the journal goes from change set 1 to 3"),
        ("UPDATE revocations SET Reason = 'superseded' WHERE RowKey LIKE 's.%0a01'", "status row 0a01"),
        ("DELETE FROM revocations WHERE RowKey LIKE 's.%0a01'", "status row 0a01: it is missing"),
    ] {
        let said = difference(|site| sql(site, statement));
        assert!(said.contains(told), "{statement}: {said}");
    }
    let swapped = difference(|site| {
        let files = archive(site);
        fs::copy(&files[1], &files[0]).unwrap();
    });
    assert!(swapped.contains("archive: ") && swapped.contains("another CRL number"), "{swapped}");
    let altered = difference(|site| {
        let file = &archive(site)[0];
        let mut bytes = fs::read(file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(file, bytes).unwrap();
    });
    assert!(altered.contains("signature"), "{altered}");
    let older = difference(|site| {
        fs::copy(&archive(site)[1], site.shelf(".crl")).unwrap();
    });
    assert!(older.contains("shelf: test-ca.crl: it is not the newest CRL of the archive"), "{older}");
}

#[test]
fn an_auditor_is_told_what_relying_parties_knew_then() {
    let site = Site::new();
    site.revoke("0a02", "certificateHold");
    site.publish(&[]);
    let first = site.crl().number();
    let held = now();
    // The archive's times are whole seconds.
    std::thread::sleep(std::time::Duration::from_millis(2100));
    site.ok(&["release", "--issuer", ISSUER, "--serial", "0a02"]);
    site.publish(&[]);
    let ask = |at: u64| {
        let at = crate::support::at(at).to_string();
        site.json(&["lookup", "--issuer", ISSUER, "0a02", "--at", &at])["at"].clone()
    };
    let then = ask(held + 1);
    assert_eq!((&then["crl_number"], &then["is_listed"]), (&first.into(), &true.into()), "{then}");
    assert_eq!(then["reason"], "certificateHold");
    let since = ask(now() + 1);
    assert_eq!(since["is_listed"], false, "{since}");
    assert!(since["crl_number"].as_u64() > Some(first));
    assert!(ask(held - 3600)["crl_number"].is_null());
}
