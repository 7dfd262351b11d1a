//! The publisher's story: read, decide, draft, lint, compare, sign, check, archive, replace.
//!
//! A pass may be killed at any point, and any call may fail before or after it took effect; the
//! next pass repairs:
//! - before the number is reserved: nothing happened;
//! - after it: a number is skipped, which is allowed;
//! - after the archive's copy: the archive has a CRL that nobody saw; the next pass publishes
//!   again;
//! - after the shelf's copy: the index does not know yet; the next pass writes it down.
//!
//! `observed` is what a pass finds, `plan` decides, `bookkeeping` writes down; `pair` and `shards`
//! say in which order scopes go through the pipeline, and `ended` what is left after the CA's end.

mod accepted;
mod bookkeeping;
mod ended;
mod number_line;
mod observed;
mod outcome;
mod pair;
mod plan;
mod renew;
mod shards;

use crate::{
    ca::Ca,
    core::{
        chain::Chain,
        crl::{
            Crl,
            delta::Neighbours,
            lint::{CrlBefore, CrlSource},
            scope::Scope,
        },
        journal::replica::Replica,
        seal::{Checked, Compared},
        time::Timestamp,
    },
    store::{content::MOST_OCTETS, error::ErrorKind},
    stories::replicate,
};

use number_line::NumberLine;
use observed::Observed;
use plan::Decision;

pub(crate) use accepted::Accepted;
pub(crate) use observed::Damage;
pub use outcome::{Became, Outcome, PublishError, Why};
pub(crate) use plan::PlanError;
pub(crate) use renew::RenewError;

/// Takes one scope through the pipeline, whichever it is.
async fn publish_scope(
    pass: &mut Pass<'_>,
    observed: &Observed<'_>,
    decision: Decision,
    neighbours: Option<Neighbours<'_>>,
) -> Result<Issued, PublishError> {
    let (ca, replica) = (pass.ca, pass.replica);
    let Decision::Due(why, plan) = decision else {
        pass.finish(observed).await?;
        return Ok(Issued::NotDue);
    };
    let Some(number) = pass.reserve(observed.number()).await? else {
        return Ok(Issued::LostRace);
    };
    let source = CrlSource {
        issuer: &ca.issuer,
        replica,
        now: pass.now,
    };
    let draft = plan.numbered(number).draft(&ca.issuer, replica);
    let linted = draft.lint(&source).map_err(PublishError::Lint)?;
    admit_size(observed, linted.to_be_signed().len() + SIGNATURE_ROOM)?;

    let mut before = CrlBefore {
        previous: observed.previous(),
        replica,
        neighbours,
        accepted: None,
    };
    before.accepted = pass.accept(&linted, &before).await?;
    let compared = linted
        .compare(&before)
        .map_err(|found| observed.refused(found))?;
    if pass.options.dry_run {
        return Ok(Issued::Drafted(why, compared));
    }

    let signer = ca.signer().map_err(PublishError::Sign)?;
    let signed = signer.sign(compared).await.map_err(PublishError::Sign)?;
    let checked = signed
        .check(ca.issuer.key(), &source, &before)
        .map_err(PublishError::Check)?;
    // A CA elsewhere may have made another one.
    admit_size(observed, checked.bytes().len())?;

    let label = bookkeeping::label(&checked, replica);
    let archived = ca.shelf.archive(&checked, label).await;
    archived.map_err(PublishError::Store)?;
    // The commit point: relying parties see the old CRL before it, and the new one after it.
    let version = observed.shelf_version.clone();
    match ca.shelf.publish(&checked, label, version).await {
        Err(error) if error.kind == ErrorKind::Conflict => return Ok(Issued::LostRace),
        replaced => replaced.map_err(PublishError::Replace)?,
    }
    // The CRL is out; what fails behind it is repaired by the next pass.
    let recorded = bookkeeping::record(pass, &checked, &label).await;
    pass.outcome.troubles.extend(recorded.err());
    Ok(Issued::Published(why, checked))
}

/// How a pass is to go.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Publish even if nothing is due.
    pub force: bool,
    /// Go through everything up to signing, and write nothing.
    pub dry_run: bool,
    /// A gate to pass once.
    pub accept: Option<Accepted>,
}

/// One pass over one issuer: its CRLs, then its OCSP credential. `known` is what is in memory of
/// the index already.
pub async fn publish(
    ca: &Ca,
    known: Option<&Replica>,
    options: Options,
    now: Timestamp,
) -> Result<Outcome, PublishError> {
    if ca.issuer.has_expired(now) {
        return ended::ended(ca, known, options, now).await;
    }
    let is_dry = options.dry_run;
    let published = publish_crls(ca, known, options, now).await;
    // A CRL that is refused must not take OCSP down too, so the credential is renewed all the same;
    // but not into an index that lost its end, where it would only fork the journal further.
    if is_dry || published.as_ref().is_err_and(PublishError::is_forked) {
        return published;
    }
    let renewed = renew::renew(ca, now).await;
    let mut outcome = published?;
    outcome.survive(renewed.map_err(PublishError::from))?;
    Ok(outcome)
}

/// Full and delta CRL, the shards, and a checkpoint.
async fn publish_crls(
    ca: &Ca,
    known: Option<&Replica>,
    options: Options,
    now: Timestamp,
) -> Result<Outcome, PublishError> {
    // What is there is read before the index: whoever reads more of that later has another version
    // to find.
    let full = Observed::read(ca, Scope::Full).await?;
    let delta = match &ca.crl.delta {
        Some(_) => Some(Observed::read(ca, Scope::Delta).await?),
        None => None,
    };
    let replica = replicate::level(ca, known).await?;
    let mut pass = Pass::new(ca, &replica, options, now, &full);
    pair::publish(&mut pass, full, delta).await?;
    if !pass.outcome.became.is_lost() {
        let sharded = shards::publish(&mut pass).await;
        pass.outcome.survive(sharded)?;
    }
    if !pass.options.dry_run
        && let Err(error) = replicate::write_checkpoint(ca, &replica, now).await
    {
        // It costs the next process time, and nothing else.
        let error = Chain(&error);
        tracing::warn!(issuer = ca.name, %error, "no checkpoint could be written");
    }
    Ok(pass.outcome)
}

/// What became of one CRL.
enum Issued {
    /// It is on the shelf.
    Published(Why, Checked<Crl>),
    /// A dry run ended before the key was used.
    Drafted(Why, Compared<Crl>),
    /// Nothing was to be done.
    NotDue,
    /// Another publisher was first.
    LostRace,
}

/// Octets for a signature, at most.
const SIGNATURE_ROOM: usize = 1024;

/// What is larger could not be read back, by us or by anybody.
fn admit_size(observed: &Observed<'_>, octets: usize) -> Result<(), PublishError> {
    let (what, octets) = (observed.name(), octets as u64);
    match octets <= MOST_OCTETS {
        true => Ok(()),
        false => Err(PublishError::TooLarge { what, octets }),
    }
}

/// What is the same for every CRL of a pass, and what became of them so far.
struct Pass<'a> {
    ca: &'a Ca,
    replica: &'a Replica,
    options: Options,
    now: Timestamp,
    line: NumberLine,
    /// Whether the journal says already that a gate was passed.
    is_remarked: bool,
    outcome: Outcome,
}

impl<'a> Pass<'a> {
    fn new(
        ca: &'a Ca,
        replica: &'a Replica,
        options: Options,
        now: Timestamp,
        full: &Observed<'_>,
    ) -> Self {
        Self {
            ca,
            replica,
            options,
            now,
            line: NumberLine::of(full),
            is_remarked: false,
            outcome: Outcome {
                became: Became::NotDue,
                number: full.number(),
                healed: vec![],
                troubles: vec![],
            },
        }
    }
}
