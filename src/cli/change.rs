//! Commands that change the index.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use super::{Context, Failure, now, print, print_json};
use crate::{
    ca::{Ca, open::read_certificate},
    core::{revocation::ChangeRequest, time::Timestamp},
    stories::{
        import::{self, ImportForm, ImportOrigin},
        revoke::{self, Author, Committed},
        schema::{self, Revocation},
    },
};

/// `rescind revoke`.
#[derive(Debug, Args)]
pub(super) struct Revoke {
    /// The issuer's name in the configuration
    #[arg(long, value_name = "NAME")]
    issuer: String,
    /// A serial number in hexadecimal; may be given several times
    #[arg(long, value_name = "HEX", required_unless_present = "cert")]
    serial: Vec<String>,
    /// A certificate, PEM or DER; may be given several times
    #[arg(long, value_name = "FILE")]
    cert: Vec<PathBuf>,
    /// Why: keyCompromise, cACompromise, affiliationChanged, superseded, cessationOfOperation,
    /// certificateHold (can be released), privilegeWithdrawn, aACompromise; unspecified if left out
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
    /// Since when, like 2026-01-17T00:27:48Z; if left out, as long ago as CRLs are backdated
    #[arg(long, value_name = "TIME")]
    revoked_at: Option<Timestamp>,
    /// When the key is known or suspected to have been compromised
    #[arg(long, value_name = "TIME")]
    invalidity_date: Option<Timestamp>,
    /// When the certificate ends; after that it may leave the CRL. Taken from --cert if left out
    #[arg(long, value_name = "TIME")]
    not_after: Option<Timestamp>,
    /// Why, for the journal
    #[arg(long, value_name = "TEXT", default_value = "")]
    comment: String,
    /// Replace date and reason of an earlier revocation
    #[arg(long)]
    amend: bool,
}

impl Revoke {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let ca = context.ca(&self.issuer).await?;
        let now = now();
        let common = self.common();
        let mut requests = Vec::new();
        for serial in &self.serial {
            let wanted = Revocation {
                serial: Some(serial.clone()),
                ..common.clone()
            };
            requests.push(wanted.request(&ca, now).map_err(Failure::failed)?);
        }
        for file in &self.cert {
            let certificate = read_certificate(file).map_err(Failure::failed)?;
            requests.push(
                common
                    .of_certificate(&ca, &certificate, now)
                    .map_err(Failure::failed)?,
            );
        }
        record(context, &ca, &requests, &self.comment, now, "revoked").await
    }

    fn common(&self) -> Revocation {
        Revocation {
            reason: self.reason.clone(),
            revoked_at: self.revoked_at,
            invalidity_date: self.invalidity_date,
            not_after: self.not_after,
            amend: self.amend,
            ..Revocation::default()
        }
    }
}

/// `rescind release`.
#[derive(Debug, Args)]
pub(super) struct Release {
    /// The issuer's name in the configuration
    #[arg(long, value_name = "NAME")]
    issuer: String,
    /// A serial number in hexadecimal; may be given several times
    #[arg(long, value_name = "HEX", required = true)]
    serial: Vec<String>,
    /// Why, for the journal
    #[arg(long, value_name = "TEXT", default_value = "")]
    comment: String,
}

impl Release {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let ca = context.ca(&self.issuer).await?;
        let requests: Result<Vec<_>, _> = self
            .serial
            .iter()
            .map(|serial| schema::release(serial))
            .collect();
        record(
            context,
            &ca,
            &requests.map_err(Failure::failed)?,
            &self.comment,
            now(),
            "released",
        )
        .await
    }
}

/// `rescind record`.
#[derive(Debug, Args)]
pub(super) struct Record {
    /// The issuer's name in the configuration
    #[arg(long, value_name = "NAME")]
    issuer: String,
    /// Certificates, PEM or DER
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    cert: Vec<PathBuf>,
    /// Why, for the journal
    #[arg(long, value_name = "TEXT", default_value = "")]
    comment: String,
}

impl Record {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let ca = context.ca(&self.issuer).await?;
        let mut requests = Vec::new();
        for file in &self.cert {
            let certificate = read_certificate(file).map_err(Failure::failed)?;
            requests.push(schema::record(&ca, &certificate).map_err(Failure::failed)?);
        }
        record(context, &ca, &requests, &self.comment, now(), "recorded").await
    }
}

async fn record(
    context: &Context,
    ca: &Ca,
    requests: &[ChangeRequest],
    comment: &str,
    now: Timestamp,
    done: &str,
) -> Result<(), Failure> {
    let author = Author {
        actor: actor(ca).await?,
        comment: comment.to_owned(),
    };
    let recorded = revoke::commit(ca, requests, &author, now, |_| ())
        .await
        .map_err(Failure::failed)?;
    let Committed { seq, changed } = recorded;
    if context.json {
        print_json(&serde_json::json!({ "issuer": ca.name, "seq": seq, "changed": changed }))
    } else if changed == 0 {
        print(format_args!(
            "{}: nothing changed, it was so already (newest change set: {seq})",
            ca.name
        ))
    } else {
        print(format_args!(
            "{}: {done} {changed} in change set {seq}; the next CRL tells",
            ca.name
        ))
    }
}

/// Who it is for the journal: the identity towards Azure, or who sits at the keyboard, `user@host`.
pub(super) async fn actor(ca: &Ca) -> Result<String, Failure> {
    Ok(ca
        .actor()
        .await
        .map_err(Failure::failed)?
        .unwrap_or_else(local_actor))
}

fn local_actor() -> String {
    let variable = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
    let user = variable("USER")
        .or_else(|| variable("LOGNAME"))
        .unwrap_or_else(|| "unknown".to_owned());
    let host =
        std::fs::read_to_string("/proc/sys/kernel/hostname").map(|host| host.trim().to_owned());
    format!("{user}@{}", host.unwrap_or_else(|_| "localhost".to_owned()))
}

/// What `--from` takes.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum From {
    /// CRLs, DER or PEM
    Crl,
    /// JSON Lines, as `export` writes them
    Jsonl,
}

/// `rescind import`.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// The issuer's name in the configuration
    #[arg(long, value_name = "NAME")]
    issuer: String,
    /// What the files are
    #[arg(long)]
    from: From,
    /// The certificate of the CA that signed the CRLs, where it is not the issuer's own
    #[arg(long, value_name = "FILE")]
    ca_cert: Option<PathBuf>,
    /// Report what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// The files
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

impl Import {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let ca = context.ca(&self.issuer).await?;
        let signer = self.ca_cert.as_deref().map(read_certificate).transpose();
        let signer = signer.map_err(Failure::failed)?;
        let form = match self.from {
            From::Crl => ImportForm::Crl,
            From::Jsonl => ImportForm::Jsonl,
        };
        let origin = ImportOrigin {
            form,
            signer: signer.as_ref(),
            dry_run: self.dry_run,
        };
        let names: Vec<_> = self
            .files
            .iter()
            .map(|file| file.display().to_string())
            .collect();
        let mut comment = format!("import of {}", names.join(", "));
        comment.truncate(comment.floor_char_boundary(crate::core::journal::change_set::MAX_TEXT));
        let author = Author {
            actor: actor(&ca).await?,
            comment,
        };
        let bar = progress_bar();
        let report = import::import(&ca, &origin, &self.files, &author, now(), |done, all| {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        });
        let report = report.await;
        bar.finish_and_clear();
        let report = report.map_err(Failure::failed)?;
        if context.json {
            return print_json(&report);
        }
        let would = if report.dry_run { "would be " } else { "" };
        print(format_args!(
            "{}: read {} certificates",
            report.issuer, report.read
        ))?;
        print(format_args!(
            "  {} {would}changed, {} known already",
            report.changed, report.unchanged
        ))?;
        if report.left_out > 0 {
            print(format_args!(
                "  {} entries ask to un-revoke and were left out",
                report.left_out
            ))?;
        }
        if let Some(floor) = report.crl_number_floor {
            print(format_args!(
                "  the next CRL's number {would}rises above {floor}"
            ))?;
        }
        print(format_args!("  newest change set: {}", report.seq))
    }
}

/// A bar on stderr where that is a terminal; nothing elsewhere.
fn progress_bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    match ProgressStyle::with_template("{bar:40} {pos} of {len} certificates, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
