use serde_json::Value;

use crate::cloud::{Cloud, Kind, Right, VAULT_HOST, ask::Reply};

#[tokio::test]
async fn openssl_takes_the_ca_certificate_for_one_that_may_sign_crls() {
    let cloud = Cloud::without_storage();
    let ca = cloud.vault().create_ca("ca", Kind::Rsa2048);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ca.pem"), &ca.pem).unwrap();
    let args = [
        "x509",
        "-in",
        "ca.pem",
        "-noout",
        "-ext",
        "basicConstraints,keyUsage,subjectKeyIdentifier",
    ];
    let output = std::process::Command::new("openssl")
        .args(args)
        .current_dir(dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "Basic Constraints: critical",
        "CA:TRUE",
        "Key Usage: critical",
        "Certificate Sign, CRL Sign",
        "Subject Key",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[tokio::test]
async fn people_and_workloads_get_tokens_in_their_own_ways() {
    let cloud = Cloud::without_storage();
    cloud.vault().create_ca("ca", Kind::P256);
    let certificate = format!("https://{VAULT_HOST}/certificates/ca/?api-version=2025-07-01");
    let env = cloud.laptop("ada@contoso.example", &[Right::CertificateGet]);
    let args = [
        "account",
        "get-access-token",
        "-o",
        "json",
        "--scope",
        "https://vault.azure.net/.default",
    ];
    let output = std::process::Command::new("/bin/sh")
        .args(["-c", "exec az \"$@\"", "az"])
        .args(args)
        .envs(env)
        .output();
    let answer: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    let token = answer["accessToken"].as_str().unwrap();
    assert_eq!(
        cloud
            .client()
            .get(&certificate)
            .bearer_auth(token)
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    assert_eq!(
        cloud.calls().last().unwrap().who.as_deref(),
        Some("ada@contoso.example")
    );

    let env = cloud.workload("publisher");
    let get = |name: &str| env.iter().find(|(key, _)| key == name).unwrap().1.clone();
    let url = format!(
        "{}{}/oauth2/v2.0/token",
        get("AZURE_AUTHORITY_HOST"),
        get("AZURE_TENANT_ID")
    );
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_assertion=x&scope=https%3A%2F%2Fvault.azure.net%2F.default",
        get("AZURE_CLIENT_ID")
    );
    let reply = Reply::of(cloud.client().post(url).body(form).send().await.unwrap())
        .await
        .json();
    let token = reply["access_token"].as_str().unwrap();
    assert_eq!(
        cloud
            .client()
            .get(&certificate)
            .bearer_auth(token)
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
}
