//! The CA's key, and the OCSP credential.

use rescind::facade::stories::publish::{Options, publish};

use super::place::{Place, level, made};
use crate::support::{at, judge::crl_verifies, now, pki::Key};

/// Every kind of key that either place has.
const KEYS: [Key; 6] = [
    Key::Rsa2048,
    Key::Rsa3072,
    Key::Rsa4096,
    Key::P256,
    Key::P384,
    Key::P521,
];

pub async fn every_kind_of_key_signs_with_all_its_algorithms<P: Place>() {
    for key in KEYS {
        let algorithms: &[&str] = match key {
            Key::P256 => &["auto", "ES256"],
            Key::P384 => &["auto", "ES384"],
            Key::P521 => &["auto", "ES512"],
            _ => &["auto", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
        };
        for algorithm in algorithms {
            println!("{key:?} {algorithm}");
            let place = P::with(key, algorithm);
            let ca = place.ca().await;
            // A wrong signature does not get so far.
            let (crl, _) = made(&ca, now()).await;
            crl_verifies(crl.bytes(), &place.ca_der());
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
    let replica = level(&ca).await;
    assert!(replica.get(&credential.certificate.serial).is_some());
}
