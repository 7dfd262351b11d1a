//! Stores of named bytes: the shelf, where relying parties fetch CRLs, and the archive, which keeps
//! every one.
//!
//! Contract, for every driver:
//! - `replace` happens only if the content is still the version that was read; otherwise
//!   `Conflict`.
//! - `create` never overwrites; `Conflict` where the name is taken.
//! - Readers see the old or the new content, whole; when a write returned, it survives the loss of
//!   power.
//! - A label is metadata about exactly the content it was written with; where what was read does
//!   not fit, it is absent.
//!
//! The shelf is not trusted: whoever can write there could put anything. What is read from it is
//! believed only under the issuer's own signature.

use std::time::SystemTime;

use bytes::Bytes;

use super::Version;
use crate::core::{digest::Digest, journal::change_set::ChainHash, serial::CrlNumber};

/// Most octets of content that is read, and so of content that is written: the full CRL of ten
/// million certificates.
pub(crate) const MOST_OCTETS: u64 = 512 << 20;

/// Content as it was found.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The content.
    pub bytes: Vec<u8>,
    /// Its SHA-256.
    pub sha256: Digest,
    /// What a replace must find.
    pub version: Version,
    /// What the writer said of it; of exactly these bytes.
    pub label: Option<Label>,
    /// When it was written.
    pub modified: Option<SystemTime>,
}

/// Content to be written.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    /// The content.
    pub bytes: Bytes,
    /// Metadata, if it is a CRL's DER.
    pub label: Option<Label>,
    /// Its media type, for stores that serve it themselves.
    pub content_type: &'static str,
    /// Its Cache-Control, likewise.
    pub cache_control: Option<String>,
}

/// Metadata of a CRL.
///
/// *Warning:* stored state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Label {
    /// Its number.
    pub number: CrlNumber,
    /// The change set its index was level with.
    pub seq: u64,
    /// The journal's chain up to there.
    pub hash: ChainHash,
    /// SHA-256 of the CRL's DER.
    pub sha256: Digest,
}
