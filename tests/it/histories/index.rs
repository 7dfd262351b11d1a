//! The index as it lies in its file, read without the product, and what must always be true of it.

use std::{collections::BTreeMap, path::Path};

use rusqlite::Connection;
use sha2::{Digest, Sha256};

use super::{
    check::{Rule, Violation, require},
    model::{Fact, Model, Row},
};
use crate::support::{at, der::hex};

/// A change set of the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    pub prev: String,
    pub hash: String,
    pub at: u64,
    pub actor: String,
    pub comment: String,
    pub changes: Vec<u8>,
}

/// A certificate's state, as a row or as a record of the journal has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub seq: u64,
    pub state: String,
    pub reason: Option<u8>,
    pub revoked_at: Option<u64>,
    pub not_after: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    /// Number and hash of the last change set, and how many are revoked, held and valid.
    pub head: Option<(u64, String, [u64; 3])>,
    pub journal: BTreeMap<u64, Record>,
    /// By the whole serial in hexadecimal.
    pub rows: BTreeMap<String, Status>,
    /// The number last reserved.
    pub reserved: u64,
}

const STATES: [&str; 3] = ["revoked", "held", "valid"];

impl Index {
    pub fn read(file: &Connection) -> Self {
        let sql = "SELECT RowKey, Seq, Hash, Revoked, Held, Valid, Prev, At, Actor, Comment, \
                   Changes, State, Reason,
                   RevokedAt, NotAfter, Number FROM revocations";
        let mut index = Self::default();
        let mut statement = file.prepare_cached(sql).unwrap();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            index.take(row).unwrap();
        }
        index
    }

    fn take(&mut self, row: &rusqlite::Row<'_>) -> Result<(), rusqlite::Error> {
        let key: String = row.get(0)?;
        match key.split_at(2) {
            ("he", _) => {
                self.head = Some((
                    row.get(1)?,
                    row.get(2)?,
                    [row.get(3)?, row.get(4)?, row.get(5)?],
                ))
            }
            ("c.", seq) => {
                let (prev, hash, at) = (row.get(6)?, row.get(2)?, row.get(7)?);
                let record = Record {
                    prev,
                    hash,
                    at,
                    actor: row.get(8)?,
                    comment: row.get(9)?,
                    changes: row.get(10)?,
                };
                self.journal.insert(seq.parse().unwrap(), record);
            }
            ("s.", serial) => {
                let (seq, state) = (row.get(1)?, row.get(11)?);
                let reason = row.get::<_, Option<String>>(12)?.map(|name| code(&name));
                let status = Status {
                    seq,
                    state,
                    reason,
                    revoked_at: row.get(13)?,
                    not_after: row.get(14)?,
                };
                self.rows.insert(serial.to_owned(), status);
            }
            ("p.", "full") => self.reserved = row.get(15)?,
            _ => {}
        }
        Ok(())
    }

    /// Of one of the histories' certificates.
    pub fn key(serial: u8) -> String {
        format!("{serial:040x}")
    }

    /// When a certificate ends, in seconds.
    pub fn end(&self, serial: u8) -> Option<u64> {
        self.rows.get(&Self::key(serial))?.not_after
    }

    /// All rules, at any moment; `before` is what was there at the last look.
    pub fn holds(&self, before: &Self, model: &Model) -> Result<(), Violation> {
        self.journal_goes_on(before)?;
        self.rows_are_the_journal()?;
        self.is_what_was_told(model)?;
        let detail = || format!("{} after {}", self.reserved, before.reserved);
        require(self.reserved >= before.reserved, Rule::NotReserved, detail)
    }

    /// A record stays as it is, and each leads to the next one, and the last to the head.
    fn journal_goes_on(&self, before: &Self) -> Result<(), Violation> {
        let mut last: Option<(u64, String)> = None;
        for (seq, record) in &self.journal {
            let at = || format!("change set {seq}: {record:?}, after {last:?}");
            let old = before.journal.get(seq);
            require(old.is_none_or(|old| old == record), Rule::Journal, at)?;
            require(
                *seq == last.as_ref().map_or(0, |(seq, _)| *seq) + 1,
                Rule::Journal,
                at,
            )?;
            require(
                last.as_ref().is_none_or(|(_, hash)| *hash == record.prev),
                Rule::Journal,
                at,
            )?;
            require(record.hash == record.chained(*seq), Rule::Journal, at)?;
            last = Some((*seq, record.hash.clone()));
        }
        let head = self
            .head
            .as_ref()
            .map(|(seq, hash, _)| (*seq, hash.clone()));
        require(head == last, Rule::Journal, || {
            format!("the head is {head:?}, the journal's end {last:?}")
        })?;
        let end = |index: &Self| index.head.as_ref().map_or(0, |(seq, ..)| *seq);
        require(end(self) >= end(before), Rule::Journal, || {
            format!("the head was {}", end(before))
        })
    }

    /// No row without a record, no record without a row, and the head counts them.
    fn rows_are_the_journal(&self) -> Result<(), Violation> {
        let mut rows = BTreeMap::new();
        for (seq, record) in &self.journal {
            rows.extend(record.statuses(*seq));
        }
        require(rows == self.rows, Rule::Rows, || {
            format!("rows {:?}, journal {rows:?}", self.rows)
        })?;
        let count = |state: &&str| rows.values().filter(|row| row.state == *state).count() as u64;
        let counts = STATES.each_ref().map(count);
        let counted = self.head.as_ref().map_or([0; 3], |(_, _, counts)| *counts);
        require(counts == counted, Rule::Rows, || {
            format!("the head counts {counted:?}, the journal {counts:?}")
        })
    }

    /// What was acknowledged is there, and nothing else.
    fn is_what_was_told(&self, model: &Model) -> Result<(), Violation> {
        let digits = |seconds: u64| String::from_utf8(at(seconds).digits().to_vec()).unwrap();
        let row = |(key, status): (&String, &Status)| {
            let serial = u64::from_str_radix(&key[24..], 16)
                .ok()
                .and_then(|serial| u8::try_from(serial).ok());
            let date = digits(status.revoked_at?);
            let fact = Fact {
                date,
                reason: status.reason,
            };
            Some((
                serial?,
                Row {
                    held: status.state == "held",
                    fact,
                },
            ))
            .filter(|_| status.state != "valid")
        };
        let rows: BTreeMap<_, _> = self.rows.iter().filter_map(row).collect();
        require(rows == *model.rows(), Rule::Acknowledged, || {
            format!("the index has {rows:?}, not {:?}", model.rows())
        })
    }
}

impl Record {
    /// SHA-256 of the hash before and of version, number, time, actor, comment and changes.
    fn chained(&self, seq: u64) -> String {
        let mut hash = Sha256::new();
        hash.update(crate::support::der::from_hex(&self.prev));
        hash.update([1]);
        hash.update(seq.to_be_bytes());
        hash.update(self.at.to_be_bytes());
        for text in [&self.actor, &self.comment] {
            hash.update((text.len() as u16).to_be_bytes());
            hash.update(text);
        }
        hash.update(&self.changes);
        hex(&hash.finalize())
    }

    /// Records of 47 octets: event, state, reason, serial, and three times as seconds + 1.
    fn statuses(&self, seq: u64) -> impl Iterator<Item = (String, Status)> {
        self.changes.chunks(47).map(move |record| {
            let time = |at: usize| {
                let octets = record[at..at + 8].try_into().unwrap();
                u64::from_be_bytes(octets).checked_sub(1)
            };
            let state = STATES[usize::from(record[1]) - 1].to_owned();
            let reason = Some(record[2]).filter(|reason| *reason != 0);
            let status = Status {
                seq,
                state,
                reason,
                revoked_at: time(23),
                not_after: time(39),
            };
            (hex(&record[3..23]), status)
        })
    }
}

fn code(reason: &str) -> u8 {
    match reason {
        "keyCompromise" => 1,
        "superseded" => 4,
        "certificateHold" => 6,
        other => panic!("nobody told {other}"),
    }
}

/// The index's file, which the product has open too.
pub fn open(dir: &Path) -> Connection {
    Connection::open(dir.join("data/index.sqlite")).unwrap()
}
