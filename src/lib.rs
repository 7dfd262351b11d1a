//! CRLs and OCSP for certificate authorities whose key serves neither.
//!
//! Arrows run one way: `cli → {http, server} → stories → ca → {local, azure} → store → core`; see
//! ARCHITECTURE.md. The library is there for the program, and for its tests ([`facade`]).

mod azure;
mod ca;
mod cli;
mod config;
mod core;
pub mod facade;
mod http;
mod local;
mod server;
mod store;
mod stories;

pub use cli::main;
