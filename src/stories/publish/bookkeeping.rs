//! What is written down of a CRL: its label, the index's row about it, and what stands beside it on
//! the shelf.

use super::{Pass, PublishError, World};
use crate::{
    ca::Ca,
    core::{
        crl::{Crl, gate::Previous, scope::Scope},
        der::write,
        digest::Digest,
        journal::replica::Replica,
        seal::Checked,
        serial::CrlNumber,
    },
    store::{
        Version,
        content::{Label, MOST_OCTETS},
        error::{DriverError, ErrorKind},
        index::{Published, ScopeRow},
    },
};

/// What a CRL of this pass was made from.
pub(super) fn label(checked: &Checked<Crl>, replica: &Replica) -> Label {
    Label {
        number: checked.document().number,
        seq: replica.head().seq,
        hash: replica.head().hash,
        sha256: Digest::of(checked.bytes()),
    }
}

/// What follows when a CRL is on the shelf.
pub(super) async fn behind(
    pass: &mut Pass<'_>,
    checked: &Checked<Crl>,
    label: &Label,
) -> Result<(), PublishError> {
    let crl = checked.document();
    let published = Published {
        seq: label.seq,
        hash: pass.replica.head().hash,
        sha256: label.sha256,
        this_update: crl.window.this(),
        next_update: crl.window.next(),
        published_at: pass.now,
    };
    confirm(pass, crl.scope, &published, crl.number)
        .await
        .map_err(PublishError::Confirm)
}

/// Writes down what is on the shelf, if nobody did. Only the newest counts: a slower publisher does
/// not overwrite a newer one's.
async fn confirm(
    pass: &mut Pass<'_>,
    scope: Scope,
    published: &Published,
    number: CrlNumber,
) -> Result<(), DriverError> {
    let ca = pass.ca;
    loop {
        let found = ca.index.row(&ca.name, scope).await?;
        let (row, version) = found.map_or((None, Version::Absent), |found| {
            (Some(found.value), found.version)
        });
        let newer = row
            .as_ref()
            .and_then(|row| row.published.as_ref())
            .is_some_and(|last| last.this_update > published.this_update || last == published);
        if newer {
            return Ok(());
        }
        let number = row.map_or(number, |row| row.number.max(number));
        let row = ScopeRow {
            number,
            published: Some(published.clone()),
        };
        match ca
            .index
            .put_row(&ca.name, scope, row.clone(), version.clone())
            .await
        {
            Err(error) if error.kind == ErrorKind::Conflict => {}
            Err(error) => return Err(error),
            Ok(written) => {
                if scope == Scope::Full {
                    pass.line.follow(row, &version, written);
                }
                return Ok(());
            }
        }
    }
}

/// Finishes what a killed pass left undone: the index's row about the shelf, and what follows from
/// the CRL.
pub(super) async fn finish(pass: &mut Pass<'_>, world: &World<'_>) -> Result<(), PublishError> {
    let previous = world.previous();
    let (Some(found), Some(crl)) = (&world.found, previous.as_ref().map(Previous::crl)) else {
        return Ok(());
    };
    let known = world.row.as_ref().and_then(|row| row.published.as_ref());
    let label = found.label.as_ref().map(|label| (label.seq, label.hash));
    if known.is_none_or(|known| known.sha256 != found.sha256)
        && let (Some((seq, hash)), Some(number), Some(next_update)) =
            (label, crl.number(), crl.next_update)
    {
        let this_update = crl.this_update;
        let sha256 = found.sha256;
        let published = Published {
            seq,
            hash,
            sha256,
            this_update,
            next_update,
            published_at: pass.now,
        };
        confirm(pass, world.scope, &published, number)
            .await
            .map_err(PublishError::Confirm)?;
    }
    match world.scope {
        Scope::Full => derive(pass.ca, found.crl.bytes(), false)
            .await
            .map_err(PublishError::Replace),
        Scope::Delta | Scope::Shard(_) => Ok(()),
    }
}

const PEM: (&str, &str) = (".crl.pem", "application/x-pem-file");

/// What stands beside the full CRL on the shelf and follows from it: its PEM twin, and the CA
/// certificate. A new CRL's twin is written without a look at the old one, which may be large.
pub(super) async fn derive(ca: &Ca, crl: &[u8], is_new: bool) -> Result<(), DriverError> {
    let pem = write::pem("X509 CRL", crl).into_bytes();
    if pem.len() as u64 > MOST_OCTETS {
        tracing::warn!(
            issuer = ca.name,
            octets = pem.len(),
            "the PEM twin of the CRL is too large, and left as it is"
        );
    } else if is_new {
        ca.shelf.put_derived(PEM.0, PEM.1, pem).await?;
    } else {
        ca.shelf.keep_derived(PEM.0, PEM.1, pem).await?;
    }
    ca.shelf
        .keep_derived(
            ".cer",
            "application/pkix-cert",
            ca.issuer.certificate().der.clone(),
        )
        .await
}
