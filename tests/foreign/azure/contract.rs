//! The drivers of Azure keep the contract, too.

use rescind::facade::{ca::Ca, core::serial::Serial, store::content::Label};

use super::{Deployment, ISSUER};
use crate::{
    cloud::{Kind, Service},
    contract::{keeps_the_contract, place::Place},
    support::pki::Key,
};

pub struct InAzure(Deployment);

impl InAzure {
    pub fn deployment(&self) -> &Deployment {
        &self.0
    }
}

impl Drop for InAzure {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.0.behaved();
        }
    }
}

impl Place for InAzure {
    fn with(key: Key, signature: &str) -> Self {
        let kind = match key {
            Key::Rsa2048 => Kind::Rsa2048,
            Key::Rsa3072 => Kind::Rsa3072,
            Key::Rsa4096 => Kind::Rsa4096,
            Key::P256 => Kind::P256,
            Key::P384 => Kind::P384,
            Key::P521 => Kind::P521,
            Key::RsaPss => panic!("Key Vault has no such keys"),
        };
        Self(Deployment::with(
            kind,
            &[("ISSUER__0__SIGNATURE", signature)],
        ))
    }

    async fn ca(&self) -> Ca {
        self.0.ca().await.unwrap()
    }

    fn ca_der(&self) -> Vec<u8> {
        self.0.cloud.vault().ca(ISSUER).der
    }

    fn archived(&self, number: u64) -> Option<Vec<u8>> {
        self.0
            .cloud
            .blob("archive", &format!("{ISSUER}/{number}.crl"))
    }

    fn alter_shelf(&self, bytes: &[u8], label: &Label) {
        let (number, seq) = (label.number.to_string(), label.seq.to_string());
        let (hash, sha256) = (label.hash.to_string(), label.sha256.to_string());
        let headers = [
            ("x-ms-blob-type", "BlockBlob"),
            ("x-ms-meta-number", number.as_str()),
            ("x-ms-meta-seq", &seq),
            ("x-ms-meta-hash", &hash),
            ("x-ms-meta-sha256", &sha256),
        ];
        let path = format!("/crl/{ISSUER}.crl");
        assert_eq!(
            self.0
                .cloud
                .direct(Service::Blob, "PUT", &path, &headers, bytes.to_vec())
                .status(),
            201
        );
    }

    fn copy_status(&self, serial: &Serial, key: &str) {
        let from = format!("s.{:0>40}", serial.to_string());
        let rows = self.0.cloud.rows("revocations");
        let mut row = rows.into_iter().find(|row| row["RowKey"] == from).unwrap();
        row["RowKey"] = key.into();
        // The service fills in the time, and would take Seq for a text.
        row.as_object_mut().unwrap().remove("Timestamp");
        row["Seq@odata.type"] = "Edm.Int64".into();
        let body = serde_json::to_vec(&row).unwrap();
        let answer = self
            .0
            .cloud
            .direct(Service::Table, "POST", "/revocations", &[], body);
        assert_eq!(answer.status(), 201, "{answer:?}");
    }

    fn litter_archive(&self, name: &str) {
        self.0.cloud.put_blob("archive", name, b"litter");
    }
}

keeps_the_contract!(InAzure);
