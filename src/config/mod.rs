//! Configuration: what is to be published, where everything is, and how long it is valid.
//!
//! [`settings`] knows every key with its default and collects values from file and environment,
//! each with its source; this module turns them into checked values. URLs pick the drivers, so
//! there is no mode flag.

pub mod settings;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use settings::{SettingsError, Source, Values};
use url::Url;

use crate::{
    core::{
        crl::scope::{Contains, MAX_SHARDS, Scope, Shard},
        key::SignatureAlgorithm,
        key_pair::NewKey,
    },
    store::object::Object,
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
    /// Where delta CRLs are fetched, and their validity; none without them.
    pub delta: Option<(String, Duration)>,
    /// How many shards there are beside the full CRL; 1: none.
    pub shards: u16,
    /// Which certificates there are at all.
    pub contains: Contains,
    /// How long after the CA certificate's end its last CRLs are valid; none: no longer than
    /// others.
    pub final_validity: Option<Duration>,
    /// Octets of a CRL from which to warn, and from which some relying parties no longer read it.
    pub sizes: (u64, u64),
    /// Never drop expired certificates, and say so.
    pub keep_expired: bool,
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
            (Scope::Delta, Some((_, validity))) => *validity,
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
    Settings(#[from] SettingsError),
    /// A value is of no use.
    #[error("{key} = {value} ({source}): {what}", source = .origin)]
    Value {
        /// The key's path.
        key: String,
        /// What was given.
        value: String,
        /// Where.
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
    /// Checks collected values. Relative paths start at `folder`.
    pub fn from_values(values: &Values, folder: &Path) -> Result<Self, ConfigError> {
        let read = Read { values, folder };
        let storage = Storage {
            index: read.location(
                "storage.index",
                is_account,
                "https://ACCOUNT.table.core.windows.net",
            )?,
            shelf: read.location(
                "storage.shelf",
                is_container,
                "https://ACCOUNT.blob.core.windows.net/CONTAINER",
            )?,
            archive: read.location(
                "storage.archive",
                is_container,
                "https://ACCOUNT.blob.core.windows.net/CONTAINER",
            )?,
            state: read.location(
                "storage.state",
                is_container,
                "https://ACCOUNT.blob.core.windows.net/CONTAINER",
            )?,
        };
        let listen = read.parse(
            "http.listen",
            "is not an address like 127.0.0.1:8080",
            |text| text.parse().ok(),
        )?;
        let public_url = read.parse(
            "http.public_url",
            "is not an http:// or https:// URL",
            |text| {
                let url = if text.is_empty() {
                    format!("http://{listen}")
                } else {
                    text.to_owned()
                };
                (url.starts_with("http://") || url.starts_with("https://"))
                    .then(|| url.trim_end_matches('/').to_owned())
            },
        )?;
        let issuers: Vec<_> = (0..values.issuers())
            .map(|at| read.issuer(at, &public_url))
            .collect::<Result<_, _>>()?;
        if issuers.is_empty() {
            return Err(ConfigError::NoIssuer);
        }
        for (at, issuer) in issuers.iter().enumerate() {
            if issuers[..at].iter().any(|other| other.name == issuer.name) {
                return Err(ConfigError::SameName(issuer.name.clone()));
            }
        }
        let aliases = (0..values.aliases())
            .map(|at| read.alias(at, &issuers))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            storage,
            http: Http { listen, public_url },
            issuers,
            aliases,
        })
    }
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

/// Reads values by key, with errors that say where each stands.
struct Read<'a> {
    values: &'a Values,
    folder: &'a Path,
}

impl Read<'_> {
    fn parse<T>(
        &self,
        key: &str,
        what: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, ConfigError> {
        let (text, _) = self.values.text(key);
        parse(text).ok_or_else(|| self.error(key, what))
    }

    fn error(&self, key: &str, what: impl Into<String>) -> ConfigError {
        let (text, origin) = self.values.text(key);
        ConfigError::Value {
            key: key.to_owned(),
            value: format!("{:?}", settings::shown(text)),
            origin: origin.clone(),
            what: what.into(),
        }
    }

    /// A `file:` path, or a URL that `fits`; `form` shows one that does.
    fn location(
        &self,
        key: &str,
        fits: impl Fn(&Url) -> bool,
        form: &str,
    ) -> Result<Location, ConfigError> {
        let (text, _) = self.values.text(key);
        match text.strip_prefix("file:") {
            Some("") => return Err(self.error(key, "names no file")),
            Some(path) => return Ok(Location::File(self.folder.join(path))),
            None if text.is_empty() => {
                return Err(self.error(
                    key,
                    format!("must be given: \"file:PATH\", or a URL like {form}"),
                ));
            }
            None => {}
        }
        match Url::parse(text) {
            Ok(url) if fits(&url) => Ok(Location::Azure(url)),
            _ => Err(self.error(
                key,
                format!("is neither \"file:PATH\" nor a URL like {form}"),
            )),
        }
    }

    fn object(&self, key: &str, kind: &str) -> Result<Location, ConfigError> {
        let form = format!("https://VAULT.vault.azure.net/{kind}/NAME");
        self.location(key, |url| Object::parse(url, kind).is_some(), &form)
    }

    fn duration(&self, key: &str) -> Result<Duration, ConfigError> {
        let duration = self.parse(key, "is not a duration like 90s, 10m, 12h or 7d", |text| {
            humantime::parse_duration(text).ok()
        })?;
        if duration.subsec_nanos() != 0 {
            return Err(self.error(key, "is not whole seconds"));
        }
        Ok(duration)
    }

    fn off_or_duration(&self, key: &str) -> Result<Option<Duration>, ConfigError> {
        if self.values.text(key).0 == "off" {
            Ok(None)
        } else {
            self.duration(key).map(Some)
        }
    }

    fn issuer(&self, at: usize, public_url: &str) -> Result<IssuerConfig, ConfigError> {
        let key = |key: &str| format!("issuer.{at}.{key}");
        let name = self.parse(&key("name"), NAME_RULE, |text| {
            is_name(text).then(|| text.to_owned())
        })?;
        let signature = self.parse(
            &key("signature"),
            "is not auto, or one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512",
            |text| match text {
                "auto" => Some(None),
                name => SignatureAlgorithm::from_name(name).map(Some),
            },
        )?;
        let ca_key = match self.values.text(&key("key")).0 {
            "" => None,
            _ => Some(self.object(&key("key"), "keys")?),
        };
        Ok(IssuerConfig {
            certificate: self.object(&key("certificate"), "certificates")?,
            key: ca_key,
            credential: self.object(&key("credential"), "secrets")?,
            signature,
            crl: self.crl(&key("crl"), &format!("{public_url}/crl/{name}"))?,

            ocsp: self.ocsp(&key("ocsp"))?,
            name,
        })
    }

    fn alias(&self, at: usize, issuers: &[IssuerConfig]) -> Result<Alias, ConfigError> {
        let mount = self.parse(
            &format!("alias.{at}.mount"),
            "is not a mount like pki_int",
            |text| {
                let text = text.trim_matches('/');
                (!text.is_empty()).then(|| text.to_owned())
            },
        )?;
        let issuer = self.parse(
            &format!("alias.{at}.issuer"),
            "is not the name of an [[issuer]]",
            |text| {
                issuers
                    .iter()
                    .find(|issuer| issuer.name == text)
                    .map(|issuer| issuer.name.clone())
            },
        )?;
        Ok(Alias { mount, issuer })
    }

    /// `url` is where the issuer's CRLs are fetched, without what tells them apart.
    fn crl(&self, section: &str, url: &str) -> Result<CrlConfig, ConfigError> {
        let key = |key: &str| format!("{section}.{key}");
        let (shard_points, distribution_points) = self
            .distribution_points(&key("idp"))?
            .into_iter()
            .partition::<Vec<_>, _>(|url| url.contains("{shard}"));
        let shard_points = if shard_points.is_empty() {
            vec![format!("{url}/{{shard}}.crl")]
        } else {
            shard_points
        };
        let delta = self.off_or_duration(&key("delta"))?;
        let crl = CrlConfig {
            validity: self.duration(&key("validity"))?,
            // RFC 5280 §5.2.4: whenever a delta CRL is issued, so is a complete one.
            refresh: delta
                .iter()
                .map(|delta| *delta / 2)
                .fold(self.duration(&key("refresh"))?, Duration::min),
            backdate: self.duration(&key("backdate"))?,
            distribution_points,
            shard_points,
            delta: delta.map(|delta| (format!("{url}-delta.crl"), delta)),
            shards: self.parse(&key("shards"), "is not a power of two up to 256", |text| {
                text.parse()
                    .ok()
                    .filter(|count: &u16| count.is_power_of_two() && *count <= MAX_SHARDS)
            })?,
            contains: self.parse(
                &key("contains"),
                "is not all, user or ca",
                |text| match text {
                    "all" => Some(Contains::All),
                    "user" => Some(Contains::User),
                    "ca" => Some(Contains::Ca),
                    _ => None,
                },
            )?,
            final_validity: self.off_or_duration(&key("final_validity"))?,
            sizes: {
                let octets = |name| {
                    self.parse(&key(name), "is not a number of octets", |text| {
                        text.parse().ok()
                    })
                };
                (octets("size_warning")?, octets("size_alarm")?)
            },
            keep_expired: self.parse(&key("keep_expired"), "is not true or false", |text| {
                text.parse().ok()
            })?,
        };
        if crl.refresh + crl.backdate >= crl.validity {
            let what = "must be longer than refresh and backdate together, or CRLs would go stale \
                        before the next one";
            return Err(self.error(&key("validity"), what));
        }
        // RFC 5280 §5.1.2.5 times are seconds; leave room for at least one retry by the timer.
        if crl.refresh < Duration::from_secs(60) {
            return Err(self.error(
                &key("refresh"),
                "is shorter than a minute, the timer's tick",
            ));
        }
        if delta.is_some_and(|delta| {
            delta < 2 * crl.backdate.max(Duration::from_secs(120)) || delta > crl.validity
        }) {
            let what = "must be at least four minutes and twice backdate, and at most validity";
            return Err(self.error(&key("delta"), what));
        }
        Ok(crl)
    }

    fn distribution_points(&self, key: &str) -> Result<Vec<String>, ConfigError> {
        let (urls, _) = self.values.list(key);
        if urls == ["auto"] {
            return Ok(vec![]);
        }
        let good = |url: &String| {
            url.starts_with("http://") && url.is_ascii() && !url.contains(char::is_whitespace)
        };
        match urls.iter().all(good) && !urls.is_empty() {
            true => Ok(urls.to_vec()),
            // RFC 5280 §4.2.1.13: http or ldap; and https would need the very check it is part of.
            false => Err(self.error(key, "is neither \"auto\" nor a list of http:// URLs")),
        }
    }

    fn ocsp(&self, section: &str) -> Result<OcspConfig, ConfigError> {
        let key = |key: &str| format!("{section}.{key}");
        let what = "is not \"p256\", \"rsa2048\" or \"p256+rsa2048\"";
        let (credential_key, rsa_too) =
            self.parse(&key("credential_key"), what, |text| match text {
                "p256" => Some((NewKey::P256, false)),
                "rsa2048" => Some((NewKey::Rsa2048, false)),
                "p256+rsa2048" => Some((NewKey::P256, true)),
                _ => None,
            })?;
        let ocsp = OcspConfig {
            validity: self.duration(&key("validity"))?,
            backdate: self.duration(&key("backdate"))?,
            max_staleness: self.duration(&key("max_staleness"))?,
            unlisted: self.parse(
                &key("unlisted"),
                "is not \"good\", \"unknown\" or \"revoked\"",
                |text| match text {
                    "good" => Some(Unlisted::Good),
                    "unknown" => Some(Unlisted::Unknown),
                    "revoked" => Some(Unlisted::Revoked),
                    _ => None,
                },
            )?,
            credential_key,
            rsa_too,
            credential_validity: self.duration(&key("credential_validity"))?,
        };
        if ocsp.backdate * 2 >= ocsp.validity {
            return Err(self.error(
                &key("validity"),
                "must be more than twice backdate: answers are replaced at half of it",
            ));
        }
        if ocsp.max_staleness < Duration::from_secs(10) {
            return Err(self.error(
                &key("max_staleness"),
                "is shorter than 10s, twice the time between looks at the index",
            ));
        }
        if ocsp.credential_validity < Duration::from_secs(3600) {
            return Err(self.error(&key("credential_validity"), "is shorter than an hour"));
        }
        Ok(ocsp)
    }
}

/// Whether a URL may be that of a storage account. Only Azurite and its like speak plain HTTP, on
/// this machine.
fn is_account(url: &Url) -> bool {
    let is_local = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    url.has_host() && (url.scheme() == "https" || (url.scheme() == "http" && is_local))
}

/// Whether a URL may be that of a container: the account's, and a path.
fn is_container(url: &Url) -> bool {
    is_account(url) && !url.path().trim_matches('/').is_empty()
}

/// The rule for issuer names, as an error says it.
const NAME_RULE: &str = "is not a name of 1 to 63 lower-case letters, digits and hyphens that \
                         begins with a letter or digit";

/// Whether an issuer may have this name: it stands in URLs, file names, blob names and table keys.
/// A name cannot end like another issuer's delta or shard.
fn is_name(text: &str) -> bool {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&text.len())
        && text.chars().all(good)
        && !text.starts_with('-')
        && !text.ends_with("-delta")
}
