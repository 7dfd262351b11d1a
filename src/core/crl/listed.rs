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
pub enum Listed<'a> {
    /// It is revoked or on hold, as its row says.
    Revoked(&'a Status),
    /// It is to leave the list; on delta CRLs alone (RFC 5280 §5.3.1).
    Removed(&'a Removal),
}

impl Listed<'_> {
    /// Whose.
    pub fn serial(&self) -> Serial {
        match self {
            Self::Revoked(status) => status.serial(),
            Self::Removed(removal) => removal.serial,
        }
    }

    /// Since when.
    pub fn revoked_at(&self) -> Timestamp {
        match self {
            // What is listed has a date; see `CrlPlan::lists`.
            Self::Revoked(status) => status.revoked_at().unwrap_or(Timestamp::EPOCH),
            Self::Removed(removal) => removal.since,
        }
    }

    /// The reason code; none for unspecified.
    pub fn reason(&self) -> Option<u8> {
        match self {
            Self::Revoked(status) => status.reason().map(Reason::code),
            Self::Removed(_) => Some(REMOVE_FROM_CRL),
        }
    }

    /// When the key was compromised, if told.
    pub fn invalidity_date(&self) -> Option<Timestamp> {
        match self {
            Self::Revoked(status) => status.invalidity_date(),
            Self::Removed(_) => None,
        }
    }
}

/// What is on a delta CRL.
#[derive(Clone, Debug)]
pub struct Delta {
    /// The full CRL that it continues.
    pub base: Base,
    /// What changed since, in order of serial.
    pub entries: Vec<DeltaEntry>,
}

/// An entry of a delta CRL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeltaEntry {
    /// The certificate is revoked or on hold, and was not so, or not as now, on the base.
    Revoked(Status),
    /// It is to leave the list.
    Removed(Removal),
}

/// `removeFromCRL`: a hold was released, or the certificate expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Whose.
    pub serial: Serial,
    /// Since when it was listed; where that is no longer known, thisUpdate.
    pub since: Timestamp,
}

impl DeltaEntry {
    /// As it is to be written.
    pub fn listed(&self) -> Listed<'_> {
        match self {
            Self::Revoked(status) => Listed::Revoked(status),
            Self::Removed(removal) => Listed::Removed(removal),
        }
    }
}
