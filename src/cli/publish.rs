//! `rescind publish`.

use std::time::Duration;

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use indicatif::ProgressBar;

use super::{Context, Failure, change::actor, failures, now, print, print_json};
use crate::{
    ca::Ca,
    core::{chain::Chain, crl::gate::Gate, serial::CrlNumber},
    server::health::or_none,
    stories::{
        publish::{self, Accepted, Became, Options, Outcome},
        revoke::Author,
    },
};

/// `rescind publish`.
#[derive(Debug, Args)]
pub(super) struct Publish {
    /// Only this issuer
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
    /// Publish even if nothing is due
    #[arg(long)]
    force: bool,
    /// Go through everything up to signing, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Pass this gate once, although the new CRL contradicts the last one in it; who and why is
    /// written down
    #[arg(long, value_name = "GATE", value_parser = gate(), requires_all = ["comment", "issuer"])]
    accept: Option<Gate>,
    /// Why the gate is passed
    #[arg(long, value_name = "TEXT", requires = "accept")]
    comment: Option<String>,
}

/// One issuer's outcome, as `--json` prints it.
#[derive(Debug, serde::Serialize)]
struct IssuerLine {
    name: String,
    published: bool,
    crl_number: Option<u64>,
    reason: &'static str,
    #[serde(skip)]
    would_publish: bool,
    healed: Vec<String>,
    error: Option<String>,
}

impl IssuerLine {
    fn of(name: &str, outcome: &Outcome) -> Self {
        let healed: Vec<_> = outcome
            .healed
            .iter()
            .map(|one| Chain(one).to_string())
            .collect();
        for what in &healed {
            tracing::warn!("{name}: {what}");
        }
        Self {
            name: name.to_owned(),
            published: outcome.became.is_published(),
            crl_number: outcome.number.map(CrlNumber::get),
            reason: outcome.became.reason(),
            would_publish: matches!(outcome.became, Became::WouldPublish(_)),
            healed,
            error: outcome.trouble(),
        }
    }
}

/// A gate by its name; help and errors list them.
fn gate() -> impl TypedValueParser<Value = Gate> {
    PossibleValuesParser::new(Gate::ALL.map(Gate::name))
        .try_map(|name| Gate::from_name(&name).ok_or("there is no such gate"))
}

impl Publish {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let cas = context.chosen(self.issuer.as_deref()).await?;
        let mut lines = Vec::new();
        for ca in &cas {
            lines.push(self.pass(ca, self.accepted(ca).await?).await);
        }
        if context.json {
            print_json(&serde_json::json!({ "issuers": lines }))?;
        } else {
            for line in lines
                .iter()
                .filter(|line| line.published || line.error.is_none())
            {
                self.tell(line)?;
            }
        }
        let errors = lines
            .iter()
            .filter_map(|line| Some(format!("{}: {}", line.name, line.error.as_ref()?)));
        let errors: Vec<_> = errors.collect();
        failures(&errors)
    }

    /// The gate to pass, and what the journal is to say of it.
    async fn accepted(&self, ca: &Ca) -> Result<Option<Accepted>, Failure> {
        let (Some(gate), Some(comment)) = (self.accept, &self.comment) else {
            return Ok(None);
        };
        let by = Author {
            actor: actor(ca).await?,
            comment: format!("accepted {}: {comment}", gate.name()),
        };
        Ok(Some(Accepted { gate, by }))
    }

    async fn pass(&self, ca: &Ca, accept: Option<Accepted>) -> IssuerLine {
        let spinner = ProgressBar::new_spinner().with_message(format!("{}: publishing", ca.name));
        spinner.enable_steady_tick(Duration::from_millis(100));
        let options = Options {
            force: self.force,
            dry_run: self.dry_run,
            accept,
        };
        let result = publish::publish(ca, None, options, now()).await;
        spinner.finish_and_clear();
        match result {
            Ok(outcome) => IssuerLine::of(&ca.name, &outcome),
            Err(error) => IssuerLine {
                name: ca.name.clone(),
                published: false,
                crl_number: None,
                reason: "failed",
                would_publish: false,
                healed: vec![],
                error: Some(Chain(&error).to_string()),
            },
        }
    }

    fn tell(&self, line: &IssuerLine) -> Result<(), Failure> {
        let IssuerLine { name, reason, .. } = line;
        let number = or_none(line.crl_number);
        if line.published {
            print(format_args!(
                "{name}: published CRL number {number} ({reason})"
            ))
        } else if line.would_publish {
            print(format_args!(
                "{name}: would publish CRL number {number} ({reason})"
            ))
        } else {
            print(format_args!(
                "{name}: nothing published ({reason}); the CRL number is {number}"
            ))
        }
    }
}
