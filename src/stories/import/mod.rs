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

use super::{
    replicate::{self, LevelError},
    revoke::{self, Author, RevokeError},
};
use crate::{
    ca::Ca,
    core::{
        certificate::Certificate,
        chain::Chain,
        crl::CrlError,
        key::KeyError,
        revocation::{self, Action, ChangeRequest, MergeError},
        serial::{CrlNumber, Serial},
        time::Timestamp,
    },
    store::error::DriverError,
};

/// What the files are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ImportForm {
    /// CRLs, DER or PEM.
    Crl,
    /// JSON Lines, as `export` writes them.
    Jsonl,
}

/// What a file asks for.
#[derive(Debug, Default)]
struct ImportContent {
    requests: Vec<ChangeRequest>,
    /// The number of the CRL it was.
    number: Option<CrlNumber>,
    /// `removeFromCRL` entries, which ask to un-revoke and are left out.
    left_out: usize,
}

/// What JSON Lines ask for.
pub fn read_jsonl(bytes: &[u8]) -> Result<Vec<ChangeRequest>, FileError> {
    jsonl::read(bytes).map(|content| content.requests)
}

/// What came of it, as `--json` prints it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct ImportReport {
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
pub(crate) enum ImportError {
    /// A file is refused whole. Why stands in the middle of the sentence, with its causes.
    #[error(
        "{file}: {why}; nothing of it was imported",
        file = .file.display(),
        why = Chain(.why)
    )]
    File {
        file: PathBuf,
        #[source]
        why: FileError,
    },
    /// The index cannot be read.
    #[error("import into the index")]
    Level(#[from] LevelError),
    /// What is asked contradicts what is known.
    #[error("import into the index")]
    Merge(#[from] MergeError),
    /// The number of the CRL could not be raised.
    #[error("import into the index")]
    Number(#[source] DriverError),
    /// It could not be committed.
    #[error("import into the index")]
    Commit(#[from] RevokeError),
}

/// Why a file is refused.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be opened, or not to its end.
    #[error("cannot be read")]
    Read(#[from] std::io::Error),
    /// Not PEM, though it begins like it.
    #[error("it is not PEM")]
    Pem(#[source] der::pem::Error),
    /// PEM of something else.
    #[error("it is PEM of a {0}, not of an X509 CRL")]
    Label(String),
    /// Not a CRL, or one that breaks the rules.
    #[error(transparent)]
    Crl(#[from] CrlError),
    /// Another CA's.
    #[error("it is the CRL of another issuer; name that CA's certificate with --ca-cert")]
    OtherIssuer,
    /// Signed in a way that we do not know.
    #[error("its signature algorithm is not supported")]
    Algorithm,
    /// The CA's key is of no use.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Signed by somebody else.
    #[error("its signature does not verify under the CA's key: it is damaged or another key's")]
    Signature,
    /// About other issuers' certificates too.
    #[error("it is an indirect CRL, which lists other issuers' certificates too")]
    Indirect,
    /// A number that ours could not follow.
    #[error("its CRL number is malformed or above 2^63 - 1, so none of ours could follow it")]
    Number,
    /// Not text.
    #[error("it is not UTF-8")]
    Text(#[from] std::str::Utf8Error),
    /// A line of JSON Lines that makes no sense.
    #[error("line {at}: {what}")]
    Line {
        /// Counted from 1.
        at: usize,
        /// What is wrong with it.
        what: String,
    },
    /// A revocation to come.
    #[error("serial {serial} was revoked at {at}, which lies in the future")]
    Future {
        /// Of which certificate.
        serial: Serial,
        at: Timestamp,
    },
}

/// Where the files come from.
#[derive(Clone, Debug)]
pub(crate) struct ImportOrigin<'a> {
    /// What they are.
    pub form: ImportForm,
    /// The certificate of the CA that signed them, where it is not our issuer's.
    pub signer: Option<&'a Certificate>,
    /// Report only.
    pub dry_run: bool,
}

/// Imports files; all are read and verified before the first change.
pub(crate) async fn import(
    ca: &Ca,
    origin: &ImportOrigin<'_>,
    files: &[PathBuf],
    author: &Author,
    now: Timestamp,
    mut progress: impl FnMut(usize, usize),
) -> Result<ImportReport, ImportError> {
    let mut contents = Vec::new();
    for file in files {
        let content = read(ca, origin, file, now).map_err(|why| ImportError::File {
            file: file.clone(),
            why,
        })?;
        contents.push(content);
    }
    let number = contents.iter().filter_map(|content| content.number).max();
    let mut report = ImportReport {
        issuer: ca.name.clone(),
        read: contents.iter().map(|content| content.requests.len()).sum(),
        left_out: contents.iter().map(|content| content.left_out).sum(),
        crl_number_floor: number.map(CrlNumber::get),
        dry_run: origin.dry_run,
        ..ImportReport::default()
    };
    if origin.dry_run {
        let (changed, seq) = preview(ca, &contents).await?;
        report.changed = changed;
        report.seq = seq;
    } else {
        if let Some(number) = number {
            revoke::raise_number(ca, number)
                .await
                .map_err(ImportError::Number)?;
        }
        let mut done = 0;
        for content in &contents {
            let recorded = revoke::commit(ca, &content.requests, author, now, |count| {
                done += count;
                progress(done, report.read);
            });
            let recorded = recorded.await?;
            report.changed += recorded.changed;
            report.seq = recorded.seq;
        }
    }
    report.unchanged = report.read.saturating_sub(report.changed);
    Ok(report)
}

fn read(
    ca: &Ca,
    origin: &ImportOrigin<'_>,
    file: &Path,
    now: Timestamp,
) -> Result<ImportContent, FileError> {
    let bytes = std::fs::read(file)?;
    let content = match origin.form {
        ImportForm::Crl => crl::read(&bytes, origin.signer.unwrap_or(ca.issuer.certificate())),
        ImportForm::Jsonl => jsonl::read(&bytes),
    }?;
    for request in &content.requests {
        if let Some(at) = date(request).filter(|at| *at > now) {
            let serial = request.serial;
            return Err(FileError::Future { serial, at });
        }
    }
    Ok(content)
}

/// How many requests would change something, and the newest change set.
async fn preview(ca: &Ca, contents: &[ImportContent]) -> Result<(usize, u64), ImportError> {
    let replica = replicate::level(ca, None).await?;
    let mut merged = HashMap::new();
    let mut changed = 0;
    for request in contents.iter().flat_map(|content| &content.requests) {
        let known = merged
            .get(&request.serial)
            .or_else(|| replica.get(&request.serial));
        if let Some(change) = revocation::merge(known, request)? {
            merged.insert(request.serial, change.status);
            changed += 1;
        }
    }
    Ok((changed, replica.head().seq))
}

fn date(request: &ChangeRequest) -> Option<Timestamp> {
    match request.action {
        Action::Revoke { at, .. } => Some(at),
        Action::Release | Action::Record => None,
    }
}

/// Each serial number once: of several requests for one, that with the earliest date counts.
fn once(requests: Vec<ChangeRequest>) -> Vec<ChangeRequest> {
    let mut places: HashMap<Serial, usize> = HashMap::with_capacity(requests.len());
    let mut kept: Vec<ChangeRequest> = Vec::with_capacity(requests.len());
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
