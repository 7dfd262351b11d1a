//! What became of a pass, and which step of it failed.

use super::{Damage, Issued, PlanError, RenewError, ended::LastCrlProblems};
use crate::{
    core::{
        chain::Chain,
        seal::{CheckError, Findings},
        serial::CrlNumber,
        time::Timestamp,
    },
    store::error::DriverError,
    stories::{replicate::LevelError, revoke::RevokeError},
};

/// What a pass came to.
#[derive(Debug)]
pub struct Outcome {
    /// What became of it.
    pub became: Became,
    /// The number of the CRL on the shelf, or of the one that would be there.
    pub number: Option<CrlNumber>,
    /// What was found damaged and is healed.
    pub healed: Vec<Damage>,
    /// What failed after the CRL was out, or beside it.
    pub troubles: Vec<PublishError>,
}

/// What became of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Became {
    /// The world sees a new CRL.
    Published(Why),
    /// A dry run ended before the key was used.
    WouldPublish(Why),
    /// Nothing to do.
    NotDue,
    /// The CA certificate ended, and its last CRL is still good.
    Ended,
    /// Another publisher was first; and why a CRL of ours was out before that, if one was.
    LostRace(Option<Why>),
}

/// Why a CRL is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// There was none.
    First,
    /// What is on the shelf is not ours, or damaged, or older than what was there.
    Healed,
    /// Somebody was revoked, held or released.
    Changed,
    /// The index was put back from a backup, and nothing is lost by it.
    Readopted,
    /// The configuration is another one.
    Configuration,
    /// It is older than `refresh`.
    Refresh,
    /// Somebody asked for it.
    Forced,
}

impl Became {
    /// Whether the world sees a new CRL.
    pub fn is_published(self) -> bool {
        matches!(self, Self::Published(_) | Self::LostRace(Some(_)))
    }

    /// Whether another publisher was first, who goes on with what is left.
    pub(super) fn is_lost(self) -> bool {
        matches!(self, Self::LostRace(_))
    }

    /// For people and machines.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Published(why) | Self::WouldPublish(why) => why.reason(),
            Self::NotDue => "not due",
            Self::Ended => "the CA certificate ended, and its last CRL stays",
            Self::LostRace(_) => "another publisher was first",
        }
    }
}

impl Why {
    fn reason(self) -> &'static str {
        match self {
            Self::First => "first CRL",
            Self::Healed => "shelf was damaged",
            Self::Changed => "index changed",
            Self::Readopted => "index was put back",
            Self::Configuration => "configuration changed",
            Self::Refresh => "refresh due",
            Self::Forced => "forced",
        }
    }
}

impl Outcome {
    /// What failed, in one line.
    pub fn trouble(&self) -> Option<String> {
        let texts = self.troubles.iter().map(|one| Chain(one).to_string());
        texts.reduce(|all, one| format!("{all}; {one}"))
    }

    /// Where a CRL is out already, what fails is told beside it, and ends nothing.
    pub(super) fn survive(&mut self, done: Result<(), PublishError>) -> Result<(), PublishError> {
        match done {
            Err(error) if self.became.is_published() => {
                self.troubles.push(error);
                Ok(())
            }
            done => done,
        }
    }

    /// Adds what became of another CRL of the pass.
    pub(super) fn add(&mut self, issued: &Issued) {
        self.number = self.number.max(issued.number());
        self.became = match (self.became, issued.became()) {
            (Became::Published(why), Became::LostRace(_)) => Became::LostRace(Some(why)),
            (Became::Published(why), _) => Became::Published(why),
            (became, Became::NotDue) => became,
            (Became::WouldPublish(why), Became::WouldPublish(_)) => Became::WouldPublish(why),
            (_, became) => became,
        };
    }
}

impl Issued {
    pub(super) fn became(&self) -> Became {
        match self {
            Self::Published(why, _) => Became::Published(*why),
            Self::Drafted(why, _) => Became::WouldPublish(*why),
            Self::NotDue => Became::NotDue,
            Self::LostRace => Became::LostRace(None),
        }
    }

    /// Its number, where there is a CRL.
    pub(super) fn number(&self) -> Option<CrlNumber> {
        match self {
            Self::Published(_, checked) => Some(checked.document().number),
            Self::Drafted(_, compared) => Some(compared.document().number),
            Self::NotDue | Self::LostRace => None,
        }
    }
}

/// Which step of a pass failed. The previous CRL stays.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum PublishError {
    #[error(
        "the CA certificate ended on {on}, so no CRL can be signed under it, and {wrong}. \
         Configure its successor, and take this issuer out when its last CRLs are of no use any \
         more"
    )]
    Expired {
        on: Timestamp,
        wrong: LastCrlProblems,
    },
    #[error("read the shelf")]
    Shelf(#[source] DriverError),
    #[error("read the archive")]
    Archive(#[source] DriverError),
    #[error("read the index")]
    Index(#[from] LevelError),
    #[error("plan the CRL")]
    Plan(#[from] PlanError),
    #[error(
        "plan the shards: certificates name their shard for life, and were told of {was} shards; \
         put `shards = {was}` back"
    )]
    Shards { was: u16 },
    #[error("reserve a CRL number")]
    Number(#[source] DriverError),
    #[error("lint the draft")]
    Lint(#[source] Findings),
    #[error("compare {what} with the previous one")]
    Compare {
        what: String,
        #[source]
        found: Findings,
    },
    #[error(
        "{what} would have {octets} octets, which is more than is read back; add shards, or begin \
         a new CA"
    )]
    TooLarge { what: String, octets: u64 },
    #[error(
        "compare with the previous CRL, which was made from another journal, because an older \
         index took its place (put the newest index back, or import the archive's newest CRL)"
    )]
    Forked(#[source] Findings),
    #[error("sign")]
    Sign(#[source] DriverError),
    #[error("check the signed CRL")]
    Check(#[source] CheckError),
    #[error("store the archive copy")]
    Store(#[source] DriverError),
    #[error("replace the CRL on the shelf")]
    Replace(#[source] DriverError),
    #[error("write down what was published")]
    Confirm(#[source] DriverError),
    #[error("write down what was accepted")]
    Accept(#[from] RevokeError),
    /// Of more than one shard.
    #[error("the shards {shards} were refused, the first of them because of this")]
    Refused {
        shards: String,
        #[source]
        first: Box<Self>,
    },
    #[error("delta CRL")]
    Delta(#[source] Box<Self>),
    #[error("renew the OCSP credential")]
    Credential(#[from] RenewError),
}

impl PublishError {
    /// Whether the index is not the one the CRLs were made from.
    pub(super) fn is_forked(&self) -> bool {
        match self {
            Self::Forked(_) => true,
            Self::Refused { first, .. } => first.is_forked(),
            _ => false,
        }
    }
}
