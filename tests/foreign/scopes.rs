//! Delta CRLs and shards, as OpenSSL and pkilint see them.

use std::fs;

use crate::{
    openssl::{openssl, openssl_ok},
    support::{ISSUER, Site, pki::Extension},
    tools,
};

#[test]
fn openssl_sees_a_released_hold_as_good_by_the_delta() {
    let site = Site::with_settings("[issuer.crl]\ndelta = \"4h\"\n");
    let full = [("full", "7a01"), ("held", "7a02"), ("late", "7a03")];
    for (name, serial) in full {
        site.leaf_with(
            name,
            serial,
            &[Extension::Delta("http://pki.contoso.example/delta")],
        );
    }
    site.revoke("7a02", "certificateHold");
    site.publish(&[]);
    fs::write(site.path("base.crl"), site.crl_bytes()).unwrap();
    site.ok(&["release", "--issuer", ISSUER, "--serial", "7a02"]);
    site.revoke("7a03", "keyCompromise");
    site.publish(&[]);
    fs::copy(site.shelf("-delta.crl"), site.path("delta.crl")).unwrap();
    let pem = |name: &str| {
        let out = format!("{name}.pem");
        openssl_ok(
            site.dir(),
            &["crl", "-inform", "DER", "-in", name, "-out", &out],
        );
        fs::read_to_string(site.path(&out)).unwrap()
    };
    fs::write(site.path("both.pem"), pem("base.crl") + &pem("delta.crl")).unwrap();
    let check = |name: &str, crls: &str, deltas: &[&str]| {
        let leaf = format!("{name}.pem");
        let first = [
            "verify",
            "-CAfile",
            "ca.pem",
            "-crl_check",
            "-CRLfile",
            crls,
        ];
        openssl(site.dir(), &[&first, deltas, &[&leaf]].concat())
    };
    let deltas = &["-extended_crl", "-use_deltas"];
    assert!(
        check("held", "base.crl.pem", &[])
            .stderr
            .contains("error 23")
    );
    assert_eq!(check("late", "base.crl.pem", &[]).code, 0);
    for (name, good) in [("full", true), ("held", true), ("late", false)] {
        let said = check(name, "both.pem", deltas);
        assert_eq!(said.code == 0, good, "{name}: {said:?}");
        assert!(good || said.stderr.contains("error 23"), "{name}: {said:?}");
    }
    let tasks = [
        "crl".to_owned(),
        site.file("delta.crl"),
        site.file("ca.pem"),
    ];
    assert_eq!(tools::complaints(&tasks), "");
}

#[test]
fn openssl_takes_a_shard_only_for_the_certificates_that_name_it() {
    let site = Site::with_settings("[issuer.crl]\nshards = 4\n");
    let leaf = |name: &str, serial: &str| {
        let url = site.json(&["urls", "--issuer", ISSUER, "--serial", serial])["crl"]
            .as_str()
            .unwrap()
            .to_owned();
        site.leaf_with(name, serial, &[Extension::Crl(&url)]);
    };
    leaf("good", "7b05");
    leaf("revoked", "7b09");
    leaf("elsewhere", "7b06");
    site.revoke("7b09", "keyCompromise");
    site.publish(&[]);
    let shelf = format!("data/shelf/{ISSUER}/01.crl");
    openssl_ok(
        site.dir(),
        &["crl", "-inform", "DER", "-in", &shelf, "-out", "01.pem"],
    );
    let check = |name: &str| {
        let leaf = format!("{name}.pem");
        openssl(
            site.dir(),
            &[
                "verify",
                "-CAfile",
                "ca.pem",
                "-crl_check",
                "-CRLfile",
                "01.pem",
                &leaf,
            ],
        )
    };
    assert_eq!(check("good").code, 0, "{:?}", check("good"));
    assert!(
        check("revoked").stderr.contains("error 23"),
        "{:?}",
        check("revoked")
    );
    assert!(
        check("elsewhere").stderr.contains("error 44"),
        "{:?}",
        check("elsewhere")
    );
    let tasks: Vec<_> = ["00", "01", "02", "03"]
        .iter()
        .flat_map(|name| {
            [
                "crl".to_owned(),
                site.file(&format!("data/shelf/{ISSUER}/{name}.crl")),
                site.file("ca.pem"),
            ]
        })
        .collect();
    assert_eq!(tools::complaints(&tasks), "");
}
