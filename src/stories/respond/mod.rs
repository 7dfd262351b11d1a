//! The responder's story: bytes become CertIDs, a CertID names one of our issuers, the replica
//! knows each serial's status, and the answer is drafted, linted, signed, checked and kept.
//!
//! No storage and no call to the CA's key is on this path; a process that is still reading the
//! index into memory looks at single rows of it instead ([`Responder::ask`]). OCSP never guesses:
//! without a replica level with the index within `max_staleness`, or without a credential that is
//! valid now, the answer is `tryLater`.
//!
//! Memory and time are bounded: kept answers by [`Limits::cache_octets`], signatures at once by
//! [`Limits::signing`].

mod cache;
mod state;

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use bytes::Bytes;

use crate::{
    ca::{Ca, credential::Credential},
    core::{
        chain::Chain,
        digest::Digest,
        journal::replica::Replica,
        key::KeyKind,
        ocsp::{CertId, CertStatus, Reading, Refusal, Request, Response},
        revocation::Status,
        serial::Serial,
        time::{Timestamp, Window},
    },
};

use cache::{About, Answers, Question};
pub use state::{Held, Known, Served};

/// What is answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A signed response.
    Signed(Arc<Signed>),
    /// A status without answers, and why for the log.
    Refused(Refusal, String),
}

/// A signed response, ready to be sent.
#[derive(Debug)]
pub struct Signed {
    /// The DER `OCSPResponse`.
    pub der: Bytes,
    /// thisUpdate and nextUpdate.
    pub window: Window,
    /// When it is replaced by a newer one.
    pub replace_at: Timestamp,
    /// Its SHA-256 in hexadecimal; none where it carries a nonce, so that nobody else can use it.
    pub etag: Option<String>,
    about: Option<About>,
}

/// What a responder may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most octets of kept answers.
    pub cache_octets: u64,
    /// Most signatures at once; who comes then is told to try later. Threads bound it for ECDSA,
    /// which takes microseconds; RSA takes a millisecond, and lets other requests pass meanwhile.
    pub signing: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cache_octets: 64 << 20,
            signing: 64,
        }
    }
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

    /// As `/metrics` says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fleeting => "nonce",
            Self::Kept => "request",
            Self::Ahead => "ahead",
        }
    }
}

/// Answers for all issuers from memory.
#[derive(Debug)]
pub struct Responder {
    issuers: Vec<Served>,
    cache: Answers,
    /// See [`Responder::tend`].
    swept: Vec<AtomicU64>,
    limits: Limits,
    signing: AtomicUsize,
    signatures: [AtomicU64; Purpose::ALL.len()],
}

/// A status without answers, and why.
type Refused = (Refusal, String);

fn later(why: &str) -> Refused {
    (Refusal::TryLater, why.to_owned())
}

/// What was asked, and what is to be said.
struct Asked<'a> {
    cert_ids: &'a [CertId<'a>],
    nonce: Option<&'a [u8]>,
    statuses: &'a [CertStatus],
    /// When that was right.
    level_at: Timestamp,
}

impl<'a> Asked<'a> {
    fn of(request: &'a Request<'a>, statuses: &'a [CertStatus], level_at: Timestamp) -> Self {
        Self {
            cert_ids: &request.cert_ids,
            nonce: request.nonce,
            statuses,
            level_at,
        }
    }
}

impl Responder {
    /// Answers for these issuers; knows nothing until the first [`Served::refresh`].
    pub fn new(cas: Vec<Ca>) -> Self {
        Self::with_limits(cas, Limits::default())
    }

    /// Likewise, with other limits.
    pub fn with_limits(cas: Vec<Ca>, limits: Limits) -> Self {
        let issuers: Vec<_> = cas.into_iter().map(Served::new).collect();
        let (cache, swept) = (
            cache::cache(limits.cache_octets),
            cache::swept(issuers.len()),
        );
        Self {
            issuers,
            cache,
            swept,
            limits,
            signing: AtomicUsize::default(),
            signatures: Default::default(),
        }
    }

    /// The issuers.
    pub fn issuers(&self) -> &[Served] {
        &self.issuers
    }

    /// Signatures made since the start.
    pub fn signatures(&self, purpose: Purpose) -> u64 {
        self.signatures[purpose as usize].load(Relaxed)
    }

    /// Answers the bytes of a request from memory.
    pub fn respond(&self, request: &[u8], now: Timestamp) -> Answer {
        let (issuer, request) = match self.read(request) {
            Ok(read) => read,
            Err((refusal, why)) => return Answer::Refused(refusal, why),
        };
        self.told(
            issuer,
            self.answer(issuer, &self.issuers[issuer].known(), &request, now),
        )
    }

    /// Answers the bytes of a request; while the index is read into memory for the first time, from
    /// single rows.
    pub async fn ask(&self, request: &[u8], now: Timestamp) -> Answer {
        let (issuer, request) = match self.read(request) {
            Ok(read) => read,
            Err((refusal, why)) => return Answer::Refused(refusal, why),
        };
        let known = self.issuers[issuer].known();
        let result = match known.replica {
            Some(_) => self.answer(issuer, &known, &request, now),
            None => self.answer_cold(issuer, &known, &request, now).await,
        };
        if request.nonce.is_some() && result.is_ok() {
            // The other answers that this thread can make now are made, as a rule, before the first
            // is sent: the code and tables of signatures stay in the processor's caches, and a
            // client's process is woken once for many. `benches/compare ocsp` shows a tenth more of
            // them for it.
            tokio::task::yield_now().await;
        }
        self.told(issuer, result)
    }

    /// Whether some bytes are a request about certificates of one issuer of ours.
    pub fn is_for_us(&self, request: &[u8]) -> bool {
        self.read(request).is_ok()
    }

    fn read<'a>(&self, request: &'a [u8]) -> Result<(usize, Request<'a>), Refused> {
        let request = Request::read(request)
            .map_err(|error| (Refusal::MalformedRequest, Chain(&error).to_string()))?;
        // RFC 9919 §3.2.3: no authoritative record. One response has one signer, so CertIDs of two
        // of our issuers in one request find none either.
        let none = || {
            (
                Refusal::Unauthorized,
                "the certificates are not one issuer of ours".to_owned(),
            )
        };
        Ok((self.named_by(&request.cert_ids).ok_or_else(none)?, request))
    }

    /// The issuer that every CertID names.
    fn named_by(&self, cert_ids: &[CertId<'_>]) -> Option<usize> {
        let names = |served: &Served, id: &CertId<'_>| {
            id.algorithm.is_some_and(|hash| {
                served
                    .ca
                    .issuer
                    .is_named_by(hash, id.name_hash, id.key_hash)
            })
        };
        self.issuers
            .iter()
            .position(|served| cert_ids.iter().all(|id| names(served, id)))
    }

    fn told(&self, issuer: usize, result: Result<Arc<Signed>, Refused>) -> Answer {
        match result {
            Ok(signed) => Answer::Signed(signed),
            Err((refusal, why)) => Answer::Refused(
                refusal,
                format!("issuer {}: {why}", self.issuers[issuer].ca.name),
            ),
        }
    }

    fn answer(
        &self,
        issuer: usize,
        known: &Known,
        request: &Request<'_>,
        now: Timestamp,
    ) -> Result<Arc<Signed>, Refused> {
        let served = &self.issuers[issuer];
        let (replica, level_at) = known
            .replica
            .as_ref()
            .ok_or_else(|| later("the index was not read yet"))?;
        if now.since(*level_at) > served.ca.ocsp.max_staleness {
            return Err(later(
                "the index was out of reach for longer than max_staleness",
            ));
        }
        let (place, credential) = choose(known, request, now)?;
        if let (None, [id]) = (request.nonce, &request.cert_ids[..]) {
            let status = served.status(id, find(replica, id));
            return self.kept(
                &Question {
                    issuer,
                    known,
                    id: *id,
                    status,
                    level_at: *level_at,
                    place,
                },
                now,
            );
        }
        let statuses: Vec<_> = request
            .cert_ids
            .iter()
            .map(|id| served.status(id, find(replica, id)))
            .collect();
        self.sign_asked(
            issuer,
            &Asked::of(request, &statuses, *level_at),
            credential,
            now,
        )
    }

    /// From rows of the index, while the whole is being read.
    async fn answer_cold(
        &self,
        issuer: usize,
        known: &Known,
        request: &Request<'_>,
        now: Timestamp,
    ) -> Result<Arc<Signed>, Refused> {
        let served = &self.issuers[issuer];
        let (_, credential) = choose(known, request, now)?;
        let serials = request.cert_ids.iter().filter_map(|id| id.serial).collect();
        let rows = served.look_up(serials).await.map_err(|why| later(&why))?;
        let row = |serial: &Serial| rows.iter().find(|row| row.serial() == *serial);
        if row(&credential.certificate.serial).is_some_and(Status::is_listed) {
            return Err(later("the credential is revoked"));
        }
        let status = |id: &CertId<'_>| served.status(id, id.serial.as_ref().and_then(row));
        let statuses: Vec<_> = request.cert_ids.iter().map(status).collect();
        self.sign_asked(issuer, &Asked::of(request, &statuses, now), credential, now)
    }

    fn sign_asked(
        &self,
        issuer: usize,
        asked: &Asked<'_>,
        credential: &Credential,
        now: Timestamp,
    ) -> Result<Arc<Signed>, Refused> {
        let purpose = if asked.nonce.is_some() {
            Purpose::Fleeting
        } else {
            Purpose::Kept
        };
        self.sign(issuer, asked, credential, purpose, now)
            .map(Arc::new)
    }

    fn sign(
        &self,
        issuer: usize,
        asked: &Asked<'_>,
        credential: &Credential,
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<Signed, Refused> {
        let ca = &self.issuers[issuer].ca;
        let window = window(ca, asked, credential, now)
            .ok_or_else(|| later("the CA certificate or the credential is at its end"))?;
        let response = Response {
            cert_ids: asked.cert_ids,
            statuses: asked.statuses,
            window,
            nonce: asked.nonce,
            // What is never dropped is answered for since the CA began.
            archive_cutoff: ca
                .crl
                .keep_expired
                .then_some(ca.issuer.certificate().not_before),
            signatory: &credential.signatory,
        };
        let _slot =
            Slot::take(self, purpose).ok_or_else(|| later("too many answers are being signed"))?;
        let der =
            seal(credential, response, purpose).map_err(|error| (Refusal::InternalError, error))?;
        self.signatures[purpose as usize].fetch_add(1, Relaxed);
        let etag = asked.nonce.is_none().then(|| Digest::of(&der).to_string());
        let replace_at = window.this().after(window.length() / 2);
        Ok(Signed {
            der,
            window,
            replace_at,
            etag,
            about: None,
        })
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

fn find<'a>(replica: &'a Replica, id: &CertId<'_>) -> Option<&'a Status> {
    id.serial.as_ref().and_then(|serial| replica.get(serial))
}

/// RFC 6960 §4.4.7.2: "Select an algorithm specified as a preferred signature algorithm in the
/// client request", the dearest that a credential of ours has; otherwise the first credential that
/// may sign. None is weaker than another.
fn choose<'a>(
    known: &'a Known,
    request: &Request<'_>,
    now: Timestamp,
) -> Result<(usize, &'a Arc<Credential>), Refused> {
    let is_wanted = |preferred| {
        known
            .usable(now)
            .find(|(_, credential)| credential.signatory.is(&preferred))
    };
    let wanted = request.preferred().find_map(is_wanted);
    wanted
        .or_else(|| known.usable(now).next())
        .ok_or_else(|| later("there is no valid credential"))
}

/// Drafts, lints, signs and checks. What is kept is read back by two parsers, and its signature
/// verified; what one client gets once, by one, and it relies on the proof that the key is the
/// certificate's ([`crate::core::seal::Proven`]).
fn seal(
    credential: &Credential,
    response: Response<'_>,
    purpose: Purpose,
) -> Result<Bytes, String> {
    let work = || {
        let draft = response.draft();
        let (key, told) = (&credential.key, |error: &dyn std::error::Error| {
            Chain(error).to_string()
        });
        let is_fleeting = purpose == Purpose::Fleeting;
        let reading = if is_fleeting {
            Reading::Own
        } else {
            Reading::Both
        };
        let linted = draft.lint(&reading).map_err(|error| told(&error))?;
        // There is nothing before it: each answer stands alone.
        let compared = linted.compare(&()).map_err(|error| told(&error))?;
        let checked = match is_fleeting {
            true => key.seal_fleeting(compared),
            false => key.seal(compared),
        };
        checked
            .map(|checked| checked.shared())
            .map_err(|error| told(&error))
    };
    match (
        credential.key.public().kind(),
        tokio::runtime::Handle::try_current(),
    ) {
        // Long enough that other requests of this thread should go elsewhere.
        (KeyKind::Rsa(_), Ok(runtime))
            if runtime.runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread =>
        {
            tokio::task::block_in_place(work)
        }
        _ => work(),
    }
}

/// From `backdate` before now; ends within the validity of the credential and of the CA (Mozilla
/// policy §6).
fn window(ca: &Ca, asked: &Asked<'_>, credential: &Credential, now: Timestamp) -> Option<Window> {
    // RFC 6960 §2.4: "The most recent time at which the status being indicated is known by the
    // responder to have been correct", and not later.
    let backdated = now.before(ca.ocsp.backdate).min(asked.level_at);
    // "Revoked since" may not be later than "this was right at".
    let revoked_at = |status: &CertStatus| match status {
        CertStatus::Revoked { at, .. } => Some(*at),
        CertStatus::Good | CertStatus::Unknown | CertStatus::NeverIssued => None,
    };
    let this = asked
        .statuses
        .iter()
        .filter_map(revoked_at)
        .fold(backdated, Timestamp::max)
        .min(now);
    let end = credential
        .validity
        .next()
        .min(ca.issuer.certificate().not_after);
    Window::new(this, this.after(ca.ocsp.validity).min(end)).filter(|window| now < window.next())
}
