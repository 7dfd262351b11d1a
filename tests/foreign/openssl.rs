//! The `openssl` command.

use std::{path::Path, process::Command};

use crate::support::{Output, Site};

/// Runs `openssl` in `dir`, whatever comes of it.
pub fn openssl(dir: &Path, args: &[&str]) -> Output {
    let output = Command::new("openssl").args(args).current_dir(dir).output();
    Output::of(output.unwrap_or_else(|error| {
        panic!(
            "these tests need the `openssl` command (Debian: apt-get install openssl), which \
                cannot be run: {error}"
        )
    }))
}

/// Runs `openssl` in `dir`, which must succeed.
pub fn openssl_ok(dir: &Path, args: &[&str]) -> Output {
    let output = openssl(dir, args);
    assert_eq!(output.code, 0, "openssl {}: {output:?}", args.join(" "));
    output
}

/// What relying parties trust: arguments for `openssl verify` and `openssl ocsp`.
pub fn trust(site: &Site) -> [String; 2] {
    let anchor = if site.is_intermediate() {
        "root.pem"
    } else {
        "ca.pem"
    };
    ["-CAfile".to_owned(), site.file(anchor)]
}
