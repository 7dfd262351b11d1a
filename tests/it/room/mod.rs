//! The house's own rules, where a compiler does not hold them.
//!
//! `cargo test --test it -- --nocapture the_graph` prints who imports whom.

mod can_fail;
mod graph;
mod imports;
mod rules;
mod settings;
mod source;

use std::collections::BTreeSet;

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

/// Other people's crates, and the folders that know each.
const KNOWN_IN: [(&str, &[&str]); 34] = [
    ("async_trait", &["azure"]),
    ("aws_lc_rs", &["cli", "stories", "azure", "core"]),
    ("axum", &["http"]),
    ("azure_core", &["azure"]),
    ("azure_identity", &["azure"]),
    ("azure_security_keyvault_certificates", &["azure"]),
    ("azure_security_keyvault_keys", &["azure"]),
    ("azure_security_keyvault_secrets", &["azure"]),
    ("azure_storage_blob", &["azure"]),
    ("base64", &["azure", "core"]),
    ("clap", &["cli"]),
    ("der", &["server", "stories", "core"]),
    ("httpdate", &["http", "azure"]),
    ("humantime", &["config"]),
    ("hyper", &["http"]),
    ("hyper_util", &["http"]),
    ("indicatif", &["cli"]),
    ("percent_encoding", &["core"]),
    ("quick_cache", &["stories"]),
    ("rasn", &["core"]),
    ("rasn_ocsp", &["core"]),
    ("reqwest", &["azure"]),
    ("rusqlite", &["local"]),
    ("rustls_native_certs", &["azure"]),
    ("sha1", &["core"]),
    ("strsim", &["config"]),
    ("thread_priority", &["server"]),
    ("tokio_io_timeout", &["http"]),
    ("toml", &["config"]),
    ("tower", &["http"]),
    ("tracing_subscriber", &["cli"]),
    ("url", &["ca", "config", "store"]),
    ("webpki_root_certs", &["azure"]),
    ("x509_cert", &["core"]),
];

/// Those that are part of the language here. The core has rules of its own.
const KNOWN_ANYWHERE: [&str; 8] = [
    "bytes",
    "futures",
    "serde",
    "serde_json",
    "sha2",
    "thiserror",
    "tokio",
    "tracing",
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

/// Whoever gives the crate, or a folder, another name has a way round all that follows.
#[test]
fn a_name_says_where_it_leads() {
    none(veiled(&Source::all()));
}

fn veiled(sources: &[Source]) -> Vec<String> {
    let imports = Imports::of(sources);
    imports.veils().map(ToString::to_string).collect()
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
fn a_foreign_crate_is_known_in_its_folders_alone() {
    none(strangers(&KNOWN_IN, &Source::all()));
}

/// Uses of crates outside the folders that may know them.
fn strangers(known_in: &[(&str, &[&str])], sources: &[Source]) -> Vec<String> {
    let imports = Imports::of(sources);
    let forbidden = imports.of_crates().filter(|(from, name, _)| {
        known_in
            .iter()
            .any(|(crate_name, folders)| crate_name == name && !folders.contains(from))
    });
    forbidden
        .map(|(from, name, import)| format!("{from} -> {name}: {import}"))
        .collect()
}

/// A new dependency is a question: which folder is it for?
#[test]
fn each_dependency_has_its_folders() {
    let manifest = include_str!("../../../Cargo.toml");
    none(homeless(
        &KNOWN_IN,
        &KNOWN_ANYWHERE,
        manifest,
        &Source::all(),
    ));
}

/// Dependencies that are in no list or in two, and what a list has without need.
fn homeless(
    known_in: &[(&str, &[&str])],
    known_anywhere: &[&str],
    manifest: &str,
    sources: &[Source],
) -> Vec<String> {
    let imports = Imports::of(sources);
    let uses: BTreeSet<_> = imports
        .of_crates()
        .map(|(from, name, _)| (name, from))
        .collect();
    let in_folders = known_in.iter().map(|(name, _)| *name);
    let listed: Vec<_> = in_folders.chain(known_anywhere.iter().copied()).collect();
    let dependencies = dependencies(manifest);
    let mut found = Vec::new();
    for name in &dependencies {
        match listed.iter().filter(|listed| *listed == name).count() {
            1 => {}
            count => found.push(format!("{name} is in {count} lists")),
        }
    }
    for name in listed {
        if !dependencies.iter().any(|dependency| dependency == name) {
            found.push(format!("{name} is no dependency"));
        }
    }
    for (name, folders) in known_in {
        let without = folders
            .iter()
            .filter(|folder| !uses.contains(&(*name, **folder)));
        found.extend(without.map(|folder| format!("{folder} does not use {name}")));
    }
    found
}

/// The crates that a manifest asks for, those for one platform too, as code writes their names.
fn dependencies(manifest: &str) -> Vec<String> {
    let manifest: toml::Table = manifest.parse().unwrap();
    let platforms = manifest.get("target").and_then(toml::Value::as_table);
    let platforms = platforms.into_iter().flat_map(toml::Table::values);
    let tables = [manifest.get("dependencies")].into_iter();
    tables
        .chain(platforms.map(|platform| platform.get("dependencies")))
        .filter_map(|table| table?.as_table())
        .flat_map(toml::Table::keys)
        .map(|name| name.replace('-', "_"))
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

/// What of std only computes. More may be added, but nothing that asks the world.
const COMPUTES: [&str; 11] = [
    "std::cmp",
    "std::collections",
    "std::error",
    "std::fmt",
    "std::iter",
    "std::num",
    "std::ops",
    "std::slice",
    "std::str",
    "std::sync::Arc",
    "std::time::Duration",
];

fn impure(sources: &[Source]) -> Vec<String> {
    const CRATES: [&str; 4] = ["tokio", "tracing", "futures", "async_trait"];
    let imports = Imports::of(sources);
    let paths = imports.of_crates().filter(|(_, name, import)| match *name {
        "std" | "core" | "alloc" => {
            let path = import.path.replacen(name, "std", 1).replace("::", "/");
            !COMPUTES
                .iter()
                .any(|part| is_within(&path, &part.replace("::", "/")))
        }
        name => CRATES.contains(&name),
    });
    paths
        .map(|(_, _, import)| import.to_string())
        .chain(sources.iter().flat_map(rules::impure_words))
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
