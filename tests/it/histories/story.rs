//! Histories: what happens to a CA, step by step, with the real publisher, index, shelf and archive.

use std::{
    collections::BTreeMap,
    fs,
    future::Future,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, Condvar, Mutex, OnceLock},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use rescind::{
    ca::Ca,
    core::{
        revocation::{Action, Reason as Why, Request},
        serial::Serial,
        time::Timestamp,
    },
    publish::{self, Options, Outcome, PublishError, Reason},
    revoke::{self, Author},
};

use super::check::{Checker, Fact, Kind, List, Model, Row, Rule, SHARDS, Shot, Violation, require};
use crate::support::{ISSUER, Site, at, now};

/// What somebody tells the index.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    /// With a date this long ago, if any, and an end this far away, if known.
    Revoke(u8, Option<u16>, Option<u16>),
    Hold(u8, Option<u16>),
    Amend(u8, u16),
    Release(u8),
}

/// Whose turn it is while two publishers run: each turn lasts until a call to a store came back.
#[derive(Clone, Copy, Debug)]
pub enum Turn {
    First(u8),
    Second(u8),
    Change(Change),
}

/// What makes a pass fail.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    Key,
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
    Fail(Fault),
    /// Somebody removes, damages, or puts back an older CRL.
    Remove(Kind),
    PutBack(Kind),
}

/// Set when a call to a store came back.
#[derive(Default)]
struct Bell(Mutex<bool>, Condvar);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }
}

/// A pass that goes on call by call, and is dropped as a killed process is.
struct Pass {
    future: Pin<Box<dyn Future<Output = Result<Outcome, PublishError>>>>,
    bell: Arc<Bell>,
    done: Option<Result<Outcome, PublishError>>,
    began: usize,
}

fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap())
}

impl Pass {
    fn new(ca: &Ca, force: bool, now: Timestamp, began: usize) -> Self {
        let ca = ca.clone();
        let options = Options { force, ..Options::default() };
        let future = Box::pin(async move { publish::publish(&ca, None, options, now).await });
        Self { future, bell: Arc::default(), done: None, began }
    }

    /// Goes on until the next call came back; what it did has happened, and nobody knows yet.
    fn turn(&mut self) {
        if self.done.is_some() {
            return;
        }
        let _here = runtime().enter();
        let waker = Waker::from(Arc::clone(&self.bell));
        match self.future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(done) => self.done = Some(done),
            Poll::Pending => {
                let mut rang = self.bell.0.lock().unwrap();
                while !*rang {
                    rang = self.bell.1.wait(rang).unwrap();
                }
                *rang = false;
            }
        }
    }

    fn finish(&mut self) -> &Result<Outcome, PublishError> {
        while self.done.is_none() {
            self.turn();
        }
        self.done.as_ref().unwrap()
    }
}

/// A CA in a folder in memory, where there is one: a million fsyncs are no part of the rules.
pub struct World {
    dir: tempfile::TempDir,
    /// Two processes.
    cas: [Ca; 2],
    kinds: Vec<Kind>,
    now: Timestamp,
    pub model: Model,
    pub checker: Checker,
    read: BTreeMap<PathBuf, (Vec<u8>, List)>,
}

fn template() -> &'static (Site, Timestamp) {
    static SITE: OnceLock<(Site, Timestamp)> = OnceLock::new();
    SITE.get_or_init(|| (Site::new(), at(now())))
}

impl World {
    pub fn new(settings: &str) -> Self {
        let (site, now) = template();
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        for name in ["ca.pem", "ca.key.pem"] {
            fs::copy(site.path(name), dir.path().join(name)).unwrap();
        }
        let text = crate::support::configuration(settings);
        let open = || crate::support::open(&text, dir.path()).remove(0);
        let cas = [open(), open()];
        let mut kinds = vec![Kind::Full];
        kinds.extend(cas[0].crl.delta.is_some().then_some(Kind::Delta));
        if cas[0].crl.shards > 1 {
            kinds.extend((0..SHARDS).map(Kind::Shard));
        }
        // The CA certificate begins now, and CRLs are dated back.
        let now = now.after(Duration::from_secs(86_400));
        let (model, checker) = (Model::new(), Checker::default());
        Self { dir, cas, kinds, now, model, checker, read: BTreeMap::new() }
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
        let mut shot = Shot::default();
        for kind in self.kinds.clone() {
            if let Some(list) = self.list(self.shelf(kind)) {
                shot.shelf.insert(kind, list);
            }
        }
        let folder = self.dir.path().join(format!("data/archive/{ISSUER}"));
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let Some(name) = name.strip_suffix(".crl").filter(|name| !name.starts_with('.')) else { continue };
            let (number, scope) = name.split_once('-').unwrap_or((name, ""));
            let kind = match scope {
                "" => Kind::Full,
                "delta" => Kind::Delta,
                shard => Kind::Shard(u8::from_str_radix(shard, 16).unwrap()),
            };
            let list = self.list(path.clone()).unwrap();
            shot.archive.insert((kind, number.parse().unwrap()), list);
        }
        shot
    }

    fn list(&mut self, path: PathBuf) -> Option<List> {
        let bytes = fs::read(&path).ok()?;
        let kept = self.read.get(&path).filter(|(old, _)| *old == bytes);
        let list = kept.map_or_else(|| List::read(&bytes), |(_, list)| list.clone());
        self.read.insert(path, (bytes, list.clone()));
        Some(list)
    }

    pub fn look(&mut self) -> Result<Shot, Violation> {
        let shot = self.shot();
        self.checker.look(shot.clone(), &self.model)?;
        Ok(shot)
    }

    pub fn take(&mut self, step: &Step) -> Result<(), Violation> {
        match step {
            Step::Tell(change) => self.tell(*change),
            Step::Wait(seconds) => self.now = self.now.after(Duration::from_secs((*seconds).into())),
            Step::Publish { force } => return self.publish(*force),
            Step::Killed(calls) => {
                let mut pass = self.pass(0, false);
                for _ in 0..*calls {
                    pass.turn();
                }
            }
            Step::Race(turns, to_the_end) => return self.race(turns, *to_the_end),
            Step::Fail(fault) => return self.fail(*fault),
            Step::Remove(kind) if self.kinds.contains(kind) => {
                self.checker.tampered(*kind, None);
                let _ = fs::remove_file(self.shelf(*kind));
            }
            Step::PutBack(kind) if self.kinds.contains(kind) => self.put_back(*kind),
            Step::Remove(_) | Step::PutBack(_) => {}
        }
        self.look().map(|_| ())
    }

    fn pass(&self, process: usize, force: bool) -> Pass {
        Pass::new(&self.cas[process], force, self.now, self.model.settled())
    }

    pub fn publish(&mut self, force: bool) -> Result<(), Violation> {
        let mut pass = self.pass(0, force);
        let outcome = pass.finish().as_ref().unwrap_or_else(|error| panic!("a pass that nobody disturbs: {error}"));
        assert!(outcome.reason != Reason::LostRace && outcome.trouble.is_none(), "{outcome:?}");
        let shot = self.look()?;
        self.checker.passed(pass.began, &shot, &self.kinds)?;
        if self.kinds.contains(&Kind::Shard(0)) {
            self.checker.shards_are_full(&shot, &self.model)?;
        }
        Ok(())
    }

    fn race(&mut self, turns: &[Turn], to_the_end: bool) -> Result<(), Violation> {
        let mut passes = [self.pass(0, true), self.pass(1, true)];
        for turn in turns {
            match turn {
                Turn::First(calls) => (0..*calls).for_each(|_| passes[0].turn()),
                Turn::Second(calls) => (0..*calls).for_each(|_| passes[1].turn()),
                Turn::Change(change) => self.tell(*change),
            }
            self.look()?;
        }
        for pass in &mut passes {
            if to_the_end {
                let _ = pass.finish();
            }
            let shot = self.look()?;
            match &pass.done {
                Some(Ok(outcome)) if outcome.published && outcome.trouble.is_none() => {
                    // The other one may have gone on with the delta CRL and the shards.
                    self.checker.passed(pass.began, &shot, &[Kind::Full]).or_else(|violation| {
                        require(violation.rule == Rule::Delta, violation.rule, || violation.detail)
                    })?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A pass that must fail, and change nothing the world sees.
    fn fail(&mut self, fault: Fault) -> Result<(), Violation> {
        let place = match fault {
            Fault::Key => self.dir.path().join("ca.key.pem"),
            Fault::Archive => self.dir.path().join("data/archive"),
            Fault::Shelf => self.dir.path().join("data/shelf"),
        };
        let before = self.shot();
        let aside = self.dir.path().join("aside");
        let was_there = fs::rename(&place, &aside).is_ok();
        fs::write(&place, "not what it was").unwrap();
        let failed = self.pass(0, true).finish().is_err();
        fs::remove_file(&place).unwrap();
        if was_there {
            fs::rename(&aside, &place).unwrap();
        }
        assert!(failed, "a pass without {fault:?}");
        let shot = self.look()?;
        require(shot.shelf == before.shelf, Rule::FailedPass, || format!("{:?}, {:?}", before.shelf, shot.shelf))
    }

    fn put_back(&mut self, kind: Kind) {
        let oldest = self.shot().archive.into_iter().find(|((of, _), _)| *of == kind);
        let Some(((_, number), list)) = oldest else { return };
        let end = match kind {
            Kind::Full => String::new(),
            Kind::Delta => "-delta".to_owned(),
            Kind::Shard(index) => format!("-{index:02x}"),
        };
        let from = self.dir.path().join(format!("data/archive/{ISSUER}/{number}{end}.crl"));
        if self.shot().shelf.get(&kind) != Some(&list) {
            self.checker.tampered(kind, Some(list));
            fs::create_dir_all(self.shelf(kind).parent().unwrap()).unwrap();
            fs::copy(from, self.shelf(kind)).unwrap();
        }
    }

    /// Tells index and model.
    pub fn tell(&mut self, change: Change) {
        let now = self.now;
        let before = |seconds: u16| now.before(Duration::from_secs(seconds.into()));
        let revoke = |at, is_dated, reason, amend| Action::Revoke {
            at,
            is_dated,
            reason: Some(reason),
            invalidity_date: None,
            amend,
        };
        let ending = |end: Option<u16>| end.map(|end| now.after(Duration::from_secs(u64::from(end) * 60)));
        let (serial, action, not_after) = match change {
            Change::Revoke(serial, ago, end) => {
                (serial, revoke(ago.map_or(now, before), ago.is_some(), Why::Superseded, false), ending(end))
            }
            Change::Hold(serial, end) => (serial, revoke(now, false, Why::CertificateHold, false), ending(end)),
            Change::Amend(serial, ago) => (serial, revoke(before(ago), true, Why::KeyCompromise, true), None),
            Change::Release(serial) => (serial, Action::Release, None),
        };
        let request = Request { serial: Serial::from_hex(&format!("{serial:02x}")).unwrap(), action, not_after };
        let author = Author { actor: "test".to_owned(), comment: String::new() };
        let told = runtime().block_on(revoke::record(&self.cas[0], &[request], &author, now, |_| ()));
        let was_held = self.model.rows().get(&serial).is_some_and(|row| row.held);
        let is_refused = matches!(change, Change::Release(_)) && !was_held;
        assert_eq!(told.is_err(), is_refused, "{change:?}: {told:?}");
        if !is_refused {
            remember(&mut self.model, change, &before_text(now), not_after.map(text));
        }
    }
}

fn text(time: Timestamp) -> String {
    String::from_utf8(time.digits().to_vec()).unwrap()
}

/// The text of the time that many seconds ago.
fn before_text(now: Timestamp) -> impl Fn(u16) -> String {
    move |ago| text(now.before(Duration::from_secs(ago.into())))
}

/// The contract: the earliest date stays, permanent stays, a hold may be released or made permanent, and an amendment
/// replaces date and reason. The latest end that was told counts.
fn remember(model: &mut Model, change: Change, ago: &dyn Fn(u16) -> String, end: Option<String>) {
    let (mut rows, mut ends) = (model.rows().clone(), model.ends[model.last()].clone());
    let (serial, date, reason, held) = match change {
        Change::Revoke(serial, date, _) => (serial, ago(date.unwrap_or(0)), 4, false),
        Change::Hold(serial, _) => (serial, ago(0), 6, true),
        Change::Amend(serial, date) => (serial, ago(date), 1, false),
        Change::Release(serial) => {
            rows.remove(&serial);
            return model.push(rows, ends);
        }
    };
    let new = Row { held, fact: Fact { date, reason: Some(reason) } };
    let merged = match (rows.get(&serial), change) {
        (None, _) | (Some(_), Change::Amend(..)) => new,
        (Some(old), _) if !old.held && held => old.clone(),
        (Some(old), _) => {
            let date = old.fact.date.clone().min(new.fact.date.clone());
            let reason = if old.held { new.fact.reason } else { old.fact.reason };
            Row { held: old.held && held, fact: Fact { date, reason } }
        }
    };
    rows.insert(serial, merged);
    if let Some(end) = end {
        let last = ends.entry(serial).or_insert_with(|| end.clone());
        *last = last.clone().max(end);
    }
    model.push(rows, ends);
}
