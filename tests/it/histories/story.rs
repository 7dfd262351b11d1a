//! Histories: what happens to a CA, step by step, with the real publisher, index, shelf and
//! archive.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use rescind::facade::{
    ca::Ca,
    core::{
        revocation::{Action, ChangeRequest, Reason},
        serial::{CrlNumber, Serial},
        time::Timestamp,
    },
    stories::{
        publish::{Became, Outcome},
        revoke::{self, Author},
    },
};
use rusqlite::Connection;

use super::{
    check::{Checker, Kind, List, Rule, SHARDS, Shot, Violation, require},
    index::{self, Index},
    model::{Change, Model},
    pass::{Pass, runtime},
};
use crate::support::{ISSUER, at, now};

/// Whose turn it is while two publishers run: each turn lasts until a call to a store came back.
#[derive(Clone, Copy, Debug)]
pub enum Turn {
    First(u8),
    Second(u8),
    Change(Change),
}

/// What is published. How many shards there are is said once and for all; the rest may be
/// configured otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub delta: bool,
    pub shards: bool,
    pub keep_expired: bool,
}

impl Settings {
    fn text(self) -> String {
        let delta = if self.delta { "4h" } else { "off" };
        let shards = if self.shards { SHARDS } else { 1 };
        format!(
            "[issuer.crl]\ndelta = \"{delta}\"\nshards = {shards}\nkeep_expired = {}\n",
            self.keep_expired
        )
    }

    fn kinds(self) -> Vec<Kind> {
        let delta = self.delta.then_some(Kind::Delta);
        let shards = (0..SHARDS).map(Kind::Shard).filter(|_| self.shards);
        [Kind::Full]
            .into_iter()
            .chain(delta)
            .chain(shards)
            .collect()
    }
}

/// What is out of order; an index that takes nothing can still be read.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    Key,
    Index,
    Archive,
    Shelf,
}

#[derive(Clone, Debug)]
pub enum Step {
    Tell(Change),
    Wait(u32),
    Publish {
        force: bool,
    },
    /// Killed after this many calls.
    Killed(u8),
    /// Both go on, and are killed at the end if they are not done.
    Race(Vec<Turn>, bool),
    /// A pass while something is out of order from the beginning to the end.
    Fail(Fault),
    /// A pass while something is out of order after this many calls, for this many.
    Flaky(Fault, u8, u8),
    /// Another CA's CRL was taken over, with a number this far above the time's seconds.
    Floor(u16),
    /// Another configuration: whether there is a delta CRL, and whether what expired is kept.
    Configure(bool, bool),
    /// Somebody removes a CRL from the shelf, puts back an older one, or puts another scope's in
    /// its place.
    Remove(Kind),
    PutBack(Kind),
    Swap(Kind, Kind),
}

/// A bug between the product and its stores: it may do to the folder what it likes.
pub type Bug = Box<dyn FnMut(&Path, Moment)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A pass is about to begin.
    Begin,
    /// A call to a store came back.
    Call,
}

/// A CA, its stores, and what is known of them.
pub struct World {
    dir: tempfile::TempDir,
    /// Two processes.
    pub cas: [Ca; 2],
    settings: Settings,
    now: Timestamp,
    index: Connection,
    bug: Option<Bug>,
    pub model: Model,
    pub checker: Checker,
    read: BTreeMap<PathBuf, (Vec<u8>, List)>,
}

impl World {
    pub fn new(settings: Settings) -> Self {
        let dir = crate::support::folder();
        let cas = open(dir.path(), settings);
        // The CA certificate begins now, and CRLs are dated back.
        let now = at(now()).after(Duration::from_secs(86_400));
        let (model, checker, index) = (Model::new(), Checker::default(), index::open(dir.path()));
        Self {
            dir,
            cas,
            settings,
            now,
            index,
            bug: None,
            model,
            checker,
            read: BTreeMap::new(),
        }
    }

    /// With a bug from now on.
    pub fn plant(&mut self, bug: Bug) {
        self.bug = Some(bug);
    }

    fn meddle(&mut self, moment: Moment) {
        if let Some(bug) = &mut self.bug {
            bug(self.dir.path(), moment);
        }
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Whether it is published.
    fn has(&self, kind: Kind) -> bool {
        self.settings.kinds().contains(&kind)
    }

    fn shelf(&self, kind: Kind) -> PathBuf {
        let end = match kind {
            Kind::Full => ".crl".to_owned(),
            Kind::Delta => "-delta.crl".to_owned(),
            Kind::Shard(index) => format!("/{index:02x}.crl"),
        };
        self.dir.path().join(format!("data/shelf/{ISSUER}{end}"))
    }

    /// What is there now. What was read before is not parsed again.
    pub fn shot(&mut self) -> Shot {
        let mut shot = Shot {
            now: text(self.now),
            index: Index::read(&self.index),
            ..Shot::default()
        };
        let everything = Settings {
            delta: true,
            ..self.settings
        };
        for kind in everything.kinds() {
            if let Some(list) = self.list(self.shelf(kind)) {
                shot.shelf.insert(kind, list);
            }
        }
        for (path, key) in archived(self.dir.path()) {
            shot.archive.insert(key, self.list(path).unwrap());
        }
        shot
    }

    fn list(&mut self, path: PathBuf) -> Option<List> {
        let bytes = fs::read(&path).ok()?;
        let kept = self.read.get(&path).filter(|(old, _)| *old == bytes);
        let list = kept.map_or_else(
            || List::read(&bytes, self.cas[0].issuer.key().bits()),
            |(_, list)| list.clone(),
        );
        self.read.insert(path, (bytes, list.clone()));
        Some(list)
    }

    /// Looks at what passes left that began when the model was at `since`, or later.
    fn look(&mut self, since: usize) -> Result<Shot, Violation> {
        let shot = self.shot();
        self.checker.look(shot.clone(), &self.model, since)?;
        Ok(shot)
    }

    pub fn take(&mut self, step: &Step) -> Result<(), Violation> {
        let since = self.model.settled();
        match step {
            Step::Tell(change) => self.tell(*change)?,
            Step::Wait(seconds) => {
                self.now = self.now.after(Duration::from_secs((*seconds).into()))
            }
            Step::Publish { force } => return self.publish(*force),
            Step::Killed(calls) => {
                let mut pass = self.pass(0, false);
                (0..*calls).for_each(|_| self.turn(&mut pass));
            }
            Step::Race(turns, to_the_end) => return self.race(turns, *to_the_end),
            Step::Fail(fault) => return self.fail(*fault),
            Step::Flaky(fault, calls, times) => return self.flaky(*fault, *calls, *times),
            Step::Floor(above) => self.raise(u64::from(*above))?,
            Step::Configure(delta, keep_expired) => {
                self.settings = Settings {
                    delta: *delta,
                    keep_expired: *keep_expired,
                    ..self.settings
                };
                self.cas = open(self.dir.path(), self.settings);
            }
            Step::Remove(kind) if self.has(*kind) => {
                self.checker.tampered(*kind, None);
                let _ = fs::remove_file(self.shelf(*kind));
            }
            Step::PutBack(kind) if self.has(*kind) => self.put_back(*kind),
            Step::Swap(kind, other) if self.has(*kind) && self.has(*other) => {
                self.put(*kind, &self.shelf(*other));
            }
            Step::Remove(_) | Step::PutBack(_) | Step::Swap(..) => {}
        }
        self.look(since).map(|_| ())
    }

    fn pass(&mut self, process: usize, force: bool) -> Pass {
        self.meddle(Moment::Begin);
        Pass::new(&self.cas[process], force, self.now, self.model.settled())
    }

    fn turn(&mut self, pass: &mut Pass) {
        pass.turn();
        self.meddle(Moment::Call);
    }

    fn finish(&mut self, pass: &mut Pass) {
        while pass.done.is_none() {
            self.turn(pass);
        }
    }

    pub fn publish(&mut self, force: bool) -> Result<(), Violation> {
        let mut pass = self.pass(0, force);
        self.finish(&mut pass);
        let shot = self.look(pass.began)?;
        let is_done = |outcome: &rescind::facade::stories::publish::Outcome| {
            !matches!(outcome.became, Became::LostRace(_)) && outcome.troubles.is_empty()
        };
        let repaired = pass
            .done
            .as_ref()
            .is_some_and(|done| done.as_ref().is_ok_and(is_done));
        require(repaired, Rule::NotRepaired, || format!("{:?}", pass.done))?;
        self.checker
            .passed(pass.began, &shot, &self.settings.kinds())?;
        if self.settings.shards {
            self.checker.shards_are_full(&shot, &self.model)?;
        }
        Ok(())
    }

    fn race(&mut self, turns: &[Turn], to_the_end: bool) -> Result<(), Violation> {
        let mut passes = [self.pass(0, true), self.pass(1, true)];
        let since = self.model.settled();
        for turn in turns {
            match turn {
                Turn::First(calls) => (0..*calls).for_each(|_| self.turn(&mut passes[0])),
                Turn::Second(calls) => (0..*calls).for_each(|_| self.turn(&mut passes[1])),
                Turn::Change(change) => self.tell(*change)?,
            }
            self.look(since)?;
        }
        for pass in &mut passes {
            if to_the_end {
                self.finish(pass);
            }
            let shot = self.look(since)?;
            match &pass.done {
                Some(Ok(outcome))
                    if outcome.became.is_published() && outcome.troubles.is_empty() =>
                {
                    // The other one may have gone on with the delta CRL and the shards.
                    self.checker.passed(pass.began, &shot, &[Kind::Full])?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A pass that must fail, and change nothing the world sees.
    fn fail(&mut self, fault: Fault) -> Result<(), Violation> {
        let before = self.shot();
        let place = self.disable(fault);
        let mut pass = self.pass(0, true);
        self.finish(&mut pass);
        self.enable(place);
        let shot = self.look(pass.began)?;
        let failed = pass.done.is_some_and(|done| done.is_err());
        require(failed, Rule::FailedPass, || {
            format!("a pass without {fault:?} did not fail")
        })?;
        require(shot.shelf == before.shelf, Rule::FailedPass, || {
            format!("{:?}, {:?}", before.shelf, shot.shelf)
        })
    }

    /// A pass that may come to anything; but where it finds no fault, none may be.
    fn flaky(&mut self, fault: Fault, calls: u8, times: u8) -> Result<(), Violation> {
        let mut pass = self.pass(0, true);
        (0..calls).for_each(|_| self.turn(&mut pass));
        let place = self.disable(fault);
        (0..times).for_each(|_| self.turn(&mut pass));
        self.enable(place);
        self.finish(&mut pass);
        let shot = self.look(pass.began)?;
        match &pass.done {
            Some(Ok(outcome)) if is_complete(outcome) => {
                self.checker
                    .passed(pass.began, &shot, &self.settings.kinds())
            }
            _ => Ok(()),
        }
    }

    /// Returns what was there, and is not what it was until it is enabled.
    fn disable(&self, fault: Fault) -> Option<PathBuf> {
        let place = match fault {
            Fault::Key => "ca.key.pem",
            Fault::Archive => "data/archive",
            Fault::Shelf => "data/shelf",
            Fault::Index => {
                let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON revocations BEGIN SELECT \
                              RAISE(ABORT, 'no'); END";
                self.index.execute_batch(refuse).unwrap();
                return None;
            }
        };
        let place = self.dir.path().join(place);
        let _ = fs::rename(&place, self.dir.path().join("aside"));
        fs::write(&place, "not what it was").unwrap();
        Some(place)
    }

    fn enable(&self, place: Option<PathBuf>) {
        let Some(place) = place else {
            return self.index.execute_batch("DROP TRIGGER refuse").unwrap();
        };
        fs::remove_file(&place).unwrap();
        // There may have been nothing yet.
        let _ = fs::rename(self.dir.path().join("aside"), &place);
    }

    fn raise(&mut self, above: u64) -> Result<(), Violation> {
        let floor = self.now.seconds() + above;
        let raised =
            runtime().block_on(revoke::raise_number(&self.cas[0], CrlNumber::known(floor)));
        require(raised.is_ok(), Rule::NotRepaired, || {
            format!("take over a CRL: {raised:?}")
        })?;
        self.checker.floor = self.checker.floor.max(floor);
        Ok(())
    }

    fn put_back(&mut self, kind: Kind) {
        let oldest = self
            .shot()
            .archive
            .into_iter()
            .find(|((of, _), _)| *of == kind);
        let Some(((_, number), _)) = oldest else {
            return;
        };
        let end = match kind {
            Kind::Full => String::new(),
            Kind::Delta => "-delta".to_owned(),
            Kind::Shard(index) => format!("-{index:02x}"),
        };
        let from = self
            .dir
            .path()
            .join(format!("data/archive/{ISSUER}/{number}{end}.crl"));
        self.put(kind, &from);
    }

    /// Somebody puts a CRL onto the shelf.
    fn put(&mut self, kind: Kind, from: &Path) {
        let Some(list) = self.list(from.to_owned()) else {
            return;
        };
        if self.shot().shelf.get(&kind) != Some(&list) {
            self.checker.tampered(kind, Some(list));
            fs::create_dir_all(self.shelf(kind).parent().unwrap()).unwrap();
            fs::copy(from, self.shelf(kind)).unwrap();
        }
    }

    /// Tells index and model.
    pub fn tell(&mut self, change: Change) -> Result<(), Violation> {
        let now = self.now;
        let before = |seconds: u16| now.before(Duration::from_secs(seconds.into()));
        let revoke = |at, is_dated, reason, amend| Action::Revoke {
            at,
            is_dated,
            reason: Some(reason),
            invalidity_date: None,
            amend,
        };
        let ending =
            |end: Option<u16>| end.map(|end| now.after(Duration::from_secs(u64::from(end) * 60)));
        let (serial, action, not_after) = match change {
            Change::Revoke(serial, ago, end) => (
                serial,
                revoke(
                    ago.map_or(now, before),
                    ago.is_some(),
                    Reason::Superseded,
                    false,
                ),
                ending(end),
            ),
            Change::Hold(serial, end) => (
                serial,
                revoke(now, false, Reason::CertificateHold, false),
                ending(end),
            ),
            Change::Amend(serial, ago) => (
                serial,
                revoke(before(ago), true, Reason::KeyCompromise, true),
                None,
            ),
            Change::Release(serial) => (serial, Action::Release, None),
        };
        let request = ChangeRequest {
            serial: Serial::from_hex(&format!("{serial:02x}")).unwrap(),
            action,
            not_after,
        };
        let author = Author {
            actor: "test".to_owned(),
            comment: String::new(),
        };
        let told = runtime().block_on(revoke::commit(
            &self.cas[0],
            &[request],
            &author,
            now,
            |_| (),
        ));
        self.meddle(Moment::Call);
        let was_held = self.model.rows().get(&serial).is_some_and(|row| row.held);
        let is_refused = matches!(change, Change::Release(_)) && !was_held;
        require(told.is_err() == is_refused, Rule::Acknowledged, || {
            format!("{change:?}: {told:?}")
        })?;
        if !is_refused {
            self.model
                .remember(change, &|ago| text(before(ago)), not_after.map(text));
        }
        Ok(())
    }
}

/// Two processes.
fn open(dir: &Path, settings: Settings) -> [Ca; 2] {
    let text = crate::support::configuration(&settings.text());
    [(); 2].map(|()| crate::support::open(&text, dir).remove(0))
}

fn is_complete(outcome: &Outcome) -> bool {
    !matches!(outcome.became, Became::LostRace(_)) && outcome.troubles.is_empty()
}

/// Every CRL in the archive, the older ones of each kind first.
pub fn archived(dir: &Path) -> Vec<(PathBuf, (Kind, u64))> {
    let folder = fs::read_dir(dir.join(format!("data/archive/{ISSUER}")))
        .into_iter()
        .flatten();
    let named = folder.filter_map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let name = name
            .strip_suffix(".crl")
            .filter(|name| !name.starts_with('.'))?;
        let (number, scope) = name.split_once('-').unwrap_or((name, ""));
        let kind = match scope {
            "" => Kind::Full,
            "delta" => Kind::Delta,
            shard => Kind::Shard(u8::from_str_radix(shard, 16).unwrap()),
        };
        let key = (kind, number.parse().unwrap());
        Some((path, key))
    });
    let mut found: Vec<_> = named.collect();
    found.sort_by_key(|(_, key)| *key);
    found
}

fn text(time: Timestamp) -> String {
    String::from_utf8(time.digits().to_vec()).unwrap()
}
