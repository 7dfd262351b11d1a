//! Everything that was ever published, judged from scratch.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use rescind::facade::{
    core::chain::Chain,
    stories::{
        publish::{Options, Outcome, publish},
        revoke::{Author, commit},
        schema::Revocation,
    },
};

use super::Deployment;
use crate::{
    contract::place::level,
    openssl::openssl_ok,
    support::{at, crl::Crl, now},
};

/// Revokes in what might be a process of its own.
pub async fn revoke(deployment: &Deployment, serial: &str) -> Result<(), String> {
    let ca = deployment.ca().await?;
    let actor = ca
        .actor()
        .await
        .map_err(|error| Chain(&error).to_string())?
        .unwrap();
    let now = at(now());
    let (serial, reason) = (Some(serial.to_owned()), Some("superseded".to_owned()));
    let request = Revocation {
        serial,
        reason,
        ..Revocation::default()
    }
    .request(&ca, now)
    .unwrap();
    let author = Author {
        actor,
        comment: String::new(),
    };
    commit(&ca, &[request], &author, now, |_| ())
        .await
        .map(|_| ())
        .map_err(|error| Chain(&error).to_string())
}

/// A pass in what might be a process of its own.
pub async fn pass(deployment: &Deployment, options: Options) -> Result<Outcome, String> {
    let ca = deployment.ca().await?;
    publish(&ca, None, options, at(now()))
        .await
        .map_err(|error| Chain(&error).to_string())
}

/// What relying parties and auditors have seen so far.
#[derive(Default)]
pub struct History {
    acknowledged: BTreeSet<String>,
    archive: BTreeMap<u64, Vec<u8>>,
    shelf: u64,
}

impl History {
    /// From now on this serial must stand on every CRL.
    pub fn acknowledge(&mut self, serial: &str) {
        self.acknowledged.insert(serial.to_uppercase());
    }

    /// After a pass that did what it should. The shelf lists what was acknowledged, its number did
    /// not fall, and what was archived stays as it was.
    pub fn holds(&mut self, deployment: &Deployment, what: &str) {
        let crl = deployment.crl();
        let listed: BTreeSet<_> = crl.serials().into_iter().collect();
        let lost: Vec<_> = self.acknowledged.difference(&listed).collect();
        assert!(lost.is_empty(), "{what}: the CRL lost {lost:?}");
        assert!(
            crl.number() >= self.shelf,
            "{what}: the shelf went from {} to {}",
            self.shelf,
            crl.number()
        );
        self.shelf = crl.number();
        let archive = deployment.archive();
        for (number, bytes) in &self.archive {
            assert!(
                archive.get(number) == Some(bytes),
                "{what}: the archive's number {number} changed"
            );
        }
        assert_eq!(
            archive.get(&self.shelf),
            deployment.crl_bytes().as_ref(),
            "{what}: archive and shelf differ"
        );
        self.archive = archive;
    }

    /// OpenSSL's verdict on every CRL that was ever archived, and on the journal ours.
    pub async fn verifies(&self, deployment: &Deployment) {
        let ca = deployment.file("ca.pem");
        let mut listed = BTreeSet::new();
        for (number, bytes) in &self.archive {
            fs::write(deployment.path("one.crl"), bytes).unwrap();
            let verify = [
                "crl", "-inform", "DER", "-in", "one.crl", "-verify", "-CAfile", &ca, "-noout",
            ];
            let verdict = openssl_ok(deployment.dir.path(), &verify);
            assert!(
                verdict.stderr.contains("verify OK"),
                "{number}: {verdict:?}"
            );
            let crl = Crl::read(bytes);
            assert_eq!(crl.number(), *number);
            // Nothing was released and nothing has expired.
            crl.lists_no_less_than(&mut listed);
        }
        let ca = deployment.ca().await.unwrap();
        level(&ca).await;
        deployment.behaved();
    }
}
