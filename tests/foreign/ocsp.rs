//! What OpenSSL says of responses that are not everybody's.

use std::fs;

use crate::{
    openssl::{openssl_ok, trust},
    support::{
        Site, der,
        ocsp::{preferring, request},
        pki::Key,
        server::serving,
        stories::supply_credential,
    },
};

fn openssl_accepts(site: &Site, response: &[u8], serial: &str) {
    fs::write(site.path("response.der"), response).unwrap();
    let args = [
        "ocsp",
        "-respin",
        "response.der",
        "-issuer",
        "ca.pem",
        "-no_nonce",
        "-serial",
        serial,
    ];
    let trust = trust(site);
    let said = openssl_ok(
        site.dir(),
        &[&args[..], &trust.each_ref().map(String::as_str)].concat(),
    );
    assert!(said.stderr.contains("Response verify OK"), "{said:?}");
}

#[test]
fn openssl_accepts_what_was_never_issued_as_revoked() {
    let (site, server) = serving("[issuer.ocsp]\nunlisted = \"revoked\"\n");
    openssl_accepts(
        &site,
        &server.ocsp(&request(&[site.issuer_id().usual("0a")], None)),
        "0x0a",
    );
}

#[test]
fn openssl_accepts_an_archive_cutoff() {
    let (site, server) = serving("[issuer.crl]\nkeep_expired = true\n");
    openssl_accepts(
        &site,
        &server.ocsp(&request(&[site.issuer_id().usual("0b")], None)),
        "0x0b",
    );
}

#[test]
fn openssl_accepts_the_algorithm_that_was_preferred() {
    let (site, server) = serving("[issuer.ocsp]\ncredential_key = \"p256+rsa2048\"\n");
    let rsa = der::sequence(&[&der::sequence(&[&der::from_hex(
        "300d06092a864886f70d01010b0500",
    )])]);
    openssl_accepts(
        &site,
        &server.ocsp(&preferring(&site.issuer_id().usual("0b"), &rsa, None)),
        "0x0b",
    );
}

#[test]
fn openssl_accepts_a_credential_that_an_administrator_supplied() {
    let site = Site::new();
    site.revoke("0b", "superseded");
    supply_credential(&site, Key::P384);
    site.publish(&[]);
    let server = site.serve();
    openssl_accepts(
        &site,
        &server.ocsp(&request(&[site.issuer_id().usual("0b")], None)),
        "0x0b",
    );
}
