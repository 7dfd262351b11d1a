//! The last step of an answer: what is to be said is drafted, linted, signed and checked.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::{
    ca::{Ca, credential::Credential},
    core::{
        chain::Chain,
        digest::Digest,
        key::KeyKind,
        ocsp::{CertId, CertStatus, Reading, Refusal, Response},
        time::{Timestamp, Window},
    },
};

use super::{Refused, Responder, cache::CacheEntry, later};

/// A signed response, ready to be sent.
#[derive(Debug)]
pub struct SignedAnswer {
    /// The DER `OCSPResponse`.
    pub der: Bytes,
    /// thisUpdate and nextUpdate.
    pub window: Window,
    /// When it is replaced by a newer one.
    pub replace_at: Timestamp,
    /// Its SHA-256 in hexadecimal; none where it carries a nonce, so that nobody else can use it.
    pub etag: Option<String>,
    /// None where it is not kept.
    pub(super) entry: Option<CacheEntry>,
}

/// What a signature is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// For one client: it has a nonce.
    Fleeting,
    /// On request, and to be kept by us or by caches.
    Kept,
    /// To replace a kept answer before it is asked for.
    Ahead,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 3] = [Self::Fleeting, Self::Kept, Self::Ahead];

    /// Of an answer to a request that has this nonce, or none.
    pub(super) fn with(nonce: Option<&[u8]>) -> Self {
        match nonce {
            Some(_) => Self::Fleeting,
            None => Self::Kept,
        }
    }
}

/// What a response is to say.
pub(super) struct Statement<'a> {
    pub(super) cert_ids: &'a [CertId<'a>],
    /// As many.
    pub(super) statuses: &'a [CertStatus],
    pub(super) nonce: Option<&'a [u8]>,
    /// When the statuses were right.
    pub(super) level_at: Timestamp,
    pub(super) purpose: Purpose,
}

impl Statement<'_> {
    /// From `backdate` before now; ends within the validity of the credential and of the CA
    /// (Mozilla policy §6).
    fn window(&self, ca: &Ca, credential: &Credential, now: Timestamp) -> Option<Window> {
        // RFC 6960 §2.4: "The most recent time at which the status being indicated is known by the
        // responder to have been correct", and not later.
        let backdated = now.before(ca.ocsp.backdate).min(self.level_at);
        // "Revoked since" may not be later than "this was right at".
        let revoked_at = self.statuses.iter().filter_map(|status| match status {
            CertStatus::Revoked { at, .. } => Some(*at),
            CertStatus::Good | CertStatus::Unknown | CertStatus::NeverIssued => None,
        });
        let this = revoked_at.fold(backdated, Timestamp::max).min(now);
        let ca_end = ca.issuer.certificate().not_after;
        let end = credential.validity.next().min(ca_end);
        Window::new(this, this.after(ca.ocsp.validity).min(end))
            .filter(|window| now < window.next())
    }
}

impl Responder {
    pub(super) fn sign(
        &self,
        ca: &Ca,
        statement: &Statement<'_>,
        credential: &Credential,
        now: Timestamp,
    ) -> Result<SignedAnswer, Refused> {
        let window = statement
            .window(ca, credential, now)
            .ok_or_else(|| later("the CA certificate or the credential is at its end"))?;
        let response = Response {
            cert_ids: statement.cert_ids,
            statuses: statement.statuses,
            window,
            nonce: statement.nonce,
            // What is never dropped is answered for since the CA began.
            archive_cutoff: ca
                .crl
                .keep_expired
                .then_some(ca.issuer.certificate().not_before),
            signatory: &credential.signatory,
        };
        let purpose = statement.purpose;
        let _slot =
            Slot::take(self, purpose).ok_or_else(|| later("too many answers are being signed"))?;
        let der = seal(credential, response, purpose)?;
        self.signatures[purpose as usize].fetch_add(1, Relaxed);
        Ok(SignedAnswer {
            window,
            replace_at: window.this().after(window.length() / 2),
            etag: statement
                .nonce
                .is_none()
                .then(|| Digest::of(&der).to_string()),
            der,
            entry: None,
        })
    }

    /// Signs what is given to whoever asked, and not kept here.
    pub(super) fn sign_once(
        &self,
        ca: &Ca,
        statement: &Statement<'_>,
        credential: &Credential,
        now: Timestamp,
    ) -> Result<Arc<SignedAnswer>, Refused> {
        self.sign(ca, statement, credential, now).map(Arc::new)
    }
}

/// One of the signatures at once.
struct Slot<'a>(&'a AtomicUsize);

impl<'a> Slot<'a> {
    /// None where there are too many. What is signed ahead of need is one at a time, and nobody
    /// would try it later.
    fn take(responder: &'a Responder, purpose: Purpose) -> Option<Self> {
        let slot = Self(&responder.signing);
        let is_free = slot.0.fetch_add(1, Relaxed) < responder.limits.signing;
        (is_free || purpose == Purpose::Ahead).then_some(slot)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Seals, where it takes long enough that other requests of this thread should go elsewhere, apart
/// from them.
fn seal(
    credential: &Credential,
    response: Response<'_>,
    purpose: Purpose,
) -> Result<Bytes, Refused> {
    match (credential.key.public().kind(), Handle::try_current()) {
        (KeyKind::Rsa(_), Ok(runtime))
            if runtime.runtime_flavor() == RuntimeFlavor::MultiThread =>
        {
            tokio::task::block_in_place(|| seal_here(credential, response, purpose))
        }
        _ => seal_here(credential, response, purpose),
    }
}

/// Drafts, lints, signs and checks. What is kept is read back by two parsers, and its signature
/// verified; what one client gets once, by one, and it relies on the proof that the key is the
/// certificate's ([`crate::core::seal::Proven`]).
fn seal_here(
    credential: &Credential,
    response: Response<'_>,
    purpose: Purpose,
) -> Result<Bytes, Refused> {
    let (key, draft) = (&credential.key, response.draft());
    let reading = match purpose {
        Purpose::Fleeting => Reading::Own,
        Purpose::Kept | Purpose::Ahead => Reading::Both,
    };
    let linted = draft.lint(&reading).map_err(our_fault)?;
    // There is nothing before it: each answer stands alone.
    let compared = linted.compare(&()).map_err(our_fault)?;
    let checked = match purpose {
        Purpose::Fleeting => key.seal_fleeting(compared),
        Purpose::Kept | Purpose::Ahead => key.seal(compared),
    };
    checked.map(|checked| checked.shared()).map_err(our_fault)
}

fn our_fault(error: impl Error) -> Refused {
    Refused {
        refusal: Refusal::InternalError,
        why: Chain(&error).to_string(),
    }
}
