//! What drivers speak and promise: contracts, rows and their keys, versions, and one error. Imports
//! the core alone.

#![warn(missing_docs)]

pub(crate) mod content;
pub(crate) mod error;
pub(crate) mod index;
pub(crate) mod object;
pub(crate) mod row_key;

/// What a conditional write must find in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Version {
    /// Nothing.
    Absent,
    /// Exactly what was read under this ETag.
    At(String),
}

/// What was read, and what a replace of it must find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned<T> {
    /// What was read.
    pub value: T,
    /// The version under which it was read.
    pub version: Version,
}

impl<T> Versioned<T> {
    /// What a replace must find where this was found.
    pub fn expected(found: Option<&Self>) -> Version {
        found.map_or(Version::Absent, |found| found.version.clone())
    }
}
