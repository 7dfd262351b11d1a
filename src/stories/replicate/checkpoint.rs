//! Checkpoints: a replica on disk or in a blob, so that a process that begins reads the journal's
//! end alone.
//!
//! A checkpoint is believed if the index says that it is the last one written, it has the very
//! SHA-256 that the index says, and the journal has the change set that it ends with. Anything else
//! costs time, and never truth: the journal is then read from its beginning.

use super::is_linked;
use crate::{
    ca::Ca,
    core::{
        chain::Chain,
        digest::Digest,
        journal::{
            checkpoint,
            replica::{Fold, Replica},
        },
        time::Timestamp,
    },
    store::{
        Versioned,
        content::MOST_OCTETS,
        error::{DriverError, ErrorKind},
        index::CheckpointRow,
    },
};

/// One is written when the journal's tail behind the last one has so many change sets, and one more
/// for so many rows: reading a thousand change sets takes a few calls, writing a million rows tens
/// of megabytes.
const TAIL: u64 = 256;
const ROWS_EACH: u64 = 4096;

/// The last checkpoint, if it is to be believed.
pub(crate) async fn load(ca: &Ca) -> Option<Fold> {
    match try_load(ca).await {
        Ok(fold) => fold,
        Err(unread) => {
            let why = match unread {
                Unread::Useless(why) => {
                    ca.checkpoints.set_useless(true);
                    why
                }
                Unread::OutOfReach(error) => Chain(&error).to_string(),
            };
            tracing::warn!(
                issuer = ca.name,
                why,
                "the checkpoint is of no use; the journal is read from its beginning"
            );
            None
        }
    }
}

/// Why a checkpoint was not read.
enum Unread {
    /// Another one would be better.
    Useless(String),
    /// It may be as good as ever.
    OutOfReach(DriverError),
}

impl From<DriverError> for Unread {
    fn from(error: DriverError) -> Self {
        Self::OutOfReach(error)
    }
}

async fn try_load(ca: &Ca) -> Result<Option<Fold>, Unread> {
    // What is wrong with the index itself is told by whoever reads it next.
    let Some(row) = ca.index.checkpoint(&ca.name).await.ok().flatten() else {
        return Ok(None);
    };
    let written = row.value;
    let name = ca.checkpoints.name(written.seq);
    let stored = ca.checkpoints.get(written.seq).await?;
    let stored = stored.ok_or_else(|| Unread::Useless(format!("{name} is missing")))?;
    if stored.sha256 != written.sha256 {
        return Err(Unread::Useless(format!("{name} is not what was written")));
    }
    let fold = checkpoint::read(&stored.bytes, &ca.issuer.spki_hash())
        .map_err(|error| Unread::Useless(format!("{name}: {}", Chain(&error))))?;
    match is_linked(ca, fold.seq(), fold.hash()).await? {
        true => Ok(Some(fold)),
        false => Err(Unread::Useless(format!(
            "{name} ends with a change set that the journal does not have"
        ))),
    }
}

/// Writes a checkpoint if enough has changed since the last one, or that is of no use. Only the
/// last two are kept.
pub(crate) async fn write(ca: &Ca, replica: &Replica, now: Timestamp) -> Result<(), DriverError> {
    let found = ca.index.checkpoint(&ca.name).await?;
    let (expected, last) = (
        Versioned::expected(found.as_ref()),
        found.map(|found| found.value),
    );
    let (seq, rows) = (replica.head().seq, replica.counts().total());
    let is_useless = ca.checkpoints.is_useless();
    if !is_useless && seq < last.map_or(0, |last| last.seq) + TAIL + rows / ROWS_EACH {
        return Ok(());
    }
    let Some(bytes) = checkpoint::write(replica, &ca.issuer.spki_hash()) else {
        return Ok(());
    };
    if bytes.len() as u64 > MOST_OCTETS {
        return Ok(());
    }
    let sha256 = Digest::of(&bytes);
    ca.checkpoints.put(seq, bytes).await?;
    // The one before is still being read, maybe; the one before that is not.
    let (before, spent) = match last {
        Some(last) if last.seq != seq => (Some(last.seq), last.before),
        // It is written again.
        Some(last) => (last.before, None),
        None => (None, None),
    };
    let row = CheckpointRow {
        seq,
        hash: replica.head().hash,
        sha256,
        before: before.filter(|&before| before > 0),
        written_at: now,
    };
    match ca.index.put_checkpoint(&ca.name, row, expected).await {
        Ok(_) => ca.checkpoints.set_useless(false),
        // Another publisher wrote one, which is as good.
        Err(error) if error.kind == ErrorKind::Conflict => return Ok(()),
        Err(error) => return Err(error),
    }
    match spent.filter(|&spent| spent != seq) {
        Some(spent) => ca.checkpoints.remove(spent).await,
        None => Ok(()),
    }
}
