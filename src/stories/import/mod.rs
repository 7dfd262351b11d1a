//! Taking over another CA's revocations: from its CRL, or from JSON Lines.
//!
//! A file is taken whole or refused whole, before anything is committed; nothing is ever
//! un-revoked; doing it again changes nothing.

mod crl;
mod jsonl;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use super::revoke::{self, Author};
use crate::stories::replicate;
use crate::{
    ca::Ca,
    core::{
        certificate::Certificate,
        revocation::{self, Action, Request},
        serial::{CrlNumber, Serial},
        time::Timestamp,
    },
};

/// What the files are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// CRLs, DER or PEM.
    Crl,
    /// JSON Lines, as `export` writes them.
    Jsonl,
}

/// What a file asks for.
#[derive(Debug, Default)]
struct Content {
    requests: Vec<Request>,
    /// The number of the CRL it was.
    number: Option<CrlNumber>,
    /// `removeFromCRL` entries, which ask to un-revoke and are left out.
    left_out: usize,
}

/// What JSON Lines ask for; the error is a sentence with the line's number.
pub fn read_jsonl(bytes: &[u8]) -> Result<Vec<Request>, String> {
    jsonl::read(bytes).map(|content| content.requests)
}

/// What came of it, as `--json` prints it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// The issuer's name.
    pub issuer: String,
    /// How many certificates the files name.
    pub read: usize,
    /// How many of them changed something, or would.
    pub changed: usize,
    /// How many were known already.
    pub unchanged: usize,
    /// Entries that asked to un-revoke, and were left out.
    pub left_out: usize,
    /// The next CRL's number is above this.
    pub crl_number_floor: Option<u64>,
    /// The newest change set.
    pub seq: u64,
    /// Whether nothing was written.
    pub dry_run: bool,
}

/// Why nothing, or not everything, was taken over.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file is refused whole.
    #[error("{file}: {what}; nothing of it was imported", file = .file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        what: String,
    },
    /// The index cannot be used.
    #[error("import into the index: {0}")]
    Index(String),
}

/// Where the files come from.
#[derive(Clone, Debug)]
pub struct Origin<'a> {
    /// What they are.
    pub form: Form,
    /// The certificate of the CA that signed them, where it is not our issuer's.
    pub signer: Option<&'a Certificate>,
    /// Report only.
    pub dry_run: bool,
}

/// Imports files; all are read and verified before the first change.
pub async fn import(
    ca: &Ca,
    origin: &Origin<'_>,
    files: &[PathBuf],
    author: &Author,
    now: Timestamp,
    mut progress: impl FnMut(usize, usize),
) -> Result<Report, ImportError> {
    let contents: Vec<_> = files
        .iter()
        .map(|file| read(ca, origin, file, now))
        .collect::<Result<_, _>>()?;
    let number = contents.iter().filter_map(|content| content.number).max();
    let index = |error: &dyn std::fmt::Display| ImportError::Index(error.to_string());
    let mut report = Report {
        issuer: ca.name.clone(),
        read: contents.iter().map(|content| content.requests.len()).sum(),
        left_out: contents.iter().map(|content| content.left_out).sum(),
        crl_number_floor: number.map(CrlNumber::get),
        dry_run: origin.dry_run,
        ..Report::default()
    };
    if origin.dry_run {
        let (changed, seq) = preview(ca, &contents).await?;
        report.changed = changed;
        report.seq = seq;
    } else {
        if let Some(number) = number {
            revoke::raise_number(ca, number)
                .await
                .map_err(|error| index(&error))?;
        }
        let mut done = 0;
        for content in &contents {
            let told = |count| {
                done += count;
                progress(done, report.read);
            };
            let recorded = revoke::commit(ca, &content.requests, author, now, told).await;
            let recorded = recorded.map_err(|error| index(&error))?;
            report.changed += recorded.changed;
            report.seq = recorded.seq;
        }
    }
    report.unchanged = report.read.saturating_sub(report.changed);
    Ok(report)
}

fn read(ca: &Ca, origin: &Origin<'_>, file: &Path, now: Timestamp) -> Result<Content, ImportError> {
    let refused = |what: String| ImportError::File {
        file: file.to_owned(),
        what,
    };
    let bytes = std::fs::read(file).map_err(|error| refused(format!("cannot be read: {error}")))?;
    let content = match origin.form {
        Form::Crl => crl::read(&bytes, origin.signer.unwrap_or(ca.issuer.certificate())),
        Form::Jsonl => jsonl::read(&bytes),
    };
    let content = content.map_err(refused)?;
    let ahead = content
        .requests
        .iter()
        .find_map(|request| match request.action {
            Action::Revoke { at, .. } if at > now => Some((request.serial, at)),
            _ => None,
        });
    match ahead {
        Some((serial, at)) => Err(refused(format!(
            "serial {serial} was revoked at {at}, which lies in the future"
        ))),
        None => Ok(content),
    }
}

/// How many requests would change something, and the newest change set.
async fn preview(ca: &Ca, contents: &[Content]) -> Result<(usize, u64), ImportError> {
    let replica = replicate::level(ca, None)
        .await
        .map_err(|error| ImportError::Index(error.to_string()))?;
    let mut merged = HashMap::new();
    let mut changed = 0;
    for request in contents.iter().flat_map(|content| &content.requests) {
        let known = merged
            .get(&request.serial)
            .or_else(|| replica.get(&request.serial));
        let change = revocation::merge(known, request)
            .map_err(|error| ImportError::Index(error.to_string()))?;
        if let Some(change) = change {
            merged.insert(request.serial, change.status);
            changed += 1;
        }
    }
    Ok((changed, replica.head().seq))
}

/// Each serial number once: of several requests for one, that with the earliest date counts.
fn once(requests: Vec<Request>) -> Vec<Request> {
    let date = |request: &Request| match request.action {
        Action::Revoke { at, .. } => Some(at),
        Action::Release | Action::Record => None,
    };
    let mut places: HashMap<Serial, usize> = HashMap::with_capacity(requests.len());
    let mut kept: Vec<Request> = Vec::with_capacity(requests.len());
    for request in requests {
        match places
            .get(&request.serial)
            .and_then(|&place| kept.get_mut(place))
        {
            None => {
                places.insert(request.serial, kept.len());
                kept.push(request);
            }
            Some(earlier)
                if date(earlier).is_none()
                    || date(&request).is_some_and(|at| Some(at) < date(earlier)) =>
            {
                *earlier = request;
            }
            Some(_) => {}
        }
    }
    kept
}
