//! What a command says that is refused: one clear message, the documented exit code, and nothing is
//! worse than before.

use super::{Output, Site};

/// Refused or failed; usage or configuration.
pub const REFUSED: i32 = 1;
pub const USAGE: i32 = 2;

/// A site with something to lose: a revoked and a held serial on a published CRL.
pub fn site() -> Site {
    let site = Site::new();
    site.revoke("0b", "keyCompromise");
    site.revoke("0c", "certificateHold");
    site.publish(&[]);
    site
}

/// One message that has all `words`, and this exit code.
pub fn complains(output: &Output, code: i32, words: &[&str]) {
    assert_eq!(output.code, code, "{words:?}: {output:?}");
    assert_eq!(
        output.stderr.trim_end().lines().count(),
        1,
        "not one message: {words:?}: {output:?}"
    );
    says(output, words);
}

pub fn says(output: &Output, words: &[&str]) {
    assert!(
        !output.stderr.contains("panicked") && !output.stderr.contains("RUST_BACKTRACE"),
        "{output:?}"
    );
    for word in words {
        assert!(
            output.stderr.contains(word),
            "{word:?} is not said: {output:?}"
        );
    }
}

/// Runs a command that must be refused, and change nothing.
pub fn refused(site: &Site, args: &[&str], code: i32, words: &[&str]) {
    let before = site.snapshot();
    let output = site.run(args);
    complains(&output, code, words);
    assert!(
        site.snapshot() == before,
        "{args:?} changed something: {output:?}"
    );
}
