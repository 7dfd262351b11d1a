//! CRLs and OCSP for certificate authorities whose key serves neither.

pub mod azure;
pub mod ca;
mod checkpoints;
pub mod cli;
pub mod config;
pub mod core;
pub mod credential;
pub mod driver;
pub mod functions;
pub mod http;
pub mod import;
pub mod index;
pub mod local;
pub mod publish;
pub mod respond;
pub mod revoke;
pub mod shelf;
pub mod signer;
pub mod status;
pub mod tick;
pub mod verify;
pub mod wording;
