//! Sharded CRLs: one after the other, so that only one is in memory.

use super::{Observed, Pass, PublishError, plan, publish_scope};
use crate::{
    core::crl::scope::{MAX_SHARDS, Scope, Shard},
    store::{Version, error::ErrorKind, index::ScopeRow},
    stories::replicate::LevelError,
};

/// Publishes the shards that are due.
pub(super) async fn publish(pass: &mut Pass<'_>) -> Result<(), PublishError> {
    if pass.ca.crl.shards().next().is_some() || pass.outcome.became.is_published() {
        same_count(pass).await?;
    }
    let mut refused = vec![];
    for shard in pass.ca.crl.shards() {
        // The others are no worse for one that is refused.
        if let Err(error) = one(pass, shard).await {
            refused.push((shard, error));
        }
        if pass.outcome.became.is_lost() {
            break;
        }
    }
    summary(refused).map_or(Ok(()), Err)
}

async fn one(pass: &mut Pass<'_>, shard: Shard) -> Result<(), PublishError> {
    let observed = Observed::read(pass.ca, Scope::Shard(shard)).await?;
    pass.outcome.healed.extend(observed.damage.iter().cloned());
    let decision = plan::decide(pass, &observed)?;
    let issued = publish_scope(pass, &observed, decision, None).await?;
    pass.outcome.add(&issued);
    Ok(())
}

/// The first refusal in full, the others by name: there may be 256, mostly for one cause.
fn summary(refused: Vec<(Shard, PublishError)>) -> Option<PublishError> {
    let names: Vec<String> = refused.iter().map(|(shard, _)| shard.name()).collect();
    let (_, first) = refused.into_iter().next()?;
    if names.len() == 1 {
        return Some(first);
    }
    Some(PublishError::Refused {
        shards: names.join(", "),
        first: Box::new(first),
    })
}

/// A certificate names its shard for life, so the number of shards stays what it was when there
/// first were any (Mozilla policy §6.1.2, BR §7.2).
async fn same_count(pass: &Pass<'_>) -> Result<(), PublishError> {
    let was = count_so_far(pass).await?;
    if was == pass.ca.crl.shards {
        return Ok(());
    }
    if was > 1 {
        return Err(PublishError::Shards { was });
    }
    if pass.options.dry_run {
        return Ok(());
    }
    begin(pass).await
}

/// How many shards there were; 1 without any. The index has a row for each, the last one's made
/// first: the highest tells.
async fn count_so_far(pass: &Pass<'_>) -> Result<u16, PublishError> {
    let mut count = MAX_SHARDS;
    while count > 1 {
        if let Some(last) = Shard::all(count).next_back()
            && has_row(pass, last).await?
        {
            return Ok(count);
        }
        count /= 2;
    }
    Ok(1)
}

async fn has_row(pass: &Pass<'_>, shard: Shard) -> Result<bool, PublishError> {
    let found = pass.ca.index.row(&pass.ca.name, Scope::Shard(shard)).await;
    Ok(found.map_err(LevelError::from)?.is_some())
}

/// Makes a row for each shard, the last one's first.
async fn begin(pass: &Pass<'_>) -> Result<(), PublishError> {
    let ca = pass.ca;
    let Some(number) = pass.line.last() else {
        return Ok(());
    };
    for shard in ca.crl.shards().rev() {
        let (scope, empty) = (Scope::Shard(shard), ScopeRow::reserved(number));
        let put = ca.index.put_row(&ca.name, scope, empty, Version::Absent);
        match put.await {
            Err(error) if error.kind != ErrorKind::Conflict => {
                return Err(PublishError::Number(error));
            }
            _ => {}
        }
    }
    Ok(())
}
