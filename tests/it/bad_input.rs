//! Bad input: one clear message, the documented exit code, and nothing is worse than before.

use std::{fs, process::Command};

use crate::support::{
    ISSUER, Output, Plan, Site, at,
    complaint::{REFUSED, USAGE, complains, refused, says, site},
    keys::ENCRYPTED,
    now,
    ocsp::Hash,
    pki::{self, Extension, Key, Strings, Usage},
};

#[test]
fn bad_revocations_are_refused_and_change_nothing() {
    let site = site();
    let tomorrow = at(now() + 24 * 3600).to_string();
    let long = "0".repeat(4) + &"ab".repeat(21);
    let rows: &[(&[&str], &[&str])] = &[
        (&["--serial", "xyz"], &["xyz", "hexadecimal"]),
        (&["--serial", "0x"], &["empty"]),
        (&["--serial", &long], &["abab", "20 octets"]),
        (&["--serial", "0"], &["positive"]),
        (
            &["--serial", "0a", "--reason", "boredom"],
            &["boredom", "keyCompromise"],
        ),
        (
            &["--serial", "0a", "--reason", "removeFromCRL"],
            &["removeFromCRL", "release"],
        ),
        (
            &["--serial", "0a", "--revoked-at", &tomorrow],
            &["future", &tomorrow],
        ),
        (
            &["--serial", "0a", "--invalidity-date", &tomorrow],
            &["future", &tomorrow],
        ),
        (&["--serial", "0a", "--serial", "00:0A"], &["0a", "twice"]),
        (&["--cert", "nowhere.pem"], &["nowhere.pem"]),
        (
            &["--cert", "rescind.toml"],
            &["rescind.toml", "not a certificate"],
        ),
        (&["--serial", "0d", "--serial", "xyz"], &["xyz"]),
    ];
    for (args, words) in rows {
        refused(
            &site,
            &[&["revoke", "--issuer", ISSUER], *args].concat(),
            REFUSED,
            words,
        );
    }
    assert!(
        site.row("0d").is_none(),
        "one good serial beside a bad one is not revoked"
    );
}

#[test]
fn certificate_of_another_ca_is_refused() {
    let site = site();
    // The same name and other key, and the same key under another name.
    for other in [
        Plan {
            key: Key::P384,
            ..Plan::default()
        }
        .build(),
        Plan {
            subject: "/CN=Another CA",
            ..Plan::default()
        }
        .build(),
    ] {
        let leaf = other.leaf("foreign", "0d");
        refused(
            &site,
            &["revoke", "--issuer", ISSUER, "--cert", &leaf],
            REFUSED,
            &["0d", "issued by", ISSUER],
        );
        refused(
            &site,
            &["record", "--issuer", ISSUER, "--cert", &leaf],
            REFUSED,
            &["0d", "issued by", ISSUER],
        );
    }
}

#[test]
fn only_holds_are_released() {
    let site = site();
    let release = |serial: &str, words: &[&str]| {
        refused(
            &site,
            &["release", "--issuer", ISSUER, "--serial", serial],
            REFUSED,
            words,
        );
    };
    release("0b", &["0b", "hold"]);
    release("0d", &["0d", "not on hold"]);
    release("xyz", &["xyz", "hexadecimal"]);
    // All or nothing: the held one beside the revoked one stays held.
    refused(
        &site,
        &[
            "release", "--issuer", ISSUER, "--serial", "0c", "--serial", "0b",
        ],
        REFUSED,
        &["0b"],
    );
}

#[test]
fn nothing_weakens_a_revocation() {
    let site = site();
    let before = site.row("0b").unwrap();
    site.revoke("0b", "certificateHold");
    site.ok(&[
        "revoke",
        "--issuer",
        ISSUER,
        "--serial",
        "0b",
        "--reason",
        "certificateHold",
        "--amend",
    ]);
    let line = |state: &str| {
        format!(
            "{{\"serial\":\"0b\",\"state\":\"{state}\"{}}}\n",
            match state {
                "valid" => "",
                _ => ",\"revoked_at\":\"2026-01-01T00:00:00Z\"",
            }
        )
    };
    for state in ["valid", "held"] {
        fs::write(site.path("weaker.jsonl"), line(state)).unwrap();
        site.run(&[
            "import",
            "--issuer",
            ISSUER,
            "--from",
            "jsonl",
            "weaker.jsonl",
        ]);
        let row = site.row("0b").unwrap();
        assert_eq!(
            (&row["state"], &row["reason"]),
            (&before["state"], &before["reason"]),
            "{state}"
        );
    }
}

#[test]
fn a_line_that_is_no_object_is_told_what_one_looks_like() {
    let site = site();
    fs::write(site.path("rows.jsonl"), "\n\"0b\"\n").unwrap();
    refused(
        &site,
        &[
            "import",
            "--issuer",
            ISSUER,
            "--from",
            "jsonl",
            "rows.jsonl",
        ],
        REFUSED,
        &["rows.jsonl", "line 2", "\"serial\": …"],
    );
}

#[test]
fn unknown_issuers_are_a_usage_error_that_names_the_known_ones() {
    let site = site();
    for args in [
        &["revoke", "--issuer", "nobody", "--serial", "0a"][..],
        &["release", "--issuer", "nobody", "--serial", "0c"],
        &["import", "--issuer", "nobody", "--from", "jsonl", "x"],
        &["export", "--issuer", "nobody"],
        &["lookup", "--issuer", "nobody", "0a"],
        &["log", "--issuer", "nobody"],
        &["urls", "--issuer", "nobody"],
        &["publish", "--issuer", "nobody"],
    ] {
        refused(&site, args, USAGE, &["nobody", ISSUER]);
    }
}

/// clap's own messages have several lines: what is wrong, a tip, the usage.
#[test]
fn wrong_flags_are_a_usage_error_and_change_nothing() {
    let site = site();
    let before = site.snapshot();
    for (args, word) in [
        (&["revoke", "--serial", "0a"][..], "--issuer"),
        (&["revoke", "--issuer", ISSUER], "--serial"),
        (
            &[
                "revoke",
                "--issuer",
                ISSUER,
                "--serial",
                "0a",
                "--revoked-at",
                "yesterday",
            ],
            "yesterday",
        ),
        (
            &[
                "revoke",
                "--issuer",
                ISSUER,
                "--serial",
                "0a",
                "--revoked-at",
                "2026-01-01T00:00:00.5Z",
            ],
            "fraction",
        ),
        (
            &["import", "--issuer", ISSUER, "--from", "paper", "x"],
            "paper",
        ),
        (&["import", "--issuer", ISSUER, "--from", "crl"], "FILES"),
        (&["publish", "--forec"], "--force"),
        (&["revok"], "revoke"),
    ] {
        let output = site.run(args);
        assert_eq!(
            (output.code, output.stdout.as_str()),
            (USAGE, ""),
            "{args:?}: {output:?}"
        );
        says(&output, &[word]);
    }
    assert!(site.snapshot() == before);
}

#[test]
fn bad_configurations_are_a_usage_error_with_place_and_way_out() {
    let site = site();
    let whole = fs::read_to_string(site.path("rescind.toml")).unwrap();
    let issuer = |key: &str, value: &str| {
        let lines = whole
            .lines()
            .map(|line| match line.starts_with(&format!("{key} = ")) {
                true => format!("{key} = {value}"),
                false => line.to_owned(),
            });
        lines.collect::<Vec<_>>().join("\n")
    };
    let more = |lines: &str| format!("{whole}{lines}\n");
    let rows = [
        (more("[issuer.crl]\nvaldity = \"7d\""), "validity"),
        (more("signatur = \"auto\""), "issuer.signature"),
        (more("[issuer.crl]\nvalidity = \"soon\""), "7d"),
        (
            more("[issuer.crl]\nvalidity = \"1d\"\nrefresh = \"2d\""),
            "longer than refresh",
        ),
        (more("[issuer.ocsp]\nunlisted = \"bad\""), "unknown"),
        (
            more("[issuer.crl]\nidp = [\"https://pki.contoso.example/x.crl\"]"),
            "http://",
        ),
        (more("signature = \"HS256\""), "RS256"),
        (issuer("index", "\"ftp://x\""), "file:"),
        (issuer("name", "\"Test CA\""), "lower-case"),
        (issuer("listen", "\"localhost\""), "127.0.0.1:8080"),
        (issuer("certificate", "\"file:nowhere.pem\""), "nowhere.pem"),
        (
            issuer("certificate", "\"file:rescind.toml\""),
            "not a certificate",
        ),
        (whole.replace("[[issuer]]", "[issuer]"), "[[issuer]]"),
        (whole.replace("[storage]", "[storage"), "TOML"),
        (
            more(&whole[whole.find("[[issuer]]").unwrap()..]),
            "names must differ",
        ),
        (
            "[http]\nlisten = \"127.0.0.1:8080\"\n".to_owned(),
            "no issuer",
        ),
    ];
    let before = site.snapshot();
    for (text, word) in rows {
        fs::write(site.path("rescind.toml"), &text).unwrap();
        for args in [
            &["publish"][..],
            &["revoke", "--issuer", ISSUER, "--serial", "0a"],
            &["config"],
        ] {
            if args == ["config"] && (word == "nowhere.pem" || word == "not a certificate") {
                continue; // `config` shows settings; it opens nothing.
            }
            let output = site.run(args);
            assert_eq!(output.code, USAGE, "{word}: {args:?}: {output:?}");
            says(&output, &[word]);
            // TOML's parser shows the place in the text, on lines of its own.
            assert!(
                output.stderr.lines().count() == 1 || word == "TOML",
                "{output:?}"
            );
        }
    }
    assert!(site.snapshot() == before);
}

#[test]
fn unknown_key_and_its_line_are_named_with_the_nearest_known_one() {
    let site = site();
    site.configure("[issuer.ocsp]\nmax_stalenes = \"10m\"\n");
    let line = fs::read_to_string(site.path("rescind.toml"))
        .unwrap()
        .lines()
        .count();
    let place = format!("rescind.toml:{line}");
    refused(
        &site,
        &["status"],
        USAGE,
        &[&place, "max_stalenes", "issuer.ocsp.max_staleness"],
    );
    site.configure("");
    let output = site
        .command(&["status"])
        .env("RESCIND__HTTP__LISTN", "x")
        .output()
        .unwrap();
    complains(
        &Output::of(output),
        USAGE,
        &["RESCIND__HTTP__LISTN", "http.listen"],
    );
}

#[test]
fn missing_configuration_is_named() {
    let site = site();
    fs::rename(site.path("rescind.toml"), site.path("elsewhere.toml")).unwrap();
    refused(&site, &["status"], USAGE, &["rescind.toml"]);
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rescind"));
    let output = command
        .arg("status")
        .current_dir(folder.path())
        .env_remove("RESCIND_CONFIG")
        .output()
        .unwrap();
    complains(&Output::of(output), USAGE, &["--config"]);
}

#[test]
fn key_that_does_not_fit_the_certificate_publishes_nothing() {
    let site = site();
    let good = Key::P256.shared();
    for (key, words) in [
        (Key::P256.generate(), &["not that of the certificate"][..]),
        (
            Key::P384.shared().to_owned(),
            &["not that of the certificate"],
        ),
        (
            Key::Rsa2048.shared().to_owned(),
            &["not that of the certificate"],
        ),
        (ENCRYPTED.to_owned(), &["encrypted"]),
        (pki::public_key(good), &["private key"]),
        ("nonsense".to_owned(), &["private key"]),
        (good[..good.len() / 2].to_owned(), &["private key"]),
    ] {
        fs::write(site.path("ca.key.pem"), key).unwrap();
        refused_to_publish(&site, &[&["ca.key.pem"], words].concat());
    }
    fs::remove_file(site.path("ca.key.pem")).unwrap();
    refused_to_publish(&site, &["ca.key.pem"]);
    fs::write(site.path("ca.key.pem"), good).unwrap();
    assert_eq!(site.publish(&["--force"])["published"], true);
}

/// A forced pass that fails. A number may have been reserved before, which the index notes; its
/// rows and the shelf stay as they are.
fn refused_to_publish(site: &Site, words: &[&str]) {
    let (shelf, export) = (site.crl_bytes(), site.export());
    let output = site.run(&["publish", "--force"]);
    complains(&output, REFUSED, words);
    assert!(
        site.crl_bytes() == shelf && site.export() == export,
        "{output:?}"
    );
}

#[test]
fn certificate_that_may_not_sign_crls_is_a_usage_error() {
    let site = site();
    let ca = fs::read(site.path("ca.pem")).unwrap();
    let (ca_only, crl_sign) = ([Usage::KeyCertSign], [Usage::CrlSign]);
    for (extensions, word) in [
        (
            &[
                Extension::Ca(true),
                Extension::KeyUsage(&ca_only),
                Extension::SubjectKeyId,
            ][..],
            "cRLSign",
        ),
        (&[Extension::Ca(true), Extension::SubjectKeyId], "cRLSign"),
        (
            &[
                Extension::Ca(false),
                Extension::KeyUsage(&crl_sign),
                Extension::SubjectKeyId,
            ],
            "CA",
        ),
        (&pki::CA_EXTENSIONS[..2], "subject key identifier"),
    ] {
        let cert = pki::Cert {
            subject: "/C=DE/O=Contoso/CN=Test CA",
            serial: "0ca0",
            days: 99,
            extensions,
        };
        pki::self_signed(
            &site.path("ca.key.pem"),
            &site.path("ca.pem"),
            cert,
            Strings::Utf8,
        );
        refused(&site, &["publish", "--force"], USAGE, &["ca.pem", word]);
        refused(
            &site,
            &["revoke", "--issuer", ISSUER, "--serial", "0a"],
            USAGE,
            &["ca.pem", word],
        );
    }
    fs::write(site.path("ca.pem"), ca).unwrap();
    assert_eq!(site.publish(&["--force"])["published"], true);
}

#[test]
fn expired_ca_publishes_nothing_and_still_takes_revocations() {
    let site = site();
    pki::expired_self_signed(
        &site.path("ca.key.pem"),
        &site.path("ca.pem"),
        "/CN=Test CA",
    );
    refused(
        &site,
        &["publish", "--force"],
        REFUSED,
        &[ISSUER, "ended on 2021-01-01"],
    );
    assert_eq!(site.run(&["status"]).code, 3);
}

#[test]
fn index_of_another_key_is_refused() {
    let site = site();
    let cert = pki::Cert {
        subject: "/C=DE/O=Contoso/CN=Test CA",
        serial: "0ca1",
        days: 99,
        extensions: pki::CA_EXTENSIONS,
    };
    fs::write(site.path("ca.key.pem"), Key::P384.shared()).unwrap();
    pki::self_signed(
        &site.path("ca.key.pem"),
        &site.path("ca.pem"),
        cert,
        Strings::Utf8,
    );
    let words = ["another key", "name of its own"];
    refused(
        &site,
        &["revoke", "--issuer", ISSUER, "--serial", "0a"],
        REFUSED,
        &words,
    );
    let before = site.snapshot();
    let output = site.run(&["publish", "--force"]);
    assert_eq!(output.code, REFUSED, "{output:?}");
    says(&output, &words);
    assert!(site.snapshot() == before, "{output:?}");
}

/// `openssl ca` and others sign with SHA-256 whatever the curve; such a certificate is the issuer's
/// own all the same.
#[test]
fn certificate_signed_with_another_hash_than_the_curves_is_known_as_ours() {
    for (key, hash) in [
        (Key::P384, Hash::Sha256),
        (Key::P521, Hash::Sha256),
        (Key::P256, Hash::Sha384),
    ] {
        let site = Plan {
            key,
            ..Plan::default()
        }
        .build();
        site.leaf("usual", "0a");
        let [ca, signer, leaf, out] =
            ["ca.pem", "ca.key.pem", "leaf.key", "leaf.pem"].map(|name| site.path(name));
        let cert = pki::Cert {
            subject: "/CN=leaf",
            serial: "0b",
            days: 9,
            extensions: &[],
        };
        pki::issue_with((&ca, &signer), hash, &leaf, &out, cert);
        let output = site.run(&["revoke", "--issuer", ISSUER, "--cert", "leaf.pem"]);
        assert_eq!(output.code, 0, "{key:?} {hash:?}: {output:?}");
    }
}
