//! What the publisher finds: shelf, archive, and the index's row about them.

use crate::stories::replicate;
use crate::{
    ca::Ca,
    core::{
        crl::{
            Crl, CrlRef, EXPIRED_CERTS_ON_CRL,
            gate::{self, Previous, PreviousError, Verified},
            scope::Scope,
        },
        digest::Digest,
        journal::{change_set::ChainHash, replica::ReplicaError},
        serial::CrlNumber,
        time::Timestamp,
    },
    store::{
        Version,
        content::{Label, Stored},
        index::ScopeRow,
    },
    stories::replicate::LevelError,
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
    /// The CRL to compare with: the shelf's, or the archive's newest where the shelf's is not ours
    /// or is older.
    pub(super) found: Option<Found>,
    /// The point of the journal that it was made from, if the journal has it.
    label: Option<Label>,
    /// Whether it was made from another journal than the index has: one that was lost or put back
    /// from a backup.
    pub(super) is_forked: bool,
    /// Whether it is what relying parties fetch.
    pub(super) on_shelf: bool,
    /// The index's row about it, and what a replace of that must find.
    pub(super) row: Option<ScopeRow>,
    pub(super) row_version: Version,
    /// What is damaged, for the operator.
    pub(super) healed: Vec<String>,
}

/// A CRL of ours, where it was found.
pub(super) struct Found {
    pub(super) crl: Verified,
    pub(super) sha256: Digest,
    /// What its writer said of it.
    pub(super) label: Option<Label>,
}

impl Found {
    fn of(ca: &Ca, stored: Stored) -> Result<Self, PreviousError> {
        let Stored {
            bytes,
            sha256,
            label,
            ..
        } = stored;
        Ok(Self {
            crl: Verified::new(bytes, &ca.issuer)?,
            sha256,
            label,
        })
    }
}

/// A journal tells by its first change set whose it is; before there is one, the last CRL's
/// beginning tells. A new key must not take the place of the old one, whose certificates need their
/// CRL.
fn is_of_this_key(ca: &Ca, row: Option<&ScopeRow>) -> Result<(), PublishError> {
    let last = row
        .and_then(|row| row.published.as_ref())
        .filter(|last| last.seq == 0);
    match last {
        Some(last) if last.hash != ChainHash::genesis(&ca.issuer.spki_hash()) => {
            let error = ReplicaError::OtherKey;
            Err(PublishError::Index(LevelError::Replica {
                name: ca.name.clone(),
                error,
            }))
        }
        _ => Ok(()),
    }
}

impl<'a> World<'a> {
    pub(super) async fn read(ca: &'a Ca, scope: Scope) -> Result<Self, PublishError> {
        let shelf = ca
            .shelf
            .current_of(scope)
            .await
            .map_err(PublishError::Shelf)?;
        let row = ca
            .index
            .row(&ca.name, scope)
            .await
            .map_err(|error| PublishError::Index(error.into()))?;
        let (row, row_version) = row.map_or((None, Version::Absent), |found| {
            (Some(found.value), found.version)
        });
        is_of_this_key(ca, row.as_ref())?;
        let version = shelf
            .as_ref()
            .map_or(Version::Absent, |stored| stored.version.clone());
        let mut world = Self {
            ca,
            scope,
            version,
            found: None,
            label: None,
            is_forked: false,
            on_shelf: true,
            row,
            row_version,
            healed: vec![],
        };
        world.believe(shelf);
        let mut number = world.number();
        let known = world.row.as_ref().and_then(|row| row.published.as_ref());
        let is_known = match (&world.found, known) {
            (Some(found), Some(known)) => found.sha256 == known.sha256,
            (None, None) => true,
            _ => false,
        };
        if let (true, Some(number), Some(known)) = (is_known, number, known) {
            let (seq, hash, sha256) = (known.seq, known.hash, known.sha256);
            world.label = Some(Label {
                number,
                seq,
                hash,
                sha256,
            });
        } else {
            if let Some(other) = world.other_scope(number).await? {
                let name = ca.shelf.name(&scope.file());
                let what = format!(
                    "the shelf's {name} is the {other} CRL, in the wrong place, and is replaced"
                );
                world.forget_shelf(what);
                number = None;
            }
            world.consult_archive(number).await?;
        }
        if let Some(label) = &world.label {
            let remembered = replicate::remembers(ca, label)
                .await
                .map_err(|error| PublishError::Index(error.into()))?;
            world.is_forked = !remembered;
        }
        Ok(world)
    }

    /// What is on the shelf, if it is ours; otherwise it is reported and forgotten.
    fn believe(&mut self, shelf: Option<Stored>) {
        match shelf.map(|stored| Found::of(self.ca, stored)).transpose() {
            Ok(found) => self.found = found,
            Err(error) => {
                let name = self.ca.shelf.name(&self.scope.file());
                self.forget_shelf(format!(
                    "the shelf's {name} is not a CRL of ours and is replaced: {error}"
                ));
            }
        }
    }

    fn forget_shelf(&mut self, why: String) {
        self.healed.push(why);
        self.found = None;
        self.on_shelf = false;
    }

    /// Whose the shelf's CRL is, if it is ours and somebody put it into another one's place: what
    /// it lists would be missed on every CRL of this scope. The archive has each CRL under its own
    /// scope, whatever was configured then.
    async fn other_scope(&self, number: Option<CrlNumber>) -> Result<Option<Scope>, PublishError> {
        let (Some(found), Some(number)) = (&self.found, number) else {
            return Ok(None);
        };
        let is_delta = found
            .crl
            .previous(None)
            .is_some_and(|previous| previous.crl().base_number().is_some());
        if is_delta && self.scope != Scope::Delta {
            return Ok(Some(Scope::Delta));
        }
        // Its own scope first: after a crash, or with an index that was put back, that is all there
        // is to read.
        let others = self.ca.crl.scopes().filter(|&scope| scope != self.scope);
        for scope in std::iter::once(self.scope).chain(others) {
            let archived = self
                .ca
                .shelf
                .from_archive(scope, number)
                .await
                .map_err(PublishError::Archive)?;
            if archived.is_some_and(|archived| archived.sha256 == found.sha256) {
                return Ok(Some(scope).filter(|&scope| scope != self.scope));
            }
        }
        Ok(None)
    }

    /// The archive's newest CRL stands in where the shelf's is not ours, is missing, or is older.
    async fn consult_archive(&mut self, on_shelf: Option<CrlNumber>) -> Result<(), PublishError> {
        if let Some((newest, archived)) = self.newest_archived().await? {
            if on_shelf.is_none_or(|number| number < newest) {
                if self.healed.is_empty() {
                    let found = on_shelf
                        .map_or("no CRL".to_owned(), |number| format!("CRL number {number}"));
                    self.healed.push(format!(
                        "the shelf has {found}, but number {newest} was made after it"
                    ));
                }
                self.on_shelf = false;
                self.found = Some(archived);
            } else if self
                .found
                .as_ref()
                .is_some_and(|found| found.sha256 == archived.sha256)
            {
                // The same CRL; its label in the archive cannot have been lost in a crash.
                self.found = Some(archived);
            }
        }
        self.label = self.found.as_ref().and_then(|found| found.label.clone());
        Ok(())
    }

    /// The CRL to compare with.
    pub(super) fn previous(&self) -> Option<Previous<'_>> {
        // A fork explains nothing: what differs then has to be explained by the entries alone.
        let seq = self
            .label
            .as_ref()
            .map(|label| label.seq)
            .filter(|_| !self.is_forked);
        self.found.as_ref()?.crl.previous(seq)
    }

    /// Its number.
    pub(super) fn number(&self) -> Option<CrlNumber> {
        self.found.as_ref()?.crl.number()
    }

    /// The full CRL that this delta CRL continues, and the change set it was made from, as long as
    /// it is worth to be continued: in the archive, made from this journal, of the same scope, and
    /// not older than half of its life, since a delta CRL grows with the age of its base.
    pub(super) async fn archived_base(
        &self,
        now: Timestamp,
        full: &Crl,
    ) -> Result<Option<(Verified, u64)>, PublishError> {
        let Some(number) = self
            .previous()
            .and_then(|previous| previous.crl().base_number())
        else {
            return Ok(None);
        };
        let Some(base) = self.archived(Scope::Full, number).await? else {
            return Ok(None);
        };
        let Some(label) = base.label else {
            return Ok(None);
        };
        let remembered = replicate::remembers(self.ca, &label)
            .await
            .map_err(|error| PublishError::Index(error.into()))?;
        let is_young = base.crl.previous(None).is_some_and(|base| {
            continues(base.crl(), full)
                && base.crl().this_update.after(self.ca.crl.validity / 2) > now
        });
        Ok((remembered && is_young).then_some((base.crl, label.seq)))
    }

    /// A CRL of ours from the archive, if that has it under its own number.
    async fn archived(
        &self,
        scope: Scope,
        number: CrlNumber,
    ) -> Result<Option<Found>, PublishError> {
        let stored = self
            .ca
            .shelf
            .from_archive(scope, number)
            .await
            .map_err(PublishError::Archive)?;
        let found = stored.and_then(|stored| Found::of(self.ca, stored).ok());
        Ok(found.filter(|found| found.crl.number() == Some(number)))
    }

    /// The newest CRL in the archive that is ours; newer ones that are not are reported.
    async fn newest_archived(&mut self) -> Result<Option<(CrlNumber, Found)>, PublishError> {
        let mut numbers = self
            .ca
            .shelf
            .archived_numbers(self.scope)
            .await
            .map_err(PublishError::Archive)?;
        numbers.sort_unstable();
        for number in numbers.into_iter().rev().take(TRIES) {
            match self.archived(self.scope, number).await? {
                Some(found) => return Ok(Some((number, found))),
                None => self.healed.push(format!(
                    "the archive's CRL number {number} is not ours; it was altered"
                )),
            }
        }
        Ok(None)
    }
}

/// Whether a delta CRL beside `full` may continue `base`: expired certificates are kept by the same
/// rule, and both are about the same certificates (RFC 5280 §5.2.4).
pub(super) fn continues(base: &CrlRef<'_>, full: &Crl) -> bool {
    base.extension(EXPIRED_CERTS_ON_CRL).is_some() == full.expired_since.is_some()
        && gate::point(base) == full.distribution_point().as_deref()
}
