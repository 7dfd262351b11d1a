//! What the responder knows of an issuer, and how it comes to know it: the index in memory, the
//! credentials, and, until the index is in memory, a look at single rows.

use std::{
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use sha2::{Digest, Sha256};
use tokio::{
    sync::{OnceCell, Semaphore},
    time::timeout,
};

use crate::stories::replicate;
use crate::{
    ca::{
        Ca,
        credential::{Credential, Credentials},
    },
    config::Unlisted,
    core::{
        chain::Chain,
        journal::{change_set::ChainHash, replica::Replica},
        ocsp::{CertId, CertStatus},
        revocation::Status,
        serial::Serial,
        time::Timestamp,
    },
    store::{content::Label, error::DriverError},
    stories::replicate::LevelError,
};

/// One issuer, and what is known of it now.
#[derive(Debug)]
pub struct Served {
    /// The issuer.
    pub ca: Ca,
    known: RwLock<Arc<Known>>,
    /// Held while what is known is replaced, so that readers never wait for more than the exchange
    /// of a pointer.
    replacing: Mutex<()>,
    introduced: OnceCell<Introduction>,
    looking: Semaphore,
}

/// What is known of an issuer now.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The index, and when it was last seen to be level.
    pub replica: Option<(Replica, Timestamp)>,
    /// What signs, in the order of [`Ca::credentials`].
    pub held: Vec<Held>,
    /// Why the index could not be read the last time.
    index_problem: Option<String>,
    /// Whether the index was read, and is not to be believed.
    is_distrusted: bool,
}

/// A credential, as far as it is known.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// The newest that could be used.
    pub credential: Option<Arc<Credential>>,
    is_revoked: bool,
    /// SHA-256 of its PEM text: what did not change is not read again.
    fingerprint: [u8; 32],
    looked_at: Option<Timestamp>,
    problem: Option<String>,
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

impl Known {
    /// Why the index or a credential could not be read the last time.
    pub fn problem(&self) -> Option<&str> {
        let of_credentials = || self.held.iter().find_map(|held| held.problem.as_deref());
        self.index_problem.as_deref().or_else(of_credentials)
    }

    /// The credentials that may sign at `now`, with their places.
    pub(super) fn usable(&self, now: Timestamp) -> impl Iterator<Item = (usize, &Arc<Credential>)> {
        let usable = move |held: &Held| {
            !held.is_revoked
                && held
                    .credential
                    .as_ref()
                    .is_some_and(|one| one.is_valid(now))
        };
        let all = self
            .held
            .iter()
            .enumerate()
            .filter(move |(_, held)| usable(held));
        all.filter_map(|(at, held)| Some((at, held.credential.as_ref()?)))
    }
}

/// How many may look at single rows at once, how long that may take, and how many rows at most.
/// Only a process whose replica is being read does so at all.
const LOOKING: usize = 32;
const LOOK_TIME: Duration = Duration::from_secs(3);
const LOOK_ROWS: usize = 10;

impl Served {
    pub(super) fn new(ca: Ca) -> Self {
        let held = ca.credentials().map(|_| Held::default()).collect();
        let known = RwLock::new(Arc::new(Known {
            held,
            ..Known::default()
        }));
        Self {
            ca,
            known,
            replacing: Mutex::default(),
            introduced: OnceCell::new(),
            looking: Semaphore::new(LOOKING),
        }
    }

    /// What is known now.
    pub fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads on in the index, and looks whether there is another credential. Neither waits for the
    /// other.
    pub async fn refresh(&self, now: Timestamp) {
        futures::join!(self.refresh_index(now), self.refresh_credentials(now));
    }

    fn update(&self, change: impl FnOnce(&mut Known)) {
        let _alone = self
            .replacing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut next = Known::clone(&self.known());
        change(&mut next);
        let replica = next.replica.as_ref().map(|(replica, _)| replica);
        let is_revoked = |serial| {
            replica
                .and_then(|replica| replica.get(serial))
                .is_some_and(Status::is_listed)
        };
        for held in &mut next.held {
            held.is_revoked = held
                .credential
                .as_ref()
                .is_some_and(|one| is_revoked(&one.certificate.serial));
        }
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
    }

    /// Reads on in the index.
    pub async fn refresh_index(&self, now: Timestamp) {
        let level = self.level().await;
        self.update(|known| match level {
            Ok(replica) => {
                // Two may look at once; the slower one may have seen less.
                let newest = known
                    .replica
                    .as_ref()
                    .map_or(0, |(known, _)| known.head().seq);
                if replica.head().seq >= newest {
                    known.replica = Some((replica, now));
                }
                (known.index_problem, known.is_distrusted) = (None, false);
            }
            Err(doubt) => {
                known.is_distrusted = matches!(doubt, Doubt::Distrust(_));
                known.index_problem = Some(doubt.text().to_owned());
            }
        });
    }

    /// Reads on in the index. A process that begins has seen nothing of it yet, so it makes sure
    /// that the index is the one that the CRL on the shelf was made from: one that was emptied or
    /// put back would say `good` of the revoked.
    async fn level(&self) -> Result<Replica, Doubt> {
        let known = self.known();
        if let Some((before, _)) = &known.replica {
            return Ok(replicate::level(&self.ca, Some(before)).await?);
        }
        let introduction = self.introduction().await?;
        let replica = replicate::level(&self.ca, None).await?;
        // It may have been replaced while it was read.
        self.remembers(introduction.label.as_ref()).await?;
        Ok(replica)
    }

    /// Made once, by whoever comes first.
    async fn introduction(&self) -> Result<&Introduction, Doubt> {
        let introduce = || async {
            let label = self.ca.shelf.current_label().await?;
            self.remembers(label.as_ref()).await?;
            let first = self.ca.index.journal(&self.ca.name, 0, 1).await?;
            if first
                .iter()
                .any(|linked| linked.prev != ChainHash::genesis(&self.ca.issuer.spki_hash()))
            {
                return Err(Doubt::Distrust(
                    "the journal belongs to another key".to_owned(),
                ));
            }
            let seq = self
                .ca
                .index
                .head(&self.ca.name)
                .await?
                .map_or(0, |head| head.value.seq);
            Ok(Introduction { label, seq })
        };
        self.introduced.get_or_try_init(introduce).await
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
    pub(super) async fn look_up(&self, mut serials: Vec<Serial>) -> Result<Vec<Status>, String> {
        if self.known().is_distrusted {
            return Err("the index is not to be trusted".to_owned());
        }
        if serials.len() > LOOK_ROWS {
            return Err(
                "the index is being read, and so many certificates are not looked up one by one"
                    .to_owned(),
            );
        }
        let Ok(_permit) = self.looking.try_acquire() else {
            return Err(
                "the index is being read, and too many requests look into it meanwhile".to_owned(),
            );
        };
        serials.extend(
            self.known()
                .held
                .iter()
                .filter_map(|held| Some(held.credential.as_ref()?.certificate.serial)),
        );
        match timeout(LOOK_TIME, self.rows(serials)).await {
            Ok(rows) => rows.map_err(|doubt| doubt.text().to_owned()),
            Err(_) => Err(format!("the index did not answer within {LOOK_TIME:?}")),
        }
    }

    async fn rows(&self, serials: Vec<Serial>) -> Result<Vec<Status>, Doubt> {
        let introduction = self.introduction().await?;
        let rows = self.ca.index.statuses(&self.ca.name, serials).await?;
        let seq = self
            .ca
            .index
            .head(&self.ca.name)
            .await?
            .map_or(0, |head| head.value.seq);
        if seq < introduction.seq || rows.iter().any(|row| row.seq() > seq) {
            return Err(Doubt::Distrust("the index went back".to_owned()));
        }
        Ok(rows)
    }

    /// Looks whether there are other credentials.
    pub async fn refresh_credentials(&self, now: Timestamp) {
        for (at, (_, place)) in self.ca.credentials().enumerate() {
            let known = self.known();
            let Some(held) = known.held.get(at).filter(|held| held.is_due(place, now)) else {
                continue;
            };
            let mut next = held.clone();
            next.look(place, &self.ca, now).await;
            self.update(|known| {
                if let Some(held) = known.held.get_mut(at) {
                    *held = next;
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

impl Held {
    /// A vault is not asked every few seconds, unless there is no good credential.
    fn is_due(&self, place: &Credentials, now: Timestamp) -> bool {
        const AGAIN: Duration = Duration::from_secs(5);
        let is_good = !self.is_revoked
            && self
                .credential
                .as_ref()
                .is_some_and(|credential| credential.is_valid(now));
        let every = if is_good {
            place.look_every()
        } else {
            place.look_every().min(AGAIN)
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
        let fingerprint: [u8; 32] = Sha256::digest(&pem).into();
        if fingerprint == self.fingerprint && self.credential.is_some() {
            return self.problem = None;
        }
        match Credential::from_pem(&pem, &ca.issuer) {
            Ok(credential) => {
                (self.credential, self.fingerprint, self.problem) =
                    (Some(Arc::new(credential)), fingerprint, None);
            }
            Err(error) => {
                self.problem = Some(format!(
                    "couldn't use the OCSP credential: {}",
                    Chain(&error)
                ))
            }
        }
    }
}
