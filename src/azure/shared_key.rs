//! Shared Key authorisation for storage: for Azurite, and for sites where accounts have no Entra
//! access.
//!
//! The SDK has none. String to sign: "Authorize with Shared Key" of the storage services' REST
//! reference.

use std::sync::Arc;

use aws_lc_rs::hmac;
use azure_core::http::{
    Context, Request, Url,
    policies::{Policy, PolicyResult},
};
use base64::{Engine, engine::general_purpose::STANDARD};

use super::identity::Environment;

/// The key of a storage account.
#[derive(Clone)]
pub(super) struct SharedKey {
    account: String,
    key: hmac::Key,
}

impl std::fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SharedKey({})", self.account)
    }
}

impl SharedKey {
    /// From `AZURE_STORAGE_CONNECTION_STRING`, or `AZURE_STORAGE_ACCOUNT` with `AZURE_STORAGE_KEY`,
    /// as the Azure command line knows them.
    pub(super) fn from_environment(
        environment: &Environment,
    ) -> Result<Option<Self>, &'static str> {
        let get = |name: &str| environment.get(name).filter(|value| !value.is_empty());
        let new = |account: &str, key: &str| {
            let key = STANDARD
                .decode(key)
                .map_err(|_| "the storage account's key is not base64")?;
            Ok(Some(Self {
                account: account.to_owned(),
                key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            }))
        };
        if let Some(text) = get("AZURE_STORAGE_CONNECTION_STRING") {
            let part = |name: &str| {
                let mut parts = text.split(';').filter_map(|part| part.split_once('='));
                parts
                    .find(|(key, _)| key.eq_ignore_ascii_case(name))
                    .map(|(_, value)| value.to_owned())
            };
            return match (part("AccountName"), part("AccountKey")) {
                (Some(account), Some(key)) => new(&account, &key),
                _ => Err("AZURE_STORAGE_CONNECTION_STRING lacks AccountName or AccountKey"),
            };
        }
        match (get("AZURE_STORAGE_ACCOUNT"), get("AZURE_STORAGE_KEY")) {
            (Some(account), Some(key)) => new(account, key),
            _ => Ok(None),
        }
    }

    /// Whether the URL is one of the account: in its host name, or first in its path as with
    /// Azurite.
    pub(super) fn is_for(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default().split('.').next();
        let first = url.path_segments().and_then(|mut segments| segments.next());
        host == Some(&self.account) || first == Some(&self.account)
    }

    /// `/account/path`, then the query's parameters, each on a line, in order.
    fn resource(&self, url: &Url, is_table: bool) -> String {
        let mut resource = format!("/{}{}", self.account, url.path());
        let mut pairs: Vec<_> = url
            .query_pairs()
            .map(|(name, value)| (name.to_lowercase(), value))
            .collect();
        pairs.sort();
        if is_table {
            // Only `comp` counts for tables.
            let component = pairs.iter().find(|(name, _)| name == "comp");
            return component.map_or(resource.clone(), |(_, value)| {
                format!("{resource}?comp={value}")
            });
        }
        for (name, value) in pairs {
            resource.push_str(&format!("\n{name}:{value}"));
        }
        resource
    }

    fn sign(&self, request: &Request) -> String {
        let header = |name: &'static str| {
            request
                .headers()
                .get_optional_str(&name.into())
                .unwrap_or_default()
        };
        let is_table = !header("dataserviceversion").is_empty();
        let resource = self.resource(request.url(), is_table);
        let text = if is_table {
            format!("{}\n{resource}", header("x-ms-date"))
        } else {
            let mut own: Vec<_> = request
                .headers()
                .iter()
                .filter(|(name, _)| name.as_str().starts_with("x-ms-"))
                .map(|(name, value)| format!("{}:{}\n", name.as_str(), value.as_str().trim()))
                .collect();
            own.sort();
            let length = Some(header("content-length"))
                .filter(|length| *length != "0")
                .unwrap_or_default();
            let standard = ["content-encoding", "content-language"]
                .map(header)
                .join("\n");
            let after = ["content-md5", "content-type", "date", "if-modified-since"]
                .map(header)
                .join("\n");
            let last = ["if-match", "if-none-match", "if-unmodified-since", "range"]
                .map(header)
                .join("\n");
            format!(
                "{}\n{standard}\n{length}\n{after}\n{last}\n{}{resource}",
                request.method(),
                own.concat()
            )
        };
        let scheme = if is_table {
            "SharedKeyLite"
        } else {
            "SharedKey"
        };
        format!(
            "{scheme} {}:{}",
            self.account,
            STANDARD.encode(hmac::sign(&self.key, text.as_bytes()))
        )
    }
}

#[async_trait::async_trait]
impl Policy for SharedKey {
    async fn send(
        &self,
        context: &Context,
        request: &mut Request,
        next: &[Arc<dyn Policy>],
    ) -> PolicyResult {
        request.insert_header("x-ms-date", httpdate::fmt_http_date(now()));
        let length = request.body().len().unwrap_or_default();
        request.insert_header("content-length", length.to_string());
        let signature = self.sign(request);
        request.insert_header("authorization", signature);
        match next.split_first() {
            Some((first, rest)) => first.send(context, request, rest).await,
            None => Err(azure_core::Error::with_message(
                azure_core::error::ErrorKind::Other,
                "no transport",
            )),
        }
    }
}

/// The protocol wants the time of sending.
#[expect(
    clippy::disallowed_methods,
    reason = "the protocol wants the time of sending; nothing else depends on it"
)]
fn now() -> std::time::SystemTime {
    std::time::SystemTime::now()
}
