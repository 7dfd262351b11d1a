//! Who may do what, and the tokens that say who it is: the managed identity's endpoint and
//! Microsoft Entra.

use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The directory that all tests are in.
pub const TENANT: &str = "72f988bf-0000-4000-8000-2d7cd011db47";

/// What a role assignment allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    KeyGet,
    KeySign,
    CertificateGet,
    SecretGet,
    SecretSet,
    TableRead,
    TableWrite,
    BlobRead,
    BlobWrite,
}

impl Right {
    /// Everything that a publisher needs.
    pub const ALL: [Self; 9] = [
        Self::KeyGet,
        Self::KeySign,
        Self::CertificateGet,
        Self::SecretGet,
        Self::SecretSet,
        Self::TableRead,
        Self::TableWrite,
        Self::BlobRead,
        Self::BlobWrite,
    ];
    /// No key, and nothing written.
    pub const RESPONDER: [Self; 4] = [
        Self::CertificateGet,
        Self::SecretGet,
        Self::TableRead,
        Self::BlobRead,
    ];
}

/// A service principal, or a person.
#[derive(Clone, Debug)]
pub struct Identity {
    pub name: String,
    pub object_id: String,
    pub client_id: String,
    /// People have one.
    pub upn: Option<String>,
    /// The managed identity endpoint's password.
    pub header: String,
    pub rights: Vec<Right>,
}

#[derive(Debug)]
pub struct Identities {
    /// Signs tokens; another test's are strangers.
    secret: [u8; 32],
    known: Mutex<HashMap<String, Identity>>,
    lifetime: Mutex<Duration>,
}

/// What is wrong with a token.
#[derive(Debug)]
pub enum Refused {
    Forged,
    Expired,
    /// It is for another service: this one.
    Audience(String),
}

impl Identities {
    pub fn new() -> Self {
        let mut secret = [0; 32];
        aws_lc_rs::rand::fill(&mut secret).unwrap();
        let all = Self {
            secret,
            known: Mutex::default(),
            lifetime: Mutex::new(Duration::from_secs(86_400)),
        };
        all.add("publisher", None, &Right::ALL);
        all.add("responder", None, &Right::RESPONDER);
        all
    }

    pub fn add(&self, name: &str, upn: Option<&str>, rights: &[Right]) -> Identity {
        let [object_id, client_id, header] =
            ["oid", "appid", "header"].map(|what| self.guid(name, what));
        let upn = upn.map(str::to_owned);
        let identity = Identity {
            name: name.to_owned(),
            object_id,
            client_id,
            upn,
            header,
            rights: rights.to_vec(),
        };
        self.known
            .lock()
            .unwrap()
            .insert(name.to_owned(), identity.clone());
        identity
    }

    pub fn get(&self, name: &str) -> Identity {
        self.known
            .lock()
            .unwrap()
            .get(name)
            .unwrap_or_else(|| panic!("nobody is called {name}"))
            .clone()
    }

    fn find(&self, wanted: impl Fn(&Identity) -> bool) -> Option<Identity> {
        self.known
            .lock()
            .unwrap()
            .values()
            .find(|one| wanted(one))
            .cloned()
    }

    fn guid(&self, name: &str, what: &str) -> String {
        let hex: String = Sha256::new_with_prefix(self.secret)
            .chain_update(name)
            .chain_update(what)
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!(
            "{}-{}-4{}-8{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[12..15],
            &hex[15..18],
            &hex[18..30]
        )
    }

    /// How long new tokens live.
    pub fn set_lifetime(&self, lifetime: Duration) {
        *self.lifetime.lock().unwrap() = lifetime;
    }

    /// A token for a service; returns when it expires, too.
    pub fn token(&self, who: &Identity, audience: &str) -> (String, u64) {
        let now = seconds();
        let expires = now + self.lifetime.lock().unwrap().as_secs();
        let mut claims = json!({
            "aud": audience, "iss": format!("https://sts.windows.net/{TENANT}/"), "iat": now - 300, "nbf": now - 300,
            "exp": expires, "appid": who.client_id, "idp": format!("https://sts.windows.net/{TENANT}/"),
            "oid": who.object_id, "sub": who.object_id, "tid": TENANT, "ver": "1.0",
        });
        match &who.upn {
            Some(upn) => {
                claims["upn"] = json!(upn);
                claims["unique_name"] = json!(upn);
                claims["scp"] = json!("user_impersonation");
            }
            None => claims["idtyp"] = json!("app"),
        }
        let header = BASE64URL.encode(r#"{"typ":"JWT","alg":"RS256","kid":"tests"}"#);
        let text = format!("{header}.{}", BASE64URL.encode(claims.to_string()));
        (format!("{text}.{}", self.seal(&text)), expires)
    }

    fn seal(&self, text: &str) -> String {
        BASE64URL.encode(
            Sha256::new_with_prefix(self.secret)
                .chain_update(text)
                .finalize(),
        )
    }

    /// What a token of ours says.
    fn claims(&self, token: &str) -> Option<Value> {
        let (text, seal) = token.rsplit_once('.')?;
        let claims = BASE64URL.decode(text.split('.').nth(1)?).ok()?;
        serde_json::from_slice(&claims)
            .ok()
            .filter(|_| self.seal(text) == seal)
    }

    /// Whose token it is, however old and whatever it is for.
    pub fn name_of(&self, token: &str) -> Option<String> {
        let claims = self.claims(token)?;
        self.find(|one| claims["oid"] == one.object_id.as_str())
            .map(|one| one.name)
    }

    /// Whose token it is, if it is good for one of the audiences.
    pub fn check(&self, token: &str, audiences: &[&str]) -> Result<Identity, Refused> {
        let claims = self.claims(token).ok_or(Refused::Forged)?;
        if claims["exp"].as_u64() <= Some(seconds()) {
            return Err(Refused::Expired);
        }
        let audience = claims["aud"].as_str().unwrap_or_default();
        if !audiences.contains(&audience.trim_end_matches('/')) {
            return Err(Refused::Audience(audience.to_owned()));
        }
        self.find(|one| claims["oid"] == one.object_id.as_str())
            .ok_or(Refused::Forged)
    }

    /// App Service's endpoint: `GET ?resource=…&api-version=2019-08-01`, with the password in a
    /// header.
    pub fn managed(
        &self,
        query: &[(String, String)],
        header: Option<&str>,
        method: &str,
    ) -> (u16, Value) {
        let get = |name: &str| {
            query
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.as_str())
        };
        let problem =
            |code: u16, text: &str| (code, json!({ "statusCode": code, "message": text }));
        let Some(identity) = self.find(|one| Some(one.header.as_str()) == header) else {
            return problem(401, "X-IDENTITY-HEADER is missing or wrong");
        };
        if method != "GET" || get("api-version") != Some("2019-08-01") {
            return problem(400, "GET with api-version=2019-08-01 it must be");
        }
        let Some(resource) = get("resource").filter(|resource| resource.starts_with("https://"))
        else {
            return problem(400, "resource is missing");
        };
        if get("client_id").is_some_and(|id| id != identity.client_id) {
            return problem(
                400,
                "No User Assigned or Delegated Managed Identity found for specified ClientId",
            );
        }
        let (token, expires) = self.token(&identity, resource);
        // A string: the SDK refuses a number here.
        let answer = json!({
            "access_token": token, "expires_on": expires.to_string(), "resource": resource, "token_type": "Bearer",
            "client_id": identity.client_id,
        });
        (200, answer)
    }

    /// Entra's token endpoint, `POST /{tenant}/oauth2/v2.0/token`, for client secrets and workload
    /// identities.
    pub fn entra(&self, path: &str, form: &[(String, String)]) -> (u16, Value) {
        let get = |name: &str| {
            form.iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.as_str())
        };
        let problem =
            |code: &str, text: &str| (400, json!({ "error": code, "error_description": text }));
        if path != format!("/{TENANT}/oauth2/v2.0/token")
            || get("grant_type") != Some("client_credentials")
        {
            return problem(
                "invalid_request",
                "AADSTS900144: what is asked for is not known here",
            );
        }
        if get("client_secret")
            .or(get("client_assertion"))
            .is_none_or(str::is_empty)
        {
            return problem(
                "invalid_client",
                "AADSTS7000216: 'client_assertion' or 'client_secret' is required",
            );
        }
        let Some(identity) = self.find(|one| Some(one.client_id.as_str()) == get("client_id"))
        else {
            return problem("unauthorized_client", "AADSTS700016: no such application");
        };
        let Some(resource) =
            get("scope").and_then(|scope| scope.split(' ').next()?.strip_suffix("/.default"))
        else {
            return problem(
                "invalid_scope",
                "AADSTS1002012: the scope must end in /.default",
            );
        };
        let (token, expires) = self.token(&identity, resource);
        let left = expires - seconds();
        (
            200,
            json!({ "token_type": "Bearer", "expires_in": left, "ext_expires_in": left, "access_token": token }),
        )
    }
}

/// Now.
pub fn seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}
