//! What must always be true of shelf and archive, told by a model that knows nothing of the product but the contract.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{crl::Crl, der};

pub const SHARDS: u8 = 4;
const REMOVE_FROM_CRL: u8 = 8;

/// A rule of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Nothing revoked is lost.
    Lost,
    /// Nobody is listed who is not revoked.
    Unexplained,
    /// Dates and reasons change only by a change that says so.
    Moved,
    /// A CRL is never made from an older index than one with a lower number.
    WentBack,
    /// A CRL published after a revocation carries it.
    Stale,
    /// Numbers only rise.
    NumberFell,
    /// The archive is written once, under the CRL's own number.
    ArchiveChanged,
    /// What is on the shelf is in the archive.
    NotArchived,
    /// No number means two states.
    TwoStates,
    /// Base and delta CRL together are the full CRL.
    Delta,
    /// A shard holds its own certificates only.
    WrongShard,
    /// The shards together are the full CRL.
    Shards,
    /// A failed pass changes nothing the world sees.
    FailedPass,
}

#[derive(Clone, Debug)]
pub struct Violation {
    pub rule: Rule,
    pub detail: String,
}

pub fn require(good: bool, rule: Rule, detail: impl FnOnce() -> String) -> Result<(), Violation> {
    if good { Ok(()) } else { Err(Violation { rule, detail: detail() }) }
}

/// Which CRL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Full,
    Delta,
    Shard(u8),
}

/// What a CRL says of one certificate. Times are 14 digits and `Z`, which sort.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    pub date: String,
    pub reason: Option<u8>,
}

/// A CRL, as far as the rules are about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    pub number: u64,
    pub base: Option<u64>,
    pub this_update: String,
    pub entries: BTreeMap<u8, Fact>,
}

impl List {
    pub fn read(bytes: &[u8]) -> Self {
        let crl = Crl::read(bytes);
        let digits = |(_, digits): &(u8, String)| digits.clone();
        let entry = |entry: &crate::support::crl::Entry| {
            assert_eq!(entry.serial.len(), 1);
            (entry.serial[0], Fact { date: digits(&entry.revoked_at), reason: entry.reason() })
        };
        let base = crl.extension(&[0x55, 0x1d, 0x1b]).map(|indicator| {
            der::only(&indicator.value).content.iter().fold(0, |number, &octet| number << 8 | u64::from(octet))
        });
        let entries: BTreeMap<_, _> = crl.list().iter().map(entry).collect();
        assert_eq!(entries.len(), crl.list().len(), "a serial stands twice");
        Self { number: crl.number(), base, this_update: digits(&crl.this_update), entries }
    }
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
        Self { versions: vec![BTreeMap::new()], ends: vec![BTreeMap::new()] }
    }

    pub fn last(&self) -> usize {
        self.versions.len() - 1
    }

    /// The first version since which nothing changed that a CRL can show: telling something twice changes nothing.
    pub fn settled(&self) -> usize {
        let same = self.versions.iter().rev().take_while(|rows| *rows == self.rows()).count();
        self.versions.len() - same
    }

    pub fn rows(&self) -> &BTreeMap<u8, Row> {
        &self.versions[self.last()]
    }

    pub fn push(&mut self, rows: BTreeMap<u8, Row>, ends: BTreeMap<u8, String>) {
        self.versions.push(rows);
        self.ends.push(ends);
    }
}

/// What the world and the archive show at a moment.
#[derive(Clone, Debug, Default)]
pub struct Shot {
    pub shelf: BTreeMap<Kind, List>,
    pub archive: BTreeMap<(Kind, u64), List>,
}

/// What was seen so far.
#[derive(Clone, Debug, Default)]
pub struct Checker {
    seen: Shot,
    /// The states of the model that an archived CRL may have been made from.
    origins: BTreeMap<(Kind, u64), BTreeSet<usize>>,
    /// The highest number that each place of the shelf ever had.
    highest: BTreeMap<Kind, u64>,
    /// What somebody else put there.
    foreign: BTreeMap<Kind, Option<List>>,
}

impl Checker {
    /// From now on until it is replaced, what is on the shelf there is not the publisher's.
    pub fn tampered(&mut self, kind: Kind, with: Option<List>) {
        self.foreign.insert(kind, with);
    }

    /// Looks at everything, at any moment.
    pub fn look(&mut self, shot: Shot, model: &Model) -> Result<(), Violation> {
        self.archive_is_written_once(&shot)?;
        let new: Vec<_> = shot.archive.keys().filter(|key| !self.seen.archive.contains_key(key)).copied().collect();
        for key in new {
            let list = &shot.archive[&key];
            require(list.number == key.1, Rule::ArchiveChanged, || format!("{key:?} has number {}", list.number))?;
            self.origin(key, &shot, model)?;
        }
        self.origins_go_on()?;
        self.shelf(&shot)?;
        self.seen = shot;
        Ok(())
    }

    fn archive_is_written_once(&self, shot: &Shot) -> Result<(), Violation> {
        self.seen.archive.iter().try_for_each(|(key, list)| {
            require(shot.archive.get(key) == Some(list), Rule::ArchiveChanged, || format!("{key:?} was {list:?}"))
        })
    }

    fn origin(&mut self, key: (Kind, u64), shot: &Shot, model: &Model) -> Result<(), Violation> {
        let list = &shot.archive[&key];
        if let Kind::Shard(index) = key.0 {
            let other = list.entries.keys().find(|&&serial| serial % SHARDS != index);
            require(other.is_none(), Rule::WrongShard, || format!("{other:?} is on shard {index}"))?;
        }
        if key.0 == Kind::Delta {
            return delta_fits(list, shot);
        }
        let before: Vec<_> = shot
            .archive
            .iter()
            .filter(|((kind, number), _)| *kind == key.0 && *number < key.1)
            .map(|(_, list)| list)
            .collect();
        let from = |version: &usize| says(key.0, list, *version, model, &before);
        let found: BTreeSet<_> = (0..=model.last()).filter(|version| from(version).is_ok()).collect();
        if found.is_empty() {
            return from(&model.last());
        }
        self.origins.insert(key, found);
        Ok(())
    }

    /// One state for each number, whatever the scope, and none older than that of a lower number.
    fn origins_go_on(&self) -> Result<(), Violation> {
        let mut by_number: BTreeMap<u64, BTreeSet<usize>> = BTreeMap::new();
        for ((_, number), states) in &self.origins {
            by_number.entry(*number).and_modify(|both| *both = &*both & states).or_insert_with(|| states.clone());
        }
        let mut last = 0;
        for (number, states) in by_number {
            require(!states.is_empty(), Rule::TwoStates, || format!("number {number}: {:?}", self.origins))?;
            let state = states.range(last..).next();
            last = *state.ok_or_else(|| Violation {
                rule: Rule::WentBack,
                detail: format!("number {number} is of {states:?}, and a lower one of {last}"),
            })?;
        }
        Ok(())
    }

    fn shelf(&mut self, shot: &Shot) -> Result<(), Violation> {
        let places: BTreeSet<_> = shot.shelf.keys().chain(self.seen.shelf.keys()).copied().collect();
        for kind in places {
            let now = shot.shelf.get(&kind);
            if self.foreign.get(&kind).is_some_and(|foreign| foreign.as_ref() == now) {
                continue;
            }
            let is_foreign = self.foreign.remove(&kind).is_some();
            if !is_foreign && now == self.seen.shelf.get(&kind) {
                continue;
            }
            let now = now.ok_or_else(|| Violation { rule: Rule::Lost, detail: format!("{kind:?} is gone") })?;
            let archived = shot.archive.get(&(kind, now.number));
            let highest = self.highest.get(&kind).copied();
            require(highest < Some(now.number), Rule::NumberFell, || format!("{kind:?} {} < {highest:?}", now.number))?;
            require(archived == Some(now), Rule::NotArchived, || format!("{kind:?} {now:?}, archived: {archived:?}"))?;
            self.highest.insert(kind, now.number);
        }
        Ok(())
    }

    /// After a pass that began when the model was at `began` and did not fail: all that was told before is out.
    pub fn passed(&self, began: usize, shot: &Shot, kinds: &[Kind]) -> Result<(), Violation> {
        for kind in kinds.iter().filter(|kind| **kind != Kind::Delta) {
            let number = shot.shelf.get(kind).map(|list| list.number);
            let states = number.and_then(|number| self.origins.get(&(*kind, number)));
            let newest = states.and_then(|states| states.last().copied());
            require(newest >= Some(began), Rule::Stale, || format!("{kind:?} is of {states:?}, not {began}"))?;
        }
        if let (Some(delta), Some(full)) = (shot.shelf.get(&Kind::Delta), shot.shelf.get(&Kind::Full)) {
            let detail = || format!("delta {} beside full {}", delta.number, full.number);
            require(delta.number == full.number, Rule::Delta, detail)?;
        }
        Ok(())
    }

    /// After a pass that nobody disturbed.
    pub fn shards_are_full(&self, shot: &Shot, model: &Model) -> Result<(), Violation> {
        let full = &shot.shelf[&Kind::Full];
        let ends = &model.ends[model.last()];
        // Each scope lists a certificate once after it expired, in its own time.
        let lasting = |(serial, fact): (&u8, &Fact)| {
            let has_expired = ends.get(serial).is_some_and(|end| *end < full.this_update);
            (!has_expired).then(|| (*serial, fact.clone()))
        };
        let shards = (0..SHARDS).filter_map(|index| shot.shelf.get(&Kind::Shard(index)));
        let union: BTreeMap<_, _> = shards.flat_map(|shard| shard.entries.iter().filter_map(lasting)).collect();
        let whole: BTreeMap<_, _> = full.entries.iter().filter_map(lasting).collect();
        require(union == whole, Rule::Shards, || format!("shards {union:?}, full {whole:?}"))
    }
}

/// Whether a CRL says what the model said at a version.
fn says(kind: Kind, list: &List, version: usize, model: &Model, before: &[&List]) -> Result<(), Violation> {
    let rows = &model.versions[version];
    for (serial, fact) in &list.entries {
        let row = rows.get(serial);
        require(row.is_some(), Rule::Unexplained, || format!("{kind:?} {} lists {serial}", list.number))?;
        let said = row.map(|row| &row.fact);
        require(said == Some(fact), Rule::Moved, || {
            format!("{kind:?} {}: {serial} {fact:?}, not {said:?}", list.number)
        })?;
    }
    for serial in rows.keys().filter(|serial| matches!(kind, Kind::Full) || kind == Kind::Shard(*serial % SHARDS)) {
        // RFC 5280 §3.3: "until it appears on one regularly scheduled CRL issued beyond the revoked certificate's
        // validity period".
        let end = model.ends[version].get(serial);
        let was_listed =
            |end: &String| before.iter().any(|old| old.this_update > *end && old.entries.contains_key(serial));
        let may_leave = end.is_some_and(was_listed);
        let is_there = list.entries.contains_key(serial) || may_leave;
        require(is_there, Rule::Lost, || format!("{kind:?} {} lacks {serial}, which ends at {end:?}", list.number))?;
    }
    Ok(())
}

/// A client may apply a delta CRL to its base, and to any full CRL since.
fn delta_fits(delta: &List, shot: &Shot) -> Result<(), Violation> {
    let lost = |what: &str| Violation { rule: Rule::Delta, detail: format!("delta {}: {what}", delta.number) };
    let full = shot.archive.get(&(Kind::Full, delta.number)).ok_or_else(|| lost("no full CRL of its number"))?;
    let base = delta.base.ok_or_else(|| lost("no base"))?;
    let base = base.min(delta.number);
    shot.archive.get(&(Kind::Full, base)).ok_or_else(|| lost("its base is not in the archive"))?;
    for ((_, number), old) in shot.archive.range((Kind::Full, base)..=(Kind::Full, delta.number)) {
        let mut entries = old.entries.clone();
        for (serial, fact) in &delta.entries {
            if fact.reason == Some(REMOVE_FROM_CRL) {
                entries.remove(serial);
            } else {
                entries.insert(*serial, fact.clone());
            }
        }
        let detail = || format!("{number} with delta {delta:?} is {entries:?}, full {full:?}");
        require(entries == full.entries, Rule::Delta, detail)?;
    }
    Ok(())
}
