//! What the tests, the benchmarks and the fuzz targets reach, and nobody else: this is a program,
//! and no library to build upon. All else is the crate's own.

#![allow(missing_docs, reason = "each is documented where it stands")]

pub mod azure {
    pub use crate::azure::Azure;
}
pub mod ca {
    pub use crate::ca::Ca;
    pub mod index {
        pub use crate::ca::index::Index;
    }
    pub mod shelf {
        pub use crate::ca::shelf::{Derived, Shelf};
    }
    pub mod store {
        pub use crate::ca::store::Store;
    }
}
pub mod config {
    pub use crate::config::Config;
    pub mod settings {
        pub use crate::config::settings::{SETTINGS, Setting};
    }
    pub mod values {
        pub use crate::config::values::Values;
    }
}
pub mod core {
    pub mod certificate {
        pub use crate::core::certificate::Certificate;
    }
    pub mod chain {
        pub use crate::core::chain::Chain;
    }
    pub mod crl {
        pub use crate::core::crl::{Appearance, Crl, CrlError, CrlPlan, CrlRef, Entry, SignedCrl};
        pub mod delta {
            pub use crate::core::crl::delta::{Neighbours, beside};
        }
        pub mod gate {
            pub use crate::core::crl::gate::{Gate, Previous};
        }
        pub mod lint {
            pub use crate::core::crl::lint::{CrlBefore, CrlSource};
        }
        pub mod scope {
            pub use crate::core::crl::scope::{Base, Contains, Scope, Shard};
        }
    }
    pub mod der {
        pub use crate::core::der::{oid, tag, write};
    }
    pub mod digest {
        pub use crate::core::digest::Digest;
    }
    pub mod issuer {
        pub use crate::core::issuer::Issuer;
    }
    pub mod journal {
        pub mod change_set {
            pub use crate::core::journal::change_set::{
                ChainHash, ChangeSet, Head, Linked, MAX_CHANGES, MAX_TEXT,
            };
        }
        pub mod checkpoint {
            pub use crate::core::journal::checkpoint::{read, write};
        }
        pub mod replica {
            pub use crate::core::journal::replica::{Fold, Replica};
        }
    }
    pub mod key_pair {
        pub use crate::core::key_pair::{KeyPair, NewKey, generate};
    }
    pub mod ocsp {
        pub use crate::core::ocsp::{MAX_CERT_IDS, Refusal, Request};
        pub mod get {
            pub use crate::core::ocsp::get::decode;
        }
    }
    pub mod revocation {
        pub use crate::core::revocation::{
            Action, Change, ChangeRequest, Event, Listing, Reason, State, Status, merge,
        };
    }
    pub mod seal {
        pub use crate::core::seal::{
            Checked, Compared, Document, Draft, Findings, Linted, Proven, Signed, SignerAnswer,
        };
    }
    pub mod serial {
        pub use crate::core::serial::{CrlNumber, Serial};
    }
    pub mod time {
        pub use crate::core::time::{Timestamp, Window};
    }
}
pub mod http {
    pub mod connections {
        pub use crate::http::connections::{BODY, HEAD, MAX_CONNECTIONS, STALL};
    }
    pub mod functions {
        pub use crate::http::functions::is_past_due;
    }
}
pub mod local {
    pub mod directory {
        pub use crate::local::directory::Directory;
    }
    pub mod sqlite {
        pub use crate::local::sqlite::Sqlite;
    }
}
pub mod server {
    pub mod app {
        pub use crate::server::app::{Access, App};
    }
    pub mod health {
        pub use crate::server::health::{Problem, status};
    }
    pub mod tick {
        pub use crate::server::tick::tick;
    }
}
pub mod store {
    pub use crate::store::{Version, Versioned};
    pub mod content {
        pub use crate::store::content::Label;
    }
    pub mod error {
        pub use crate::store::error::ErrorKind;
    }
    pub mod index {
        pub use crate::store::index::{Commit, Published, ScopeRow};
    }
}
pub mod stories {
    pub mod import {
        pub use crate::stories::import::read_jsonl;
    }
    pub mod publish {
        pub use crate::stories::publish::{Became, Options, Outcome, PublishError, Why, publish};
    }
    pub mod replicate {
        pub use crate::stories::replicate::level;
    }
    pub mod respond {
        pub use crate::stories::respond::{
            Answer, CacheSize, Limits, Purpose, Responder, SignedAnswer,
        };
    }
    pub mod revoke {
        pub use crate::stories::revoke::{Author, commit, raise_number, remark};
    }
    pub mod schema {
        pub use crate::stories::schema::{Revocation, Shown};
    }
    pub mod verify {
        pub use crate::stories::verify::verify;
    }
}
