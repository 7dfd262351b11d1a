//! Delta CRLs and shards, as relying parties see them.

use std::fs;

use crate::support::{ISSUER, Site, crl::Crl, http::request};

const DELTA: &str = "[issuer.crl]\ndelta = \"4h\"\n";
const SHARDS: &str = "[issuer.crl]\nshards = 4\n";

const DELTA_INDICATOR: &[u8] = &[0x55, 0x1d, 0x1b];
const FRESHEST: &[u8] = &[0x55, 0x1d, 0x2e];
const POINT: &[u8] = &[0x55, 0x1d, 0x1c];

fn delta(site: &Site) -> Crl {
    Crl::read(&fs::read(site.shelf("-delta.crl")).unwrap())
}

fn shard(site: &Site, name: &str) -> Crl {
    Crl::read(&fs::read(site.shelf(&format!("/{name}.crl"))).unwrap())
}

fn release(site: &Site, serial: &str) {
    site.ok(&["release", "--issuer", ISSUER, "--serial", serial]);
}

#[test]
fn a_delta_says_what_changed_since_its_base_and_shares_the_full_crls_number() {
    let site = Site::with_settings(DELTA);
    site.revoke("0a01", "keyCompromise");
    site.revoke("0a02", "certificateHold");
    site.publish(&[]);
    let base = site.crl();
    assert_eq!(delta(&site).number(), base.number());
    assert_eq!(delta(&site).list().len(), 0);
    assert!(base.extension(FRESHEST).is_some() && base.extension(DELTA_INDICATOR).is_none());

    site.revoke("0a03", "superseded");
    site.revoke("0a04", "certificateHold");
    release(&site, "0a02");
    release(&site, "0a04");
    site.publish(&[]);
    let (full, delta) = (site.crl(), delta(&site));
    assert_eq!(full.serials(), ["0A01", "0A03"]);
    assert_eq!(delta.number(), full.number());
    assert!(delta.number() > base.number());
    assert_eq!(delta.serials(), ["0A02", "0A03", "0A04"]);
    let reasons: Vec<_> = delta.list().iter().map(|entry| entry.reason()).collect();
    assert_eq!(reasons, [Some(8), Some(4), Some(8)]);
    assert!(
        delta
            .extension(DELTA_INDICATOR)
            .is_some_and(|indicator| indicator.critical)
    );
    assert!(delta.extension(FRESHEST).is_none());
}

#[test]
fn a_base_goes_on_over_several_publications() {
    let site = Site::with_settings(DELTA);
    site.revoke("0a01", "superseded");
    site.publish(&[]);
    for serial in ["0a02", "0a03", "0a04"] {
        site.revoke(serial, "superseded");
        site.publish(&[]);
    }
    assert_eq!(delta(&site).serials(), ["0A02", "0A03", "0A04"]);
}

/// What expired comes back then, without any change set.
#[test]
fn a_delta_begins_anew_when_what_expired_is_to_be_kept() {
    let site = Site::with_settings(DELTA);
    site.revoke("0a01", "superseded");
    let expired = [
        "revoke",
        "--issuer",
        ISSUER,
        "--serial",
        "0a02",
        "--not-after",
        "2026-01-01T00:00:00Z",
    ];
    site.ok(&expired);
    site.publish(&[]);
    site.publish(&["--force"]);
    assert_eq!(site.crl().serials(), ["0A01"]);
    for (keep, serials) in [(true, &["0A01", "0A02"][..]), (false, &["0A01"])] {
        site.configure(&format!("{DELTA}keep_expired = {keep}\n"));
        let told = site.publish(&[]);
        assert_eq!(
            (&told["published"], &told["error"]),
            (&true.into(), &serde_json::Value::Null),
            "{told}"
        );
        assert_eq!(site.crl().serials(), serials);
        assert_eq!(delta(&site).number(), site.crl().number());
        assert_eq!(site.publish(&[])["published"], false);
    }
}

#[test]
fn a_lost_delta_is_made_again_together_with_a_full_crl() {
    let site = Site::with_settings(DELTA);
    site.revoke("0a01", "superseded");
    site.publish(&[]);
    let before = site.crl().number();
    assert_eq!(site.publish(&[])["published"], false);
    fs::remove_file(site.shelf("-delta.crl")).unwrap();
    site.publish(&[]);
    assert!(site.crl().number() > before);
    assert_eq!(delta(&site).number(), site.crl().number());
}

/// All are signed by the same key, so the signature alone does not tell whose place it is.
#[test]
fn a_crl_in_the_place_of_another_is_replaced_and_told() {
    let site = Site::with_settings("[issuer.crl]\ndelta = \"4h\"\nshards = 4\n");
    site.revoke("0a01", "superseded");
    site.revoke("0a02", "certificateHold");
    site.publish(&[]);
    release(&site, "0a02");
    site.publish(&[]);
    let files = [".crl", "-delta.crl", "/00.crl", "/01.crl"];
    for (place, other) in files
        .iter()
        .flat_map(|place| files.map(|other| (*place, other)))
    {
        let whole = fs::read(site.shelf(place)).unwrap();
        fs::copy(site.shelf(other), site.shelf(place)).unwrap();
        let told = site.json(&["publish"]);
        let healed = told["issuers"][0]["healed"].to_string();
        assert_eq!(
            healed.contains("in the wrong place"),
            place != other,
            "{other} as {place}: {told}"
        );
        let (was, is) = (
            Crl::read(&whole),
            Crl::read(&fs::read(site.shelf(place)).unwrap()),
        );
        assert_eq!(is.serials(), was.serials(), "{other} as {place}");
        assert_eq!(
            is.extension(POINT),
            was.extension(POINT),
            "{other} as {place}"
        );
    }
    site.ok(&["verify", "--issuer", ISSUER]);
}

#[test]
fn shards_together_are_the_full_crl_and_name_their_own_url() {
    let site = Site::with_settings(SHARDS);
    for last in 0..12 {
        site.revoke(&format!("0a{last:02x}"), "superseded");
    }
    site.publish(&[]);
    let names = ["00", "01", "02", "03"];
    let mut all: Vec<_> = names
        .iter()
        .flat_map(|name| shard(&site, name).serials())
        .collect();
    all.sort();
    assert_eq!(all, site.crl().serials());
    assert!(site.crl().extension(POINT).is_none());
    let url = site.json(&["urls", "--issuer", ISSUER, "--serial", "0a07"])["crl"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(url.ends_with("/crl/test-ca/03.crl"), "{url}");
    let point = shard(&site, "03").extension(POINT).unwrap().clone();
    assert!(
        point.critical
            && point
                .value
                .windows(url.len())
                .any(|window| window == url.as_bytes())
    );
    assert_eq!(shard(&site, "03").number(), site.crl().number());
    assert_eq!(site.publish(&[])["published"], false);
}

/// The row that is written down late is that of the number line, and it is not another publisher
/// who writes it.
#[test]
fn shards_are_published_in_the_pass_that_finishes_what_a_killed_one_left() {
    let site = Site::with_settings(SHARDS);
    site.revoke("0a01", "superseded");
    site.publish(&[]);
    let index = site.path("data/index.sqlite");
    let before = fs::read(&index).unwrap();
    site.publish(&["--force"]);
    // As if the pass had been killed when the full CRL was out, and the index did not know.
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(site.path(&format!("data/index.sqlite{suffix}")));
    }
    fs::write(&index, before).unwrap();
    fs::remove_file(site.shelf("/01.crl")).unwrap();
    let full = site.crl().number();
    assert_eq!(site.publish(&[])["published"], true);
    assert!(site.crl().number() == full && shard(&site, "01").number() > full);
    assert_eq!(site.publish(&[])["published"], false);
}

#[test]
fn a_certificate_keeps_its_shard_for_life() {
    let site = Site::with_settings(SHARDS);
    site.publish(&[]);
    for count in [1, 2, 8] {
        site.configure(&format!("[issuer.crl]\nshards = {count}\n"));
        let refused = site.run(&["publish", "--force"]);
        assert_eq!(refused.code, 1, "{count}: {refused:?}");
        assert!(
            refused.stderr.contains("put `shards = 4` back"),
            "{refused:?}"
        );
    }
    site.configure(SHARDS);
    site.ok(&["publish", "--force"]);
}

#[test]
fn deltas_and_shards_are_served_with_their_own_windows() {
    let site = Site::with_settings("[issuer.crl]\ndelta = \"4h\"\nshards = 2\n");
    site.publish(&[]);
    let server = site.serve();
    for path in ["-delta.crl", "/00.crl", "/01.crl"] {
        let reply = server.raw(&request("GET", &format!("/crl/{ISSUER}{path}"), &[], b""));
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        assert_eq!(reply.body, fs::read(site.shelf(path)).unwrap());
    }
    for path in ["/02.crl", "/00.pem", "/0.crl", "-delta.crl.pem"] {
        let reply = server.raw(&request("GET", &format!("/crl/{ISSUER}{path}"), &[], b""));
        assert_eq!(reply.status, 404, "{path}: {reply:?}");
    }
}
