//! What the handlers and the timer share.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use super::{health::IssuerStatus, shelved::Lately};
use crate::{
    ca::Ca,
    config::Alias,
    core::{ocsp::Refusal, time::Timestamp},
    stories::respond::{Responder, Served},
};

/// What the handlers share.
#[derive(Debug)]
pub struct App {
    /// Answers OCSP, and knows the issuers.
    pub responder: Responder,
    /// Vault's mounts that are served.
    pub aliases: Vec<Alias>,
    /// Who may use `/api`.
    pub api: Access,
    /// Whether the Functions host started us, and may call the timer's function.
    pub is_hosted: bool,
    /// What of the shelf was read lately.
    pub lately: Lately,
    /// What `/status` said last, and when.
    pub last_status: Mutex<Option<(Timestamp, Vec<IssuerStatus>)>>,
    /// Whether the next passes give way to nobody.
    pub is_urgent: AtomicBool,
    /// Counted since the start.
    pub counts: Counts,
    /// The only clock of the handlers.
    pub clock: fn() -> Timestamp,
}

/// Who may use `/api`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nobody.
    Closed,
    /// Who shows this token.
    Token(String),
    /// Whom the Functions host lets pass, by its function keys.
    Host,
}

/// Counted since the start.
#[derive(Debug, Default)]
pub struct Counts {
    /// Signed OCSP answers.
    pub answered: AtomicU64,
    /// OCSP refusals in the order of [`REFUSALS`].
    pub refused: [AtomicU64; REFUSALS.len()],
    /// The minute in which the log was last told of each.
    told: [AtomicU64; REFUSALS.len()],
    /// Passes over an issuer that did what they should.
    pub passes: AtomicU64,
    /// Passes that failed.
    pub failed_passes: AtomicU64,
}

/// Every refusal.
pub const REFUSALS: [Refusal; 4] = [
    Refusal::MalformedRequest,
    Refusal::InternalError,
    Refusal::TryLater,
    Refusal::Unauthorized,
];

impl Counts {
    /// Counts a refusal; whether it is the first of its kind in this minute. One a minute is enough
    /// for the log, which clients could fill otherwise; `/metrics` has the number.
    pub fn refuse(&self, refusal: Refusal, now: Timestamp) -> bool {
        let Some(which) = REFUSALS.iter().position(|one| *one == refusal) else {
            return true;
        };
        self.refused[which].fetch_add(1, Ordering::Relaxed);
        let minute = now.seconds() / 60;
        self.told[which].swap(minute, Ordering::Relaxed) != minute
    }
}

impl App {
    pub(crate) fn served(&self, name: &str) -> Option<&Served> {
        self.responder
            .issuers()
            .iter()
            .find(|served| served.ca.name == name)
    }

    pub(crate) fn ca(&self, name: &str) -> Option<&Ca> {
        self.served(name).map(|served| &served.ca)
    }
}
