//! Who may do what: publisher, responder, people, workloads.

use std::{thread, time::Duration};

use super::{app, ask::REQUEST, publisher, ticked};
use crate::azure::{Deployment, ISSUER};
use crate::{
    cloud::Right,
    host::{Host, Mode},
    support::{
        http::{Connection, request},
        ocsp::{self, Status},
        poll,
    },
};

/// The responder's app: the same package, another identity, no timer.
fn responder(deployment: &Deployment) -> Host {
    let off = (
        "AzureWebJobs.publish.Disabled".to_owned(),
        "true".to_owned(),
    );
    let identity = [deployment.cloud.env_as("responder"), vec![off]].concat();
    app(deployment, identity, Mode::Proxying)
}

#[test]
fn a_responder_without_any_right_to_write_or_sign_answers() {
    let deployment = Deployment::new();
    ticked(&publisher(&deployment, Mode::Proxying));
    let host = responder(&deployment);
    deployment.await_ocsp(&host);
    deployment.revoke("0a");
    poll(
        Duration::from_secs(20),
        "the responder sees a revocation",
        || matches!(deployment.ocsp(&host, "0a"), Status::Revoked(..)).then_some(()),
    );
    assert_eq!(deployment.ocsp(&host, "0b"), Status::Good);
    assert_eq!(host.get(&format!("/crl/{ISSUER}.crl")).status, 200);
    let denied =
        |call: &crate::cloud::Call| call.who.as_deref() == Some("responder") && call.status == 403;
    let calls = deployment.cloud.calls();
    assert!(
        calls
            .iter()
            .any(|call| call.who.as_deref() == Some("responder"))
    );
    assert!(
        !calls.iter().any(denied),
        "the responder tries what it may not"
    );
    assert!(host.tick().is_err(), "it has no timer");

    let body = serde_json::json!({ "serial": "0c" });
    let refused = host.api("POST", &format!("/api/{ISSUER}/revocations"), &body);
    assert_eq!(refused.status, 503, "{refused:?}");
    for (args, role) in [
        (&["publish"][..], "Storage Table Data Contributor"),
        (
            &["revoke", "--issuer", ISSUER, "--serial", "0c"],
            "Storage Table Data Contributor",
        ),
        (&["publish", "--dry-run", "--force"], ""),
    ] {
        let output = deployment.run_as(deployment.cloud.env_as("responder"), args);
        assert_eq!(
            output.code,
            i32::from(!role.is_empty()),
            "{args:?}: {output:?}"
        );
        assert!(output.stderr.contains(role), "{args:?}: {output:?}");
    }
    assert!(
        deployment
            .cloud
            .vault()
            .signed()
            .iter()
            .all(|signed| signed.who == "publisher")
    );
    deployment.behaved();
}

/// A publisher that lacks one right after the other says which.
#[test]
fn each_missing_role_is_named() {
    let deployment = Deployment::new();
    deployment.publish(&[]);
    for (missing, role) in [
        (Right::CertificateGet, "Key Vault Reader"),
        (Right::KeySign, "Key Vault Crypto User"),
        (Right::TableRead, "Storage Table Data Reader"),
        (Right::TableWrite, "Storage Table Data Contributor"),
        (Right::BlobRead, "Storage Blob Data Reader"),
        (Right::BlobWrite, "Storage Blob Data Contributor"),
    ] {
        let rights: Vec<_> = Right::ALL
            .into_iter()
            .filter(|right| *right != missing)
            .collect();
        let name = format!("without-{missing:?}");
        deployment.cloud.add_identity(&name, &rights);
        let output = deployment.run_as(deployment.cloud.env_as(&name), &["publish", "--force"]);
        assert_eq!(output.code, 1, "{missing:?}: {output:?}");
        assert!(output.stderr.contains(role), "{missing:?}: {output:?}");
        assert_eq!(
            output.stderr.trim_end().lines().count(),
            1,
            "{missing:?}: {output:?}"
        );
    }
    deployment.behaved();
}

/// Key Vault caps at a few thousand calls in ten seconds, OCSP must not.
#[test]
fn ten_thousand_ocsp_requests_make_no_call_to_the_vault() {
    const EACH: usize = 2500;
    let deployment = Deployment::new();
    deployment.revoke("0a");
    deployment.publish(&[]);
    let host = responder(&deployment);
    deployment.await_ocsp(&host);
    deployment.cloud.forget_calls();
    let before = deployment.cloud.vault().counts();
    let issuer = deployment.issuer_id();
    let start = std::time::Instant::now();
    thread::scope(|scope| {
        for lane in 0..4 {
            let (issuer, port) = (&issuer, host.port);
            scope.spawn(move || {
                let mut connection = Connection::open(port).unwrap();
                for at in 0..EACH {
                    // Most are in the cache, some are new, and some have a nonce.
                    let serial = if at % 4 == 0 {
                        format!("{:08x}", 0x1000_0000 * (lane + 1) + at)
                    } else {
                        "0a".into()
                    };
                    let nonce = (at % 10 == 0).then(|| ocsp::nonce(16));
                    let body = ocsp::request(&[issuer.usual(&serial)], nonce.as_deref());
                    let bytes = request(
                        "POST",
                        "/ocsp",
                        &[&format!("Content-Type: {REQUEST}")],
                        &body,
                    );
                    let answer = connection.send(&bytes, false).unwrap();
                    let is_revoked = matches!(ocsp::status(&answer.body), Status::Revoked(..));
                    assert_eq!(is_revoked, serial == "0a");
                }
            });
        }
    });
    println!(
        "{} requests took {:?}; peak memory {:?} KiB",
        4 * EACH,
        start.elapsed(),
        host.peak_memory()
    );
    assert_eq!(deployment.cloud.count("* *.vault.* *"), 0);
    assert_eq!(deployment.cloud.vault().counts(), before);
    deployment.behaved();
}

#[test]
fn a_person_revokes_from_a_laptop_and_the_journal_names_her() {
    let deployment = Deployment::new();
    let ada = "ada@contoso.example";
    let rights = [Right::CertificateGet, Right::TableRead, Right::TableWrite];
    let laptop = deployment.cloud.laptop(ada, &rights);
    let args = [
        "revoke",
        "--issuer",
        ISSUER,
        "--serial",
        "0a",
        "--reason",
        "keyCompromise",
        "--comment",
        "stolen",
    ];
    let output = deployment.run_as(laptop.clone(), &[&args[..], &["--json"]].concat());
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(
        (&output.json()["seq"], &output.json()["changed"]),
        (&1.into(), &1.into())
    );
    let rows = deployment.cloud.rows("revocations");
    let change = rows
        .iter()
        .find(|row| row["RowKey"] == "c.00000000000000000001")
        .unwrap();
    assert_eq!(
        (&change["Actor"], &change["Comment"]),
        (&ada.into(), &"stolen".into())
    );
    assert_eq!(
        change["Count"]
            .as_str()
            .map_or(change["Count"].to_string(), str::to_owned),
        "1"
    );
    let status = format!("s.{:0>40}", "0a");
    let row = rows
        .iter()
        .find(|row| row["RowKey"] == status.as_str())
        .unwrap();
    assert_eq!(
        (&row["State"], &row["Reason"]),
        (&"revoked".into(), &"keyCompromise".into())
    );
    assert!(
        deployment
            .ok(&["log", "--issuer", ISSUER])
            .stdout
            .contains(ada)
    );
    // She may not publish, and is told what for.
    let output = deployment.run_as(laptop, &["publish"]);
    assert!(
        output.code == 1 && output.stderr.contains("Storage Blob Data Reader"),
        "{output:?}"
    );
    // Nobody is signed in.
    let output = deployment.run_as(deployment.cloud.network(), &args);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(
        output.stderr.contains("az not found") && output.stderr.trim_end().lines().count() == 1,
        "{output:?}"
    );
    deployment.behaved();
}

#[test]
fn workloads_and_account_keys_are_identities_too() {
    let deployment = Deployment::new();
    deployment.revoke("0a");
    let output = deployment.run_as(
        deployment.cloud.workload("publisher"),
        &["publish", "--json"],
    );
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(output.json()["issuers"][0]["published"], true);

    // The account's key for storage, and an identity that has no right there for the vault.
    let vault = [
        Right::CertificateGet,
        Right::KeySign,
        Right::SecretGet,
        Right::SecretSet,
    ];
    deployment.cloud.add_identity("vault-only", &vault);
    let (account, key) = (deployment.cloud.account(), deployment.cloud.account_key());
    let connection = format!(
        "DefaultEndpointsProtocol=https;AccountName={account};AccountKey={key};EndpointSuffix=core.windows.net"
    );
    let connected = vec![("AZURE_STORAGE_CONNECTION_STRING".to_owned(), connection)];
    let pair = [
        ("AZURE_STORAGE_ACCOUNT", account),
        ("AZURE_STORAGE_KEY", key),
    ];
    let pair = pair
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
    for (way, serial) in [(connected, "0b"), (pair, "0c")] {
        let identity = [deployment.cloud.env_as("vault-only"), way].concat();
        let revoke = [
            "revoke",
            "--issuer",
            ISSUER,
            "--serial",
            serial,
            "--comment",
            "two words",
        ];
        for args in [
            &revoke[..],
            &["publish"],
            &["status"],
            &["log", "--issuer", ISSUER],
        ] {
            let output = deployment.run_as(identity.clone(), args);
            assert_eq!(output.code, 0, "{args:?}: {output:?}");
        }
        assert!(deployment.crl().entry(serial).is_some());
    }
    deployment.behaved();
}

/// Tokens end; whoever serves for days must get new ones.
#[test]
fn an_app_outlives_its_tokens() {
    let deployment = Deployment::new();
    deployment.publish(&[]);
    deployment.cloud.set_token_lifetime(Duration::from_secs(4));
    let host = responder(&deployment);
    deployment.await_ocsp(&host);
    let (start, before) = (std::time::Instant::now(), deployment.cloud.token_calls());
    while start.elapsed() < Duration::from_secs(6) {
        thread::sleep(Duration::from_millis(100));
    }
    deployment.revoke("0a");
    poll(
        Duration::from_secs(20),
        "the responder sees a revocation",
        || matches!(deployment.ocsp(&host, "0a"), Status::Revoked(..)).then_some(()),
    );
    assert!(deployment.cloud.token_calls() > before);
    let refused = deployment
        .cloud
        .calls()
        .into_iter()
        .filter(|call| call.status == 401);
    let refused: Vec<_> = refused
        .filter(|call| !call.host.contains(".vault."))
        .collect();
    assert!(refused.is_empty(), "old tokens were sent: {refused:?}");
    deployment.behaved();
}
