//! The command line's contract: what machines read, how often told, and the demo.

use std::fs;

use serde_json::{Value, json};

use crate::support::{ISSUER, Output, Site, at, now};

#[test]
fn changes_are_acknowledged_with_their_number_and_twice_is_harmless() {
    let site = Site::new();
    let revoke = [
        "revoke",
        "--issuer",
        ISSUER,
        "--serial",
        "0a",
        "--reason",
        "certificateHold",
    ];
    for (args, seq, changed) in [
        (&revoke[..], 1, 1),
        (&revoke, 1, 0),
        (
            &[
                "revoke", "--issuer", ISSUER, "--serial", "0b", "--serial", "0c",
            ],
            2,
            2,
        ),
        (&["release", "--issuer", ISSUER, "--serial", "0a"], 3, 1),
        (
            &[
                "record",
                "--issuer",
                ISSUER,
                "--cert",
                &site.leaf("leaf", "0d"),
            ],
            4,
            1,
        ),
        (
            &[
                "record",
                "--issuer",
                ISSUER,
                "--cert",
                &site.leaf("leaf", "0d"),
            ],
            4,
            0,
        ),
    ] {
        assert_eq!(
            site.json(args),
            json!({"issuer": ISSUER, "seq": seq, "changed": changed}),
            "{args:?}"
        );
    }
}

#[test]
fn lookup_tells_state_dates_and_reason() {
    let site = Site::new();
    let dates = [
        "--revoked-at",
        "2025-05-05T05:05:05Z",
        "--invalidity-date",
        "2025-05-01T00:00:00Z",
    ];
    let more = [
        "--reason",
        "keyCompromise",
        "--not-after",
        "2027-01-17T23:59:59Z",
        "--comment",
        "stolen laptop",
    ];
    site.ok(&[
        &["revoke", "--issuer", ISSUER, "--serial", "0A:2e"],
        &dates[..],
        &more,
    ]
    .concat());
    let found = site.json(&["lookup", "--issuer", ISSUER, "000a2e"]);
    for (key, value) in [
        ("serial", "0a2e".into()),
        ("state", "revoked".into()),
        ("revoked_at", "2025-05-05T05:05:05Z".into()),
        ("reason", "keyCompromise".into()),
        ("invalidity_date", "2025-05-01T00:00:00Z".into()),
        ("not_after", "2027-01-17T23:59:59Z".into()),
        ("seq", Value::from(1)),
    ] {
        assert_eq!(found[key], value, "{key}");
    }
    let unlisted = site.json(&["lookup", "--issuer", ISSUER, "0b"]);
    assert_eq!(
        (&unlisted["state"], &unlisted["seq"]),
        (&"unlisted".into(), &Value::Null)
    );
    let text = site.ok(&["lookup", "--issuer", ISSUER, "0a2e"]).stdout;
    assert!(
        text.contains("stolen laptop") && text.contains("keyCompromise"),
        "{text}"
    );
}

#[test]
fn certificate_gives_its_serial_and_its_end() {
    let site = Site::new();
    let leaf = site.leaf("leaf", "00ff00ff");
    site.ok(&["revoke", "--issuer", ISSUER, "--cert", &leaf]);
    let row = site.row("ff00ff").unwrap();
    let end = row["not_after"]
        .as_str()
        .unwrap()
        .parse::<rescind::facade::core::time::Timestamp>()
        .unwrap();
    assert!(end.seconds().abs_diff(now() + 90 * 24 * 3600) < 60, "{row}");
}

#[test]
fn earliest_date_stays_and_amend_corrects() {
    let site = Site::new();
    let revoke = |more: &[&str]| {
        site.ok(&[&["revoke", "--issuer", ISSUER, "--serial", "0a"], more].concat());
        let row = site.row("0a").unwrap();
        (
            row["revoked_at"].as_str().unwrap().to_owned(),
            row["reason"].clone(),
        )
    };
    let (early, late) = ("2025-01-01T00:00:00Z", "2025-02-02T00:00:00Z");
    assert_eq!(
        revoke(&["--revoked-at", late]),
        (late.to_owned(), Value::Null)
    );
    assert_eq!(
        revoke(&["--revoked-at", early, "--reason", "superseded"]),
        (early.to_owned(), Value::Null)
    );
    let amended = revoke(&["--revoked-at", late, "--reason", "keyCompromise", "--amend"]);
    assert_eq!(amended, (late.to_owned(), "keyCompromise".into()));
}

#[test]
fn log_tells_who_changed_what_and_why() {
    let site = Site::new();
    site.ok(&[
        "revoke",
        "--issuer",
        ISSUER,
        "--serial",
        "0a",
        "--comment",
        "ticket 4711",
    ]);
    site.ok(&[
        "revoke",
        "--issuer",
        ISSUER,
        "--serial",
        "0b",
        "--reason",
        "certificateHold",
    ]);
    site.ok(&[
        "release",
        "--issuer",
        ISSUER,
        "--serial",
        "0b",
        "--comment",
        "found again",
    ]);
    let log = site.ok(&["log", "--issuer", ISSUER]).stdout;
    let lines: Vec<_> = log.lines().collect();
    assert_eq!(lines.len(), 3, "{log}");
    for (line, words) in lines.iter().zip([
        ["0a", "ticket 4711"],
        ["0b", "revoked"],
        ["released", "found again"],
    ]) {
        assert!(words.iter().all(|word| line.contains(word)), "{line}");
    }
}

/// A comment may come from anybody who may revoke; it must not pass for a line of the journal.
#[test]
fn log_is_one_line_a_change_set_whatever_its_texts() {
    let site = Site::new();
    let comment = "lost\n2  2026-01-01T00:00:00Z  ada: revoked 0b\u{1b}[2J";
    site.ok(&[
        "revoke",
        "--issuer",
        ISSUER,
        "--serial",
        "0a",
        "--comment",
        comment,
    ]);
    for args in [
        &["log", "--issuer", ISSUER][..],
        &["lookup", "--issuer", ISSUER, "0a"],
    ] {
        let said = site.ok(args).stdout;
        assert!(
            said.contains("(lost\\n2  2026") && !said.contains('\u{1b}'),
            "{said:?}"
        );
    }
    let block = async {
        let nobody = rescind::facade::stories::revoke::Author {
            actor: String::new(),
            comment: String::new(),
        };
        rescind::facade::stories::revoke::remark(&site.ca(), &nobody, crate::support::at(now()))
            .await
            .unwrap();
    };
    crate::support::block_on(block);
    let log = site.ok(&["log", "--issuer", ISSUER]).stdout;
    assert!(
        log.ends_with("  somebody unnamed: no certificate, a remark\n"),
        "{log:?}"
    );
}

#[test]
fn status_is_3_while_something_is_wrong_and_tells_what() {
    let site = Site::new();
    site.revoke("0a", "superseded");
    let output = site.run(&["status", "--json"]);
    let issuer = output.json()["issuers"][0].clone();
    assert_eq!(
        (output.code, &issuer["crl_number"]),
        (3, &Value::Null),
        "{issuer}"
    );
    assert!(!issuer["problems"].as_array().unwrap().is_empty());

    site.publish(&[]);
    let issuer = site.json(&["status"])["issuers"][0].clone();
    let crl = site.crl();
    let time = |(_, digits): &(u8, String)| Value::from(crate::support::der::rfc3339(digits));
    for (key, value) in [
        ("name", ISSUER.into()),
        ("crl_number", crl.number().into()),
        ("this_update", time(&crl.this_update)),
        ("next_update", time(&crl.next_update)),
        ("entries", 1.into()),
        ("bytes", site.crl_bytes().len().into()),
        ("problems", json!([])),
    ] {
        assert_eq!(issuer[key], value, "{key}");
    }
    assert!(issuer["seq"].as_u64().unwrap() >= 1);

    fs::write(site.shelf(".crl"), "garbage").unwrap();
    assert_eq!(site.run(&["status"]).code, 3);
    site.publish(&[]);
    assert_eq!(site.run(&["status"]).code, 0);
    fs::write(site.path(&format!("data/{ISSUER}-ocsp.pem")), "garbage").unwrap();
    assert_eq!(
        site.run(&["status"]).code,
        3,
        "a credential that cannot be used"
    );
    site.publish(&[]);
    assert_eq!(
        site.run(&["status"]).code,
        0,
        "the next pass makes a new credential"
    );
}

/// Half of its life gone: a new credential, whose certificate is in the journal; not before.
#[test]
fn credential_is_renewed_at_half_its_life() {
    use rescind::facade::stories::publish::{Options, publish};
    let site = Site::new();
    let credential = || fs::read(site.path(&format!("data/{ISSUER}-ocsp.pem"))).unwrap();
    let pass = |now: u64| {
        crate::support::block_on(publish(&site.ca(), None, Options::default(), at(now))).unwrap()
    };
    let start = now();
    pass(start);
    let first = credential();
    pass(start + 3 * 24 * 3600);
    assert_eq!(credential(), first);
    pass(start + 4 * 24 * 3600);
    assert_ne!(credential(), first);
    assert_eq!(
        site.export()
            .lines()
            .filter(|line| line.contains("\"valid\""))
            .count(),
        2
    );
}

#[test]
fn urls_are_what_certificates_should_carry() {
    let site = Site::new();
    let text = site.ok(&["urls", "--issuer", ISSUER]).stdout;
    for url in ["crl/test-ca.crl", "ca/test-ca.cer", "ocsp"] {
        assert!(
            text.contains(&format!("http://pki.contoso.example/{url}")),
            "{text}"
        );
    }
}

#[test]
fn config_shows_every_setting_with_its_source() {
    let site = Site::with_settings("[issuer.crl]\nvalidity = \"5d\"\n");
    let output = site
        .command(&["config"])
        .env("RESCIND__ISSUER__0__CRL__REFRESH", "2d")
        .output()
        .unwrap();
    let text = Output::of(output).stdout;
    let line = |key: &str| {
        text.lines()
            .find(|line| line.contains(key))
            .unwrap_or_else(|| panic!("{key}: {text}"))
    };
    assert!(
        line("crl.validity").contains("5d") && line("crl.validity").contains("rescind.toml:"),
        "{text}"
    );
    assert!(
        line("crl.refresh").contains("2d")
            && line("crl.refresh").contains("RESCIND__ISSUER__0__CRL__REFRESH")
    );
    assert!(line("ocsp.validity").contains("12h") && line("ocsp.validity").contains("default"));
}

#[test]
fn help_is_there_for_every_command_and_silence_is_golden() {
    let site = Site::new();
    let help = site.ok(&["--help"]).stdout;
    let commands = [
        "demo", "serve", "publish", "revoke", "release", "record", "import", "export", "lookup",
        "log",
    ];
    for command in commands.iter().chain(&["status", "urls", "config"]) {
        assert!(help.contains(&format!("  {command} ")), "{command}: {help}");
        let own = site.ok(&[command, "--help"]);
        assert!(
            own.stdout.contains("Usage: rescind ") && own.stderr.is_empty(),
            "{command}: {own:?}"
        );
    }
    // Results go to stdout, messages to stderr, and there is nothing to say.
    assert_eq!(site.ok(&["publish"]).stderr, "");
    assert_eq!(
        site.ok(&["revoke", "--issuer", ISSUER, "--serial", "0a"])
            .stderr,
        ""
    );
}

#[test]
fn export_into_a_closed_pipe_is_no_error() {
    let site = Site::new();
    let lines = (1..3000u32).map(|at| {
        let line = json!({"serial": format!("{at:x}"), "state": "revoked", "revoked_at": "2026-01-01T00:00:00Z"});
        format!("{line}\n")
    });
    site.import_rows(&lines.collect::<String>());
    let mut child = site.spawn(&["export", "--issuer", ISSUER]);
    drop(child.stdout.take());
    let output = Output::of(child.wait_with_output().unwrap());
    assert_eq!(output.stderr, "", "{output:?}");
}
