//! The journal: numbered, hash-chained change sets, and the head that ends the chain.

use sha2::{Digest as _, Sha256};

use crate::core::{
    digest::Digest,
    revocation::{Change, Event, Reason, State, StatusFields},
    serial::Serial,
    time::Timestamp,
};

/// Most status changes in one change set: with head and change it makes one entity group
/// transaction of 100.
pub const MAX_CHANGES: usize = 98;

/// Most octets of an actor and of a comment.
pub const MAX_TEXT: usize = 1024;

/// One commit to the journal: who, when, why, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeSet {
    /// 1, 2, 3 …
    pub seq: u64,
    /// When it was committed.
    pub at: Timestamp,
    /// Who committed it, at most [`MAX_TEXT`] octets.
    pub actor: String,
    /// Why, at most [`MAX_TEXT`] octets.
    pub comment: String,
    /// At most [`MAX_CHANGES`], each of another serial, each with the row as it is afterwards.
    pub changes: Vec<Change>,
}

/// A link of the chain: `SHA-256(previous ‖ canonical bytes of the change set)`. As text it is as a
/// [`Digest`].
#[derive(Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct ChainHash(Digest);

impl ChainHash {
    /// Where an issuer's chain begins; it names the key, so that a journal cannot be taken for
    /// another CA's.
    pub fn genesis(spki_hash: &Digest) -> Self {
        Self::over(
            Sha256::new()
                .chain_update(b"rescind journal v1")
                .chain_update(spki_hash.octets()),
        )
    }

    /// The next link.
    pub fn then(&self, set: &ChangeSet) -> Self {
        Self::over(
            Sha256::new()
                .chain_update(self.octets())
                .chain_update(set.canonical()),
        )
    }

    fn over(bytes: Sha256) -> Self {
        Self(Digest::from_octets(bytes.finalize().into()))
    }

    /// From the 32 octets of [`ChainHash::octets`].
    pub const fn from_octets(octets: [u8; 32]) -> Self {
        Self(Digest::from_octets(octets))
    }

    /// From 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        Digest::from_hex(text).map(Self)
    }

    /// As it was stored beside a CRL: see [`Digest::stored`].
    pub(crate) fn stored(text: &str) -> Self {
        Self(Digest::stored(text))
    }

    /// Its octets.
    pub fn octets(&self) -> &[u8; 32] {
        self.0.octets()
    }
}

impl std::fmt::Display for ChainHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::fmt::Debug for ChainHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// A change set as it stands in the journal, with the links before and after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linked {
    /// The change set.
    pub set: ChangeSet,
    /// The hash before it.
    pub prev: ChainHash,
    /// The hash after it.
    pub hash: ChainHash,
}

/// The end of the journal: one row per issuer, replaced by every commit under its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The last change set.
    pub seq: u64,
    /// The chain up to it.
    pub hash: ChainHash,
    /// How many rows are in which state.
    pub counts: Counts,
    /// When it was committed; none before the first.
    pub updated_at: Option<Timestamp>,
}

/// How many rows are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the states")]
pub struct Counts {
    pub revoked: u64,
    pub held: u64,
    pub valid: u64,
}

impl Counts {
    /// Moves one row from its old state to its new one.
    pub fn change(&mut self, old: Option<State>, new: State) {
        if let Some(old) = old {
            let count = self.of(old);
            *count = count.saturating_sub(1);
        }
        *self.of(new) += 1;
    }

    /// How many rows there are.
    pub fn total(&self) -> u64 {
        self.revoked + self.held + self.valid
    }

    fn of(&mut self, state: State) -> &mut u64 {
        match state {
            State::Revoked => &mut self.revoked,
            State::Held => &mut self.held,
            State::Valid => &mut self.valid,
        }
    }
}

impl Head {
    /// The head of an empty journal.
    pub fn genesis(spki_hash: &Digest) -> Self {
        Self {
            seq: 0,
            hash: ChainHash::genesis(spki_hash),
            counts: Counts::default(),
            updated_at: None,
        }
    }

    /// The head after `set`, given the counts after it.
    pub fn then(&self, set: &ChangeSet, counts: Counts) -> Self {
        Self {
            seq: set.seq,
            hash: self.hash.then(set),
            counts,
            updated_at: Some(set.at),
        }
    }
}

/// Why stored changes cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored changes are damaged at octet {0}")]
pub struct ChangesError(usize);

impl ChangeSet {
    /// The bytes that the chain is over: version 1, seq, time, actor, comment, changes; numbers
    /// big-endian, texts after their length in two octets.
    ///
    /// *Warning:* stored state. Every hash of every journal depends on it.
    pub fn canonical(&self) -> Vec<u8> {
        let mut out = vec![1];
        out.extend_from_slice(&self.seq.to_be_bytes());
        out.extend_from_slice(&self.at.seconds().to_be_bytes());
        for text in [&self.actor, &self.comment] {
            out.extend_from_slice(&(text.len() as u16).to_be_bytes());
            out.extend_from_slice(text.as_bytes());
        }
        out.extend_from_slice(&self.encode_changes());
        out
    }

    /// The changes alone, as the journal stores them: a record of 47 octets each: event, state,
    /// reason (0: none), serial, then revocation date, invalidity date and end of the certificate
    /// as seconds + 1 (0: none).
    ///
    /// *Warning:* stored state.
    pub fn encode_changes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.changes.len() * RECORD);
        for Change { event, status } in &self.changes {
            out.extend_from_slice(&[
                *event as u8,
                status.state() as u8,
                status.reason().map_or(0, Reason::code),
            ]);
            out.extend_from_slice(status.serial().octets());
            for time in [
                status.revoked_at(),
                status.invalidity_date(),
                status.not_after(),
            ] {
                out.extend_from_slice(&stored_time(time).to_be_bytes());
            }
        }
        out
    }

    /// Reads what [`ChangeSet::encode_changes`] wrote for change set `seq`.
    pub fn decode_changes(seq: u64, stored: &[u8]) -> Result<Vec<Change>, ChangesError> {
        let (records, rest) = stored.as_chunks::<RECORD>();
        if !rest.is_empty() {
            return Err(ChangesError(stored.len() - rest.len()));
        }
        let records = records.iter().enumerate();
        records
            .map(|(at, record)| decode_record(seq, record).ok_or(ChangesError(at * RECORD)))
            .collect()
    }
}

/// A time as it is stored: seconds + 1, or 0 for none.
///
/// *Warning:* stored state, of journal and checkpoint.
pub(super) fn stored_time(time: Option<Timestamp>) -> u64 {
    time.map_or(0, |time| time.seconds() + 1)
}

/// Reads what [`stored_time`] gave.
pub(super) fn time(stored: u64) -> Option<Option<Timestamp>> {
    match stored.checked_sub(1) {
        None => Some(None),
        Some(seconds) => Timestamp::from_seconds(seconds).map(Some),
    }
}

/// Reads a stored reason: its code, or 0 for none.
pub(super) fn reason(stored: u8) -> Option<Option<Reason>> {
    match stored {
        0 => Some(None),
        code => Reason::from_code(code).map(Some),
    }
}

/// Octets of one stored change.
const RECORD: usize = 3 + 20 + 3 * 8;

fn decode_record(seq: u64, record: &[u8; RECORD]) -> Option<Change> {
    let time = |at: usize| time(u64::from_be_bytes(*record[at..].first_chunk()?));
    let fields = StatusFields {
        serial: Serial::from_octets(*record[3..].first_chunk()?).ok()?,
        state: State::from_code(record[1])?,
        revoked_at: time(23)?,
        reason: reason(record[2])?,
        invalidity_date: time(31)?,
        not_after: time(39)?,
        seq,
    };
    Some(Change {
        event: Event::from_code(record[0])?,
        status: fields.check().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{
        digest::hex,
        revocation::{Listing, Status},
    };

    fn set() -> ChangeSet {
        let at = |seconds| Timestamp::from_seconds(seconds).unwrap();
        let change = |event, reason| {
            let listing = Listing {
                at: at(1_700_000_000),
                reason: Some(reason),
                invalidity_date: None,
            };
            let serial = Serial::from_hex("0a2e89").unwrap();
            let status = Status::listed(serial, listing, Some(at(1_800_000_000)), 7);
            Change { event, status }
        };
        let changes = vec![
            change(Event::Revoked, Reason::KeyCompromise),
            change(Event::Amended, Reason::CertificateHold),
        ];
        ChangeSet {
            seq: 7,
            at: at(1_700_000_100),
            actor: "ann".into(),
            comment: "lost".into(),
            changes,
        }
    }

    #[test]
    fn changes_round_trip_and_damage_is_found() {
        let set = set();
        let stored = set.encode_changes();
        assert_eq!(stored.len(), 2 * RECORD);
        assert_eq!(ChangeSet::decode_changes(7, &stored), Ok(set.changes));
        assert_eq!(
            ChangeSet::decode_changes(7, &stored[1..]),
            Err(ChangesError(RECORD))
        );
        for at in [0, 1, 2] {
            let mut damaged = stored.clone();
            damaged[at] = 99;
            assert_eq!(
                ChangeSet::decode_changes(7, &damaged),
                Err(ChangesError(0)),
                "octet {at}"
            );
        }
    }

    #[test]
    fn canonical_bytes_and_chain_are_fixed_for_ever() {
        let canonical = set().canonical();
        assert_eq!(
            hex(&canonical[..30]),
            "0100000000000000070000000065\
             53f1640003616e6e00046c6f73740101"
        );
        let genesis = ChainHash::genesis(&Digest::from_octets([0; 32]));
        assert_eq!(
            genesis.to_string(),
            "feae4b38c8d75b714c0f12d4915fbd5eb13a04654e6bfa8cf8cf1dba991dd945"
        );
        assert_eq!(ChainHash::from_hex(&genesis.to_string()), Some(genesis));
        assert_ne!(
            genesis.then(&set()),
            genesis.then(&ChangeSet {
                comment: "found".into(),
                ..set()
            })
        );
    }
}
