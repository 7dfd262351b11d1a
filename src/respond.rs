//! The responder's story: bytes become CertIDs, a CertID names one of our issuers, the replica knows each serial's
//! status, and the answer is drafted, linted, signed, checked and kept.
//!
//! No storage and no call to the CA's key is on this path. OCSP never guesses: without a replica level with the index
//! within `max_staleness`, or without a credential that is valid now, the answer is `tryLater`.

use std::sync::{Arc, PoisonError, RwLock};

use quick_cache::{Weighter, sync::Cache};

use crate::{
    ca::Ca,
    config::Unlisted,
    core::{
        ocsp::{self, CertId, CertStatus, Refusal, Request, Response},
        replica::Replica,
        revocation::{State, Status},
        serial::Serial,
        time::{Timestamp, Window},
    },
    credential::Credential,
    shelf::sha256,
};

/// What is answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A signed response.
    Signed(Arc<Signed>),
    /// A status without answers, and why for the log.
    Refused(Refusal, String),
}

/// A signed response, ready to be sent.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The DER `OCSPResponse`.
    pub der: axum::body::Bytes,
    /// thisUpdate and nextUpdate.
    pub window: Window,
    /// When it is replaced by a newer one.
    pub replace_at: Timestamp,
    /// Its SHA-256 in hexadecimal; none where it carries a nonce, so that nobody else can use it.
    pub etag: Option<String>,
    /// What it says, to drop it when the replica says otherwise.
    statuses: Vec<CertStatus>,
    /// Whose key signed it.
    credential: Serial,
}

/// Answers for all issuers from memory.
#[derive(Debug)]
pub struct Responder {
    issuers: Vec<Served>,
    cache: Cache<Vec<u8>, Arc<Signed>, ByLength>,
}

/// One issuer, and what is known of it now.
#[derive(Debug)]
pub struct Served {
    /// The issuer.
    pub ca: Ca,
    known: RwLock<Arc<Known>>,
}

/// What is known of an issuer now.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The index, and when it was last seen to be level.
    pub replica: Option<(Replica, Timestamp)>,
    /// What signs.
    pub credential: Option<Arc<Credential>>,
    /// When the credential was last looked for.
    looked_at: Option<Timestamp>,
    /// Why the index could not be read the last time.
    index_problem: Option<String>,
    /// Why the credential could not be read the last time.
    credential_problem: Option<String>,
}

impl Known {
    /// Why the index or the credential could not be read the last time.
    pub fn problem(&self) -> Option<&str> {
        self.index_problem.as_deref().or(self.credential_problem.as_deref())
    }
}

/// Most octets of kept answers.
const CACHE_OCTETS: u64 = 64 << 20;

#[derive(Clone, Debug)]
struct ByLength;

impl Weighter<Vec<u8>, Arc<Signed>> for ByLength {
    fn weight(&self, key: &Vec<u8>, signed: &Arc<Signed>) -> u64 {
        const OVERHEAD: usize = 256;
        (key.len() + signed.der.len() + OVERHEAD) as u64
    }
}

impl Served {
    /// What is known now.
    pub fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads on in the index, and looks whether there is another credential.
    pub async fn refresh(&self, now: Timestamp) {
        let known = self.known();
        let replica = self.level(&known).await;
        let mut next = Known::clone(&known);
        next.index_problem = replica.as_ref().err().cloned();
        if let Ok(replica) = replica {
            next.replica = Some((replica, now));
            // A vault that is slow must not make the index look stale.
            self.know(next.clone());
        }
        if self.looks_for_credential(&known, now) {
            let credential = self.ca.credentials.open(&self.ca.issuer).await;
            next.looked_at = Some(now);
            next.credential_problem = credential.as_ref().err().map(ToString::to_string);
            if let Ok(Some(credential)) = credential {
                next.credential = Some(Arc::new(credential));
            }
        }
        self.know(next);
    }

    fn know(&self, next: Known) {
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
    }

    /// Reads on in the index. A process that begins has seen nothing of it yet, so it makes sure that the index is the
    /// one that the CRL on the shelf was made from: one that was emptied or put back would say `good` of the revoked.
    async fn level(&self, known: &Known) -> Result<Replica, String> {
        let before = known.replica.as_ref().map(|(replica, _)| replica);
        let replica = self.ca.level(before).await.map_err(|error| error.to_string())?;
        if before.is_none() {
            let label = self.ca.shelf.current().await.ok().flatten().and_then(|stored| stored.label);
            let remembered = match &label {
                Some(label) => self.ca.remembers(label).await.map_err(|error| error.to_string())?,
                None => true,
            };
            if !remembered {
                return Err("it is not the index that the CRL on the shelf was made from; was it put back?".to_owned());
            }
        }
        Ok(replica)
    }

    /// A vault is not asked every few seconds, unless there is no good credential.
    fn looks_for_credential(&self, known: &Known, now: Timestamp) -> bool {
        const AGAIN: std::time::Duration = std::time::Duration::from_secs(5);
        let is_good = known.credential.as_ref().is_some_and(|credential| credential.is_valid(now));
        let every = self.ca.credentials.look_every();
        let every = if is_good { every } else { every.min(AGAIN) };
        known.looked_at.is_none_or(|at| now.since(at) >= every)
    }
}

impl Responder {
    /// Answers for these issuers; knows nothing until the first [`Served::refresh`].
    pub fn new(cas: Vec<Ca>) -> Self {
        const TYPICAL_OCTETS: u64 = 1024;
        let issuers = cas.into_iter().map(|ca| Served { ca, known: RwLock::default() }).collect();
        let entries = (CACHE_OCTETS / TYPICAL_OCTETS) as usize;
        Self { issuers, cache: Cache::with_weighter(entries, CACHE_OCTETS, ByLength) }
    }

    /// The issuers.
    pub fn issuers(&self) -> &[Served] {
        &self.issuers
    }

    /// Answers the bytes of a request.
    pub fn respond(&self, request: &[u8], now: Timestamp) -> Answer {
        let request = match Request::read(request) {
            Ok(request) => request,
            Err(error) => return Answer::Refused(Refusal::MalformedRequest, error.to_string()),
        };
        let Some(served) = self.named_by(&request.cert_ids) else {
            // RFC 9919 §3.2.3: no authoritative record. One response has one signer, so CertIDs of two of our
            // issuers in one request find none either.
            return Answer::Refused(Refusal::Unauthorized, "the certificates are not one issuer of ours".to_owned());
        };
        match self.answer(served, &request, now) {
            Ok(signed) => Answer::Signed(signed),
            Err((refusal, why)) => Answer::Refused(refusal, format!("issuer {}: {why}", served.ca.name)),
        }
    }

    /// Whether some bytes are a request about certificates of one issuer of ours.
    pub fn is_for_us(&self, request: &[u8]) -> bool {
        Request::read(request).is_ok_and(|request| self.named_by(&request.cert_ids).is_some())
    }

    /// The issuer that every CertID names.
    fn named_by(&self, cert_ids: &[CertId<'_>]) -> Option<&Served> {
        let names = |served: &Served, id: &CertId<'_>| {
            id.algorithm.is_some_and(|hash| served.ca.issuer.is_named_by(hash, id.name_hash, id.key_hash))
        };
        self.issuers.iter().find(|served| cert_ids.iter().all(|id| names(served, id)))
    }

    fn answer(&self, served: &Served, request: &Request<'_>, now: Timestamp) -> Result<Arc<Signed>, Refused> {
        let later = |why: &str| (Refusal::TryLater, why.to_owned());
        let known = served.known();
        let (replica, level_at) = known.replica.as_ref().ok_or_else(|| later("the index was not read yet"))?;
        if now.since(*level_at) > served.ca.ocsp.max_staleness {
            return Err(later("the index was out of reach for longer than max_staleness"));
        }
        let is_revoked = |serial| replica.get(&serial).is_some_and(Status::is_listed);
        let credential = known
            .credential
            .as_ref()
            .filter(|credential| credential.is_valid(now) && !is_revoked(credential.certificate.serial));
        let credential = credential.ok_or_else(|| later("there is no valid credential"))?;
        let statuses: Vec<_> = request.cert_ids.iter().map(|id| status(served, replica, id)).collect();

        let key = match (request.nonce, &request.cert_ids[..]) {
            (None, [one]) => one.der.to_vec(),
            _ => return sign(served, request, statuses, credential, now).map(Arc::new),
        };
        if let Some(kept) = self.cache.get(&key)
            && kept.statuses == statuses
            && kept.credential == credential.certificate.serial
            && now < kept.replace_at
        {
            return Ok(kept);
        }
        let signed = Arc::new(sign(served, request, statuses, credential, now)?);
        self.cache.insert(key, Arc::clone(&signed));
        Ok(signed)
    }
}

/// A status without answers, and why.
type Refused = (Refusal, String);

fn status(served: &Served, replica: &Replica, id: &CertId<'_>) -> CertStatus {
    // No certificate can have such a serial number.
    let Some(serial) = id.serial else { return CertStatus::Unknown };
    match replica.get(&serial) {
        Some(status) if status.state == State::Valid => CertStatus::Good,
        Some(status) => match status.revoked_at {
            Some(at) => CertStatus::Revoked { at, reason: status.reason },
            None => CertStatus::Unknown,
        },
        None => match served.ca.ocsp.unlisted {
            Unlisted::Good => CertStatus::Good,
            Unlisted::Unknown => CertStatus::Unknown,
        },
    }
}

fn sign(
    served: &Served,
    request: &Request<'_>,
    statuses: Vec<CertStatus>,
    credential: &Credential,
    now: Timestamp,
) -> Result<Signed, Refused> {
    let fault = |error: &dyn std::fmt::Display| (Refusal::InternalError, error.to_string());
    let window = window(served, &statuses, credential, now)
        .ok_or((Refusal::TryLater, "the CA certificate or the credential is at its end".to_owned()))?;
    let key = credential.certificate.public_key().map_err(|error| fault(&error))?;
    let response = Response {
        singles: request.cert_ids.iter().map(|id| id.der.to_vec()).zip(statuses.iter().copied()).collect(),
        window,
        nonce: request.nonce.map(<[u8]>::to_vec),
        responder: ocsp::key_hash(&key),
        certificate: credential.certificate.der.clone(),
    };
    let linted = response.draft(key.default_algorithm()).lint(&()).map_err(|error| fault(&error))?;
    let signed = credential.key.sign(linted).map_err(|error| fault(&error))?;
    let der = signed.check(&key, &()).map_err(|error| fault(&error))?.into_bytes();
    let etag = request.nonce.is_none().then(|| sha256(&der));
    let replace_at = window.this().after(window.length() / 2);
    Ok(Signed { der: der.into(), window, replace_at, etag, statuses, credential: credential.certificate.serial })
}

/// From `backdate` before now; ends within the validity of the credential and of the CA (Mozilla policy §6).
fn window(served: &Served, statuses: &[CertStatus], credential: &Credential, now: Timestamp) -> Option<Window> {
    let backdated = now.before(served.ca.ocsp.backdate);
    // "Revoked since" may not be later than "this was right at".
    let revoked_at = |status: &CertStatus| match status {
        CertStatus::Revoked { at, .. } => Some(*at),
        CertStatus::Good | CertStatus::Unknown => None,
    };
    let this = statuses.iter().filter_map(revoked_at).fold(backdated, Timestamp::max).min(now);
    let end = credential.validity.next().min(served.ca.issuer.certificate().not_after);
    Window::new(this, this.after(served.ca.ocsp.validity).min(end)).filter(|window| now < window.next())
}
