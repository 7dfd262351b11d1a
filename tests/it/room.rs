//! The house's own rules, where a compiler does not hold them.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use rescind::config::settings::SETTINGS;

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                files_below(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// The core has no I/O, no clock and no async; whoever adds one has put code into the wrong place.
#[test]
fn core_has_no_io_no_clock_and_no_async() {
    const BANNED: [&str; 8] = [
        "async",
        "tokio",
        "std::fs",
        "std::net",
        "std::env",
        "SystemTime::now",
        "Instant::now",
        "tracing",
    ];
    let files = files_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/core"));
    for path in &files {
        for (at, line) in fs::read_to_string(path).unwrap().lines().enumerate() {
            // Prose may speak of them.
            let code = line.split("//").next().unwrap_or_default();
            let found = BANNED.iter().find(|word| code.contains(*word));
            assert!(found.is_none(), "{}:{}: {line}", path.display(), at + 1);
        }
    }
    assert!(files.len() > 10);
}

/// The README's table of settings has every key with its default, in the order of the code, and no
/// other.
#[test]
fn readme_lists_every_setting_with_its_default() {
    let readme =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let cells = |line: &str| {
        line.trim_matches('|')
            .split(" | ")
            .map(|cell| cell.trim().to_owned())
            .collect::<Vec<_>>()
    };
    let rows: Vec<_> = readme
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(cells)
        .collect();
    let known: Vec<_> = SETTINGS
        .iter()
        .map(|setting| format!("`{}`", setting.key))
        .collect();
    let listed: Vec<_> = rows.iter().filter(|row| known.contains(&row[0])).collect();
    let keys: Vec<_> = listed.iter().map(|row| row[0].clone()).collect();
    assert_eq!(keys, known);
    for (setting, row) in SETTINGS.iter().zip(listed) {
        let written = if setting.default.is_empty() {
            "none".to_owned()
        } else {
            format!("`{}`", setting.default)
        };
        assert_eq!(row[1], written, "the default of {}", setting.key);
    }
}

/// What a test prints that passes is shown to nobody, so this is written.
#[test]
fn what_cargo_test_leaves_out_is_told_and_run_by_ci() {
    let script = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/run")).unwrap();
    let [minutes, foreign] =
        ["--include-ignored", "--test foreign"].map(|words| script.contains(words));
    assert!(minutes && foreign, "{script}");
    let left_out = "NOT RUN HERE: what needs other people's software (`cargo test --test \
                    foreign`), and what takes a minute \
                    by itself (`cargo test --test it -- --ignored`). `.ci/run` installs what they \
                    need and runs all of it.";
    writeln!(std::io::stderr(), "\n{left_out}\n").unwrap();
}
