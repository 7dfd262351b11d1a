//! What only drivers in Azure can get wrong.

use rescind::facade::{
    core::{chain::Chain, serial::Serial},
    store::{Version, error::ErrorKind},
};
use sha2::{Digest, Sha256};

use super::{ISSUER, contract::InAzure};
use crate::{
    cloud::{CaPlan, Fault, Kind, Service},
    contract::place::{Place, level, made},
    support::{at, block_on, der, now, pki},
};

/// The service may answer a query with fewer rows than asked for, with none, and with a token that
/// has no row key.
#[test]
fn a_journal_in_tiny_pages_is_read_whole() {
    let place = InAzure::new();
    for number in 1..=11 {
        place.deployment().revoke(&format!("{number:02x}"));
    }
    for page in [1, 3, 10] {
        place.deployment().cloud.set_page_size(page);
        block_on(async {
            let ca = place.ca().await;
            let seqs = async |from, limit| -> Vec<u64> {
                let sets = ca.index.journal(ISSUER, from, limit).await.unwrap();
                sets.iter().map(|linked| linked.set.seq).collect()
            };
            assert_eq!(
                seqs(0, 100).await,
                (1..=11).collect::<Vec<_>>(),
                "pages of {page}"
            );
            assert_eq!(seqs(2, 5).await, [3, 4, 5, 6, 7], "pages of {page}");
            assert_eq!(level(&ca).await.counts().revoked, 11);
        });
    }
}

/// Also where a page of the service ends between the rows.
#[test]
fn a_row_in_the_table_that_no_commit_made_is_found() {
    let place = InAzure::new();
    let deployment = place.deployment();
    for number in 1..=5 {
        deployment.revoke(&format!("{number:02x}"));
    }
    deployment.publish(&[]);
    deployment.cloud.set_page_size(2);
    let verify = ["verify", "--issuer", ISSUER];
    assert_eq!(deployment.run(&verify).code, 0);
    place.copy_status(
        &Serial::from_hex("03").unwrap(),
        &format!("s.{:040x}", 0x0b),
    );
    let said = deployment.run(&verify);
    assert!(
        said.code == 1
            && said
                .stderr
                .contains("status row 0b: the journal knows nothing of it"),
        "{said:?}"
    );
}

/// Relying parties fetch from the container itself, so what it sends with a CRL is ours to say.
#[test]
fn a_crl_on_the_shelf_has_the_headers_that_relying_parties_need() {
    let place = InAzure::new();
    block_on(async {
        let ca = place.ca().await;
        let (crl, label) = made(&ca, now()).await;
        ca.shelf
            .publish(&crl, label, Version::Absent)
            .await
            .unwrap();
        let answer = place.deployment().cloud.direct(
            Service::Blob,
            "HEAD",
            &format!("/crl/{ISSUER}.crl"),
            &[],
            vec![],
        );
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), "application/pkix-crl");
        assert_eq!(
            header("cache-control"),
            "max-age=3600, public, no-transform"
        );
        assert_eq!(header("x-ms-meta-number"), label.number.to_string());
        assert_eq!(header("x-ms-meta-sha256"), label.sha256.to_string());
    });
}

#[test]
fn a_wrong_signature_and_a_key_that_may_not_sign_publish_nothing() {
    let place = InAzure::new();
    let deployment = place.deployment();
    let vault = deployment.cloud.vault();
    vault.corrupt_signatures(1);
    let output = deployment.run(&["publish"]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("does not verify"), "{output:?}");
    assert_eq!(
        (deployment.crl_bytes(), deployment.archive().len()),
        (None, 0)
    );
    vault.enable_key(ISSUER, false);
    let output = deployment.run(&["publish"]);
    assert!(
        output.code == 1 && output.stderr.contains("disabled"),
        "{output:?}"
    );
    assert_eq!(deployment.crl_bytes(), None);
    vault.enable_key(ISSUER, true);
    assert_eq!(deployment.publish(&[])["published"], true);
}

/// The vault is asked for one signature over exactly what is published.
#[test]
fn what_is_signed_is_what_is_published() {
    let place = InAzure::new();
    let deployment = place.deployment();
    deployment.publish(&[]);
    let [crl, credential] = deployment
        .cloud
        .vault()
        .signed()
        .try_into()
        .expect("one CRL, one credential");
    let bytes = deployment.crl_bytes().unwrap();
    let tbs = der::children(der::only(&bytes).content)[0].whole;
    assert_eq!(crl.digest, Sha256::digest(tbs).to_vec());
    for signed in [&crl, &credential] {
        assert_eq!(
            (signed.key.as_str(), signed.algorithm.as_str()),
            (ISSUER, "ES256")
        );
    }
    let again = deployment.publish(&[]);
    assert_eq!(
        (&again["published"], deployment.cloud.vault().signed().len()),
        (&false.into(), 2)
    );
}

/// Where the certificate is a file, the key may be in the vault all the same.
#[test]
fn a_key_in_the_vault_signs_for_a_certificate_in_a_file() {
    let place = InAzure::new();
    let deployment = place.deployment();
    let settings = [
        (
            "RESCIND__ISSUER__0__CERTIFICATE",
            format!("file:{}", deployment.file("ca.pem")),
        ),
        (
            "RESCIND__ISSUER__0__KEY",
            deployment.cloud.vault().ca(ISSUER).key_url(),
        ),
    ];
    let settings = settings
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec();
    let output = deployment.run_as(
        [deployment.cloud.env(), settings].concat(),
        &["publish", "--json"],
    );
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(deployment.cloud.vault().counts().certificate_gets, 0);
    assert_eq!(deployment.crl().serials(), [""; 0]);
}

/// Key Vault does not sign outside a key's dates, and what was deleted is gone: the CRL that is out
/// stays.
#[test]
fn a_key_at_its_end_and_a_deleted_certificate_are_told_and_the_crl_stays() {
    let place = InAzure::new();
    let deployment = place.deployment();
    deployment.publish(&[]);
    let before = deployment.crl_bytes();
    let vault = deployment.cloud.vault();
    vault.set_key_dates(ISSUER, None, Some(now() - 60));
    let output = deployment.run(&["publish", "--force"]);
    assert!(
        output.code == 1 && output.stderr.contains("sign with the key"),
        "{output:?}"
    );
    vault.set_key_dates(ISSUER, None, None);
    vault.delete(ISSUER);
    let output = deployment.run(&["publish", "--force"]);
    assert!(
        output.code == 1 && output.stderr.contains(&format!("certificates/{ISSUER}")),
        "{output:?}"
    );
    assert_eq!(deployment.crl_bytes(), before);
}

/// A rollover makes a new version with a new key: whoever pins the old version goes on with it.
#[test]
fn a_pinned_version_signs_on_after_a_rollover() {
    let place = InAzure::new();
    let deployment = place.deployment();
    let old = deployment.cloud.vault().ca(ISSUER);
    deployment.publish(&[]);
    deployment.cloud.vault().new_version(ISSUER, Kind::P256);
    let output = deployment.run(&["revoke", "--issuer", ISSUER, "--serial", "0a"]);
    assert!(
        output.code == 1 && output.stderr.contains("another key"),
        "{output:?}"
    );
    let pinned = format!("{}/{}", old.certificate_url(), old.version);
    let env = [
        deployment.cloud.env(),
        vec![("RESCIND__ISSUER__0__CERTIFICATE".to_owned(), pinned)],
    ]
    .concat();
    let revoke = deployment.run_as(
        env.clone(),
        &["revoke", "--issuer", ISSUER, "--serial", "0a"],
    );
    assert_eq!(revoke.code, 0, "{revoke:?}");
    let publish = deployment.run_as(env, &["publish", "--json"]);
    assert_eq!(
        publish.json()["issuers"][0]["published"],
        true,
        "{publish:?}"
    );
    assert!(
        deployment
            .cloud
            .vault()
            .signed()
            .iter()
            .all(|signed| signed.version == old.version)
    );
    assert_eq!(deployment.crl().serials(), ["0A"]);
}

/// A renewed certificate with the same key is the same issuer.
#[test]
fn a_renewed_certificate_with_the_same_key_goes_on() {
    let place = InAzure::new();
    let deployment = place.deployment();
    deployment.revoke("0a");
    let first = deployment.publish(&[]);
    deployment.cloud.vault().renew(
        ISSUER,
        &CaPlan {
            not_after: 7000,
            ..CaPlan::default()
        },
    );
    deployment.revoke("0b");
    let second = deployment.publish(&[]);
    assert!(
        second["crl_number"].as_u64() > first["crl_number"].as_u64(),
        "{second}"
    );
    assert_eq!(deployment.crl().serials(), ["0A", "0B"]);
}

/// An administrator's certificate in the vault, issued by the CA itself, is a credential like our
/// own.
#[test]
fn an_imported_certificate_serves_as_credential() {
    let place = InAzure::new();
    let deployment = place.deployment();
    std::fs::write(
        deployment.path("ca.key"),
        deployment.cloud.vault().key_pem(ISSUER),
    )
    .unwrap();
    std::fs::write(deployment.path("ocsp.key"), pki::Key::P256.shared()).unwrap();
    let cert = pki::Cert {
        subject: "/CN=OCSP",
        serial: "0c5b",
        days: 300,
        extensions: pki::RESPONDER_EXTENSIONS,
    };
    let (ca, key, out) = (
        deployment.path("ca.pem"),
        deployment.path("ca.key"),
        deployment.path("ocsp.pem"),
    );
    pki::issue((&ca, &key), &deployment.path("ocsp.key"), &out, cert);
    let pem = std::fs::read_to_string(out).unwrap();
    deployment
        .cloud
        .vault()
        .import(&format!("{ISSUER}-ocsp"), pki::Key::P256.shared(), &pem);
    block_on(async {
        let ca = place.ca().await;
        let credential = ca.credentials.open(&ca.issuer).await.unwrap().unwrap();
        assert_eq!(credential.certificate.serial.to_string(), "0c5b");
        assert!(credential.is_valid(at(now())));
    });
    deployment.publish(&[]);
    assert_eq!(
        deployment
            .cloud
            .vault()
            .secret_versions(&format!("{ISSUER}-ocsp")),
        1,
        "a pass replaces it too early"
    );
}

/// A 429 may carry a Retry-After, and may carry none.
#[test]
fn throttled_calls_are_made_again_when_the_service_says() {
    let place = InAzure::new();
    let cloud = &place.deployment().cloud;
    cloud.fail("POST *.vault.* */sign?*", Fault::Refused(429, Some(2)), 1);
    cloud.fail("POST *.table.* /$batch", Fault::Refused(429, None), 2);
    let start = std::time::Instant::now();
    assert_eq!(place.deployment().publish(&[])["published"], true);
    assert!(start.elapsed().as_millis() >= 2400, "{:?}", start.elapsed());
    assert!(cloud.all_failed());
}

#[test]
fn without_a_right_the_message_names_the_role() {
    let place = InAzure::new();
    let deployment = place.deployment();
    deployment.publish(&[]);
    let output = deployment.run_as(
        deployment.cloud.env_as("responder"),
        &["publish", "--force"],
    );
    assert_eq!(output.code, 1, "{output:?}");
    assert!(
        output.stderr.contains("Storage Table Data Contributor"),
        "{output:?}"
    );
    block_on(async {
        let ca = place.ca().await;
        deployment
            .cloud
            .fail("GET *.table.* *", Fault::Refused(403, None), 1);
        let error = ca.index.head(ISSUER).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Denied);
        let error = Chain(&error).to_string();
        assert!(error.contains("Storage Table Data Reader"), "{error}");
    });
}
