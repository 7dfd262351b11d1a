//! Verdicts by others, for every kind of CA key: OpenSSL, pkilint and Python's `cryptography`;
//! below it, clients as relying parties run them.

pub mod clients;
mod scopes;
pub mod verdicts;

use std::fs;

use crate::support::{
    ISSUER, Plan, Site, at, block_on, der,
    http::request,
    now,
    ocsp::{self, Basic, Status},
    pki::{self, Cert, Form, Key, openssl, openssl_ok},
    server::{Server, get_path},
    tools,
};

/// Certificates that every judge is asked about: file, serial, and what OpenSSL says of them at the
/// end.
const LEAVES: [(&str, &str, &str); 3] = [
    ("good", "0a01", "good"),
    ("revoked", "00e7b1f00dcafe0a02", "revoked"),
    (
        "held",
        "7fffffffffffffffffffffffffffffffffffffff",
        "revoked",
    ),
];

/// Everything that is published with one kind of key, before every judge.
fn all_judges_accept(plan: Plan<'_>) {
    let site = plan.build();
    for (name, serial, _) in LEAVES {
        site.leaf(name, serial);
    }
    let mut tasks = vec![];
    site.publish(&[]);
    openssl_accepts_crl(&site, "empty.crl", &["good", "revoked", "held"], &[]);
    tasks.extend([
        "crl".to_owned(),
        site.file("empty.crl"),
        site.file("ca.pem"),
    ]);

    revoke_for_every_reason(&site);
    site.publish(&[]);
    openssl_accepts_crl(&site, "full.crl", &["good"], &["revoked", "held"]);
    tasks.extend(["crl".to_owned(), site.file("full.crl"), site.file("ca.pem")]);
    assert_eq!(site.crl().list().len(), 12);

    let server = site.serve();
    let mut asker = Asker {
        site: &site,
        server: &server,
        responses: vec![],
    };
    for (name, _, verdict) in LEAVES {
        asker.asks(name, verdict);
    }
    for response in asker.responses {
        tasks.extend(["ocsp".to_owned(), response]);
    }
    assert_eq!(tools::complaints(&tasks), "");
}

/// Revokes two of the leaves and nine other serials: every reason, an invalidity date before and
/// after 2050.
fn revoke_for_every_reason(site: &Site) {
    let revoke = |args: &[&str]| site.ok(&[&["revoke", "--issuer", ISSUER], args].concat());
    let reasons = [
        "unspecified",
        "keyCompromise",
        "cACompromise",
        "affiliationChanged",
        "superseded",
        "cessationOfOperation",
        "certificateHold",
        "privilegeWithdrawn",
        "aACompromise",
    ];
    for (at, reason) in reasons.iter().enumerate() {
        let serial = format!("b{at}");
        revoke(&[
            "--serial",
            &serial,
            "--reason",
            reason,
            "--not-after",
            "2051-01-01T00:00:00Z",
        ]);
    }
    let compromise = [
        "--reason",
        "keyCompromise",
        "--invalidity-date",
        "2024-02-29T23:59:59Z",
    ];
    revoke(&[&["--cert", &site.file("revoked.pem")], &compromise[..]].concat());
    revoke(&[
        "--cert",
        &site.file("held.pem"),
        "--reason",
        "certificateHold",
    ]);
    let far = r#"{"serial":"ba","state":"revoked","revoked_at":"2025-01-01T00:00:00Z","reason":"keyCompromise",
        "invalidity_date":"2050-01-01T00:00:00Z"}"#;
    fs::write(site.path("far.jsonl"), far.replace('\n', "")).unwrap();
    site.ok(&[
        "import",
        "--issuer",
        ISSUER,
        "--from",
        "jsonl",
        &site.file("far.jsonl"),
    ]);
}

/// `openssl crl -verify` and `openssl verify -crl_check` about what is on the shelf; keeps it as
/// `copy`.
fn openssl_accepts_crl(site: &Site, copy: &str, good: &[&str], revoked: &[&str]) {
    let (copy, pem) = (site.file(copy), site.file("shelf.pem"));
    fs::write(&copy, site.crl_bytes()).unwrap();
    let verify = [
        "crl",
        "-inform",
        "DER",
        "-in",
        &copy,
        "-verify",
        "-CAfile",
        &site.file("ca.pem"),
        "-out",
        &pem,
    ];
    let verdict = openssl_ok(site.dir(), &verify);
    assert!(verdict.stderr.contains("verify OK"), "{verdict:?}");

    let check = |name: &str| {
        let trust = site.trust();
        let mut args = vec![
            "verify",
            &trust[0],
            &trust[1],
            "-crl_check",
            "-CRLfile",
            &pem,
        ];
        let (ca, leaf) = (site.file("ca.pem"), site.file(&format!("{name}.pem")));
        if site.is_intermediate() {
            args.extend(["-untrusted", &ca]);
        }
        args.push(&leaf);
        openssl(site.dir(), &args)
    };
    for name in good {
        let verdict = check(name);
        assert_eq!(
            (verdict.code, verdict.stdout.ends_with(": OK\n")),
            (0, true),
            "{name}: {verdict:?}"
        );
    }
    for name in revoked {
        let verdict = check(name);
        assert!(
            verdict.code != 0 && verdict.stderr.contains("error 23 "),
            "{name}: {verdict:?}"
        );
    }
}

/// `openssl ocsp` in all the ways of asking.
struct Asker<'a> {
    site: &'a Site,
    server: &'a Server,
    /// The files of the responses.
    responses: Vec<String>,
}

impl Asker<'_> {
    /// By POST with and without nonce, with SHA-256, and by GET.
    fn asks(&mut self, name: &str, verdict: &str) {
        let url = format!("http://127.0.0.1:{}/ocsp", self.server.port);
        for (way, first, last) in [
            ("nonce", &[][..], &["-nonce"][..]),
            ("no-nonce", &[], &["-no_nonce"]),
            ("sha256", &["-sha256"], &["-no_nonce"]),
        ] {
            let response = self.site.file(&format!("{name}-{way}.response"));
            let last = [last, &["-url", &url, "-respout", &response]].concat();
            self.judge(name, verdict, first, &last);
            self.responses.push(response);
        }
        let [question, response] =
            ["request", "response"].map(|what| self.site.file(&format!("{name}-get.{what}")));
        let certificate = self.site.file(&format!("{name}.pem"));
        let ca = self.site.file("ca.pem");
        let write = [
            "ocsp",
            "-issuer",
            &ca,
            "-cert",
            &certificate,
            "-no_nonce",
            "-reqout",
            &question,
        ];
        openssl_ok(self.site.dir(), &write);
        let reply = self.server.raw(&request(
            "GET",
            &get_path(&fs::read(&question).unwrap()),
            &[],
            b"",
        ));
        assert_eq!(reply.status, 200, "{reply:?}");
        fs::write(&response, reply.body).unwrap();
        self.judge(name, verdict, &[], &["-no_nonce", "-respin", &response]);
        self.responses.push(response);
    }

    /// `openssl ocsp` needs to say both that the response verifies and the verdict; its exit code
    /// says neither.
    fn judge(&self, name: &str, verdict: &str, first: &[&str], last: &[&str]) {
        let (ca, leaf) = (
            self.site.file("ca.pem"),
            self.site.file(&format!("{name}.pem")),
        );
        let trust = self.site.trust();
        let mut args = vec!["ocsp", "-issuer", &ca];
        args.extend(first);
        args.extend(["-cert", &leaf, &trust[0], &trust[1], "-verify_other", &ca]);
        args.extend(last);
        let said = openssl(self.site.dir(), &args);
        assert_eq!(said.code, 0, "{args:?}: {said:?}");
        assert!(
            said.stderr.contains("Response verify OK"),
            "{args:?}: {said:?}"
        );
        assert!(!said.stderr.contains("WARNING"), "{args:?}: {said:?}");
        assert!(
            said.stdout.contains(&format!("{leaf}: {verdict}\n")),
            "{args:?}: {said:?}"
        );
        let reason = match name {
            "revoked" => "Reason: keyCompromise",
            "held" => "Reason: certificateHold",
            _ => return,
        };
        assert!(said.stdout.contains(reason), "{args:?}: {said:?}");
    }
}

#[test]
fn judges_accept_what_a_p256_intermediate_publishes() {
    all_judges_accept(Plan {
        intermediate: true,
        ..Plan::default()
    });
}

#[test]
fn judges_accept_what_a_p384_ca_publishes() {
    all_judges_accept(Plan {
        key: Key::P384,
        ..Plan::default()
    });
}

#[test]
fn judges_accept_what_a_p521_ca_publishes() {
    all_judges_accept(Plan {
        key: Key::P521,
        ..Plan::default()
    });
}

#[test]
fn judges_accept_what_an_rsa_2048_ca_publishes_and_its_rsa_credential_answers() {
    let settings = "[issuer.ocsp]\ncredential_key = \"rsa2048\"\n";
    all_judges_accept(Plan {
        key: Key::Rsa2048,
        settings,
        ..Plan::default()
    });
}

#[test]
fn judges_accept_what_an_rsa_4096_ca_publishes() {
    all_judges_accept(Plan {
        key: Key::Rsa4096,
        ..Plan::default()
    });
}

#[test]
fn judges_accept_what_a_ca_with_an_rsa_pss_key_publishes() {
    all_judges_accept(Plan {
        key: Key::RsaPss,
        ..Plan::default()
    });
}

#[test]
fn judges_accept_what_a_plain_rsa_key_signs_with_pss() {
    all_judges_accept(Plan {
        key: Key::Rsa2048,
        settings: "signature = \"PS256\"\n",
        ..Plan::default()
    });
}

/// RFC 4055 §3.1 and §5, RFC 5758 §3.2: parameters are NULL for PKCS #1, absent for ECDSA.
#[test]
fn algorithm_identifier_is_that_of_the_key_inside_and_outside() {
    const RSA: &str = "300d06092a864886f70d0101";
    for (key, signature, expected) in [
        (Key::P256, "", "300a06082a8648ce3d040302".to_owned()),
        (Key::P384, "", "300a06082a8648ce3d040303".to_owned()),
        (Key::P521, "", "300a06082a8648ce3d040304".to_owned()),
        (Key::Rsa2048, "", format!("{RSA}0b0500")),
        (
            Key::Rsa2048,
            "signature = \"RS384\"\n",
            format!("{RSA}0c0500"),
        ),
        (
            Key::Rsa3072,
            "signature = \"RS512\"\n",
            format!("{RSA}0d0500"),
        ),
    ] {
        let site = Plan {
            key,
            settings: signature,
            ..Plan::default()
        }
        .build();
        site.publish(&[]);
        let crl = site.crl();
        assert_eq!(
            der::hex(&crl.inner_algorithm),
            expected,
            "{key:?} {signature}"
        );
        assert_eq!(
            crl.outer_algorithm, crl.inner_algorithm,
            "{key:?} {signature}"
        );
    }
}

#[test]
fn key_in_any_pem_form_signs() {
    for (key, form) in [
        (Key::P256, Form::Traditional),
        (Key::P384, Form::Traditional),
        (Key::P521, Form::Traditional),
        (Key::Rsa2048, Form::Traditional),
        (Key::Rsa3072, Form::Pkcs8),
        (Key::Rsa3072, Form::Traditional),
    ] {
        let site = Plan {
            key,
            form,
            ..Plan::default()
        }
        .build();
        assert_eq!(site.publish(&[])["published"], true, "{key:?} {form:?}");
        let (ca, crl) = (
            site.file("ca.pem"),
            site.file(&format!("data/shelf/{ISSUER}.crl")),
        );
        let verify = [
            "crl", "-inform", "DER", "-in", &crl, "-verify", "-CAfile", &ca,
        ];
        let verdict = openssl_ok(site.dir(), &[&verify[..], &["-noout"]].concat());
        assert!(
            verdict.stderr.contains("verify OK"),
            "{key:?} {form:?}: {verdict:?}"
        );
    }
}

/// `openssl ecparam -genkey` writes EC PARAMETERS before the key; people have such files.
#[test]
fn key_behind_ec_parameters_signs() {
    let site = Site::new();
    let key = openssl_ok(site.dir(), &["ecparam", "-name", "prime256v1", "-genkey"]).stdout;
    assert!(key.starts_with("-----BEGIN EC PARAMETERS-----"), "{key}");
    fs::write(site.path("ca.key.pem"), key).unwrap();
    let cert = Cert {
        subject: "/CN=EC",
        serial: "01",
        days: 9,
        extensions: pki::CA_EXTENSIONS,
    };
    pki::self_signed(
        &site.path("ca.key.pem"),
        &site.path("ca.pem"),
        cert,
        "utf8only",
    );
    assert_eq!(site.publish(&[])["published"], true);
}

/// An ECDSA signature has a padded r or s half of the time; each of many must verify.
#[test]
fn every_one_of_many_ecdsa_signatures_verifies() {
    let site = Site::new();
    site.publish(&[]);
    let responder = rescind::stories::respond::Responder::new(vec![site.ca()]);
    block_on(responder.issuers()[0].refresh(at(now())));
    let id = site.issuer_id();
    let mut tasks = vec![];
    for serial in 1..=60u8 {
        let asked = ocsp::request(
            &[id.usual(&format!("{serial:02x}"))],
            Some(&ocsp::nonce(32)),
        );
        let rescind::stories::respond::Answer::Signed(signed) =
            block_on(responder.respond(&asked, at(now())))
        else {
            panic!("refused")
        };
        assert_eq!(ocsp::status(&signed.der), Status::Good);
        let file = site.file(&format!("{serial}.response"));
        fs::write(&file, &signed.der).unwrap();
        let (ca, number) = (site.file("ca.pem"), format!("0x{serial:02x}"));
        let args = [
            "ocsp",
            "-respin",
            &file,
            "-CAfile",
            &ca,
            "-issuer",
            &ca,
            "-no_nonce",
            "-serial",
            &number,
        ];
        let said = openssl(site.dir(), &args);
        assert!(said.stderr.contains("Response verify OK"), "{said:?}");
        tasks.extend(["ocsp".to_owned(), file]);
    }
    assert_eq!(tools::complaints(&tasks), "");
}

/// A judge that accepts anything would make every test above worthless.
#[test]
fn judges_are_not_blind() {
    let site = Site::new();
    site.revoke("0b", "superseded");
    site.publish(&[]);
    let server = site.serve();
    let response = server.ocsp(&ocsp::request(&[site.issuer_id().usual("0b")], None));
    let complaints = |name: &str, bytes: &[u8]| {
        let file = site.file(name);
        fs::write(&file, bytes).unwrap();
        let task: &[&str] = match name.ends_with(".crl") {
            true => &["crl", &file, &site.file("ca.pem")],
            false => &["ocsp", &file],
        };
        tools::complaints(&task.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(complaints("good.crl", &site.crl_bytes()), "");
    assert_eq!(complaints("good.response", &response), "");

    let replaced = |bytes: &[u8], old: &[u8], new: &[u8]| {
        let at = bytes
            .windows(old.len())
            .position(|window| window == old)
            .unwrap();
        [&bytes[..at], new, &bytes[at + old.len()..]].concat()
    };
    let crl = site.crl_bytes();
    let flipped = replaced(&crl, &[2, 1, 0x0b], &[2, 1, 0x0c]);
    assert!(complaints("flipped.crl", &flipped).contains("the signature is not valid"));
    let nameless = replaced(&crl, &[0x55, 0x1d, 0x14], &[0x55, 0x1d, 0x13]);
    assert!(
        complaints("no-number.crl", &nameless).contains("pkilint"),
        "a CRL without number"
    );
    assert!(complaints("short.crl", &crl[..crl.len() - 1]).contains("crl"));
    let time = Basic::read(&response).produced_at;
    let fraction = replaced(&response, time.as_bytes(), time.replace("Z", "").as_bytes());
    assert!(!complaints("odd.response", &fraction).is_empty());
    let refusal = complaints("refusal.response", &ocsp::UNAUTHORIZED);
    assert!(refusal.contains("UNAUTHORIZED"), "{refusal}");
}
