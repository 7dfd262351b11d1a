//! The command line: results to stdout, messages to stderr, exit codes as documented.

#![expect(
    clippy::disallowed_methods,
    reason = "the command line is the door that reads clock and environment"
)]

mod change;
mod demo;
mod publish;
mod serve;
mod show;
mod verify;

use std::{
    error::Error,
    fmt::Display,
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::{Parser, Subcommand};

use crate::{
    ca::{Ca, open::CaError},
    config::{
        Config,
        values::{PREFIX, Values},
    },
    core::{chain::Chain, time::Timestamp},
    http::functions,
};

/// CRLs and OCSP for certificate authorities whose key serves neither.
#[derive(Debug, Parser)]
#[command(name = "rescind", version, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 done; 1 refused or failed; 2 usage or configuration; 3 status \
                  found a problem.\n\
                        Try it: rescind demo"
)]
struct Arguments {
    /// The configuration file; ./rescind.toml if there is one
    #[arg(long, global = true, value_name = "FILE", env = "RESCIND_CONFIG")]
    config: Option<PathBuf>,
    /// Print results as JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a demo CA, revoke a certificate, publish, serve; prints commands to try
    Demo(demo::Demo),
    /// Serve CRLs and OCSP over HTTP, and publish when something is due
    Serve,
    /// Publish CRLs that are due: one pass
    Publish(publish::Publish),
    /// Revoke certificates, or put them on hold
    Revoke(change::Revoke),
    /// Lift a hold
    Release(change::Release),
    /// List certificates as issued
    Record(change::Record),
    /// Take over another CA's revocations; never un-revokes
    Import(change::Import),
    /// Print the index as JSON Lines, the form that `import --from jsonl` reads
    Export(show::OfIssuer),
    /// Show a certificate's status and history
    Lookup(show::Lookup),
    /// Show the journal: who changed what, when and why
    Log(show::OfIssuer),
    /// Show every issuer: CRL number, dates, entries, and what is wrong
    Status,
    /// Recompute the journal, and compare rows, archive and shelf with it
    Verify(verify::Verify),
    /// Show the addresses to put into certificates
    Urls(show::Urls),
    /// Show what was understood of the configuration, with the source of each value
    Config,
}

/// Why a command ends with another code than 0.
#[derive(Debug)]
enum Failure {
    /// Refused or failed.
    Failed(BoxedError),
    /// Usage or configuration.
    Usage(BoxedError),
    /// `status` found a problem; it was printed.
    Problem,
}

/// An error, whose causes are told too, or a sentence.
type BoxedError = Box<dyn Error + Send + Sync>;

impl Failure {
    fn failed(why: impl Into<BoxedError>) -> Self {
        Self::Failed(why.into())
    }

    fn usage(why: impl Into<BoxedError>) -> Self {
        Self::Usage(why.into())
    }
}

/// What every command is given.
#[derive(Debug)]
struct Context {
    config: Option<PathBuf>,
    json: bool,
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    let Arguments {
        config,
        json,
        command,
    } = Arguments::parse();
    start_logging(matches!(command, Command::Serve));
    let context = Context { config, json };
    let result = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime.block_on(run(&context, command)),
        Err(error) => Err(Failure::failed(error)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Failed(why)) => complain(&*why, 1),
        Err(Failure::Usage(why)) => complain(&*why, 2),
        Err(Failure::Problem) => ExitCode::from(3),
    }
}

async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::Demo(demo) => demo.run().await,
        Command::Serve => serve::run(context).await,
        Command::Publish(publish) => publish.run(context).await,
        Command::Revoke(revoke) => revoke.run(context).await,
        Command::Release(release) => release.run(context).await,
        Command::Record(record) => record.run(context).await,
        Command::Import(import) => import.run(context).await,
        Command::Export(of) => show::export(context, &of).await,
        Command::Lookup(lookup) => lookup.run(context).await,
        Command::Log(of) => show::log(context, &of).await,
        Command::Status => show::status(context).await,
        Command::Verify(verify) => verify.run(context).await,
        Command::Urls(urls) => urls.run(context).await,
        Command::Config => show::config(context),
    }
}

/// What failed for each of several issuers, a line each.
fn failures(errors: &[String]) -> Result<(), Failure> {
    match errors {
        [] => Ok(()),
        errors => Err(Failure::failed(errors.join("\nrescind: "))),
    }
}

fn complain(why: &(dyn Error + 'static), code: u8) -> ExitCode {
    // Where stderr is closed there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "rescind: {}", Chain(why));
    ExitCode::from(code)
}

/// `RUST_LOG` decides what is logged; without it, a server says what it does and a command only
/// what is wrong.
fn start_logging(is_server: bool) {
    let usual = if is_server {
        "rescind=info,warn"
    } else {
        "warn"
    };
    let filter =
        tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| usual.into());
    let logging = tracing_subscriber::fmt().with_env_filter(filter);
    if is_server && functions::port(|name| std::env::var(name).ok()).is_some() {
        // The Functions host takes each line of stdout for a trace, and each of stderr for an
        // error.
        logging
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .init();
    } else {
        logging
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .init();
    }
}

/// The clock.
fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_seconds(since.as_secs()).unwrap_or(Timestamp::EPOCH)
}

/// Prints a line of results; a closed pipe ends the program quietly, as with any filter.
fn print(line: impl Display) -> Result<(), Failure> {
    match writeln!(std::io::stdout(), "{line}") {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(Failure::failed(format!(
            "couldn't write the result: {error}"
        ))),
    }
}

fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    print(serde_json::to_string(value).map_err(Failure::failed)?)
}

impl Context {
    fn values(&self) -> Result<(Values, PathBuf), Failure> {
        let usual = Path::new("rescind.toml");
        let file = self
            .config
            .as_deref()
            .or_else(|| usual.exists().then_some(usual));
        let environment =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        let environment =
            environment.map(|(name, value)| (name, value.to_string_lossy().into_owned()));
        let environment: Vec<_> = environment.collect();
        let Some(file) = file else {
            if environment
                .iter()
                .all(|(name, _)| !name.starts_with(PREFIX))
            {
                let what = "there is no configuration: name a file with --config, or run `rescind \
                            demo` to see one";
                return Err(Failure::usage(what));
            }
            return Ok((
                Values::collect(None, environment).map_err(Failure::usage)?,
                PathBuf::new(),
            ));
        };
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file).map_err(|error| {
            Failure::usage(format!("couldn't read the configuration {name}: {error}"))
        })?;
        let values = Values::collect(Some((&name, &text)), environment).map_err(Failure::usage)?;
        Ok((
            values,
            file.parent().map(Path::to_owned).unwrap_or_default(),
        ))
    }

    fn configuration(&self) -> Result<Config, Failure> {
        let (values, folder) = self.values()?;
        Config::from_values(&values, &folder).map_err(Failure::usage)
    }

    async fn cas(&self) -> Result<Vec<Ca>, Failure> {
        open(&self.configuration()?).await
    }

    /// The issuer with this name, or all.
    async fn chosen(&self, name: Option<&str>) -> Result<Vec<Ca>, Failure> {
        match name {
            Some(name) => Ok(vec![self.ca(name).await?]),
            None => self.cas().await,
        }
    }

    /// The issuer with this name.
    async fn ca(&self, name: &str) -> Result<Ca, Failure> {
        let config = self.configuration()?;
        let names: Vec<_> = config
            .issuers
            .iter()
            .map(|issuer| issuer.name.clone())
            .collect();
        if !names.iter().any(|known| known == name) {
            let known = names.join(", ");
            return Err(Failure::usage(format!(
                "there is no issuer {name:?}; the configuration has: {known}"
            )));
        }
        let issuers = config
            .issuers
            .into_iter()
            .filter(|issuer| issuer.name == name)
            .collect();
        let mut cas = open(&Config { issuers, ..config }).await?;
        cas.pop()
            .ok_or_else(|| Failure::failed("the issuer was not opened"))
    }
}

async fn open(config: &Config) -> Result<Vec<Ca>, Failure> {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Ca::open_as(config, &environment.collect())
        .await
        .map_err(|error| match error {
            CaError::Certificate { .. } | CaError::Twice { .. } => Failure::usage(error),
            CaError::Driver(_) => Failure::failed(error),
        })
}
