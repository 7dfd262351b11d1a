//! A relying party in Rust: given a trust anchor, a certificate and CRLs, rustls-webpki's verdict.
//! What others are asked has the same form.

use std::{fs, path::Path, time::SystemTime};

use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime, pem::PemObject};
use webpki::{
    BorrowedCertRevocationList, CertRevocationList, EndEntityCert, Error, ExpirationPolicy,
    KeyUsage, RevocationCheckDepth, RevocationOptionsBuilder, UnknownStatusPolicy,
};

/// What a client says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Good,
    Revoked,
    /// It does not believe the evidence, or finds that it says nothing. With its words.
    Refused(String),
}

impl Verdict {
    /// From `GOOD`, `REVOKED`, or anything else.
    pub fn read(line: &str) -> Self {
        match line {
            "GOOD" => Self::Good,
            "REVOKED" => Self::Revoked,
            _ => Self::Refused(line.to_owned()),
        }
    }

    /// Whether it is the other, whatever the words of a refusal.
    pub fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// What a client may go by.
#[derive(Clone, Debug)]
pub enum Evidence {
    /// Files, DER: a full CRL or all shards that matter, and deltas.
    Crls(Vec<String>),
    /// A responder's URL.
    Ocsp(String),
}

impl Evidence {
    /// Whether there is no file of this name, such as `delta`, among the CRLs.
    pub fn is_without(&self, name: &str) -> bool {
        matches!(self, Self::Crls(files) if !files.iter().any(|file| file.ends_with(&format!("/{name}.crl"))))
    }
}

/// A certificate to be judged.
#[derive(Clone, Debug)]
pub struct Question {
    /// The issuer's certificate, PEM, trusted; or, for the clients that judge CRLs, several behind
    /// each other.
    pub trust: String,
    /// PEM.
    pub leaf: String,
    pub evidence: Evidence,
}

impl Question {
    pub fn line(&self) -> String {
        let (kind, evidence) = match &self.evidence {
            Evidence::Crls(files) => ("crl", files.join(" ")),
            Evidence::Ocsp(url) => ("ocsp", url.clone()),
        };
        format!("{kind} {} {} {evidence}", self.trust, self.leaf)
    }

    pub fn crls(&self) -> &[String] {
        let Evidence::Crls(files) = &self.evidence else {
            panic!("this client is asked about CRLs only")
        };
        files
    }

    pub fn url(&self) -> &str {
        let Evidence::Ocsp(url) = &self.evidence else {
            panic!("this client is asked about OCSP only")
        };
        url
    }

    pub fn dir(&self) -> &Path {
        Path::new(&self.leaf).parent().unwrap()
    }
}

/// Questions, and what everybody is to say.
pub type Expected = Vec<(Question, Verdict)>;

pub fn refused() -> Verdict {
    Verdict::Refused(String::new())
}

pub fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let at = bytes
        .windows(old.len())
        .position(|window| window == old)
        .expect("it is there");
    [&bytes[..at], new, &bytes[at + old.len()..]].concat()
}

/// rustls-webpki, which knows no deltas.
pub fn webpki(question: &Question) -> Verdict {
    let trust = CertificateDer::pem_file_iter(&question.trust)
        .unwrap()
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    let leaf = CertificateDer::from_pem_file(&question.leaf).unwrap();
    let files: Vec<Vec<u8>> = question
        .crls()
        .iter()
        .map(|file| fs::read(file).unwrap())
        .collect();
    let lists: Result<Vec<CertRevocationList<'_>>, Error> = files
        .iter()
        .map(|der| Ok(BorrowedCertRevocationList::from_der(der)?.into()))
        .collect();
    let verdict = lists.and_then(|lists| {
        let lists: Vec<&CertRevocationList<'_>> = lists.iter().collect();
        let options = RevocationOptionsBuilder::new(&lists).expect("at least one CRL");
        let options = options
            .with_depth(RevocationCheckDepth::Chain)
            .with_status_policy(UnknownStatusPolicy::Deny);
        let options = options
            .with_expiration_policy(ExpirationPolicy::Enforce)
            .build();
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap();
        let anchors = trust
            .iter()
            .map(webpki::anchor_from_trusted_cert)
            .collect::<Result<Vec<_>, _>>()?;
        let (algorithms, usage) = (webpki::ALL_VERIFICATION_ALGS, KeyUsage::server_auth());
        let now = UnixTime::since_unix_epoch(now);
        let leaf = EndEntityCert::try_from(&leaf)?;
        leaf.verify_for_usage(algorithms, &anchors, &[], now, usage, Some(options), None)
            .map(|_| ())
    });
    match verdict {
        Ok(()) => Verdict::Good,
        Err(Error::CertRevoked) => Verdict::Revoked,
        Err(error) => Verdict::Refused(error.to_string()),
    }
}

/// Its verdict on each is what everybody is to say.
pub fn webpki_says(expected: &Expected) {
    for (question, expected) in expected {
        let verdict = webpki(question);
        assert!(
            verdict.is_like(expected),
            "it says {verdict:?}, not {expected:?}: {question:?}"
        );
    }
}
