//! Verdicts by others, for every kind of CA key: OpenSSL, pkilint and Python's `cryptography`;
//! below it, clients as relying parties run them.

pub mod clients;
mod scopes;
pub mod verdicts;

use std::fs;

use crate::{
    openssl::{openssl, openssl_ok, trust},
    support::{
        ISSUER, Plan, Site, at, block_on,
        client::replaced,
        http::request,
        now,
        ocsp::{self, Basic, Status},
        pki::{self, Cert, Key, Strings},
        server::{Server, get_path},
    },
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
    site.import_rows(&far.replace('\n', ""));
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
    let twin = site.file(&format!("data/shelf/{ISSUER}.crl.pem"));
    openssl_ok(
        site.dir(),
        &["crl", "-in", &twin, "-outform", "DER", "-out", "twin.der"],
    );
    assert!(
        fs::read(site.path("twin.der")).unwrap() == site.crl_bytes(),
        "the PEM twin is another CRL"
    );

    let check = |name: &str| {
        let trust = trust(site);
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
        let trust = trust(self.site);
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

/// What OpenSSL says of the CRL on the shelf.
fn openssl_verifies_shelf(site: &Site, what: &str) {
    let (ca, crl) = (
        site.file("ca.pem"),
        site.file(&format!("data/shelf/{ISSUER}.crl")),
    );
    let verify = [
        "crl", "-inform", "DER", "-in", &crl, "-verify", "-CAfile", &ca, "-noout",
    ];
    let verdict = openssl_ok(site.dir(), &verify);
    assert!(verdict.stderr.contains("verify OK"), "{what}: {verdict:?}");
}

#[test]
fn every_algorithm_of_every_kind_of_key_verifies() {
    let rsa = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
    let curves = [
        (Key::P256, "ES256"),
        (Key::P384, "ES384"),
        (Key::P521, "ES512"),
    ];
    let rsa = [Key::Rsa2048, Key::Rsa3072, Key::Rsa4096]
        .into_iter()
        .flat_map(|key| rsa.map(|name| (key, name)));
    for (key, algorithm) in curves.into_iter().chain(rsa) {
        let settings = format!("signature = \"{algorithm}\"\n");
        let site = Plan {
            key,
            settings: &settings,
            ..Plan::default()
        }
        .build();
        site.publish(&[]);
        openssl_verifies_shelf(&site, &format!("{key:?} {algorithm}"));
    }
}

/// Keys as OpenSSL makes them and writes them down: PKCS #8, PKCS #1 and SEC 1, and with EC
/// PARAMETERS before.
#[test]
fn key_that_openssl_made_signs_in_any_pem_form() {
    let curve = |name: &str| {
        vec![
            "EC".to_owned(),
            "-pkeyopt".to_owned(),
            format!("ec_paramgen_curve:{name}"),
        ]
    };
    let rsa = |kind: &str| {
        vec![
            kind.to_owned(),
            "-pkeyopt".to_owned(),
            "rsa_keygen_bits:2048".to_owned(),
        ]
    };
    for (options, is_traditional) in [
        (curve("P-256"), true),
        (curve("P-384"), true),
        (curve("P-521"), true),
        (curve("P-256"), false),
        (rsa("RSA"), true),
        (rsa("RSA"), false),
        (rsa("RSA-PSS"), false),
    ] {
        let site = Site::new();
        let options: Vec<_> = options.iter().map(String::as_str).collect();
        let mut key = openssl_ok(
            site.dir(),
            &[&["genpkey", "-algorithm"], &options[..]].concat(),
        )
        .stdout;
        fs::write(site.path("ca.key.pem"), &key).unwrap();
        if is_traditional {
            key = openssl_ok(site.dir(), &["pkey", "-in", "ca.key.pem", "-traditional"]).stdout;
            assert!(!key.contains("BEGIN PRIVATE KEY"), "{key}");
        }
        signs(&site, &key, &options.join(" "));
    }
    let site = Site::new();
    let key = openssl_ok(site.dir(), &["ecparam", "-name", "prime256v1", "-genkey"]).stdout;
    assert!(key.starts_with("-----BEGIN EC PARAMETERS-----"), "{key}");
    signs(&site, &key, "ecparam");
}

fn signs(site: &Site, key: &str, what: &str) {
    fs::write(site.path("ca.key.pem"), key).unwrap();
    let cert = Cert {
        subject: "/CN=Test CA",
        serial: "01",
        days: 9,
        extensions: pki::CA_EXTENSIONS,
    };
    pki::self_signed(
        &site.path("ca.key.pem"),
        &site.path("ca.pem"),
        cert,
        Strings::Utf8,
    );
    assert_eq!(site.publish(&[])["published"], true, "{what}");
    openssl_verifies_shelf(site, what);
}

/// The tests' own certificates, which everything else stands on.
#[test]
fn openssl_takes_the_tests_certificates_for_what_they_are() {
    for key in [Key::P256, Key::P384, Key::P521, Key::Rsa2048, Key::RsaPss] {
        let site = Plan {
            key,
            intermediate: true,
            ..Plan::default()
        }
        .build();
        site.leaf("leaf", "0a01");
        let args = [
            "verify",
            "-x509_strict",
            "-CAfile",
            "root.pem",
            "-untrusted",
            "ca.pem",
            "-purpose",
            "sslserver",
        ];
        openssl_ok(site.dir(), &[&args[..], &["leaf.pem"]].concat());
        openssl_ok(
            site.dir(),
            &["verify", "-x509_strict", "-CAfile", "root.pem", "ca.pem"],
        );
    }
}

/// An ECDSA signature has a padded r or s half of the time; each of many must verify.
#[test]
fn every_one_of_many_ecdsa_signatures_verifies() {
    let site = Site::new();
    site.publish(&[]);
    let responder = rescind::facade::stories::respond::Responder::new(vec![site.ca()]);
    block_on(responder.issuers()[0].refresh(at(now())));
    let id = site.issuer_id();
    let mut tasks = vec![];
    for serial in 1..=60u8 {
        let asked = ocsp::request(
            &[id.usual(&format!("{serial:02x}"))],
            Some(&ocsp::nonce(32)),
        );
        let rescind::facade::stories::respond::Answer::Signed(signed) =
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
