//! What is known of one certificate, and how a change merges with it.

use std::{fmt, str::FromStr};

use super::{serial::Serial, time::Timestamp};

/// Why a certificate was revoked (RFC 5280 §5.3.1). `unspecified` is `None`: it should not be
/// encoded. `removeFromCRL` is no reason to revoke, and 7 is not used.
///
/// *Warning:* stored state. The discriminants are those of CRLReason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are RFC 5280's")]
pub enum Reason {
    KeyCompromise = 1,
    CaCompromise = 2,
    AffiliationChanged = 3,
    Superseded = 4,
    CessationOfOperation = 5,
    CertificateHold = 6,
    /// Stands on delta CRLs alone; nobody can revoke with it (RFC 5280 §5.3.1).
    RemoveFromCrl = 8,
    PrivilegeWithdrawn = 9,
    AaCompromise = 10,
}

/// A text that names no reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReasonError {
    /// removeFromCRL.
    #[error("removeFromCRL is no reason to revoke; lift a hold with `rescind release`")]
    RemoveFromCrl,
    /// Something else.
    #[error("{0:?} is not a reason; RFC 5280 has: unspecified, {names}", names = Reason::names())]
    Unknown(String),
}

impl Reason {
    /// Every reason to revoke.
    pub const ALL: [Self; 8] = [
        Self::KeyCompromise,
        Self::CaCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::CertificateHold,
        Self::PrivilegeWithdrawn,
        Self::AaCompromise,
    ];

    /// RFC 5280's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::KeyCompromise => "keyCompromise",
            Self::CaCompromise => "cACompromise",
            Self::AffiliationChanged => "affiliationChanged",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
            Self::CertificateHold => "certificateHold",
            Self::RemoveFromCrl => "removeFromCRL",
            Self::PrivilegeWithdrawn => "privilegeWithdrawn",
            Self::AaCompromise => "aACompromise",
        }
    }

    fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    /// The CRLReason.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The reason with this CRLReason; none for 0, 7, 8 and anything above 10.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// A reason by name in any case, hyphens and underscores ignored; `unspecified` is `None`.
    pub fn parse(text: &str) -> Result<Option<Self>, ReasonError> {
        let plain = |text: &str| text.replace(['-', '_'], "").to_ascii_lowercase();
        match plain(text).as_str() {
            "unspecified" => Ok(None),
            "removefromcrl" => Err(ReasonError::RemoveFromCrl),
            given => Self::ALL
                .into_iter()
                .find(|reason| plain(reason.name()) == given)
                .map(Some)
                .ok_or_else(|| ReasonError::Unknown(text.to_owned())),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is true of a certificate.
///
/// *Warning:* stored state. The discriminants stand in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Revoked for good.
    Revoked = 1,
    /// On hold; may be released.
    Held = 2,
    /// Known to be issued, and not revoked.
    Valid = 3,
}

impl State {
    /// Its name in tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Held => "held",
            Self::Valid => "valid",
        }
    }

    /// The state with this discriminant.
    pub fn from_code(code: u8) -> Option<Self> {
        [Self::Revoked, Self::Held, Self::Valid]
            .into_iter()
            .find(|state| *state as u8 == code)
    }
}

impl FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Revoked, Self::Held, Self::Valid]
            .into_iter()
            .find(|state| state.name() == text)
            .ok_or_else(|| format!("{text:?} is not a state; there are: revoked, held, valid"))
    }
}

/// A status row: everything known of one certificate.
///
/// *Warning:* stored state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Whose.
    pub serial: Serial,
    /// Revoked, held or valid.
    pub state: State,
    /// Since when it is revoked or held; absent when valid.
    pub revoked_at: Option<Timestamp>,
    /// Why; certificateHold when held, absent when unspecified or valid.
    pub reason: Option<Reason>,
    /// When the key is known or suspected to have been compromised (RFC 5280 §5.3.2).
    pub invalidity_date: Option<Timestamp>,
    /// When the certificate ends; such a row may leave the CRL one appearance later.
    pub not_after: Option<Timestamp>,
    /// The change set that made it so.
    pub seq: u64,
}

impl Status {
    /// Whether it stands on CRLs (until it expires).
    pub fn is_listed(&self) -> bool {
        self.state != State::Valid
    }
}

/// A change that somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeRequest {
    /// Of which certificate.
    pub serial: Serial,
    /// What is to happen.
    pub action: Action,
    /// When the certificate ends, if the caller knows.
    pub not_after: Option<Timestamp>,
}

/// What is to happen to a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Revoke, or hold where the reason is certificateHold.
    Revoke {
        /// Since when.
        at: Timestamp,
        /// Whether the caller said so; only then an amendment moves the date.
        is_dated: bool,
        /// Why; none for unspecified.
        reason: Option<Reason>,
        /// RFC 5280 §5.3.2.
        invalidity_date: Option<Timestamp>,
        /// Whether date, reason and invalidity date replace those of an earlier revocation.
        amend: bool,
    },
    /// Lift a hold.
    Release,
    /// List as issued.
    Record,
}

/// What a change set says happened to a row.
///
/// *Warning:* stored state. The discriminants stand in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Revoked or held for the first time, or a hold made permanent.
    Revoked = 1,
    /// Date, reason or other facts of a revocation were corrected.
    Amended = 2,
    /// A hold was lifted.
    Released = 3,
    /// Listed as issued, or its end became known.
    Recorded = 4,
}

impl Event {
    /// The event with this discriminant.
    pub fn from_code(code: u8) -> Option<Self> {
        [Self::Revoked, Self::Amended, Self::Released, Self::Recorded]
            .into_iter()
            .find(|event| *event as u8 == code)
    }

    /// Its name in logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Amended => "amended",
            Self::Released => "released",
            Self::Recorded => "recorded",
        }
    }

    /// Whether it can change what CRLs list.
    pub fn touches_crls(self) -> bool {
        self != Self::Recorded
    }
}

/// Why a request contradicts what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// Release of something revoked for good.
    #[error("{0} is revoked for good; only a hold can be released")]
    Permanent(Serial),
    /// Release of something not on hold.
    #[error("{0} is not on hold, so there is nothing to release")]
    NotHeld(Serial),
}

/// Merges a request with what is known. The earliest date stays, permanent stays, a hold may be
/// released or made permanent, and only `amend` replaces a reason. `None`: nothing changes, as when
/// told twice. The new row's `seq` is the old one's, or 0; the commit sets it.
pub fn merge(
    known: Option<&Status>,
    request: &ChangeRequest,
) -> Result<Option<(Event, Status)>, MergeError> {
    // The latest end counts: an earlier one would let an entry leave the CRL too soon.
    let not_after = request
        .not_after
        .max(known.and_then(|known| known.not_after));
    let blank = Status {
        serial: request.serial,
        state: State::Valid,
        revoked_at: None,
        reason: None,
        invalidity_date: None,
        not_after,
        seq: known.map_or(0, |known| known.seq),
    };
    let (event, merged) = match request.action {
        // What is revoked stays as it is: a record comes from a list of valid certificates.
        Action::Record if known.is_some_and(Status::is_listed) => return Ok(None),
        Action::Record => (Event::Recorded, blank),
        Action::Release => match known.map(|known| known.state) {
            Some(State::Held) => (Event::Released, blank),
            Some(State::Revoked) => return Err(MergeError::Permanent(request.serial)),
            Some(State::Valid) | None => return Err(MergeError::NotHeld(request.serial)),
        },
        Action::Revoke {
            at,
            is_dated,
            reason,
            invalidity_date,
            amend,
        } => {
            let state = if reason == Some(Reason::CertificateHold) {
                State::Held
            } else {
                State::Revoked
            };
            let new = Status {
                state,
                revoked_at: Some(at),
                reason,
                invalidity_date,
                ..blank
            };
            match known.filter(|known| known.is_listed()) {
                None => (Event::Revoked, new),
                Some(known) => merge_listed(known, new, amend, is_dated),
            }
        }
    };
    Ok(Some((event, merged)).filter(|(_, merged)| known != Some(merged)))
}

/// Merges a revocation with an earlier one.
fn merge_listed(known: &Status, new: Status, amend: bool, is_dated: bool) -> (Event, Status) {
    let earliest = known.revoked_at.min(new.revoked_at);
    let amended = if is_dated {
        new.revoked_at
    } else {
        known.revoked_at
    };
    let invalidity_date = new.invalidity_date.or(known.invalidity_date);
    match (known.state, new.state) {
        // Permanent stays: a hold does not weaken it, and does not date it back either.
        (State::Revoked, State::Held) => (
            Event::Amended,
            Status {
                not_after: new.not_after,
                ..*known
            },
        ),
        // A hold made permanent keeps its date: relying parties were told not to trust it since
        // then.
        (State::Held, State::Revoked) if amend => (
            Event::Revoked,
            Status {
                revoked_at: amended,
                invalidity_date,
                ..new
            },
        ),
        (State::Held, State::Revoked) => (
            Event::Revoked,
            Status {
                revoked_at: earliest,
                invalidity_date,
                ..new
            },
        ),
        _ if amend => (
            Event::Amended,
            Status {
                revoked_at: amended,
                invalidity_date,
                ..new
            },
        ),
        _ => {
            let invalidity_date = known.invalidity_date.or(new.invalidity_date);
            (
                Event::Amended,
                Status {
                    revoked_at: earliest,
                    invalidity_date,
                    not_after: new.not_after,
                    ..*known
                },
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_seconds(seconds).unwrap()
    }

    fn revoke(seconds: u64, reason: Option<Reason>, amend: bool) -> ChangeRequest {
        let action = Action::Revoke {
            at: at(seconds),
            is_dated: true,
            reason,
            invalidity_date: None,
            amend,
        };
        ChangeRequest {
            serial: Serial::from_hex("0a").unwrap(),
            action,
            not_after: None,
        }
    }

    fn plain(action: Action) -> ChangeRequest {
        ChangeRequest {
            action,
            ..revoke(0, None, false)
        }
    }

    fn known(requests: &[ChangeRequest]) -> Option<Status> {
        requests.iter().fold(None, |known, request| {
            merge(known.as_ref(), request)
                .unwrap()
                .map(|(_, status)| status)
                .or(known)
        })
    }

    const COMPROMISE: Option<Reason> = Some(Reason::KeyCompromise);
    const HOLD: Option<Reason> = Some(Reason::CertificateHold);

    #[test]
    fn telling_it_twice_changes_nothing() {
        let first = known(&[revoke(5, COMPROMISE, false)]);
        assert_eq!(
            merge(first.as_ref(), &revoke(5, COMPROMISE, false)),
            Ok(None)
        );
        assert_eq!(merge(first.as_ref(), &revoke(9, None, false)), Ok(None));
        assert_eq!(merge(first.as_ref(), &revoke(3, HOLD, false)), Ok(None));
        assert_eq!(merge(first.as_ref(), &plain(Action::Record)), Ok(None));
    }

    #[test]
    fn earliest_date_stays_in_any_order() {
        for dates in [[5, 9], [9, 5]] {
            let status = known(&dates.map(|date| revoke(date, COMPROMISE, false))).unwrap();
            assert_eq!(status.revoked_at, Some(at(5)));
        }
    }

    #[test]
    fn reason_changes_only_by_amendment() {
        let status = known(&[revoke(5, None, false), revoke(7, COMPROMISE, false)]).unwrap();
        assert_eq!((status.reason, status.revoked_at), (None, Some(at(5))));
        let status = known(&[revoke(5, None, false), revoke(7, COMPROMISE, true)]).unwrap();
        assert_eq!(
            (status.reason, status.revoked_at),
            (COMPROMISE, Some(at(7)))
        );
    }

    #[test]
    fn only_a_hold_can_be_released() {
        let released = known(&[revoke(5, HOLD, false), plain(Action::Release)]).unwrap();
        assert_eq!(
            (released.state, released.revoked_at, released.reason),
            (State::Valid, None, None)
        );
        let revoked = known(&[revoke(5, None, false)]);
        let release = plain(Action::Release);
        assert_eq!(
            merge(revoked.as_ref(), &release),
            Err(MergeError::Permanent(release.serial))
        );
        assert_eq!(
            merge(Some(&released), &release),
            Err(MergeError::NotHeld(release.serial))
        );
        assert_eq!(
            merge(None, &release),
            Err(MergeError::NotHeld(release.serial))
        );
    }

    #[test]
    fn a_hold_made_permanent_keeps_its_date() {
        let status = known(&[revoke(5, HOLD, false), revoke(9, COMPROMISE, false)]).unwrap();
        assert_eq!(
            (status.state, status.reason, status.revoked_at),
            (State::Revoked, COMPROMISE, Some(at(5)))
        );
    }

    #[test]
    fn an_amendment_cannot_turn_a_revocation_into_a_hold() {
        let status = known(&[revoke(5, COMPROMISE, false), revoke(9, HOLD, true)]).unwrap();
        assert_eq!(
            (status.state, status.reason, status.revoked_at),
            (State::Revoked, COMPROMISE, Some(at(5)))
        );
    }

    #[test]
    fn an_amendment_without_date_keeps_the_date() {
        let Action::Revoke {
            at: later,
            reason,
            invalidity_date,
            ..
        } = revoke(9, COMPROMISE, true).action
        else {
            unreachable!()
        };
        let action = Action::Revoke {
            at: later,
            is_dated: false,
            reason,
            invalidity_date,
            amend: true,
        };
        let status = known(&[revoke(5, None, false), plain(action)]).unwrap();
        assert_eq!(
            (status.reason, status.revoked_at),
            (COMPROMISE, Some(at(5)))
        );
    }

    #[test]
    fn recording_leaves_what_is_revoked_alone_and_the_latest_end_counts() {
        let end = |seconds, request| ChangeRequest {
            not_after: Some(at(seconds)),
            ..request
        };
        let revoked = [
            end(99, revoke(5, COMPROMISE, false)),
            end(7, plain(Action::Record)),
        ];
        assert_eq!(known(&revoked), known(&revoked[..1]));
        let earlier = known(&[
            end(99, revoke(5, None, false)),
            end(7, revoke(5, None, false)),
        ])
        .unwrap();
        assert_eq!(earlier.not_after, Some(at(99)));
        let later = known(&[
            end(7, plain(Action::Record)),
            end(99, plain(Action::Record)),
        ])
        .unwrap();
        assert_eq!((later.state, later.not_after), (State::Valid, Some(at(99))));
    }

    #[test]
    fn reason_names_are_rfc_5280s_and_remove_from_crl_is_none() {
        for reason in Reason::ALL {
            assert_eq!(Reason::parse(reason.name()), Ok(Some(reason)));
            assert_eq!(Reason::from_code(reason.code()), Some(reason));
        }
        assert_eq!(Reason::parse("key-compromise"), Ok(COMPROMISE));
        assert_eq!(Reason::parse("unspecified"), Ok(None));
        assert_eq!(
            Reason::parse("removeFromCRL"),
            Err(ReasonError::RemoveFromCrl)
        );
        assert!(matches!(
            Reason::parse("boredom"),
            Err(ReasonError::Unknown(_))
        ));
        assert!(
            [0, 7, 8, 11]
                .into_iter()
                .all(|code| Reason::from_code(code).is_none())
        );
    }
}
