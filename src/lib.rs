//! CRLs and OCSP for certificate authorities whose key serves neither.

pub mod azure;
pub mod ca;
pub mod cli;
pub mod config;
pub mod core;
pub mod http;
pub mod local;
pub mod server;
pub mod store;
pub mod stories;
