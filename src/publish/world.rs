//! What the publisher finds: shelf, archive, and the index's row about them.

use crate::{
    ca::Ca,
    core::{
        compare::Previous,
        crl::{Crl, CrlRef, EXPIRED_CERTS_ON_CRL, SignedCrl},
        scope::Scope,
        serial::CrlNumber,
        time::Timestamp,
    },
    driver::Version,
    index::ScopeRow,
    shelf::{Label, Stored, sha256},
};

use super::PublishError;

/// How many damaged archive copies to look behind.
const TRIES: usize = 16;

/// What is on the shelf, in the archive and in the index's row about them.
pub(super) struct World<'a> {
    ca: &'a Ca,
    /// Of which CRLs.
    pub(super) scope: Scope,
    /// What a replace must find.
    pub(super) version: Version,
    /// The CRL to compare with: the shelf's, or the archive's newest where the shelf's is not ours or is older.
    pub(super) stored: Option<Stored>,
    /// The point of the journal that it was made from, if the journal has it.
    label: Option<Label>,
    /// Whether it was made from another journal than the index has: one that was lost or put back from a backup.
    pub(super) is_forked: bool,
    /// Whether it is what relying parties fetch.
    pub(super) on_shelf: bool,
    /// The index's row about it, and what a replace of that must find.
    pub(super) row: Option<ScopeRow>,
    pub(super) row_version: Version,
    /// What is damaged, for the operator.
    pub(super) healed: Vec<String>,
}

impl<'a> World<'a> {
    pub(super) async fn read(ca: &'a Ca, scope: Scope) -> Result<Self, PublishError> {
        let shelf = ca.shelf.current_of(scope).await.map_err(PublishError::Shelf)?;
        let row = ca.index.scope(&ca.name, &scope.key()).await.map_err(|error| PublishError::Index(error.into()))?;
        let (row, row_version) = row.map_or((None, Version::Absent), |(row, version)| (Some(row), version));
        let version = shelf.as_ref().map_or(Version::Absent, |stored| stored.version.clone());
        let mut world = Self {
            ca,
            scope,
            version,
            stored: shelf,
            label: None,
            is_forked: false,
            on_shelf: true,
            row,
            row_version,
            healed: vec![],
        };
        let mut number = world.believe_shelf();
        let known = world.row.as_ref().and_then(|row| row.published.as_ref());
        let is_known = match (&world.stored, known) {
            (Some(stored), Some(known)) => sha256(&stored.bytes) == known.sha256,
            (None, None) => true,
            _ => false,
        };
        if let (true, Some(number), Some(known)) = (is_known, number, known) {
            let (seq, hash, sha256) = (known.seq, known.hash.to_string(), known.sha256.clone());
            world.label = Some(Label { number: number.get(), seq, hash, sha256 });
        } else {
            if let Some(other) = world.other_scope(number).await? {
                let name = ca.shelf.name(&scope.file());
                let what =
                    format!("the shelf's {name} is the {} CRL, in the wrong place, and is replaced", other.key());
                world.forget_shelf(what);
                number = None;
            }
            world.consult_archive(number).await?;
        }
        if let Some(label) = &world.label {
            let remembered = ca.remembers(label).await.map_err(|error| PublishError::Index(error.into()))?;
            world.is_forked = !remembered;
        }
        Ok(world)
    }

    /// The number of the shelf's CRL if it is ours; otherwise it is reported and forgotten.
    fn believe_shelf(&mut self) -> Option<CrlNumber> {
        let stored = self.stored.as_ref()?;
        match Previous::verified(&stored.bytes, &self.ca.issuer, None) {
            Ok(previous) => previous.crl().number(),
            Err(error) => {
                let name = self.ca.shelf.name(&self.scope.file());
                self.forget_shelf(format!("the shelf's {name} is not a CRL of ours and is replaced: {error}"));
                None
            }
        }
    }

    fn forget_shelf(&mut self, why: String) {
        self.healed.push(why);
        self.stored = None;
        self.on_shelf = false;
    }

    /// Whose the shelf's CRL is, if it is ours and somebody put it into another one's place: what it lists would be
    /// missed on every CRL of this scope. The archive has each CRL under its own scope, whatever was configured then.
    async fn other_scope(&self, number: Option<CrlNumber>) -> Result<Option<Scope>, PublishError> {
        let (Some(stored), Some(number)) = (&self.stored, number) else { return Ok(None) };
        let is_delta = self.previous().is_some_and(|previous| previous.crl().base_number().is_some());
        if is_delta && self.scope != Scope::Delta {
            return Ok(Some(Scope::Delta));
        }
        // Its own scope first: after a crash, or with an index that was put back, that is all there is to read.
        let others = self.ca.crl.scopes().filter(|&scope| scope != self.scope);
        for scope in std::iter::once(self.scope).chain(others) {
            let archived = self.ca.shelf.from_archive(scope, number).await.map_err(PublishError::Archive)?;
            if archived.is_some_and(|archived| archived.bytes == stored.bytes) {
                return Ok(Some(scope).filter(|&scope| scope != self.scope));
            }
        }
        Ok(None)
    }

    /// The archive's newest CRL stands in where the shelf's is not ours, is missing, or is older.
    async fn consult_archive(&mut self, on_shelf: Option<CrlNumber>) -> Result<(), PublishError> {
        if let Some((newest, stored)) = self.newest_archived().await? {
            if on_shelf.is_none_or(|number| number < newest) {
                if self.healed.is_empty() {
                    let found = on_shelf.map_or("no CRL".to_owned(), |number| format!("CRL number {number}"));
                    self.healed.push(format!("the shelf has {found}, but number {newest} was made after it"));
                }
                self.on_shelf = false;
                self.stored = Some(stored);
            } else if on_shelf == Some(newest) {
                // The same CRL; its label in the archive cannot have been lost in a crash.
                let same = self.stored.as_ref().is_some_and(|shelf| shelf.bytes == stored.bytes);
                if same && let Some(shelf) = &mut self.stored {
                    shelf.label = stored.label;
                }
            }
        }
        let stored = self.stored.as_ref();
        let label =
            stored.and_then(|stored| stored.label.as_ref().filter(|label| label.sha256 == sha256(&stored.bytes)));
        self.label = label.cloned();
        Ok(())
    }

    /// The CRL to compare with; believed only under the issuer's own key.
    pub(super) fn previous(&self) -> Option<Previous<'_>> {
        let stored = self.stored.as_ref()?;
        // A fork explains nothing: what differs then has to be explained by the entries alone.
        let seq = self.label.as_ref().map(|label| label.seq).filter(|_| !self.is_forked);
        Previous::verified(&stored.bytes, &self.ca.issuer, seq).ok()
    }

    /// Its number. What is kept here was verified when it was read, so the header is enough.
    pub(super) fn number(&self) -> Option<CrlNumber> {
        SignedCrl::read(&self.stored.as_ref()?.bytes).ok()?.crl.number()
    }

    /// The full CRL that this delta CRL continues, and the change set it was made from, as long as it is worth to be
    /// continued: in the archive, made from this journal, kept by the same rule, and not older than half of its life,
    /// since a delta CRL grows with the age of its base.
    pub(super) async fn archived_base(
        &self,
        now: Timestamp,
        full: &Crl,
    ) -> Result<Option<(Stored, u64)>, PublishError> {
        let Some(number) = self.previous().and_then(|previous| previous.crl().base_number()) else { return Ok(None) };
        let found = self.ca.shelf.from_archive(Scope::Full, number).await.map_err(PublishError::Archive)?;
        let Some(stored) = found.filter(|stored| self.is_ours(stored, number)) else { return Ok(None) };
        let Some(label) = stored.label.clone().filter(|label| label.sha256 == sha256(&stored.bytes)) else {
            return Ok(None);
        };
        let remembered = self.ca.remembers(&label).await.map_err(|error| PublishError::Index(error.into()))?;
        let is_young = Previous::verified(&stored.bytes, &self.ca.issuer, None).is_ok_and(|base| {
            is_kept_alike(base.crl(), full) && base.crl().this_update.after(self.ca.crl.validity / 2) > now
        });
        Ok((remembered && is_young).then_some((stored, label.seq)))
    }

    /// The last CRL, if a delta CRL beside `full` may continue it.
    pub(super) fn latest_base(&self, full: &Crl) -> Option<Previous<'_>> {
        self.previous().filter(|previous| previous.seq().is_some() && is_kept_alike(previous.crl(), full))
    }

    /// Whether it is a CRL of ours, and under its own number.
    fn is_ours(&self, stored: &Stored, number: CrlNumber) -> bool {
        let previous = Previous::verified(&stored.bytes, &self.ca.issuer, None);
        previous.is_ok_and(|previous| previous.crl().number() == Some(number))
    }

    /// The newest CRL in the archive that is ours; newer ones that are not are reported.
    async fn newest_archived(&mut self) -> Result<Option<(CrlNumber, Stored)>, PublishError> {
        let mut numbers = self.ca.shelf.archived_numbers(self.scope).await.map_err(PublishError::Archive)?;
        numbers.sort_unstable();
        for number in numbers.into_iter().rev().take(TRIES) {
            let stored = self.ca.shelf.from_archive(self.scope, number).await.map_err(PublishError::Archive)?;
            match stored {
                Some(stored) if self.is_ours(&stored, number) => return Ok(Some((number, stored))),
                _ => self.healed.push(format!("the archive's CRL number {number} is not ours; it was altered")),
            }
        }
        Ok(None)
    }
}

/// Whether both keep what has expired, or neither does: where the rule was another one, what expired comes back, or is
/// gone, without a change set that a delta CRL could tell.
fn is_kept_alike(old: &CrlRef<'_>, new: &Crl) -> bool {
    old.extension(EXPIRED_CERTS_ON_CRL).is_some() == new.expired_since.is_some()
}
