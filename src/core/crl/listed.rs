//! What stands on a CRL that is to be written.

use super::scope::Base;
use crate::core::{
    revocation::{Reason, Status},
    serial::Serial,
    time::Timestamp,
};

/// The CRLReason removeFromCRL, which "MUST only appear in delta CRLs" (RFC 5280 §5.3.1). It is no
/// [`Reason`].
pub(crate) const REMOVE_FROM_CRL: u8 = 8;

/// An entry that is to be written: what a CRL says of one certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    pub serial: Serial,
    /// Since when.
    pub revoked_at: Timestamp,
    /// The reason code; none for unspecified.
    pub reason: Option<u8>,
    /// When the key was compromised, if told.
    pub invalidity_date: Option<Timestamp>,
}

impl Listed {
    /// A certificate that is revoked or held; none where it is valid.
    pub fn of(status: &Status) -> Option<Self> {
        let listing = status.listing()?;
        Some(Self {
            serial: status.serial(),
            revoked_at: listing.at,
            reason: listing.reason.map(Reason::code),
            invalidity_date: listing.invalidity_date,
        })
    }

    /// One that is to leave the list. On delta CRLs alone (RFC 5280 §5.3.1).
    pub fn removed(serial: Serial, since: Timestamp) -> Self {
        Self {
            serial,
            revoked_at: since,
            reason: Some(REMOVE_FROM_CRL),
            invalidity_date: None,
        }
    }
}

/// What is on a delta CRL.
#[derive(Clone, Debug)]
pub struct Delta {
    /// The full CRL that it continues.
    pub base: Base,
    /// What changed since, in order of serial.
    pub entries: Vec<Listed>,
}
