//! A CA that got a new key or a renewed certificate, as clients see it.

use std::{fs, time::Duration};

use crate::{
    judges::{clients::Client, verdicts::all_say},
    openssl::openssl,
    support::{
        ISSUER, Plan, Site,
        ocsp::{self, IssuerId, request},
        pki, poll,
        stories::{NEXT, about_both, about_renewal, renew, rolled_over},
    },
};

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
    all_say(&[Client::OpenSsl, Client::PyHanko, Client::Java], &both);
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
}

/// The CRL and the credential are believed under the old certificate and under the renewed one.
#[test]
fn clients_believe_what_was_published_under_a_renewed_certificate() {
    let site = Plan {
        days: 60,
        ..Plan::default()
    }
    .build();
    site.leaf("good", "0a01");
    site.leaf("revoked", "0a02");
    site.revoke("0a02", "keyCompromise");
    site.publish(&[]);
    fs::copy(site.path("ca.pem"), site.path("old.pem")).unwrap();
    renew(&site, "ca.key.pem");
    site.revoke("0a03", "superseded");
    site.publish(&[]);
    all_say(
        &[
            Client::OpenSsl,
            Client::GnuTls,
            Client::PyHanko,
            Client::Java,
        ],
        &about_renewal(&site),
    );
    openssl_believes_both_certificates(&site);
}

fn openssl_believes_both_certificates(site: &Site) {
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
