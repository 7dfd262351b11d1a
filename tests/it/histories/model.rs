//! What was told to the index, and what follows from it by the contract alone; it knows nothing of
//! the product.

use std::collections::BTreeMap;

/// What somebody tells the index.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    /// With a date this long ago, if any, and an end this far away, if known.
    Revoke(u8, Option<u16>, Option<u16>),
    Hold(u8, Option<u16>),
    Amend(u8, u16),
    Release(u8),
}

/// What a CRL says of one certificate. Times are 14 digits and `Z`, which sort.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    pub date: String,
    pub reason: Option<u8>,
}

/// A certificate that is revoked or on hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub held: bool,
    pub fact: Fact,
}

/// Everything that was told, one state after the other.
#[derive(Clone, Debug)]
pub struct Model {
    /// From the empty one on.
    pub versions: Vec<BTreeMap<u8, Row>>,
    /// When certificates end, as known at each version.
    pub ends: Vec<BTreeMap<u8, String>>,
}

impl Model {
    pub fn new() -> Self {
        Self {
            versions: vec![BTreeMap::new()],
            ends: vec![BTreeMap::new()],
        }
    }

    pub fn last(&self) -> usize {
        self.versions.len() - 1
    }

    /// The first version since which nothing changed that a CRL can show: telling something twice
    /// changes nothing.
    pub fn settled(&self) -> usize {
        let same = self
            .versions
            .iter()
            .rev()
            .take_while(|rows| *rows == self.rows())
            .count();
        self.versions.len() - same
    }

    pub fn rows(&self) -> &BTreeMap<u8, Row> {
        &self.versions[self.last()]
    }

    /// The contract: the earliest date stays, permanent stays, a hold may be released or made
    /// permanent, and an amendment replaces date and reason. The latest end that was told counts.
    /// `ago` is the text of the time that many seconds ago.
    pub fn remember(&mut self, change: Change, ago: &dyn Fn(u16) -> String, end: Option<String>) {
        let (mut rows, mut ends) = (self.rows().clone(), self.ends[self.last()].clone());
        let (serial, date, reason, held) = match change {
            Change::Revoke(serial, date, _) => (serial, ago(date.unwrap_or(0)), 4, false),
            Change::Hold(serial, _) => (serial, ago(0), 6, true),
            Change::Amend(serial, date) => (serial, ago(date), 1, false),
            Change::Release(serial) => {
                rows.remove(&serial);
                return self.push(rows, ends);
            }
        };
        let new = Row {
            held,
            fact: Fact {
                date,
                reason: Some(reason),
            },
        };
        let merged = match (rows.get(&serial), change) {
            (None, _) | (Some(_), Change::Amend(..)) => new,
            (Some(old), _) if !old.held && held => old.clone(),
            (Some(old), _) => {
                let date = old.fact.date.clone().min(new.fact.date.clone());
                let reason = if old.held {
                    new.fact.reason
                } else {
                    old.fact.reason
                };
                Row {
                    held: old.held && held,
                    fact: Fact { date, reason },
                }
            }
        };
        rows.insert(serial, merged);
        if let Some(end) = end {
            let last = ends.entry(serial).or_insert_with(|| end.clone());
            *last = last.clone().max(end);
        }
        self.push(rows, ends);
    }

    fn push(&mut self, rows: BTreeMap<u8, Row>, ends: BTreeMap<u8, String>) {
        self.versions.push(rows);
        self.ends.push(ends);
    }
}
