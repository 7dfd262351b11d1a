//! What lies in a vault.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyUsagePurpose};
use serde_json::{Value, json};

use super::keys::{Kind, Material};
use crate::cloud::identity::seconds;
use crate::support::pem;

/// How a CA is to be made.
#[derive(Clone, Debug)]
pub struct CaPlan {
    pub kind: Kind,
    /// The common name.
    pub subject: String,
    /// Days from today; whole days of UTC. The key has the same dates.
    pub not_before: i64,
    pub not_after: i64,
}

impl Default for CaPlan {
    fn default() -> Self {
        Self {
            kind: Kind::P256,
            subject: "Contoso Issuing CA".into(),
            not_before: -1,
            not_after: 3650,
        }
    }
}

/// A certificate in the vault.
#[derive(Clone, Debug)]
pub struct Ca {
    pub name: String,
    pub version: String,
    pub subject: String,
    pub der: Vec<u8>,
    pub pem: String,
}

impl Ca {
    /// `https://contoso.vault.azure.net/certificates/NAME`.
    pub fn certificate_url(&self) -> String {
        format!(
            "https://{}/certificates/{}",
            crate::cloud::VAULT_HOST,
            self.name
        )
    }

    pub fn key_url(&self) -> String {
        format!("https://{}/keys/{}", crate::cloud::VAULT_HOST, self.name)
    }
}

#[derive(Clone, Debug)]
pub struct Attributes {
    pub enabled: bool,
    pub nbf: Option<u64>,
    pub exp: Option<u64>,
    pub created: u64,
}

impl Attributes {
    pub fn now() -> Self {
        Self {
            enabled: true,
            nbf: None,
            exp: None,
            created: seconds(),
        }
    }

    pub fn json(&self) -> Value {
        let mut all = json!({
            "enabled": self.enabled, "created": self.created, "updated": self.created,
            "recoveryLevel": "Recoverable+Purgeable", "recoverableDays": 90,
        });
        for (name, time) in [("nbf", self.nbf), ("exp", self.exp)] {
            if let Some(time) = time {
                all[name] = json!(time);
            }
        }
        all
    }
}

pub struct Key {
    pub version: String,
    pub material: Arc<Material>,
    pub attributes: Attributes,
    pub ops: Vec<String>,
    pub managed: bool,
}

impl Key {
    /// What a CA's keyUsage gives its key.
    pub fn signing() -> Vec<String> {
        ["sign", "verify"].map(str::to_owned).to_vec()
    }
}

pub struct Certificate {
    pub ca: Ca,
    pub attributes: Attributes,
}

#[derive(Clone)]
pub struct Secret {
    pub version: String,
    pub value: String,
    pub content_type: Option<String>,
    pub attributes: Attributes,
    pub managed: bool,
}

impl Secret {
    pub fn new(value: String, content_type: Option<String>) -> Self {
        Self {
            version: new_version(),
            value,
            content_type,
            attributes: Attributes::now(),
            managed: false,
        }
    }
}

/// Something with versions.
pub trait Versioned {
    fn version(&self) -> &str;
}

impl Versioned for Key {
    fn version(&self) -> &str {
        &self.version
    }
}

impl Versioned for Certificate {
    fn version(&self) -> &str {
        &self.ca.version
    }
}

impl Versioned for Secret {
    fn version(&self) -> &str {
        &self.version
    }
}

/// 32 hexadecimal digits.
pub fn new_version() -> String {
    let mut random = [0; 16];
    aws_lc_rs::rand::fill(&mut random).unwrap();
    random.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A self-signed CA certificate, and what the vault says of it.
pub fn certify(name: &str, plan: &CaPlan, material: &Material) -> (Ca, Attributes) {
    let key = rcgen::KeyPair::try_from(material.pkcs8.as_slice()).unwrap();
    let mut params = CertificateParams::new(vec![]).unwrap();
    let today = i64::try_from(seconds() / 86_400).unwrap();
    let (first, last) = (today + plan.not_before, today + plan.not_after);
    let [from, until] = [first, last].map(civil);
    params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
    params.not_after = rcgen::date_time_ymd(until.0, until.1, until.2);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CountryName, "DE");
    params
        .distinguished_name
        .push(DnType::OrganizationName, "Contoso");
    params
        .distinguished_name
        .push(DnType::CommonName, plan.subject.as_str());
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key).unwrap();
    let (der, pem) = (certificate.der().to_vec(), certificate.pem());
    let ca = Ca {
        name: name.to_owned(),
        version: new_version(),
        subject: plan.subject.clone(),
        der,
        pem,
    };
    let [nbf, exp] = [first, last].map(|day| u64::try_from(day * 86_400).ok());
    (
        ca,
        Attributes {
            nbf,
            exp,
            ..Attributes::now()
        },
    )
}

/// A certificate that somebody else made.
pub fn imported(name: &str, pem: &str) -> Ca {
    Ca {
        name: name.to_owned(),
        version: new_version(),
        subject: String::new(),
        der: pem::only(pem, "CERTIFICATE"),
        pem: pem.to_owned(),
    }
}

/// Year, month and day of a day since 1970 (Howard Hinnant's `civil_from_days`).
fn civil(day: i64) -> (i32, u8, u8) {
    let shifted = day + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march_first = (5 * of_year + 2) / 153;
    let month = if march_first < 10 {
        march_first + 3
    } else {
        march_first - 9
    };
    let day = of_year - (153 * march_first + 2) / 5 + 1;
    let year = year + era * 400 + i64::from(month <= 2);
    (year as i32, month as u8, day as u8)
}
