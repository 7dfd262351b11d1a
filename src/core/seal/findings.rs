//! What is wrong with a document, all of it at once.

use std::fmt;

/// One thing that is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule's name.
    pub lint: &'static str,
    /// Where it is written.
    pub clause: &'static str,
    /// What was found.
    pub detail: String,
}

/// All that is wrong with a document; empty is good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings(pub Vec<Finding>);

impl Findings {
    /// Adds a finding.
    pub fn add(&mut self, lint: &'static str, clause: &'static str, detail: impl Into<String>) {
        self.0.push(Finding {
            lint,
            clause,
            detail: detail.into(),
        });
    }

    /// Adds a finding unless `good`.
    pub fn require(
        &mut self,
        good: bool,
        lint: &'static str,
        clause: &'static str,
        detail: impl Into<String>,
    ) {
        if !good {
            self.add(lint, clause, detail);
        }
    }

    pub(super) fn into_result(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl std::error::Error for Findings {}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |finding: &Finding| {
            format!("{} ({}): {}", finding.lint, finding.clause, finding.detail)
        };
        f.write_str(&self.0.iter().map(line).collect::<Vec<_>>().join("; "))
    }
}
