//! The issuer's number line: the index's row of the full CRL, as it was read before the index.

use super::{Observed, Pass, PlanError, PublishError};
use crate::{
    core::{crl::scope::Scope, serial::CrlNumber},
    store::{Version, Versioned, error::ErrorKind, index::ScopeRow},
};

pub(super) struct NumberLine {
    row: Option<ScopeRow>,
    version: Version,
    /// The highest number that is out in any scope, as far as the pass has looked.
    floor: Option<CrlNumber>,
    /// This pass's number, once it is reserved.
    reserved: Option<CrlNumber>,
}

impl NumberLine {
    pub(super) fn of(full: &Observed<'_>) -> Self {
        Self {
            row: full.row.as_ref().map(|row| row.value),
            version: Versioned::expected(full.row.as_ref()),
            floor: full.number(),
            reserved: None,
        }
    }

    /// The next number is to be above this one.
    pub(super) fn raise(&mut self, floor: Option<CrlNumber>) {
        self.floor = self.floor.max(floor);
    }

    /// The last number that was given to anything.
    pub(super) fn last(&self) -> Option<CrlNumber> {
        self.row.as_ref().map(|row| row.number).max(self.reserved)
    }

    /// The pass itself wrote the row anew. If that was over another publisher's, that one is still
    /// found to be first.
    pub(super) fn follow(&mut self, row: ScopeRow, over: &Version, written: Version) {
        if self.version == *over {
            (self.row, self.version) = (Some(row), written);
        }
    }
}

impl Pass<'_> {
    /// Reserves this pass's number in the index before anything is signed, so that no number ever
    /// means two states; all CRLs of a pass share it (RFC 5280 §5.2.3). It is above `floor`. The
    /// row must still be the one read before the index was: otherwise another publisher, who may
    /// have read more, was first, and a higher number must not go to an older state.
    pub(super) async fn reserve(
        &mut self,
        floor: Option<CrlNumber>,
    ) -> Result<Option<CrlNumber>, PublishError> {
        self.line.raise(floor);
        let line = &mut self.line;
        if line.reserved > line.floor {
            return Ok(line.reserved);
        }
        let last = line.floor.max(line.last());
        let number = CrlNumber::next(last, self.now).ok_or(PlanError::NumbersEnded)?;
        if !self.options.dry_run {
            let published = line.row.and_then(|row| row.published);
            let row = ScopeRow { number, published };
            let (index, name) = (&self.ca.index, &self.ca.name);
            let put = index.put_row(name, Scope::Full, row, line.version.clone());
            match put.await {
                Ok(version) => line.version = version,
                Err(error) if error.kind == ErrorKind::Conflict => return Ok(None),
                Err(error) => return Err(PublishError::Number(error)),
            }
        }
        line.reserved = Some(number);
        Ok(line.reserved)
    }
}
