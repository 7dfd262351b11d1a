//! A Key Vault on the wire: certificates, keys that sign, and secrets, with versions.

mod http;
mod keys;
mod objects;

use std::{collections::BTreeMap, sync::Mutex};

pub use http::refusal;
pub use keys::Kind;
pub use objects::CaPlan;

use keys::Material;
use objects::{Attributes, Ca, Certificate, Key, Secret};

use crate::support::pem;

/// What was signed.
#[derive(Clone, Debug)]
pub struct Signed {
    pub key: String,
    pub version: String,
    pub algorithm: String,
    pub digest: Vec<u8>,
    /// Whose token it was.
    pub who: String,
}

/// How often something was done; refusals do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub signs: usize,
    pub key_gets: usize,
    pub certificate_gets: usize,
    pub secret_gets: usize,
    pub secret_sets: usize,
}

#[derive(Default)]
struct State {
    certificates: BTreeMap<String, Vec<Certificate>>,
    keys: BTreeMap<String, Vec<Key>>,
    secrets: BTreeMap<String, Vec<Secret>>,
    signed: Vec<Signed>,
    counts: Counts,
    /// How many of the next signatures shall be wrong.
    corrupt: usize,
    /// How many RSA keys this vault has been given.
    made: usize,
}

/// One vault; whatever host of the service is asked, it is this one.
#[derive(Default)]
pub struct Vault {
    state: Mutex<State>,
}

impl Vault {
    /// A new CA with the usual dates; see [`Vault::create_ca_as`].
    pub fn create_ca(&self, name: &str, kind: Kind) -> Ca {
        self.create_ca_as(
            name,
            &CaPlan {
                kind,
                ..CaPlan::default()
            },
        )
    }

    /// A self-signed CA: a certificate, its key, and (not exportable) the certificate as a secret.
    ///
    /// Where the name is taken this is a new version: a rollover.
    pub fn create_ca_as(&self, name: &str, plan: &CaPlan) -> Ca {
        let nth = {
            let mut state = self.state.lock().unwrap();
            state.made += 1;
            state.made - 1
        };
        let material = Material::nth(plan.kind, nth);
        self.certify(name, plan, material)
    }

    /// A new version with a new key under the same name and subject.
    pub fn new_version(&self, name: &str, kind: Kind) -> Ca {
        let subject = self.ca(name).subject;
        self.create_ca_as(
            name,
            &CaPlan {
                kind,
                subject,
                ..CaPlan::default()
            },
        )
    }

    /// A new version with the same key (`reuse_key`), and the dates of `plan`.
    pub fn renew(&self, name: &str, plan: &CaPlan) -> Ca {
        let material = self.with_key(name, |key| key.material.clone());
        let subject = self.ca(name).subject;
        self.certify(
            name,
            &CaPlan {
                subject,
                ..plan.clone()
            },
            material,
        )
    }

    fn certify(&self, name: &str, plan: &CaPlan, material: std::sync::Arc<Material>) -> Ca {
        let (ca, attributes) = objects::certify(name, plan, &material);
        let pem = ca.pem.clone();
        self.put(name, ca, attributes, material, pem)
    }

    /// What an administrator imports: a certificate whose key is exportable, and so part of the
    /// secret of that name.
    pub fn import(&self, name: &str, key_pem: &str, certificate_pem: &str) -> Ca {
        let ca = objects::imported(name, certificate_pem);
        let pem = key_pem.trim().to_owned() + "\n" + certificate_pem;
        let material = std::sync::Arc::new(Material::import(&pem::only(key_pem, "PRIVATE KEY")));
        self.put(name, ca, Attributes::now(), material, pem)
    }

    /// A new version: the certificate, its key, and a secret with `pem`.
    fn put(
        &self,
        name: &str,
        ca: Ca,
        attributes: Attributes,
        material: std::sync::Arc<Material>,
        pem: String,
    ) -> Ca {
        let mut state = self.state.lock().unwrap();
        let version = ca.version.clone();
        let key = Key {
            version: version.clone(),
            material,
            attributes: attributes.clone(),
            ops: Key::signing(),
            managed: true,
        };
        state.keys.entry(name.to_owned()).or_default().push(key);
        let secret = Secret {
            version,
            value: pem,
            content_type: Some("application/x-pem-file".into()),
            attributes: attributes.clone(),
            managed: true,
        };
        state
            .secrets
            .entry(name.to_owned())
            .or_default()
            .push(secret);
        let certificate = Certificate {
            ca: ca.clone(),
            attributes,
        };
        state
            .certificates
            .entry(name.to_owned())
            .or_default()
            .push(certificate);
        ca
    }

    /// Sets a secret without asking for a token.
    pub fn set_secret(&self, name: &str, value: &str, content_type: &str) {
        let secret = Secret::new(value.to_owned(), Some(content_type.to_owned()));
        self.state
            .lock()
            .unwrap()
            .secrets
            .entry(name.to_owned())
            .or_default()
            .push(secret);
    }

    /// The newest version of a CA.
    pub fn ca(&self, name: &str) -> Ca {
        let state = self.state.lock().unwrap();
        let newest = state
            .certificates
            .get(name)
            .and_then(|versions| versions.last());
        newest
            .unwrap_or_else(|| panic!("there is no certificate {name}"))
            .ca
            .clone()
    }

    /// A key's private half, PKCS #8 PEM: for tests that issue certificates with it.
    pub fn key_pem(&self, name: &str) -> String {
        self.with_key(name, |key| pem::write("PRIVATE KEY", &key.material.pkcs8))
    }

    fn with_key<T>(&self, name: &str, look: impl FnOnce(&mut Key) -> T) -> T {
        let mut state = self.state.lock().unwrap();
        let newest = state
            .keys
            .get_mut(name)
            .and_then(|versions| versions.last_mut());
        look(newest.unwrap_or_else(|| panic!("there is no key {name}")))
    }

    /// Disables or enables the newest version of a key.
    pub fn enable_key(&self, name: &str, enabled: bool) {
        self.with_key(name, |key| key.attributes.enabled = enabled);
    }

    /// Sets from when and until when a key may be used; seconds since 1970.
    pub fn set_key_dates(&self, name: &str, nbf: Option<u64>, exp: Option<u64>) {
        self.with_key(name, |key| {
            (key.attributes.nbf, key.attributes.exp) = (nbf, exp)
        });
    }

    pub fn set_key_ops(&self, name: &str, ops: &[&str]) {
        self.with_key(name, |key| {
            key.ops = ops.iter().map(|op| (*op).to_owned()).collect()
        });
    }

    /// The newest version of a secret, and its content type.
    pub fn secret(&self, name: &str) -> Option<(String, Option<String>)> {
        let state = self.state.lock().unwrap();
        let newest = state.secrets.get(name)?.last()?;
        Some((newest.value.clone(), newest.content_type.clone()))
    }

    /// How many versions a secret has.
    pub fn secret_versions(&self, name: &str) -> usize {
        self.state
            .lock()
            .unwrap()
            .secrets
            .get(name)
            .map_or(0, Vec::len)
    }

    /// Deletes whatever has the name.
    pub fn delete(&self, name: &str) {
        let mut state = self.state.lock().unwrap();
        state.certificates.remove(name);
        state.keys.remove(name);
        state.secrets.remove(name);
    }

    /// Makes the next `count` signatures wrong, in one bit.
    pub fn corrupt_signatures(&self, count: usize) {
        self.state.lock().unwrap().corrupt = count;
    }

    pub fn signed(&self) -> Vec<Signed> {
        self.state.lock().unwrap().signed.clone()
    }

    pub fn counts(&self) -> Counts {
        self.state.lock().unwrap().counts
    }
}
