//! The publisher's story: read, decide, draft, lint, sign, check, archive, replace.
//!
//! A pass may be killed at any point, and any call may fail before or after it took effect; the next pass repairs:
//! - before the number is reserved: nothing happened;
//! - after it: a number is skipped, which is allowed;
//! - after the archive's copy: the archive has a CRL that nobody saw; the next pass publishes again;
//! - after the shelf's copy: the index does not know yet; the next pass writes it down.

mod renew;
mod world;

use std::time::Duration;

use renew::renew;
use world::World;

use crate::{
    ca::{Ca, LevelError},
    core::{
        changeset::ChainHash,
        compare::Previous,
        crl::{Appearance, Crl, CrlRef},
        der::write,
        lints::{CrlBefore, CrlSource},
        replica::Replica,
        seal::{CheckError, Checked, Findings},
        serial::CrlNumber,
        time::{Timestamp, Window},
    },
    driver::{DriverError, Trouble, Version},
    index::{Published, ScopeRow},
    shelf::{Label, sha256},
};

/// How a pass is to go.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Publish even if nothing is due.
    pub force: bool,
    /// Go through everything up to signing, and write nothing.
    pub dry_run: bool,
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
            Self::LostRace => "another publisher was first",
        }
    }
}

/// Which step of a pass failed. The previous CRL stays.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum PublishError {
    #[error("the CA certificate ended on {0}; relying parties would refuse a CRL under it. Configure its successor")]
    Expired(Timestamp),
    #[error("read the shelf: {0}")]
    Shelf(#[source] DriverError),
    #[error("read the archive: {0}")]
    Archive(#[source] DriverError),
    #[error("read the index: {0}")]
    Index(#[from] LevelError),
    #[error("plan the CRL: {0}")]
    Plan(&'static str),
    #[error("reserve a CRL number: {0}")]
    Number(#[source] DriverError),
    #[error("lint the draft: {0}")]
    Lint(#[source] Findings),
    #[error("compare with the previous CRL: {0}")]
    Compare(#[source] Findings),
    #[error(
        "compare with the previous CRL, which was made from another journal (an older index took its place): {0}; \
         put the newest index back, or import the archive's newest CRL"
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
    #[error("renew the OCSP credential: {0}")]
    Credential(String),
}

/// One pass over one issuer: its CRL, then its OCSP credential. `known` is what is in memory of the index already.
pub async fn publish(
    ca: &Ca,
    known: Option<&Replica>,
    options: Options,
    now: Timestamp,
) -> Result<Outcome, PublishError> {
    if ca.issuer.has_expired(now) {
        return Err(PublishError::Expired(ca.issuer.certificate().not_after));
    }
    let outcome = publish_crl(ca, known, options, now).await;
    // A CRL that is refused must not take OCSP down too, so the credential is renewed all the same; but not into an
    // index that lost its end, where it would only fork the journal further.
    let is_forked = matches!(outcome, Err(PublishError::Forked(_)));
    let renewed = if options.dry_run || is_forked { Ok(()) } else { renew(ca, now).await };
    match (outcome, renewed) {
        (Ok(outcome), Err(error)) if outcome.published => {
            let trouble = outcome.trouble.into_iter().chain([error.to_string()]).collect::<Vec<_>>().join("; ");
            Ok(Outcome { trouble: Some(trouble), ..outcome })
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
    let world = World::read(ca).await?;
    let previous = world.previous();
    let replica = ca.level(known).await?;
    let crl = plan(ca, &replica, previous.as_ref(), &world, now)?;
    let reason = due(&crl, ca, &replica, previous.as_ref(), &world, options, now);
    let healed = world.healed.clone();
    let outcome = |published, number, reason| Outcome { published, number, reason, healed, trouble: None };
    if reason == Reason::NotDue {
        if !options.dry_run {
            finish(ca, &world, previous.as_ref(), now).await?;
        }
        return Ok(outcome(false, previous.and_then(|previous| previous.crl().number()), reason));
    }

    let Some(number) = reserve(ca, &crl, &world, options).await? else {
        return Ok(outcome(false, previous.and_then(|previous| previous.crl().number()), Reason::LostRace));
    };
    let source = CrlSource { issuer: &ca.issuer, replica: &replica, now };
    let linted = crl.draft(&ca.issuer, &replica).lint(&source).map_err(PublishError::Lint)?;
    let before = CrlBefore { previous, replica: &replica };
    let refused = if world.is_forked { PublishError::Forked } else { PublishError::Compare };
    linted.compare(&before).map_err(refused)?;
    if options.dry_run {
        return Ok(outcome(false, Some(number), reason));
    }
    let signed = ca.signer().map_err(PublishError::Sign)?.sign(linted).await.map_err(PublishError::Sign)?;
    let checked = signed.check(ca.issuer.key(), &before).map_err(PublishError::Check)?;

    let label = label(&checked, &replica);
    ca.shelf.archive(&checked, label.clone()).await.map_err(PublishError::Store)?;
    // The commit point: relying parties see the old CRL before it, and the new one after it.
    match ca.shelf.publish(&checked, label.clone(), world.version.clone()).await {
        Err(error) if error.trouble == Trouble::Conflict => {
            return Ok(outcome(false, Some(number), Reason::LostRace));
        }
        done => done.map_err(PublishError::Replace)?,
    }
    let behind = confirm(ca, &published(&checked, &label, &replica, now), number).await;
    let behind = behind.map_err(PublishError::Confirm);
    let derived = derive(ca, checked.bytes()).await.map_err(PublishError::Replace);
    // The CRL is out; what failed behind it is repaired by the next pass.
    let trouble = behind.and(derived).err().map(|error| error.to_string());
    Ok(Outcome { trouble, ..outcome(true, Some(number), reason) })
}

/// What the next CRL is to say.
fn plan(
    ca: &Ca,
    replica: &Replica,
    previous: Option<&Previous<'_>>,
    world: &World<'_>,
    now: Timestamp,
) -> Result<Crl, PublishError> {
    let appearance = previous
        .and_then(|previous| Some(Appearance { this_update: previous.crl().this_update, seq: previous.seq()? }));
    let start = now.before(ca.crl.backdate);
    let mut crl = Crl {
        number: next_number(previous, world.row.as_ref(), now)?,
        window: window(start, ca)?,
        distribution_points: ca.crl.distribution_points.clone(),
        expired_since: ca.crl.keep_expired.then_some(ca.issuer.certificate().not_before),
        previous: appearance,
    };
    // An entry may not be dated after thisUpdate, and thisUpdate goes on from CRL to CRL (HTTP's Last-Modified is made
    // of it), if only by a second and never beyond now.
    let newest = crl.entries(replica).filter_map(|status| status.revoked_at).max();
    let floor = previous.map(|previous| previous.crl().this_update);
    let floor = floor.map(|last| last.after(Duration::from_secs(1)).min(now).max(last));
    let this = [Some(start), newest, floor].into_iter().flatten().max().unwrap_or(start);
    crl.window = window(this, ca)?;
    Ok(crl)
}

fn window(this: Timestamp, ca: &Ca) -> Result<Window, PublishError> {
    let too_late = PublishError::Plan("thisUpdate would be at the end of time; check the clock");
    Window::new(this, this.after(ca.crl.validity)).ok_or(too_late)
}

fn next_number(
    previous: Option<&Previous<'_>>,
    row: Option<&ScopeRow>,
    now: Timestamp,
) -> Result<CrlNumber, PublishError> {
    let last = previous.and_then(|previous| previous.crl().number()).max(row.map(|row| row.number));
    CrlNumber::next(last, now).ok_or(PublishError::Plan("the CRL number cannot rise above 2^64 - 1"))
}

fn due(
    crl: &Crl,
    ca: &Ca,
    replica: &Replica,
    previous: Option<&Previous<'_>>,
    world: &World<'_>,
    options: Options,
    now: Timestamp,
) -> Reason {
    let Some(previous) = previous else {
        return if world.healed.is_empty() { Reason::First } else { Reason::Healed };
    };
    let old = previous.crl();
    let planned = crl.window.length();
    let is_other = old.next_update.is_none_or(|next| next.since(old.this_update) != planned)
        || old.inner_algorithm != ca.issuer.algorithm().identifier()
        || !has_extensions_of(old, crl);
    let refresh = old.this_update.after(ca.crl.backdate).after(ca.crl.refresh);
    if !world.on_shelf {
        Reason::Healed
    } else if world.is_forked {
        Reason::Readopted
    } else if options.force {
        Reason::Forced
    } else if previous.seq().is_none_or(|seq| seq < replica.crl_seq()) {
        Reason::Changed
    } else if is_other {
        Reason::Configuration
    } else if now >= refresh {
        Reason::Refresh
    } else {
        Reason::NotDue
    }
}

/// Whether the extensions that the configuration governs are those of `old`.
fn has_extensions_of(old: &CrlRef<'_>, crl: &Crl) -> bool {
    use crate::core::{crl::EXPIRED_CERTS_ON_CRL, der::oid::ISSUING_DISTRIBUTION_POINT};
    let has = |id: &[u8]| old.extension(id).map(|extension| extension.value.to_vec());
    has(ISSUING_DISTRIBUTION_POINT) == crl.distribution_point()
        && has(EXPIRED_CERTS_ON_CRL).is_some() == crl.expired_since.is_some()
}

/// Reserves the CRL's number in the index before it is signed, so that no two CRLs ever share one. The row must still
/// be the one read before the index was: otherwise another publisher, who may have read more, was first, and a
/// higher number must not go to an older state.
async fn reserve(ca: &Ca, crl: &Crl, world: &World<'_>, options: Options) -> Result<Option<CrlNumber>, PublishError> {
    if options.dry_run {
        return Ok(Some(crl.number));
    }
    let published = world.row.as_ref().and_then(|row| row.published.clone());
    let row = ScopeRow { number: crl.number, published };
    match ca.index.put_scope(&ca.name, "full", row, world.row_version.clone()).await {
        Ok(_) => Ok(Some(crl.number)),
        Err(error) if error.trouble == Trouble::Conflict => Ok(None),
        Err(error) => Err(PublishError::Number(error)),
    }
}

fn label(checked: &Checked<Crl>, replica: &Replica) -> Label {
    Label {
        number: checked.document().number.get(),
        seq: replica.head().seq,
        hash: replica.head().hash.to_string(),
        sha256: sha256(checked.bytes()),
    }
}

fn published(checked: &Checked<Crl>, label: &Label, replica: &Replica, now: Timestamp) -> Published {
    let window = checked.document().window;
    Published {
        seq: label.seq,
        hash: replica.head().hash,
        sha256: label.sha256.clone(),
        this_update: window.this(),
        next_update: window.next(),
        published_at: now,
    }
}

/// Writes down what is on the shelf. Only the newest counts: a slower publisher does not overwrite a newer one's.
async fn confirm(ca: &Ca, published: &Published, number: CrlNumber) -> Result<(), DriverError> {
    loop {
        let found = ca.index.scope(&ca.name, "full").await?;
        let (row, version) = found.map_or((None, Version::Absent), |(row, version)| (Some(row), version));
        let newer = row
            .as_ref()
            .and_then(|row| row.published.as_ref())
            .is_some_and(|last| last.this_update > published.this_update || last == published);
        if newer {
            return Ok(());
        }
        let number = row.map_or(number, |row| row.number.max(number));
        let row = ScopeRow { number, published: Some(published.clone()) };
        match ca.index.put_scope(&ca.name, "full", row, version).await {
            Err(error) if error.trouble == Trouble::Conflict => {}
            done => return done.map(|_| ()),
        }
    }
}

/// Finishes what a killed pass left undone: the index's row about the shelf, and what follows from the CRL.
async fn finish(
    ca: &Ca,
    world: &World<'_>,
    previous: Option<&Previous<'_>>,
    now: Timestamp,
) -> Result<(), PublishError> {
    let (Some(stored), Some(crl)) = (&world.stored, previous.map(Previous::crl)) else { return Ok(()) };
    let known = world.row.as_ref().and_then(|row| row.published.as_ref());
    let sha256 = sha256(&stored.bytes);
    let label = stored.label.as_ref().filter(|label| label.sha256 == sha256);
    let label = label.and_then(|label| Some((label.seq, ChainHash::from_hex(&label.hash)?)));
    if known.is_none_or(|known| known.sha256 != sha256)
        && let (Some((seq, hash)), Some(number), Some(next_update)) = (label, crl.number(), crl.next_update)
    {
        let found = Published { seq, hash, sha256, this_update: crl.this_update, next_update, published_at: now };
        confirm(ca, &found, number).await.map_err(PublishError::Confirm)?;
    }
    derive(ca, &stored.bytes).await.map_err(PublishError::Replace)
}

/// What stands beside the CRL on the shelf and follows from it: its PEM twin, and the CA certificate.
async fn derive(ca: &Ca, crl: &[u8]) -> Result<(), DriverError> {
    ca.shelf.keep_derived(".crl.pem", "application/x-pem-file", write::pem("X509 CRL", crl).as_bytes()).await?;
    ca.shelf.keep_derived(".cer", "application/pkix-cert", &ca.issuer.certificate().der).await
}
