//! The whole index of an issuer in memory.
//!
//! A [`Fold`] reads the journal; when it is level with the head it becomes a [`Replica`], which can
//! be asked. In scope: chain, counts, order. Out of scope: where journal and head come from.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use super::change_set::{ChainHash, Counts, Head, Linked};
use crate::core::{
    digest::Digest,
    revocation::{Change, Event, Status},
    serial::Serial,
};

/// Rows changed lately are kept beside the sorted base until there are this many.
const RECENT: usize = 4096;

/// The index of one issuer, level with its head. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Replica {
    fold: Fold,
}

/// A journal read so far.
#[derive(Clone, Debug)]
pub struct Fold {
    /// In order of serial, each once.
    base: Arc<Vec<Status>>,
    /// Newer rows; they hide those in `base`.
    recent: BTreeMap<Serial, Status>,
    head: Head,
    crl_seq: u64,
    /// Serials whose hold was lifted, and in which change set.
    released: BTreeMap<Serial, u64>,
}

/// Why a journal is not to be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplicaError {
    /// A change set is missing or stands twice.
    #[error(
        "the journal goes from change set {after} to {found}; restore the missing ones from a \
         backup"
    )]
    Gap {
        /// The last one read.
        after: u64,
        /// The one that came next.
        found: u64,
    },
    /// The chain does not begin at this issuer's key.
    #[error("the journal belongs to another key: give an issuer with a new key a name of its own")]
    OtherKey,
    /// The chain is broken.
    #[error(
        "the hash chain breaks at change set {0}: it, or one before it, was altered after it was \
         committed"
    )]
    Chain(u64),
    /// The journal ends before or beside the head.
    #[error("the head says change set {head}, but the journal ends at {journal}")]
    Behind {
        /// What the head says.
        head: u64,
        /// Where the journal ends.
        journal: u64,
    },
    /// The head's hash or counts are not those of the journal.
    #[error(
        "the head's {0} are not those of the journal: it was altered by something other than a \
         commit"
    )]
    Head(&'static str),
}

impl Fold {
    /// Of an empty journal.
    pub fn new(spki_hash: &Digest) -> Self {
        Self {
            base: Arc::default(),
            recent: BTreeMap::new(),
            head: Head::genesis(spki_hash),
            crl_seq: 0,
            released: BTreeMap::new(),
        }
    }

    /// As it was written down; the caller has proven that it is what was written.
    pub(super) fn resumed(
        base: Vec<Status>,
        head: Head,
        crl_seq: u64,
        released: BTreeMap<Serial, u64>,
    ) -> Self {
        Self {
            base: Arc::new(base),
            recent: BTreeMap::new(),
            head,
            crl_seq,
            released,
        }
    }

    /// The chain up to the last change set read.
    pub fn hash(&self) -> ChainHash {
        self.head.hash
    }

    /// The last change set read.
    pub fn seq(&self) -> u64 {
        self.head.seq
    }

    /// Reads on; `sets` follow each other and what was read before.
    pub fn read(&mut self, sets: &[Linked]) -> Result<(), ReplicaError> {
        let mut changed =
            Vec::with_capacity(sets.iter().map(|linked| linked.set.changes.len()).sum());
        for linked in sets {
            let set = &linked.set;
            if set.seq != self.head.seq + 1 {
                return Err(ReplicaError::Gap {
                    after: self.head.seq,
                    found: set.seq,
                });
            }
            if linked.prev != self.head.hash {
                return Err(if set.seq == 1 {
                    ReplicaError::OtherKey
                } else {
                    ReplicaError::Chain(set.seq)
                });
            }
            self.head = self.head.then(set, self.head.counts);
            if linked.hash != self.head.hash {
                return Err(ReplicaError::Chain(set.seq));
            }
            if set.changes.iter().any(|change| change.event.touches_crls()) {
                self.crl_seq = set.seq;
            }
            for Change { event, status } in &set.changes {
                if *event == Event::Released {
                    self.released.insert(status.serial(), set.seq);
                } else if status.is_listed() && !self.released.is_empty() {
                    self.released.remove(&status.serial());
                }
            }
            changed.extend(set.changes.iter().map(|change| change.status));
        }
        self.change(changed);
        Ok(())
    }

    fn change(&mut self, mut changed: Vec<Status>) {
        // The newest row of each serial comes first, and is kept.
        changed.sort_unstable_by_key(|status| (status.serial(), u64::MAX - status.seq()));
        changed.dedup_by_key(|status| status.serial());
        let mut base = &self.base[..];
        for status in &changed {
            base = &base[before(base, &status.serial())..];
            let old = self
                .recent
                .get(&status.serial())
                .or(base.first().filter(|old| old.serial() == status.serial()));
            self.head
                .counts
                .change(old.map(Status::state), status.state());
        }
        if self.recent.len() + changed.len() <= RECENT {
            self.recent
                .extend(changed.into_iter().map(|status| (status.serial(), status)));
        } else {
            // The base is large, and gone through once.
            if !self.recent.is_empty() {
                let recent: Vec<_> = self.recent.values().copied().collect();
                changed = collected(&recent, changed.iter());
                self.recent.clear();
            }
            self.base = Arc::new(collected(&self.base, changed.iter()));
        }
    }

    fn get(&self, serial: &Serial) -> Option<&Status> {
        self.recent.get(serial).or_else(|| {
            let at = self
                .base
                .binary_search_by_key(serial, Status::serial)
                .ok()?;
            self.base.get(at)
        })
    }

    /// How many rows a merge goes through.
    pub fn base_len(&self) -> usize {
        self.base.len()
    }

    /// All rows so far, in order of serial.
    pub fn rows(&self) -> impl Iterator<Item = &Status> {
        self.rows_after(None)
    }

    /// The rows of serials above `after`, in order of serial.
    pub fn rows_after(&self, after: Option<Serial>) -> impl Iterator<Item = &Status> {
        let is_before = |status: &Status| after.is_some_and(|after| status.serial() <= after);
        let (start, from) = (
            self.base.partition_point(is_before),
            after.map_or(Bound::Unbounded, Bound::Excluded),
        );
        merged(
            &self.base[start..],
            self.recent
                .range((from, Bound::Unbounded))
                .map(|(_, status)| status),
        )
    }

    /// Becomes a replica, if it is level with `head`.
    pub fn level(self, head: &Head) -> Result<Replica, ReplicaError> {
        if self.head.seq != head.seq {
            return Err(ReplicaError::Behind {
                head: head.seq,
                journal: self.head.seq,
            });
        }
        if self.head.hash != head.hash {
            return Err(if head.seq == 0 {
                ReplicaError::OtherKey
            } else {
                ReplicaError::Head("hash and seq")
            });
        }
        if self.head.counts != head.counts {
            return Err(ReplicaError::Head("counts"));
        }
        Ok(Replica { fold: self })
    }
}

impl Replica {
    /// To read on from here.
    pub fn resume(&self) -> Fold {
        self.fold.clone()
    }

    /// The head it is level with.
    pub fn head(&self) -> &Head {
        &self.fold.head
    }

    /// The last change set that can have changed what CRLs list.
    pub fn crl_seq(&self) -> u64 {
        self.fold.crl_seq
    }

    /// The serials whose hold was lifted, and in which change sets.
    pub fn released(&self) -> &BTreeMap<Serial, u64> {
        &self.fold.released
    }

    /// The change set that lifted the hold of a serial, if that was the last thing that CRLs saw of
    /// it.
    pub fn released_at(&self, serial: &Serial) -> Option<u64> {
        self.fold.released.get(serial).copied()
    }

    /// How many rows are in which state.
    pub fn counts(&self) -> Counts {
        self.fold.head.counts
    }

    /// What is known of a serial.
    pub fn get(&self, serial: &Serial) -> Option<&Status> {
        self.fold.get(serial)
    }

    /// All rows in order of serial.
    pub fn rows(&self) -> impl Iterator<Item = &Status> {
        self.fold.rows()
    }
}

/// Two lists in order of serial as one; where both have a serial, the newer row counts. What stands
/// between two newer rows is passed on as a slice, so that `for_each` costs little more than a loop
/// over the base.
fn merged<'a>(
    mut base: &'a [Status],
    newer: impl Iterator<Item = &'a Status>,
) -> impl Iterator<Item = &'a Status> {
    newer.map(Some).chain([None]).flat_map(move |newer| {
        let end = newer.map_or(base.len(), |newer| before(base, &newer.serial()));
        let (run, rest) = base.split_at(end);
        let is_hidden =
            |older: &&Status| newer.is_some_and(|newer| newer.serial() == older.serial());
        base = &rest[rest.first().filter(is_hidden).map_or(0, |_| 1)..];
        run.iter().chain(newer)
    })
}

/// How many rows stand before `serial`. Looks nearby first: whoever goes through a list in order
/// finds the next place a few rows ahead.
fn before(rows: &[Status], serial: &Serial) -> usize {
    let mut end = 1;
    while rows.get(end - 1).is_some_and(|row| row.serial() < *serial) {
        end *= 2;
    }
    let start = end / 2;
    start + rows[start..end.min(rows.len())].partition_point(|row| row.serial() < *serial)
}

/// The rows of [`merged`].
fn collected<'a>(
    base: &'a [Status],
    newer: impl ExactSizeIterator<Item = &'a Status>,
) -> Vec<Status> {
    let mut rows = Vec::with_capacity(base.len() + newer.len());
    // Not `collect`, which takes one row at a time.
    merged(base, newer).for_each(|status| rows.push(*status));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{
        journal::change_set::ChangeSet,
        revocation::{Reason, State, StatusFields},
        time::Timestamp,
    };

    const KEY: Digest = Digest::from_octets([9; 32]);

    fn status(serial: u32, state: State, seq: u64) -> Status {
        let listed = state != State::Valid;
        let fields = StatusFields {
            serial: Serial::from_hex(&format!("{:x}", serial + 1)).unwrap(),
            state,
            revoked_at: listed.then(|| Timestamp::from_seconds(5).unwrap()),
            reason: (state == State::Held).then_some(Reason::CertificateHold),
            invalidity_date: None,
            not_after: None,
            seq,
        };
        fields.check().unwrap()
    }

    /// A journal of change sets of `size` new revocations each.
    fn journal(sets: u64, size: u32) -> Vec<Linked> {
        let mut hash = ChainHash::genesis(&KEY);
        let set = |seq: u64| {
            // Serials come in no order.
            let serial = |at: u32| ((seq as u32 * size + at).wrapping_mul(2_654_435_761)) >> 8;
            let changes = (0..size)
                .map(|at| Change {
                    event: Event::Revoked,
                    status: status(serial(at), State::Revoked, seq),
                })
                .collect();
            let at = Timestamp::from_seconds(seq).unwrap();
            let set = ChangeSet {
                seq,
                at,
                actor: "a".into(),
                comment: String::new(),
                changes,
            };
            let prev = hash;
            hash = prev.then(&set);
            Linked { set, prev, hash }
        };
        (1..=sets).map(set).collect()
    }

    fn fold(sets: &[Linked]) -> Fold {
        let mut fold = Fold::new(&KEY);
        fold.read(sets).unwrap();
        fold
    }

    #[test]
    fn rows_come_in_order_however_they_were_read() {
        let sets = journal(120, 90);
        let mut piecemeal = Fold::new(&KEY);
        sets.chunks(7)
            .for_each(|some| piecemeal.read(some).unwrap());
        let whole = fold(&sets);
        let rows: Vec<_> = whole.rows().copied().collect();
        assert!(rows.is_sorted_by(|a, b| a.serial() < b.serial()));
        assert!(piecemeal.rows().copied().eq(rows.iter().copied()));
        assert_eq!(piecemeal.head, whole.head);
        assert_eq!(whole.head.counts.revoked, rows.len() as u64);
        assert!(
            rows.iter()
                .all(|row| piecemeal.get(&row.serial()) == Some(row))
        );
    }

    #[test]
    fn rows_after_a_serial_are_all_rows_but_those_up_to_it() {
        let sets = journal(50, 90);
        let mut fold = fold(&sets[..49]);
        fold.read(&sets[49..]).unwrap();
        assert!(!fold.base.is_empty() && !fold.recent.is_empty());
        let rows: Vec<_> = fold.rows().copied().collect();
        for at in [0, 1, rows.len() / 2, rows.len() - 1] {
            assert!(
                fold.rows_after(Some(rows[at].serial())).eq(&rows[at + 1..]),
                "{at}"
            );
        }
    }

    #[test]
    fn a_newer_row_hides_the_older_one() {
        let mut sets = journal(2, 3);
        let serial = sets[0].set.changes[1].status.serial();
        let released = Status::valid(serial, None, 2);
        sets[1].set.changes = vec![Change {
            event: Event::Released,
            status: released,
        }];
        sets[1].hash = sets[1].prev.then(&sets[1].set);
        let fold = fold(&sets);
        assert_eq!(fold.get(&serial), Some(&released));
        assert_eq!(
            fold.head.counts,
            Counts {
                revoked: 2,
                held: 0,
                valid: 1
            }
        );
    }

    #[test]
    fn gap_altered_set_and_other_key_are_told_apart() {
        let sets = journal(3, 2);
        let read = |sets: &[Linked], key: &Digest| Fold::new(key).read(sets);
        assert_eq!(
            read(&[sets[0].clone(), sets[2].clone()], &KEY),
            Err(ReplicaError::Gap { after: 1, found: 3 })
        );
        assert_eq!(
            read(&sets, &Digest::of(b"other")),
            Err(ReplicaError::OtherKey)
        );
        let mut altered = sets.clone();
        altered[1].set.changes[0].status = status(0, State::Held, 2);
        assert_eq!(read(&altered, &KEY), Err(ReplicaError::Chain(2)));
    }

    #[test]
    fn only_a_fold_level_with_the_head_becomes_a_replica() {
        let sets = journal(3, 2);
        let head = fold(&sets).head;
        assert!(fold(&sets).level(&head).is_ok());
        let behind = fold(&sets[..2]).level(&head).unwrap_err();
        assert_eq!(
            behind,
            ReplicaError::Behind {
                head: 3,
                journal: 2
            }
        );
        let miscounted = Head {
            counts: Counts {
                held: 1,
                ..head.counts
            },
            ..head
        };
        assert_eq!(
            fold(&sets).level(&miscounted).unwrap_err(),
            ReplicaError::Head("counts")
        );
    }
}
