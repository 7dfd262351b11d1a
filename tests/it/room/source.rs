//! The files of `src/`, read by a Rust parser.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// One file.
pub struct Source {
    /// From `src/`.
    pub path: String,
    /// Its module, written as a path: `core/crl` for `core/crl/mod.rs`; empty for the crate's root.
    pub module: String,
    pub text: String,
    pub syntax: syn::File,
}

impl Source {
    pub fn parse(path: &str, text: &str) -> Self {
        let module = path.strip_suffix(".rs").unwrap();
        let module = module.strip_suffix("/mod").unwrap_or(module);
        // The facade stands above all rooms, as the root does.
        let module = if ["lib", "main", "facade"].contains(&module) {
            ""
        } else {
            module
        };
        Self {
            path: path.to_owned(),
            module: module.to_owned(),
            text: text.to_owned(),
            syntax: syn::parse_file(text).unwrap(),
        }
    }

    /// Every file of `src/`.
    pub fn all() -> Vec<Self> {
        Self::below("")
    }

    /// Every file below a folder of `src/`.
    pub fn below(folder: &str) -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut paths = files_below(&root.join(folder));
        paths.sort();
        assert!(paths.len() > 10);
        paths
            .iter()
            .map(|path| {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
                Self::parse(name, &fs::read_to_string(path).unwrap())
            })
            .collect()
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| match path.is_dir() {
            true => files_below(&path),
            false => vec![path],
        })
        .collect()
}
