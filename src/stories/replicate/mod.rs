//! The replicator's story: the index is read into memory until it is level with its head.

mod checkpoint;

pub(crate) use checkpoint::write as write_checkpoint;

use crate::{
    ca::Ca,
    core::journal::{
        change_set::{ChainHash, Head, Linked},
        replica::{Fold, Replica, ReplicaError},
    },
    store::{Versioned, content::Label, error::DriverError},
};

/// Why the index cannot be read into memory.
#[derive(Debug, thiserror::Error)]
pub enum LevelError {
    /// It is out of reach.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// It is not to be believed.
    #[error("the index of issuer {name} is not to be trusted")]
    Replica {
        /// The issuer's name.
        name: String,
        #[source]
        error: ReplicaError,
    },
}

/// Change sets read at once.
const PAGE: u32 = 1024;

/// Most change sets that are merged at once: a set of one row takes ten times a row's memory.
const MOST_SETS: usize = 1 << 16;

/// How often to start again when the head moves on while the journal is read.
const MOVES: usize = 100;

/// Whether a CRL that was made from this point of a journal was made from ours. An index that was
/// lost, emptied or put back from a backup does not know it.
pub(crate) async fn remembers(ca: &Ca, label: &Label) -> Result<bool, DriverError> {
    is_linked(ca, label.seq, label.hash).await
}

/// Whether the journal has change set `seq` with this link of the chain.
async fn is_linked(ca: &Ca, seq: u64, hash: ChainHash) -> Result<bool, DriverError> {
    let Some(before) = seq.checked_sub(1) else {
        return Ok(true);
    };
    let found = ca.index.journal(&ca.name, before, 1).await?;
    Ok(found.first().is_some_and(|linked| linked.hash == hash))
}

/// The next change sets up to `head`: so many that merging them costs in proportion to what they
/// are, and no more than is good for memory.
async fn read_on(ca: &Ca, fold: &Fold, head: u64) -> Result<Vec<Linked>, DriverError> {
    let (mut sets, mut rows, mut seq) = (vec![], 0, fold.seq());
    while seq < head && rows <= fold.base_len() / 8 && sets.len() < MOST_SETS {
        let page = ca.index.journal(&ca.name, seq, PAGE).await?;
        let Some(last) = page.last() else { break };
        seq = last.set.seq;
        rows += page
            .iter()
            .map(|linked| linked.set.changes.len())
            .sum::<usize>();
        sets.extend(page);
    }
    Ok(sets)
}

fn distrust(ca: &Ca, error: ReplicaError) -> LevelError {
    LevelError::Replica {
        name: ca.name.clone(),
        error,
    }
}

fn behind(ca: &Ca, head: u64, journal: u64) -> LevelError {
    distrust(ca, ReplicaError::Behind { head, journal })
}

/// Reads the index, or what is new in it since `known`, until it is level with the head.
pub async fn level(ca: &Ca, known: Option<&Replica>) -> Result<Replica, LevelError> {
    let mut fold = match known {
        Some(known) => known.resume(),
        None => {
            let checkpoint = checkpoint::load(ca).await;
            checkpoint.unwrap_or_else(|| Fold::new(&ca.issuer.spki_hash()))
        }
    };
    let mut moves = 0;
    loop {
        let Some(Versioned { value: head, .. }) = ca.index.head(&ca.name).await? else {
            let empty = Fold::new(&ca.issuer.spki_hash());
            let head = Head::genesis(&ca.issuer.spki_hash());
            return match known {
                // The head was there before: the index was emptied under us.
                Some(known) if known.head().seq > 0 => Err(behind(ca, 0, known.head().seq)),
                _ => empty.level(&head).map_err(|error| distrust(ca, error)),
            };
        };
        if head.seq < fold.seq() {
            // What was read before this head was read is newer than it: the index went back.
            return Err(behind(ca, head.seq, fold.seq()));
        }
        while fold.seq() < head.seq {
            let sets = read_on(ca, &fold, head.seq).await?;
            if sets.is_empty() {
                return Err(behind(ca, head.seq, fold.seq()));
            }
            fold.read(&sets).map_err(|error| distrust(ca, error))?;
        }
        if fold.seq() == head.seq {
            return fold.level(&head).map_err(|error| distrust(ca, error));
        }
        // Commits came between reading the head and the journal; look at the head again.
        moves += 1;
        if moves == MOVES {
            return Err(behind(ca, head.seq, fold.seq()));
        }
    }
}
