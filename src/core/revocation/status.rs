//! What is known of one certificate.

use std::{fmt, str::FromStr};

use crate::core::{serial::Serial, time::Timestamp};

/// Why a certificate was revoked (RFC 5280 §5.3.1). `unspecified` is `None`: it should not be
/// encoded. `removeFromCRL` is no reason to revoke, and stands on delta CRLs alone; 7 is not used.
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
    /// Every one.
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

/// Since when and why a certificate is revoked or on hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Since when.
    pub at: Timestamp,
    /// Why; certificateHold where it is on hold, and only there. `None`: unspecified.
    pub reason: Option<Reason>,
    /// When the key is known or suspected to have been compromised (RFC 5280 §5.3.2).
    pub invalidity_date: Option<Timestamp>,
}

impl Listing {
    /// Revoked or held.
    pub fn state(&self) -> State {
        match self.reason {
            Some(Reason::CertificateHold) => State::Held,
            _ => State::Revoked,
        }
    }
}

/// A status row: everything known of one certificate. It has a date exactly when it is revoked or
/// held, and the reason certificateHold exactly when it is held.
///
/// A replica holds millions, so it is 56 octets, and its state is told by date and reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    serial: Serial,
    reason: Option<Reason>,
    revoked_at: Option<Timestamp>,
    invalidity_date: Option<Timestamp>,
    not_after: Option<Timestamp>,
    seq: u64,
}

impl Status {
    /// Of a certificate that is revoked or held, as change set `seq` made it.
    pub fn listed(
        serial: Serial,
        listing: Listing,
        not_after: Option<Timestamp>,
        seq: u64,
    ) -> Self {
        Self {
            serial,
            reason: listing.reason,
            revoked_at: Some(listing.at),
            invalidity_date: listing.invalidity_date,
            not_after,
            seq,
        }
    }

    /// Of a certificate that is known to be issued, and not revoked.
    pub fn valid(serial: Serial, not_after: Option<Timestamp>, seq: u64) -> Self {
        Self {
            serial,
            reason: None,
            revoked_at: None,
            invalidity_date: None,
            not_after,
            seq,
        }
    }

    /// The same, made by another change set.
    pub fn with_seq(self, seq: u64) -> Self {
        Self { seq, ..self }
    }

    /// Of which certificate.
    pub fn serial(&self) -> Serial {
        self.serial
    }

    /// Revoked, held or valid.
    pub fn state(&self) -> State {
        self.listing()
            .map_or(State::Valid, |listing| listing.state())
    }

    /// Whether it stands on CRLs (until it expires).
    pub fn is_listed(&self) -> bool {
        self.revoked_at.is_some()
    }

    /// Since when and why it is revoked or held; none where it is valid.
    pub fn listing(&self) -> Option<Listing> {
        Some(Listing {
            at: self.revoked_at?,
            reason: self.reason,
            invalidity_date: self.invalidity_date,
        })
    }

    /// Since when it is revoked or held; none where it is valid.
    pub fn revoked_at(&self) -> Option<Timestamp> {
        self.revoked_at
    }

    /// Why it is; none where that is unspecified, or it is valid.
    pub fn reason(&self) -> Option<Reason> {
        self.reason
    }

    /// When the key is known or suspected to have been compromised (RFC 5280 §5.3.2).
    pub fn invalidity_date(&self) -> Option<Timestamp> {
        self.invalidity_date
    }

    /// When the certificate ends; such a row may leave the CRL one appearance later.
    pub fn not_after(&self) -> Option<Timestamp> {
        self.not_after
    }

    /// The change set that made it so.
    pub fn seq(&self) -> u64 {
        self.seq
    }
}

/// What is written down of one certificate: no [`Status`] before it is checked.
///
/// *Warning:* stored state. Every store and format has these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are those of a status")]
pub(crate) struct StatusFields {
    pub serial: Serial,
    pub state: State,
    pub revoked_at: Option<Timestamp>,
    pub reason: Option<Reason>,
    pub invalidity_date: Option<Timestamp>,
    pub not_after: Option<Timestamp>,
    pub seq: u64,
}

/// Why what is written down of a certificate cannot be true of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StatusError {
    /// Listed, and no date: it could not be published.
    #[error(
        "status row {0} is damaged: it is revoked or held, and does not say since when; the \
         journal is right, and a backup of the table has the row"
    )]
    Undated(Serial),
    /// Valid, with facts of a revocation.
    #[error(
        "status row {0} is damaged: it is valid, and says since when or why it is revoked; the \
         journal is right, and a backup of the table has the row"
    )]
    Listed(Serial),
    /// Held for another reason than certificateHold, or revoked for that one.
    #[error(
        "status row {0} is damaged: certificateHold goes with the state held, and only with it; \
         the journal is right, and a backup of the table has the row"
    )]
    Reason(Serial),
}

impl StatusFields {
    /// The status, if there can be such a one.
    pub(crate) fn check(self) -> Result<Status, StatusError> {
        let (serial, not_after, seq) = (self.serial, self.not_after, self.seq);
        match (self.state, self.revoked_at) {
            (State::Valid, None) if self.reason.is_none() && self.invalidity_date.is_none() => {
                Ok(Status::valid(serial, not_after, seq))
            }
            (State::Valid, _) => Err(StatusError::Listed(serial)),
            (_, None) => Err(StatusError::Undated(serial)),
            (state, Some(at)) => {
                let listing = Listing {
                    at,
                    reason: self.reason,
                    invalidity_date: self.invalidity_date,
                };
                match listing.state() == state {
                    true => Ok(Status::listed(serial, listing, not_after, seq)),
                    false => Err(StatusError::Reason(serial)),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPROMISE: Option<Reason> = Some(Reason::KeyCompromise);

    #[test]
    fn a_status_is_dated_exactly_when_it_is_listed_and_held_by_its_reason() {
        let hold = Some(Reason::CertificateHold);
        let date = Some(Timestamp::EPOCH);
        let serial = Serial::from_random([7; 16]);
        let fields = |state, revoked_at, reason, invalidity_date| StatusFields {
            serial,
            state,
            revoked_at,
            reason,
            invalidity_date,
            not_after: date,
            seq: 3,
        };
        for possible in [
            fields(State::Valid, None, None, None),
            fields(State::Revoked, date, None, None),
            fields(State::Revoked, date, COMPROMISE, date),
            fields(State::Held, date, hold, date),
        ] {
            let status = possible.check().unwrap();
            let back = StatusFields {
                serial: status.serial(),
                state: status.state(),
                revoked_at: status.revoked_at(),
                reason: status.reason(),
                invalidity_date: status.invalidity_date(),
                not_after: status.not_after(),
                seq: status.seq(),
            };
            assert_eq!(back, possible);
            assert_eq!(status.is_listed(), status.listing().is_some());
        }
        for (impossible, error) in [
            (
                fields(State::Valid, date, None, None),
                StatusError::Listed(serial),
            ),
            (
                fields(State::Valid, None, COMPROMISE, None),
                StatusError::Listed(serial),
            ),
            (
                fields(State::Valid, None, None, date),
                StatusError::Listed(serial),
            ),
            (
                fields(State::Revoked, None, None, None),
                StatusError::Undated(serial),
            ),
            (
                fields(State::Held, None, hold, None),
                StatusError::Undated(serial),
            ),
            (
                fields(State::Revoked, date, hold, None),
                StatusError::Reason(serial),
            ),
            (
                fields(State::Held, date, None, None),
                StatusError::Reason(serial),
            ),
            (
                fields(State::Held, date, COMPROMISE, None),
                StatusError::Reason(serial),
            ),
        ] {
            assert_eq!(impossible.check(), Err(error), "{impossible:?}");
        }
    }

    #[test]
    fn a_status_takes_56_octets() {
        assert_eq!(size_of::<Status>(), 56);
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
