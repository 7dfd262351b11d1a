//! Where the drivers are: on this machine, or in Azure.

use std::fs;

use rescind::{
    ca::Ca,
    core::{
        crl::{
            Crl, CrlPlan,
            lint::{CrlBefore, CrlSource},
            scope::{Contains, Scope},
        },
        digest::Digest,
        seal::Checked,
        serial::{CrlNumber, Serial},
        time::Window,
    },
    store::content::Label,
};

use crate::azure::{Deployment, ISSUER as AZURE_ISSUER};
use crate::{
    cloud::{Kind, Service},
    support::{self, ISSUER, Plan, Site, at, pki::Key},
};

/// The names that either place knows.
pub const KINDS: [(Key, Kind); 6] = [
    (Key::Rsa2048, Kind::Rsa2048),
    (Key::Rsa3072, Kind::Rsa3072),
    (Key::Rsa4096, Kind::Rsa4096),
    (Key::P256, Kind::P256),
    (Key::P384, Kind::P384),
    (Key::P521, Kind::P521),
];

/// A place with an issuer, and what can be done there without the drivers.
pub trait Place: Sized {
    fn with(kind: (Key, Kind), signature: &str) -> Self;

    async fn ca(&self) -> Ca;

    fn ca_pem(&self) -> Vec<u8>;

    fn archived(&self, number: u64) -> Option<Vec<u8>>;

    /// Puts other bytes on the shelf under the metadata that is there.
    fn alter_shelf(&self, bytes: &[u8], label: &Label);

    /// Puts a certificate's row under another key, beside its own.
    fn copy_status(&self, serial: &Serial, key: &str);

    /// Puts a file into the archive, of whatever name.
    fn litter_archive(&self, name: &str);

    fn new() -> Self {
        Self::with(KINDS[3], "auto")
    }
}

pub struct Local(Site);

impl Place for Local {
    fn with((key, _): (Key, Kind), signature: &str) -> Self {
        Self(
            Plan {
                key,
                settings: &format!("signature = \"{signature}\"\n"),
                ..Plan::default()
            }
            .build(),
        )
    }

    async fn ca(&self) -> Ca {
        self.0.ca()
    }

    fn ca_pem(&self) -> Vec<u8> {
        fs::read(self.0.path("ca.pem")).unwrap()
    }

    fn archived(&self, number: u64) -> Option<Vec<u8>> {
        fs::read(self.0.path(&format!("data/archive/{ISSUER}/{number}.crl"))).ok()
    }

    fn alter_shelf(&self, bytes: &[u8], _: &Label) {
        fs::write(self.0.shelf(".crl"), bytes).unwrap();
    }

    fn copy_status(&self, serial: &Serial, key: &str) {
        let database = rusqlite::Connection::open(self.0.path("data/index.sqlite")).unwrap();
        let sql = "INSERT INTO revocations (PartitionKey, RowKey, Version, State, RevokedAt, \
                   Reason, Seq)
                   SELECT PartitionKey, ?2, Version, State, RevokedAt, Reason, Seq FROM \
                   revocations WHERE RowKey = ?1";
        let from = format!("s.{:0>40}", serial.to_string());
        assert_eq!(database.execute(sql, [from.as_str(), key]).unwrap(), 1);
    }

    fn litter_archive(&self, name: &str) {
        let path = self.0.path(&format!("data/archive/{name}"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"litter").unwrap();
    }
}

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
    fn with((_, kind): (Key, Kind), signature: &str) -> Self {
        Self(Deployment::with(
            kind,
            &[("ISSUER__0__SIGNATURE", signature)],
        ))
    }

    async fn ca(&self) -> Ca {
        self.0.ca().await.unwrap()
    }

    fn ca_pem(&self) -> Vec<u8> {
        fs::read(self.0.path("ca.pem")).unwrap()
    }

    fn archived(&self, number: u64) -> Option<Vec<u8>> {
        self.0
            .cloud
            .blob("archive", &format!("{AZURE_ISSUER}/{number}.crl"))
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
        let path = format!("/crl/{AZURE_ISSUER}.crl");
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

/// A CRL with this number, made from the index as it is.
pub async fn made(ca: &Ca, number: u64) -> (Checked<Crl>, Label) {
    let replica = rescind::stories::replicate::level(&ca, None).await.unwrap();
    let now = at(support::now());
    let plan = CrlPlan {
        window: Window::new(now.before(ca.crl.backdate), now.after(ca.crl.validity)).unwrap(),
        scope: Scope::Full,
        distribution_points: vec![],
        contains: Contains::All,
        freshest: None,
        delta: None,
        expired_since: None,
        previous: None,
    };
    let source = CrlSource {
        issuer: &ca.issuer,
        replica: &replica,
        now,
    };
    let draft = plan
        .numbered(CrlNumber::known(number))
        .draft(&ca.issuer, &replica);
    let before = CrlBefore {
        previous: None,
        replica: &replica,
        neighbours: None,
        accepted: None,
    };
    let compared = draft.lint(&source).unwrap().compare(&before).unwrap();
    let signed = ca.signer().unwrap().sign(compared).await.unwrap();
    let checked = signed.check(ca.issuer.key(), &source, &before).unwrap();
    let head = replica.head();
    let label = Label {
        number: CrlNumber::known(number),
        seq: head.seq,
        hash: head.hash,
        sha256: Digest::of(checked.bytes()),
    };
    (checked, label)
}
