//! The house's own rules, where a compiler does not hold them.
//!
//! `cargo test --test it -- --nocapture the_graph` prints who imports whom.

mod can_fail;
mod graph;
mod imports;
mod rules;
mod settings;
mod source;

use graph::Graph;
use imports::Imports;
use source::Source;

/// The folders of `src/`, and those that each may import from. Arrows run one way.
const ALLOWED: [(&str, &[&str]); 10] = [
    (
        "cli",
        &["http", "server", "stories", "ca", "config", "store", "core"],
    ),
    (
        "http",
        &["server", "stories", "ca", "config", "store", "core"],
    ),
    ("server", &["stories", "ca", "config", "store", "core"]),
    ("stories", &["ca", "config", "store", "core"]),
    ("ca", &["local", "azure", "config", "store", "core"]),
    ("local", &["store", "core"]),
    ("azure", &["store", "core"]),
    ("config", &["store", "core"]),
    ("store", &["core"]),
    ("core", &[]),
];

/// Parts that do not know each other, though they are in one folder: from, and to.
const APART: [(&str, &str); 10] = [
    ("core/crl", "core/ocsp"),
    ("core/ocsp", "core/crl"),
    ("core/journal", "core/crl"),
    ("core/journal", "core/ocsp"),
    ("core/seal", "core/crl"),
    ("core/seal", "core/ocsp"),
    ("core/revocation", "core/journal"),
    ("stories/respond", "stories/publish"),
    ("stories/publish", "stories/respond"),
    ("stories/revoke", "stories/publish"),
];

/// Other people's crates that one folder alone knows.
const KNOWN_IN: [(&str, &str); 9] = [
    ("axum", "http"),
    ("hyper", "http"),
    ("rusqlite", "local"),
    ("reqwest", "azure"),
    ("azure_core", "azure"),
    ("azure_identity", "azure"),
    ("azure_storage_blob", "azure"),
    ("clap", "cli"),
    ("toml", "config"),
];

#[track_caller]
fn none(found: Vec<String>) {
    let count = found.len();
    assert!(found.is_empty(), "{count} found:\n{}", found.join("\n"));
}

#[test]
fn arrows_between_folders_run_one_way() {
    none(outside_of(&ALLOWED, &Source::all()));
}

/// Imports that `allowed` does not have.
fn outside_of(allowed: &[(&str, &[&str])], sources: &[Source]) -> Vec<String> {
    let imports = Imports::of(sources);
    let forbidden = imports.between_folders().filter(|(from, to, _)| {
        !allowed
            .iter()
            .any(|(folder, targets)| folder == from && targets.contains(to))
    });
    forbidden
        .map(|(from, to, import)| format!("{from} -> {to}: {import}"))
        .collect()
}

#[test]
fn parts_of_a_folder_that_are_apart_stay_apart() {
    let sources = Source::all();
    none(together(&APART, &sources));
    for part in APART.iter().flat_map(|(from, to)| [from, to]) {
        let is_there = |source: &Source| is_within(&source.module, part);
        assert!(sources.iter().any(is_there), "there is no {part}");
    }
}

/// Imports of parts by others that should not know them.
fn together(apart: &[(&str, &str)], sources: &[Source]) -> Vec<String> {
    let imports = Imports::of(sources);
    let forbidden = imports.between_files().filter(|(from, to, _)| {
        apart
            .iter()
            .any(|(one, other)| is_within(from, one) && is_within(to, other))
    });
    forbidden
        .map(|(from, to, import)| format!("{from} -> {to}: {import}"))
        .collect()
}

/// Whether a module is `part` or below it.
fn is_within(module: &str, part: &str) -> bool {
    module
        .strip_prefix(part)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[test]
fn a_foreign_crate_is_known_in_its_folder_alone() {
    none(strangers(&KNOWN_IN, &Source::all()));
}

/// Uses of crates outside the folder that may know them.
fn strangers(known_in: &[(&str, &str)], sources: &[Source]) -> Vec<String> {
    let imports = Imports::of(sources);
    let forbidden = imports.of_crates().filter(|(from, name, _)| {
        known_in
            .iter()
            .any(|(crate_name, folder)| crate_name == name && folder != from)
    });
    forbidden
        .map(|(from, name, import)| format!("{from} -> {name}: {import}"))
        .collect()
}

/// Prints who imports whom: folders, then files.
#[test]
fn the_graph_of_folders_has_no_cycle() {
    let sources = Source::all();
    let imports = Imports::of(&sources);
    let edges = |(from, to, _): (&str, &str, _)| (from.to_owned(), to.to_owned());
    let folders: Graph = imports.between_folders().map(edges).collect();
    let files: Graph = imports
        .between_files()
        .map(|(from, to, _)| (from.to_owned(), to.to_owned()))
        .collect();
    println!("{folders}\nknots of files:\n{}", files.knots().join("\n"));
    none(folders.knots());
    assert!(folders.len() > 10 && files.len() > 100);
}

/// The files of the core know each other in one direction too.
#[test]
fn the_graph_of_the_core_has_no_cycle() {
    let sources = Source::all();
    let imports = Imports::of(&sources);
    let core: Graph = imports
        .between_files()
        .filter(|(from, to, _)| is_within(from, "core") && is_within(to, "core"))
        .map(|(from, to, _)| (from.to_owned(), to.to_owned()))
        .collect();
    println!("{core}");
    none(core.knots());
}

/// A story may tell another one's part, but not both each other's: `stories/publish` and whatever is
/// below it is one.
#[test]
fn the_graph_of_stories_has_no_cycle() {
    let stories = parts_of("stories", &Source::all());
    println!("{stories}");
    none(stories.knots());
    assert!(stories.len() > 3);
}

fn parts_of(folder: &str, sources: &[Source]) -> Graph {
    let part = |module: &str| {
        let rest = module.strip_prefix(folder)?.strip_prefix('/')?;
        Some(format!("{folder}/{}", rest.split('/').next()?))
    };
    Imports::of(sources)
        .between_files()
        .filter_map(|(from, to, _)| Some((part(from)?, part(to)?)))
        .filter(|(from, to)| from != to)
        .collect()
}

/// The core has no I/O, no clock and no async; whoever adds one has put code into the wrong place.
#[test]
fn core_has_no_io_no_clock_and_no_async() {
    none(impure(&Source::below("core")));
}

fn impure(sources: &[Source]) -> Vec<String> {
    const BEGINNINGS: [&str; 6] = [
        "tokio", "tracing", "std::fs", "std::net", "std::env", "std::io",
    ];
    const ENDS: [&str; 2] = ["SystemTime::now", "Instant::now"];
    let imports = Imports::of(sources);
    let is_begun = |path: &str| {
        BEGINNINGS.iter().any(|banned| {
            path.strip_prefix(banned)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        })
    };
    let paths = imports
        .all()
        .filter(|import| {
            is_begun(&import.path) || ENDS.iter().any(|end| import.path.ends_with(end))
        })
        .map(ToString::to_string);
    paths
        .chain(sources.iter().flat_map(rules::async_words))
        .collect()
}

#[test]
fn functions_have_70_lines_at_most() {
    none(each(&Source::all(), |source| {
        rules::long_functions(source, 70)
    }));
}

#[test]
fn files_have_500_lines_at_most() {
    none(each(&Source::all(), |source| rules::long_file(source, 500)));
}

#[test]
fn lines_have_100_characters_at_most() {
    none(each(&Source::all(), |source| {
        rules::long_lines(source, 100)
    }));
}

#[test]
fn stories_bind_no_closure() {
    none(each(&Source::below("stories"), rules::bound_closures));
}

#[test]
fn stories_have_three_combinators_a_statement_at_most() {
    none(each(&Source::below("stories"), |source| {
        rules::crowded_statements(source, 3)
    }));
}

#[test]
fn each_type_name_is_there_once() {
    none(rules::names_of_several(&Source::all()));
}

fn each(sources: &[Source], rule: impl Fn(&Source) -> Vec<String>) -> Vec<String> {
    sources.iter().flat_map(rule).collect()
}
