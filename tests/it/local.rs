//! The drivers of this machine: SQLite, folders, and keys in files.

use std::fs;

use rescind::facade::{ca::Ca, core::serial::Serial, store::content::Label};

use crate::{
    contract::{keeps_the_contract, place::Place},
    support::{ISSUER, Plan, Site, pki::Key},
};

struct Local(Site);

impl Place for Local {
    fn with(key: Key, signature: &str) -> Self {
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

    fn ca_der(&self) -> Vec<u8> {
        self.0.ca_der()
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

keeps_the_contract!(Local);
