//! The revoker's story: merge what is asked with what is known, and commit it under the head.
//!
//! Telling it twice is harmless. A commit that lost a race is read and merged again; nothing is
//! overwritten that the caller had not seen.

use std::{collections::HashMap, time::Duration};

use crate::{
    ca::Ca,
    core::{
        crl::scope::Scope,
        journal::change_set::{ChangeSet, Head, MAX_CHANGES, MAX_TEXT},
        revocation::{self, Change, ChangeRequest, MergeError, Status},
        serial::{CrlNumber, Serial},
        time::Timestamp,
    },
    store::{
        Version, Versioned,
        error::{DriverError, ErrorKind},
        index::{Commit, ScopeRow},
    },
};

/// Who asks, and why.
#[derive(Clone, Debug)]
pub struct Author {
    pub actor: String,
    pub comment: String,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Committed {
    /// The last change set: the one made, or the newest there was when nothing changed.
    pub seq: u64,
    /// How many certificates changed.
    pub changed: usize,
}

/// Why nothing was recorded.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// It contradicts what is known.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// The same certificate twice in one request.
    #[error("{0} is named twice")]
    Twice(Serial),
    /// A text too long to keep.
    #[error("the {0} is longer than {MAX_TEXT} octets")]
    Text(&'static str),
    /// The index belongs to another key.
    #[error(
        "the index of issuer {0} belongs to another key: give an issuer with a new key a name of \
         its own"
    )]
    OtherKey(String),
    /// The index is out of reach, or too busy.
    #[error(transparent)]
    Driver(#[from] DriverError),
}

/// Attempts before a commit that keeps losing races gives up.
const ATTEMPTS: u32 = 30;

/// Records requests, in as many change sets as they need; each is all or nothing, and done when
/// this returns. `progress` is told how many requests are done.
pub async fn commit(
    ca: &Ca,
    requests: &[ChangeRequest],
    author: &Author,
    now: Timestamp,
    mut progress: impl FnMut(usize),
) -> Result<Committed, RevokeError> {
    check(requests, author)?;
    if requests.is_empty() {
        return Ok(Committed {
            seq: head(ca).await?.value.seq,
            changed: 0,
        });
    }
    let mut total = Committed::default();
    for chunk in requests.chunks(MAX_CHANGES) {
        let done = commit_chunk(ca, chunk, author, now).await?;
        total = Committed {
            seq: done.seq,
            changed: total.changed + done.changed,
        };
        progress(chunk.len());
    }
    Ok(total)
}

fn check(requests: &[ChangeRequest], author: &Author) -> Result<(), RevokeError> {
    for (what, text) in [("actor", &author.actor), ("comment", &author.comment)] {
        if text.len() > MAX_TEXT {
            return Err(RevokeError::Text(what));
        }
    }
    let mut serials: Vec<_> = requests.iter().map(|request| request.serial).collect();
    serials.sort_unstable();
    match serials.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(RevokeError::Twice(pair[0])),
        None => Ok(()),
    }
}

async fn commit_chunk(
    ca: &Ca,
    requests: &[ChangeRequest],
    author: &Author,
    now: Timestamp,
) -> Result<Committed, RevokeError> {
    let mut attempt = 0;
    loop {
        let Versioned {
            value: head,
            version,
        } = head(ca).await?;
        let Some(commit) = merge(ca, requests, author, now, &head).await? else {
            return Ok(Committed {
                seq: head.seq,
                changed: 0,
            });
        };
        let committed = Committed {
            seq: commit.head.seq,
            changed: commit.linked.set.changes.len(),
        };
        if is_committed(ca, commit, version, &mut attempt, now).await? {
            return Ok(committed);
        }
    }
}

/// The commit point. Before it nothing was changed; after it the revocation is in the journal for
/// good. A race that was lost is answered with false, after a pause.
async fn is_committed(
    ca: &Ca,
    commit: Commit,
    version: Version,
    attempt: &mut u32,
    now: Timestamp,
) -> Result<bool, RevokeError> {
    match ca.index.commit(&ca.name, commit, version).await {
        Ok(()) => Ok(true),
        Err(error) if error.kind == ErrorKind::Conflict && *attempt < ATTEMPTS => {
            *attempt += 1;
            tokio::time::sleep(back_off(*attempt, now)).await;
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// Writes a remark into the journal: a change set that changes nothing. Returns its number.
pub async fn remark(ca: &Ca, author: &Author, now: Timestamp) -> Result<u64, RevokeError> {
    check(&[], author)?;
    let mut attempt = 0;
    loop {
        let Versioned {
            value: head,
            version,
        } = head(ca).await?;
        let commit = Commit::behind(&head, set(&head, author, now, vec![]), head.counts);
        let seq = commit.head.seq;
        if is_committed(ca, commit, version, &mut attempt, now).await? {
            return Ok(seq);
        }
    }
}

async fn head(ca: &Ca) -> Result<Versioned<Head>, RevokeError> {
    let genesis = Head::genesis(&ca.issuer.spki_hash());
    match ca.index.head(&ca.name).await? {
        None => Ok(Versioned {
            value: genesis,
            version: Version::Absent,
        }),
        Some(head) => {
            // Committing for another key would end in a journal that nobody can verify.
            let first = ca.index.journal(&ca.name, 0, 1).await?;
            match first.first() {
                Some(first) if first.prev == genesis.hash => Ok(head),
                _ => Err(RevokeError::OtherKey(ca.name.clone())),
            }
        }
    }
}

/// The commit that the requests come to; none where nothing changes.
async fn merge(
    ca: &Ca,
    requests: &[ChangeRequest],
    author: &Author,
    now: Timestamp,
    head: &Head,
) -> Result<Option<Commit>, RevokeError> {
    let serials = requests.iter().map(|request| request.serial).collect();
    let known: HashMap<Serial, Status> = ca
        .index
        .statuses(&ca.name, serials)
        .await?
        .into_iter()
        .map(|status| (status.serial(), status))
        .collect();
    let mut counts = head.counts;
    let mut changes = Vec::new();
    for request in requests {
        let known = known.get(&request.serial);
        if let Some(Change { event, status }) = revocation::merge(known, request)? {
            counts.change(known.map(Status::state), status.state());
            let status = status.with_seq(head.seq + 1);
            changes.push(Change { event, status });
        }
    }
    Ok(
        (!changes.is_empty())
            .then(|| Commit::behind(head, set(head, author, now, changes), counts)),
    )
}

/// The change set that follows `head`. Its time does not go back, whatever the clock does.
fn set(head: &Head, author: &Author, now: Timestamp, changes: Vec<Change>) -> ChangeSet {
    let Author { actor, comment } = author.clone();
    ChangeSet {
        seq: head.seq + 1,
        at: head.updated_at.map_or(now, |last| last.max(now)),
        actor,
        comment,
        changes,
    }
}

/// Longer each time, and different for each process and moment, so that two do not meet again and
/// again.
fn back_off(attempt: u32, now: Timestamp) -> Duration {
    let seed = u64::from(std::process::id()) ^ now.seconds() ^ u64::from(attempt);
    Duration::from_millis(5 + seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (10 << attempt.min(6)))
}

/// Makes sure that the next CRL's number is above `floor`, the number of a CRL that was taken over.
pub async fn raise_number(ca: &Ca, floor: CrlNumber) -> Result<(), DriverError> {
    loop {
        let found = ca.index.row(&ca.name, Scope::Full).await?;
        let expected = Versioned::expected(found.as_ref());
        let row = found.map(|found| found.value);
        if row.as_ref().is_some_and(|row| row.number >= floor) {
            return Ok(());
        }
        let row = ScopeRow {
            number: floor,
            published: row.and_then(|row| row.published),
        };
        match ca.index.put_row(&ca.name, Scope::Full, row, expected).await {
            Err(error) if error.kind == ErrorKind::Conflict => {}
            done => return done.map(|_| ()),
        }
    }
}
