//! The responder's story: bytes become CertIDs, a CertID names one of our issuers, the replica
//! knows each serial's status, and the answer is drafted, linted, signed, checked and kept.
//!
//! No storage and no call to the CA's key is on this path, with one exception: a process that is
//! still reading the index into memory looks at single rows of it. OCSP never guesses: without a
//! replica level with the index within `max_staleness`, or without a credential that is valid now,
//! the answer is `tryLater`.
//!
//! Memory and time are bounded: kept answers by [`Limits::cache_octets`], signatures at once by
//! [`Limits::signing`].

mod cache;
mod sign;
mod state;

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use crate::{
    ca::Ca,
    core::{
        chain::Chain,
        ocsp::{Refusal, Request},
        revocation::Status,
        serial::Serial,
        time::Timestamp,
    },
};

pub use cache::CacheSize;
use cache::{Answers, Single};
use sign::Statement;
pub use sign::{Purpose, SignedAnswer};
pub(crate) use state::{IssuerState, Served};

impl Responder {
    /// Answers the bytes of a request at `now`.
    pub async fn respond(&self, bytes: &[u8], now: Timestamp) -> Answer {
        let (issuer, request) = match self.read(bytes) {
            Ok(read) => read,
            Err(refused) => return Answer::Refused(refused.refusal, refused.why),
        };
        let result = self.answer(issuer, &request, now).await;
        if request.nonce.is_some() && result.is_ok() {
            // The other answers that this thread can make now are made, as a rule, before the first
            // is sent: the code and tables of signatures stay in the processor's caches, and a
            // client's process is woken once for many. `benches/compare ocsp` shows a tenth more of
            // them for it.
            tokio::task::yield_now().await;
        }
        match result {
            Ok(signed) => Answer::Signed(signed),
            Err(Refused { refusal, why }) => {
                let name = &self.issuers[issuer].ca.name;
                Answer::Refused(refusal, format!("issuer {name}: {why}"))
            }
        }
    }

    /// Bytes become CertIDs, and these name an issuer: its place, and the request.
    fn read<'a>(&self, bytes: &'a [u8]) -> Result<(usize, Request<'a>), Refused> {
        let request = Request::read(bytes).map_err(|error| Refused {
            refusal: Refusal::MalformedRequest,
            why: Chain(&error).to_string(),
        })?;
        // RFC 9919 §3.2.3: no authoritative record. One response has one signer, so CertIDs of two
        // of our issuers in one request find none either.
        let ids = &request.cert_ids;
        let issuer = self
            .issuers
            .iter()
            .position(|served| ids.iter().all(|id| served.is_named_by(id)));
        match issuer {
            Some(issuer) => Ok((issuer, request)),
            None => Err(Refused {
                refusal: Refusal::Unauthorized,
                why: "the certificates are not one issuer of ours".to_owned(),
            }),
        }
    }

    /// The replica gives each status, and the credential signs them.
    async fn answer(
        &self,
        issuer: usize,
        request: &Request<'_>,
        now: Timestamp,
    ) -> Result<Arc<SignedAnswer>, Refused> {
        let served = &self.issuers[issuer];
        let state = served.state();
        let Some(level) = &state.level else {
            return self.answer_from_rows(served, &state, request, now).await;
        };
        if !level.is_within(served.ca.ocsp.max_staleness, now) {
            return Err(later(
                "the index was out of reach for longer than max_staleness",
            ));
        }
        let signer = state.signer(request, now)?;
        if let (None, [id]) = (request.nonce, &request.cert_ids[..]) {
            let single = Single {
                issuer,
                state: &state,
                id: *id,
                status: served.status(id, level.find(id)),
                level_at: level.at,
                signer,
            };
            return self.keep(&single, now);
        }
        let ids = request.cert_ids.iter();
        let statuses: Vec<_> = ids.map(|id| served.status(id, level.find(id))).collect();
        let statement = Statement {
            cert_ids: &request.cert_ids,
            statuses: &statuses,
            nonce: request.nonce,
            level_at: level.at,
            purpose: Purpose::with(request.nonce),
        };
        self.sign_once(&served.ca, &statement, signer.credential, now)
    }

    /// Likewise from rows of the index, while the whole is being read for the first time. Nothing
    /// is kept.
    async fn answer_from_rows(
        &self,
        served: &Served,
        state: &IssuerState,
        request: &Request<'_>,
        now: Timestamp,
    ) -> Result<Arc<SignedAnswer>, Refused> {
        let credential = state.signer(request, now)?.credential;
        let ids = request.cert_ids.iter();
        let serials: Vec<_> = ids.clone().filter_map(|id| id.serial).collect();
        let rows = served.look_up(serials).await?;
        if row(&rows, &credential.certificate.serial).is_some_and(Status::is_listed) {
            return Err(later("the credential is revoked"));
        }
        let statuses: Vec<_> = ids
            .map(|id| served.status(id, id.serial.and_then(|serial| row(&rows, &serial))))
            .collect();
        let statement = Statement {
            cert_ids: &request.cert_ids,
            statuses: &statuses,
            nonce: request.nonce,
            level_at: now,
            purpose: Purpose::with(request.nonce),
        };
        self.sign_once(&served.ca, &statement, credential, now)
    }
}

fn row<'a>(rows: &'a [Status], serial: &Serial) -> Option<&'a Status> {
    rows.iter().find(|row| row.serial() == *serial)
}

/// What is answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A signed response.
    Signed(Arc<SignedAnswer>),
    /// A status without answers, and why for the log.
    Refused(Refusal, String),
}

/// A status without answers, on its way to be told.
struct Refused {
    refusal: Refusal,
    why: String,
}

fn later(why: &str) -> Refused {
    Refused {
        refusal: Refusal::TryLater,
        why: why.to_owned(),
    }
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

/// Answers for all issuers from memory.
#[derive(Debug)]
pub struct Responder {
    issuers: Vec<Served>,
    cache: Answers,
    /// For each issuer the change set up to which its kept answers were compared.
    swept: Vec<AtomicU64>,
    limits: Limits,
    signing: AtomicUsize,
    signatures: [AtomicU64; Purpose::ALL.len()],
}

impl Responder {
    /// Answers for these issuers; knows nothing until the first [`Served::refresh`].
    pub fn new(cas: Vec<Ca>) -> Self {
        Self::with_limits(cas, Limits::default())
    }

    /// Likewise, with other limits.
    pub fn with_limits(cas: Vec<Ca>, limits: Limits) -> Self {
        Self {
            swept: cas.iter().map(|_| AtomicU64::default()).collect(),
            issuers: cas.into_iter().map(Served::new).collect(),
            cache: cache::with_octets(limits.cache_octets),
            limits,
            signing: AtomicUsize::default(),
            signatures: Default::default(),
        }
    }

    /// The issuers.
    pub fn issuers(&self) -> &[Served] {
        &self.issuers
    }

    /// Whether some bytes are a request about certificates of one issuer of ours.
    pub fn is_for_us(&self, bytes: &[u8]) -> bool {
        self.read(bytes).is_ok()
    }

    /// Signatures made since the start.
    pub fn signatures(&self, purpose: Purpose) -> u64 {
        self.signatures[purpose as usize].load(Relaxed)
    }
}
