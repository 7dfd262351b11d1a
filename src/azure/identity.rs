//! Who we are to Azure.

use std::{collections::HashMap, sync::Arc};

use azure_core::{credentials::TokenCredential, http::ClientOptions};
use azure_identity::{
    ClientAssertionCredentialOptions, ClientSecretCredential, ClientSecretCredentialOptions,
    DeveloperToolsCredential, ManagedIdentityCredential, ManagedIdentityCredentialOptions,
    UserAssignedId, WorkloadIdentityCredential, WorkloadIdentityCredentialOptions,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::retry::{Call, SMALL, call};
use crate::store::error::DriverError;

/// Environment variables by name.
pub(crate) type Environment = HashMap<String, String>;

/// Which of the ways to an identity the environment points to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// `IDENTITY_ENDPOINT` or `MSI_ENDPOINT`: Functions, App Service. `AZURE_CLIENT_ID` chooses a
    /// user-assigned one.
    Managed(Option<String>),
    /// `AZURE_FEDERATED_TOKEN_FILE`: Kubernetes and pipelines.
    Workload,
    /// `AZURE_TENANT_ID`, `AZURE_CLIENT_ID`, `AZURE_CLIENT_SECRET`.
    Secret {
        tenant: String,
        client: String,
        secret: String,
    },
    /// `az login` or `azd auth login` on a laptop.
    Developer,
}

impl Identity {
    pub(super) fn choose(environment: &Environment) -> Self {
        let get = |name: &str| {
            environment
                .get(name)
                .filter(|value| !value.is_empty())
                .cloned()
        };
        let [tenant, client, secret] =
            ["AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"].map(get);
        if get("IDENTITY_ENDPOINT")
            .or_else(|| get("MSI_ENDPOINT"))
            .is_some()
        {
            return Self::Managed(client);
        }
        match (get("AZURE_FEDERATED_TOKEN_FILE"), tenant, client, secret) {
            (Some(_), ..) => Self::Workload,
            (None, Some(tenant), Some(client), Some(secret)) => Self::Secret {
                tenant,
                client,
                secret,
            },
            _ => Self::Developer,
        }
    }

    pub(super) fn open(
        self,
        client_options: ClientOptions,
    ) -> azure_core::Result<Arc<dyn TokenCredential>> {
        Ok(match self {
            Self::Managed(client) => {
                ManagedIdentityCredential::new(Some(ManagedIdentityCredentialOptions {
                    user_assigned_id: client.map(UserAssignedId::ClientId),
                    client_options,
                }))?
            }
            Self::Workload => {
                WorkloadIdentityCredential::new(Some(WorkloadIdentityCredentialOptions {
                    credential_options: ClientAssertionCredentialOptions { client_options },
                    ..Default::default()
                }))?
            }
            Self::Secret {
                tenant,
                client,
                secret,
            } => {
                let options = Some(ClientSecretCredentialOptions { client_options });
                ClientSecretCredential::new(&tenant, client, secret.into(), options)?
            }
            Self::Developer => DeveloperToolsCredential::new(None)?,
        })
    }
}

/// The scope of tokens for storage.
pub(super) const STORAGE: &str = "https://storage.azure.com/.default";

/// Reads from a token who it was issued to. The token is not verified: it came from our own
/// identity provider, and what it says only goes into the journal.
pub(super) async fn actor(identity: &dyn TokenCredential) -> Result<String, DriverError> {
    let what = Call {
        operation: "ask for an Azure token".to_owned(),
        role: "",
        limit: SMALL,
    };
    let token = call(&what, || identity.get_token(&[STORAGE], None)).await?;
    Ok(claims(token.token.secret()).unwrap_or_else(|| "an Azure identity".to_owned()))
}

fn claims(token: &str) -> Option<String> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&payload).ok()?;
    let get = |name: &str| claims.get(name)?.as_str().map(str::to_owned);
    get("upn")
        .or_else(|| get("preferred_username"))
        .or_else(|| match (get("oid"), get("appid")) {
            (Some(oid), Some(app)) => Some(format!("oid {oid} (app {app})")),
            (Some(oid), None) => Some(format!("oid {oid}")),
            (None, app) => app.map(|app| format!("app {app}")),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        pairs
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect()
    }

    #[test]
    fn the_environment_chooses_the_identity() {
        let functions = [("IDENTITY_ENDPOINT", "http://x"), ("AZURE_CLIENT_ID", "c")];
        assert_eq!(
            Identity::choose(&environment(&functions)),
            Identity::Managed(Some("c".into()))
        );
        let kubernetes = [
            ("AZURE_FEDERATED_TOKEN_FILE", "/t"),
            ("AZURE_CLIENT_ID", "c"),
        ];
        assert_eq!(
            Identity::choose(&environment(&kubernetes)),
            Identity::Workload
        );
        let secret = [
            ("AZURE_TENANT_ID", "t"),
            ("AZURE_CLIENT_ID", "c"),
            ("AZURE_CLIENT_SECRET", "s"),
        ];
        assert!(matches!(
            Identity::choose(&environment(&secret)),
            Identity::Secret { .. }
        ));
        assert_eq!(Identity::choose(&environment(&[])), Identity::Developer);
    }

    #[test]
    fn the_actor_is_what_the_token_says() {
        let token = |claims: &str| format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims));
        assert_eq!(
            claims(&token(r#"{"upn":"ann@contoso.example","oid":"1"}"#)),
            Some("ann@contoso.example".into())
        );
        assert_eq!(
            claims(&token(r#"{"oid":"1","appid":"2"}"#)),
            Some("oid 1 (app 2)".into())
        );
        assert_eq!(claims("nonsense"), None);
    }
}
