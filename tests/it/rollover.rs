//! A CA gets a new key, a renewed certificate, or comes to its end.

mod end;

use std::{fs, path::Path, time::Duration};

use crate::{
    judges::{
        clients::{Client, Evidence, Question, Verdict},
        verdicts::{Expected, all_say, refused},
    },
    support::{
        ISSUER, Plan, Site,
        crl::{AKI, Crl},
        der,
        ocsp::{self, IssuerId, request},
        pki::{self, Cert, Key, openssl},
        poll,
    },
};

/// The new key's issuer.
const NEXT: &str = "next-ca";
const SUBJECT: &str = "/C=DE/O=Contoso/CN=Test CA";

/// Where an issuer's CRL is, in its certificates and in its issuing distribution point.
fn point(issuer: &str) -> String {
    format!("http://pki.contoso.example/crl/{issuer}.crl")
}

/// A CA that was given a second key: two issuers under one name. The same serials are issued by
/// both, and what one of them revoked is good at the other. `points`: whether certificates and CRLs
/// say where the CRL is.
fn rolled_over(points: bool) -> Site {
    let settings = |issuer| match points {
        true => format!("[issuer.crl]\nidp = [\"{}\"]\n", point(issuer)),
        false => String::new(),
    };
    let extensions = |issuer| match points {
        true => format!("crlDistributionPoints = URI:{}\n", point(issuer)),
        false => String::new(),
    };
    let files = format!("certificate = \"file:{NEXT}.pem\"\nkey = \"file:{NEXT}.key\"\n");
    let next = format!(
        "{}\n[[issuer]]\nname = \"{NEXT}\"\n{files}{}",
        settings(ISSUER),
        settings(NEXT)
    );
    let site = Site::with_settings(&next);
    let (key, certificate) = (
        site.path(&format!("{NEXT}.key")),
        site.path(&format!("{NEXT}.pem")),
    );
    fs::write(&key, Key::P256.generate()).unwrap();
    let cert = Cert {
        subject: SUBJECT,
        serial: "0ca1",
        days: 3650,
        extensions: pki::CA_EXTENSIONS,
    };
    pki::self_signed(&key, &certificate, cert, "utf8only");
    let [old, new] =
        ["ca.pem", "next-ca.pem"].map(|name| fs::read_to_string(site.path(name)).unwrap());
    fs::write(site.path("both.pem"), old + &new).unwrap();
    for (name, serial) in [("old-a", "0a01"), ("old-b", "0a02")] {
        site.leaf_with(name, serial, &extensions(ISSUER));
    }
    let extensions = format!("{}{}", pki::LEAF_EXTENSIONS, extensions(NEXT));
    for (name, serial) in [("new-a", "0a01"), ("new-b", "0a02")] {
        let subject = format!("/CN={name}");
        let cert = Cert {
            subject: &subject,
            serial,
            days: 90,
            extensions: &extensions,
        };
        pki::issue(
            (&certificate, &key),
            &site.path("leaf.pub"),
            &site.path(&format!("{name}.pem")),
            cert,
        );
    }
    site.revoke("0a02", "keyCompromise");
    site.ok(&[
        "revoke",
        "--issuer",
        NEXT,
        "--serial",
        "0a01",
        "--reason",
        "superseded",
    ]);
    site
}

fn crl_of(site: &Site, issuer: &str) -> Crl {
    Crl::read(&fs::read(site.path(&format!("data/shelf/{issuer}.crl"))).unwrap())
}

/// The CA certificate's subject key identifier, as OpenSSL prints it, in lower case without colons.
fn key_id(site: &Site, certificate: &str) -> String {
    let args = [
        "x509",
        "-in",
        certificate,
        "-noout",
        "-ext",
        "subjectKeyIdentifier",
    ];
    let said = pki::openssl_ok(site.dir(), &args).stdout;
    said.lines()
        .last()
        .unwrap()
        .trim()
        .replace(':', "")
        .to_lowercase()
}

/// RFC 5280 §5.2.1: the key identifier is what tells two keys of one name apart.
#[test]
fn each_key_of_one_name_has_its_own_crl_under_its_own_key_identifier() {
    let site = rolled_over(false);
    let said = site.json(&["publish"]);
    let published: Vec<_> = said["issuers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["published"])
        .collect();
    assert_eq!(published, [true, true], "{said}");
    let (old, new) = (site.crl(), crl_of(&site, NEXT));
    assert_eq!(old.issuer, new.issuer);
    assert_eq!(
        (old.serials(), new.serials()),
        (vec!["0A02".to_owned()], vec!["0A01".to_owned()])
    );
    for (crl, certificate) in [(&old, "ca.pem"), (&new, "next-ca.pem")] {
        let id = key_id(&site, certificate);
        assert_eq!(
            der::hex(&crl.extension(AKI).unwrap().value),
            format!("30168014{id}"),
            "{certificate}"
        );
    }
    assert_ne!(key_id(&site, "ca.pem"), key_id(&site, "next-ca.pem"));
    // What changes at one of them is no reason to sign with the other's key.
    site.revoke("0a03", "superseded");
    let said = site.json(&["publish"]);
    let published: Vec<_> = said["issuers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["published"])
        .collect();
    assert_eq!(published, [true, false], "{said}");
    for (issuer, certificate) in [(ISSUER, "ca.pem"), (NEXT, "next-ca.pem")] {
        let cer = fs::read(site.path(&format!("data/shelf/{issuer}.cer"))).unwrap();
        assert_eq!(cer, pki::der_of(&site.path(certificate)));
        site.ok(&["verify", "--issuer", issuer]);
    }
}

/// Questions about the certificates of both keys to clients that trust both and have both CRLs.
fn about_both(site: &Site, issuers: [&str; 2]) -> Expected {
    let crls = issuers.map(|issuer| site.file(&format!("data/shelf/{issuer}.crl")));
    let leaves = [
        ("old-a", Verdict::Good),
        ("old-b", Verdict::Revoked),
        ("new-a", Verdict::Revoked),
        ("new-b", Verdict::Good),
    ];
    let question = |(leaf, verdict): (&str, Verdict)| {
        let (trust, leaf) = (site.file("both.pem"), site.file(&format!("{leaf}.pem")));
        (
            Question {
                trust,
                leaf,
                evidence: Evidence::Crls(crls.to_vec()),
            },
            verdict,
        )
    };
    leaves.map(question).to_vec()
}

/// Others go by the name alone: Java takes any of the CRLs, GnuTLS keeps one of them, rustls-webpki
/// refuses.
#[test]
fn clients_with_both_crls_tell_them_apart_by_the_key_identifier() {
    let site = rolled_over(false);
    site.publish(&[]);
    // In either order: a client that took the first CRL of the name would be found out.
    let both = [
        about_both(&site, [ISSUER, NEXT]),
        about_both(&site, [NEXT, ISSUER]),
    ]
    .concat();
    all_say(&[Client::OpenSsl, Client::PyHanko], &both);
    // It looks at the first alone, but refuses it under the wrong key.
    let old = about_both(&site, [NEXT, ISSUER]).into_iter().take(2);
    all_say(
        &[Client::Webpki],
        &old.map(|(question, _)| (question, refused())).collect(),
    );
}

/// RFC 5280 §6.3.3 (b)(2): the certificate's distribution point must be the CRL's.
#[test]
fn clients_with_both_crls_tell_them_apart_by_their_distribution_points() {
    let site = rolled_over(true);
    site.publish(&[]);
    let both = [
        about_both(&site, [ISSUER, NEXT]),
        about_both(&site, [NEXT, ISSUER]),
    ]
    .concat();
    all_say(
        &[
            Client::OpenSsl,
            Client::PyHanko,
            Client::Java,
            Client::Webpki,
        ],
        &both,
    );
}

/// RFC 6960 §4.1.1: a CertID names the issuer by its name's hash and by its key's.
#[test]
fn openssl_is_answered_by_the_issuer_whose_key_it_names() {
    let site = rolled_over(false);
    site.publish(&[]);
    let server = site.serve();
    let next = IssuerId::of(&pki::der_of(&site.path("next-ca.pem")));
    poll(Duration::from_secs(20), "the next issuer's answer", || {
        (server.ocsp(&request(&[next.usual("01")], None)) != ocsp::TRY_LATER).then_some(())
    });
    let url = format!("http://127.0.0.1:{}/ocsp", server.port);
    for (leaf, issuer, verdict) in [
        ("old-a", "ca", "good"),
        ("old-b", "ca", "revoked"),
        ("new-a", "next-ca", "revoked"),
        ("new-b", "next-ca", "good"),
    ] {
        let (leaf, ca) = (format!("{leaf}.pem"), format!("{issuer}.pem"));
        // Only the issuer itself is trusted: an answer under the other key would not verify.
        let files = ["-issuer", &ca, "-cert", &leaf, "-CAfile", &ca, "-url", &url];
        let said = openssl(site.dir(), &[&["ocsp"], &files[..]].concat());
        assert!(
            said.stderr.contains("Response verify OK"),
            "{leaf}: {said:?}"
        );
        assert!(
            said.stdout.contains(&format!("{leaf}: {verdict}\n")),
            "{leaf}: {said:?}"
        );
    }
    // Our name with a key that is nobody's.
    let nobody = IssuerId {
        key: next.key.iter().rev().copied().collect(),
        subject: next.subject,
    };
    assert_eq!(
        server.ocsp(&request(&[nobody.usual("0a01")], None)),
        ocsp::UNAUTHORIZED
    );
}

#[test]
fn a_certificate_is_taken_only_by_the_issuer_whose_key_signed_it() {
    let site = rolled_over(false);
    for (issuer, theirs) in [(ISSUER, "new-b.pem"), (NEXT, "old-a.pem")] {
        let said = site.run(&["revoke", "--issuer", issuer, "--cert", theirs]);
        assert!(
            said.code != 0 && said.stderr.contains("issue"),
            "{issuer}: {said:?}"
        );
        let said = site.run(&["record", "--issuer", issuer, "--cert", theirs]);
        assert!(said.code != 0, "{issuer}: {said:?}");
    }
    site.ok(&["revoke", "--issuer", NEXT, "--cert", "new-b.pem"]);
    site.publish(&[]);
    assert_eq!(crl_of(&site, NEXT).serials(), ["0A01", "0A02"]);
    assert_eq!(site.crl().serials(), ["0A02"]);
    // Nor is a CRL of the other key one to take over.
    let other = site.file(&format!("data/shelf/{NEXT}.crl"));
    let said = site.run(&["import", "--issuer", ISSUER, "--from", "crl", &other]);
    assert!(
        said.code != 0 && !site.export().to_lowercase().contains("0a01"),
        "{said:?}"
    );
}

/// One CA certificate more for the key that `key` is: another serial, other dates.
fn renew(site: &Site, key: &str) {
    let cert = Cert {
        subject: SUBJECT,
        serial: "0ca9",
        days: 7300,
        extensions: pki::CA_EXTENSIONS,
    };
    pki::self_signed(&site.path(key), &site.path("ca.pem"), cert, "utf8only");
}

#[test]
fn a_renewed_certificate_continues_the_numbers_and_the_index() {
    let site = Plan {
        days: 60,
        ..Plan::default()
    }
    .build();
    site.leaf("good", "0a01");
    site.leaf("revoked", "0a02");
    site.revoke("0a02", "keyCompromise");
    site.publish(&[]);
    let (before, crl) = (
        site.json(&["status"])["issuers"][0].clone(),
        site.crl_bytes(),
    );
    fs::copy(site.path("ca.pem"), site.path("old.pem")).unwrap();
    renew(&site, "ca.key.pem");
    // The CRL is as good under the new certificate: name, key and key identifier are the same.
    let outcome = site.publish(&[]);
    assert_eq!(outcome["published"], false, "{outcome}");
    assert!(site.crl_bytes() == crl);
    let cer = fs::read(site.shelf(".cer")).unwrap();
    assert_eq!(cer, site.ca_der(), "caIssuers is the renewed certificate");
    let after = site.json(&["status"])["issuers"][0].clone();
    assert_eq!(
        (&after["seq"], &after["crl_number"]),
        (&before["seq"], &before["crl_number"])
    );
    assert_eq!(after["problems"], serde_json::json!([]));

    site.revoke("0a03", "superseded");
    site.publish(&[]);
    assert_eq!(site.crl().serials(), ["0A02", "0A03"]);
    assert!(site.crl().number() > before["crl_number"].as_u64().unwrap());
    assert!(site.row("0a02").is_some());
    site.ok(&["verify", "--issuer", ISSUER]);
    assert_eq!(site.archive().len(), 2);
    clients_believe_both_certificates(&site);
}

/// The CRL and the credential are believed under the old certificate and under the renewed one.
fn clients_believe_both_certificates(site: &Site) {
    let crl = site.file(&format!("data/shelf/{ISSUER}.crl"));
    let ask = |(trust, leaf, verdict): (&str, &str, Verdict)| {
        let evidence = Evidence::Crls(vec![crl.clone()]);
        (
            Question {
                trust: site.file(trust),
                leaf: site.file(leaf),
                evidence,
            },
            verdict,
        )
    };
    let expected = [
        ("old.pem", "good.pem", Verdict::Good),
        ("old.pem", "revoked.pem", Verdict::Revoked),
        ("ca.pem", "good.pem", Verdict::Good),
        ("ca.pem", "revoked.pem", Verdict::Revoked),
    ];
    let clients = [
        Client::OpenSsl,
        Client::GnuTls,
        Client::PyHanko,
        Client::Java,
        Client::Webpki,
    ];
    all_say(&clients, &expected.map(ask).to_vec());

    let server = site.serve();
    let url = format!("http://127.0.0.1:{}/ocsp", server.port);
    for ca in ["old.pem", "ca.pem"] {
        let files = [
            "-issuer",
            ca,
            "-cert",
            "revoked.pem",
            "-CAfile",
            ca,
            "-url",
            &url,
        ];
        let said = openssl(site.dir(), &[&["ocsp"], &files[..]].concat());
        assert!(said.stderr.contains("Response verify OK"), "{ca}: {said:?}");
        assert!(
            said.stdout.contains("revoked.pem: revoked\n"),
            "{ca}: {said:?}"
        );
    }
}

/// Gives the configured issuer a new key under its old name.
fn replace_key(site: &Site) {
    fs::write(site.path("ca.key.pem"), Key::P384.shared()).unwrap();
    renew(site, "ca.key.pem");
}

#[test]
fn a_new_key_under_the_old_issuers_configuration_is_refused_and_told_what_to_do() {
    let site = Site::new();
    site.leaf("good", "0a01");
    site.revoke("0a02", "certificateHold");
    site.publish(&[]);
    let theirs = site.file("theirs.jsonl");
    fs::write(&theirs, site.export()).unwrap();
    replace_key(&site);
    site.leaf("new", "0a07");
    let before = site.snapshot();
    for args in [
        &["publish", "--force"][..],
        &["publish", "--dry-run"],
        &["revoke", "--issuer", ISSUER, "--serial", "0a03"],
        &["release", "--issuer", ISSUER, "--serial", "0a02"],
        &["record", "--issuer", ISSUER, "--cert", "new.pem"],
        &["import", "--issuer", ISSUER, "--from", "jsonl", &theirs],
        &["verify", "--issuer", ISSUER],
        &["export", "--issuer", ISSUER],
    ] {
        let said = site.run(args);
        let is_told = said.stderr.contains("belongs to another key")
            && said.stderr.contains("a name of its own");
        assert!(said.code == 1 && is_told, "{args:?}: {said:?}");
    }
    assert!(site.snapshot() == before);
    assert_eq!(site.run(&["status"]).code, 3);
    // OCSP says nothing about either key.
    let server = site.serve_with(&[]);
    let new = request(&[site.issuer_id().usual("0a02")], None);
    assert_eq!(server.ocsp(&new), ocsp::TRY_LATER);
}

/// Where nothing was ever revoked or recorded, only the last CRL tells whose index it is.
#[test]
fn a_new_key_is_refused_even_before_the_first_revocation() {
    let site = Site::new();
    supply_credential(&site);
    site.publish(&[]);
    assert_eq!(site.json(&["status"])["issuers"][0]["seq"], 0);
    let before = site.crl_bytes();
    replace_key(&site);
    supply_credential(&site);
    let said = site.run(&["publish"]);
    assert!(
        said.code == 1 && said.stderr.contains("belongs to another key"),
        "{said:?}"
    );
    assert!(site.crl_bytes() == before);
}

/// A credential that an administrator had the CA issue is in no journal.
fn supply_credential(site: &Site) {
    let key = site.path("own.key");
    fs::write(&key, Key::P256.shared()).unwrap();
    let extensions = "keyUsage = critical, digitalSignature\nextendedKeyUsage = \
                      OCSPSigning\nnoCheck = yes\n\
                      subjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid\n";
    let cert = Cert {
        subject: "/CN=Our own responder",
        serial: "0c5b",
        days: 30,
        extensions,
    };
    let ca: (&Path, &Path) = (&site.path("ca.pem"), &site.path("ca.key.pem"));
    pki::issue(ca, &pki::public_key(&key), &site.path("own.pem"), cert);
    let pem =
        fs::read_to_string(&key).unwrap() + &fs::read_to_string(site.path("own.pem")).unwrap();
    fs::create_dir_all(site.path("data")).unwrap();
    fs::write(site.path(&format!("data/{ISSUER}-ocsp.pem")), pem).unwrap();
}

/// Two indexes for one name and key would be two half truths: OCSP and the CRLs of one would call
/// good what the other revoked.
#[test]
fn one_name_and_key_is_configured_once() {
    let site = Site::new();
    fs::copy(site.path("ca.pem"), site.path("old.pem")).unwrap();
    renew(&site, "ca.key.pem");
    let (certificate, key) = ("file:old.pem", "file:ca.key.pem");
    site.configure(&format!(
        "[[issuer]]\nname = \"{NEXT}\"\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n"
    ));
    let said = site.run(&["publish"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(
        said.stderr.contains(ISSUER) && said.stderr.contains(NEXT),
        "{said:?}"
    );
    assert!(said.stderr.contains("one issuer"), "{said:?}");
}
