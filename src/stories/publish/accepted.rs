//! A gate that an operator passes once, by name.

use super::{Pass, PublishError};
use crate::{
    core::{
        crl::{Crl, gate::Gate, lint::CrlBefore},
        seal::Linted,
    },
    stories::revoke::{self, Author},
};

/// A gate to pass once.
#[derive(Clone, Debug)]
pub struct Accepted {
    pub gate: Gate,
    /// Who passes it, and why, for the journal.
    pub by: Author,
}

impl Pass<'_> {
    /// The gate that this CRL may pass. Nothing is accepted that is not in the journal; there it
    /// stands once, for all CRLs of the pass, and only where it is all that is in the way.
    pub(super) async fn accept(
        &mut self,
        linted: &Linted<Crl>,
        before: &CrlBefore<'_>,
    ) -> Result<Option<Gate>, PublishError> {
        let Some(Accepted { gate, by }) = &self.options.accept else {
            return Ok(None);
        };
        let found = linted.differences(before).0;
        let is_in_the_way =
            !found.is_empty() && found.iter().all(|finding| finding.lint == gate.name());
        if is_in_the_way && !self.is_remarked && !self.options.dry_run {
            revoke::remark(self.ca, by, self.now).await?;
            self.is_remarked = true;
        }
        Ok(Some(*gate))
    }
}
