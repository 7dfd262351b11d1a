//! What is known of one certificate, and how a change merges with it.

mod merge;
mod status;

pub(crate) use merge::MergeError;
pub use merge::merge;
pub use merge::{Action, Change, ChangeRequest, Event};
pub use status::{Listing, Reason, State, Status};
pub(crate) use status::{ReasonError, StatusError, StatusFields};
