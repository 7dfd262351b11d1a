//! Full CRLs, rule by rule (RFC 5280 §5), as relying parties and operators see them.

use std::fs;

use rescind::facade::stories::publish::{Became, Options, Outcome, Why, publish};

use crate::support::{
    ISSUER, Plan, Site, at, block_on,
    crl::{AKI, Crl, EXPIRED_CERTS_ON_CRL, IDP},
    der, now, pem,
    pki::{self, Strings},
};

const DAY: u64 = 24 * 3600;

/// One pass as if it were another time.
fn pass(site: &Site, now: u64) -> Outcome {
    block_on(publish(&site.ca(), None, Options::default(), at(now))).unwrap()
}

/// The subject and SKI of a CA certificate.
fn subject_and_key_id(certificate: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let tbs = der::children(der::children(der::only(certificate).content)[0].content);
    let extensions = der::extensions(tbs.last().unwrap().content);
    let key_id = extensions
        .into_iter()
        .find(|extension| extension.id == [0x55, 0x1d, 0x0e])
        .unwrap()
        .value;
    (tbs[5].whole.to_vec(), der::only(&key_id).content.to_vec())
}

#[test]
fn issuer_is_the_ca_subject_byte_for_byte() {
    for (subject, strings) in [
        ("/C=DE/O=Contoso/CN=Test CA", Strings::Utf8),
        ("/C=DE/O=Contoso/CN=Test CA", Strings::Printable),
        (
            "/CN=only/emailAddress=pki@contoso.example/DC=contoso/DC=example",
            Strings::Printable,
        ),
        (
            "/O=Zo\u{eb} & S\u{f6}hne/CN=\u{4e2d}\u{6587} CA",
            Strings::Utf8,
        ),
    ] {
        let site = Plan {
            subject,
            strings,
            ..Plan::default()
        }
        .build();
        site.publish(&[]);
        let (expected, _) = subject_and_key_id(&site.ca_der());
        assert_eq!(site.crl().issuer, expected, "{subject} {strings:?}");
    }
}

#[test]
fn authority_key_id_is_the_subject_key_id_of_an_intermediate_alone() {
    let site = Plan {
        intermediate: true,
        ..Plan::default()
    }
    .build();
    site.publish(&[]);
    let (_, key_id) = subject_and_key_id(&site.ca_der());
    let crl = site.crl();
    let aki = crl.extension(AKI).unwrap();
    assert!(!aki.critical);
    assert_eq!(aki.value, der::sequence(&[&der::tlv(0x80, &[&key_id])]));
}

#[test]
fn empty_list_is_absent_and_the_crl_is_v2_with_aki_and_number_alone() {
    let site = Site::new();
    site.publish(&[]);
    let crl = site.crl();
    assert_eq!(crl.version, [2, 1, 1]);
    assert!(crl.entries.is_none());
    assert_eq!(crl.extensions.len(), 2);
    assert!(crl.extensions.iter().all(|extension| !extension.critical));
    assert!(crl.extension(IDP).is_none());
}

#[test]
fn number_is_at_least_the_time_and_rises_each_time() {
    let site = Site::new();
    let mut last = now() - 1;
    for _ in 0..4 {
        let outcome = site.publish(&["--force"]);
        let number = site.crl().number();
        assert_eq!(outcome["crl_number"], number);
        assert!(number > last, "{number} after {last}");
        last = number;
    }
}

#[test]
fn window_is_backdated_and_as_long_as_configured() {
    let site = Site::with_settings("[issuer.crl]\nvalidity = \"5d\"\nbackdate = \"30m\"\n");
    let before = now();
    site.publish(&[]);
    let crl = site.crl();
    let this = der::seconds(&crl.this_update.1);
    assert!((before - 1800..=now() - 1800).contains(&this));
    assert_eq!(der::seconds(&crl.next_update.1) - this, 5 * DAY);
}

#[test]
fn nothing_is_published_while_nothing_is_due() {
    let site = Site::new();
    let first = site.publish(&[]);
    assert_eq!(
        (&first["name"], &first["published"]),
        (&ISSUER.into(), &true.into())
    );
    let before = site.snapshot();
    let second = site.publish(&[]);
    assert_eq!(
        (&second["published"], &second["crl_number"]),
        (&false.into(), &first["crl_number"])
    );
    assert_eq!(site.snapshot(), before);
}

#[test]
fn recording_an_issued_certificate_makes_no_new_crl() {
    let site = Site::new();
    site.publish(&[]);
    let leaf = site.leaf("leaf", "77");
    assert_eq!(
        site.json(&["record", "--issuer", ISSUER, "--cert", &leaf])["changed"],
        1
    );
    assert_eq!(site.publish(&[])["published"], false);
}

#[test]
fn crl_is_published_again_at_refresh_and_not_before() {
    let site = Site::with_settings("[issuer.crl]\nrefresh = \"1d\"\nvalidity = \"7d\"\n");
    let start = now();
    assert_eq!(pass(&site, start).became, Became::Published(Why::First));
    assert_eq!(pass(&site, start + DAY - 1).became, Became::NotDue);
    let outcome = pass(&site, start + DAY);
    assert_eq!(outcome.became, Became::Published(Why::Refresh));
    assert_eq!(der::seconds(&site.crl().this_update.1), start + DAY - 600);
}

#[test]
fn another_configuration_makes_a_new_crl() {
    let site = Site::new();
    site.publish(&[]);
    site.configure("[issuer.crl]\nvalidity = \"6d\"\n");
    assert_eq!(site.publish(&[])["published"], true);
    let crl = site.crl();
    assert_eq!(
        der::seconds(&crl.next_update.1) - der::seconds(&crl.this_update.1),
        6 * DAY
    );
    assert_eq!(site.publish(&[])["published"], false);
}

#[test]
fn no_entry_is_later_than_this_update_even_when_revoked_now() {
    let site = Site::new();
    site.publish(&[]);
    let date = at(now()).to_string();
    site.ok(&[
        "revoke",
        "--issuer",
        ISSUER,
        "--serial",
        "0b",
        "--revoked-at",
        &date,
    ]);
    site.revoke("0c", "superseded");
    site.publish(&[]);
    let crl = site.crl();
    let this = der::seconds(&crl.this_update.1);
    assert_eq!(der::rfc3339(&crl.entry("0B").unwrap().revoked_at.1), date);
    assert!(
        crl.list()
            .iter()
            .all(|entry| der::seconds(&entry.revoked_at.1) <= this)
    );
    assert!(this <= now());
}

#[test]
fn entries_carry_reason_and_invalidity_date_and_no_more() {
    let site = Site::new();
    site.revoke("0b", "unspecified");
    site.revoke("0c", "certificateHold");
    let more = [
        "--reason",
        "key-compromise",
        "--invalidity-date",
        "2023-12-31T23:59:59Z",
    ];
    site.ok(&[&["revoke", "--issuer", ISSUER, "--serial", "80"], &more[..]].concat());
    site.publish(&[]);
    let crl = site.crl();
    let [plain, held, compromised] = ["0B", "0C", "80"].map(|serial| crl.entry(serial).unwrap());
    assert_eq!((plain.reason(), plain.extensions.len()), (None, 0));
    assert_eq!((held.reason(), held.extensions.len()), (Some(6), 1));
    assert_eq!(
        (compromised.reason(), compromised.extensions.len()),
        (Some(1), 2)
    );
    assert_eq!(
        compromised.invalidity_date().as_deref(),
        Some("20231231235959Z")
    );
    assert!(
        crl.list()
            .iter()
            .flat_map(|entry| &entry.extensions)
            .all(|extension| !extension.critical)
    );
}

/// RFC 5280 §5.1.2.6: the serial is the certificate's INTEGER; a padded one is silently not found
/// by some clients.
#[test]
fn serials_are_minimal_and_each_stands_once() {
    let site = Site::new();
    let serials = [
        "1",
        "7f",
        "80",
        "00ff",
        "ffffffffffffffffffffffffffffffffffffffff",
        "0x80",
        "00:80",
    ];
    for serial in serials {
        site.revoke(serial, "superseded");
    }
    site.publish(&[]);
    let octets: Vec<_> = site
        .crl()
        .list()
        .iter()
        .map(|entry| entry.serial.clone())
        .collect();
    let longest = [vec![0], vec![0xff; 20]].concat();
    assert_eq!(
        octets,
        [vec![1], vec![0x7f], vec![0, 0x80], vec![0, 0xff], longest]
    );
}

#[test]
fn released_hold_leaves_the_crl_and_may_come_back() {
    let site = Site::new();
    site.revoke("0b", "certificateHold");
    site.revoke("0c", "superseded");
    site.publish(&[]);
    assert_eq!(site.crl().serials(), ["0B", "0C"]);
    site.ok(&[
        "release",
        "--issuer",
        ISSUER,
        "--serial",
        "0b",
        "--comment",
        "found again",
    ]);
    site.publish(&[]);
    assert_eq!(site.crl().serials(), ["0C"]);
    site.revoke("0b", "keyCompromise");
    site.publish(&[]);
    assert_eq!(site.crl().entry("0B").unwrap().reason(), Some(1));
}

#[test]
fn hold_made_permanent_keeps_its_date() {
    let site = Site::new();
    let date = "2025-05-05T05:05:05Z";
    site.ok(&[
        "revoke",
        "--issuer",
        ISSUER,
        "--serial",
        "0b",
        "--reason",
        "certificateHold",
        "--revoked-at",
        date,
    ]);
    site.revoke("0b", "keyCompromise");
    site.publish(&[]);
    let crl = site.crl();
    let entry = crl.entry("0B").unwrap();
    assert_eq!(
        (entry.reason(), der::rfc3339(&entry.revoked_at.1).as_str()),
        (Some(1), date)
    );
}

#[test]
fn emptied_list_is_absent_again() {
    let site = Site::new();
    site.revoke("0b", "certificateHold");
    site.publish(&[]);
    site.ok(&["release", "--issuer", ISSUER, "--serial", "0b"]);
    site.publish(&[]);
    assert!(site.crl().entries.is_none());
}

/// RFC 5280 §3.3: an entry stays until it was on one CRL issued after the certificate's end.
#[test]
fn expired_certificate_leaves_only_after_one_appearance() {
    let site = Site::new();
    let start = now();
    let end = at(start + DAY).to_string();
    site.ok(&[
        "revoke",
        "--issuer",
        ISSUER,
        "--serial",
        "0b",
        "--not-after",
        &end,
    ]);
    site.revoke("0c", "superseded");
    let both = ["0B", "0C"];
    pass(&site, start);
    assert_eq!(site.crl().serials(), both);
    // thisUpdate is backdated, so this CRL does not count as one after the end.
    pass(&site, start + DAY + 60);
    assert_eq!(site.crl().serials(), both);
    pass(&site, start + 2 * DAY + 60);
    assert!(der::seconds(&site.crl().this_update.1) > start + DAY);
    assert_eq!(site.crl().serials(), both);
    pass(&site, start + 3 * DAY + 60);
    assert_eq!(site.crl().serials(), ["0C"]);
}

/// A certificate revoked after it expired still appears once.
#[test]
fn certificate_revoked_after_its_end_appears_once() {
    let site = Site::new();
    let start = now();
    pass(&site, start);
    site.ok(&[
        "revoke",
        "--issuer",
        ISSUER,
        "--serial",
        "0b",
        "--not-after",
        "2024-01-01T00:00:00Z",
    ]);
    pass(&site, start + 60);
    assert_eq!(site.crl().serials(), ["0B"]);
    pass(&site, start + 2 * DAY);
    assert!(site.crl().entries.is_none());
}

#[test]
fn kept_expired_certificates_stay_and_the_crl_says_so() {
    let site = Site::with_settings("[issuer.crl]\nkeep_expired = true\n");
    let start = now();
    site.ok(&[
        "revoke",
        "--issuer",
        ISSUER,
        "--serial",
        "0b",
        "--not-after",
        "2024-01-01T00:00:00Z",
    ]);
    for day in 0..4 {
        pass(&site, start + day * (DAY + 60));
    }
    let crl = site.crl();
    assert_eq!(crl.serials(), ["0B"]);
    let since = crl.extension(EXPIRED_CERTS_ON_CRL).unwrap();
    assert_eq!(
        (since.critical, der::time(der::only(&since.value)).0),
        (false, 0x18)
    );
}

#[test]
fn configured_distribution_point_is_critical_and_names_the_urls() {
    let url = "http://pki.contoso.example/crl/test-ca.crl";
    let site = Site::with_settings(&format!("[issuer.crl]\nidp = [\"{url}\"]\n"));
    site.publish(&[]);
    let crl = site.crl();
    let point = crl.extension(IDP).unwrap();
    let name = der::tlv(
        0xa0,
        &[&der::tlv(0xa0, &[&der::tlv(0x86, &[url.as_bytes()])])],
    );
    assert_eq!(
        (point.critical, &point.value),
        (true, &der::sequence(&[&name]))
    );
}

/// RFC 5280 §5.1.2.4: UTCTime through 2049, GeneralizedTime from 2050.
#[test]
fn times_change_their_form_in_2050() {
    const Y2050: u64 = 2_524_608_000;
    let site = Plan {
        days: 20_000,
        ..Plan::default()
    }
    .build();
    site.revoke("0b", "superseded");
    pass(&site, Y2050 - 10 * DAY);
    let crl = site.crl();
    assert_eq!((crl.this_update.0, crl.next_update.0), (0x17, 0x17));
    pass(&site, Y2050 - DAY);
    let crl = site.crl();
    assert_eq!((crl.this_update.0, crl.next_update.0), (0x17, 0x18));
    assert_eq!(crl.list()[0].revoked_at.0, 0x17);
    pass(&site, Y2050 + DAY);
    let crl = site.crl();
    assert_eq!((crl.this_update.0, crl.next_update.0), (0x18, 0x18));
}

/// A pass after the shelf was tampered with: reported, healed with a higher number, nothing lost.
fn heals(site: &Site, what: &str) {
    let last = *site.archive().last_key_value().unwrap().0;
    let output = site.ok(&["publish", "--json"]);
    assert_eq!(
        output.json()["issuers"][0]["published"],
        true,
        "{what}: {output:?}"
    );
    assert!(
        output.stderr.contains(ISSUER),
        "{what} is not reported: {output:?}"
    );
    let crl = site.crl();
    assert!(crl.number() > last, "{what}: {} after {last}", crl.number());
    assert_eq!(crl.serials(), ["0B", "0C"], "{what}");
    let quiet = site.ok(&["publish", "--json"]);
    assert_eq!(
        quiet.json()["issuers"][0]["published"],
        false,
        "{what}: {quiet:?}"
    );
    assert_eq!(quiet.stderr, "", "{what}");
}

#[test]
fn damaged_or_foreign_shelf_is_reported_and_healed_with_a_higher_number() {
    let foreign = Plan {
        subject: "/CN=Another CA",
        ..Plan::default()
    }
    .build();
    foreign.publish(&[]);
    // The same name, but another key.
    let twin = Plan {
        key: pki::Key::P384,
        ..Plan::default()
    }
    .build();
    twin.publish(&[]);

    let site = Site::new();
    site.revoke("0b", "superseded");
    site.publish(&[]);
    let old = site.crl_bytes();
    site.revoke("0c", "superseded");
    site.publish(&[]);
    let shelf = site.shelf(".crl");
    let good = site.crl_bytes();

    let flipped = || {
        let mut bytes = site.crl_bytes();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        bytes
    };
    fs::write(&shelf, b"garbage").unwrap();
    heals(&site, "garbage");
    fs::write(&shelf, b"").unwrap();
    heals(&site, "an empty file");
    fs::write(&shelf, flipped()).unwrap();
    heals(&site, "a flipped bit");
    fs::write(&shelf, &good[..good.len() / 2]).unwrap();
    heals(&site, "a truncated CRL");
    fs::write(&shelf, [&site.crl_bytes()[..], b"\0"].concat()).unwrap();
    heals(&site, "a trailing octet");
    fs::write(&shelf, twin.crl_bytes()).unwrap();
    heals(&site, "a CRL of the same name and another key");
    fs::write(&shelf, foreign.crl_bytes()).unwrap();
    heals(&site, "a CRL of the same key and another name");
    fs::remove_file(&shelf).unwrap();
    heals(&site, "a missing file");
    fs::write(&shelf, &old).unwrap();
    heals(&site, "an older CRL of our own");
    fs::write(&shelf, &good).unwrap();
    heals(&site, "the last but one");
}

#[test]
fn lost_shelf_and_lost_labels_are_healed_from_the_archive() {
    let site = Site::new();
    site.revoke("0b", "superseded");
    site.revoke("0c", "superseded");
    site.publish(&[]);
    fs::remove_dir_all(site.path("data/shelf")).unwrap();
    heals(&site, "a missing directory");
}

#[test]
fn pem_twin_and_ca_certificate_follow_and_are_healed() {
    let site = Site::new();
    site.revoke("0b", "superseded");
    site.publish(&[]);
    let follows = |what: &str| {
        let twin = pem::write("X509 CRL", &site.crl_bytes());
        assert_eq!(
            fs::read_to_string(site.shelf(".crl.pem")).unwrap(),
            twin,
            "{what}"
        );
        assert_eq!(
            fs::read(site.shelf(".cer")).unwrap(),
            site.ca_der(),
            "{what}"
        );
    };
    follows("first");
    site.revoke("0c", "superseded");
    site.publish(&[]);
    follows("after a change");
    fs::write(site.shelf(".crl.pem"), "nonsense").unwrap();
    fs::remove_file(site.shelf(".cer")).unwrap();
    assert_eq!(site.publish(&[])["published"], false);
    follows("after they were damaged");
}

#[test]
fn archive_keeps_every_crl_as_it_was() {
    let site = Site::new();
    let mut published = vec![];
    for serial in ["0b", "0c", "0d"] {
        site.revoke(serial, "superseded");
        site.publish(&[]);
        published.push((site.crl().number(), site.crl_bytes()));
    }
    assert_eq!(site.archive().into_iter().collect::<Vec<_>>(), published);
}

#[test]
fn dry_run_writes_nothing() {
    let site = Site::new();
    assert_eq!(site.publish(&["--dry-run"])["published"], false);
    assert!(!site.path("data/shelf").exists() && !site.path("data/archive").exists());
    site.publish(&[]);
    site.revoke("0b", "superseded");
    let before = site.snapshot();
    let outcome = site.publish(&["--dry-run"]);
    assert_eq!(outcome["published"], false);
    assert!(outcome["crl_number"].as_u64().unwrap() > site.crl().number());
    assert_eq!(site.snapshot(), before);
}

/// A backup of the index put back: what was revoked since would silently leave the CRL.
#[test]
fn index_older_than_the_last_crl_is_refused_and_the_shelf_stays() {
    let site = Site::new();
    site.revoke("0b", "superseded");
    site.publish(&[]);
    let [index, backup] = ["data/index.sqlite", "backup.sqlite"].map(|name| site.path(name));
    fs::copy(&index, &backup).unwrap();
    site.revoke("0c", "superseded");
    site.publish(&[]);
    let shelf = site.crl_bytes();
    fs::copy(&backup, &index).unwrap();
    let refused = |words: &str| {
        for options in [&["publish"][..], &["publish", "--force"]] {
            let output = site.run(options);
            assert_eq!(output.code, 1, "{output:?}");
            assert!(output.stderr.contains(words), "{output:?}");
            assert_eq!(site.crl_bytes(), shelf);
        }
    };
    refused("older index");
    // The journal goes on from the backup until its numbers are as high again.
    for serial in ["0d", "0e"] {
        site.revoke(serial, "superseded");
    }
    refused("entry_vanished");
    let status = site.run(&["status"]);
    assert_eq!(status.code, 3, "{status:?}");
}

#[test]
fn emptied_index_is_refused_and_the_shelf_stays() {
    let site = Site::new();
    site.revoke("0b", "superseded");
    site.publish(&[]);
    let shelf = site.crl_bytes();
    fs::remove_file(site.path("data/index.sqlite")).unwrap();
    let output = site.run(&["publish", "--force"]);
    assert_eq!(output.code, 1, "{output:?}");
    assert_eq!(site.crl_bytes(), shelf);
}

#[test]
fn published_bytes_are_exactly_one_der_value() {
    let site = Site::new();
    site.revoke("0b", "superseded");
    site.publish(&[]);
    let bytes = site.crl_bytes();
    let parts: Vec<_> = der::children(der::only(&bytes).content)
        .iter()
        .map(|part| part.whole)
        .collect();
    assert_eq!(der::sequence(&parts), bytes);
    assert_eq!(Crl::read(&bytes).serials(), ["0B"]);
}
