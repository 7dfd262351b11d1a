//! CRLs from the shelf, ready to be sent, and kept for as long as the shelf's store says: where it
//! is a service, it is not asked at every request.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;

use super::app::App;
use crate::{
    ca::{Ca, shelf::Derived},
    core::{
        crl::{SignedCrl, scope::Scope},
        time::Timestamp,
    },
    store::{content::Stored, error::DriverError},
};

/// DER or PEM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Der,
    Pem,
}

/// Which CRL, in which encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Der(Scope),
    /// The full CRL's PEM twin.
    Pem,
}

impl Wanted {
    fn name(self, ca: &Ca) -> String {
        match self {
            Self::Der(scope) => ca.shelf.name(&scope.file()),
            Self::Pem => ca.shelf.name(Derived::Pem.suffix()),
        }
    }

    fn encoding(self) -> Encoding {
        match self {
            Self::Der(_) => Encoding::Der,
            Self::Pem => Encoding::Pem,
        }
    }
}

/// Content of the shelf, ready to be sent.
#[derive(Debug)]
pub(crate) struct Shelved {
    /// The content.
    pub(crate) bytes: Bytes,
    /// How long caches may keep it; none where it is no CRL.
    pub(crate) freshness: Option<Freshness>,
}

/// How long caches may keep a CRL, from its own window.
#[derive(Clone, Debug)]
pub(crate) struct Freshness {
    /// The SHA-256 of the content.
    pub(crate) etag: String,
    /// thisUpdate.
    pub(crate) modified: Timestamp,
    /// nextUpdate.
    pub(crate) expires: Timestamp,
    /// When the next CRL is due.
    pub(crate) fresh_until: Timestamp,
}

/// What was read lately, by name, and when.
#[derive(Debug, Default)]
pub(super) struct Lately(Mutex<HashMap<String, (Timestamp, Arc<Shelved>)>>);

impl Lately {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, (Timestamp, Arc<Shelved>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was read less than `keep_for` before `now`.
    fn get(&self, name: &str, keep_for: Duration, now: Timestamp) -> Option<Arc<Shelved>> {
        let known = self.lock();
        let (at, shelved) = known.get(name)?;
        (now.since(*at) < keep_for).then(|| Arc::clone(shelved))
    }

    fn put(&self, name: String, shelved: &Arc<Shelved>, now: Timestamp) {
        self.lock().insert(name, (now, Arc::clone(shelved)));
    }
}

/// The CRL on the shelf, or what stands in its place.
pub(crate) async fn shelved(
    app: &App,
    ca: &Ca,
    wanted: Wanted,
) -> Result<Option<Arc<Shelved>>, DriverError> {
    let now = (app.clock)();
    let name = wanted.name(ca);
    let keep_for = ca.shelf.store().keep_for();
    if let Some(shelved) = app.lately.get(&name, keep_for, now) {
        return Ok(Some(shelved));
    }
    let Some(stored) = ca.shelf.store().get(&name).await? else {
        return Ok(None);
    };
    let freshness = freshness(ca, &stored, wanted.encoding());
    let shelved = Arc::new(Shelved {
        bytes: stored.bytes.into(),
        freshness,
    });
    if !keep_for.is_zero() {
        app.lately.put(name, &shelved, now);
    }
    Ok(Some(shelved))
}

/// From the CRL's own window: fresh until the next refresh, gone at nextUpdate.
fn freshness(ca: &Ca, stored: &Stored, encoding: Encoding) -> Option<Freshness> {
    let pem = match encoding {
        Encoding::Der => None,
        Encoding::Pem => Some(der::pem::decode_vec(&stored.bytes).ok()?.1),
    };
    let signed = SignedCrl::read(pem.as_deref().unwrap_or(&stored.bytes)).ok()?;
    let modified = signed.crl.this_update;
    let expires = signed.crl.next_update?;
    let refresh = modified.after(ca.crl.backdate).after(ca.crl.refresh);
    let etag = stored.sha256.to_string();
    Some(Freshness {
        etag,
        modified,
        expires,
        fresh_until: refresh.min(expires),
    })
}
