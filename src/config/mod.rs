//! Configuration: what is to be published, where everything is, and how long it is valid.
//!
//! [`settings`] knows every key with its default, [`values`] collects what file and environment
//! say, each with its source, and `read` turns that into the checked values of this module. URLs
//! pick the drivers, so there is no mode flag.

mod read;
pub(crate) mod settings;
pub(crate) mod values;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use url::Url;
use values::{Source, ValuesError};

use crate::core::{
    crl::scope::{Contains, Scope, Shard},
    key::SignatureAlgorithm,
    key_pair::NewKey,
};

/// Everything that was configured.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the stores are.
    pub storage: Storage,
    /// How to serve.
    pub http: Http,
    /// The issuers, at least one.
    pub issuers: Vec<IssuerConfig>,
    /// Vault's mounts that are served.
    pub aliases: Vec<Alias>,
}

/// A mount of HashiCorp Vault's PKI engine, served for certificates that have its address inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// `/v1/{mount}/…`.
    pub mount: String,
    /// Whose CRL and OCSP stand there.
    pub issuer: String,
}

/// A place that a URL names; it picks the driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A file or directory on this machine.
    File(PathBuf),
    /// Something in Azure.
    Azure(Url),
}

/// Where the stores are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// The index: a file, or a Table storage account.
    pub index: Location,
    /// The shelf: a directory, or a blob container.
    pub shelf: Location,
    /// The archive, likewise.
    pub archive: Location,
    /// State that can be rebuilt, likewise.
    pub state: Location,
}

/// How to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// Where to listen.
    pub listen: SocketAddr,
    /// What relying parties call us, without a slash at the end.
    pub public_url: String,
}

/// One issuer.
#[derive(Clone, Debug)]
pub struct IssuerConfig {
    /// Its name in the index, on the shelf and in URLs.
    pub name: String,
    /// The CA certificate: a file, or a certificate in a vault.
    pub certificate: Location,
    /// The CA key: a file, or a key in a vault; none for the key that belongs to the vault's
    /// certificate.
    pub key: Option<Location>,
    /// The OCSP credential: a file, or a secret in a vault.
    pub credential: Location,
    /// What to sign with, where not the key's usual algorithm.
    pub signature: Option<SignatureAlgorithm>,
    /// How CRLs are made.
    pub crl: CrlConfig,
    /// How OCSP is answered.
    pub ocsp: OcspConfig,
}

/// How CRLs are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlConfig {
    /// nextUpdate - thisUpdate.
    pub validity: Duration,
    /// Republish at this age even if nothing changed.
    pub refresh: Duration,
    /// thisUpdate is this much before now.
    pub backdate: Duration,
    /// The URLs of the issuing distribution point of a full CRL; none unless asked for.
    pub distribution_points: Vec<String>,
    /// Those of a shard, with `{shard}` where its name stands; never empty.
    pub shard_points: Vec<String>,
    /// How delta CRLs are made; none without them.
    pub delta: Option<DeltaConfig>,
    /// How many shards there are beside the full CRL; 1: none.
    pub shards: u16,
    /// Which certificates there are at all.
    pub contains: Contains,
    /// How long after the CA certificate's end its last CRLs are valid; none: no longer than
    /// others.
    pub final_validity: Option<Duration>,
    /// From which size on a CRL is told to be large.
    pub sizes: SizeLimits,
    /// Never drop expired certificates, and say so.
    pub keep_expired: bool,
}

/// How delta CRLs are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeltaConfig {
    /// Where they are fetched.
    pub url: String,
    /// nextUpdate - thisUpdate.
    pub validity: Duration,
}

/// Sizes of a CRL in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeLimits {
    /// From which to warn.
    pub warning: u64,
    /// From which some relying parties no longer read it.
    pub alarm: u64,
}

impl CrlConfig {
    /// What is published, in this order.
    pub fn scopes(&self) -> impl Iterator<Item = Scope> {
        let delta = self.delta.is_some().then_some(Scope::Delta);
        [Scope::Full]
            .into_iter()
            .chain(delta)
            .chain(self.shards().map(Scope::Shard))
    }

    /// The shards; none where the full CRL is all.
    pub fn shards(&self) -> impl DoubleEndedIterator<Item = Shard> + use<> {
        Shard::all(if self.shards > 1 { self.shards } else { 0 })
    }

    /// nextUpdate - thisUpdate of the CRLs of a scope.
    pub fn validity_of(&self, scope: Scope) -> Duration {
        match (scope, &self.delta) {
            (Scope::Delta, Some(delta)) => delta.validity,
            _ => self.validity,
        }
    }

    /// The URLs of a scope's issuing distribution point. RFC 5280 §5.2.4: a delta CRL has that of
    /// its base.
    pub fn points_of(&self, scope: Scope) -> Vec<String> {
        match scope {
            Scope::Full | Scope::Delta => self.distribution_points.clone(),
            Scope::Shard(shard) => self
                .shard_points
                .iter()
                .map(|url| url.replace("{shard}", &shard.name()))
                .collect(),
        }
    }
}

/// How OCSP is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OcspConfig {
    /// nextUpdate - thisUpdate.
    pub validity: Duration,
    /// thisUpdate is this much before now.
    pub backdate: Duration,
    /// Answer only from an index known to be no older than this.
    pub max_staleness: Duration,
    /// What to say of serials that the index does not list.
    pub unlisted: Unlisted,
    /// The kind of the credential's key.
    pub credential_key: NewKey,
    /// Whether there is a second credential, with an RSA key, for clients that ask for it.
    pub rsa_too: bool,
    /// How long a credential is valid.
    pub credential_validity: Duration,
}

/// What to say of serials that the index does not list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlisted {
    /// The index lists revocations only.
    Good,
    /// The index lists every issued certificate.
    Unknown,
    /// Likewise, and what was never issued is called revoked (RFC 6960 §2.2).
    Revoked,
}

/// A value that cannot be used, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// File or environment cannot be read.
    #[error(transparent)]
    Values(#[from] ValuesError),
    /// A value is of no use.
    #[error("{key} = {value} ({source}): {what}", source = .origin)]
    Value {
        /// The key's path.
        key: String,
        value: String,
        origin: Source,
        /// What is wrong with it, and what would be right.
        what: String,
    },
    /// There is nothing to do.
    #[error(
        "no issuer is configured; add an [[issuer]] with name, certificate, key and credential"
    )]
    NoIssuer,
    /// Two issuers would share their rows and files.
    #[error("two issuers are named {0:?}; names must differ")]
    SameName(String),
}

impl Config {
    /// Whether anything is in Azure.
    pub fn needs_azure(&self) -> bool {
        let Storage {
            index,
            shelf,
            archive,
            state,
        } = &self.storage;
        let of_issuers = self.issuers.iter().flat_map(|issuer| {
            [
                Some(&issuer.certificate),
                issuer.key.as_ref(),
                Some(&issuer.credential),
            ]
            .into_iter()
            .flatten()
        });
        let mut all = [index, shelf, archive, state].into_iter().chain(of_issuers);
        all.any(|location| matches!(location, Location::Azure(_)))
    }
}
