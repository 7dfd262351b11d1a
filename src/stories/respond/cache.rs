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

use super::{Asked, Known, Purpose, Refused, Responder, Signed, later};
use crate::core::{
    der::Reader,
    ocsp::{CertId, CertStatus},
    revocation::Status,
    serial::Serial,
    time::Timestamp,
};

/// Answers by CertID, DER; behind it the place of the credential, where that is not the first.
pub(super) type Answers = Cache<Vec<u8>, Arc<Signed>, ByLength>;

#[derive(Clone, Debug)]
pub(super) struct ByLength;

impl Weighter<Vec<u8>, Arc<Signed>> for ByLength {
    fn weight(&self, key: &Vec<u8>, signed: &Arc<Signed>) -> u64 {
        const OVERHEAD: usize = 256;
        (key.len() + signed.der.len() + OVERHEAD) as u64
    }
}

/// What a kept answer is about.
#[derive(Debug)]
pub(super) struct About {
    /// Whose certificate, by its place among the issuers.
    issuer: usize,
    serial: Option<Serial>,
    status: CertStatus,
    /// Which credential signed: its place, and its serial.
    place: usize,
    signer: Serial,
    /// When it is time for another one, if it was asked for again.
    refresh_at: Timestamp,
    is_hot: AtomicBool,
}

/// One certificate that is asked about, and what is to be said of it.
pub(super) struct Question<'a> {
    pub(super) issuer: usize,
    pub(super) known: &'a Known,
    pub(super) id: CertId<'a>,
    pub(super) status: CertStatus,
    /// When that was right.
    pub(super) level_at: Timestamp,
    /// The place of the credential that shall sign.
    pub(super) place: usize,
}

/// How long to wait for another thread that signs the same.
const SIGNING: Duration = Duration::from_secs(1);
/// Most signatures ahead of need in one go, and how many without letting others work.
const AHEAD: usize = 1000;
const AT_ONCE: usize = 8;

pub(super) fn cache(octets: u64) -> Answers {
    const TYPICAL_OCTETS: u64 = 1024;
    Cache::with_weighter((octets / TYPICAL_OCTETS) as usize, octets, ByLength)
}

impl Signed {
    /// Whether it may still be given for an answer to `question`.
    fn answers(&self, question: &Question<'_>, now: Timestamp) -> bool {
        self.about.as_ref().is_some_and(|about| {
            now < self.replace_at
                && about.status == question.status
                && about.is_of_a_good_signer(question.known, now)
        })
    }
}

impl About {
    /// What another credential signed before this one was there stays good, unless that one was
    /// revoked.
    fn is_of_a_good_signer(&self, known: &Known, now: Timestamp) -> bool {
        let mut current = known.usable(now).filter(|(place, _)| *place == self.place);
        current.any(|(_, credential)| credential.certificate.serial == self.signer)
            || known
                .replica
                .as_ref()
                .is_some_and(|(index, _)| !index.get(&self.signer).is_some_and(Status::is_listed))
    }

    fn is_by_another_than(&self, known: &Known, now: Timestamp) -> bool {
        known
            .usable(now)
            .any(|(place, one)| place == self.place && one.certificate.serial != self.signer)
    }
}

impl Responder {
    /// The kept answer, or a new one. Where several ask for the same at once, one signs.
    pub(super) fn kept(
        &self,
        question: &Question<'_>,
        now: Timestamp,
    ) -> Result<Arc<Signed>, Refused> {
        let longer;
        let key = match question.place {
            0 => question.id.der,
            place => {
                longer = [question.id.der, &[place as u8]].concat();
                &longer
            }
        };
        if let Some(kept) = self.cache.get(key) {
            if kept.answers(question, now) {
                kept.mark_hot();
                return Ok(kept);
            }
            self.cache
                .remove_if(key, |kept| !kept.answers(question, now));
        }
        match self.cache.get_value_or_guard(key, Some(SIGNING)) {
            GuardResult::Value(kept) if kept.answers(question, now) => Ok(kept),
            GuardResult::Value(_) => self.sign_kept(question, Purpose::Kept, now),
            GuardResult::Guard(guard) => {
                let signed = self.sign_kept(question, Purpose::Kept, now)?;
                // What is larger than the cache is not kept.
                let _ = guard.insert(Arc::clone(&signed));
                Ok(signed)
            }
            GuardResult::Timeout => Err(later("another thread took too long to sign the same")),
        }
    }

    fn sign_kept(
        &self,
        question: &Question<'_>,
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<Arc<Signed>, Refused> {
        let credential = question
            .known
            .usable(now)
            .find(|(place, _)| *place == question.place);
        let (place, credential) =
            credential.ok_or_else(|| later("there is no valid credential"))?;
        let Question {
            issuer,
            id,
            status,
            level_at,
            ..
        } = question;
        let (cert_ids, statuses) = (std::slice::from_ref(id), std::slice::from_ref(status));
        let asked = Asked {
            cert_ids,
            nonce: None,
            statuses,
            level_at: *level_at,
        };
        let mut signed = self.sign(*issuer, &asked, credential, purpose, now)?;
        let left = signed.replace_at.since(now);
        // Between half and three quarters of its time, so that what was signed at once is not
        // replaced at once.
        let spread = left / 4 * u32::from(id.der.last().copied().unwrap_or_default()) / 256;
        signed.about = Some(About {
            issuer: *issuer,
            serial: id.serial,
            status: *status,
            place,
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

    fn sweep(&self, now: Timestamp) -> Vec<(Vec<u8>, Arc<Signed>)> {
        let known: Vec<_> = self.issuers.iter().map(|served| served.known()).collect();
        // Where nothing changed in the index, no status did.
        let seq = |known: &Known| {
            known
                .replica
                .as_ref()
                .map_or(0, |(index, _)| index.head().seq)
        };
        let changed = self
            .swept
            .iter()
            .zip(&known)
            .map(|(swept, known)| swept.swap(seq(known), Relaxed) != seq(known));
        let changed: Vec<bool> = changed.collect();
        let due = RefCell::new(Vec::new());
        self.cache.retain(|key, signed| {
            let Some(about) = &signed.about else {
                return false;
            };
            let (Some(known), Some(served)) =
                (known.get(about.issuer), self.issuers.get(about.issuer))
            else {
                return false;
            };
            let is_true = !changed.get(about.issuer).is_some_and(|changed| *changed)
                || read_status(served, known, key, about)
                    .is_none_or(|status| status == about.status);
            let is_good =
                is_true && now < signed.replace_at && about.is_of_a_good_signer(known, now);
            let is_due =
                !is_good || now >= about.refresh_at || about.is_by_another_than(known, now);
            let mut due = due.borrow_mut();
            if is_due && about.is_hot.load(Relaxed) && due.len() < AHEAD {
                due.push((key.clone(), Arc::clone(signed)));
            }
            is_good
        });
        due.into_inner()
    }

    fn replace(&self, key: &[u8], old: &Signed, now: Timestamp) {
        let Some(about) = &old.about else { return };
        let Some(served) = self.issuers.get(about.issuer) else {
            return;
        };
        let known = served.known();
        let Ok(id) = CertId::read(&mut Reader::new(key)) else {
            return;
        };
        let Some((replica, level_at)) = &known.replica else {
            return;
        };
        if now.since(*level_at) > served.ca.ocsp.max_staleness {
            return;
        }
        let status = served.status(&id, about.serial.and_then(|serial| replica.get(&serial)));
        let (issuer, level_at, place) = (about.issuer, *level_at, about.place);
        let question = Question {
            issuer,
            known: &known,
            id,
            status,
            level_at,
            place,
        };
        // What cannot be signed now is signed, or refused, when it is asked for.
        if let Ok(signed) = self.sign_kept(&question, Purpose::Ahead, now) {
            self.cache.insert(key.to_vec(), signed);
        }
    }

    /// Octets of the kept answers, and how many there are.
    pub fn kept_octets(&self) -> (u64, usize) {
        (self.cache.weight(), self.cache.len())
    }
}

impl Signed {
    /// A store only where it changes something: all threads read it.
    fn mark_hot(&self) {
        if let Some(about) = &self.about
            && !about.is_hot.load(Relaxed)
        {
            about.is_hot.store(true, Relaxed);
        }
    }
}

/// What the index in memory says now; none without one.
fn read_status(
    served: &super::Served,
    known: &Known,
    key: &[u8],
    about: &About,
) -> Option<CertStatus> {
    let (replica, _) = known.replica.as_ref()?;
    let id = CertId::read(&mut Reader::new(key)).ok()?;
    Some(served.status(&id, about.serial.and_then(|serial| replica.get(&serial))))
}

/// One for each issuer: the change set up to which its kept answers were compared.
pub(super) fn swept(issuers: usize) -> Vec<AtomicU64> {
    (0..issuers).map(|_| AtomicU64::new(0)).collect()
}
