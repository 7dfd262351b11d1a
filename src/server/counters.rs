//! What is counted since the start, for `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::core::{ocsp::Refusal, time::Timestamp};

/// Counted since the start. Counters only rise; anybody may read them.
#[derive(Debug, Default)]
pub struct Counters {
    answered: AtomicU64,
    /// In the order of [`Refusal::ALL`].
    refused: [AtomicU64; Refusal::ALL.len()],
    /// The minute in which the log was last told of each.
    told: [AtomicU64; Refusal::ALL.len()],
    passes: AtomicU64,
    failed_passes: AtomicU64,
}

impl Counters {
    /// Counts a signed OCSP answer.
    pub fn answer(&self) {
        self.answered.fetch_add(1, Relaxed);
    }

    /// Counts a refusal; whether it is the first of its kind in this minute. One a minute is enough
    /// for the log, which clients could fill otherwise; `/metrics` has the number.
    pub fn refuse(&self, refusal: Refusal, now: Timestamp) -> bool {
        let Some(which) = place(refusal) else {
            return true;
        };
        self.refused[which].fetch_add(1, Relaxed);
        let minute = now.seconds() / 60;
        self.told[which].swap(minute, Relaxed) != minute
    }

    /// Counts a pass over an issuer, by whether it did what it should.
    pub fn pass(&self, is_done: bool) {
        let count = match is_done {
            true => &self.passes,
            false => &self.failed_passes,
        };
        count.fetch_add(1, Relaxed);
    }

    /// Signed OCSP answers.
    pub fn answered(&self) -> u64 {
        self.answered.load(Relaxed)
    }

    /// OCSP answers of this status.
    pub fn refused(&self, refusal: Refusal) -> u64 {
        place(refusal).map_or(0, |which| self.refused[which].load(Relaxed))
    }

    /// Passes over an issuer that did what they should.
    pub fn passes(&self) -> u64 {
        self.passes.load(Relaxed)
    }

    /// Passes that failed.
    pub fn failed_passes(&self) -> u64 {
        self.failed_passes.load(Relaxed)
    }
}

fn place(refusal: Refusal) -> Option<usize> {
    Refusal::ALL.iter().position(|one| *one == refusal)
}
