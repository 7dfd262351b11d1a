//! `verify` finds whatever was altered, and `lookup --at` tells what relying parties knew.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use crate::support::{ISSUER, Site, block_on, der, keys::Private, now, ocsp::Hash};

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
fn archive(site: &Site) -> Vec<PathBuf> {
    archived(site, ".crl")
}

/// The archive's CRLs of one scope, such as `-delta.crl`, oldest first.
fn archived(site: &Site, suffix: &str) -> Vec<PathBuf> {
    let folder = site.path("data/archive").join(ISSUER);
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let number = |file: &PathBuf| {
        file.file_name()?
            .to_str()?
            .strip_suffix(suffix)?
            .parse::<u64>()
            .ok()
    };
    files.retain(|file| number(file).is_some());
    files.sort();
    files
}

/// Alters an archived CRL as one could who has the CA's key: its signature is good, and its label
/// is its own.
fn forge(site: &Site, file: &Path, alter: impl FnOnce(&mut Vec<u8>)) {
    let signed = fs::read(file).unwrap();
    let parts = der::children(der::only(&signed).content);
    let mut tbs = parts[0].whole.to_vec();
    alter(&mut tbs);
    let forged = Private::read(&site.path("ca.key.pem")).signed(&tbs, Hash::Sha256);
    let beside = file.with_file_name(format!(
        ".{}.json",
        file.file_name().unwrap().to_str().unwrap()
    ));
    let [old, new] = [&signed, &forged]
        .map(|bytes| rescind::facade::core::digest::Digest::of(bytes).to_string());
    let label = fs::read_to_string(&beside).unwrap();
    assert!(label.contains(&old));
    fs::write(beside, label.replace(&old, &new)).unwrap();
    fs::write(file, forged).unwrap();
}

/// Dates the revocation of this serial number, of two octets, a second away.
fn redate(tbs: &mut [u8], serial: [u8; 2]) {
    let entry = [&[2, 2][..], &serial, &[0x17, 13]].concat();
    let at = tbs
        .windows(entry.len())
        .position(|some| some == entry)
        .unwrap();
    let digit = &mut tbs[at + entry.len() + 11];
    *digit = if *digit == b'0' { b'1' } else { b'0' };
}

#[test]
fn what_was_written_verifies() {
    let site = site();
    let said = site.json(&["verify", "--issuer", ISSUER]);
    let line = &said["issuers"][0];
    // Three passes of a full CRL, a delta and two shards.
    assert_eq!(
        (&line["crls"], &line["difference"]),
        (&12.into(), &serde_json::Value::Null),
        "{said}"
    );
    assert_eq!(line["rows"], 3);
}

#[test]
fn every_alteration_is_found_and_named() {
    for (statement, told) in [
        (
            "UPDATE revocations SET Comment = 'other' WHERE RowKey = 'c.00000000000000000001'",
            "chain",
        ),
        (
            "UPDATE revocations SET Revoked = 7 WHERE RowKey = 'head'",
            "counts",
        ),
        (
            "DELETE FROM revocations WHERE RowKey = 'c.00000000000000000002'",
            "the journal goes from change set 1 to 3",
        ),
        (
            "UPDATE revocations SET Reason = 'superseded' WHERE RowKey LIKE 's.%0a01'",
            "status row 0a01",
        ),
        (
            "DELETE FROM revocations WHERE RowKey LIKE 's.%0a01'",
            "status row 0a01: it is missing",
        ),
        // The last one, too.
        (
            "DELETE FROM revocations WHERE RowKey = (SELECT max(RowKey) FROM revocations)",
            ": it is missing",
        ),
    ] {
        let said = difference(|site| sql(site, statement));
        assert!(said.contains(told), "{statement}: {said}");
    }
    let swapped = difference(|site| {
        let files = archive(site);
        fs::copy(&files[1], &files[0]).unwrap();
    });
    assert!(
        swapped.contains("archive: ") && swapped.contains("another CRL number"),
        "{swapped}"
    );
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
    assert!(
        older.contains("shelf: test-ca.crl: it is not the newest CRL of the archive"),
        "{older}"
    );
}

/// What is printed as a remedy is one, also where a pass finds nothing due.
#[test]
fn a_shelf_that_differs_is_healed_as_the_error_says() {
    fn alone(site: &Site) {
        for file in archive(site) {
            fs::remove_file(file).unwrap();
        }
    }
    fn missing(site: &Site) {
        fs::remove_file(site.shelf(".crl")).unwrap();
    }
    fn older(site: &Site) {
        fs::copy(&archive(site)[1], site.shelf(".crl")).unwrap();
    }
    for (alter, told) in [
        (missing as fn(&Site), "it is missing"),
        (older, "it is not the newest CRL of the archive"),
        (alone, "the archive has no copy of it"),
    ] {
        let site = Site::new();
        for serial in ["0a01", "0a02", "0a03"] {
            site.revoke(serial, "superseded");
            site.publish(&[]);
        }
        alter(&site);
        let said = site.run(&["verify", "--issuer", ISSUER]);
        assert!(
            said.code == 1 && said.stderr.contains(told),
            "{told}: {said:?}"
        );
        assert!(said.stderr.contains("`rescind publish --force` heals it"));
        site.publish(&["--force"]);
        let said = site.run(&["verify", "--issuer", ISSUER]);
        assert_eq!(said.code, 0, "{told}: {said:?}");
        assert_eq!(site.crl().serials(), ["0A01", "0A02", "0A03"]);
    }
}

/// A row that no change set made would be told to whoever looks that certificate up.
#[test]
fn a_status_row_that_the_journal_does_not_know_is_found() {
    for (key, told) in [
        (
            "s.0000000000000000000000000000000000000001",
            "status row 01: the journal knows nothing of it",
        ),
        (
            "s.0000000000000000000000000000000000000b01",
            "status row 0b01: the journal knows nothing of it",
        ),
        (
            "s.7fffffffffffffffffffffffffffffffffffffff",
            "the journal knows nothing of it",
        ),
        ("s.0b01", "its key is no serial number's"),
    ] {
        let copy = "INSERT INTO revocations (PartitionKey, RowKey, Version, State, RevokedAt, \
                    Reason, Seq) SELECT \
                    PartitionKey, 'KEY', Version, State, RevokedAt, Reason, Seq FROM revocations \
                    WHERE RowKey LIKE \
                    's.%0a01'";
        let said = difference(|site| sql(site, &copy.replace("KEY", key)));
        assert!(said.contains(told), "{key}: {said}");
    }
}

#[test]
fn a_shard_that_is_not_as_the_journal_says_is_found() {
    let said = difference(|site| {
        let shard = &archived(site, "-01.crl")[1];
        forge(site, shard, |tbs| redate(tbs, [0x0a, 0x01]));
    });
    assert!(
        said.contains("-01.crl: serial 0a01 is not as the journal says"),
        "{said}"
    );
}

#[test]
fn a_delta_crl_that_does_not_make_its_full_crl_is_found() {
    let said = difference(|site| {
        let delta = &archived(site, "-delta.crl")[1];
        forge(site, delta, |tbs| redate(tbs, [0x0a, 0x02]));
    });
    assert!(
        said.contains("-delta.crl: serial 0a02: base and delta together are not the full CRL"),
        "{said}"
    );
}

/// A full CRL that is no longer in the archive leaves its delta CRL unproven, and is no difference
/// by itself.
#[test]
fn a_delta_crl_whose_base_is_not_in_the_archive_is_passed() {
    let site = site();
    fs::remove_file(&archive(&site)[0]).unwrap();
    assert_eq!(
        site.json(&["verify", "--issuer", ISSUER])["issuers"][0]["crls"],
        11
    );
}

#[test]
fn more_rows_than_a_page_are_compared_whole() {
    let site = Site::new();
    let line = |serial: u32| format!("{{\"serial\":\"{serial:06x}\",\"state\":\"valid\"}}\n");
    site.import_rows(&(1..=2100).map(line).collect::<String>());
    assert_eq!(
        site.json(&["verify", "--issuer", ISSUER])["issuers"][0]["rows"],
        2100
    );
    let last_of_page = format!("s.{:040x}", 1000);
    sql(
        &site,
        &format!("DELETE FROM revocations WHERE RowKey = '{last_of_page}'"),
    );
    let said = site.run(&["verify", "--issuer", ISSUER]).stderr;
    assert!(said.contains("status row 03e8: it is missing"), "{said}");
}

#[test]
fn commits_that_go_on_meanwhile_are_no_difference() {
    let site = site();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for serial in 1..60u32 {
                site.revoke(&format!("{serial:02x}"), "certificateHold");
            }
            is_done.store(true, Ordering::Relaxed);
        });
        let ca = site.ca();
        while !is_done.load(Ordering::Relaxed) {
            block_on(rescind::facade::stories::verify::verify(&ca, |_| ())).unwrap();
        }
    });
    assert_eq!(
        site.json(&["verify", "--issuer", ISSUER])["issuers"][0]["rows"],
        62
    );
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
    assert_eq!(
        (&then["crl_number"], &then["is_listed"]),
        (&first.into(), &true.into()),
        "{then}"
    );
    assert_eq!(then["reason"], "certificateHold");
    let since = ask(now() + 1);
    assert_eq!(since["is_listed"], false, "{since}");
    assert!(since["crl_number"].as_u64() > Some(first));
    assert!(ask(held - 3600)["crl_number"].is_null());
}
