//! Any history of revocations, holds, releases, expiry, publications, crashes, races and damage
//! keeps the contract.

mod broken;
mod check;
mod forge;
mod index;
mod model;
mod pass;
mod planted;
mod story;

use std::cell::RefCell;

use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestError, TestRunner},
};

use check::{Kind, SHARDS, Violation};
use model::Change;
use story::{Fault, Settings, Step, Turn, World};

use crate::support::seeds::{Seeds, histories};

const FULL: Settings = Settings {
    delta: false,
    shards: false,
    keep_expired: false,
};
const EVERYTHING: Settings = Settings {
    delta: true,
    shards: true,
    ..FULL
};

fn change() -> impl Strategy<Value = Change> {
    let serial = 1..7u8;
    // Minutes until the certificate ends; often soon.
    let end = || prop::option::of(prop_oneof![Just(0u16), 1..90u16, 1000..4000u16]);
    prop_oneof![
        3 => (serial.clone(), prop::option::of(0..9000u16), end()).prop_map(|(a, b, c)| Change::Revoke(a, b, c)),
        3 => (serial.clone(), end()).prop_map(|(a, b)| Change::Hold(a, b)),
        1 => (serial.clone(), 0..9000u16).prop_map(|(a, b)| Change::Amend(a, b)),
        3 => serial.prop_map(Change::Release),
    ]
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        3 => (1..20u8).prop_map(Turn::First),
        3 => (1..20u8).prop_map(Turn::Second),
        1 => change().prop_map(Turn::Change),
    ]
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![2 => Just(Kind::Full), 2 => Just(Kind::Delta), 1 => (0..SHARDS).prop_map(Kind::Shard)]
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::Key),
        Just(Fault::Index),
        Just(Fault::Archive),
        Just(Fault::Shelf)
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let wait = prop_oneof![3 => 1..20u32, 3 => 600..8000u32, 2 => 80_000..200_000u32, 1 => 600_000..900_000u32];
    prop_oneof![
        10 => change().prop_map(Step::Tell),
        4 => wait.prop_map(Step::Wait),
        6 => any::<bool>().prop_map(|force| Step::Publish { force }),
        3 => (1..70u8).prop_map(Step::Killed),
        4 => (prop::collection::vec(turn(), 1..8), any::<bool>()).prop_map(|(turns, end)| Step::Race(turns, end)),
        1 => fault().prop_map(Step::Fail),
        2 => (fault(), 0..60u8, 1..6u8).prop_map(|(fault, calls, times)| Step::Flaky(fault, calls, times)),
        1 => (0..3000u16).prop_map(Step::Floor),
        1 => any::<(bool, bool)>().prop_map(|(delta, keep_expired)| Step::Configure(delta, keep_expired)),
        1 => kind().prop_map(Step::Remove),
        1 => kind().prop_map(Step::PutBack),
        1 => (kind(), kind()).prop_map(|(place, other)| Step::Swap(place, other)),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // A day goes by, and the timer publishes: what expires is soon seen to.
    let day = (80_000..200_000u32)
        .prop_map(|time| vec![Step::Wait(time), Step::Publish { force: false }]);
    let some = prop_oneof![6 => step().prop_map(|step| vec![step]), 1 => day];
    prop::collection::vec(some, 1..12).prop_map(|steps| steps.concat())
}

/// Tells a history to a world, and looks at it after each step.
fn tell(
    settings: Settings,
    steps: &[Step],
    plant: impl FnOnce(&mut World),
) -> Result<(), Violation> {
    let mut world = World::new(settings);
    plant(&mut world);
    for step in steps {
        world.take(step)?;
    }
    // Whatever happened, the next pass repairs.
    world.publish(false)
}

fn failure(violation: Violation) -> TestCaseError {
    TestCaseError::fail(format!("{:?}: {}", violation.rule, violation.detail))
}

proptest! {
    #![proptest_config(histories("it/histories/seeds.txt"))]

    #[test]
    fn any_history_of_a_full_crl_keeps_the_contract(steps in steps()) {
        tell(FULL, &steps, |_| {}).map_err(failure)?;
    }

    #[test]
    fn any_history_with_a_delta_keeps_the_contract(steps in steps()) {
        tell(Settings { delta: true, ..FULL }, &steps, |_| {}).map_err(failure)?;
    }

    #[test]
    fn any_history_with_shards_keeps_the_contract(steps in steps()) {
        tell(Settings { shards: true, ..FULL }, &steps, |_| {}).map_err(failure)?;
    }

    #[test]
    fn any_history_with_delta_and_shards_keeps_the_contract(steps in steps()) {
        tell(EVERYTHING, &steps, |_| {}).map_err(failure)?;
    }
}

/// Tells histories to publishers that end every CRL as it begins, until one fails; returns all that
/// were told.
fn told_to_a_bug(seeds: &Seeds) -> Vec<String> {
    let config = Config {
        failure_persistence: Some(Box::new(seeds.clone())),
        max_shrink_iters: 0,
        ..Config::default()
    };
    let told = RefCell::new(vec![]);
    let result = TestRunner::new(config).run(&steps(), |steps| {
        told.borrow_mut().push(format!("{steps:?}"));
        let end = |world: &mut World| {
            world.plant(forge::publisher(|crl, _, _| {
                crl.next_update.clone_from(&crl.this_update)
            }));
        };
        tell(FULL, &steps, end).map_err(failure)
    });
    assert!(matches!(result, Err(TestError::Fail(..))), "{result:?}");
    told.into_inner()
}

#[test]
fn the_seed_of_a_failing_history_is_kept_and_told_first() {
    let dir = tempfile::tempdir().unwrap();
    let seeds = Seeds(dir.path().join("seeds.txt"));
    std::fs::write(&seeds.0, "# none yet\n").unwrap();
    let first = told_to_a_bug(&seeds);
    let kept = std::fs::read_to_string(&seeds.0).unwrap();
    let (seed, history) = kept.lines().last().unwrap().split_once(" # ").unwrap();
    assert_eq!(
        (kept.lines().count(), history),
        (2, first.last().unwrap().as_str())
    );
    assert!(seed.starts_with("cc "), "{seed}");
    assert_eq!(
        told_to_a_bug(&seeds),
        [history],
        "the kept history comes first, and fails again"
    );
    assert_eq!(
        std::fs::read_to_string(&seeds.0).unwrap(),
        kept,
        "what is kept is not kept twice"
    );
}
