//! From JSON Lines, the form that `export` writes: one object a line.

use super::{FileError, ImportContent, once};
use crate::{
    core::{
        chain::Chain,
        revocation::{Action, ChangeRequest, Reason, State},
        time::Timestamp,
    },
    stories::schema,
};

/// One line.
#[derive(Debug, serde::Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "an object: {\"serial\": …, \"state\": …}"
)]
struct ImportLine {
    serial: String,
    state: String,
    revoked_at: Option<Timestamp>,
    reason: Option<String>,
    invalidity_date: Option<Timestamp>,
    not_after: Option<Timestamp>,
}

pub(super) fn read(bytes: &[u8]) -> Result<ImportContent, FileError> {
    let text = std::str::from_utf8(bytes)?;
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    let requests =
        lines.map(|(at, line)| request(line).map_err(|what| FileError::Line { at: at + 1, what }));
    Ok(ImportContent {
        requests: once(requests.collect::<Result<_, _>>()?),
        ..ImportContent::default()
    })
}

/// The error says what is wrong with the line.
fn request(line: &str) -> Result<ChangeRequest, String> {
    let line: ImportLine = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let serial = schema::serial(&line.serial).map_err(|error| Chain(&error).to_string())?;
    let state: State = line.state.parse()?;
    let reason = match line.reason.as_deref() {
        Some(reason) => Reason::parse(reason).map_err(|error| error.to_string())?,
        None => None,
    };
    let action = match (state, line.revoked_at) {
        (State::Valid, None) if reason.is_none() && line.invalidity_date.is_none() => {
            Action::Record
        }
        (State::Valid, _) => {
            return Err(
                "a valid certificate has no revoked_at, no reason and no invalidity_date"
                    .to_owned(),
            );
        }
        (_, None) => return Err(format!("a {} certificate needs a revoked_at", state.name())),
        (State::Revoked, Some(_)) if reason == Some(Reason::CertificateHold) => {
            return Err("certificateHold goes with the state held".to_owned());
        }
        (State::Held, Some(_))
            if reason.is_some_and(|reason| reason != Reason::CertificateHold) =>
        {
            return Err("the state held goes with the reason certificateHold".to_owned());
        }
        (state, Some(at)) => {
            let reason = if state == State::Held {
                Some(Reason::CertificateHold)
            } else {
                reason
            };
            Action::Revoke {
                at,
                is_dated: true,
                reason,
                invalidity_date: line.invalidity_date,
                amend: false,
            }
        }
    };
    Ok(ChangeRequest {
        serial,
        action,
        not_after: line.not_after,
    })
}

#[cfg(test)]
mod tests {
    use super::read;

    /// What a line says is taken over or refused; nothing of it is passed over.
    #[test]
    fn a_valid_certificate_with_facts_of_a_revocation_is_refused() {
        assert!(
            read(br#"{"serial":"0a","state":"valid","not_after":"2030-01-01T00:00:00Z"}"#).is_ok()
        );
        for fact in ["revoked_at", "invalidity_date"] {
            let line =
                format!(r#"{{"serial":"0a","state":"valid","{fact}":"2025-01-01T00:00:00Z"}}"#);
            assert!(
                read(line.as_bytes())
                    .unwrap_err()
                    .to_string()
                    .contains(fact),
                "{fact}"
            );
        }
        assert!(
            read(br#"{"serial":"0a","state":"valid","reason":"superseded"}"#)
                .unwrap_err()
                .to_string()
                .contains("reason")
        );
    }
}
