//! The drivers for Azure: Table storage, Blob storage, Key Vault.
//!
//! They share one identity, one HTTP client and one way to retry. No secret stands in the
//! configuration: in Azure the identity is managed; on a laptop it is that of `az login`.

pub(crate) mod blob;
mod entity;
pub(crate) mod identity;
mod retry;
mod row;
mod shared_key;
pub(crate) mod table;
pub(crate) mod vault;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use azure_core::{
    credentials::TokenCredential,
    http::{ClientOptions, RetryOptions, Transport, Url, policies::Policy},
};

use self::{
    identity::{Environment, Identity},
    shared_key::SharedKey,
    vault::Vault,
};
use crate::store::error::{DriverError, ErrorKind};

/// What all Azure drivers of a process share.
#[derive(Debug)]
pub struct Azure {
    identity: Arc<dyn TokenCredential>,
    transport: reqwest::Client,
    shared_key: Option<SharedKey>,
    /// One client for each vault: a new one costs a round trip for the challenge.
    vaults: Mutex<HashMap<String, Arc<Vault>>>,
}

impl Azure {
    /// Chooses the identity by the environment; nothing is sent yet.
    pub fn new(
        environment: &Environment,
        transport: reqwest::Client,
    ) -> Result<Arc<Self>, DriverError> {
        let operation = "choose an Azure identity";
        let identity = Identity::choose(environment)
            .open(options(&transport))
            .map_err(|error| DriverError::because(operation, ErrorKind::Denied, error))?;
        let shared_key = SharedKey::from_environment(environment).map_err(|what| {
            DriverError::because("read the storage account key", ErrorKind::Other, what)
        })?;
        Ok(Arc::new(Self {
            identity,
            transport,
            shared_key,
            vaults: Mutex::default(),
        }))
    }

    /// The vault at this address, such as `https://contoso.vault.azure.net`.
    pub fn vault(&self, address: &str) -> Result<Arc<Vault>, DriverError> {
        let mut vaults = self.vaults.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(vault) = vaults.get(address) {
            return Ok(Arc::clone(vault));
        }
        let vault = Arc::new(Vault::new(
            address,
            Arc::clone(&self.identity),
            options(&self.transport),
        )?);
        vaults.insert(address.to_owned(), Arc::clone(&vault));
        Ok(vault)
    }

    /// Who we are to Azure, for the journal: user principal name, or the object or application
    /// identifier.
    pub async fn actor(&self) -> Result<String, DriverError> {
        identity::actor(self.identity.as_ref()).await
    }

    /// How to authorise calls to a storage URL: a signature in the URL, the account's key, or the
    /// identity.
    fn storage_access(&self, url: &Url) -> (Option<Arc<dyn TokenCredential>>, ClientOptions) {
        let mut options = options(&self.transport);
        let is_signed = url.query_pairs().any(|(name, _)| name == "sig");
        match &self.shared_key {
            _ if is_signed => (None, options),
            Some(key) if key.is_for(url) => {
                let policy: Arc<dyn Policy> = Arc::new(key.clone());
                options.per_try_policies.push(policy);
                (None, options)
            }
            _ => (Some(Arc::clone(&self.identity)), options),
        }
    }
}

/// The SDK's own retries may take 80 s and have no cap on Retry-After, so [`retry`] does it.
fn options(transport: &reqwest::Client) -> ClientOptions {
    ClientOptions {
        retry: RetryOptions::none(),
        transport: Some(Transport::new(Arc::new(transport.clone()))),
        ..ClientOptions::default()
    }
}

/// The HTTP client of the process. It trusts the certificates of the system, or Mozilla's where the
/// system has none, as in some images of the Functions host; proxies come from the environment.
pub(crate) fn transport() -> Result<reqwest::Client, DriverError> {
    let operation = "set up the HTTP client";
    let native = rustls_native_certs::load_native_certs().certs;
    let roots: Vec<_> = if native.is_empty() {
        webpki_root_certs::TLS_SERVER_ROOT_CERTS.to_vec()
    } else {
        native
    };
    let roots = roots
        .iter()
        .filter_map(|root| reqwest::Certificate::from_der(root).ok());
    reqwest::Client::builder()
        .tls_certs_only(roots)
        .connect_timeout(std::time::Duration::from_secs(5))
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| DriverError::because(operation, ErrorKind::Other, error))
}
