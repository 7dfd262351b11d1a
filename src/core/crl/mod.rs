//! Certificate revocation lists (RFC 5280 §5): what they are about ([`scope`]), how they are
//! written, how any is read back, what they must look like ([`lint`]), and what may differ from the
//! one before ([`gate`]).

pub mod delta;
pub mod gate;
pub mod lint;
mod read;
pub mod scope;
mod write;

pub use read::{CrlError, CrlRef, Entries, Entry, SignedCrl};
pub use write::{Appearance, Crl, CrlPlan, EXPIRED_CERTS_ON_CRL, Listed};

/// The CRLReason removeFromCRL, which "MUST only appear in delta CRLs" (RFC 5280 §5.3.1). It is no
/// [`Reason`](crate::core::revocation::Reason).
pub const REMOVE_FROM_CRL: u8 = 8;
