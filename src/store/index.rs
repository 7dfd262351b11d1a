//! The index: what is revoked, for every issuer. The only truth; everything else can be rebuilt
//! from it.
//!
//! Contract, for every driver:
//! - A commit is one transaction: change set, head and status rows all happen or none does. It
//!   happens only if the head is still the version given; otherwise `Conflict`, and nothing was
//!   changed.
//! - When a commit returned, it survives the loss of power. When it failed with anything but
//!   `Conflict`, it may or may not have happened; commits are idempotent by their content, so the
//!   caller reads again and decides again.
//! - Reads see every commit that returned before they began, by any process.
//! - Drivers do not retry `Conflict`.

use crate::core::{
    digest::Digest,
    journal::change_set::{ChainHash, ChangeSet, Counts, Head, Linked},
    serial::CrlNumber,
    time::Timestamp,
};

/// The last CRL of one scope, and the number reserved for the next.
///
/// *Warning:* stored state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScopeRow {
    /// The highest number reserved or imported. Reserved before signing, so no number is ever used
    /// twice.
    pub number: CrlNumber,
    /// What is known of the last published CRL; none before the first.
    pub published: Option<Published>,
}

impl ScopeRow {
    /// Of a scope that has no CRL yet.
    pub fn reserved(number: CrlNumber) -> Self {
        Self {
            number,
            published: None,
        }
    }
}

/// The last CRL that reached the shelf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// The change set its index was level with.
    pub seq: u64,
    /// The chain up to there.
    pub hash: ChainHash,
    /// SHA-256 of its DER.
    pub sha256: Digest,
    /// thisUpdate.
    pub this_update: Timestamp,
    /// nextUpdate.
    pub next_update: Timestamp,
    /// When it reached the shelf.
    pub published_at: Timestamp,
}

/// The last checkpoint that was written. Only it is believed, and only if it is what this says.
///
/// *Warning:* stored state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointRow {
    /// The change set that it ends with; it names the checkpoint.
    pub seq: u64,
    /// The chain up to there.
    pub hash: ChainHash,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// The one before it, which somebody may still be reading; never 0.
    pub before: Option<u64>,
    /// When it was written.
    pub written_at: Timestamp,
}

/// A commit: a change set with the head that follows from it.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The change set in its place in the chain.
    pub linked: Linked,
    /// The head after it.
    pub head: Head,
}

impl Commit {
    /// `set` behind `before`, given the counts after it.
    pub fn behind(before: &Head, set: ChangeSet, counts: Counts) -> Self {
        let head = before.then(&set, counts);
        let linked = Linked {
            set,
            prev: before.hash,
            hash: head.hash,
        };
        Self { linked, head }
    }
}
