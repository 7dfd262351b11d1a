//! Bad surroundings: damaged stores. What was there stays, whole, and the message names it.

use std::fs;

use crate::support::{
    ISSUER,
    complaint::{REFUSED, complains, refused, site},
};

#[test]
fn damaged_index_is_named_and_left_alone() {
    let site = site();
    let index = site.path("data/index.sqlite");
    let good = fs::read(&index).unwrap();
    let mut broken = good.clone();
    broken[4096..].fill(0xa5);
    for (what, bytes) in [
        ("garbage", vec![0xa5; 8192]),
        ("pages", broken),
        ("head", good[..1000].to_vec()),
    ] {
        fs::write(&index, &bytes).unwrap();
        for args in [
            &["publish"][..],
            &["revoke", "--issuer", ISSUER, "--serial", "0a"],
            &["export", "--issuer", ISSUER],
        ] {
            let before = site.snapshot();
            let output = site.run(args);
            complains(&output, REFUSED, &["index.sqlite"]);
            assert!(site.snapshot() == before, "{what}: {args:?}: {output:?}");
        }
        assert_eq!(
            site.run(&["status"]).code,
            if what == "pages" { 3 } else { REFUSED },
            "{what}"
        );
    }
    fs::write(&index, good).unwrap();
    assert_eq!(site.publish(&["--force"])["published"], true);
}

/// A row changed by hand: the journal's hash chain, or the head's counts, say so.
#[test]
fn altered_journal_is_refused() {
    for sql in [
        "UPDATE revocations SET Comment = 'never mind' WHERE RowKey LIKE 'c.%'",
        "DELETE FROM revocations WHERE RowKey = 'c.00000000000000000001'",
        "UPDATE revocations SET Revoked = 7 WHERE RowKey = 'head'",
        "UPDATE revocations SET Seq = 99 WHERE RowKey = 'head'",
    ] {
        let site = site();
        let database = rusqlite::Connection::open(site.path("data/index.sqlite")).unwrap();
        assert!(database.execute(sql, []).unwrap() > 0);
        drop(database);
        let shelf = site.crl_bytes();
        let output = site.run(&["publish", "--force"]);
        complains(&output, REFUSED, &[ISSUER]);
        assert_eq!(site.crl_bytes(), shelf, "{sql}");
    }
}

#[test]
fn another_programs_database_is_left_alone() {
    let site = site();
    let index = site.path("data/index.sqlite");
    fs::remove_file(&index).unwrap();
    rusqlite::Connection::open(&index)
        .unwrap()
        .execute_batch("CREATE TABLE songs (title TEXT)")
        .unwrap();
    let words = ["index.sqlite", "another program"];
    refused(
        &site,
        &["revoke", "--issuer", ISSUER, "--serial", "0a"],
        REFUSED,
        &words,
    );
}

/// Where a folder should be stands a file, or what should be a file is a folder.
#[test]
fn stores_that_cannot_be_written_fail_with_their_path() {
    for store in ["index", "shelf", "archive"] {
        let site = site();
        let text = fs::read_to_string(site.path("rescind.toml")).unwrap();
        let lines = text
            .lines()
            .map(|line| match line.starts_with(&format!("{store} = ")) {
                true => format!("{store} = \"file:ca.pem/below\""),
                false => line.to_owned(),
            });
        fs::write(
            site.path("rescind.toml"),
            lines.collect::<Vec<_>>().join("\n"),
        )
        .unwrap();
        let before = site.snapshot();
        let output = site.run(&["publish", "--force"]);
        complains(&output, REFUSED, &["ca.pem/below"]);
        let after = site.snapshot();
        let crls = |files: &std::collections::BTreeMap<std::path::PathBuf, Vec<u8>>| {
            files
                .iter()
                .filter(|(path, _)| path.starts_with(site.path("data/shelf")))
                .count()
        };
        assert_eq!(crls(&after), crls(&before), "{store}");
    }
}
