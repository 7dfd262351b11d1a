//! Golden bad CRLs: for each lint, gate and rule of delta CRLs, bytes that it refuses, and nothing
//! else does.
//!
//! `tests/golden/crl/NAME.der` is a TBSCertList with one fault. Each is a good one, changed by the
//! function of that name below; the tests prove that file and function agree.
//! `RESCIND_WRITE_GOLDEN=1 cargo test --test it golden` writes the files anew. [`more`] has further
//! faults, without files.

mod more;
mod tbs;
mod world;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use rescind::facade::core::{
    crl::{
        CrlRef,
        gate::{Gate, Previous},
        lint::CrlBefore,
    },
    seal::{Document, Findings},
};

use crate::support::crl::{AKI, CRL_NUMBER, EXPIRED_CERTS_ON_CRL, IDP};
use tbs::{Tbs, extension, general, integer, only_user, reason, utc};
use world::{Good, NUMBER, World};

const DELTA_INDICATOR: &[u8] = &[0x55, 0x1d, 0x1b];
const FRESHEST: &[u8] = &[0x55, 0x1d, 0x2e];
/// Microsoft's NextPublish, 1.3.6.1.4.1.311.21.4.
const NEXT_PUBLISH: &[u8] = &[0x2b, 6, 1, 4, 1, 0x82, 0x37, 0x15, 4];

/// A fault: its lint, the good CRL it is put into, and how.
type Bad = (&'static str, Good, fn(&mut Tbs));

/// Who looks at a CRL, and what each of its findings is shown by.
struct Stage {
    look: fn(&World, Good, &[u8]) -> Findings,
    /// One for each name; these are the files.
    bad: &'static [Bad],
    more: &'static [Bad],
}

const STAGES: [Stage; 3] = [
    Stage {
        look: World::lint,
        bad: LINTS,
        more: more::LINTS,
    },
    Stage {
        look: World::compare,
        bad: CONTRADICTIONS,
        more: more::CONTRADICTIONS,
    },
    Stage {
        look: World::fit,
        bad: MISFITS,
        more: more::MISFITS,
    },
];

/// What the linter refuses before the key is used.
const LINTS: &[Bad] = &[
    ("der", Good::Full, |tbs| tbs.behind = vec![5, 0]),
    ("version", Good::Full, |tbs| tbs.version.clear()),
    ("algorithm", Good::Full, |tbs| {
        *tbs.algorithm.last_mut().unwrap() = 3
    }),
    ("issuer_name", Good::Full, |tbs| {
        let common_name = tbs
            .issuer
            .windows(4)
            .rposition(|some| some == [0x55, 4, 3, 0x0c])
            .unwrap();
        tbs.issuer[common_name + 3] = 0x13;
    }),
    ("window", Good::Full, |tbs| tbs.next = utc("260117000001Z")),
    ("this_update_in_future", Good::Full, |tbs| {
        tbs.this = utc("260110001001Z")
    }),
    ("time_form", Good::Full, |tbs| {
        tbs.next = general("20260117000000Z")
    }),
    ("extension_unplanned", Good::Full, |tbs| {
        tbs.extensions
            .push(extension(NEXT_PUBLISH, utc("260116000000Z")))
    }),
    ("extension_criticality", Good::Full, |tbs| {
        tbs.extension(IDP).critical = false
    }),
    ("authority_key_identifier", Good::Full, |tbs| {
        *tbs.extension(AKI).value.last_mut().unwrap() ^= 1
    }),
    ("crl_number", Good::Full, |tbs| {
        tbs.extension(CRL_NUMBER).value = integer(NUMBER + 1)
    }),
    // Without it, the CRL of some certificates passes for that of all.
    ("issuing_distribution_point", Good::Shard, |tbs| {
        tbs.extensions.retain(|extension| extension.id != IDP)
    }),
    ("delta_crl_indicator", Good::Delta, |tbs| {
        tbs.extension(DELTA_INDICATOR).value = integer(NUMBER - 2)
    }),
    ("freshest_crl", Good::Full, |tbs| {
        tbs.extensions.retain(|extension| extension.id != FRESHEST)
    }),
    ("expired_certs_on_crl", Good::Full, |tbs| {
        tbs.extension(EXPIRED_CERTS_ON_CRL).value = general("20260101000000Z");
    }),
    ("entry_der", Good::Full, |tbs| {
        tbs.entry(0).serial.insert(2, 0)
    }),
    ("serial_order", Good::Full, |tbs| tbs.list().swap(0, 1)),
    ("entry_differs", Good::Full, |tbs| {
        tbs.entry(1).date = utc("251231235959Z")
    }),
    ("entry_missing", Good::Full, |tbs| {
        drop(tbs.list().remove(1))
    }),
    ("empty_list", Good::Empty, |tbs| tbs.list = Some(vec![])),
    ("entry_time_form", Good::Full, |tbs| {
        tbs.entry(1).date = general("20260101000000Z")
    }),
    ("entry_after_this_update", Good::Full, |tbs| {
        tbs.entry(1).date = utc("260110000001Z")
    }),
    ("entry_extension", Good::Full, |tbs| {
        tbs.entry(0).extensions[0].critical = true
    }),
    ("reason_unspecified", Good::Full, |tbs| {
        tbs.entry(1).extensions = vec![reason(0)]
    }),
    ("remove_from_crl", Good::Full, |tbs| {
        tbs.entry(1).extensions = vec![reason(8)]
    }),
    ("reason_unknown", Good::Full, |tbs| {
        tbs.entry(1).extensions = vec![reason(7)]
    }),
];

/// What contradicts the CRL before it. The fault is in the new CRL, or else in the one before it.
const CONTRADICTIONS: &[Bad] = &[
    ("number_not_risen", Good::Full, |tbs| {
        tbs.extension(CRL_NUMBER).value = integer(NUMBER - 1)
    }),
    ("this_update_went_back", Good::Full, |tbs| {
        tbs.this = utc("260108235959Z")
    }),
    ("scope_changed", Good::Full, |tbs| {
        tbs.extension(IDP).value = only_user()
    }),
    ("entry_vanished", Good::Full, |tbs| {
        drop(tbs.list().remove(1))
    }),
    ("date_moved", Good::Full, |tbs| {
        tbs.entry(1).date = utc("251231235959Z")
    }),
    ("reason_changed", Good::Full, |tbs| {
        tbs.entry(0).extensions[0] = reason(4)
    }),
    ("empty_after_entries", Good::Full, |tbs| tbs.list = None),
    ("previous_unreadable", Good::Previous, |tbs| {
        tbs.entry(1).serial.insert(2, 0)
    }),
];

/// Where base and delta CRL do not make the full CRL beside it.
const MISFITS: &[Bad] = &[
    ("delta_number", Good::Delta, |tbs| {
        tbs.extension(CRL_NUMBER).value = integer(NUMBER + 1)
    }),
    ("delta_base", Good::Delta, |tbs| {
        tbs.extension(DELTA_INDICATOR).value = integer(NUMBER - 2)
    }),
    ("delta_scope", Good::Delta, |tbs| {
        tbs.extension(IDP).value = only_user()
    }),
    ("delta_incomplete", Good::Delta, |tbs| {
        drop(tbs.list().remove(1))
    }),
];

/// These are about what good bytes are compared with, and have a test of their own.
const NOT_IN_BYTES: [&str; 2] = ["index_went_back", "delta_unproven"];

fn made(world: &World, bad: &Bad) -> Vec<u8> {
    let mut tbs = Tbs::read(&world.bytes(bad.1));
    bad.2(&mut tbs);
    tbs.write()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn path(name: &str) -> PathBuf {
    root().join("crl").join(format!("{name}.der"))
}

fn names(findings: &Findings) -> BTreeSet<&str> {
    findings.0.iter().map(|finding| finding.lint).collect()
}

fn files() -> impl Iterator<Item = &'static Bad> {
    STAGES.into_iter().flat_map(|stage| stage.bad)
}

/// What is found in `bytes` if it is not one thing, named `name`.
fn surprise(name: &str, findings: &Findings) -> Option<String> {
    (names(findings) != BTreeSet::from([name])).then(|| format!("{name}: {findings}"))
}

#[test]
fn the_good_crls_have_no_finding() {
    let world = World::new();
    for good in [
        Good::Full,
        Good::Delta,
        Good::Shard,
        Good::Empty,
        Good::Previous,
    ] {
        let bytes = world.bytes(good);
        assert_eq!(world.lint(good, &bytes), Findings::default(), "{good:?}");
        assert_eq!(Tbs::read(&bytes).write(), bytes, "{good:?}");
    }
    let [full, delta] = [Good::Full, Good::Delta].map(|good| world.bytes(good));
    assert_eq!(world.compare(Good::Full, &full), Findings::default());
    assert_eq!(world.fit(Good::Delta, &delta), Findings::default());
    assert_eq!(
        [&full, &delta].map(|bytes| CrlRef::read(bytes).unwrap().entries().count()),
        [4, 2]
    );
}

#[test]
fn each_bad_crl_is_refused_by_exactly_its_lint() {
    let world = World::new();
    let look = |stage: Stage| {
        let found = |bad: &Bad| {
            surprise(
                bad.0,
                &(stage.look)(&world, bad.1, &fs::read(path(bad.0)).unwrap()),
            )
        };
        stage.bad.iter().filter_map(found).collect::<Vec<_>>()
    };
    assert_eq!(
        STAGES.into_iter().flat_map(look).collect::<Vec<_>>(),
        [""; 0]
    );
}

#[test]
fn other_faults_of_the_same_name_are_refused_by_exactly_that_lint() {
    let world = World::new();
    let look = |stage: Stage| {
        let found = |(at, bad): (usize, &Bad)| {
            let findings = (stage.look)(&world, bad.1, &made(&world, bad));
            surprise(bad.0, &findings).map(|what| format!("{at}: {what}"))
        };
        stage
            .more
            .iter()
            .enumerate()
            .filter_map(found)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        STAGES.into_iter().flat_map(look).collect::<Vec<_>>(),
        [""; 0]
    );
}

#[test]
fn each_golden_file_is_a_good_crl_with_the_fault_of_its_name() {
    let world = World::new();
    for bad in files() {
        let (path, bytes) = (path(bad.0), made(&world, bad));
        if std::env::var_os("RESCIND_WRITE_GOLDEN").is_some() {
            fs::write(&path, &bytes).unwrap();
        }
        assert_eq!(fs::read(&path).ok(), Some(bytes), "{}", path.display());
    }
}

/// The names are read from the source, so that a lint added without a golden file fails.
#[test]
fn each_lint_in_the_source_has_a_golden_file() {
    let mut in_source = BTreeSet::new();
    for file in ["lint.rs", "gate.rs", "delta.rs"] {
        let text = fs::read_to_string(root().join("../../src/core/crl").join(file)).unwrap();
        let code = text
            .lines()
            .map(|line| line.split("//").next().unwrap_or_default())
            .collect::<Vec<_>>()
            .join("\n");
        let is_name = |text: &&str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|octet| matches!(octet, b'a'..=b'z' | b'_'))
        };
        in_source.extend(
            code.split('"')
                .skip(1)
                .step_by(2)
                .filter(is_name)
                .map(str::to_owned),
        );
    }
    let shown: BTreeSet<_> = files()
        .map(|bad| bad.0)
        .chain(NOT_IN_BYTES)
        .map(str::to_owned)
        .collect();
    assert_eq!(in_source, shown);
    assert!(Gate::ALL.iter().all(|gate| shown.contains(gate.name())));
    let files = fs::read_dir(root().join("crl"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|end| end == "der"));
    let names: BTreeSet<_> = files
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, self::files().map(|bad| bad.0.to_owned()).collect());
}

#[test]
fn good_bytes_are_refused_after_a_newer_index_and_as_an_unproven_delta() {
    let world = World::new();
    let full = world.bytes(Good::Full);
    let previous = Previous::of_this_pass(CrlRef::read(&full).unwrap(), &world.replica);
    let mut next = Tbs::read(&full);
    next.extension(CRL_NUMBER).value = integer(NUMBER + 1);
    let before = CrlBefore {
        previous: Some(previous),
        replica: &world.earlier,
        neighbours: None,
        accepted: None,
    };
    assert_eq!(
        names(&world.crl(Good::Full).compare(&next.write(), &before)),
        BTreeSet::from(["index_went_back"])
    );
    let before = CrlBefore {
        previous: None,
        replica: &world.replica,
        neighbours: None,
        accepted: None,
    };
    let delta = world.bytes(Good::Delta);
    assert_eq!(
        names(&world.crl(Good::Delta).compare(&delta, &before)),
        BTreeSet::from(["delta_unproven"])
    );
}
