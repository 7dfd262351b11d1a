//! Random histories: how many are told, and which are told first.
//!
//! The seed of a history that fails is printed, and kept in a file that is part of the source:
//! every later run begins with what is there. `RESCIND_TEST_HISTORIES` says how many each property
//! tells besides.

use std::{
    any::Any,
    fmt::Debug,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use proptest::test_runner::{Config, FailurePersistence, PersistedSeed};

/// As many histories as are to be told by each property, after those of this file below the folder
/// of the tests.
pub fn histories(seeds: &str) -> Config {
    let cases = std::env::var("RESCIND_TEST_HISTORIES")
        .map_or(100, |text| text.parse().expect("a number of histories"));
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(seeds);
    Config {
        cases,
        failure_persistence: Some(Box::new(Seeds(file))),
        max_shrink_iters: 3000,
        ..Config::default()
    }
}

/// A file of seeds: one in a line, and behind a `#` the shortest history that fails like it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seeds(pub PathBuf);

impl FailurePersistence for Seeds {
    fn load_persisted_failures2(&self, _: Option<&'static str>) -> Vec<PersistedSeed> {
        let text = fs::read_to_string(&self.0)
            .unwrap_or_else(|error| panic!("{}: {error}", self.0.display()));
        let seeds = text
            .lines()
            .map(|line| line.split('#').next().unwrap_or_default().trim());
        let read = |seed: &str| {
            seed.parse()
                .unwrap_or_else(|()| panic!("{}: no seed: {seed}", self.0.display()))
        };
        seeds.filter(|seed| !seed.is_empty()).map(read).collect()
    }

    fn save_persisted_failure2(
        &mut self,
        _: Option<&'static str>,
        seed: PersistedSeed,
        history: &dyn Debug,
    ) {
        let line = format!("{seed} # {history:?}").replace('\n', " ");
        let kept = fs::OpenOptions::new()
            .append(true)
            .open(&self.0)
            .and_then(|mut file| writeln!(file, "{line}"));
        println!(
            "A history failed. Its seed, and the shortest history that fails like it:\n{line}"
        );
        match kept {
            Ok(()) => println!(
                "It is kept in {}: the same test tells it first from now on.",
                self.0.display()
            ),
            Err(error) => println!(
                "Put this line into {}, which cannot be written: {error}",
                self.0.display()
            ),
        }
    }

    fn box_clone(&self) -> Box<dyn FailurePersistence> {
        Box::new(self.clone())
    }

    fn eq(&self, other: &dyn FailurePersistence) -> bool {
        other.as_any().downcast_ref() == Some(self)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
