//! What contradicts the last CRL is refused by name, and passed only by name, once, and in the
//! journal.

use std::{collections::BTreeMap, fs, path::PathBuf};

use rescind::facade::{
    core::crl::gate::Gate,
    stories::publish::{Options, publish},
};

use crate::support::{
    ISSUER, Site, at, block_on,
    crl::{CRL_NUMBER, Crl, IDP},
    now,
};

const DELTA_INDICATOR: &[u8] = &[0x55, 0x1d, 0x1b];

/// A site whose index was put back to a time before the last revocation was published.
fn put_back() -> Site {
    let site = Site::new();
    site.revoke("0a01", "superseded");
    site.publish(&[]);
    let index = site.path("data/index.sqlite");
    let older = fs::read(&index).unwrap();
    site.revoke("0a02", "keyCompromise");
    site.publish(&[]);
    put(&site, &older);
    site
}

/// Puts an older index back.
fn put(site: &Site, index: &[u8]) {
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(site.path(&format!("data/index.sqlite{suffix}")));
    }
    fs::write(site.path("data/index.sqlite"), index).unwrap();
}

#[test]
fn a_gate_is_passed_once_by_name_and_the_journal_says_who_and_why() {
    let site = put_back();
    let refused = site.run(&["publish"]);
    assert!(
        refused.code == 1 && refused.stderr.contains("entry_vanished"),
        "{refused:?}"
    );
    let accept = |gate: &str| {
        let reason = "0a02 was a test; the ticket is 4711";
        site.accept(gate, reason)
    };
    let other = accept("date_moved");
    assert!(
        other.code == 1 && other.stderr.contains("entry_vanished"),
        "{other:?}"
    );
    assert_eq!(site.crl().serials().len(), 2);

    let passed = accept("entry_vanished");
    assert_eq!(passed.code, 0, "{passed:?}");
    assert_eq!(site.crl().serials(), ["0A01"]);
    let log = site.ok(&["log", "--issuer", ISSUER]).stdout;
    assert!(
        log.contains("accepted entry_vanished: 0a02 was a test; the ticket is 4711"),
        "{log}"
    );
    assert!(
        log.contains(": no certificate, a remark (accepted"),
        "{log}"
    );
    assert!(!log.contains("accepted date_moved"), "{log}");
    // The change set that changes nothing is read like any other.
    site.ok(&["export", "--issuer", ISSUER]);
    assert_eq!(site.publish(&[])["published"], false);
}

#[test]
fn nothing_is_called_accepted_where_another_gate_refuses_all_the_same() {
    let site = Site::new();
    let dated = |more: &[&str]| {
        site.ok(&[
            &[
                "revoke",
                "--issuer",
                ISSUER,
                "--serial",
                "0a01",
                "--revoked-at",
            ],
            more,
        ]
        .concat())
    };
    dated(&["2025-01-01T00:00:00Z"]);
    site.publish(&[]);
    let older = fs::read(site.path("data/index.sqlite")).unwrap();
    dated(&["2025-01-02T00:00:00Z", "--amend"]);
    site.revoke("0a02", "keyCompromise");
    site.publish(&[]);
    put(&site, &older);
    for gate in ["entry_vanished", "date_moved"] {
        let refused = site.accept(gate, "I know");
        let other = if gate == "date_moved" {
            "entry_vanished"
        } else {
            "date_moved"
        };
        assert!(
            refused.code == 1 && refused.stderr.contains(other),
            "{refused:?}"
        );
    }
    let log = site.ok(&["log", "--issuer", ISSUER]).stdout;
    assert!(!log.contains("accepted"), "{log}");
    assert_eq!(site.crl().serials(), ["0A01", "0A02"]);
}

/// Its clock was ahead for one pass: relying parties refuse what it made, and so will they for a
/// month.
#[test]
fn a_crl_of_the_future_is_told_and_replaced_when_an_operator_says_so() {
    let site = Site::new();
    let future = at(now() + 30 * 24 * 3600);
    site.revoke("0a01", "superseded");
    block_on(publish(&site.ca(), None, Options::default(), future)).unwrap();
    let status = site.run(&["status"]);
    assert!(
        status.code != 0 && status.stdout.contains("dated in the future"),
        "{status:?}"
    );
    let refused = site.run(&["publish"]);
    assert!(
        refused.code == 1 && refused.stderr.contains("this_update_went_back"),
        "{refused:?}"
    );
    site.ok(&[
        "publish",
        "--issuer",
        ISSUER,
        "--accept",
        "this_update_went_back",
        "--comment",
        "the clock was ahead",
    ]);
    assert_eq!(site.crl().serials(), ["0A01"]);
    let status = site.run(&["status"]);
    assert_eq!(status.code, 0, "{status:?}");
    assert_eq!(site.publish(&[])["published"], false);
}

#[test]
fn a_shard_that_is_refused_holds_up_no_other() {
    let site = Site::with_settings("[issuer.crl]\nshards = 4\n");
    for serial in ["0a00", "0a01", "0a02", "0a03"] {
        site.revoke(serial, "superseded");
    }
    site.publish(&[]);
    // Shards that list what the journal does not know: ours, from an index that is gone.
    let (folder, other) = (site.path("data"), site.path("other"));
    fs::rename(&folder, &other).unwrap();
    for serial in ["0a05", "0a06"] {
        site.revoke(serial, "superseded");
    }
    site.publish(&[]);
    let foreign = ["01", "02"].map(|name| {
        let crl = fs::read(site.shelf(&format!("/{name}.crl"))).unwrap();
        (name, crl)
    });
    fs::remove_dir_all(&folder).unwrap();
    fs::rename(&other, &folder).unwrap();
    for (name, crl) in &foreign {
        let number = Crl::read(crl).number();
        let archived = format!("data/archive/{ISSUER}/{number}-{name}.crl");
        fs::write(site.shelf(&format!("/{name}.crl")), crl).unwrap();
        fs::write(site.path(&archived), crl).unwrap();
    }
    for serial in ["0a12", "0a13"] {
        site.revoke(serial, "superseded");
    }
    let refused = site.run(&["publish"]);
    assert!(
        refused.code == 1
            && refused.stderr.contains("01, 02 were refused")
            && refused.stderr.contains("01.crl")
            && !refused.stderr.contains("02.crl"),
        "{refused:?}"
    );
    let shard =
        |name: &str| Crl::read(&fs::read(site.shelf(&format!("/{name}.crl"))).unwrap()).serials();
    assert_eq!(shard("03"), ["0A03", "0A13"], "{refused:?}");
}

/// A pass that put CRLs out does not say that nothing was published.
#[test]
fn a_shard_that_cannot_be_read_hides_nothing_that_was_published() {
    let site = Site::with_settings("[issuer.crl]\nshards = 4\n");
    site.publish(&[]);
    let shard = site.shelf("/01.crl");
    fs::remove_file(&shard).unwrap();
    fs::create_dir(&shard).unwrap();
    for serial in ["0a01", "0a03"] {
        site.revoke(serial, "superseded");
    }
    let said = site.run(&["publish", "--json"]);
    let line = &said.json()["issuers"][0];
    assert_eq!((said.code, &line["published"]), (1, &true.into()), "{line}");
    assert_eq!(line["crl_number"], site.crl().number());
    assert!(said.stderr.contains("01.crl"), "{said:?}");
    let other = fs::read(site.shelf("/03.crl")).unwrap();
    assert_eq!(Crl::read(&other).serials(), ["0A03"]);
}

#[test]
fn rules_of_the_format_have_no_gate_and_a_reason_must_be_given() {
    let site = put_back();
    for args in [
        &[
            "--accept",
            "serial_order",
            "--comment",
            "x",
            "--issuer",
            ISSUER,
        ][..],
        &["--accept", "entry_vanished", "--issuer", ISSUER],
        &["--accept", "entry_vanished", "--comment", "x"],
        &["--comment", "x"],
    ] {
        let said = site.run(&[&["publish"], args].concat());
        assert_eq!(said.code, 2, "{args:?}: {said:?}");
    }
}

/// Publishing is refused for `gate` and nothing else, and passes once that is accepted; before, the
/// world sees nothing.
fn is_refused_until_accepted(site: &Site, gate: &str) {
    let before = site.snapshot();
    let refused = site.run(&["publish"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    let named: Vec<_> = Gate::ALL
        .map(Gate::name)
        .into_iter()
        .filter(|name| refused.stderr.contains(name))
        .collect();
    assert_eq!(named, [gate], "{refused:?}");
    let crls = |snapshot: BTreeMap<PathBuf, Vec<u8>>| {
        snapshot
            .into_iter()
            .filter(|(path, _)| path.extension().is_some_and(|end| end == "crl"))
            .collect::<Vec<_>>()
    };
    assert_eq!(crls(site.snapshot()), crls(before));

    let accept = |gate| site.accept(gate, "ticket 4712");
    let other = accept(if gate == "date_moved" {
        "reason_changed"
    } else {
        "date_moved"
    });
    assert_eq!(other.code, 1, "{other:?}");
    let passed = accept(gate);
    assert_eq!(passed.code, 0, "{passed:?}");
    let log = site.ok(&["log", "--issuer", ISSUER]).stdout;
    assert_eq!(
        log.matches(&format!("accepted {gate}: ticket 4712"))
            .count(),
        1,
        "{log}"
    );
    assert_eq!(site.publish(&[])["published"], false);
}

/// Certificates out there name the old distribution point, or none; whether a new one will do, a
/// person has to say.
#[test]
fn another_scope_at_the_same_place_is_refused_until_it_is_accepted() {
    let site = Site::new();
    site.revoke("0a01", "superseded");
    site.publish(&[]);
    for settings in [
        "idp = [\"http://pki.contoso.example/crl/test-ca.crl\"]\n",
        "idp = [\"http://crl.contoso.example/test-ca.crl\"]\n",
        "contains = \"user\"\n",
        "contains = \"ca\"\n",
        "",
    ] {
        site.configure(&format!("[issuer.crl]\n{settings}"));
        let again = site.run(&["publish", "--force"]);
        assert!(
            again.code == 1 && again.stderr.contains("scope_changed"),
            "{settings}: {again:?}"
        );
        let accept = [
            "publish",
            "--issuer",
            ISSUER,
            "--accept",
            "scope_changed",
            "--comment",
            "new addresses",
        ];
        site.ok(&accept);
        assert_eq!(
            site.crl().extension(IDP).is_some(),
            !settings.is_empty(),
            "{settings}"
        );
        assert_eq!(site.publish(&[])["published"], false, "{settings}");
    }
    site.configure("[issuer.crl]\ncontains = \"user\"\n");
    is_refused_until_accepted(&site, "scope_changed");
}

/// An address that all shards have in common is accepted once, not once a shard.
#[test]
fn shards_at_another_address_are_one_gate() {
    let at =
        |host: &str| format!("[issuer.crl]\nshards = 4\nidp = [\"http://{host}/{{shard}}.crl\"]\n");
    let site = Site::with_settings(&at("old.contoso.example"));
    site.revoke("0a01", "superseded");
    site.publish(&[]);
    site.configure(&at("new.contoso.example"));
    is_refused_until_accepted(&site, "scope_changed");
    for name in ["00", "01", "02", "03"] {
        let crl = Crl::read(&fs::read(site.shelf(&format!("/{name}.crl"))).unwrap());
        let point = &crl.extension(IDP).unwrap().value;
        let url = format!("http://new.contoso.example/{name}.crl");
        assert!(
            point.windows(url.len()).any(|some| some == url.as_bytes()),
            "{name}"
        );
    }
}

/// RFC 5280 §5.2.4: base and delta CRL have one scope, so a delta CRL does not continue a base of
/// another one.
#[test]
fn after_another_scope_was_accepted_delta_crls_begin_anew() {
    let with =
        |contains: &str| format!("[issuer.crl]\ndelta = \"4h\"\ncontains = \"{contains}\"\n");
    let site = Site::with_settings(&with("all"));
    site.revoke("0a01", "superseded");
    site.publish(&[]);
    site.configure(&with("user"));
    is_refused_until_accepted(&site, "scope_changed");
    let delta = || Crl::read(&fs::read(site.shelf("-delta.crl")).unwrap());
    let base = |crl: &Crl| crl.extension(DELTA_INDICATOR).unwrap().value.clone();
    let number = |crl: &Crl| crl.extension(CRL_NUMBER).unwrap().value.clone();
    let begun = site.crl();
    assert_eq!((base(&delta()), delta().list().len()), (number(&begun), 0));
    assert_eq!(delta().extension(IDP), begun.extension(IDP));
    site.revoke("0a02", "superseded");
    site.publish(&[]);
    assert_eq!(
        (base(&delta()), delta().serials()),
        (number(&begun), vec!["0A02".to_owned()])
    );
}

#[test]
fn an_index_that_lost_everything_has_a_gate_of_its_own() {
    let site = Site::new();
    site.publish(&[]);
    let index = site.path("data/index.sqlite");
    let empty = fs::read(&index).unwrap();
    site.revoke("0a01", "superseded");
    site.revoke("0a02", "keyCompromise");
    site.publish(&[]);
    put(&site, &empty);
    is_refused_until_accepted(&site, "empty_after_entries");
    assert_eq!(site.crl().serials(), [""; 0]);
}

#[test]
fn a_crl_that_is_empty_because_all_holds_were_released_is_published() {
    let site = Site::new();
    site.revoke("0a01", "certificateHold");
    site.revoke("0a02", "certificateHold");
    site.publish(&[]);
    site.ok(&[
        "release", "--issuer", ISSUER, "--serial", "0a01", "--serial", "0a02",
    ]);
    assert_eq!(site.publish(&[])["published"], true);
    assert_eq!(site.crl().entries, None);
}

/// A number that is above that of the place's own CRL does not make it the newest CRL of the place.
#[test]
fn a_shard_published_alone_does_not_pass_for_the_next_full_crl() {
    let site = Site::with_settings("[issuer.crl]\nshards = 2\n");
    for serial in ["0a00", "0a01"] {
        site.revoke(serial, "superseded");
    }
    let read = |file| Crl::read(&fs::read(site.shelf(file)).unwrap());
    site.publish(&[]);
    fs::remove_file(site.shelf("/00.crl")).unwrap();
    site.publish(&[]);
    let (full, shard) = (site.crl(), read("/00.crl"));
    assert!(shard.number() > full.number());
    fs::copy(site.shelf("/00.crl"), site.shelf(".crl")).unwrap();
    let output = site.ok(&["publish", "--json"]);
    assert!(output.stderr.contains("in the wrong place"), "{output:?}");
    let healed = site.crl();
    assert!(healed.number() > shard.number());
    assert_eq!(
        (&healed.entries, healed.extension(IDP)),
        (&full.entries, None)
    );
    assert_eq!(site.publish(&[])["published"], false);
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
    assert!(
        said.stdout
            .contains("octets, and it is larger than relying parties like"),
        "{said:?}"
    );
    assert!(site.crl_bytes().len() > 300);
}
