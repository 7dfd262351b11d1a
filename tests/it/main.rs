//! The integration tests: the real binary, judged by other people's software.
//!
//! One test binary, so that there is one link step. Every test has its own folder, CA and server,
//! so all run at once. OpenSSL, Python 3, GnuTLS, NSS, Java and nginx are needed; a missing one
//! fails the tests that ask it, and says so.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods
)]
#![allow(missing_docs, unreachable_pub)]

mod azure;
mod bad_input;
mod checkpoints;
mod cli;
mod cloud;
mod crl;
mod gates;
mod golden;
mod histories;
mod host;
mod hostile;
mod http;
mod import;
mod judges;
mod ocsp;
mod ocsp_history;
mod ocsp_http;
mod ocsp_options;
mod ocsp_serving;
mod races;
mod rollover;
mod room;
mod scopes;
mod stores;
mod support;
mod verify;
