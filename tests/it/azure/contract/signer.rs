//! The CA's key, and the OCSP credential.

use std::fs;

use rescind::stories::publish::{Options, publish};

use super::place::{KINDS, Place, made};
use crate::{
    cloud::Kind,
    support::{at, now, pki},
};

pub async fn every_kind_of_key_signs_with_all_its_algorithms<P: Place>() {
    for kind in KINDS {
        let algorithms: &[&str] = match kind.1 {
            Kind::P256 => &["auto", "ES256"],
            Kind::P384 => &["auto", "ES384"],
            Kind::P521 => &["auto", "ES512"],
            _ => &["auto", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
        };
        for algorithm in algorithms {
            let place = P::with(kind, algorithm);
            let ca = place.ca().await;
            // A wrong signature does not get so far.
            let (crl, _) = made(&ca, now()).await;
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("ca.pem"), place.ca_pem()).unwrap();
            fs::write(dir.path().join("one.crl"), crl.bytes()).unwrap();
            let verify = [
                "crl", "-inform", "DER", "-in", "one.crl", "-verify", "-CAfile", "ca.pem", "-noout",
            ];
            let verdict = pki::openssl_ok(dir.path(), &verify);
            assert!(
                verdict.stderr.contains("verify OK"),
                "{kind:?} {algorithm}: {verdict:?}"
            );
        }
    }
}

pub async fn a_credential_is_kept_as_it_was_given<P: Place>() {
    let place = P::new();
    let ca = place.ca().await;
    assert_eq!(ca.credentials.load().await.unwrap(), None);
    assert!(ca.credentials.open(&ca.issuer).await.unwrap().is_none());
    for text in [
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "another\n",
    ] {
        ca.credentials.save(text.as_bytes()).await.unwrap();
        assert_eq!(
            place
                .ca()
                .await
                .credentials
                .load()
                .await
                .unwrap()
                .as_deref(),
            Some(text.as_bytes())
        );
    }
    // What is no credential is an error, never none.
    ca.credentials.open(&ca.issuer).await.unwrap_err();
}

pub async fn a_credential_of_a_pass_can_be_used<P: Place>() {
    let place = P::new();
    let ca = place.ca().await;
    let time = at(now());
    publish(&ca, None, Options::default(), time).await.unwrap();
    let credential = place
        .ca()
        .await
        .credentials
        .open(&ca.issuer)
        .await
        .unwrap()
        .unwrap();
    assert!(credential.is_valid(time) && !credential.is_due(time));
    // Its serial is in the journal.
    let replica = rescind::stories::replicate::level(&ca, None).await.unwrap();
    assert!(replica.get(&credential.certificate.serial).is_some());
}
