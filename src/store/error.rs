//! The one error of every driver: what was tried, and what a caller can act on.

use std::{error::Error, fmt};

/// Why a store, vault or file could not do what was asked.
#[derive(Debug)]
pub struct DriverError {
    /// What was tried, on what: "replace data/shelf/issuing-1.crl".
    pub operation: String,
    /// What a caller can act on.
    pub kind: ErrorKind,
    /// What the driver was told.
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

/// What a caller can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
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
    pub fn new(operation: impl Into<String>, kind: ErrorKind) -> Self {
        Self {
            operation: operation.into(),
            kind,
            source: None,
        }
    }

    /// An error about `source`.
    pub fn because(
        operation: impl Into<String>,
        kind: ErrorKind,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self {
            operation: operation.into(),
            kind,
            source: Some(source.into()),
        }
    }

    /// An error of the file system.
    pub fn io(operation: impl Into<String>, error: std::io::Error) -> Self {
        use std::io::ErrorKind as Kind;
        let kind = match error.kind() {
            Kind::NotFound => ErrorKind::Missing,
            Kind::PermissionDenied | Kind::ReadOnlyFilesystem => ErrorKind::Denied,
            Kind::AlreadyExists => ErrorKind::Conflict,
            Kind::Interrupted | Kind::TimedOut => ErrorKind::Transient,
            _ => ErrorKind::Other,
        };
        Self::because(operation, kind, error)
    }
}

impl fmt::Display for DriverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "couldn't {}", self.operation)?;
        // What the driver was told says more than the kind.
        match (&self.source, self.kind) {
            (Some(_), _) => Ok(()),
            (None, ErrorKind::Conflict) => write!(f, ": somebody else changed it meanwhile"),
            (None, ErrorKind::Missing) => write!(f, ": it does not exist"),
            (None, ErrorKind::Denied) => write!(f, ": permission denied"),
            (None, _) => Ok(()),
        }
    }
}

impl Error for DriverError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::{DriverError, ErrorKind};
    use crate::core::chain::Chain;

    #[test]
    fn it_says_its_own_sentence_and_what_it_came_from_is_its_source() {
        let taken = DriverError::new("replace a.crl", ErrorKind::Conflict);
        assert_eq!(
            taken.to_string(),
            "couldn't replace a.crl: somebody else changed it meanwhile"
        );
        let full = std::io::Error::other("no space left");
        let full = DriverError::io("replace a.crl", full);
        assert_eq!(full.to_string(), "couldn't replace a.crl");
        assert_eq!(
            Chain(&full).to_string(),
            "couldn't replace a.crl: no space left"
        );
    }
}
