//! The tests with foreign parts: the real binary, judged by other people's software, and in an
//! Azure on the wire.
//!
//! `cargo test --test foreign` needs OpenSSL, curl, Python 3, npm, GnuTLS, NSS, Java, nginx and
//! util-linux, the registries of Python and npm or mirrors of them, and root or user namespaces.
//! What is missing fails the tests that ask it, and they say so; `.ci/run` installs it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods
)]
#![allow(missing_docs, unreachable_pub)]

mod azure;
// The other tests use it, too, and each of them some of it.
#[allow(dead_code)]
#[path = "../cloud/mod.rs"]
mod cloud;
mod cloud_itself;
#[path = "../contract/mod.rs"]
mod contract;
mod demo;
mod host;
mod import;
mod judges;
mod ocsp;
mod openssl;
mod rollover;
mod scopes;
mod stores;
#[allow(dead_code)]
#[path = "../support/mod.rs"]
mod support;
mod tools;
