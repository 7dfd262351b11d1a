//! What is known of one certificate, and how a change merges with it.

mod merge;
mod status;

pub use merge::{Action, Change, ChangeRequest, Event};
pub(crate) use merge::{MergeError, merge};
pub use status::{Listing, Reason, State, Status};
pub(crate) use status::{ReasonError, StatusFields};
