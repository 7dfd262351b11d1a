//! `rescind verify`.

use clap::Args;
use indicatif::ProgressBar;

use super::{Context, Failure, failures, print, print_json};
use crate::{core::chain::Chain, stories::verify};

/// `rescind verify`.
#[derive(Debug, Args)]
pub(super) struct Verify {
    /// Only this issuer
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
}

impl Verify {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let cas = context.chosen(self.issuer.as_deref()).await?;
        let (mut lines, mut errors) = (vec![], vec![]);
        for ca in &cas {
            let spinner = ProgressBar::new_spinner();
            let result = verify::verify(ca, |what| {
                spinner.set_message(format!("{}: {what}", ca.name))
            })
            .await;
            spinner.finish_and_clear();
            let error = result.as_ref().err().map(|error| Chain(error).to_string());
            let report = result.unwrap_or_default();
            lines.push(serde_json::json!({
                "name": ca.name,
                "seq": report.seq,
                "rows": report.rows,
                "crls": report.crls,
                "difference": error,
            }));
            match error {
                Some(error) => errors.push(format!("{}: {error}", ca.name)),
                None if context.json => {}
                None => print(format_args!(
                    "{}: {} change sets, {} status rows and {} archived CRLs are as they were \
                     written",
                    ca.name, report.seq, report.rows, report.crls
                ))?,
            }
        }
        if context.json {
            print_json(&serde_json::json!({ "issuers": lines }))?;
        }
        failures(&errors)
    }
}
