//! Random histories find bugs: with one planted between the product and its stores, the very
//! property that the product is tested by fails, and names the rule. The product knows nothing of
//! them.

use std::{
    cell::Cell,
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};

use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use rescind::facade::{
    ca::{index::Index, shelf::Shelf, store::Store},
    local::{directory::Directory, sqlite::Sqlite},
};

use super::{
    EVERYTHING, FULL,
    check::{Kind, Rule, Violation},
    forge::{self, Parts, publisher},
    index, steps,
    story::{Moment, Settings, Step, World, archived},
    tell,
};
use crate::support::ISSUER;

/// A bug: what it does, with which settings, the rules that it breaks by itself, and how it is
/// planted.
type Planted = (&'static str, Settings, &'static [Rule], fn(&mut World));

/// How many histories may pass before it is found.
const ENOUGH: u32 = 3000;

/// Those that a CRL of an older state breaks.
const OLDER: &[Rule] = &[
    Rule::Lost,
    Rule::Unexplained,
    Rule::Moved,
    Rule::TwoStates,
    Rule::WentBack,
    Rule::Stale,
];
/// Those that two publishers with one number break.
const TWICE: &[Rule] = &[
    Rule::ArchiveChanged,
    Rule::NotReserved,
    Rule::TwoStates,
    Rule::NumberFell,
];

fn is_found((what, settings, rules, plant): &Planted) {
    let config = Config {
        cases: ENOUGH,
        failure_persistence: None,
        max_shrink_iters: 0,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let (histories, found) = (Cell::new(0), Cell::new(None));
    let result = TestRunner::new_with_rng(config, rng).run(&steps(), |mut steps| {
        histories.set(histories.get() + 1);
        // Some bugs need their place in order, and stores that stay what they are.
        steps.retain(|step| !matches!(step, Step::Flaky(..) | Step::Configure(..)));
        tell(*settings, &steps, plant).or_else(|violation: Violation| {
            // A bug may show by what follows from it, too.
            found.set(rules.contains(&violation.rule).then_some(violation.rule));
            if found.get().is_some() {
                Err(super::failure(violation))
            } else {
                Ok(())
            }
        })
    });
    println!(
        "one that {what}: {:?} in history {}",
        found.get(),
        histories.get()
    );
    assert!(
        found.get().is_some() && matches!(result, Err(TestError::Fail(..))),
        "one that {what}: {result:#?}"
    );
}

/// Publishers: what they sign is not what the index says.
const PUBLISHERS: &[Planted] = &[
    (
        "drops an entry of long CRLs",
        FULL,
        &[Rule::Lost],
        |world| {
            world.plant(publisher(|crl, _, _| {
                if crl.entries.len() > 2 {
                    crl.entries.remove(1);
                }
            }));
        },
    ),
    (
        "drops an entry of a shard",
        EVERYTHING,
        &[Rule::Lost],
        |world| {
            world.plant(publisher(|crl, kind, _| {
                if kind == Kind::Shard(2) {
                    crl.entries.pop();
                }
            }));
        },
    ),
    (
        "drops what expired before it appeared once",
        FULL,
        &[Rule::Lost],
        |world| {
            world.plant(publisher(|crl, _, index| {
                let now = crl.seconds();
                let has_expired = |serial| index.end(serial).is_some_and(|end| end < now);
                crl.entries.retain(|entry| !has_expired(entry.serial));
            }));
        },
    ),
    (
        "lists what it listed the time before",
        FULL,
        OLDER,
        |world| {
            let mut last = vec![];
            world.plant(publisher(move |crl, _, _| {
                std::mem::swap(&mut crl.entries, &mut last)
            }));
        },
    ),
    (
        "goes on listing what was released",
        FULL,
        &[Rule::Unexplained],
        |world| {
            let mut held = BTreeMap::new();
            world.plant(publisher(move |crl, _, _| {
                let is_there =
                    |crl: &Parts, serial| crl.entries.iter().any(|entry| entry.serial == serial);
                held.retain(|serial, _| !is_there(crl, *serial));
                crl.entries.extend(held.values().cloned());
                crl.entries.sort_by_key(|entry| entry.serial);
                held.extend(
                    crl.entries
                        .iter()
                        .filter(|entry| entry.reason() == 6)
                        .map(|held| (held.serial, held.clone())),
                );
            }));
        },
    ),
    (
        "lists somebody else",
        EVERYTHING,
        &[Rule::Unexplained],
        |world| {
            world.plant(publisher(|crl, kind, _| {
                if kind == Kind::Shard(1) {
                    crl.entries.iter_mut().for_each(|entry| entry.set_serial(9));
                    crl.entries.truncate(1);
                }
            }));
        },
    ),
    ("moves dates", FULL, &[Rule::Moved], |world| {
        world.plant(publisher(|crl, _, _| {
            crl.entries
                .iter_mut()
                .for_each(|entry| entry.set_date(b"200101000000Z"));
        }));
    }),
    (
        "says keyCompromise for every hold",
        FULL,
        &[Rule::Moved],
        |world| {
            world.plant(publisher(|crl, _, _| {
                crl.entries
                    .iter_mut()
                    .filter(|entry| entry.reason() == 6)
                    .for_each(|entry| entry.set_reason(1));
            }));
        },
    ),
    (
        "puts certificates onto the next shard, too",
        EVERYTHING,
        &[Rule::WrongShard],
        |world| {
            let mut last = vec![];
            world.plant(publisher(move |crl, kind, _| {
                if let Kind::Shard(_) = kind {
                    let own = crl.entries.clone();
                    crl.entries.append(&mut last);
                    last = own;
                }
            }));
        },
    ),
    (
        "forgets removeFromCRL",
        EVERYTHING,
        &[Rule::Delta],
        |world| {
            world.plant(publisher(|crl, _, _| {
                crl.entries.retain(|entry| entry.reason() != 8)
            }));
        },
    ),
    (
        "forgets changes on the delta",
        EVERYTHING,
        &[Rule::Delta],
        |world| {
            world.plant(publisher(|crl, kind, _| {
                if kind == Kind::Delta {
                    crl.entries.pop();
                }
            }));
        },
    ),
    ("names another base", EVERYTHING, &[Rule::Delta], |world| {
        world.plant(publisher(|crl, kind, _| {
            if kind == Kind::Delta {
                crl.change_integer(&[0x55, 0x1d, 0x1b], |octet| octet ^ 1);
            }
        }));
    }),
    (
        "writes another number than it reserved",
        FULL,
        &[Rule::ArchiveChanged],
        |world| {
            world.plant(publisher(|crl, _, _| {
                crl.change_integer(&[0x55, 0x1d, 0x14], |octet| octet ^ 1)
            }));
        },
    ),
    ("dates CRLs back", FULL, &[Rule::TimeBack], |world| {
        let mut has_begun = false;
        world.plant(publisher(move |crl, _, _| {
            if std::mem::replace(&mut has_begun, true) {
                crl.this_update[2..].copy_from_slice(b"200101000000Z");
            }
        }));
    }),
    (
        "makes CRLs that have ended",
        FULL,
        &[Rule::Ended],
        |world| {
            world.plant(publisher(|crl, _, _| {
                crl.next_update.clone_from(&crl.this_update)
            }));
        },
    ),
    ("signs something else", FULL, &[Rule::Signature], |world| {
        world.plant(publisher(|crl, _, _| crl.is_forged = true));
    }),
];

/// In an index: what happens to rows as they are written.
fn on_insert(world: &World, what: &str) {
    let file = index::open(world.dir());
    file.execute_batch(&format!("CREATE TRIGGER planted {what}; END"))
        .unwrap();
}

const INDEXES: &[Planted] = &[
    (
        "acknowledges every second commit and loses it",
        FULL,
        &[Rule::Acknowledged],
        |world| {
            let is_lost = "NEW.Seq % 2 = 0 AND (NEW.RowKey = 'head' OR NEW.RowKey LIKE 's.%')
                       OR NEW.RowKey LIKE 'c.%' AND CAST(substr(NEW.RowKey, 3) AS INTEGER) % 2 = 0";
            on_insert(
                world,
                &format!("BEFORE INSERT ON revocations WHEN {is_lost} BEGIN SELECT RAISE(IGNORE)"),
            );
        },
    ),
    ("loses status rows", FULL, &[Rule::Rows], |world| {
        let is_lost = "NEW.RowKey LIKE 's.%' AND NEW.Seq % 3 = 0";
        on_insert(
            world,
            &format!("BEFORE INSERT ON revocations WHEN {is_lost} BEGIN SELECT RAISE(IGNORE)"),
        );
    }),
    (
        "does not replace status rows",
        FULL,
        &[Rule::Rows],
        |world| {
            on_insert(
                world,
                "BEFORE UPDATE ON revocations WHEN NEW.RowKey LIKE 's.%' BEGIN SELECT \
                 RAISE(IGNORE)",
            );
        },
    ),
    ("has rows that nobody wrote", FULL, &[Rule::Rows], |world| {
        let row = "'99', 1, 'revoked', 7, 'superseded', 1";
        on_insert(
            world,
            &format!(
                "AFTER INSERT ON revocations WHEN NEW.RowKey = 'head' AND NEW.Seq = 3 BEGIN
                 INSERT INTO revocations (PartitionKey, RowKey, Version, State, RevokedAt, Reason, \
                 Seq)
                 VALUES (NEW.PartitionKey, 's.00000000000000000000000000000000000000' || {row})"
            ),
        );
    }),
    (
        "loses records of the journal",
        FULL,
        &[Rule::Journal],
        |world| {
            let is_lost =
                "NEW.RowKey LIKE 'c.%' AND CAST(substr(NEW.RowKey, 3) AS INTEGER) % 3 = 0";
            on_insert(
                world,
                &format!("BEFORE INSERT ON revocations WHEN {is_lost} BEGIN SELECT RAISE(IGNORE)"),
            );
        },
    ),
    (
        "writes records of the journal again",
        FULL,
        &[Rule::Journal],
        |world| {
            let change = "UPDATE revocations SET Comment = 'another' WHERE RowKey LIKE 'c.%' AND \
                          RowKey < NEW.RowKey";
            on_insert(
                world,
                &format!("AFTER INSERT ON revocations WHEN NEW.RowKey LIKE 'c.%' BEGIN {change}"),
            );
        },
    ),
    ("counts wrongly", FULL, &[Rule::Rows], |world| {
        let change = "UPDATE revocations SET Held = 7 WHERE RowKey = 'head'";
        on_insert(
            world,
            &format!("AFTER INSERT ON revocations WHEN NEW.Held = 2 BEGIN {change}"),
        );
    }),
    (
        "takes no reservation after the third",
        FULL,
        &[Rule::NotRepaired],
        |world| {
            let is_refused = "NEW.RowKey = 'p.full' AND NEW.Version > 3";
            on_insert(
                world,
                &format!(
                    "BEFORE INSERT ON revocations WHEN {is_refused} BEGIN SELECT RAISE(ABORT, \
                     'full')"
                ),
            );
        },
    ),
    (
        "shows the second publisher what it was some time ago",
        EVERYTHING,
        OLDER,
        lagging,
    ),
    (
        "loses reserved numbers",
        FULL,
        &[Rule::NotReserved],
        |world| {
            let is_lost = "NEW.RowKey = 'p.full' AND NEW.Version > 3";
            on_insert(
                world,
                &format!("BEFORE INSERT ON revocations WHEN {is_lost} BEGIN SELECT RAISE(IGNORE)"),
            );
        },
    ),
];

/// The second publisher's index is a copy of what it was some passes ago; but for the rows about
/// the last CRLs, which are up to date, in both.
fn lagging(world: &mut World) {
    let copy = world.dir().join("data/copy.sqlite");
    world.cas[1].index = Index::Local(Sqlite::open(&copy).unwrap());
    let file = index::open(world.dir());
    file.execute("ATTACH ?1 AS copy", [copy.to_str()]).unwrap();
    let mut passes = 0;
    world.plant(Box::new(move |_, moment| {
        let take_over = |to: &str, rows: &str| {
            file.execute(
                &format!("INSERT OR REPLACE INTO {to}.revocations SELECT * FROM {rows}"),
                [],
            )
            .unwrap();
        };
        if moment == Moment::Begin {
            if passes % 7 == 0 {
                take_over("copy", "main.revocations");
            }
            passes += 1;
        }
        for (from, to) in [("main", "copy"), ("copy", "main")] {
            let newer = format!(
                "Version > coalesce((SELECT Version FROM {to}.revocations WHERE RowKey = \
                         new.RowKey), 0)"
            );
            take_over(
                to,
                &format!("{from}.revocations AS new WHERE RowKey LIKE 'p.%' AND {newer}"),
            );
        }
    }));
}

/// The shelf as it was, by file.
type Files = HashMap<PathBuf, Vec<u8>>;

fn files(dir: &Path) -> Files {
    forge::shelf(dir)
        .into_iter()
        .filter_map(|path| Some((path.clone(), fs::read(path).ok()?)))
        .collect()
}

/// Lets each publisher see shelf and archive as they were when it began, and whatever it writes
/// takes the place of what is there then: conditions that a store does not look at.
fn without_conditions(world: &mut World, store: &'static str) {
    let places = [0, 1].map(|process| format!("data/{process}-{store}"));
    let dir = world.dir().to_owned();
    for (ca, place) in world.cas.iter_mut().zip(&places) {
        let at = |place: &str| Store::Local(Directory::new(dir.join(place)));
        let (shelf, archive) = if store == "shelf" {
            (at(place), at("data/archive"))
        } else {
            (at("data/shelf"), at(place))
        };
        ca.shelf = Shelf::new(ISSUER, shelf, archive, ca.crl.refresh);
    }
    let mut known = [Files::new(), Files::new()];
    world.plant(Box::new(move |dir, moment| {
        let public = dir.join("data").join(store);
        for (place, known) in places.iter().zip(&mut known) {
            let own = dir.join(place);
            match moment {
                Moment::Call => copy(&own, &public, known),
                Moment::Begin => {
                    let _ = fs::remove_dir_all(&own).or_else(|_| fs::remove_file(&own));
                    copy(&public, &own, &Files::new());
                    if public.is_file() {
                        // Out of order, and so shall this one be.
                        fs::copy(&public, &own).unwrap();
                    }
                }
            }
            *known = all(&own);
        }
    }));
}

/// Every file of a folder, labels too, by its name in it.
fn all(folder: &Path) -> Files {
    let folders = [folder.to_owned(), folder.join(ISSUER)];
    let entries = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).into_iter().flatten());
    let paths = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file());
    paths
        .map(|path| {
            (
                path.strip_prefix(folder).unwrap().to_owned(),
                fs::read(path).unwrap(),
            )
        })
        .collect()
}

/// Copies what is not `known` already.
fn copy(from: &Path, to: &Path, known: &Files) {
    for (name, bytes) in all(from) {
        if known.get(&name) != Some(&bytes) {
            fs::create_dir_all(to.join(&name).parent().unwrap()).unwrap();
            fs::write(to.join(name), bytes).unwrap();
        }
    }
}

const PLACES: &[Planted] = &[
    (
        "keeps three CRLs in the archive and no more",
        FULL,
        &[Rule::ArchiveChanged],
        |world| {
            world.plant(Box::new(|dir, _| {
                let all = archived(dir);
                all.iter()
                    .take(all.len().saturating_sub(3))
                    .for_each(|(path, _)| fs::remove_file(path).unwrap());
            }));
        },
    ),
    (
        "acknowledges an archive copy and loses it",
        FULL,
        &[Rule::NotArchived],
        |world| {
            world.plant(Box::new(|dir, _| {
                archived(dir)
                    .iter()
                    .skip(1)
                    .for_each(|(path, _)| fs::remove_file(path).unwrap());
            }));
        },
    ),
    (
        "acknowledges a CRL on the shelf and loses it",
        FULL,
        &[Rule::Stale],
        |world| {
            let mut before = Files::new();
            world.plant(Box::new(move |dir, _| {
                for (path, bytes) in files(dir) {
                    let old = before.entry(path.clone()).or_insert(bytes);
                    fs::write(path, old).unwrap();
                }
            }));
        },
    ),
    (
        "mixes up what is on the shelf",
        EVERYTHING,
        &[Rule::NotArchived],
        |world| {
            world.plant(Box::new(|dir, _| {
                let shard = dir.join(format!("data/shelf/{ISSUER}/01.crl"));
                let full = dir.join(format!("data/shelf/{ISSUER}.crl"));
                let _ = fs::copy(full, shard);
            }));
        },
    ),
    ("empties the shelf", FULL, &[Rule::Lost], |world| {
        world.plant(Box::new(|dir, _| {
            if archived(dir).len() > 3 {
                forge::shelf(dir)
                    .iter()
                    .for_each(|path| fs::remove_file(path).unwrap());
            }
        }));
    }),
    (
        "gives the second publisher an archive of its own",
        FULL,
        &[Rule::NotArchived],
        |world| {
            let refresh = world.cas[1].crl.refresh;
            let other = Store::Local(Directory::new(world.dir().join("other")));
            world.cas[1].shelf =
                Shelf::new(ISSUER, world.cas[1].shelf.store().clone(), other, refresh);
        },
    ),
    (
        "replaces CRLs on the shelf without a look at the version",
        FULL,
        &[Rule::NumberFell],
        |world| {
            without_conditions(world, "shelf");
        },
    ),
    (
        "overwrites in the archive, and reserves numbers twice",
        FULL,
        TWICE,
        |world| {
            without_conditions(world, "archive");
            let pin = "UPDATE revocations SET Version = 1 WHERE RowKey = 'p.full'";
            on_insert(
                world,
                &format!("AFTER INSERT ON revocations WHEN NEW.RowKey = 'p.full' BEGIN {pin}"),
            );
        },
    ),
    (
        "signs although its key is gone",
        FULL,
        &[Rule::FailedPass],
        |world| {
            let key = fs::read(world.dir().join("ca.key.pem")).unwrap();
            world.plant(Box::new(move |dir, _| {
                fs::write(dir.join("ca.key.pem"), &key).unwrap()
            }));
        },
    ),
];

#[test]
fn a_publisher_with_a_bug_is_found() {
    PUBLISHERS.iter().for_each(is_found);
}

#[test]
fn an_index_with_a_bug_is_found() {
    INDEXES.iter().for_each(is_found);
}

#[test]
fn a_shelf_or_archive_with_a_bug_is_found() {
    PLACES.iter().for_each(is_found);
}
