//! Every configuration key with its default and its meaning.

/// One key of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its path; keys of issuers and aliases without their place in the list.
    pub key: &'static str,
    /// Its value where none is given; empty where there is none.
    pub default: &'static str,
    /// What it does, for people.
    pub about: &'static str,
}

const fn setting(key: &'static str, default: &'static str, about: &'static str) -> Setting {
    Setting {
        key,
        default,
        about,
    }
}

/// Every key, section by section. `docs/settings.md` is made from it, and a test holds the two
/// together.
pub const SETTINGS: &[Setting] = &[
    setting(
        "storage.index",
        "file:data/index.sqlite",
        "what is revoked: a SQLite file, or `https://ACCOUNT.table.core.windows.net`",
    ),
    setting(
        "storage.shelf",
        "file:data/shelf",
        "where relying parties fetch CRLs: a directory, or \
         `https://ACCOUNT.blob.core.windows.net/crl`",
    ),
    setting(
        "storage.archive",
        "file:data/archive",
        "every CRL ever published, likewise",
    ),
    setting(
        "storage.state",
        "file:data/state",
        "what can be rebuilt, likewise",
    ),
    setting(
        "http.listen",
        "127.0.0.1:8080",
        "address and port to serve on",
    ),
    setting(
        "http.public_url",
        "",
        "what relying parties call the server; `http://` and `listen` if left out",
    ),
    setting(
        "issuer.name",
        "",
        "name in the index, on the shelf and in URLs",
    ),
    setting(
        "issuer.certificate",
        "",
        "the CA certificate, PEM or DER; or `https://VAULT.vault.azure.net/certificates/NAME`",
    ),
    setting(
        "issuer.key",
        "",
        "the CA's private key, PEM, or `…/keys/NAME`; left out: the vault certificate's own",
    ),
    setting(
        "issuer.credential",
        "file:data/{name}-ocsp.pem",
        "the OCSP responder's key and certificate: a file, or `…/secrets/NAME`",
    ),
    setting(
        "issuer.signature",
        "auto",
        "`RS256` … `PS512`, `ES256` …; `auto`: what is usual for the key",
    ),
    setting("issuer.crl.validity", "7d", "nextUpdate - thisUpdate"),
    setting(
        "issuer.crl.refresh",
        "1d",
        "republish at this age even if nothing changed",
    ),
    setting(
        "issuer.crl.backdate",
        "10m",
        "thisUpdate is this much before now, for clocks that run behind",
    ),
    setting(
        "issuer.crl.delta",
        "off",
        "`off`, or the validity of delta CRLs such as `4h`; replaced, with the full CRL, at half \
         of it",
    ),
    setting(
        "issuer.crl.shards",
        "1",
        "power of two up to 256: so many CRLs beside the full one, by the last octet of the serial \
         modulo this",
    ),
    setting(
        "issuer.crl.idp",
        "auto",
        "`auto`: none on a full CRL, its own URL on a shard; or a list of http:// URLs, with \
         `{shard}` in those of shards",
    ),
    setting(
        "issuer.crl.contains",
        "all",
        "`user` or `ca`: the issuing distribution point says that there are no other certificates",
    ),
    setting(
        "issuer.crl.final_validity",
        "off",
        "CRLs made in the CA certificate's last days stay valid this long after its end, such as \
         `365d`",
    ),
    setting(
        "issuer.crl.size_warning",
        "10000000",
        "octets of a CRL from which `status` warns (Microsoft's root programme §3.1.10)",
    ),
    setting(
        "issuer.crl.size_alarm",
        "44000000",
        "octets of a CRL from which Entra no longer reads it",
    ),
    setting(
        "issuer.crl.keep_expired",
        "false",
        "`true`: never drop expired certificates, and say so",
    ),
    setting(
        "issuer.ocsp.validity",
        "12h",
        "nextUpdate - thisUpdate; answers are replaced at half of it",
    ),
    setting(
        "issuer.ocsp.backdate",
        "5m",
        "thisUpdate and producedAt are this much before now",
    ),
    setting(
        "issuer.ocsp.max_staleness",
        "10m",
        "answer `tryLater` when the index was out of reach for longer",
    ),
    setting(
        "issuer.ocsp.unlisted",
        "good",
        "answer for serials not in the index: `good`, `unknown`, or `revoked` (RFC 6960 §2.2)",
    ),
    setting(
        "issuer.ocsp.credential_key",
        "p256",
        "`p256`, `rsa2048` for clients without ECDSA, or `p256+rsa2048`: RSA for those that ask \
         for it",
    ),
    setting(
        "issuer.ocsp.credential_validity",
        "7d",
        "life of a credential; renewed at half of it",
    ),
    setting(
        "alias.mount",
        "",
        "serves `/v1/{mount}/…` the way HashiCorp Vault did",
    ),
    setting(
        "alias.issuer",
        "",
        "the name of the issuer that is served there",
    ),
];
