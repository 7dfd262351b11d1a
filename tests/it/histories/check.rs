//! What must always be true of shelf and archive, told by a model that knows nothing of the product
//! but the contract.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};

use super::{
    index::Index,
    model::{Fact, Model},
};
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
    /// Numbers only rise, and are never below the time's seconds.
    NumberFell,
    /// A number is reserved in the index before it is used, and stays reserved.
    NotReserved,
    /// thisUpdate only rises, and never beyond now.
    TimeBack,
    /// A pass leaves nothing on the shelf that has ended.
    Ended,
    /// Every CRL is signed by the CA's key.
    Signature,
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
    /// Whatever happened, the next pass that nobody disturbs repairs.
    NotRepaired,
    /// The journal only grows, and is one chain that leads to the head.
    Journal,
    /// The status rows are what the journal says.
    Rows,
    /// What was acknowledged is in the index, and nothing else; what contradicts it was refused.
    Acknowledged,
}

#[derive(Clone, Debug)]
pub struct Violation {
    pub rule: Rule,
    pub detail: String,
}

pub fn require(good: bool, rule: Rule, detail: impl FnOnce() -> String) -> Result<(), Violation> {
    if good {
        Ok(())
    } else {
        Err(Violation {
            rule,
            detail: detail(),
        })
    }
}

/// Which CRL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Full,
    Delta,
    Shard(u8),
}

/// A CRL, as far as the rules are about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    pub number: u64,
    pub base: Option<u64>,
    pub this_update: String,
    pub next_update: String,
    /// Under the CA's key.
    pub is_signed: bool,
    pub entries: BTreeMap<u8, Fact>,
}

impl List {
    /// `key` is the CA's P-256 point.
    pub fn read(bytes: &[u8], key: &[u8]) -> Self {
        let crl = Crl::read(bytes);
        let digits = |(_, digits): &(u8, String)| digits.clone();
        let entry = |entry: &crate::support::crl::Entry| {
            assert_eq!(entry.serial.len(), 1);
            (
                entry.serial[0],
                Fact {
                    date: digits(&entry.revoked_at),
                    reason: entry.reason(),
                },
            )
        };
        let base = crl.extension(&[0x55, 0x1d, 0x1b]).map(|indicator| {
            der::only(&indicator.value)
                .content
                .iter()
                .fold(0, |number, &octet| number << 8 | u64::from(octet))
        });
        let entries: BTreeMap<_, _> = crl.list().iter().map(entry).collect();
        assert_eq!(entries.len(), crl.list().len(), "a serial stands twice");
        let [this_update, next_update] = [&crl.this_update, &crl.next_update].map(digits);
        Self {
            number: crl.number(),
            base,
            this_update,
            next_update,
            is_signed: is_signed(bytes, key),
            entries,
        }
    }
}

fn is_signed(crl: &[u8], key: &[u8]) -> bool {
    let outer = der::children(der::only(crl).content);
    let [tbs, _, signature] = outer[..] else {
        return false;
    };
    // A BIT STRING's first octet counts its unused bits.
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key)
        .verify(tbs.whole, &signature.content[1..])
        .is_ok()
}

/// What the world, the archive and the index show at a moment.
#[derive(Clone, Debug, Default)]
pub struct Shot {
    /// 14 digits and `Z`.
    pub now: String,
    pub index: Index,
    pub shelf: BTreeMap<Kind, List>,
    pub archive: BTreeMap<(Kind, u64), List>,
}

/// What was seen so far.
#[derive(Clone, Debug, Default)]
pub struct Checker {
    seen: Shot,
    /// The states of the model that an archived CRL may have been made from.
    origins: BTreeMap<(Kind, u64), BTreeSet<usize>>,
    /// The highest number that each place of the shelf ever had, and its thisUpdate.
    highest: BTreeMap<Kind, (u64, String)>,
    /// What somebody else put there.
    foreign: BTreeMap<Kind, Option<List>>,
    /// The number of a CRL that was taken over: new ones are above it.
    pub floor: u64,
}

impl Checker {
    /// From now on until it is replaced, what is on the shelf there is not the publisher's.
    pub fn tampered(&mut self, kind: Kind, with: Option<List>) {
        self.foreign.insert(kind, with);
    }

    /// Looks at everything, at any moment. What is new was published by somebody who began when the
    /// model was at `since`, or later.
    pub fn look(&mut self, shot: Shot, model: &Model, since: usize) -> Result<(), Violation> {
        shot.index.holds(&self.seen.index, model)?;
        self.archive_is_written_once(&shot)?;
        let new: Vec<_> = shot
            .archive
            .keys()
            .filter(|key| !self.seen.archive.contains_key(key))
            .copied()
            .collect();
        for key in new {
            is_well_made(key, &shot)?;
            require(key.1 > self.floor, Rule::NumberFell, || {
                format!("{key:?} after {} was taken over", self.floor)
            })?;
            self.origin(key, &shot, model, since)?;
        }
        self.origins_go_on()?;
        self.shelf(&shot)?;
        self.seen = shot;
        Ok(())
    }

    fn archive_is_written_once(&self, shot: &Shot) -> Result<(), Violation> {
        self.seen.archive.iter().try_for_each(|(key, list)| {
            require(
                shot.archive.get(key) == Some(list),
                Rule::ArchiveChanged,
                || format!("{key:?} was {list:?}"),
            )
        })
    }

    fn origin(
        &mut self,
        key: (Kind, u64),
        shot: &Shot,
        model: &Model,
        since: usize,
    ) -> Result<(), Violation> {
        let list = &shot.archive[&key];
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
        let found: BTreeSet<_> = (since..=model.last())
            .filter(|version| from(version).is_ok())
            .collect();
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
            by_number
                .entry(*number)
                .and_modify(|both| *both = &*both & states)
                .or_insert_with(|| states.clone());
        }
        let mut last = 0;
        for (number, states) in by_number {
            require(!states.is_empty(), Rule::TwoStates, || {
                format!("number {number}: {:?}", self.origins)
            })?;
            let state = states.range(last..).next();
            last = *state.ok_or_else(|| Violation {
                rule: Rule::WentBack,
                detail: format!("number {number} is of {states:?}, and a lower one of {last}"),
            })?;
        }
        Ok(())
    }

    fn shelf(&mut self, shot: &Shot) -> Result<(), Violation> {
        let places: BTreeSet<_> = shot
            .shelf
            .keys()
            .chain(self.seen.shelf.keys())
            .copied()
            .collect();
        for kind in places {
            let now = shot.shelf.get(&kind);
            if self
                .foreign
                .get(&kind)
                .is_some_and(|foreign| foreign.as_ref() == now)
            {
                continue;
            }
            let is_foreign = self.foreign.remove(&kind).is_some();
            if !is_foreign && now == self.seen.shelf.get(&kind) {
                continue;
            }
            let now = now.ok_or_else(|| Violation {
                rule: Rule::Lost,
                detail: format!("{kind:?} is gone"),
            })?;
            let archived = shot.archive.get(&(kind, now.number));
            if let Some((highest, last)) = self.highest.get(&kind) {
                let detail = || {
                    format!(
                        "{kind:?} {} of {} after {highest} of {last}",
                        now.number, now.this_update
                    )
                };
                require(*highest < now.number, Rule::NumberFell, detail)?;
                require(*last <= now.this_update, Rule::TimeBack, detail)?;
            }
            require(archived == Some(now), Rule::NotArchived, || {
                format!("{kind:?} {now:?}, archived: {archived:?}")
            })?;
            self.highest
                .insert(kind, (now.number, now.this_update.clone()));
        }
        Ok(())
    }

    /// After a pass that began when the model was at `began` and did not fail: all that was told
    /// before is out.
    pub fn passed(&self, began: usize, shot: &Shot, kinds: &[Kind]) -> Result<(), Violation> {
        let number = |kind| shot.shelf.get(kind).map(|list| list.number);
        let [delta, full] = [Kind::Delta, Kind::Full].each_ref().map(number);
        let is_pair = delta == full || !kinds.contains(&Kind::Delta);
        require(is_pair, Rule::Delta, || {
            format!("delta {delta:?} beside full {full:?}")
        })?;
        for kind in kinds {
            let list = shot.shelf.get(kind);
            let ended = list.filter(|list| list.next_update <= shot.now);
            require(ended.is_none(), Rule::Ended, || {
                format!("{kind:?} at {}: {ended:?}", shot.now)
            })?;
            // A delta CRL says what the full CRL of its number says.
            let origin = if *kind == Kind::Delta {
                Kind::Full
            } else {
                *kind
            };
            let states = list.and_then(|list| self.origins.get(&(origin, list.number)));
            let newest = states.and_then(|states| states.last().copied());
            require(newest >= Some(began), Rule::Stale, || {
                format!("{kind:?} is of {states:?}, not {began}")
            })?;
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
        let union: BTreeMap<_, _> = shards
            .flat_map(|shard| shard.entries.iter().filter_map(lasting))
            .collect();
        let whole: BTreeMap<_, _> = full.entries.iter().filter_map(lasting).collect();
        require(union == whole, Rule::Shards, || {
            format!("shards {union:?}, full {whole:?}")
        })
    }
}

/// What a new CRL must be, whatever it lists.
fn is_well_made(key: (Kind, u64), shot: &Shot) -> Result<(), Violation> {
    let list = &shot.archive[&key];
    let detail = || {
        format!(
            "{key:?} at {}, {} reserved: {list:?}",
            shot.now, shot.index.reserved
        )
    };
    require(list.is_signed, Rule::Signature, detail)?;
    require(list.number == key.1, Rule::ArchiveChanged, detail)?;
    require(
        list.number >= der::seconds(&shot.now),
        Rule::NumberFell,
        detail,
    )?;
    require(
        list.number <= shot.index.reserved,
        Rule::NotReserved,
        detail,
    )?;
    require(list.this_update <= shot.now, Rule::TimeBack, detail)?;
    if let Kind::Shard(index) = key.0 {
        let other = list
            .entries
            .keys()
            .find(|&&serial| serial % SHARDS != index);
        require(other.is_none(), Rule::WrongShard, || {
            format!("{other:?} is on shard {index}")
        })?;
    }
    Ok(())
}

/// Whether a CRL says what the model said at a version.
fn says(
    kind: Kind,
    list: &List,
    version: usize,
    model: &Model,
    before: &[&List],
) -> Result<(), Violation> {
    let rows = &model.versions[version];
    for (serial, fact) in &list.entries {
        let row = rows.get(serial);
        require(row.is_some(), Rule::Unexplained, || {
            format!("{kind:?} {} lists {serial}", list.number)
        })?;
        let said = row.map(|row| &row.fact);
        require(said == Some(fact), Rule::Moved, || {
            format!("{kind:?} {}: {serial} {fact:?}, not {said:?}", list.number)
        })?;
    }
    for serial in rows
        .keys()
        .filter(|serial| matches!(kind, Kind::Full) || kind == Kind::Shard(*serial % SHARDS))
    {
        // RFC 5280 §3.3: "until it appears on one regularly scheduled CRL issued beyond the revoked
        // certificate's validity period".
        let end = model.ends[version].get(serial);
        let was_listed = |end: &String| {
            before
                .iter()
                .any(|old| old.this_update > *end && old.entries.contains_key(serial))
        };
        let may_leave = end.is_some_and(was_listed);
        let is_there = list.entries.contains_key(serial) || may_leave;
        require(is_there, Rule::Lost, || {
            format!(
                "{kind:?} {} lacks {serial}, which ends at {end:?}",
                list.number
            )
        })?;
    }
    Ok(())
}

/// A client may apply a delta CRL to its base, and to any full CRL since.
fn delta_fits(delta: &List, shot: &Shot) -> Result<(), Violation> {
    let lost = |what: &str| Violation {
        rule: Rule::Delta,
        detail: format!("delta {}: {what}", delta.number),
    };
    let full = shot
        .archive
        .get(&(Kind::Full, delta.number))
        .ok_or_else(|| lost("no full CRL of its number"))?;
    let base = delta.base.ok_or_else(|| lost("no base"))?;
    require(base <= delta.number, Rule::Delta, || {
        format!("delta {} with base {base}", delta.number)
    })?;
    shot.archive
        .get(&(Kind::Full, base))
        .ok_or_else(|| lost("its base is not in the archive"))?;
    for ((_, number), old) in shot
        .archive
        .range((Kind::Full, base)..=(Kind::Full, delta.number))
    {
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
