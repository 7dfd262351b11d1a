//! The vault's protocol: the challenge, roles, versions, and errors in its own words.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as BASE64URL},
};
use hyper::{Method, Request, header};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    Signed, State, Vault,
    keys::Unsignable,
    objects::{Certificate, Key, Secret, Versioned},
};
use crate::cloud::{
    Answer, Bytes, answer,
    identity::{Identities, Identity, Refused, Right, TENANT, seconds},
    storage,
};

/// The versions that a client may ask for.
const VERSIONS: [&str; 6] = [
    "7.4",
    "7.5",
    "7.6",
    "2025-07-01",
    "2026-04-01",
    "2026-07-01-preview",
];

/// A refusal.
struct Refusal(u16, &'static str, String, Option<&'static str>);

impl Refusal {
    fn answer(self) -> Answer {
        let Self(status, code, message, inner) = self;
        let mut error = json!({ "code": code, "message": message });
        if let Some(inner) = inner {
            error["innererror"] = json!({ "code": inner });
        }
        json_answer(status, &json!({ "error": error }))
    }
}

fn json_answer(status: u16, body: &Value) -> Answer {
    let mut answer = answer(status, "application/json; charset=utf-8", body.to_string());
    for (name, value) in [
        ("x-ms-keyvault-region", "westeurope"),
        ("cache-control", "no-cache"),
    ] {
        answer.headers_mut().insert(name, value.parse().unwrap());
    }
    answer
}

/// For an injected status.
pub fn refusal(status: u16) -> Answer {
    let (code, message) = match status {
        429 => (
            "Throttled",
            "Request was not processed because too many requests were received. Reason: \
             VaultRequestTypeLimitReached",
        ),
        403 => ("Forbidden", "The request was refused."),
        404 => (
            "KeyNotFound",
            "A key with (name/id) x was not found in this key vault.",
        ),
        503 => (
            "ServiceUnavailable",
            "The service is temporarily unavailable.",
        ),
        500 => ("InternalServerError", "An unexpected error occurred."),
        _ => ("InjectedFault", "A test asked for this."),
    };
    Refusal(status, code, message.to_owned(), None).answer()
}

/// 401, and where to get a token.
fn challenge(host: &str, message: &str) -> Answer {
    let mut answer = Refusal(401, "Unauthorized", message.to_owned(), None).answer();
    let value = format!(
        "Bearer authorization=\"https://login.microsoftonline.com/{TENANT}\", \
         resource=\"https://{}\"",
        parent(host)
    );
    answer
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, value.parse().unwrap());
    answer
}

/// `vault.azure.net`.
fn parent(host: &str) -> &str {
    host.split_once('.').map_or(host, |(_, parent)| parent)
}

/// A request, taken apart.
struct Ask<'a> {
    host: &'a str,
    method: &'a Method,
    collection: &'a str,
    name: &'a str,
    /// Empty for the newest.
    version: &'a str,
    verb: &'a str,
    body: &'a [u8],
    who: &'a Identity,
}

impl Vault {
    pub fn handle(&self, identities: &Identities, host: &str, request: &Request<Bytes>) -> Answer {
        let Some(token) = storage::bearer(request) else {
            return challenge(host, "AKV10000: Request is missing a Bearer or PoP token.");
        };
        let resource = format!("https://{}", parent(host));
        let who = match identities.check(token, &[&resource]) {
            Ok(who) => who,
            Err(Refused::Audience(found)) => {
                return challenge(
                    host,
                    &format!("AKV10022: Invalid audience. Expected {resource}, found: {found}."),
                );
            }
            Err(Refused::Expired) => return challenge(host, "AKV10046: The token is expired."),
            Err(Refused::Forged) => {
                return challenge(host, "AKV10032: The token's signature is not valid.");
            }
        };
        // `/certificates/N/` and `/keys/N//sign` mean the newest version: the SDK for Rust sends
        // them.
        let parts: Vec<&str> = request.uri().path().split('/').collect();
        let part = |at: usize| parts.get(at).copied().unwrap_or_default();
        let (version, verb) = match part(3) {
            "sign" | "versions" => ("", part(3)),
            version => (version, part(4)),
        };
        let body = request.body();
        let ask = Ask {
            host,
            method: request.method(),
            collection: part(1),
            name: part(2),
            version,
            verb,
            body,
            who: &who,
        };
        let done = api_version(request).and_then(|()| self.answer(&ask));
        done.map_or_else(Refusal::answer, |body| json_answer(200, &body))
    }

    fn answer(&self, ask: &Ask<'_>) -> Result<Value, Refusal> {
        let mut state = self.state.lock().unwrap();
        match (ask.method.as_str(), ask.collection, ask.verb) {
            ("GET", "certificates", "") => {
                ask.allowed(Right::CertificateGet, "certificates/read")?;
                state.counts.certificate_gets += 1;
                let found = ask.find(
                    state.certificates.get(ask.name),
                    "CertificateNotFound",
                    "certificate",
                )?;
                Ok(certificate(ask, found))
            }
            ("GET", "keys", "") => {
                ask.allowed(Right::KeyGet, "keys/read")?;
                state.counts.key_gets += 1;
                Ok(key(
                    ask,
                    ask.find(state.keys.get(ask.name), "KeyNotFound", "key")?,
                ))
            }
            ("POST", "keys", "sign") => {
                ask.allowed(Right::KeySign, "keys/sign/action")?;
                sign(ask, &mut state)
            }
            ("GET", "secrets", "") => {
                ask.allowed(Right::SecretGet, "secrets/getSecret/action")?;
                state.counts.secret_gets += 1;
                let found = ask.find(state.secrets.get(ask.name), "SecretNotFound", "secret")?;
                usable("get", "secret", found.attributes.enabled, "SecretDisabled")?;
                Ok(secret(ask, found))
            }
            ("PUT", "secrets", "") if ask.version.is_empty() => {
                ask.allowed(Right::SecretSet, "secrets/setSecret/action")?;
                set(ask, &mut state)
            }
            ("GET", _, "versions") => versions(ask, &state),
            _ => Err(Refusal(
                404,
                "NotFound",
                format!("{} {} is not known here.", ask.method, ask.collection),
                None,
            )),
        }
    }
}

fn api_version(request: &Request<Bytes>) -> Result<(), Refusal> {
    let query = request.uri().query().unwrap_or_default();
    let version = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("api-version="));
    match version {
        Some(version) if VERSIONS.contains(&version) => Ok(()),
        Some(version) => {
            let text = format!(
                "The specified version ({version}) is not recognized. Consider using the latest \
                 supported version (2026-04-01)."
            );
            Err(Refusal(400, "BadParameter", text, None))
        }
        None => Err(Refusal(
            400,
            "BadParameter",
            "api-version must be specified".into(),
            None,
        )),
    }
}

impl Ask<'_> {
    /// By role assignment.
    fn allowed(&self, right: Right, action: &str) -> Result<(), Refusal> {
        if self.who.rights.contains(&right) {
            return Ok(());
        }
        let vault = self.host.split('.').next().unwrap_or_default();
        let message = format!(
            "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny \
             assignments or role \
             definitions were changed recently, please observe propagation time.\r\nCaller: \
             appid={};oid={};\
             iss=https://sts.windows.net/{TENANT}/\r\nAction: \
             'Microsoft.KeyVault/vaults/{action}'\r\nResource: \
             '/subscriptions/11111111-1111-4111-8111-111111111111/resourcegroups/pki/providers/microsoft.keyvault/vaults/\
             {vault}/{}/{}'\r\nAssignment: (not found)\r\nDenyAssignmentId: \
             null\r\nDecisionReason: null \r\n\
             Vault: {vault};location=westeurope\r\n",
            self.who.client_id, self.who.object_id, self.collection, self.name
        );
        Err(Refusal(403, "Forbidden", message, Some("ForbiddenByRbac")))
    }

    fn find<'o, T: Versioned>(
        &self,
        all: Option<&'o Vec<T>>,
        code: &'static str,
        what: &str,
    ) -> Result<&'o T, Refusal> {
        let all = all.map_or(&[][..], Vec::as_slice);
        let found = match self.version {
            "" => all.last(),
            version => all.iter().find(|one| one.version() == version),
        };
        found.ok_or_else(|| {
            let id = [self.name, self.version].join("/");
            let id = id.trim_end_matches('/');
            let message = format!(
                "A {what} with (name/id) {id} was not found in this key vault. If you recently \
                 deleted this {what} you \
                 may be able to recover it using the correct recovery command. For help resolving \
                 this issue, please \
                 see https://go.microsoft.com/fwlink/?linkid=2125182"
            );
            Refusal(404, code, message, None)
        })
    }

    fn id(&self, collection: &str, version: &str) -> String {
        format!("https://{}/{collection}/{}/{version}", self.host, self.name)
    }

    fn json(&self) -> Result<Value, Refusal> {
        serde_json::from_slice(self.body).map_err(|error| {
            Refusal(
                400,
                "BadParameter",
                format!("Property has invalid value: {error}"),
                None,
            )
        })
    }
}

fn usable(operation: &str, what: &str, enabled: bool, inner: &'static str) -> Result<(), Refusal> {
    match enabled {
        true => Ok(()),
        false => Err(forbidden(
            format!("Operation {operation} is not allowed on a disabled {what}."),
            inner,
        )),
    }
}

fn forbidden(message: String, inner: &'static str) -> Refusal {
    Refusal(403, "Forbidden", message, Some(inner))
}

fn certificate(ask: &Ask<'_>, found: &Certificate) -> Value {
    let version = &found.ca.version;
    json!({
        "id": ask.id("certificates", version), "kid": ask.id("keys", version), "sid": ask.id("secrets", version),
        // A SHA-1 thumbprint really; nobody should need it.
        "x5t": BASE64URL.encode(&Sha256::digest(&found.ca.der)[..20]),
        // Standard base64 with padding, unlike everything else.
        "cer": STANDARD.encode(&found.ca.der),
        "attributes": found.attributes.json(),
        "policy": {
            "id": format!("https://{}/certificates/{}/policy", ask.host, ask.name),
            "key_props": { "exportable": false, "reuse_key": false },
            "secret_props": { "contentType": "application/x-pem-file" },
            "issuer": { "name": "Self" },
        },
    })
}

fn key(ask: &Ask<'_>, found: &Key) -> Value {
    let mut jwk = found.material.jwk();
    jwk["kid"] = json!(ask.id("keys", &found.version));
    jwk["key_ops"] = json!(found.ops);
    json!({ "key": jwk, "attributes": found.attributes.json(), "managed": found.managed })
}

fn secret(ask: &Ask<'_>, found: &Secret) -> Value {
    let mut value = json!({
        "value": found.value, "id": ask.id("secrets", &found.version), "attributes": found.attributes.json(),
    });
    if let Some(kind) = &found.content_type {
        value["contentType"] = json!(kind);
    }
    if found.managed {
        value["managed"] = json!(true);
        value["kid"] = json!(ask.id("keys", &found.version));
    }
    value
}

fn set(ask: &Ask<'_>, state: &mut State) -> Result<Value, Refusal> {
    let body = ask.json()?;
    let Some(value) = body["value"].as_str() else {
        return Err(Refusal(
            400,
            "BadParameter",
            "The parameter 'value' is required.".into(),
            None,
        ));
    };
    if value.len() > 25_600 {
        return Err(Refusal(
            400,
            "BadParameter",
            "The secret value is longer than 25k.".into(),
            None,
        ));
    }
    if state.certificates.contains_key(ask.name) {
        let text =
            "Operation set is not allowed on a secret that a certificate manages.".to_owned();
        return Err(forbidden(text, "SecretManagedByKeyVault"));
    }
    state.counts.secret_sets += 1;
    let mut new = Secret::new(
        value.to_owned(),
        body["contentType"].as_str().map(str::to_owned),
    );
    let attributes = &body["attributes"];
    (new.attributes.nbf, new.attributes.exp) =
        (attributes["nbf"].as_u64(), attributes["exp"].as_u64());
    new.attributes.enabled = attributes["enabled"].as_bool().unwrap_or(true);
    let answer = secret(ask, &new);
    state
        .secrets
        .entry(ask.name.to_owned())
        .or_default()
        .push(new);
    Ok(answer)
}

fn sign(ask: &Ask<'_>, state: &mut State) -> Result<Value, Refusal> {
    let body = ask.json()?;
    let found = ask.find(state.keys.get(ask.name), "KeyNotFound", "key")?;
    usable("sign", "key", found.attributes.enabled, "KeyDisabled")?;
    let now = seconds();
    if found.attributes.nbf.is_some_and(|nbf| now < nbf) {
        return Err(forbidden(
            "Operation sign is not allowed on a key that is not yet valid.".into(),
            "KeyNotYetValid",
        ));
    }
    if found.attributes.exp.is_some_and(|exp| now >= exp) {
        return Err(forbidden(
            "Operation sign is not allowed on an expired key.".into(),
            "KeyExpired",
        ));
    }
    if !found.ops.iter().any(|op| op == "sign") {
        return Err(forbidden(
            "Operation sign is not permitted on this key.".into(),
            "KeyOperationForbidden",
        ));
    }
    let (Some(algorithm), Some(value)) = (body["alg"].as_str(), body["value"].as_str()) else {
        return Err(Refusal(
            400,
            "BadParameter",
            "The parameters 'alg' and 'value' are required.".into(),
            None,
        ));
    };
    let Ok(digest) = BASE64URL.decode(value) else {
        return Err(Refusal(
            400,
            "BadParameter",
            "Invalid 'value': it is not base64url.".into(),
            None,
        ));
    };
    let id = ask.id("keys", &found.version);
    let mut signature = found
        .material
        .sign(algorithm, &digest)
        .map_err(|why| unsignable(why, algorithm, &digest, &id))?;
    let (key, version) = (ask.name.to_owned(), found.version.clone());
    if state.corrupt > 0 {
        state.corrupt -= 1;
        let middle = signature.len() / 2;
        signature[middle] ^= 1;
    }
    state.counts.signs += 1;
    state.signed.push(Signed {
        key,
        version,
        algorithm: algorithm.to_owned(),
        digest,
        who: ask.who.name.clone(),
    });
    Ok(json!({ "kid": id, "value": BASE64URL.encode(signature) }))
}

fn unsignable(why: Unsignable, algorithm: &str, digest: &[u8], id: &str) -> Refusal {
    let message = match why {
        Unsignable::Unknown => format!("Property alg has invalid value {algorithm}."),
        Unsignable::Incompatible { needed, has } => format!(
            "Key and signing algorithm are incompatible. Key {id} is of type '{has}', and \
             algorithm '{algorithm}' can \
             only be used with a key of type '{needed}'."
        ),
        Unsignable::Length(length) => format!(
            "Invalid length of 'value': {} bytes. {algorithm} requires {length} bytes, encoded \
             with base64url.",
            digest.len()
        ),
    };
    Refusal(400, "BadParameter", message, None)
}

fn versions(ask: &Ask<'_>, state: &State) -> Result<Value, Refusal> {
    let list = |ids: Vec<(String, Value)>| {
        let items = ids
            .into_iter()
            .map(|(id, attributes)| json!({ "id": id, "kid": id, "attributes": attributes }));
        Ok(json!({ "value": items.collect::<Vec<_>>(), "nextLink": null }))
    };
    match ask.collection {
        "certificates" => {
            ask.allowed(Right::CertificateGet, "certificates/read")?;
            let all = state
                .certificates
                .get(ask.name)
                .map_or(&[][..], Vec::as_slice);
            list(
                all.iter()
                    .map(|one| {
                        (
                            ask.id("certificates", &one.ca.version),
                            one.attributes.json(),
                        )
                    })
                    .collect(),
            )
        }
        "keys" => {
            ask.allowed(Right::KeyGet, "keys/read")?;
            let all = state.keys.get(ask.name).map_or(&[][..], Vec::as_slice);
            list(
                all.iter()
                    .map(|one| (ask.id("keys", &one.version), one.attributes.json()))
                    .collect(),
            )
        }
        _ => Err(Refusal(404, "NotFound", "Not known here.".into(), None)),
    }
}
