//! Certificate revocation lists (RFC 5280 §5): what they are about ([`scope`]), how they are
//! written, how any is read back, what they must look like ([`lint`]), and what may differ from the
//! one before ([`gate`]).

pub mod delta;
pub mod gate;
pub mod lint;
mod listed;
mod read;
pub mod scope;
mod write;

pub use listed::{Delta, Listed, REMOVE_FROM_CRL};
pub use read::{CrlError, CrlRef, Entries, Entry, SignedCrl};
pub use write::{Appearance, Crl, CrlPlan, EXPIRED_CERTS_ON_CRL};
