//! What the responder knows of an issuer, and how it comes to know it: the index in memory, the
//! credentials, and, until the index is in memory, a look at single rows.

use std::{
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use tokio::{
    sync::{OnceCell, Semaphore},
    time::timeout,
};

use super::{Refused, later};
use crate::{
    ca::{
        Ca, CredentialPlace,
        credential::{Credential, Credentials},
    },
    config::Unlisted,
    core::{
        chain::Chain,
        digest::Digest,
        journal::{change_set::ChainHash, replica::Replica},
        ocsp::{CertId, CertStatus, Preferred, Request},
        revocation::Status,
        serial::Serial,
        time::Timestamp,
    },
    store::{content::Label, error::DriverError},
    stories::replicate::{self, LevelError},
};

/// One issuer that is answered for, and what is known of it now.
#[derive(Debug)]
pub struct Served {
    /// The issuer.
    pub ca: Ca,
    state: RwLock<Arc<IssuerState>>,
    /// Held while the state is replaced, so that readers never wait for more than the exchange of a
    /// pointer.
    replacing: Mutex<()>,
    introduced: OnceCell<Introduction>,
    looking: Semaphore,
}

/// What is known of an issuer now.
#[derive(Clone, Debug, Default)]
pub struct IssuerState {
    /// The index; none until it is in memory.
    pub level: Option<Level>,
    /// What signs, in the order of [`Ca::credentials`].
    pub credentials: Vec<CredentialState>,
    /// Why the index could not be answered from the last time.
    doubt: Option<Doubt>,
}

/// The index in memory, and when it was last seen to be level with its head.
#[derive(Clone, Debug)]
pub struct Level {
    /// The index.
    pub replica: Replica,
    pub at: Timestamp,
}

/// What is known of a credential now.
#[derive(Clone, Debug, Default)]
pub struct CredentialState {
    /// The newest that could be used.
    pub credential: Option<Arc<Credential>>,
    is_revoked: bool,
    /// SHA-256 of its PEM text: what did not change is not read again.
    fingerprint: Option<Digest>,
    looked_at: Option<Timestamp>,
    problem: Option<String>,
}

/// A credential that may sign now.
#[derive(Clone, Copy)]
pub(super) struct Usable<'a> {
    /// Its place among the credentials of its issuer.
    pub(super) place: usize,
    pub(super) credential: &'a Credential,
}

/// How a process and an index got to know each other.
#[derive(Debug)]
struct Introduction {
    /// Of the CRL on the shelf.
    label: Option<Label>,
    /// The newest change set then.
    seq: u64,
}

/// Why an index cannot be answered from.
#[derive(Clone, Debug)]
enum Doubt {
    /// It is out of reach.
    Outage(String),
    /// It is not to be believed.
    Distrust(String),
}

impl From<DriverError> for Doubt {
    fn from(error: DriverError) -> Self {
        Self::Outage(Chain(&error).to_string())
    }
}

impl From<LevelError> for Doubt {
    fn from(error: LevelError) -> Self {
        match error {
            LevelError::Driver(error) => Self::Outage(Chain(&error).to_string()),
            error @ LevelError::Replica { .. } => Self::Distrust(Chain(&error).to_string()),
        }
    }
}

impl Doubt {
    fn text(&self) -> &str {
        let (Self::Outage(text) | Self::Distrust(text)) = self;
        text
    }
}

impl Level {
    /// Whether it was level no longer than `max_staleness` before `now`.
    pub fn is_within(&self, max_staleness: Duration, now: Timestamp) -> bool {
        now.since(self.at) <= max_staleness
    }

    pub(super) fn find(&self, id: &CertId<'_>) -> Option<&Status> {
        self.replica.get(id.serial.as_ref()?)
    }
}

impl IssuerState {
    /// Why the index or a credential could not be read the last time.
    pub fn problem(&self) -> Option<&str> {
        let mut of_credentials = self
            .credentials
            .iter()
            .filter_map(|one| one.problem.as_deref());
        let of_index = self.doubt.as_ref().map(Doubt::text);
        of_index.or_else(|| of_credentials.next())
    }

    /// The credentials that may sign at `now`.
    pub(super) fn usable(&self, now: Timestamp) -> impl Iterator<Item = Usable<'_>> {
        let all = self.credentials.iter().enumerate();
        all.filter_map(move |(place, one)| {
            let credential = one.usable(now)?;
            Some(Usable { place, credential })
        })
    }

    /// RFC 6960 §4.4.7.2: "Select an algorithm specified as a preferred signature algorithm in the
    /// client request", the dearest that a credential of ours has; otherwise the first credential
    /// that may sign. None is weaker than another.
    pub(super) fn signer(
        &self,
        request: &Request<'_>,
        now: Timestamp,
    ) -> Result<Usable<'_>, Refused> {
        let mut wishes = request.preferred();
        wishes
            .find_map(|wish| self.signer_with(&wish, now))
            .or_else(|| self.usable(now).next())
            .ok_or_else(|| later("there is no valid credential"))
    }

    fn signer_with(&self, wish: &Preferred<'_>, now: Timestamp) -> Option<Usable<'_>> {
        self.usable(now)
            .find(|usable| usable.credential.signatory.is(wish))
    }

    /// A credential that the index lists signs no more.
    fn mark_revoked(&mut self) {
        let replica = self.level.as_ref().map(|level| &level.replica);
        for one in &mut self.credentials {
            let serial = one.serial();
            let found = serial.and_then(|serial| replica?.get(&serial));
            one.is_revoked = found.is_some_and(Status::is_listed);
        }
    }
}

/// How many may look at single rows at once, how long that may take, and how many rows at most.
/// Only a process whose replica is being read does so at all.
const LOOKING: usize = 32;
const LOOK_TIME: Duration = Duration::from_secs(3);
const LOOK_ROWS: usize = 10;

impl Served {
    pub(super) fn new(ca: Ca) -> Self {
        let state = IssuerState {
            credentials: ca
                .credentials()
                .map(|_| CredentialState::default())
                .collect(),
            ..IssuerState::default()
        };
        Self {
            ca,
            state: RwLock::new(Arc::new(state)),
            replacing: Mutex::default(),
            introduced: OnceCell::new(),
            looking: Semaphore::new(LOOKING),
        }
    }

    /// Whether it is the issuer of the certificate that is asked about.
    pub(super) fn is_named_by(&self, id: &CertId<'_>) -> bool {
        id.algorithm.is_some_and(|hash| {
            let issuer = &self.ca.issuer;
            issuer.is_named_by(hash, id.name_hash, id.key_hash)
        })
    }

    /// What is known now.
    pub fn state(&self) -> Arc<IssuerState> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads on in the index, and looks whether there is another credential. Neither waits for the
    /// other.
    pub async fn refresh(&self, now: Timestamp) {
        futures::join!(self.refresh_index(now), self.refresh_credentials(now));
    }

    fn update(&self, change: impl FnOnce(&mut IssuerState)) {
        let _alone = self
            .replacing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut next = IssuerState::clone(&self.state());
        change(&mut next);
        next.mark_revoked();
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
    }

    /// Reads on in the index.
    pub async fn refresh_index(&self, now: Timestamp) {
        let read = self.read_on().await;
        self.update(|state| match read {
            Ok(replica) => {
                // Two may look at once; the slower one may have seen less.
                let newest = state.level.as_ref().map(|level| level.replica.head().seq);
                if newest.is_none_or(|newest| replica.head().seq >= newest) {
                    state.level = Some(Level { replica, at: now });
                }
                state.doubt = None;
            }
            Err(doubt) => state.doubt = Some(doubt),
        });
    }

    /// Reads on in the index. A process that begins has seen nothing of it yet, so it makes sure
    /// that the index is the one that the CRL on the shelf was made from: one that was emptied or
    /// put back would say `good` of the revoked.
    async fn read_on(&self) -> Result<Replica, Doubt> {
        if let Some(before) = &self.state().level {
            return Ok(replicate::level(&self.ca, Some(&before.replica)).await?);
        }
        let introduction = self.introduction().await?;
        let replica = replicate::level(&self.ca, None).await?;
        // It may have been replaced while it was read.
        self.remembers(introduction.label.as_ref()).await?;
        Ok(replica)
    }

    /// Made once, by whoever comes first.
    async fn introduction(&self) -> Result<&Introduction, Doubt> {
        self.introduced.get_or_try_init(|| self.introduce()).await
    }

    async fn introduce(&self) -> Result<Introduction, Doubt> {
        let label = self.ca.shelf.current_label().await?;
        self.remembers(label.as_ref()).await?;
        let genesis = ChainHash::genesis(&self.ca.issuer.spki_hash());
        let first = self.ca.index.journal(&self.ca.name, 0, 1).await?;
        if first.iter().any(|linked| linked.prev != genesis) {
            let what = "the journal belongs to another key";
            return Err(Doubt::Distrust(what.to_owned()));
        }
        let seq = self.newest().await?;
        Ok(Introduction { label, seq })
    }

    /// The newest change set that the head tells of.
    async fn newest(&self) -> Result<u64, DriverError> {
        let head = self.ca.index.head(&self.ca.name).await?;
        Ok(head.map_or(0, |head| head.value.seq))
    }

    async fn remembers(&self, label: Option<&Label>) -> Result<(), Doubt> {
        let Some(label) = label else { return Ok(()) };
        if replicate::remembers(&self.ca, label).await? {
            return Ok(());
        }
        let what = "it is not the index that the CRL on the shelf was made from; was it put back?";
        Err(Doubt::Distrust(what.to_owned()))
    }

    /// The rows of these serials and of the credentials, straight from the index: the one exception
    /// to "no store on the path of a request", only until the index is in memory. A commit writes
    /// the journal, the head and the rows in one transaction, so a row is as true as the journal.
    /// That the index is ours and did not go back, the introduction and the head say, which is read
    /// after the rows.
    pub(super) async fn look_up(&self, mut serials: Vec<Serial>) -> Result<Vec<Status>, Refused> {
        let state = self.state();
        if matches!(state.doubt, Some(Doubt::Distrust(_))) {
            return Err(later("the index is not to be trusted"));
        }
        if serials.len() > LOOK_ROWS {
            return Err(later(
                "the index is being read, and so many certificates are not looked up one by one",
            ));
        }
        let Ok(_permit) = self.looking.try_acquire() else {
            return Err(later(
                "the index is being read, and too many requests look into it meanwhile",
            ));
        };
        serials.extend(state.credentials.iter().filter_map(CredentialState::serial));
        match timeout(LOOK_TIME, self.rows(serials)).await {
            Ok(rows) => rows.map_err(|doubt| later(doubt.text())),
            Err(_) => Err(later(&format!(
                "the index did not answer within {LOOK_TIME:?}"
            ))),
        }
    }

    async fn rows(&self, serials: Vec<Serial>) -> Result<Vec<Status>, Doubt> {
        let introduction = self.introduction().await?;
        let rows = self.ca.index.statuses(&self.ca.name, serials).await?;
        let seq = self.newest().await?;
        if seq < introduction.seq || rows.iter().any(|row| row.seq() > seq) {
            return Err(Doubt::Distrust("the index went back".to_owned()));
        }
        Ok(rows)
    }

    /// Looks whether there are other credentials.
    pub async fn refresh_credentials(&self, now: Timestamp) {
        for (at, CredentialPlace { place, .. }) in self.ca.credentials().enumerate() {
            let state = self.state();
            let Some(known) = state.credentials.get(at) else {
                continue;
            };
            if !known.is_due(place, now) {
                continue;
            }
            let mut next = known.clone();
            next.look(place, &self.ca, now).await;
            self.update(|state| {
                if let Some(known) = state.credentials.get_mut(at) {
                    *known = next;
                }
            });
        }
    }

    /// What is to be said of a certificate of which this is known.
    pub(super) fn status(&self, id: &CertId<'_>, found: Option<&Status>) -> CertStatus {
        let unlisted = match self.ca.ocsp.unlisted {
            Unlisted::Good => CertStatus::Good,
            Unlisted::Unknown => CertStatus::Unknown,
            Unlisted::Revoked => CertStatus::NeverIssued,
        };
        match found {
            Some(status) => match status.listing() {
                Some(listing) => CertStatus::Revoked {
                    at: listing.at,
                    reason: listing.reason,
                },
                None => CertStatus::Good,
            },
            // No certificate can have such a serial number, so none is good.
            None if id.serial.is_none() && unlisted == CertStatus::Good => CertStatus::Unknown,
            None => unlisted,
        }
    }
}

impl CredentialState {
    fn serial(&self) -> Option<Serial> {
        Some(self.credential.as_ref()?.certificate.serial)
    }

    /// The credential, if it may sign at `now`.
    fn usable(&self, now: Timestamp) -> Option<&Credential> {
        let credential = self.credential.as_deref()?;
        (!self.is_revoked && credential.is_valid(now)).then_some(credential)
    }

    /// A vault is not asked every few seconds, unless there is no good credential.
    fn is_due(&self, place: &Credentials, now: Timestamp) -> bool {
        const AGAIN: Duration = Duration::from_secs(5);
        let every = match self.usable(now) {
            Some(_) => place.look_every(),
            None => place.look_every().min(AGAIN),
        };
        self.looked_at.is_none_or(|at| now.since(at) >= every)
    }

    /// What cannot be used does not take the place of what can.
    async fn look(&mut self, place: &Credentials, ca: &Ca, now: Timestamp) {
        self.looked_at = Some(now);
        let pem = match place.load().await {
            Ok(Some(pem)) => pem,
            Ok(None) => return self.problem = None,
            Err(error) => return self.problem = Some(Chain(&error).to_string()),
        };
        let fingerprint = Some(Digest::of(&pem));
        if fingerprint == self.fingerprint {
            return self.problem = None;
        }
        match Credential::from_pem(&pem, &ca.issuer) {
            Ok(credential) => {
                (self.credential, self.fingerprint, self.problem) =
                    (Some(Arc::new(credential)), fingerprint, None);
            }
            Err(error) => {
                let error = Chain(&error);
                self.problem = Some(format!("couldn't use the OCSP credential: {error}"));
            }
        }
    }
}
