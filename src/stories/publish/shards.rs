//! Sharded CRLs: one after the other, so that only one is in memory.

use super::{Issued, Outcome, Pass, PublishError, Reason, World, bookkeeping, issue, plan};
use crate::{
    core::chain::Chain,
    core::crl::{
        Crl,
        scope::{MAX_SHARDS, Scope, Shard},
    },
    store::{Version, error::ErrorKind, index::ScopeRow},
};

/// Publishes the shards that are due, and adds to `outcome` what came of it.
pub(super) async fn publish(
    pass: &mut Pass<'_>,
    outcome: &mut Outcome,
) -> Result<(), PublishError> {
    if pass.ca.crl.shards().next().is_some() || outcome.published {
        same_count(pass).await?;
    }
    let mut refused = None;
    for shard in pass.ca.crl.shards() {
        let world = World::read(pass.ca, Scope::Shard(shard)).await?;
        outcome.healed.extend(world.healed.iter().cloned());
        let previous = world.previous();
        let crl = plan::plan(pass, world.scope, previous.as_ref())?;
        let reason = plan::due(pass, &crl, previous.as_ref(), &world);
        if reason == Reason::NotDue {
            if !pass.options.dry_run {
                bookkeeping::finish(pass, &world).await?;
            }
            continue;
        }
        let Some(number) = pass.reserve(world.number()).await? else {
            outcome.reason = Reason::LostRace;
            return Ok(());
        };
        let issued = match issue(pass, Crl { number, ..crl }, &world, None).await {
            Ok(issued) => issued,
            // The others are no worse for it.
            Err(error) => {
                refused = refused.or(Some(error));
                continue;
            }
        };
        outcome.number = outcome.number.max(Some(number));
        outcome.add(&issued);
        match issued {
            Issued::Out(..) if !outcome.published => {
                (outcome.published, outcome.reason) = (true, reason)
            }
            Issued::Dry(_) if outcome.reason == Reason::NotDue => outcome.reason = reason,
            Issued::Lost => {
                outcome.reason = Reason::LostRace;
                return Ok(());
            }
            Issued::Out(..) | Issued::Dry(_) => {}
        }
    }
    match refused {
        Some(error) if outcome.published => outcome.trouble(Chain(&error).to_string()),
        Some(error) => return Err(error),
        None => {}
    }
    Ok(())
}

/// A certificate names its shard for life, so the number of shards stays what it was when there
/// first were any (Mozilla policy §6.1.2, BR §7.2). The index has a row for each shard, the last
/// one's made first: the highest tells.
async fn same_count(pass: &Pass<'_>) -> Result<(), PublishError> {
    let ca = pass.ca;
    let mut was = 1;
    let mut count = MAX_SHARDS;
    while count > 1 && was == 1 {
        if let Some(last) = Shard::all(count).next_back()
            && row(pass, last).await?.is_some()
        {
            was = count;
        }
        count /= 2;
    }
    if was == ca.crl.shards {
        return Ok(());
    }
    if was > 1 {
        return Err(PublishError::Shards { was });
    }
    if pass.options.dry_run {
        return Ok(());
    }
    let number = pass
        .line
        .row
        .as_ref()
        .map(|row| row.number)
        .or(pass.line.number);
    let Some(number) = number else { return Ok(()) };
    for shard in ca.crl.shards().rev() {
        let (key, empty) = (
            Scope::Shard(shard).key(),
            ScopeRow {
                number,
                published: None,
            },
        );
        match ca
            .index
            .put_scope(&ca.name, &key, empty, Version::Absent)
            .await
        {
            Err(error) if error.kind != ErrorKind::Conflict => {
                return Err(PublishError::Number(error));
            }
            _ => {}
        }
    }
    Ok(())
}

async fn row(pass: &Pass<'_>, shard: Shard) -> Result<Option<ScopeRow>, PublishError> {
    let found = pass
        .ca
        .index
        .scope(&pass.ca.name, &Scope::Shard(shard).key())
        .await;
    Ok(found.map_err(PublishError::Number)?.map(|(row, _)| row))
}
