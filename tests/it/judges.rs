//! Verdicts on what every kind of CA key signs, by a relying party in Rust and by hand. Other
//! people's software judges it in `tests/foreign`.

use rescind::facade::stories::respond::{Answer, Responder};

use crate::support::{
    Plan, Site, at, block_on,
    client::{Verdict, webpki, webpki_says},
    der,
    judge::{crl_verifies, response_verifies},
    now,
    ocsp::{self, Status, request},
    pki::{Form, Key},
    stories::{
        KEYS, altered, by_a_delta_alone, by_complete_crls, by_deltas, by_shards, complete,
        for_every_key, judged_by_crls, scoped,
    },
};

/// Full, delta and sharded CRLs, and the answers by OCSP, of every kind of key.
#[test]
fn everything_that_is_published_verifies_whatever_the_key() {
    for (site, key) in for_every_key() {
        println!("{key:?}");
        let ca = site.ca_der();
        let crls = ["base.crl", "full.crl", "delta.crl", "01.crl", "02.crl"];
        let crls = crls.map(|name| crl_verifies(&std::fs::read(site.path(name)).unwrap(), &ca));
        assert_eq!(crls.map(|crl| crl.list().len()), [2, 3, 3, 2, 0]);
        let server = site.serve();
        for (serial, is_good) in [("7a01", false), ("7a02", true), ("7b09", false)] {
            let response = server.ocsp(&request(&[site.issuer_id().usual(serial)], None));
            response_verifies(&response, &ca);
            assert_eq!(
                ocsp::status(&response) == Status::Good,
                is_good,
                "{key:?}: {serial}"
            );
        }
    }
}

#[test]
fn webpki_sees_what_is_revoked_and_refuses_what_is_not_ours() {
    let (_sites, expected) = judged_by_crls();
    webpki_says(&expected);
}

#[test]
fn webpki_agrees_on_full_and_shard_crls_whatever_the_key() {
    for (site, key) in for_every_key() {
        // It does not know CA keys that are for PSS alone; PSS with a plain RSA key it knows.
        if key != Key::RsaPss {
            webpki_says(
                &[
                    by_complete_crls(&site),
                    by_a_delta_alone(&site),
                    complete(by_shards(&site)),
                ]
                .concat(),
            );
        }
    }
}

#[test]
fn webpki_refuses_shards_that_were_altered_or_are_anothers() {
    let (_site, shards) = altered();
    webpki_says(&shards);
}

/// It says why, so a list of CRLs with a delta CRL among them is of no use to it.
#[test]
fn webpki_refuses_delta_crls_as_unsupported() {
    let site = scoped(KEYS[0]);
    for (question, _) in by_deltas(&site) {
        assert_eq!(
            webpki(&question),
            Verdict::Refused("UnsupportedDeltaCrl".to_owned())
        );
    }
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
        // People have such files.
        (Key::P256, Form::BehindParameters),
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
        println!("{key:?} {form:?}");
        crl_verifies(&site.crl_bytes(), &site.ca_der());
    }
}

/// An ECDSA signature has a padded r or s half of the time; each of many must verify.
#[test]
fn every_one_of_many_ecdsa_signatures_verifies() {
    let site = Site::new();
    site.publish(&[]);
    let responder = Responder::new(vec![site.ca()]);
    block_on(responder.issuers()[0].refresh(at(now())));
    let id = site.issuer_id();
    let ca = site.ca_der();
    for serial in 1..=60u8 {
        let asked = ocsp::request(
            &[id.usual(&format!("{serial:02x}"))],
            Some(&ocsp::nonce(32)),
        );
        let Answer::Signed(signed) = block_on(responder.respond(&asked, at(now()))) else {
            panic!("refused")
        };
        assert_eq!(ocsp::status(&signed.der), Status::Good);
        response_verifies(&signed.der, &ca);
    }
}
