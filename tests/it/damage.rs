//! A hash that somebody damaged is found where it is compared, and healed; it stops nothing.

use std::fs;

use crate::support::{ISSUER, Site};

fn damage(site: &Site, key: &str) {
    let database = rusqlite::Connection::open(site.path("data/index.sqlite")).unwrap();
    let statement = "UPDATE revocations SET Sha256 = 'no hash' WHERE RowKey = ?1";
    assert_eq!(database.execute(statement, [key]).unwrap(), 1, "{key}");
}

fn sha256(site: &Site, key: &str) -> String {
    let database = rusqlite::Connection::open(site.path("data/index.sqlite")).unwrap();
    let statement = "SELECT Sha256 FROM revocations WHERE RowKey = ?1";
    database
        .query_row(statement, [key], |row| row.get(0))
        .unwrap()
}

#[test]
fn a_damaged_hash_in_a_scopes_row_is_healed_by_the_next_pass() {
    let site = Site::with_settings("[issuer.crl]\ndelta = \"4h\"\nshards = 2\n");
    site.revoke("0a01", "superseded");
    site.publish(&[]);
    for key in ["p.full", "p.delta", "p.shard-00"] {
        let good = sha256(&site, key);
        damage(&site, key);
        assert_eq!(site.publish(&[])["published"], false, "{key}");
        assert_eq!(sha256(&site, key), good, "{key}");
    }
}

#[test]
fn a_damaged_hash_in_the_checkpoints_row_makes_another_checkpoint_due() {
    let site = Site::new();
    let lines: Vec<_> = (0..26_000)
        .map(|serial| {
            format!(
                r#"{{"serial":"0a{serial:08x}","state":"revoked","revoked_at":"2026-01-17T00:27:48Z"}}"#
            )
        })
        .collect();
    site.import_rows(&lines.join("\n"));
    site.publish(&[]);
    let good = sha256(&site, "p.checkpoint");
    damage(&site, "p.checkpoint");
    let said = site.ok(&["publish", "--force"]).stderr;
    assert!(said.contains("is not what was written"), "{said}");
    assert_eq!(sha256(&site, "p.checkpoint").len(), good.len());
    let said = site.ok(&["publish", "--force"]).stderr;
    assert!(!said.contains("checkpoint"), "{said}");
}

/// It is a hint that an older index took the place of the newer one; damage does not hide that.
#[test]
fn a_label_with_a_damaged_hash_passes_for_another_journals() {
    let site = Site::new();
    site.revoke("0a01", "superseded");
    site.publish(&[]);
    let file = site.path(&format!("data/shelf/.{ISSUER}.crl.json"));
    let mut label: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    label["hash"] = "no hash".into();
    fs::write(&file, label.to_string()).unwrap();
    let said = site.run(&["status"]);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(
        said.stdout.contains("an older index took its place"),
        "{said:?}"
    );
}
