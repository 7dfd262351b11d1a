//! CRLs and OCSP for certificate authorities whose key serves neither.

pub mod core;
