//! A CA gets a new key, a renewed certificate, or comes to its end.

mod end;

use std::{fs, time::Duration};

use crate::support::{
    ISSUER, Plan, Site,
    client::{refused, webpki_says},
    crl::{AKI, Crl},
    der,
    judge::response_verifies,
    ocsp::{self, IssuerId, Status, request},
    pki::{self, Key},
    poll,
    stories::{NEXT, about_both, about_renewal, renew, rolled_over, supply_credential},
};

fn crl_of(site: &Site, issuer: &str) -> Crl {
    Crl::read(&fs::read(site.path(&format!("data/shelf/{issuer}.crl"))).unwrap())
}

/// The CA certificate's subject key identifier, in hexadecimal.
fn key_id(site: &Site, certificate: &str) -> String {
    let extensions = pki::extensions_of(&pki::der_of(&site.path(certificate)));
    let found = extensions
        .into_iter()
        .find(|one| one.id == [0x55, 0x1d, 0x0e])
        .expect("a subject key identifier");
    der::hex(der::only(&found.value).content)
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

/// RFC 6960 §4.1.1: a CertID names the issuer by its name's hash and by its key's.
#[test]
fn a_request_is_answered_by_the_issuer_whose_key_it_names() {
    let site = rolled_over(false);
    site.publish(&[]);
    let server = site.serve();
    let next = IssuerId::of(&pki::der_of(&site.path("next-ca.pem")));
    poll(Duration::from_secs(20), "the next issuer's answer", || {
        (server.ocsp(&request(&[next.usual("01")], None)) != ocsp::TRY_LATER).then_some(())
    });
    for (serial, issuer, is_good) in [
        ("0a01", "ca.pem", true),
        ("0a02", "ca.pem", false),
        ("0a01", "next-ca.pem", false),
        ("0a02", "next-ca.pem", true),
    ] {
        let ca = pki::der_of(&site.path(issuer));
        let response = server.ocsp(&request(&[IssuerId::of(&ca).usual(serial)], None));
        // An answer under the other key would not verify.
        response_verifies(&response, &ca);
        assert_eq!(
            ocsp::status(&response) == Status::Good,
            is_good,
            "{issuer}: {serial}"
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

/// It looks at the first CRL of the name alone, but refuses it under the wrong key.
#[test]
fn webpki_refuses_the_other_keys_crl() {
    let site = rolled_over(false);
    site.publish(&[]);
    let old = about_both(&site, [NEXT, ISSUER]).into_iter().take(2);
    webpki_says(&old.map(|(question, _)| (question, refused())).collect());
}

/// RFC 5280 §6.3.3 (b)(2): the certificate's distribution point must be the CRL's.
#[test]
fn webpki_with_both_crls_tells_them_apart_by_their_distribution_points() {
    let site = rolled_over(true);
    site.publish(&[]);
    webpki_says(
        &[
            about_both(&site, [ISSUER, NEXT]),
            about_both(&site, [NEXT, ISSUER]),
        ]
        .concat(),
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
    both_certificates_are_believed(&site);
}

/// The CRL and the credential are believed under the old certificate and under the renewed one.
fn both_certificates_are_believed(site: &Site) {
    webpki_says(&about_renewal(site));
    let server = site.serve();
    for ca in ["old.pem", "ca.pem"] {
        let ca = pki::der_of(&site.path(ca));
        let response = server.ocsp(&request(&[IssuerId::of(&ca).usual("0a02")], None));
        response_verifies(&response, &ca);
        assert_eq!(
            ocsp::Basic::read(&response).only().status,
            Status::Revoked(revoked_at(site), Some(1))
        );
    }
}

/// When the journal says that it was revoked.
fn revoked_at(site: &Site) -> String {
    site.row("0a02").unwrap()["revoked_at"]
        .as_str()
        .unwrap()
        .to_owned()
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
    supply_credential(&site, Key::P256);
    site.publish(&[]);
    assert_eq!(site.json(&["status"])["issuers"][0]["seq"], 0);
    let before = site.crl_bytes();
    replace_key(&site);
    supply_credential(&site, Key::P256);
    let said = site.run(&["publish"]);
    assert!(
        said.code == 1 && said.stderr.contains("belongs to another key"),
        "{said:?}"
    );
    assert!(site.crl_bytes() == before);
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
