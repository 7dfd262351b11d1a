//! The checks of histories can fail: each bug that is planted between the publisher and them is named by its rule.

use super::{
    EVERYTHING,
    check::{Checker, Fact, Kind, Rule, SHARDS, Shot},
    story::{Change, Step, World},
};

/// Three publications, with all that a bug may spoil in the last: 1 and 5 revoked from the first on, 3 only in the
/// second, 2 released and 4 revoked before the third.
fn story() -> (World, [Shot; 3], Checker) {
    let mut world = World::new(EVERYTHING);
    let mut take = |steps: &[Step]| {
        steps.iter().for_each(|step| world.take(step).unwrap());
        world.publish(false).unwrap();
        (world.shot(), world.checker.clone())
    };
    let tell = Step::Tell;
    let revoke = |serial| tell(Change::Revoke(serial, None, None));
    let (first, _) = take(&[revoke(1), revoke(5), tell(Change::Hold(2, None))]);
    let (second, checker) = take(&[Step::Wait(60), revoke(3)]);
    let (third, _) = take(&[Step::Wait(60), tell(Change::Release(2)), revoke(4)]);
    (world, [first, second, third], checker)
}

/// What a bug makes of the last publication.
type Bug = fn(&mut Shot, &[Shot; 3]);

fn newest(shot: &Shot, kind: Kind) -> (Kind, u64) {
    (kind, shot.shelf[&kind].number)
}

/// Changes a CRL on the shelf and in the archive alike, as a publisher would.
fn both(shot: &mut Shot, kind: Kind, change: impl Fn(&mut super::check::List)) {
    let key = newest(shot, kind);
    change(shot.archive.get_mut(&key).unwrap());
    change(shot.shelf.get_mut(&kind).unwrap());
}

/// Lets a CRL go out under another number.
fn renumber(shot: &mut Shot, kind: Kind, number: u64) {
    let mut list = shot.archive.remove(&newest(shot, kind)).unwrap();
    list.number = number;
    shot.archive.entry((kind, number)).or_insert(list.clone());
    shot.shelf.insert(kind, list);
}

const BUGS: &[(&str, Rule, Bug)] = &[
    ("drops an entry", Rule::Lost, |shot, _| both(shot, Kind::Full, |list| drop(list.entries.remove(&1)))),
    ("drops an entry of a shard", Rule::Lost, |shot, _| {
        both(shot, Kind::Shard(1), |list| drop(list.entries.remove(&5)));
    }),
    ("lists what was released", Rule::Unexplained, |shot, shots| {
        let held = shots[1].shelf[&Kind::Full].entries[&2].clone();
        both(shot, Kind::Full, |list| drop(list.entries.insert(2, held.clone())));
    }),
    ("moves a date", Rule::Moved, |shot, _| {
        both(shot, Kind::Full, |list| list.entries.get_mut(&1).unwrap().date = "20200101000000Z".to_owned());
    }),
    ("changes a reason", Rule::Moved, |shot, _| {
        both(shot, Kind::Shard(1), |list| list.entries.get_mut(&5).unwrap().reason = Some(1));
    }),
    ("publishes from an older index", Rule::WentBack, |shot, shots| {
        let old = shots[0].shelf[&Kind::Full].entries.clone();
        both(shot, Kind::Full, |list| list.entries = old.clone());
        let number = newest(shot, Kind::Full).1;
        shot.archive.retain(|(kind, other), _| *other != number || *kind == Kind::Full);
    }),
    ("gives one number to two states", Rule::TwoStates, |shot, shots| {
        let old = shots[1].shelf[&Kind::Full].entries.clone();
        let number = newest(shot, Kind::Full).1;
        shot.archive.remove(&(Kind::Delta, number));
        both(shot, Kind::Full, |list| list.entries = old.clone());
    }),
    ("lets a number fall", Rule::NumberFell, |shot, shots| {
        shot.shelf.insert(Kind::Full, shots[0].shelf[&Kind::Full].clone());
    }),
    ("uses a number again", Rule::ArchiveChanged, |shot, shots| {
        let mut again = shot.shelf[&Kind::Full].clone();
        again.number = shots[1].shelf[&Kind::Full].number;
        shot.archive.insert((Kind::Full, again.number), again);
    }),
    ("removes from the archive", Rule::ArchiveChanged, |shot, shots| {
        shot.archive.remove(&newest(&shots[0], Kind::Shard(2)));
    }),
    ("archives under another number", Rule::ArchiveChanged, |shot, _| {
        let key = newest(shot, Kind::Shard(0));
        shot.archive.get_mut(&key).unwrap().number += 1;
    }),
    ("publishes without an archive copy", Rule::NotArchived, |shot, _| {
        shot.archive.remove(&newest(shot, Kind::Shard(0)));
    }),
    ("removes from the shelf", Rule::Lost, |shot, _| drop(shot.shelf.remove(&Kind::Shard(3)))),
    ("forgets a removeFromCRL", Rule::Delta, |shot, _| {
        both(shot, Kind::Delta, |list| drop(list.entries.remove(&2)));
    }),
    ("forgets a change on the delta", Rule::Delta, |shot, _| {
        both(shot, Kind::Delta, |list| drop(list.entries.remove(&3)));
    }),
    ("names a base that never was", Rule::Delta, |shot, _| both(shot, Kind::Delta, |list| list.base = Some(7))),
    ("gives the delta a number of its own", Rule::Delta, |shot, _| {
        let number = newest(shot, Kind::Delta).1;
        renumber(shot, Kind::Delta, number + 1);
    }),
    ("puts a serial into the wrong shard", Rule::WrongShard, |shot, _| {
        let moved = shot.shelf[&Kind::Shard(1)].entries[&5].clone();
        both(shot, Kind::Shard(2), |list| drop(list.entries.insert(5, moved.clone())));
    }),
];

#[test]
fn a_planted_bug_is_named_by_the_rule_that_it_breaks() {
    let (world, shots, checker) = story();
    checker.clone().look(shots[2].clone(), &world.model).expect("without a bug");
    for (what, rule, bug) in BUGS {
        let mut shot = shots[2].clone();
        bug(&mut shot, &shots);
        let found = checker.clone().look(shot, &world.model).err();
        let named = found.as_ref().map(|violation| violation.rule);
        assert_eq!(named, Some(*rule), "a publisher that {what}: {found:?}");
    }
}

#[test]
fn a_pass_that_leaves_a_revocation_out_is_stale() {
    let (mut world, _, _) = story();
    let kinds = [Kind::Full, Kind::Delta, Kind::Shard(2)];
    let shot = world.shot();
    let passed = |world: &World, kind| world.checker.passed(world.model.last(), &shot, &[kind]);
    kinds.iter().for_each(|kind| passed(&world, *kind).unwrap());
    world.tell(Change::Revoke(6, None, None));
    for kind in kinds {
        assert_eq!(passed(&world, kind).unwrap_err().rule, Rule::Stale, "{kind:?}");
    }
}

#[test]
fn shards_that_are_not_the_full_crl_are_found() {
    let (world, shots, _) = story();
    let mut shot = shots[2].clone();
    world.checker.shards_are_full(&shot, &world.model).unwrap();
    let nobody = Fact { date: "20260101000000Z".to_owned(), reason: None };
    for index in 0..SHARDS {
        let shard = shot.shelf.get_mut(&Kind::Shard(index)).unwrap();
        shard.entries.insert(100 + index, nobody.clone());
        assert_eq!(world.checker.shards_are_full(&shot, &world.model).unwrap_err().rule, Rule::Shards);
        shot = shots[2].clone();
    }
}
