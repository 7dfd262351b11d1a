//! Taking over another CA's revocations, where OpenSSL made the CRL, and says what is in it and in
//! ours.

use std::{collections::BTreeMap, fs};

use crate::{
    openssl::openssl_ok,
    support::{
        ISSUER, Site,
        stories::{amazon, fabrikam, many_revocations},
    },
};

/// What OpenSSL reads in a DER CRL: date, reason and invalidity date by serial.
fn openssl_text(site: &Site, crl: &str) -> BTreeMap<String, Vec<String>> {
    let text = openssl_ok(
        site.dir(),
        &["crl", "-inform", "DER", "-in", crl, "-noout", "-text"],
    )
    .stdout;
    let mut found = BTreeMap::new();
    let mut entry: Option<(String, Vec<String>)> = None;
    for line in text.lines().map(str::trim) {
        if let Some(serial) = line.strip_prefix("Serial Number: ") {
            found.extend(entry.replace((serial.to_owned(), vec![])));
        } else if line.starts_with("Signature Algorithm:") {
            found.extend(entry.take());
        } else if let Some((_, facts)) = &mut entry {
            facts.push(line.to_owned());
        }
    }
    found
}

/// Takes `crl` over whole, and holds what is published against it.
fn takes_over(site: &Site, crl: &str, ca: &str) {
    let wanted = openssl_text(site, crl);
    assert_eq!(wanted.len(), 14_102);
    site.ok(&[
        "import",
        "--issuer",
        ISSUER,
        "--from",
        "crl",
        "--ca-cert",
        ca,
        crl,
    ]);
    site.publish(&[]);
    let published = openssl_text(site, site.shelf(".crl").to_str().unwrap());
    assert!(
        published == wanted,
        "serials, dates or reasons are not those of the CRL that was imported"
    );
}

#[test]
fn openssl_finds_a_real_crl_of_14102_entries_in_ours() {
    let Some((crl, ca)) = amazon() else { return };
    takes_over(&Site::new(), &crl, &ca);
}

/// Another CA, and what `openssl ca -gencrl` needs to make its CRLs.
struct OldCa {
    site: Site,
}

impl OldCa {
    fn new() -> Self {
        Self { site: fabrikam() }
    }

    fn ca(&self) -> String {
        self.site.file("ca.pem")
    }

    /// A CRL of `index`, the lines of an `index.txt`, with a number in hexadecimal and more
    /// extensions.
    fn crl(&self, name: &str, index: &str, number: &str, extensions: &str) -> String {
        let site = &self.site;
        let config = format!(
            "[ca]\ndefault_ca = d\n[d]\ndatabase = index.txt\ncrlnumber = number\ndefault_md = \
             sha256\n\
             crl_extensions = x\n[x]\nauthorityKeyIdentifier = keyid\n{extensions}"
        );
        fs::write(site.path("ca.cnf"), config).unwrap();
        fs::write(site.path("index.txt"), index).unwrap();
        fs::write(site.path("number"), number).unwrap();
        let pem = site.file("gen.pem");
        let args = [
            "ca",
            "-gencrl",
            "-config",
            "ca.cnf",
            "-cert",
            "ca.pem",
            "-keyfile",
            "ca.key.pem",
            "-crldays",
            "7",
        ];
        openssl_ok(site.dir(), &[&args[..], &["-out", &pem]].concat());
        let out = site.file(name);
        openssl_ok(
            site.dir(),
            &["crl", "-in", &pem, "-outform", "DER", "-out", &out],
        );
        out
    }
}

/// One line of an `index.txt`.
fn line(serial: &str, date_and_reason: &str) -> String {
    format!("R\t301231235959Z\t{date_and_reason}\t{serial}\tunknown\t/CN={serial}\n")
}

#[test]
fn openssl_finds_a_crl_that_it_made_in_ours() {
    let mut index = String::new();
    for (serial, date, reason) in many_revocations() {
        let reason = reason.map(|name| format!(",{name}")).unwrap_or_default();
        index += &line(&serial, &format!("{date}{reason}"));
    }
    let old = OldCa::new();
    let point = "2.5.29.28 = critical, ASN1:SEQUENCE:idp\n[idp]\nname = IMPLICIT:0,SEQUENCE:full\n\
                 [full]\nnames = IMPLICIT:0,SEQUENCE:uris\n[uris]\nuri = \
                 IMPLICIT:6,IA5STRING:http://crl.fabrikam.example/1.crl\n";
    // A number above the seconds since 1970, so that only the floor makes ours rise above it.
    let crl = old.crl("old.crl", &index, "0200000000", point);
    takes_over(&Site::new(), &crl, &old.ca());
}
