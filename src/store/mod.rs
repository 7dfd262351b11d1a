//! What drivers speak and promise: contracts, rows and their keys, versions, and one error. Imports
//! the core alone.

pub mod content;
pub mod error;
pub mod index;
pub mod object;
pub mod row_key;

/// What a conditional write must find in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Version {
    /// Nothing.
    Absent,
    /// Exactly what was read under this ETag.
    At(String),
}
