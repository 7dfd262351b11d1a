//! The publisher's story: read, decide, draft, lint, sign, check, archive, replace.
//!
//! A pass may be killed at any point, and any call may fail before or after it took effect; the
//! next pass repairs:
//! - before the number is reserved: nothing happened;
//! - after it: a number is skipped, which is allowed;
//! - after the archive's copy: the archive has a CRL that nobody saw; the next pass publishes
//!   again;
//! - after the shelf's copy: the index does not know yet; the next pass writes it down.

mod bookkeeping;
mod ended;
mod observed;
pub(crate) mod plan;
mod renew;
mod shards;

use observed::World;
use renew::renew;

use bytes::Bytes;

use super::{
    replicate::{self, LevelError},
    revoke::{self, Author, RevokeError},
};
use crate::{
    ca::Ca,
    core::{
        crl::{
            Crl, CrlError, CrlRef, SignedCrl,
            delta::Neighbours,
            gate::Previous,
            lint::{CrlBefore, CrlSource},
            scope::Scope,
        },
        journal::replica::Replica,
        seal::{CheckError, Checked, Findings, Linted},
        serial::CrlNumber,
        time::Timestamp,
    },
    store::{
        Version,
        content::MOST_OCTETS,
        error::{DriverError, ErrorKind},
        index::ScopeRow,
    },
};

/// How a pass is to go.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Publish even if nothing is due.
    pub force: bool,
    /// Go through everything up to signing, and write nothing.
    pub dry_run: bool,
    /// A gate to pass once: its name, and who passes it and why, for the journal.
    pub accept: Option<(String, Author)>,
}

/// What a pass came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Whether the world sees a new CRL.
    pub published: bool,
    /// The number of the CRL on the shelf, or of the one that would be there.
    pub number: Option<CrlNumber>,
    /// Why.
    pub reason: Reason,
    /// What was found damaged and is healed, for the operator.
    pub healed: Vec<String>,
    /// What failed after the CRL was out, or beside it.
    pub trouble: Option<String>,
}

/// Why a CRL was published, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There was none.
    First,
    /// What is on the shelf is not ours, or damaged, or older than what was there.
    Healed,
    /// Somebody was revoked, held or released.
    Changed,
    /// The index was put back from a backup, and nothing is lost by it.
    Readopted,
    /// The configuration is another one.
    Configuration,
    /// It is older than `refresh`.
    Refresh,
    /// Somebody asked for it.
    Forced,
    /// Nothing to do.
    NotDue,
    /// The CA certificate ended, and its last CRL is still good.
    Ended,
    /// Another publisher was first.
    LostRace,
}

impl Reason {
    /// For people and machines.
    pub fn text(self) -> &'static str {
        match self {
            Self::First => "first CRL",
            Self::Healed => "shelf was damaged",
            Self::Changed => "index changed",
            Self::Readopted => "index was put back",
            Self::Configuration => "configuration changed",
            Self::Refresh => "refresh due",
            Self::Forced => "forced",
            Self::NotDue => "not due",
            Self::Ended => "the CA certificate ended, and its last CRL stays",
            Self::LostRace => "another publisher was first",
        }
    }
}

/// Which step of a pass failed. The previous CRL stays.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum PublishError {
    #[error(
        "the CA certificate ended on {on}, so no CRL can be signed under it, and {what}. Configure \
         its successor, and take this issuer out when its last CRLs are of no use any more"
    )]
    Expired { on: Timestamp, what: String },
    #[error("read the shelf: {0}")]
    Shelf(#[source] DriverError),
    #[error("read the archive: {0}")]
    Archive(#[source] DriverError),
    #[error("read the index: {0}")]
    Index(#[from] LevelError),
    #[error("plan the CRL: {0}")]
    Plan(String),
    #[error(
        "plan the shards: certificates name their shard for life, and were told of {was} shards; \
         put `shards = {was}` back"
    )]
    Shards { was: u16 },
    #[error("reserve a CRL number: {0}")]
    Number(#[source] DriverError),
    #[error("lint the draft: {0}")]
    Lint(#[source] Findings),
    #[error("compare {what} with the previous one: {found}")]
    Compare { what: String, found: Findings },
    #[error(
        "{what} would have {octets} octets, which is more than is read back; add shards, or begin \
         a new CA"
    )]
    TooLarge { what: String, octets: u64 },
    #[error(
        "compare with the previous CRL, which was made from another journal (an older index took \
         its place): {0}; put the newest index back, or import the archive's newest CRL"
    )]
    Forked(#[source] Findings),
    #[error("sign: {0}")]
    Sign(#[source] DriverError),
    #[error("check the signed CRL: {0}")]
    Check(#[source] CheckError),
    #[error("store the archive copy: {0}")]
    Store(#[source] DriverError),
    #[error("replace the CRL on the shelf: {0}")]
    Replace(#[source] DriverError),
    #[error("write down what was published: {0}")]
    Confirm(#[source] DriverError),
    #[error("write down what was accepted: {0}")]
    Accept(#[from] RevokeError),
    #[error("renew the OCSP credential: {0}")]
    Credential(String),
}

/// One pass over one issuer: its CRL, then its OCSP credential. `known` is what is in memory of the
/// index already.
pub async fn publish(
    ca: &Ca,
    known: Option<&Replica>,
    options: Options,
    now: Timestamp,
) -> Result<Outcome, PublishError> {
    if ca.issuer.has_expired(now) {
        return ended::ended(ca, known, options, now).await;
    }
    let outcome = publish_crl(ca, known, options.clone(), now).await;
    // A CRL that is refused must not take OCSP down too, so the credential is renewed all the same;
    // but not into an index that lost its end, where it would only fork the journal further.
    let is_forked = matches!(outcome, Err(PublishError::Forked(_)));
    let renewed = if options.dry_run || is_forked {
        Ok(())
    } else {
        renew(ca, now).await
    };
    match (outcome, renewed) {
        (Ok(outcome), Err(error)) if outcome.published => {
            let trouble = outcome
                .trouble
                .into_iter()
                .chain([error.to_string()])
                .collect::<Vec<_>>()
                .join("; ");
            Ok(Outcome {
                trouble: Some(trouble),
                ..outcome
            })
        }
        (outcome, renewed) => outcome.and_then(|outcome| renewed.map(|()| outcome)),
    }
}

async fn publish_crl(
    ca: &Ca,
    known: Option<&Replica>,
    options: Options,
    now: Timestamp,
) -> Result<Outcome, PublishError> {
    // The worlds are read before the index: whoever reads more of it later has another version to
    // find.
    let world = World::read(ca, Scope::Full).await?;
    let beside = match &ca.crl.delta {
        Some(_) => Some(World::read(ca, Scope::Delta).await?),
        None => None,
    };
    let replica = replicate::level(ca, known).await?;
    let mut pass = Pass {
        ca,
        replica: &replica,
        options: options.clone(),
        now,
        line: Line::of(&world),
        is_remarked: false,
    };
    let (mut outcome, full) = full_and_delta(&mut pass, &world, beside.as_ref()).await?;
    // What was there before, and the twin of a large CRL, need not be in memory together.
    drop((world, beside));
    if let Some(full) = full
        && let Err(error) = bookkeeping::derive(ca, &full, true).await
    {
        outcome.trouble(PublishError::Replace(error).to_string());
    }
    if outcome.reason != Reason::LostRace {
        shards::publish(&mut pass, &mut outcome).await?;
    }
    if !options.dry_run
        && let Err(error) = replicate::write_checkpoint(ca, &replica, now).await
    {
        // It costs the next process time, and nothing else.
        tracing::warn!(issuer = ca.name, %error, "no checkpoint could be written");
    }
    Ok(outcome)
}

/// The full CRL, and the delta CRL that goes with it: RFC 5280 §5.2.4 asks for a complete CRL with
/// each delta. Also gives the full CRL's bytes, if it is a new one.
async fn full_and_delta(
    pass: &mut Pass<'_>,
    world: &World<'_>,
    beside: Option<&World<'_>>,
) -> Result<(Outcome, Option<Bytes>), PublishError> {
    let healed = world
        .healed
        .iter()
        .chain(beside.into_iter().flat_map(|world| &world.healed))
        .cloned()
        .collect();
    let previous = world.previous();
    let crl = plan::plan(pass, Scope::Full, previous.as_ref())?;
    let mut reason = plan::due(pass, &crl, previous.as_ref(), world);
    let number = previous
        .as_ref()
        .and_then(|previous| previous.crl().number());
    let outcome = |published, number, reason| Outcome {
        published,
        number,
        reason,
        healed,
        trouble: None,
    };
    if let Some(beside) = beside {
        let delta = plan::beside(pass, &crl);
        let due = plan::due(pass, &delta, beside.previous().as_ref(), beside);
        // RFC 5280 §5.2.3: a pair shares its number. Two publishers at once may have left one half
        // each.
        let is_pair = beside.number() == number;
        reason = match (reason, due) {
            (Reason::NotDue, Reason::NotDue) if !is_pair => Reason::Healed,
            (Reason::NotDue, due) => due,
            (reason, _) => reason,
        };
    }
    if reason == Reason::NotDue {
        if !pass.options.dry_run {
            bookkeeping::finish(pass, world).await?;
            if let Some(beside) = beside {
                bookkeeping::finish(pass, beside).await?;
            }
        }
        return Ok((outcome(false, number, reason), None));
    }
    let floor = beside.and_then(World::number).max(number);
    let Some(reserved) = pass.reserve(floor).await? else {
        return Ok((outcome(false, number, Reason::LostRace), None));
    };
    let planned = Crl {
        number: reserved,
        ..crl
    };
    let full = match issue(pass, planned.clone(), world, None).await? {
        Issued::Lost => return Ok((outcome(false, Some(reserved), Reason::LostRace), None)),
        issued => issued,
    };
    let mut outcome = outcome(matches!(full, Issued::Out(..)), Some(reserved), reason);
    outcome.add(&full);
    if let Some(beside) = beside {
        let issued = delta(pass, &planned, &full, world, beside).await;
        // Where the full CRL is out, a delta CRL that is not is a trouble, and the next pass's
        // work.
        match issued {
            Ok(issued) => outcome.add(&issued),
            Err(error) if outcome.published => outcome.trouble(format!("delta CRL: {error}")),
            Err(error) => return Err(error),
        }
    }
    Ok((outcome, full.shared()))
}

/// The delta CRL that goes with the full CRL `planned`, which was just issued.
async fn delta(
    pass: &mut Pass<'_>,
    planned: &Crl,
    full: &Issued,
    world: &World<'_>,
    beside: &World<'_>,
) -> Result<Issued, PublishError> {
    let read = full
        .read()
        .map_err(|error| PublishError::Plan(error.to_string()))?;
    let archived = beside.archived_base(pass.now, planned).await?;
    // Without a base that the index remembers, the full CRL continues itself: nothing can have
    // changed since.
    let replica = pass.replica;
    let itself = || Previous::of_this_pass(read.clone(), replica);
    let archived = archived
        .as_ref()
        .and_then(|(base, seq)| base.previous(Some(*seq)));
    let previous = || {
        world
            .previous()
            .filter(|base| base.seq().is_some() && observed::continues(base.crl(), planned))
    };
    let base = archived.or_else(previous).unwrap_or_else(itself);
    let crl = plan::delta(pass, planned, &base)?;
    issue(pass, crl, beside, Some(Neighbours { base, full: read })).await
}

/// What became of one CRL.
enum Issued {
    /// It is on the shelf; and what failed behind that point.
    Out(Checked<Crl>, Option<String>),
    /// A dry run ended before the key was used.
    Dry(Linted<Crl>),
    /// Another publisher was first.
    Lost,
}

impl Issued {
    /// The bytes of what is out.
    fn shared(&self) -> Option<Bytes> {
        match self {
            Self::Out(checked, _) => Some(checked.shared()),
            Self::Dry(_) | Self::Lost => None,
        }
    }

    fn read(&self) -> Result<CrlRef<'_>, CrlError> {
        match self {
            Self::Out(checked, _) => Ok(SignedCrl::read(checked.bytes())?.crl),
            Self::Dry(linted) => CrlRef::read(linted.to_be_signed()),
            Self::Lost => CrlRef::read(&[]),
        }
    }
}

impl Outcome {
    fn add(&mut self, issued: &Issued) {
        if let Issued::Out(_, Some(trouble)) = issued {
            self.trouble(trouble.clone());
        }
    }

    fn trouble(&mut self, trouble: String) {
        self.trouble = Some(
            self.trouble
                .take()
                .into_iter()
                .chain([trouble])
                .collect::<Vec<_>>()
                .join("; "),
        );
    }
}

/// Octets for a signature, at most.
const ROOM: u64 = 1024;

/// Draft, lint, sign, check, archive, replace.
async fn issue(
    pass: &mut Pass<'_>,
    crl: Crl,
    world: &World<'_>,
    neighbours: Option<Neighbours<'_>>,
) -> Result<Issued, PublishError> {
    let (ca, replica, now) = (pass.ca, pass.replica, pass.now);
    let source = CrlSource {
        issuer: &ca.issuer,
        replica,
        now,
    };
    let linted = crl
        .draft(&ca.issuer, replica)
        .lint(&source)
        .map_err(PublishError::Lint)?;
    let octets = linted.to_be_signed().len() as u64;
    if octets > MOST_OCTETS - ROOM {
        return Err(PublishError::TooLarge {
            what: ca.shelf.name(&world.scope.file()),
            octets,
        });
    }
    let mut before = CrlBefore {
        previous: world.previous(),
        replica,
        neighbours,
        accepted: None,
    };
    let accepted = pass.options.accept.clone();
    if let Some((gate, author)) = &accepted {
        // Where another gate refuses all the same, nothing is accepted.
        let found = linted.differences(&before).0;
        let is_in_the_way = !found.is_empty() && found.iter().all(|finding| finding.lint == gate);
        if is_in_the_way && !pass.is_remarked && !pass.options.dry_run {
            // Nothing is accepted that is not in the journal; there it stands once, for all CRLs of
            // the pass.
            revoke::remark(ca, author, now).await?;
            pass.is_remarked = true;
        }
        before.accepted = Some(gate);
    }
    let linted = linted
        .compare(&before)
        .map_err(|found| match world.is_forked {
            true => PublishError::Forked(found),
            false => PublishError::Compare {
                what: ca.shelf.name(&world.scope.file()),
                found,
            },
        })?;
    if pass.options.dry_run {
        return Ok(Issued::Dry(linted));
    }
    let signed = ca
        .signer()
        .map_err(PublishError::Sign)?
        .sign(linted)
        .await
        .map_err(PublishError::Sign)?;
    let checked = signed
        .check(ca.issuer.key(), &before)
        .map_err(PublishError::Check)?;

    let label = bookkeeping::label(&checked, replica);
    ca.shelf
        .archive(&checked, label.clone())
        .await
        .map_err(PublishError::Store)?;
    // The commit point: relying parties see the old CRL before it, and the new one after it.
    match ca
        .shelf
        .publish(&checked, label.clone(), world.version.clone())
        .await
    {
        Err(error) if error.kind == ErrorKind::Conflict => return Ok(Issued::Lost),
        done => done.map_err(PublishError::Replace)?,
    }
    // The CRL is out; what failed behind it is repaired by the next pass.
    let trouble = bookkeeping::behind(pass, &checked, &label)
        .await
        .err()
        .map(|error| error.to_string());
    Ok(Issued::Out(checked, trouble))
}

/// What is the same for every CRL of a pass.
struct Pass<'a> {
    ca: &'a Ca,
    replica: &'a Replica,
    options: Options,
    now: Timestamp,
    line: Line,
    /// Whether the journal says already that a gate was passed.
    is_remarked: bool,
}

/// The issuer's number line: the index's row of the full CRL, as it was read before the index.
struct Line {
    row: Option<ScopeRow>,
    version: Version,
    /// This pass's number, once it is reserved.
    number: Option<CrlNumber>,
}

impl Line {
    fn of(world: &World<'_>) -> Self {
        Self {
            row: world.row.clone(),
            version: world.row_version.clone(),
            number: None,
        }
    }

    /// The pass itself wrote the row anew. If that was over another publisher's, that one is still
    /// found to be first.
    fn follow(&mut self, row: ScopeRow, over: &Version, written: Version) {
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
    async fn reserve(
        &mut self,
        floor: Option<CrlNumber>,
    ) -> Result<Option<CrlNumber>, PublishError> {
        if let Some(number) = self.line.number.filter(|&number| Some(number) > floor) {
            return Ok(Some(number));
        }
        let last = floor
            .max(self.line.number)
            .max(self.line.row.as_ref().map(|row| row.number));
        let number = CrlNumber::next(last, self.now).ok_or_else(|| {
            PublishError::Plan("the CRL number cannot rise above 2^64 - 1".to_owned())
        })?;
        if !self.options.dry_run {
            let published = self.line.row.as_ref().and_then(|row| row.published.clone());
            let row = ScopeRow { number, published };
            let (index, name) = (&self.ca.index, &self.ca.name);
            match index
                .put_row(name, Scope::Full, row, self.line.version.clone())
                .await
            {
                Ok(version) => self.line.version = version,
                Err(error) if error.kind == ErrorKind::Conflict => return Ok(None),
                Err(error) => return Err(PublishError::Number(error)),
            }
        }
        self.line.number = Some(number);
        Ok(Some(number))
    }
}
