//! What is written down of a CRL: its label, the index's row about it, and what stands beside it on
//! the shelf.

use super::{Observed, Pass, PublishError, observed::Found};
use crate::{
    ca::{Ca, shelf::Derived},
    core::{
        crl::{Crl, scope::Scope},
        der::write,
        digest::Digest,
        journal::replica::Replica,
        seal::Checked,
        serial::CrlNumber,
        time::Timestamp,
    },
    store::{
        Versioned,
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

/// Writes down a CRL that reached the shelf just now.
pub(super) async fn record(
    pass: &mut Pass<'_>,
    checked: &Checked<Crl>,
    label: &Label,
) -> Result<(), PublishError> {
    let Crl { number, plan } = checked.document();
    let published = Published {
        seq: label.seq,
        hash: pass.replica.head().hash,
        sha256: label.sha256,
        this_update: plan.window.this(),
        next_update: plan.window.next(),
        published_at: pass.now,
    };
    let confirmed = confirm(pass, plan.scope, published, *number).await;
    confirmed.map_err(PublishError::Confirm)
}

/// Writes down what is on the shelf, if nobody did. Only the newest counts: a slower publisher does
/// not overwrite a newer one's.
async fn confirm(
    pass: &mut Pass<'_>,
    scope: Scope,
    published: Published,
    number: CrlNumber,
) -> Result<(), DriverError> {
    let ca = pass.ca;
    loop {
        let found = ca.index.row(&ca.name, scope).await?;
        let version = Versioned::expected(found.as_ref());
        let row = found.map(|found| found.value);
        let last = row.as_ref().and_then(|row| row.published.as_ref());
        if last.is_some_and(|last| last.this_update > published.this_update || *last == published) {
            return Ok(());
        }
        let row = ScopeRow {
            number: row.map_or(number, |row| row.number.max(number)),
            published: Some(published),
        };
        let put = ca.index.put_row(&ca.name, scope, row, version.clone());
        match put.await {
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

impl Pass<'_> {
    /// Finishes what a killed pass left undone: the index's row about the shelf, and what follows
    /// from the CRL. A dry run writes nothing.
    pub(super) async fn finish(&mut self, observed: &Observed<'_>) -> Result<(), PublishError> {
        let Some(found) = observed.found().filter(|_| !self.options.dry_run) else {
            return Ok(());
        };
        let row = observed.row.as_ref().map(|row| &row.value);
        let published = row.and_then(|row| row.published.as_ref());
        if published.is_none_or(|published| published.sha256 != found.sha256)
            && let Some((number, published)) = unrecorded(found, self.now)
        {
            let confirmed = confirm(self, observed.scope, published, number).await;
            confirmed.map_err(PublishError::Confirm)?;
        }
        if observed.scope != Scope::Full {
            return Ok(());
        }
        let derived = derive(self.ca, found.crl.bytes(), false).await;
        derived.map_err(PublishError::Replace)
    }
}

/// What the index's row would say of a CRL, as far as its writer said from what it was made.
fn unrecorded(found: &Found, now: Timestamp) -> Option<(CrlNumber, Published)> {
    let (previous, label) = (found.previous()?, found.label()?);
    let crl = previous.crl();
    let published = Published {
        seq: label.seq,
        hash: label.hash,
        sha256: found.sha256,
        this_update: crl.this_update,
        next_update: crl.next_update?,
        published_at: now,
    };
    Some((crl.number()?, published))
}

/// What stands beside the full CRL on the shelf and follows from it: its PEM twin, and the CA
/// certificate. A new CRL's twin is written without a look at the old one, which may be large.
pub(super) async fn derive(ca: &Ca, crl: &[u8], is_new: bool) -> Result<(), DriverError> {
    let pem = write::pem("X509 CRL", crl).into_bytes();
    if pem.len() as u64 > MOST_OCTETS {
        let (issuer, octets) = (&ca.name, pem.len());
        tracing::warn!(
            issuer,
            octets,
            "the PEM twin of the CRL is too large, and left as it is"
        );
    } else if is_new {
        ca.shelf.put_derived(Derived::Pem, pem).await?;
    } else {
        ca.shelf.keep_derived(Derived::Pem, pem).await?;
    }
    let certificate = ca.issuer.certificate().der.clone();
    ca.shelf
        .keep_derived(Derived::Certificate, certificate)
        .await
}
