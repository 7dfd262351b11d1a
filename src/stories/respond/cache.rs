//! Answers that are kept: a bounded cache, and how its content stays true and fresh without anybody
//! waiting for it.

use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use quick_cache::{
    Weighter,
    sync::{Cache, GuardResult},
};

use super::{
    IssuerState, Purpose, Refused, Responder, Served, SignedAnswer, later, sign::Statement,
    state::Usable,
};
use crate::core::{
    der::Reader,
    ocsp::{CertId, CertStatus},
    revocation::Status,
    serial::Serial,
    time::Timestamp,
};

/// Answers by CertID, DER; behind it the place of the credential, where that is not the first.
pub(super) type Answers = Cache<Vec<u8>, Arc<SignedAnswer>, ByLength>;

#[derive(Clone, Debug)]
pub(super) struct ByLength;

impl Weighter<Vec<u8>, Arc<SignedAnswer>> for ByLength {
    fn weight(&self, key: &Vec<u8>, answer: &Arc<SignedAnswer>) -> u64 {
        const OVERHEAD: usize = 256;
        (key.len() + answer.der.len() + OVERHEAD) as u64
    }
}

/// An empty cache for so many octets of answers.
pub(super) fn with_octets(octets: u64) -> Answers {
    const TYPICAL_OCTETS: u64 = 1024;
    Cache::with_weighter((octets / TYPICAL_OCTETS) as usize, octets, ByLength)
}

/// One certificate that is asked about without a nonce, and what is to be said of it now.
pub(super) struct Single<'a> {
    /// The issuer's place.
    pub(super) issuer: usize,
    pub(super) state: &'a IssuerState,
    pub(super) id: CertId<'a>,
    pub(super) status: CertStatus,
    /// When that was right.
    pub(super) level_at: Timestamp,
    pub(super) signer: Usable<'a>,
}

/// What the cache notes of an answer that it keeps.
#[derive(Debug)]
pub(super) struct CacheEntry {
    /// Whose certificate, by its place among the issuers.
    issuer: usize,
    status: CertStatus,
    /// Which credential signed: its place, and its serial.
    place: usize,
    signer: Serial,
    /// When it is time for another one, if it was asked for again.
    refresh_at: Timestamp,
    is_hot: AtomicBool,
}

/// How long to wait for another thread that signs the same.
const SIGNING: Duration = Duration::from_secs(1);
/// Most signatures ahead of need in one go, and how many without letting others work.
const AHEAD: usize = 1000;
const AT_ONCE: usize = 8;

/// What the kept answers take.
#[derive(Clone, Copy, Debug)]
pub struct CacheSize {
    /// Octets of memory, about.
    pub octets: u64,
    /// How many there are.
    pub answers: usize,
}

impl Responder {
    /// The kept answer, or a new one. Where several ask for the same at once, one signs.
    pub(super) fn keep(
        &self,
        single: &Single<'_>,
        now: Timestamp,
    ) -> Result<Arc<SignedAnswer>, Refused> {
        let longer;
        let key = match single.signer.place {
            0 => single.id.der,
            place => {
                longer = [single.id.der, &[place as u8]].concat();
                &longer
            }
        };
        if let Some(kept) = self.cache.get(key) {
            if kept.answers(single, now) {
                kept.mark_hot();
                return Ok(kept);
            }
            self.cache.remove_if(key, |kept| !kept.answers(single, now));
        }
        match self.cache.get_value_or_guard(key, Some(SIGNING)) {
            GuardResult::Value(kept) if kept.answers(single, now) => Ok(kept),
            GuardResult::Value(_) => self.sign_kept(single, Purpose::Kept, now),
            GuardResult::Guard(guard) => {
                let signed = self.sign_kept(single, Purpose::Kept, now)?;
                // What is larger than the cache is not kept.
                let _ = guard.insert(Arc::clone(&signed));
                Ok(signed)
            }
            GuardResult::Timeout => Err(later("another thread took too long to sign the same")),
        }
    }

    fn sign_kept(
        &self,
        single: &Single<'_>,
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<Arc<SignedAnswer>, Refused> {
        let (id, credential) = (&single.id, single.signer.credential);
        let statement = Statement {
            cert_ids: std::slice::from_ref(id),
            statuses: std::slice::from_ref(&single.status),
            nonce: None,
            level_at: single.level_at,
            purpose,
        };
        let mut signed = self.sign(&self.issuers[single.issuer].ca, &statement, credential, now)?;
        let left = signed.replace_at.since(now);
        // Between half and three quarters of its time, so that what was signed at once is not
        // replaced at once.
        let spread = left / 4 * u32::from(id.der.last().copied().unwrap_or_default()) / 256;
        signed.entry = Some(CacheEntry {
            issuer: single.issuer,
            status: single.status,
            place: single.signer.place,
            signer: credential.certificate.serial,
            refresh_at: now.after(left / 2 + spread),
            is_hot: AtomicBool::new(false),
        });
        Ok(Arc::new(signed))
    }

    /// Drops kept answers that are no longer true, and replaces those that are asked for before
    /// they are too old, or when there is another credential: so no request for them waits for a
    /// signature. Bounded work; what is left is done the next time.
    pub async fn tend(&self, now: Timestamp) {
        let due = self.sweep(now);
        for some in due.chunks(AT_ONCE) {
            for (key, old) in some {
                self.replace(key, old, now);
            }
            tokio::task::yield_now().await;
        }
    }

    /// Drops what is no longer true; what is asked for and due for another answer comes back.
    fn sweep(&self, now: Timestamp) -> Vec<(Vec<u8>, Arc<SignedAnswer>)> {
        let issuers = self.issuers.iter().zip(&self.swept);
        let issuers: Vec<_> = issuers
            .map(|(served, swept)| Swept::new(served, swept))
            .collect();
        let due = RefCell::new(Vec::new());
        self.cache.retain(|key, answer| {
            let Some(entry) = &answer.entry else {
                return false;
            };
            let Some(issuer) = issuers.get(entry.issuer) else {
                return false;
            };
            let is_good = now < answer.replace_at
                && issuer.agrees(key, entry)
                && entry.is_of_a_good_signer(&issuer.state, now);
            let is_due =
                !is_good || now >= entry.refresh_at || entry.is_by_another_than(&issuer.state, now);
            let mut due = due.borrow_mut();
            if is_due && entry.is_hot.load(Relaxed) && due.len() < AHEAD {
                due.push((key.clone(), Arc::clone(answer)));
            }
            is_good
        });
        due.into_inner()
    }

    fn replace(&self, key: &[u8], old: &SignedAnswer, now: Timestamp) {
        let Some(entry) = &old.entry else { return };
        let Some(served) = self.issuers.get(entry.issuer) else {
            return;
        };
        let state = served.state();
        let Some(level) = &state.level else { return };
        let Ok(id) = CertId::read(&mut Reader::new(key)) else {
            return;
        };
        let Some(signer) = state.usable(now).find(|usable| usable.place == entry.place) else {
            return;
        };
        if !level.is_within(served.ca.ocsp.max_staleness, now) {
            return;
        }
        let single = Single {
            issuer: entry.issuer,
            state: &state,
            id,
            status: served.status(&id, level.find(&id)),
            level_at: level.at,
            signer,
        };
        // What cannot be signed now is signed, or refused, when it is asked for.
        if let Ok(signed) = self.sign_kept(&single, Purpose::Ahead, now) {
            self.cache.insert(key.to_vec(), signed);
        }
    }

    /// What the kept answers take.
    pub fn cache_size(&self) -> CacheSize {
        CacheSize {
            octets: self.cache.weight(),
            answers: self.cache.len(),
        }
    }
}

impl SignedAnswer {
    /// Whether it may still be given for an answer about `single`.
    fn answers(&self, single: &Single<'_>, now: Timestamp) -> bool {
        self.entry.as_ref().is_some_and(|entry| {
            now < self.replace_at
                && entry.status == single.status
                && entry.is_of_a_good_signer(single.state, now)
        })
    }

    /// A store only where it changes something: all threads read it.
    fn mark_hot(&self) {
        if let Some(entry) = &self.entry
            && !entry.is_hot.load(Relaxed)
        {
            entry.is_hot.store(true, Relaxed);
        }
    }
}

impl CacheEntry {
    /// What another credential signed before this one was there stays good, unless that one was
    /// revoked.
    fn is_of_a_good_signer(&self, state: &IssuerState, now: Timestamp) -> bool {
        let mut current = state
            .usable(now)
            .filter(|usable| usable.place == self.place);
        current.any(|usable| usable.credential.certificate.serial == self.signer)
            || state.level.as_ref().is_some_and(|level| {
                let signer = level.replica.get(&self.signer);
                !signer.is_some_and(Status::is_listed)
            })
    }

    fn is_by_another_than(&self, state: &IssuerState, now: Timestamp) -> bool {
        state.usable(now).any(|usable| {
            usable.place == self.place && usable.credential.certificate.serial != self.signer
        })
    }
}

/// An issuer whose kept answers are looked through.
struct Swept<'a> {
    served: &'a Served,
    state: Arc<IssuerState>,
    /// Where nothing changed in the index, no status did.
    is_changed: bool,
}

impl<'a> Swept<'a> {
    fn new(served: &'a Served, swept: &AtomicU64) -> Self {
        let state = served.state();
        let seq = state
            .level
            .as_ref()
            .map_or(0, |level| level.replica.head().seq);
        Self {
            served,
            state,
            is_changed: swept.swap(seq, Relaxed) != seq,
        }
    }

    /// Whether the index in memory says the same; nothing contradicts without one.
    fn agrees(&self, key: &[u8], entry: &CacheEntry) -> bool {
        let (true, Some(level)) = (self.is_changed, &self.state.level) else {
            return true;
        };
        let Ok(id) = CertId::read(&mut Reader::new(key)) else {
            return true;
        };
        self.served.status(&id, level.find(&id)) == entry.status
    }
}
