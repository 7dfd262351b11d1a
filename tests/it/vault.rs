//! Key Vault on the wire: the product with its CA in it, and the vault itself, for a test that
//! stands on a wrong one proves nothing. Storage in Azure is tested with Azurite, in
//! `tests/foreign`.

use std::fs;

use aws_lc_rs::{
    digest,
    signature::{self, RsaPublicKeyComponents, UnparsedPublicKey},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as BASE64URL},
};
use serde_json::{Value, json};

use crate::{
    cloud::{
        CaPlan, Cloud, Fault, Kind, VAULT_HOST,
        ask::{Reply, send},
    },
    support::{ISSUER, Output, Site, judge::crl_verifies},
};

const MESSAGE: &[u8] = b"to be signed";

async fn ask(cloud: &Cloud, who: &str, method: &str, path: &str, body: &Value) -> Reply {
    let url = format!("https://{VAULT_HOST}{path}?api-version=2025-07-01");
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    send(
        cloud,
        who,
        method,
        &url,
        &[("content-type", "application/json")],
        &body,
    )
    .await
}

async fn sign(cloud: &Cloud, path: &str, algorithm: &str, value: &[u8]) -> Reply {
    ask(
        cloud,
        "publisher",
        "POST",
        path,
        &json!({ "alg": algorithm, "value": BASE64URL.encode(value) }),
    )
    .await
}

fn digest(algorithm: &str) -> Vec<u8> {
    let hash = match &algorithm[2..] {
        "256" => &digest::SHA256,
        "384" => &digest::SHA384,
        _ => &digest::SHA512,
    };
    digest::digest(hash, MESSAGE).as_ref().to_vec()
}

fn verifies(jwk: &Value, algorithm: &str, signature: &[u8]) -> bool {
    let part = |name: &str| BASE64URL.decode(jwk[name].as_str().unwrap()).unwrap();
    let rsa = |parameters| {
        RsaPublicKeyComponents {
            n: part("n"),
            e: part("e"),
        }
        .verify(parameters, MESSAGE, signature)
        .is_ok()
    };
    let ec = |algorithm| {
        let point = [vec![4], part("x"), part("y")].concat();
        UnparsedPublicKey::new(algorithm, point)
            .verify(MESSAGE, signature)
            .is_ok()
    };
    match algorithm {
        "RS256" => rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
        "RS384" => rsa(&signature::RSA_PKCS1_2048_8192_SHA384),
        "RS512" => rsa(&signature::RSA_PKCS1_2048_8192_SHA512),
        "PS256" => rsa(&signature::RSA_PSS_2048_8192_SHA256),
        "PS384" => rsa(&signature::RSA_PSS_2048_8192_SHA384),
        "PS512" => rsa(&signature::RSA_PSS_2048_8192_SHA512),
        "ES256" => ec(&signature::ECDSA_P256_SHA256_FIXED),
        "ES384" => ec(&signature::ECDSA_P384_SHA384_FIXED),
        _ => ec(&signature::ECDSA_P521_SHA512_FIXED),
    }
}

fn algorithms(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::P256 => &["ES256"],
        Kind::P384 => &["ES384"],
        Kind::P521 => &["ES512"],
        _ => &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
    }
}

#[tokio::test]
async fn every_kind_of_key_signs_with_all_its_algorithms_and_its_jwk_is_the_certificates_key() {
    let cloud = Cloud::without_storage();
    for (number, kind) in Kind::ALL.into_iter().enumerate() {
        let name = format!("ca-{number}");
        let ca = cloud.vault().create_ca(&name, kind);
        let certificate = ask(
            &cloud,
            "publisher",
            "GET",
            &format!("/certificates/{name}/"),
            &Value::Null,
        )
        .await
        .json();
        assert_eq!(
            STANDARD
                .decode(certificate["cer"].as_str().unwrap())
                .unwrap(),
            ca.der
        );
        let kid = format!("https://{VAULT_HOST}/keys/{name}/{}", ca.version);
        assert_eq!(certificate["kid"], kid.as_str());
        let key = ask(
            &cloud,
            "publisher",
            "GET",
            &format!("/keys/{name}/{}", ca.version),
            &Value::Null,
        )
        .await
        .json();
        let jwk = &key["key"];
        let public = BASE64URL
            .decode(jwk["n"].as_str().or(jwk["y"].as_str()).unwrap())
            .unwrap();
        assert!(
            ca.der.windows(public.len()).any(|part| part == public),
            "{kind:?}"
        );
        assert_eq!(jwk["key_ops"], json!(["sign", "verify"]));
        for algorithm in algorithms(kind) {
            for path in [
                format!("/keys/{name}/{}/sign", ca.version),
                format!("/keys/{name}/sign"),
                format!("/keys/{name}//sign"),
            ] {
                let reply = sign(&cloud, &path, algorithm, &digest(algorithm))
                    .await
                    .json();
                assert_eq!(reply["kid"], kid.as_str(), "{reply}");
                let signature = BASE64URL.decode(reply["value"].as_str().unwrap()).unwrap();
                assert!(verifies(jwk, algorithm, &signature), "{kind:?} {algorithm}");
            }
        }
    }
    assert_eq!(cloud.vault().counts().signs, 3 * (3 * 6 + 3));
}

#[tokio::test]
async fn without_a_token_the_vault_says_where_to_get_one() {
    let cloud = Cloud::without_storage();
    cloud.vault().create_ca("ca", Kind::P256);
    let url = format!("https://{VAULT_HOST}/keys/ca/sign?api-version=2025-07-01");
    let reply = Reply::of(cloud.client().post(&url).send().await.unwrap()).await;
    assert_eq!(reply.status, 401);
    let challenge = reply.header("www-authenticate");
    assert!(
        challenge.starts_with("Bearer authorization=\"https://login.microsoftonline.com/"),
        "{challenge}"
    );
    assert!(
        challenge.ends_with("resource=\"https://vault.azure.net\""),
        "{challenge}"
    );

    let storage = cloud.token("publisher", "https://storage.azure.com");
    let reply = Reply::of(
        cloud
            .client()
            .post(&url)
            .bearer_auth(storage)
            .send()
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(reply.status, 401);
    assert!(reply.body.contains("AKV10022"), "{reply:?}");
    let reply = Reply::of(
        cloud
            .client()
            .post(&url)
            .bearer_auth("a.b.c")
            .send()
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(reply.status, 401);
}

#[tokio::test]
async fn the_managed_identity_gives_tokens_that_the_vault_takes() {
    let cloud = Cloud::without_storage();
    let ca = cloud.vault().create_ca("ca", Kind::P256);
    let env = cloud.env();
    let get = |name: &str| env.iter().find(|(key, _)| key == name).unwrap().1.clone();
    let url = format!(
        "{}?api-version=2019-08-01&resource=https%3A%2F%2Fvault.azure.net",
        get("IDENTITY_ENDPOINT")
    );
    let request = reqwest::Client::builder()
        .no_proxy()
        .build()
        .unwrap()
        .get(url);
    let reply = request
        .header("x-identity-header", get("IDENTITY_HEADER"))
        .send()
        .await
        .unwrap();
    let reply = Reply::of(reply).await.json();
    assert!(reply["expires_on"].is_string());
    let token = reply["access_token"].as_str().unwrap();
    let url = format!(
        "https://{VAULT_HOST}/certificates/ca/{}?api-version=7.4",
        ca.version
    );
    assert_eq!(
        cloud
            .client()
            .get(url)
            .bearer_auth(token)
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    assert_eq!(cloud.token_calls(), 1);
}

#[tokio::test]
async fn the_responder_may_not_sign_and_may_read_its_credential() {
    let cloud = Cloud::without_storage();
    cloud.vault().create_ca("ca", Kind::P256);
    cloud
        .vault()
        .set_secret("ca-ocsp", "pem", "application/x-pem-file");
    let body = json!({ "alg": "ES256", "value": BASE64URL.encode(digest("ES256")) });
    let reply = ask(&cloud, "responder", "POST", "/keys/ca/sign", &body).await;
    assert_eq!(
        (reply.status, &reply.json()["error"]["innererror"]["code"]),
        (403, &json!("ForbiddenByRbac"))
    );
    assert!(
        reply
            .body
            .contains("Microsoft.KeyVault/vaults/keys/sign/action")
    );
    let reply = ask(
        &cloud,
        "responder",
        "PUT",
        "/secrets/ca-ocsp",
        &json!({ "value": "x" }),
    )
    .await;
    assert_eq!(reply.status, 403);
    let reply = ask(
        &cloud,
        "responder",
        "GET",
        "/secrets/ca-ocsp/",
        &Value::Null,
    )
    .await;
    assert_eq!((reply.status, &reply.json()["value"]), (200, &json!("pem")));
    assert_eq!(cloud.vault().counts().signs, 0);
}

#[tokio::test]
async fn a_secret_that_is_set_is_a_new_version_with_its_content_type() {
    let cloud = Cloud::without_storage();
    for value in ["one", "two"] {
        let body = json!({ "value": value, "contentType": "application/x-pem-file", "attributes": { "exp": 2_000_000_000 } });
        assert_eq!(
            ask(&cloud, "publisher", "PUT", "/secrets/ca-ocsp", &body)
                .await
                .status,
            200
        );
    }
    let reply = ask(&cloud, "publisher", "GET", "/secrets/ca-ocsp", &Value::Null)
        .await
        .json();
    assert_eq!(
        (&reply["value"], &reply["contentType"]),
        (&json!("two"), &json!("application/x-pem-file"))
    );
    assert_eq!(reply["attributes"]["exp"], 2_000_000_000);
    assert_eq!(cloud.vault().secret_versions("ca-ocsp"), 2);
}

#[tokio::test]
async fn a_key_signs_only_while_it_is_enabled_in_its_dates_and_for_its_operations() {
    let cloud = Cloud::without_storage();
    let vault = cloud.vault();
    let expired = CaPlan {
        not_before: -30,
        not_after: -1,
        ..CaPlan::default()
    };
    vault.create_ca_as("expired", &expired);
    vault.create_ca_as(
        "future",
        &CaPlan {
            not_before: 2,
            ..CaPlan::default()
        },
    );
    vault.create_ca("disabled", Kind::P256);
    vault.enable_key("disabled", false);
    vault.create_ca("encrypts", Kind::P256);
    vault.set_key_ops("encrypts", &["encrypt"]);
    for name in ["expired", "future", "disabled", "encrypts"] {
        let reply = sign(
            &cloud,
            &format!("/keys/{name}/sign"),
            "ES256",
            &digest("ES256"),
        )
        .await;
        assert_eq!(
            (reply.status, &reply.json()["error"]["code"]),
            (403, &json!("Forbidden")),
            "{name}: {reply:?}"
        );
    }
}

#[tokio::test]
async fn mistakes_are_answered_as_the_service_answers_them() {
    let cloud = Cloud::without_storage();
    cloud.vault().create_ca("ca", Kind::Rsa2048);
    let cases = [
        ("/keys/ca/sign", "RS256", 20, 400, "BadParameter"),
        ("/keys/ca/sign", "ES256", 32, 400, "BadParameter"),
        ("/keys/ca/sign", "RS1", 20, 400, "BadParameter"),
        ("/keys/nobody/sign", "RS256", 32, 404, "KeyNotFound"),
        (
            "/keys/ca/0123456789abcdef0123456789abcdef/sign",
            "RS256",
            32,
            404,
            "KeyNotFound",
        ),
    ];
    for (path, algorithm, length, status, code) in cases {
        let reply = sign(&cloud, path, algorithm, &vec![7; length]).await;
        assert_eq!(
            (reply.status, &reply.json()["error"]["code"]),
            (status, &json!(code)),
            "{path} {algorithm}"
        );
    }
    for (path, code) in [
        ("/certificates/x/", "CertificateNotFound"),
        ("/secrets/x", "SecretNotFound"),
    ] {
        let reply = ask(&cloud, "publisher", "GET", path, &Value::Null).await;
        assert_eq!(
            (reply.status, &reply.json()["error"]["code"]),
            (404, &json!(code))
        );
    }
    let url = format!("https://{VAULT_HOST}/certificates/ca/");
    assert_eq!(
        send(&cloud, "publisher", "GET", &url, &[], "").await.status,
        400
    );
}

#[tokio::test]
async fn a_rollover_is_a_new_version_and_the_old_one_still_signs() {
    let cloud = Cloud::without_storage();
    let old = cloud.vault().create_ca("ca", Kind::P256);
    let new = cloud.vault().new_version("ca", Kind::P384);
    assert_ne!(old.version, new.version);
    let newest = ask(
        &cloud,
        "publisher",
        "GET",
        "/certificates/ca/",
        &Value::Null,
    )
    .await
    .json();
    assert!(newest["kid"].as_str().unwrap().ends_with(&new.version));
    let path = format!("/keys/ca/{}/sign", old.version);
    assert_eq!(
        sign(&cloud, &path, "ES256", &digest("ES256")).await.status,
        200
    );
    let renewed = cloud.vault().renew(
        "ca",
        &CaPlan {
            not_after: 7000,
            ..CaPlan::default()
        },
    );
    assert_ne!(renewed.version, new.version);
    assert_eq!(
        sign(&cloud, "/keys/ca//sign", "ES384", &digest("ES384"))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn an_imported_certificate_shows_with_its_key_as_a_secret() {
    let cloud = Cloud::without_storage();
    let old = cloud.vault().create_ca("ca", Kind::P256);
    let key = cloud.vault().key_pem("ca");
    cloud.vault().import("responder", &key, &old.pem);
    let secret = ask(
        &cloud,
        "responder",
        "GET",
        "/secrets/responder/",
        &Value::Null,
    )
    .await
    .json();
    assert_eq!(secret["contentType"], "application/x-pem-file");
    let text = secret["value"].as_str().unwrap();
    assert!(
        text.starts_with("-----BEGIN PRIVATE KEY-----") && text.ends_with(&old.pem),
        "{text}"
    );
    // A CA's own key is not exportable.
    assert_eq!(cloud.vault().secret("ca").unwrap().0, old.pem);
}

#[tokio::test]
async fn a_wrong_signature_can_be_asked_for() {
    let cloud = Cloud::without_storage();
    cloud.vault().create_ca("ca", Kind::P256);
    let key = ask(&cloud, "publisher", "GET", "/keys/ca", &Value::Null)
        .await
        .json();
    cloud.vault().corrupt_signatures(1);
    for expected in [false, true] {
        let reply = sign(&cloud, "/keys/ca/sign", "ES256", &digest("ES256"))
            .await
            .json();
        let signature = BASE64URL.decode(reply["value"].as_str().unwrap()).unwrap();
        assert_eq!(verifies(&key["key"], "ES256", &signature), expected);
    }
}

/// A site whose stores are here, and whose CA is in the vault.
struct Split {
    site: Site,
    cloud: Cloud,
}

impl Split {
    fn new(kind: Kind) -> Self {
        let (site, cloud) = (Site::new(), Cloud::without_storage());
        let ca = cloud.vault().create_ca(ISSUER, kind);
        let text = fs::read_to_string(site.path("rescind.toml")).unwrap();
        let text = text
            .replace("file:ca.pem", &ca.certificate_url())
            .replace("key = \"file:ca.key.pem\"\n", "");
        fs::write(site.path("rescind.toml"), text).unwrap();
        Self { site, cloud }
    }

    fn run(&self, args: &[&str]) -> Output {
        Output::of(
            self.site
                .command(args)
                .envs(self.cloud.env())
                .output()
                .unwrap(),
        )
    }

    fn ok(&self, args: &[&str]) {
        let output = self.run(args);
        assert_eq!(output.code, 0, "{args:?}: {output:?}");
    }
}

#[test]
fn a_ca_in_the_vault_signs_what_lies_in_local_stores() {
    for kind in [Kind::P256, Kind::P384, Kind::Rsa2048] {
        let split = Split::new(kind);
        split.ok(&[
            "revoke",
            "--issuer",
            ISSUER,
            "--serial",
            "0b",
            "--reason",
            "superseded",
        ]);
        split.ok(&["publish"]);
        let crl = crl_verifies(&split.site.crl_bytes(), &split.cloud.vault().ca(ISSUER).der);
        assert_eq!(crl.serials(), ["0B"], "{kind:?}");
        // One for the CRL, one for the credential; and none when nothing is due.
        assert_eq!(split.cloud.vault().counts().signs, 2, "{kind:?}");
        split.ok(&["publish"]);
        assert_eq!(split.cloud.vault().counts().signs, 2, "{kind:?}");
        assert_eq!(split.cloud.violations(), Vec::<String>::new());
    }
}

#[test]
fn what_the_vault_does_not_sign_or_signs_wrongly_is_not_published() {
    let split = Split::new(Kind::P256);
    split.ok(&["publish"]);
    let before = split.site.crl_bytes();
    let vault = split.cloud.vault();
    let is_refused = |word: &str| {
        let output = split.run(&["publish", "--force"]);
        assert!(
            output.code == 1 && output.stderr.contains(word),
            "{word}: {output:?}"
        );
        assert!(split.site.crl_bytes() == before, "{word}");
    };
    vault.corrupt_signatures(1);
    is_refused("does not verify");
    vault.enable_key(ISSUER, false);
    is_refused("disabled");
    vault.enable_key(ISSUER, true);
    split
        .cloud
        .fail("POST *.vault.* */sign?*", Fault::Refused(403, None), 1);
    is_refused("Key Vault Crypto User");
    split.ok(&["publish", "--force"]);
    assert!(split.site.crl_bytes() != before);
}

/// A 429 may carry a Retry-After, and a call may be lost when it has taken effect.
#[test]
fn calls_to_the_vault_are_made_again() {
    let split = Split::new(Kind::P256);
    for fault in [Fault::Refused(429, Some(1)), Fault::Unreached, Fault::Lost] {
        split.cloud.fail("POST *.vault.* */sign?*", fault, 1);
        split.ok(&["publish", "--force"]);
        assert!(split.cloud.all_failed(), "{fault:?}");
    }
}
