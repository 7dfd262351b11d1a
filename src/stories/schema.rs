//! The words in which callers ask and are told: shared by command line, API and JSON Lines.

use crate::{
    ca::Ca,
    core::{
        certificate::{Certificate, CertificateError},
        revocation::{Action, ChangeRequest, Reason, ReasonError, Status},
        serial::{Serial, SerialError},
        time::Timestamp,
    },
};

/// A revocation as a caller words it.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Revocation {
    /// Hexadecimal; or else `certificate`.
    pub serial: Option<String>,
    /// A certificate in PEM.
    pub certificate: Option<String>,
    /// RFC 5280's name.
    pub reason: Option<String>,
    /// Since when; shortly before now if left out.
    pub revoked_at: Option<Timestamp>,
    /// When the key was compromised.
    pub invalidity_date: Option<Timestamp>,
    /// When the certificate ends; taken from `certificate` if left out.
    pub not_after: Option<Timestamp>,
    pub comment: Option<String>,
    /// Whether date and reason replace those of an earlier revocation.
    pub amend: bool,
}

/// Why what a caller asks makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// Neither or both.
    #[error("give either a serial number or a certificate")]
    Which,
    /// Not a serial number.
    #[error("the serial number {text:?} {error}")]
    Serial {
        text: String,
        /// What is wrong with it.
        #[source]
        error: SerialError,
    },
    /// Not a certificate.
    #[error("the certificate {0}")]
    Certificate(#[from] CertificateError),
    /// Another CA's certificate.
    #[error(
        "the certificate with serial number {serial} was not issued by issuer {issuer} with its \
         present key"
    )]
    OtherIssuer {
        /// Its serial number.
        serial: Serial,
        /// The issuer's name.
        issuer: String,
    },
    /// Not a reason.
    #[error(transparent)]
    Reason(#[from] ReasonError),
    /// A date that lies ahead.
    #[error("{what} {date} lies in the future; it is {now} now")]
    Future {
        what: &'static str,
        date: Timestamp,
        now: Timestamp,
    },
}

/// Reads a serial number.
pub(crate) fn serial(text: &str) -> Result<Serial, SchemaError> {
    Serial::from_hex(text).map_err(|error| SchemaError::Serial {
        text: text.to_owned(),
        error,
    })
}

/// A request to lift a hold.
pub(crate) fn release(text: &str) -> Result<ChangeRequest, SchemaError> {
    Ok(ChangeRequest {
        serial: serial(text)?,
        action: Action::Release,
        not_after: None,
    })
}

/// A request to list a certificate as issued.
pub(crate) fn record(ca: &Ca, certificate: &Certificate) -> Result<ChangeRequest, SchemaError> {
    let not_after = Some(issued(ca, certificate)?.not_after);
    Ok(ChangeRequest {
        serial: certificate.serial,
        action: Action::Record,
        not_after,
    })
}

fn issued<'a>(ca: &Ca, certificate: &'a Certificate) -> Result<&'a Certificate, SchemaError> {
    match ca.issuer.issued(certificate) {
        true => Ok(certificate),
        false => Err(SchemaError::OtherIssuer {
            serial: certificate.serial,
            issuer: ca.name.clone(),
        }),
    }
}

impl Revocation {
    /// What is asked of `ca`.
    pub fn request(&self, ca: &Ca, now: Timestamp) -> Result<ChangeRequest, SchemaError> {
        match (&self.serial, &self.certificate) {
            (Some(text), None) => self.of(ca, serial(text)?, None, now),
            (None, Some(pem)) => {
                let certificate = Certificate::from_pem_or_der(pem.as_bytes())?;
                self.of_certificate(ca, &certificate, now)
            }
            _ => Err(SchemaError::Which),
        }
    }

    /// What is asked of `ca`, about this certificate.
    pub fn of_certificate(
        &self,
        ca: &Ca,
        certificate: &Certificate,
        now: Timestamp,
    ) -> Result<ChangeRequest, SchemaError> {
        let certificate = issued(ca, certificate)?;
        self.of(ca, certificate.serial, Some(certificate.not_after), now)
    }

    fn of(
        &self,
        ca: &Ca,
        serial: Serial,
        end: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<ChangeRequest, SchemaError> {
        let reason = self
            .reason
            .as_deref()
            .map(Reason::parse)
            .transpose()?
            .flatten();
        for (what, date) in [
            ("the revocation date", self.revoked_at),
            ("the invalidity date", self.invalidity_date),
        ] {
            if let Some(date) = date.filter(|date| *date > now) {
                return Err(SchemaError::Future { what, date, now });
            }
        }
        // No date given: that of the next CRL's thisUpdate. A CRL may not list what happens after
        // its thisUpdate, and thisUpdate is backdated for clocks that run behind. The journal has
        // the time of the act itself.
        let at = self
            .revoked_at
            .unwrap_or_else(|| now.before(ca.crl.backdate));
        let (is_dated, invalidity_date) = (self.revoked_at.is_some(), self.invalidity_date);
        let action = Action::Revoke {
            at,
            is_dated,
            reason,
            invalidity_date,
            amend: self.amend,
        };
        Ok(ChangeRequest {
            serial,
            action,
            not_after: self.not_after.or(end),
        })
    }
}

/// A status as JSON shows it; times are RFC 3339.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Shown {
    /// Hexadecimal.
    pub serial: String,
    /// `revoked`, `held`, `valid`; `unlisted` where nothing is known.
    pub state: &'static str,
    /// Since when.
    pub revoked_at: Option<Timestamp>,
    /// RFC 5280's name.
    pub reason: Option<&'static str>,
    /// When the key was compromised.
    pub invalidity_date: Option<Timestamp>,
    /// When the certificate ends.
    pub not_after: Option<Timestamp>,
    /// The change set that made it so; left out of exports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
}

impl Shown {
    /// Of a serial number, and what is known of it.
    pub fn new(serial: Serial, status: Option<&Status>) -> Self {
        Self {
            serial: serial.to_string(),
            state: status.map_or("unlisted", |status| status.state().name()),
            revoked_at: status.and_then(Status::revoked_at),
            reason: status.and_then(Status::reason).map(Reason::name),
            invalidity_date: status.and_then(Status::invalidity_date),
            not_after: status.and_then(Status::not_after),
            seq: status.map(Status::seq),
        }
    }
}
