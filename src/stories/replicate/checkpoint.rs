//! Checkpoints: a replica on disk or in a blob, so that a process that begins reads the journal's
//! end alone.
//!
//! A checkpoint is believed if the index says that it is the last one written, it has the very
//! SHA-256 that the index says, and the journal has the change set that it ends with. Anything else
//! costs time, and never truth: the journal is then read from its beginning.

use std::sync::atomic::Ordering::Relaxed;

use super::remembers;
use crate::{
    ca::Ca,
    core::{
        chain::Chain,
        digest::sha256,
        journal::{
            checkpoint,
            replica::{Fold, Replica},
        },
        serial::CrlNumber,
        time::Timestamp,
    },
    store::{
        Version,
        content::{Label, MOST_OCTETS},
        error::{DriverError, ErrorKind},
        index::{Published, ScopeRow},
    },
};

/// The row in the index that names the last one.
const SCOPE: &str = "checkpoint";

/// One is written when the journal's tail behind the last one has so many change sets, and one more
/// for so many rows: reading a thousand change sets takes a few calls, writing a million rows tens
/// of megabytes.
const TAIL: u64 = 256;
const ROWS_EACH: u64 = 4096;

/// The last checkpoint, if it is to be believed.
pub(crate) async fn load(ca: &Ca) -> Option<Fold> {
    match try_load(ca).await {
        Ok(fold) => fold,
        Err(Unread { why, is_useless }) => {
            ca.checkpoints.is_useless.fetch_or(is_useless, Relaxed);
            tracing::warn!(
                issuer = ca.name,
                why,
                "the checkpoint is of no use; the journal is read from its beginning"
            );
            None
        }
    }
}

/// Why a checkpoint was not read, and whether another one would be better.
struct Unread {
    why: String,
    is_useless: bool,
}

impl From<DriverError> for Unread {
    fn from(error: DriverError) -> Self {
        Self {
            why: Chain(&error).to_string(),
            is_useless: false,
        }
    }
}

async fn try_load(ca: &Ca) -> Result<Option<Fold>, Unread> {
    let useless = |why: String| Unread {
        why,
        is_useless: true,
    };
    // What is wrong with the index itself is told by whoever reads it next.
    let Some((row, _)) = ca.index.scope(&ca.name, SCOPE).await.ok().flatten() else {
        return Ok(None);
    };
    let Some(written) = row.published else {
        return Ok(None);
    };
    let name = ca.checkpoints.name(written.seq);
    let stored = ca
        .checkpoints
        .store
        .get(&name)
        .await?
        .ok_or_else(|| useless(format!("{name} is missing")))?;
    if sha256(&stored.bytes) != written.sha256 {
        return Err(useless(format!("{name} is not what was written")));
    }
    let fold = checkpoint::read(&stored.bytes, &ca.issuer.spki_hash())
        .map_err(|error| useless(format!("{name}: {}", Chain(&error))))?;
    let label = Label {
        number: written.seq,
        seq: fold.seq(),
        hash: fold.hash().to_string(),
        sha256: written.sha256,
    };
    match remembers(ca, &label).await? {
        true => Ok(Some(fold)),
        false => Err(useless(format!(
            "{name} ends with a change set that the journal does not have"
        ))),
    }
}

/// Writes a checkpoint if enough has changed since the last one, or that is of no use. Only the
/// last two are kept.
pub(crate) async fn write(ca: &Ca, replica: &Replica, now: Timestamp) -> Result<(), DriverError> {
    let found = ca.index.scope(&ca.name, SCOPE).await?;
    let (row, version) = found.map_or((None, Version::Absent), |(row, version)| {
        (Some(row), version)
    });
    let (last, before) = (
        row.as_ref().map(|row| row.number.get()),
        row.and_then(|row| row.published),
    );
    let (seq, rows) = (replica.head().seq, replica.counts().total());
    let is_useless = ca.checkpoints.is_useless.load(Relaxed);
    if !is_useless && seq < before.as_ref().map_or(0, |before| before.seq) + TAIL + rows / ROWS_EACH
    {
        return Ok(());
    }
    let Some(bytes) = checkpoint::write(replica, &ca.issuer.spki_hash()) else {
        return Ok(());
    };
    if bytes.len() as u64 > MOST_OCTETS {
        return Ok(());
    }
    let sha256 = sha256(&bytes);
    ca.checkpoints
        .store
        .put_state(&ca.checkpoints.name(seq), bytes)
        .await?;
    let hash = replica.head().hash;
    let published = Published {
        seq,
        hash,
        sha256,
        this_update: now,
        next_update: now,
        published_at: now,
    };
    let before = before
        .map(|before| before.seq)
        .filter(|&before| before != seq);
    // The row's number is the one before, which is still being read, maybe; the one before that is
    // not.
    let number = CrlNumber::known(before.or(last).unwrap_or(0));
    match ca
        .index
        .put_scope(
            &ca.name,
            SCOPE,
            ScopeRow {
                number,
                published: Some(published),
            },
            version,
        )
        .await
    {
        Ok(_) => ca.checkpoints.is_useless.store(false, Relaxed),
        // Another publisher wrote one, which is as good.
        Err(error) if error.kind == ErrorKind::Conflict => return Ok(()),
        Err(error) => return Err(error),
    }
    match last.filter(|&last| last > 0 && last != seq && before.is_some()) {
        Some(last) => {
            ca.checkpoints
                .store
                .remove(&ca.checkpoints.name(last))
                .await
        }
        None => Ok(()),
    }
}
