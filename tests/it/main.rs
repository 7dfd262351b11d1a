//! The integration tests: the real binary, judged by hand, by rustls-webpki and by what its users
//! see.
//!
//! They need Rust, gcc with binutils, and coreutils. What needs other people's software is
//! `tests/foreign`. Random histories are few here; `RESCIND_TEST_HISTORIES=500` tells as many as
//! `.ci/run`.
//!
//! One test binary, so that there is one link step. Every test has its own folder, CA and server,
//! so all run at once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods
)]
#![allow(missing_docs, unreachable_pub)]

mod bad_input;
mod checkpoints;
mod cli;
// The other tests use it, too, and each of them some of it.
#[allow(dead_code)]
#[path = "../cloud/mod.rs"]
mod cloud;
#[path = "../contract/mod.rs"]
mod contract;
mod crl;
mod damage;
mod elsewhere;
mod gates;
mod golden;
mod histories;
mod hostile;
mod http;
mod import;
mod judges;
mod local;
mod ocsp;
mod races;
mod rollover;
mod room;
mod scopes;
mod stores;
#[allow(dead_code)]
#[path = "../support/mod.rs"]
mod support;
mod vault;
mod verify;
