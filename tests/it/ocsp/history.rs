//! Whatever happens in whatever order, OCSP says what the index said at the last look, or
//! `tryLater`.

use std::{cell::Cell, collections::BTreeMap, time::Duration};

use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner},
};
use rescind::facade::{
    ca::Ca,
    core::{
        ocsp::Refusal,
        revocation::{Action, ChangeRequest as Change, Reason},
        serial::Serial,
        time::Timestamp,
    },
    local::sqlite::Sqlite,
    stories::{
        publish::{Options, publish},
        respond::{Answer, Responder},
        revoke::{self, Author},
    },
};
use rusqlite::Connection;

use crate::support::{
    at, block_on, der, folder,
    ocsp::{Basic, IssuerId, Status, nonce, request},
    seeds::histories,
};

#[derive(Clone, Copy, Debug)]
enum Step {
    Revoke(u8),
    Hold(u8),
    Release(u8),
    Look,
    Tend,
    Wait(u32),
    Ask(u8, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let serial = 1..5u8;
    prop_oneof![
        1 => serial.clone().prop_map(Step::Revoke),
        2 => serial.clone().prop_map(Step::Hold),
        2 => serial.clone().prop_map(Step::Release),
        3 => Just(Step::Look),
        2 => Just(Step::Tend),
        1 => (1..400u32).prop_map(Step::Wait),
        // Beyond max_staleness, and beyond half of the validity.
        1 => prop_oneof![Just(700), Just(4000), Just(15_000)].prop_map(Step::Wait),
        8 => (serial, any::<bool>()).prop_map(|(serial, has_nonce)| Step::Ask(serial, has_nonce)),
    ]
}

/// A rule of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// No answer from an index that was last proven level too long ago, and `tryLater` for no other
    /// reason.
    Guessed,
    /// What was acknowledged is in the index.
    Acknowledged,
    /// The status is that of the last look.
    Status,
    /// An answer is neither from the future nor of a time that nobody looked at, and lives as long
    /// as configured.
    Window,
}

struct Violation {
    rule: Rule,
    detail: String,
}

fn require(good: bool, rule: Rule, detail: impl std::fmt::Debug) -> Result<(), Violation> {
    if good {
        Ok(())
    } else {
        Err(Violation {
            rule,
            detail: format!("{detail:?}"),
        })
    }
}

/// On hold or for good.
type Index = BTreeMap<u8, bool>;

struct World {
    dir: tempfile::TempDir,
    /// Where changes go.
    ca: Ca,
    responder: Responder,
    now: Timestamp,
    index: Index,
    /// What the index was at the last look, and when.
    seen: (Index, Timestamp),
    /// Since when each is revoked.
    since: BTreeMap<u8, Timestamp>,
}

const SETTINGS: &str = "[issuer.ocsp]\nvalidity = \"2h\"\n";

impl World {
    fn new(settings: &str) -> Self {
        let dir = folder();
        let open =
            || crate::support::open(&crate::support::configuration(settings), dir.path()).remove(0);
        let (ca, now) = (open(), at(crate::support::now()));
        block_on(publish(&ca, None, Options::default(), now)).unwrap();
        let responder = Responder::new(vec![open()]);
        block_on(responder.issuers()[0].refresh(now));
        let (index, since) = (Index::new(), BTreeMap::new());
        Self {
            dir,
            ca,
            responder,
            now,
            seen: (index.clone(), now),
            index,
            since,
        }
    }

    fn change(&mut self, serial: u8, action: Action) -> Result<(), Violation> {
        let change = Change {
            serial: Serial::from_hex(&format!("{serial:02x}")).unwrap(),
            action,
            not_after: None,
        };
        let author = Author {
            actor: "test".to_owned(),
            comment: String::new(),
        };
        let done = block_on(revoke::commit(
            &self.ca,
            &[change],
            &author,
            self.now,
            |_| (),
        ));
        require(done.is_ok(), Rule::Acknowledged, done)
    }

    fn revoke(&mut self, serial: u8, reason: Reason) -> Result<(), Violation> {
        let (at, reason) = (self.now, Some(reason));
        self.since.entry(serial).or_insert(at);
        self.change(
            serial,
            Action::Revoke {
                at,
                is_dated: false,
                reason,
                invalidity_date: None,
                amend: false,
            },
        )
    }

    fn take(&mut self, step: Step) -> Result<(), Violation> {
        match step {
            Step::Revoke(serial) => {
                self.revoke(serial, Reason::Superseded)?;
                self.index.insert(serial, true);
            }
            Step::Hold(serial) => {
                self.revoke(serial, Reason::CertificateHold)?;
                self.index.entry(serial).or_insert(false);
            }
            Step::Release(serial) if self.index.get(&serial) == Some(&false) => {
                self.change(serial, Action::Release)?;
                self.index.remove(&serial);
                self.since.remove(&serial);
            }
            Step::Release(_) => {}
            Step::Look => {
                block_on(self.responder.issuers()[0].refresh(self.now));
                self.seen = (self.index.clone(), self.now);
            }
            Step::Tend => block_on(self.responder.tend(self.now)),
            Step::Wait(seconds) => self.now = self.now.after(Duration::from_secs(seconds.into())),
            Step::Ask(serial, has_nonce) => return self.ask(serial, has_nonce),
        }
        Ok(())
    }

    fn ask(&self, serial: u8, has_nonce: bool) -> Result<(), Violation> {
        let nonce = has_nonce.then(|| nonce(16));
        let issuer = IssuerId::of(&self.ca.issuer.certificate().der);
        let asked = request(&[issuer.usual(&format!("{serial:02x}"))], nonce.as_deref());
        let is_stale = self.now.since(self.seen.1) > Duration::from_secs(600);
        let signed = match block_on(self.responder.respond(&asked, self.now)) {
            Answer::Refused(Refusal::TryLater, _) if is_stale => return Ok(()),
            Answer::Signed(signed) if !is_stale => signed,
            other => {
                return require(
                    false,
                    Rule::Guessed,
                    format!("stale: {is_stale}, {other:?}"),
                );
            }
        };
        let basic = Basic::read(&signed.der);
        let single = basic.only();
        let expected = self
            .seen
            .0
            .get(&serial)
            .map(|is_permanent| if *is_permanent { 4 } else { 6 });
        let told = match &single.status {
            Status::Good => None,
            Status::Revoked(_, reason) => *reason,
            other => return require(false, Rule::Status, other),
        };
        require(
            told == expected,
            Rule::Status,
            format!("{serial}: {told:?}, not {expected:?}"),
        )?;
        let (this, next) = (
            der::seconds(&single.this_update),
            der::seconds(&single.next_update),
        );
        let known = self
            .seen
            .1
            .seconds()
            .max(self.since.get(&serial).map_or(0, |since| since.seconds()));
        let now = self.now.seconds();
        let is_sound = this <= known && this <= now && now < next && next - this <= 7200;
        require(
            is_sound,
            Rule::Window,
            format!("{this} to {next} at {now}, known at {known}"),
        )?;
        require(
            self.now < signed.replace_at || has_nonce,
            Rule::Window,
            signed.replace_at,
        )?;
        assert_eq!(basic.extensions.len(), usize::from(has_nonce));
        Ok(())
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 20..60)
}

fn tell(settings: &str, steps: Vec<Step>, plant: fn(&mut World)) -> Result<(), Violation> {
    let mut world = World::new(settings);
    plant(&mut world);
    steps.into_iter().try_for_each(|step| world.take(step))
}

fn failure(violation: Violation) -> TestCaseError {
    TestCaseError::fail(format!("{:?}: {}", violation.rule, violation.detail))
}

proptest! {
    #![proptest_config(histories("it/ocsp/seeds.txt"))]

    #[test]
    fn what_ocsp_says_is_what_the_index_said_at_the_last_look(steps in steps()) {
        tell(SETTINGS, steps, |_| {}).map_err(failure)?;
    }
}

/// A bug: what it does, with which settings, the rule that it breaks, and how it is planted.
type Planted = (&'static str, &'static str, Rule, fn(&mut World));

const BUGS: &[Planted] = &[
    (
        "reads a copy of the index that nobody brings up to date",
        SETTINGS,
        Rule::Status,
        |world| {
            let at = |name: &str| world.dir.path().join("data").join(name);
            let whole = Connection::open(at("index.sqlite")).unwrap();
            whole
                .execute("VACUUM INTO ?1", [at("copy.sqlite").to_str()])
                .unwrap();
            let mut ca = world.ca.clone();
            ca.index =
                rescind::facade::ca::index::Index::Local(Sqlite::open(&at("copy.sqlite")).unwrap());
            world.responder = Responder::new(vec![ca]);
            block_on(world.responder.issuers()[0].refresh(world.now));
        },
    ),
    (
        "asks an index that acknowledges commits and loses them",
        SETTINGS,
        Rule::Status,
        |world| {
            let index = Connection::open(world.dir.path().join("data/index.sqlite")).unwrap();
            let lose = "CREATE TRIGGER planted BEFORE INSERT ON revocations BEGIN SELECT \
                        RAISE(IGNORE); END";
            index.execute_batch(lose).unwrap();
        },
    ),
    (
        "begins without a look at the index",
        SETTINGS,
        Rule::Guessed,
        |world| {
            world.responder = Responder::new(vec![world.ca.clone()]);
        },
    ),
    (
        "answers although it has not looked for long",
        STALE,
        Rule::Guessed,
        |_| {},
    ),
    (
        "gives answers that live too long",
        "[issuer.ocsp]\nvalidity = \"12h\"\n",
        Rule::Window,
        |_| {},
    ),
    (
        "has a clock that runs ahead",
        SETTINGS,
        Rule::Window,
        |world| {
            let ahead = world.now.after(Duration::from_secs(3000));
            block_on(world.responder.issuers()[0].refresh(ahead));
            world.seen.1 = world.now;
        },
    ),
];

const STALE: &str = "[issuer.ocsp]\nvalidity = \"2h\"\nmax_staleness = \"1h\"\n";

/// The property can fail: random histories find each bug, and say which rule it breaks.
#[test]
fn a_responder_with_a_bug_is_found() {
    for (what, settings, rule, plant) in BUGS {
        let config = Config {
            cases: 100,
            failure_persistence: None,
            max_shrink_iters: 0,
            ..Config::default()
        };
        let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let found = Cell::new(None);
        let result = TestRunner::new_with_rng(config, rng).run(&steps(), |steps| {
            tell(settings, steps, *plant).or_else(|violation| {
                // A bug may show by what follows from it, too.
                found.set(Some(violation.rule));
                if violation.rule == *rule {
                    Err(failure(violation))
                } else {
                    Ok(())
                }
            })
        });
        assert_eq!(found.get(), Some(*rule), "one that {what}: {result:#?}");
    }
}
