//! What the roles share at the edge: one error, and the version that a conditional write must find.

use std::{error::Error, fmt};

use tokio::task::{JoinError, spawn_blocking};

/// Runs what blocks on a thread for that. A worker of the runtime starts that thread if need be, and not the caller's:
/// a thread inherits how it is scheduled, and one that holds a lock must not give way as the publisher's does.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    tokio::spawn(async { spawn_blocking(work).await }).await?
}

/// Why a store, vault or file could not do what was asked.
#[derive(Debug)]
pub struct DriverError {
    /// What was tried, on what: "replace data/shelf/issuing-1.crl".
    pub doing: String,
    /// What a caller can act on.
    pub trouble: Trouble,
    /// What the driver was told.
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

/// What a caller can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Somebody else was first: read again, decide again.
    Conflict,
    /// A right is missing.
    Denied,
    /// What should be there is not.
    Missing,
    /// Too many calls.
    Throttled,
    /// May work the next time.
    Transient,
    /// Anything else: it needs a person.
    Other,
}

impl DriverError {
    /// An error without an underlying one.
    pub fn new(doing: impl Into<String>, trouble: Trouble) -> Self {
        Self { doing: doing.into(), trouble, source: None }
    }

    /// An error about `source`.
    pub fn because(
        doing: impl Into<String>,
        trouble: Trouble,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { doing: doing.into(), trouble, source: Some(source.into()) }
    }

    /// An error of the file system.
    pub fn io(doing: impl Into<String>, error: std::io::Error) -> Self {
        use std::io::ErrorKind as Kind;
        let trouble = match error.kind() {
            Kind::NotFound => Trouble::Missing,
            Kind::PermissionDenied | Kind::ReadOnlyFilesystem => Trouble::Denied,
            Kind::AlreadyExists => Trouble::Conflict,
            Kind::Interrupted | Kind::TimedOut => Trouble::Transient,
            _ => Trouble::Other,
        };
        Self::because(doing, trouble, error)
    }
}

impl fmt::Display for DriverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "couldn't {}", self.doing)?;
        match (&self.source, self.trouble) {
            (Some(source), _) => write!(f, ": {source}"),
            (None, Trouble::Conflict) => write!(f, ": somebody else changed it meanwhile"),
            (None, Trouble::Missing) => write!(f, ": it does not exist"),
            (None, Trouble::Denied) => write!(f, ": permission denied"),
            (None, _) => Ok(()),
        }
    }
}

impl Error for DriverError {}

/// What a conditional write must find in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Version {
    /// Nothing.
    Absent,
    /// Exactly what was read under this ETag.
    At(String),
}
