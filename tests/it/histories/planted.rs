//! The checks of histories can fail: a bug of each kind, planted into what they look at, is named
//! by its rule.

use std::collections::BTreeMap;

use super::{
    EVERYTHING,
    check::{Checker, Kind, List, Rule, SHARDS, Shot, Violation},
    index::Index,
    model::{Change, Fact, Model},
    story::{Step, World},
};

const MINUTE: u32 = 60;

/// Four publications, the last one after 5 expired; until then everything that a bug may spoil: 1
/// and 5 are revoked from the first on, 3 only in the second, 2 is released and 4 revoked before
/// the third, 7 before the fourth.
struct Story {
    world: World,
    shots: [Shot; 4],
    /// What was seen, and the model, before the last publication.
    checker: Checker,
}

impl Story {
    fn new() -> Self {
        let mut world = World::new(EVERYTHING);
        let (mut shots, mut checker) = (vec![], Checker::default());
        let revoke = |serial| Step::Tell(Change::Revoke(serial, None, None));
        let expiring = Step::Tell(Change::Revoke(5, None, Some(10)));
        let told = [
            vec![revoke(1), expiring, Step::Tell(Change::Hold(2, None))],
            vec![Step::Wait(MINUTE), revoke(3)],
            vec![
                Step::Wait(MINUTE),
                Step::Tell(Change::Release(2)),
                revoke(4),
            ],
            vec![Step::Wait(60 * MINUTE), revoke(7)],
        ];
        for steps in told {
            steps.iter().for_each(|step| world.take(step).unwrap());
            checker = world.checker.clone();
            world.publish(false).unwrap();
            shots.push(world.shot());
        }
        Self {
            world,
            shots: shots.try_into().unwrap(),
            checker,
        }
    }

    /// What the last publication is found to be if a bug spoils it.
    fn found(&self, bug: Bug) -> Option<Violation> {
        let since = self.model().last();
        let mut scene = Scene {
            shot: self.last().clone(),
            shots: &self.shots,
            since,
            floor: 0,
        };
        bug(&mut scene);
        let mut checker = self.checker.clone();
        checker.floor = scene.floor;
        checker.look(scene.shot, self.model(), scene.since).err()
    }

    fn last(&self) -> &Shot {
        &self.shots[3]
    }

    fn model(&self) -> &Model {
        &self.world.model
    }
}

/// The last publication, as a bug leaves it.
struct Scene<'a> {
    shot: Shot,
    shots: &'a [Shot; 4],
    /// Since when a publisher may have been at work.
    since: usize,
    /// The number that was taken over.
    floor: u64,
}

type Bug = fn(&mut Scene);

fn newest(shot: &Shot, kind: Kind) -> (Kind, u64) {
    (kind, shot.shelf[&kind].number)
}

impl Scene<'_> {
    /// Changes a CRL on the shelf and in the archive alike, as a publisher would.
    fn both(&mut self, kind: Kind, change: impl Fn(&mut List)) {
        let key = newest(&self.shot, kind);
        change(self.shot.archive.get_mut(&key).unwrap());
        change(self.shot.shelf.get_mut(&kind).unwrap());
    }

    fn entries(&mut self, kind: Kind, change: impl Fn(&mut BTreeMap<u8, Fact>)) {
        self.both(kind, |list| change(&mut list.entries));
    }

    /// Lets a CRL go out under another number.
    fn renumber(&mut self, kind: Kind, number: u64) {
        let mut list = self.shot.archive.remove(&newest(&self.shot, kind)).unwrap();
        list.number = number;
        self.shot
            .archive
            .entry((kind, number))
            .or_insert(list.clone());
        self.shot.shelf.insert(kind, list);
    }

    fn number(&self) -> u64 {
        self.shot.shelf[&Kind::Full].number
    }

    fn index(&mut self) -> &mut Index {
        &mut self.shot.index
    }

    /// The number of the journal's last record.
    fn end(&self) -> u64 {
        *self.shot.index.journal.keys().next_back().unwrap()
    }
}

/// Of what the publisher lists.
const LISTS: &[(&str, Rule, Bug)] = &[
    ("drops an entry", Rule::Lost, |scene| {
        scene.entries(Kind::Full, |entries| drop(entries.remove(&1)))
    }),
    ("drops an entry of a shard", Rule::Lost, |scene| {
        scene.entries(Kind::Shard(3), |entries| drop(entries.remove(&3)));
    }),
    ("leaves out what was revoked last", Rule::Lost, |scene| {
        scene.entries(Kind::Shard(3), |entries| drop(entries.remove(&7)));
    }),
    (
        "drops an expired entry before it appeared once",
        Rule::Lost,
        |scene| {
            scene.entries(Kind::Full, |entries| drop(entries.remove(&5)));
        },
    ),
    ("drops all entries", Rule::Lost, |scene| {
        scene.entries(Kind::Full, BTreeMap::clear)
    }),
    ("lists what was released", Rule::Unexplained, |scene| {
        let held = scene.shots[1].shelf[&Kind::Full].entries[&2].clone();
        scene.entries(Kind::Full, |entries| drop(entries.insert(2, held.clone())));
    }),
    ("lists what nobody revoked", Rule::Unexplained, |scene| {
        let other = scene.shot.shelf[&Kind::Full].entries[&1].clone();
        scene.entries(Kind::Shard(1), |entries| {
            drop(entries.insert(9, other.clone()))
        });
    }),
    ("moves a date", Rule::Moved, |scene| {
        let early = "20200101000000Z";
        scene.entries(Kind::Full, |entries| {
            entries.get_mut(&1).unwrap().date = early.to_owned()
        });
    }),
    ("changes a reason", Rule::Moved, |scene| {
        scene.entries(Kind::Shard(1), |entries| {
            entries.get_mut(&5).unwrap().reason = Some(1)
        });
    }),
    (
        "puts a serial into the wrong shard",
        Rule::WrongShard,
        |scene| {
            let moved = scene.shot.shelf[&Kind::Shard(1)].entries[&5].clone();
            scene.entries(Kind::Shard(2), |entries| {
                drop(entries.insert(5, moved.clone()))
            });
        },
    ),
    ("forgets a removeFromCRL", Rule::Delta, |scene| {
        scene.entries(Kind::Delta, |entries| drop(entries.remove(&2)));
    }),
    ("forgets a change on the delta", Rule::Delta, |scene| {
        scene.entries(Kind::Delta, |entries| drop(entries.remove(&3)));
    }),
    ("names a base that never was", Rule::Delta, |scene| {
        scene.both(Kind::Delta, |list| list.base = Some(7))
    }),
    (
        "names a base that is newer than the delta",
        Rule::Delta,
        |scene| {
            // What changed since is on it, but a client with the true base may not apply it.
            scene.both(Kind::Delta, |list| list.base = Some(list.number + 1));
        },
    ),
    ("makes a delta without a base", Rule::Delta, |scene| {
        scene.both(Kind::Delta, |list| list.base = None)
    }),
];

/// Of numbers, times and states.
const LINES: &[(&str, Rule, Bug)] = &[
    ("publishes an older state", Rule::WentBack, |scene| {
        // As if two had begun before 7 was revoked, and the one that read it has the lower number.
        scene.since = 0;
        let old = scene.shots[2].shelf[&Kind::Full].entries.clone();
        let mut list = List {
            entries: old,
            ..scene.shot.shelf[&Kind::Full].clone()
        };
        list.number += 1;
        scene.index().reserved += 1;
        scene
            .shot
            .archive
            .insert((Kind::Full, list.number), list.clone());
        scene.shot.shelf.insert(Kind::Full, list);
    }),
    ("gives one number to two states", Rule::TwoStates, |scene| {
        scene.since = 0;
        scene.entries(Kind::Shard(3), |entries| drop(entries.remove(&7)));
    }),
    ("lets a number fall", Rule::NumberFell, |scene| {
        scene
            .shot
            .shelf
            .insert(Kind::Full, scene.shots[0].shelf[&Kind::Full].clone());
    }),
    ("does not let a number rise", Rule::NumberFell, |scene| {
        // The same number again for what is on the shelf anew, and the archive has the older of the
        // two.
        let number = newest(&scene.shots[2], Kind::Shard(0)).1;
        scene.renumber(Kind::Shard(0), number);
    }),
    (
        "numbers from below what it took over",
        Rule::NumberFell,
        |scene| scene.floor = u64::MAX,
    ),
    ("counts from one", Rule::NumberFell, |scene| {
        scene.renumber(Kind::Shard(0), 1)
    }),
    (
        "uses a number again for other bytes",
        Rule::ArchiveChanged,
        |scene| {
            let mut again = scene.shot.shelf[&Kind::Full].clone();
            again.number = newest(&scene.shots[2], Kind::Full).1;
            scene.shot.archive.insert((Kind::Full, again.number), again);
        },
    ),
    (
        "signs with a number that it did not reserve",
        Rule::NotReserved,
        |scene| {
            let number = scene.number();
            scene.renumber(Kind::Shard(0), number + 1);
        },
    ),
    ("forgets a reserved number", Rule::NotReserved, |scene| {
        scene.shot.archive = scene.shots[2].archive.clone();
        scene.shot.shelf = scene.shots[2].shelf.clone();
        scene.index().reserved -= 1_000_000;
    }),
    (
        "gives the delta a number of its own",
        Rule::Delta,
        |scene| {
            let number = scene.number();
            scene.index().reserved += 1;
            scene.renumber(Kind::Delta, number + 1);
        },
    ),
    ("dates a CRL before the last one", Rule::TimeBack, |scene| {
        let before = scene.shots[1].shelf[&Kind::Full].this_update.clone();
        scene.both(Kind::Shard(0), |list| list.this_update = before.clone());
    }),
    ("dates a CRL into the future", Rule::TimeBack, |scene| {
        let next = scene.shot.shelf[&Kind::Full].next_update.clone();
        scene.both(Kind::Full, |list| list.this_update = next.clone());
    }),
    ("signs with another key", Rule::Signature, |scene| {
        scene.both(Kind::Shard(2), |list| list.is_signed = false)
    }),
];

/// Of what is kept where.
const PLACES: &[(&str, Rule, Bug)] = &[
    ("removes from the archive", Rule::ArchiveChanged, |scene| {
        scene
            .shot
            .archive
            .remove(&newest(&scene.shots[0], Kind::Shard(2)));
    }),
    ("overwrites in the archive", Rule::ArchiveChanged, |scene| {
        let mut other = scene.shot.shelf[&Kind::Shard(3)].clone();
        other.number = newest(&scene.shots[0], Kind::Shard(3)).1;
        scene
            .shot
            .archive
            .insert((Kind::Shard(3), other.number), other);
    }),
    (
        "archives under another number",
        Rule::ArchiveChanged,
        |scene| {
            let key = newest(&scene.shot, Kind::Shard(0));
            scene.shot.archive.get_mut(&key).unwrap().number += 1;
        },
    ),
    (
        "publishes without an archive copy",
        Rule::NotArchived,
        |scene| {
            scene
                .shot
                .archive
                .remove(&newest(&scene.shot, Kind::Shard(0)));
        },
    ),
    (
        "publishes something else than it archives",
        Rule::NotArchived,
        |scene| {
            scene
                .shot
                .shelf
                .get_mut(&Kind::Full)
                .unwrap()
                .next_update
                .replace_range(..4, "2099");
        },
    ),
    (
        "puts one scope's CRL into another's place",
        Rule::NotArchived,
        |scene| {
            scene
                .shot
                .shelf
                .insert(Kind::Shard(1), scene.shot.shelf[&Kind::Full].clone());
        },
    ),
    ("removes from the shelf", Rule::Lost, |scene| {
        drop(scene.shot.shelf.remove(&Kind::Shard(3)))
    }),
];

/// Of the index.
const INDEX: &[(&str, Rule, Bug)] = &[
    ("loses a record of the journal", Rule::Journal, |scene| {
        drop(scene.index().journal.remove(&2))
    }),
    ("loses the end of the journal", Rule::Journal, |scene| {
        let end = scene.end();
        scene.index().journal.remove(&end);
    }),
    ("loses the head", Rule::Journal, |scene| {
        scene.index().head = None
    }),
    ("writes a record again", Rule::Journal, |scene| {
        scene.index().journal.get_mut(&1).unwrap().comment = "another".to_owned();
    }),
    ("forks the journal", Rule::Journal, |scene| {
        let end = scene.end();
        let prev = scene.index().journal[&1].hash.clone();
        scene.index().journal.get_mut(&end).unwrap().prev = prev;
    }),
    ("lets the head go back", Rule::Journal, |scene| {
        let old = scene.shots[1].index.clone();
        *scene.index() = Index {
            reserved: scene.shot.index.reserved,
            ..old
        };
    }),
    ("has a row without a record", Rule::Rows, |scene| {
        let row = scene.index().rows[&Index::key(1)].clone();
        scene.index().rows.insert(Index::key(9), row);
    }),
    ("has a record without its row", Rule::Rows, |scene| {
        drop(scene.index().rows.remove(&Index::key(1)))
    }),
    (
        "has a row that an older record wrote",
        Rule::Rows,
        |scene| {
            let old = scene.shots[1].index.rows[&Index::key(2)].clone();
            scene.index().rows.insert(Index::key(2), old);
        },
    ),
    ("counts wrongly", Rule::Rows, |scene| {
        scene.index().head.as_mut().unwrap().2[0] += 1;
    }),
];

#[test]
fn a_planted_bug_is_named_by_the_rule_that_it_breaks() {
    let story = Story::new();
    assert!(
        story.found(|_| {}).is_none(),
        "without a bug: {:?}",
        story.found(|_| {})
    );
    for (what, rule, bug) in [LISTS, LINES, PLACES, INDEX].concat() {
        let found = story.found(bug);
        let named = found.as_ref().map(|violation| violation.rule);
        assert_eq!(named, Some(rule), "one that {what}: {found:?}");
    }
}

/// An older model has it, so a journal that is sound in itself has lost it.
#[test]
fn an_acknowledged_revocation_that_the_index_does_not_have_is_lost() {
    let mut story = Story::new();
    let ago = |_| "20260101000000Z".to_owned();
    for change in [
        Change::Revoke(6, None, None),
        Change::Amend(1, 0),
        Change::Release(4),
    ] {
        let mut model = story.model().clone();
        model.remember(change, &ago, None);
        let found = story
            .world
            .checker
            .clone()
            .look(story.last().clone(), &model, 0)
            .unwrap_err();
        assert_eq!(found.rule, Rule::Acknowledged, "{change:?}: {found:?}");
    }
    story.world.publish(true).unwrap();
}

#[test]
fn a_pass_that_leaves_a_revocation_out_is_stale() {
    let mut story = Story::new();
    let kinds = [Kind::Full, Kind::Delta, Kind::Shard(2)];
    let passed = |story: &Story, kind| {
        story
            .world
            .checker
            .passed(story.model().last(), story.last(), &[kind])
    };
    kinds.iter().for_each(|kind| passed(&story, *kind).unwrap());
    story.world.tell(Change::Revoke(6, None, None)).unwrap();
    for kind in kinds {
        assert_eq!(
            passed(&story, kind).unwrap_err().rule,
            Rule::Stale,
            "{kind:?}"
        );
    }
}

#[test]
fn a_pass_that_leaves_a_crl_that_has_ended_or_half_a_pair_is_found() {
    let story = Story::new();
    let found = |spoil: fn(&mut Shot)| {
        let mut shot = story.last().clone();
        spoil(&mut shot);
        story
            .world
            .checker
            .passed(0, &shot, &[Kind::Full, Kind::Delta])
            .unwrap_err()
            .rule
    };
    assert_eq!(
        found(|shot| shot.now.clone_from(&shot.shelf[&Kind::Full].next_update)),
        Rule::Ended
    );
    assert_eq!(
        found(|shot| shot.shelf.get_mut(&Kind::Delta).unwrap().number -= 1),
        Rule::Delta
    );
}

#[test]
fn shards_that_are_not_the_full_crl_are_found() {
    let story = Story::new();
    let is_full = |shot: &Shot| story.world.checker.shards_are_full(shot, story.model());
    is_full(story.last()).unwrap();
    for index in 0..SHARDS {
        let mut shot = story.last().clone();
        let nobody = Fact {
            date: "20260101000000Z".to_owned(),
            reason: None,
        };
        shot.shelf
            .get_mut(&Kind::Shard(index))
            .unwrap()
            .entries
            .insert(100 + index, nobody);
        assert_eq!(
            is_full(&shot).unwrap_err().rule,
            Rule::Shards,
            "shard {index}"
        );
    }
}
