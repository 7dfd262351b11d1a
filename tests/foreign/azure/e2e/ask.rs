//! Asking as relying parties do.

use std::{path::Path, process::Command, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

use super::Host;
use crate::azure::{Deployment, ISSUER};
use crate::{
    openssl::openssl_ok,
    support::{
        Output,
        ocsp::{self, IssuerId, Status, TRY_LATER},
        poll,
    },
};

pub const REQUEST: &str = "application/ocsp-request";

/// The base64 of the usual request about a serial.
fn base64(issuer: &IssuerId, serial: &str) -> String {
    STANDARD.encode(ocsp::request(&[issuer.usual(serial)], None))
}

/// A serial whose request has everything in its base64 that gets mangled: `/`, `//`, `+` and `=`.
pub fn mangled_serial(issuer: &IssuerId) -> String {
    let serials = (0u32..).flat_map(|number| {
        let random = Sha256::digest(number.to_be_bytes());
        [15, 16].map(|len| {
            random[..len]
                .iter()
                .map(|octet| format!("{octet:02x}"))
                .collect::<String>()
        })
    });
    let fits = |serial: &String| {
        let text = base64(issuer, serial);
        let lone = text.replace("//", "").contains('/');
        (b'1'..b'8').contains(&serial.as_bytes()[0])
            && lone
            && text.contains("//")
            && !text.contains("///")
            && text.contains('+')
            && text.ends_with('=')
    };
    serials.into_iter().find(fits).unwrap()
}

/// All the ways in which clients write the path.
pub fn get_paths(issuer: &IssuerId, serial: &str) -> Vec<String> {
    let plain = base64(issuer, serial);
    let encoded = plain
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D");
    let twice = encoded.replace('%', "%25");
    let slashes = plain.replace('/', "%2f");
    let url_safe = plain.replace('+', "-").replace('/', "_");
    let unpadded = plain.trim_end_matches('=').to_owned();
    let every = plain
        .bytes()
        .map(|octet| format!("%{octet:02X}"))
        .collect::<String>();
    let ways = [plain, encoded, twice, slashes, url_safe, unpadded, every];
    ways.iter()
        .flat_map(|text| [format!("/ocsp/{text}"), format!("/ocsp//{text}")])
        .collect()
}

impl Deployment {
    /// The OCSP status by POST; none where the answer is `tryLater`, or the app has just started.
    fn asked(&self, host: &Host, serial: &str) -> Option<Status> {
        let answer = host.post(
            "/ocsp",
            REQUEST,
            &ocsp::request(&[self.issuer_id().usual(serial)], None),
        );
        if answer.status == 503 {
            return None;
        }
        assert_eq!(answer.status, 200, "{answer:?}");
        (answer.body != TRY_LATER).then(|| ocsp::status(&answer.body))
    }

    pub fn ocsp(&self, host: &Host, serial: &str) -> Status {
        self.asked(host, serial).expect("an answer")
    }

    /// Waits until OCSP is answered: a new responder looks for its credential every 15 s.
    pub fn await_ocsp(&self, host: &Host) {
        poll(Duration::from_secs(40), "the first OCSP answer", || {
            self.asked(host, "01")
        });
    }

    /// The serials on the CRL that `curl` gets at the public URL and `openssl` verifies.
    pub fn fetched_crl(&self) -> Vec<String> {
        let file = self.path("fetched.crl");
        for scheme in ["http", "https"] {
            let url = format!("{}/{ISSUER}.crl", self.cloud.container_url("crl"))
                .replace("https", scheme);
            self.curl(&url, &file);
        }
        let verify = [
            "crl",
            "-inform",
            "DER",
            "-in",
            "fetched.crl",
            "-CAfile",
            "ca.pem",
            "-verify",
            "-text",
            "-noout",
        ];
        let said = openssl_ok(self.dir.path(), &verify);
        assert!(said.stderr.contains("verify OK"), "{said:?}");
        let serials = said
            .stdout
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Serial Number: "));
        serials.map(str::to_owned).collect()
    }

    pub fn curl(&self, url: &str, file: &Path) {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--fail", "--path-as-is", "--globoff", "-o"])
            .arg(file)
            .arg(url)
            .envs(self.cloud.network());
        let output = Output::of(curl.output().expect("these tests need `curl`"));
        assert_eq!(output.code, 0, "{url}: {output:?}");
    }

    /// What `openssl ocsp` says of a certificate when it asks the host itself, by POST.
    pub fn openssl_says(&self, host: &Host, serial: &str) -> String {
        let url = format!("http://127.0.0.1:{}/ocsp", host.port);
        self.openssl_ocsp(serial, &["-url", &url])
    }

    /// What it says of a response in a file.
    pub fn openssl_reads(&self, file: &Path, serial: &str) -> String {
        self.openssl_ocsp(serial, &["-no_nonce", "-respin", file.to_str().unwrap()])
    }

    fn openssl_ocsp(&self, serial: &str, source: &[&str]) -> String {
        let serial = format!("0x{serial}");
        let usual = [
            "ocsp", "-issuer", "ca.pem", "-serial", &serial, "-CAfile", "ca.pem",
        ];
        let said = openssl_ok(self.dir.path(), &[&usual[..], source].concat());
        assert!(said.stderr.contains("Response verify OK"), "{said:?}");
        let line = said
            .stdout
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{serial}: ")));
        line.unwrap_or_else(|| panic!("{said:?}")).to_owned()
    }
}
