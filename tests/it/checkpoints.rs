//! Checkpoints: they save time, and never change what is true.

use std::{fmt::Write, fs, path::PathBuf};

use crate::support::{ISSUER, Site};

const WARNING: &str = "the checkpoint is of no use";

/// A site with so many change sets that its first pass writes a checkpoint.
fn site() -> Site {
    let site = Site::new();
    let mut lines = String::new();
    for serial in 0..27_000u32 {
        let line = r#"{"serial":"SERIAL","state":"revoked","revoked_at":"2026-01-17T00:27:48Z","reason":"superseded"}"#;
        writeln!(
            lines,
            "{}",
            line.replace("SERIAL", &format!("0a{serial:08x}"))
        )
        .unwrap();
    }
    site.import_rows(&lines);
    site.publish(&[]);
    site
}

fn files(site: &Site) -> Vec<PathBuf> {
    let folder = site.path("data/state").join(ISSUER);
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "checkpoint")
    });
    files.sort();
    files
}

#[test]
fn a_checkpoint_is_read_and_a_damaged_or_missing_one_costs_time_alone() {
    let site = site();
    let [file] = &files(&site)[..] else {
        panic!("{:?}", files(&site))
    };
    site.revoke("0b01", "keyCompromise");
    let whole = site.ok(&["export", "--issuer", ISSUER]);
    assert!(!whole.stderr.contains(WARNING), "{}", whole.stderr);
    // Those imported, the one revoked since, and the OCSP credential.
    assert_eq!(whole.stdout.lines().count(), 27_002);

    let good = fs::read(file).unwrap();
    let damaged = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let shorter = good[..good.len() / 2].to_vec();
    for bytes in [
        damaged(0),
        damaged(40),
        damaged(70),
        damaged(200),
        damaged(good.len() - 1),
        shorter,
        vec![],
    ] {
        fs::write(file, bytes).unwrap();
        let read = site.ok(&["export", "--issuer", ISSUER]);
        assert!(read.stderr.contains(WARNING), "{}", read.stderr);
        assert_eq!(read.stdout, whole.stdout);
    }
    fs::remove_file(file).unwrap();
    let read = site.ok(&["export", "--issuer", ISSUER]);
    assert!(read.stderr.contains("is missing"), "{}", read.stderr);
    assert_eq!(read.stdout, whole.stdout);
    assert_eq!(site.publish(&[])["reason"], "index changed");
    // The pass wrote another, although little has changed since the last one.
    for _ in 0..2 {
        let read = site.ok(&["export", "--issuer", ISSUER]);
        assert!(!read.stderr.contains(WARNING), "{}", read.stderr);
        assert_eq!(site.publish(&["--force"])["published"], true);
    }
    assert_eq!(files(&site).len(), 1, "{:?}", files(&site));
}

#[test]
fn an_index_put_back_from_before_the_checkpoint_is_not_read_through_it() {
    let site = Site::new();
    site.revoke("0a01", "superseded");
    let index = site.path("data/index.sqlite");
    let other = self::site();
    // The newer index's checkpoint and row, under an older journal of the same key.
    fs::create_dir_all(site.path("data/state").join(ISSUER)).unwrap();
    for file in files(&other) {
        fs::copy(
            &file,
            site.path("data/state")
                .join(ISSUER)
                .join(file.file_name().unwrap()),
        )
        .unwrap();
    }
    let copy = format!(
        "ATTACH '{}' AS newer; INSERT INTO revocations SELECT * FROM newer.revocations WHERE \
         RowKey = 'p.checkpoint';",
        other.file("data/index.sqlite")
    );
    let database = rusqlite::Connection::open(&index).unwrap();
    database.execute_batch(&copy).unwrap();
    drop(database);
    let read = site.ok(&["export", "--issuer", ISSUER]);
    assert_eq!(read.stdout.lines().count(), 1);
    assert!(read.stderr.contains(WARNING), "{}", read.stderr);
}
