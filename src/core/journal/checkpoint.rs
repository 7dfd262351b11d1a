//! A replica as bytes, so that the next process need not read the journal from its beginning.
//!
//! In scope: the format. Out of scope: whether the bytes are to be believed; see
//! `stories::replicate`.
//!
//! *Warning:* stored state. `rescind checkpoint 1` and a line feed, SHA-256 of the issuer's SPKI,
//! the head (seq, chain hash, counts, time), the last change set that touched CRLs, how many rows
//! and lifted holds follow, the rows in order of serial (42 octets each), the lifted holds in order
//! of serial (25 octets each). Numbers are big-endian; times are seconds + 1, 0: none.

use std::collections::BTreeMap;

use super::{
    change_set::{ChainHash, Counts, Head, reason, stored_time, time},
    replica::{Fold, Replica},
};
use crate::core::{
    digest::Digest,
    revocation::{Reason, State, Status, StatusFields},
    serial::Serial,
    time::Timestamp,
};

const MAGIC: &[u8; 21] = b"rescind checkpoint 1\n";
const HEADER: usize = MAGIC.len() + 32 + 8 + 32 + 3 * 8 + 8 + 8 + 2 * 8;
/// Serial, state, reason, and revocation date, invalidity date, end of the certificate and change
/// set in five octets.
const ROW: usize = 20 + 2 + 4 * SHORT;
const RELEASED: usize = 20 + SHORT;
/// Octets of a number below 2^40: seconds until the year 36812.
const SHORT: usize = 5;

/// Why some bytes are not a checkpoint of this issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Of another version, or something else.
    #[error("it is not a checkpoint of this version")]
    Version,
    /// Of another key.
    #[error("it belongs to another key")]
    OtherKey,
    /// Not as long as it says, or with rows that cannot be.
    #[error("it is damaged")]
    Damaged,
}

/// Writes a replica; none where a number is too large for the format.
pub fn write(replica: &Replica, spki_hash: &Digest) -> Option<Vec<u8>> {
    let (head, released) = (replica.head(), replica.released());
    let Counts {
        revoked,
        held,
        valid,
    } = head.counts;
    let rows = head.counts.total();
    let mut out = Vec::with_capacity(HEADER + rows as usize * ROW + released.len() * RELEASED);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(spki_hash.octets());
    out.extend_from_slice(&head.seq.to_be_bytes());
    out.extend_from_slice(head.hash.octets());
    for number in [
        revoked,
        held,
        valid,
        stored_time(head.updated_at),
        replica.crl_seq(),
        rows,
        released.len() as u64,
    ] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    for status in replica.rows() {
        out.extend_from_slice(status.serial().octets());
        out.extend_from_slice(&[
            status.state() as u8,
            status.reason().map_or(0, Reason::code),
        ]);
        for time in [
            status.revoked_at(),
            status.invalidity_date(),
            status.not_after(),
        ] {
            out.extend_from_slice(&short(stored_time(time))?);
        }
        out.extend_from_slice(&short(status.seq())?);
    }
    for (serial, seq) in released {
        out.extend_from_slice(serial.octets());
        out.extend_from_slice(&short(*seq)?);
    }
    Some(out)
}

fn short(number: u64) -> Option<[u8; SHORT]> {
    let [0, 0, 0, low @ ..] = number.to_be_bytes() else {
        return None;
    };
    Some(low)
}

/// Takes numbers and octets from the front.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(first)
    }

    fn number(&mut self) -> Option<u64> {
        self.take().copied().map(u64::from_be_bytes)
    }

    fn short(&mut self) -> Option<u64> {
        let &[a, b, c, d, e] = self.take::<SHORT>()?;
        Some(u64::from_be_bytes([0, 0, 0, a, b, c, d, e]))
    }

    fn time(&mut self) -> Option<Option<Timestamp>> {
        time(self.short()?)
    }

    fn serial(&mut self) -> Option<Serial> {
        Serial::from_octets(*self.take()?).ok()
    }
}

/// Reads a checkpoint of the issuer with this key.
pub fn read(bytes: &[u8], spki_hash: &Digest) -> Result<Fold, CheckpointError> {
    let mut input = Input(bytes);
    if input.take() != Some(MAGIC) {
        return Err(CheckpointError::Version);
    }
    if input.take() != Some(spki_hash.octets()) {
        return Err(CheckpointError::OtherKey);
    }
    contents(&mut input).ok_or(CheckpointError::Damaged)
}

fn contents(input: &mut Input<'_>) -> Option<Fold> {
    let (seq, hash) = (input.number()?, ChainHash::from_octets(*input.take()?));
    let counts = Counts {
        revoked: input.number()?,
        held: input.number()?,
        valid: input.number()?,
    };
    let (updated_at, crl_seq) = (time(input.number()?)?, input.number()?);
    let (rows, lifted) = (input.number()?, input.number()?);
    // Nothing is allocated for rows that are not there.
    let len = rows
        .checked_mul(ROW as u64)?
        .checked_add(lifted.checked_mul(RELEASED as u64)?)?;
    (input.0.len() as u64 == len).then_some(())?;
    let mut base = Vec::with_capacity(rows as usize);
    let mut found = Counts::default();
    for _ in 0..rows {
        let status = row(input, seq)?;
        base.last()
            .is_none_or(|last: &Status| last.serial() < status.serial())
            .then_some(())?;
        found.change(None, status.state());
        base.push(status);
    }
    (found == counts).then_some(())?;
    let mut released = BTreeMap::new();
    for _ in 0..lifted {
        released.insert(input.serial()?, input.short()?);
    }
    (released.len() as u64 == lifted && crl_seq <= seq).then_some(())?;
    Some(Fold::resumed(
        base,
        Head {
            seq,
            hash,
            counts,
            updated_at,
        },
        crl_seq,
        released,
    ))
}

fn row(input: &mut Input<'_>, head: u64) -> Option<Status> {
    let serial = input.serial()?;
    let &[state, code] = input.take()?;
    let fields = StatusFields {
        serial,
        state: State::from_code(state)?,
        reason: reason(code)?,
        revoked_at: input.time()?,
        invalidity_date: input.time()?,
        not_after: input.time()?,
        seq: input.short()?,
    };
    fields.check().ok().filter(|status| status.seq() <= head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::journal::change_set::{ChangeSet, Linked};
    use crate::core::revocation::{Change, Event};

    const KEY: Digest = Digest::from_octets([9; 32]);

    fn replica() -> Replica {
        let at = |seconds| Timestamp::from_seconds(seconds).unwrap();
        let change = |event, serial: &str, state, seq| {
            let fields = StatusFields {
                serial: Serial::from_hex(serial).unwrap(),
                state,
                revoked_at: (state != State::Valid).then(|| at(1_700_000_000)),
                reason: (state == State::Held).then_some(Reason::CertificateHold),
                invalidity_date: (state == State::Revoked).then(|| at(0)),
                not_after: Some(at(1_800_000_000)),
                seq,
            };
            Change {
                event,
                status: fields.check().unwrap(),
            }
        };
        let last = "7fffffffffffffffffffffffffffffffffffffff";
        let changes = [
            vec![
                change(Event::Revoked, "0a01", State::Held, 1),
                change(Event::Revoked, last, State::Revoked, 1),
            ],
            vec![change(Event::Released, "0a01", State::Valid, 2)],
        ];
        let mut hash = ChainHash::genesis(&KEY);
        let mut fold = Fold::new(&KEY);
        for (changes, seq) in changes.into_iter().zip(1..) {
            let set = ChangeSet {
                seq,
                at: at(1_700_000_000),
                actor: "a".into(),
                comment: String::new(),
                changes,
            };
            let prev = hash;
            hash = prev.then(&set);
            fold.read(&[Linked { set, prev, hash }]).unwrap();
        }
        let head = Head {
            seq: 2,
            hash,
            counts: Counts {
                revoked: 1,
                held: 0,
                valid: 1,
            },
            updated_at: None,
        };
        fold.level(&head).unwrap()
    }

    #[test]
    fn a_replica_is_read_back_as_it_was() {
        let replica = replica();
        let bytes = write(&replica, &KEY).unwrap();
        let back = read(&bytes, &KEY).unwrap().level(replica.head()).unwrap();
        assert_eq!(back.head(), replica.head());
        assert!(back.rows().eq(replica.rows()));
        assert_eq!((back.crl_seq(), back.released()), (2, replica.released()));
        assert_eq!(
            back.released_at(&Serial::from_hex("0a01").unwrap()),
            Some(2)
        );
        assert_eq!(bytes.len(), HEADER + 2 * ROW + RELEASED);
    }

    #[test]
    fn other_keys_versions_and_lengths_are_refused() {
        let bytes = write(&replica(), &KEY).unwrap();
        assert_eq!(
            read(&bytes, &Digest::of(b"other")).unwrap_err(),
            CheckpointError::OtherKey
        );
        assert_eq!(
            read(&bytes[1..], &KEY).unwrap_err(),
            CheckpointError::Version
        );
        for len in MAGIC.len() + 32..bytes.len() {
            assert_eq!(
                read(&bytes[..len], &KEY).unwrap_err(),
                CheckpointError::Damaged,
                "{len}"
            );
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(read(&longer, &KEY).unwrap_err(), CheckpointError::Damaged);
        // A count of rows that would need more memory than there is.
        let mut vast = bytes;
        vast[HEADER - 16..HEADER - 8].fill(0xff);
        assert_eq!(read(&vast, &KEY).unwrap_err(), CheckpointError::Damaged);
    }
}
