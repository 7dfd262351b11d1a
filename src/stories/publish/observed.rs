//! What the publisher finds of one scope: shelf, archive, and the index's row about them.

use super::PublishError;
use crate::{
    ca::Ca,
    core::{
        crl::{
            CrlPlan, CrlRef, EXPIRED_CERTS_ON_CRL,
            gate::{self, Previous, PreviousError, Verified},
            scope::Scope,
        },
        digest::Digest,
        journal::{change_set::ChainHash, replica::ReplicaError},
        seal::Findings,
        serial::CrlNumber,
        time::Timestamp,
    },
    store::{
        Version, Versioned,
        content::{Label, Stored},
        index::{Published, ScopeRow},
    },
    stories::replicate::{self, LevelError},
};

/// What is there of one scope.
pub(super) struct Observed<'a> {
    ca: &'a Ca,
    /// Of which CRLs.
    pub(super) scope: Scope,
    /// The CRL to compare with, and where it was found.
    pub(super) last: Last,
    /// The index's row about it, which witnesses as the shelf does.
    pub(super) row: Option<Versioned<ScopeRow>>,
    /// What a replace of the shelf's CRL must find.
    pub(super) shelf_version: Version,
    /// What is damaged, for the operator.
    pub(super) damage: Vec<Damage>,
}

/// The last CRL of a scope.
pub(super) enum Last {
    /// What relying parties fetch.
    OnShelf(Found),
    /// The archive's newest: the shelf's is not ours, or missing, or older.
    FromArchive(Found),
    /// There never was one.
    Nothing,
}

/// A CRL of ours.
pub(super) struct Found {
    pub(super) crl: Verified,
    pub(super) sha256: Digest,
    pub(super) origin: Origin,
}

/// The point of a journal that a CRL was made from.
pub(super) enum Origin {
    /// Nobody says.
    Unknown,
    /// It is in the index's journal; as long as nobody has looked, its writer says so.
    Here(Label),
    /// It is in a journal that was lost, or replaced from a backup.
    Elsewhere(Label),
}

/// What is damaged, and healed by a pass.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Somebody put something else there, or altered it.
    #[error("the shelf's {name} is not a CRL of ours and is replaced")]
    NotOurs {
        /// The name on the shelf.
        name: String,
        /// What is wrong with it.
        #[source]
        error: PreviousError,
    },
    /// A CRL of ours in another one's place.
    #[error("the shelf's {name} is the {is} CRL, in the wrong place, and is replaced")]
    Misplaced {
        /// The name on the shelf.
        name: String,
        /// What it is.
        is: Scope,
    },
    /// The shelf went back, or lost its CRL.
    #[error("the shelf has {}, but number {newest} was made after it", found(.shelf))]
    Older {
        /// The number there; none without a CRL.
        shelf: Option<CrlNumber>,
        /// The archive's newest.
        newest: CrlNumber,
    },
    /// The archive's copy is not what was put there.
    #[error("the archive's CRL number {0} is not ours; it was altered")]
    Archived(CrlNumber),
}

fn found(number: &Option<CrlNumber>) -> String {
    number.map_or("no CRL".to_owned(), |number| format!("CRL number {number}"))
}

impl<'a> Observed<'a> {
    /// Looks at the shelf and at the index's row; further only where these two do not agree.
    pub(super) async fn read(ca: &'a Ca, scope: Scope) -> Result<Self, PublishError> {
        let shelf = ca.shelf.current_of(scope).await;
        let shelf = shelf.map_err(PublishError::Shelf)?;
        let row = ca.index.row(&ca.name, scope).await;
        let row = row.map_err(LevelError::from)?;
        let published = row.as_ref().and_then(|row| row.value.published.as_ref());
        is_of_this_key(ca, published)?;
        let mut look = Look {
            ca,
            scope,
            damage: vec![],
        };
        let shelf_version = shelf
            .as_ref()
            .map_or(Version::Absent, |stored| stored.version.clone());
        let on_shelf = shelf.and_then(|stored| look.believe(stored));
        let mut last = match (on_shelf, published) {
            (Some(found), Some(published)) if found.sha256 == published.sha256 => {
                Last::OnShelf(found.made_from(published))
            }
            (on_shelf, _) => look.look_into_archive(on_shelf).await?,
        };
        if let Last::OnShelf(found) | Last::FromArchive(found) = &mut last {
            found.locate(ca).await?;
        }
        Ok(Self {
            ca,
            scope,
            last,
            row,
            shelf_version,
            damage: look.damage,
        })
    }

    /// Its name on the shelf.
    pub(super) fn name(&self) -> String {
        self.ca.shelf.name(&self.scope.file())
    }

    /// The CRL to compare with, wherever it was found.
    pub(super) fn found(&self) -> Option<&Found> {
        match &self.last {
            Last::OnShelf(found) | Last::FromArchive(found) => Some(found),
            Last::Nothing => None,
        }
    }

    /// Likewise, to be compared.
    pub(super) fn previous(&self) -> Option<Previous<'_>> {
        self.found()?.previous()
    }

    /// Its number.
    pub(super) fn number(&self) -> Option<CrlNumber> {
        self.found()?.crl.number()
    }

    /// Whether it is what relying parties fetch.
    pub(super) fn is_on_shelf(&self) -> bool {
        matches!(self.last, Last::OnShelf(_))
    }

    /// Whether it was made from another journal than the index has.
    pub(super) fn is_forked(&self) -> bool {
        matches!(
            self.found().map(|found| &found.origin),
            Some(Origin::Elsewhere(_))
        )
    }

    /// What it means that a new CRL differs from it.
    pub(super) fn refused(&self, found: Findings) -> PublishError {
        match self.is_forked() {
            true => PublishError::Forked(found),
            false => PublishError::Compare {
                what: self.name(),
                found,
            },
        }
    }

    /// The full CRL that this delta CRL continues, as long as it is worth to be continued: in the
    /// archive, made from this journal, of the same scope, and not older than half of its life,
    /// since a delta CRL grows with the age of its base.
    pub(super) async fn archived_base(
        &self,
        now: Timestamp,
        full: &CrlPlan,
    ) -> Result<Option<Found>, PublishError> {
        let number = self
            .previous()
            .and_then(|previous| previous.crl().base_number());
        let Some(number) = number else {
            return Ok(None);
        };
        let Some(mut base) = archived(self.ca, Scope::Full, number).await? else {
            return Ok(None);
        };
        base.locate(self.ca).await?;
        let is_worth_it = base.previous().is_some_and(|base| {
            let oldest = base.crl().this_update.after(self.ca.crl.validity / 2);
            base.seq().is_some() && continues(base.crl(), full) && oldest > now
        });
        Ok(is_worth_it.then_some(base))
    }
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
            // As its writer said; whether the journal knows it is looked up later.
            origin: label.map_or(Origin::Unknown, Origin::Here),
        })
    }

    /// The index's row says from what it was made.
    fn made_from(self, published: &Published) -> Self {
        let label = self.crl.number().map(|number| Label {
            number,
            seq: published.seq,
            hash: published.hash,
            sha256: published.sha256,
        });
        Self {
            origin: label.map_or(Origin::Unknown, Origin::Here),
            ..self
        }
    }

    /// Finds out whether the index's journal has the change set that it was made from.
    async fn locate(&mut self, ca: &Ca) -> Result<(), PublishError> {
        if let Origin::Here(label) = &self.origin {
            let remembered = replicate::remembers(ca, label).await;
            if !remembered.map_err(LevelError::from)? {
                self.origin = Origin::Elsewhere(*label);
            }
        }
        Ok(())
    }

    /// To compare with. A fork explains nothing: what differs then has to be explained by the
    /// entries alone.
    pub(super) fn previous(&self) -> Option<Previous<'_>> {
        match &self.origin {
            Origin::Here(label) => self.crl.previous(Some(label.seq)),
            Origin::Unknown | Origin::Elsewhere(_) => self.crl.previous(None),
        }
    }

    /// What its writer said of it.
    pub(super) fn label(&self) -> Option<&Label> {
        match &self.origin {
            Origin::Here(label) | Origin::Elsewhere(label) => Some(label),
            Origin::Unknown => None,
        }
    }
}

/// A journal tells by its first change set whose it is; before there is one, the last CRL's
/// beginning tells. A new key must not take the place of the old one, whose certificates need their
/// CRL.
fn is_of_this_key(ca: &Ca, published: Option<&Published>) -> Result<(), PublishError> {
    match published.filter(|published| published.seq == 0) {
        Some(last) if last.hash != ChainHash::genesis(&ca.issuer.spki_hash()) => {
            Err(PublishError::Index(LevelError::Replica {
                name: ca.name.clone(),
                error: ReplicaError::OtherKey,
            }))
        }
        _ => Ok(()),
    }
}

/// How many damaged archive copies to look behind.
const TRIES: usize = 16;

/// A look at the stores, and what damage it saw.
struct Look<'a> {
    ca: &'a Ca,
    scope: Scope,
    damage: Vec<Damage>,
}

impl Look<'_> {
    /// What is on the shelf, if it is ours; otherwise it is reported and forgotten.
    fn believe(&mut self, stored: Stored) -> Option<Found> {
        let name = self.ca.shelf.name(&self.scope.file());
        Found::of(self.ca, stored)
            .map_err(|error| self.damage.push(Damage::NotOurs { name, error }))
            .ok()
    }

    /// The archive's newest CRL stands in where the shelf's is not ours, is missing, or is older.
    async fn look_into_archive(&mut self, shelf: Option<Found>) -> Result<Last, PublishError> {
        let shelf = match shelf {
            Some(found) => self.in_its_place(found).await?,
            None => None,
        };
        let number = shelf.as_ref().and_then(|found| found.crl.number());
        let archived = self.newest_archived().await?;
        Ok(match (shelf, archived) {
            (shelf, Some((newest, archived))) if number.is_none_or(|number| number < newest) => {
                if self.damage.is_empty() {
                    let shelf = shelf.and(number);
                    self.damage.push(Damage::Older { shelf, newest });
                }
                Last::FromArchive(archived)
            }
            // The same CRL; its label in the archive cannot have been lost in a crash.
            (Some(shelf), Some((_, archived))) if shelf.sha256 == archived.sha256 => {
                Last::OnShelf(archived)
            }
            (Some(shelf), _) => Last::OnShelf(shelf),
            (None, _) => Last::Nothing,
        })
    }

    /// The shelf's CRL, unless it is ours and somebody put it into another one's place: what it
    /// lists would be missed on every CRL of this scope. The archive has each CRL under its own
    /// scope, whatever was configured then.
    async fn in_its_place(&mut self, found: Found) -> Result<Option<Found>, PublishError> {
        let Some(is) = self.other_scope(&found).await? else {
            return Ok(Some(found));
        };
        let name = self.ca.shelf.name(&self.scope.file());
        self.damage.push(Damage::Misplaced { name, is });
        Ok(None)
    }

    async fn other_scope(&self, found: &Found) -> Result<Option<Scope>, PublishError> {
        let Some(number) = found.crl.number() else {
            return Ok(None);
        };
        let base = found
            .previous()
            .and_then(|previous| previous.crl().base_number());
        if base.is_some() && self.scope != Scope::Delta {
            return Ok(Some(Scope::Delta));
        }
        // Its own scope first: after a crash, or with an index that was put back, that is all there
        // is to read.
        let others = self.ca.crl.scopes().filter(|&scope| scope != self.scope);
        for scope in std::iter::once(self.scope).chain(others) {
            let archived = self.ca.shelf.from_archive(scope, number).await;
            let archived = archived.map_err(PublishError::Archive)?;
            if archived.is_some_and(|archived| archived.sha256 == found.sha256) {
                return Ok(Some(scope).filter(|&scope| scope != self.scope));
            }
        }
        Ok(None)
    }

    /// The newest CRL in the archive that is ours; newer ones that are not are reported.
    async fn newest_archived(&mut self) -> Result<Option<(CrlNumber, Found)>, PublishError> {
        let numbers = self.ca.shelf.archived_numbers(self.scope).await;
        let mut numbers = numbers.map_err(PublishError::Archive)?;
        numbers.sort_unstable();
        for number in numbers.into_iter().rev().take(TRIES) {
            match archived(self.ca, self.scope, number).await? {
                Some(found) => return Ok(Some((number, found))),
                None => self.damage.push(Damage::Archived(number)),
            }
        }
        Ok(None)
    }
}

/// A CRL of ours from the archive, if that has it under its own number.
async fn archived(ca: &Ca, scope: Scope, number: CrlNumber) -> Result<Option<Found>, PublishError> {
    let stored = ca.shelf.from_archive(scope, number).await;
    let stored = stored.map_err(PublishError::Archive)?;
    let found = stored.and_then(|stored| Found::of(ca, stored).ok());
    Ok(found.filter(|found| found.crl.number() == Some(number)))
}

/// Whether a delta CRL beside `full` may continue `base`: expired certificates are kept by the same
/// rule, and both are about the same certificates (RFC 5280 §5.2.4).
pub(super) fn continues(base: &CrlRef<'_>, full: &CrlPlan) -> bool {
    base.extension(EXPIRED_CERTS_ON_CRL).is_some() == full.expired_since.is_some()
        && gate::point(base) == full.distribution_point().as_deref()
}
