//! What is asked, and how it merges with what is known.

use super::status::{Listing, Reason, State, Status};
use crate::core::{serial::Serial, time::Timestamp};

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

/// What happened to a certificate, and what is true of it afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// What happened.
    pub event: Event,
    /// The row as it is afterwards.
    pub status: Status,
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
/// told twice. The new row's change set is the old one's, or 0; the commit sets it.
pub fn merge(
    known: Option<&Status>,
    request: &ChangeRequest,
) -> Result<Option<Change>, MergeError> {
    let serial = request.serial;
    // The latest end counts: an earlier one would let an entry leave the CRL too soon.
    let not_after = request.not_after.max(known.and_then(Status::not_after));
    let seq = known.map_or(0, Status::seq);
    let valid = Status::valid(serial, not_after, seq);
    let (event, status) = match request.action {
        // What is revoked stays as it is: a record comes from a list of valid certificates.
        Action::Record if known.is_some_and(Status::is_listed) => return Ok(None),
        Action::Record => (Event::Recorded, valid),
        Action::Release => match known.map(Status::state) {
            Some(State::Held) => (Event::Released, valid),
            Some(State::Revoked) => return Err(MergeError::Permanent(serial)),
            Some(State::Valid) | None => return Err(MergeError::NotHeld(serial)),
        },
        Action::Revoke {
            at,
            is_dated,
            reason,
            invalidity_date,
            amend,
        } => {
            let new = Listing {
                at,
                reason,
                invalidity_date,
            };
            let (event, listing) = match known.and_then(Status::listing) {
                None => (Event::Revoked, new),
                Some(known) => merge_listings(known, new, amend, is_dated),
            };
            (event, Status::listed(serial, listing, not_after, seq))
        }
    };
    Ok((known != Some(&status)).then_some(Change { event, status }))
}

/// Merges a revocation with an earlier one.
fn merge_listings(known: Listing, new: Listing, amend: bool, is_dated: bool) -> (Event, Listing) {
    let earliest = known.at.min(new.at);
    let amended = if is_dated { new.at } else { known.at };
    let invalidity_date = new.invalidity_date.or(known.invalidity_date);
    match (known.state(), new.state()) {
        // Permanent stays: a hold does not weaken it, and does not date it back either.
        (State::Revoked, State::Held) => (Event::Amended, known),
        // A hold made permanent keeps its date: relying parties were told not to trust it since
        // then.
        (State::Held, State::Revoked) => {
            let at = if amend { amended } else { earliest };
            let listing = Listing {
                at,
                invalidity_date,
                ..new
            };
            (Event::Revoked, listing)
        }
        _ if amend => {
            let listing = Listing {
                at: amended,
                invalidity_date,
                ..new
            };
            (Event::Amended, listing)
        }
        _ => {
            let listing = Listing {
                at: earliest,
                invalidity_date: known.invalidity_date.or(new.invalidity_date),
                ..known
            };
            (Event::Amended, listing)
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
                .map(|change| change.status)
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
            assert_eq!(status.revoked_at(), Some(at(5)));
        }
    }

    #[test]
    fn reason_changes_only_by_amendment() {
        let status = known(&[revoke(5, None, false), revoke(7, COMPROMISE, false)]).unwrap();
        assert_eq!((status.reason(), status.revoked_at()), (None, Some(at(5))));
        let status = known(&[revoke(5, None, false), revoke(7, COMPROMISE, true)]).unwrap();
        assert_eq!(
            (status.reason(), status.revoked_at()),
            (COMPROMISE, Some(at(7)))
        );
    }

    #[test]
    fn only_a_hold_can_be_released() {
        let released = known(&[revoke(5, HOLD, false), plain(Action::Release)]).unwrap();
        assert_eq!(
            (released.state(), released.revoked_at(), released.reason()),
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
            (status.state(), status.reason(), status.revoked_at()),
            (State::Revoked, COMPROMISE, Some(at(5)))
        );
    }

    #[test]
    fn an_amendment_cannot_turn_a_revocation_into_a_hold() {
        let status = known(&[revoke(5, COMPROMISE, false), revoke(9, HOLD, true)]).unwrap();
        assert_eq!(
            (status.state(), status.reason(), status.revoked_at()),
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
            (status.reason(), status.revoked_at()),
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
        assert_eq!(earlier.not_after(), Some(at(99)));
        let later = known(&[
            end(7, plain(Action::Record)),
            end(99, plain(Action::Record)),
        ])
        .unwrap();
        assert_eq!(
            (later.state(), later.not_after()),
            (State::Valid, Some(at(99)))
        );
    }
}
