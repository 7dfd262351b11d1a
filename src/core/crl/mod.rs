//! Certificate revocation lists (RFC 5280 §5): what they are about ([`scope`]), how they are
//! written, how any is read back, what they must look like ([`lint`]), and what may differ from the
//! one before ([`gate`]).

pub(crate) mod delta;
pub(crate) mod gate;
pub(crate) mod lint;
mod listed;
mod read;
pub(crate) mod scope;
mod write;

pub(crate) use listed::{Delta, DeltaEntry, Listed, REMOVE_FROM_CRL, Removal};
pub use read::{CrlError, CrlRef, Entry, SignedCrl};
pub(crate) use write::EXPIRED_CERTS_ON_CRL;
pub use write::{Appearance, Crl, CrlPlan};
