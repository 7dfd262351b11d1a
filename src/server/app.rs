//! What the handlers and the timer share. It is made once, when the issuers are open, and only
//! read from then on; what changes is behind a lock or atomic, and private to this folder.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use futures::future::join_all;

use super::{
    counters::Counters,
    health::{self, IssuerStatus},
    shelved::Lately,
};
use crate::{
    ca::Ca,
    config::Alias,
    core::time::Timestamp,
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
    /// The only clock of the handlers.
    pub clock: fn() -> Timestamp,
    /// Counted since the start.
    pub counters: Counters,
    /// What of the shelf was read lately.
    pub(super) lately: Lately,
    /// What [`App::statuses`] said last, and when.
    last_statuses: Mutex<Option<(Timestamp, Vec<IssuerStatus>)>>,
    is_urgent: AtomicBool,
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

impl App {
    /// Of a process that has done nothing yet.
    pub fn new(
        responder: Responder,
        aliases: Vec<Alias>,
        api: Access,
        is_hosted: bool,
        clock: fn() -> Timestamp,
    ) -> Self {
        Self {
            responder,
            aliases,
            api,
            is_hosted,
            clock,
            counters: Counters::default(),
            lately: Lately::default(),
            last_statuses: Mutex::default(),
            is_urgent: AtomicBool::default(),
        }
    }

    pub(crate) fn served(&self, name: &str) -> Option<&Served> {
        self.responder
            .issuers()
            .iter()
            .find(|served| served.ca.name == name)
    }

    pub(crate) fn ca(&self, name: &str) -> Option<&Ca> {
        self.served(name).map(|served| &served.ca)
    }

    /// Whether the next passes give way to nobody.
    pub fn is_urgent(&self) -> bool {
        self.is_urgent.load(Relaxed)
    }

    /// Says whether the next passes give way to nobody.
    pub fn set_urgent(&self, is_urgent: bool) {
        self.is_urgent.store(is_urgent, Relaxed);
    }

    /// How every issuer is doing. Anybody may ask, and it asks every store; where those are
    /// services, not at every request.
    pub async fn statuses(&self, now: Timestamp) -> Vec<IssuerStatus> {
        let issuers = self.responder.issuers().iter();
        let keep_for = issuers
            .clone()
            .map(|served| served.ca.shelf.store().keep_for());
        let keep_for = keep_for.max().unwrap_or_default();
        if let Some((at, all)) = &*self
            .last_statuses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            && now.since(*at) < keep_for
        {
            return all.clone();
        }
        let all = join_all(issuers.map(|served| health::status(&served.ca, now))).await;
        *self
            .last_statuses
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some((now, all.clone()));
        all
    }
}
