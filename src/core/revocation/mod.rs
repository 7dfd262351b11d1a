//! What is known of one certificate, and how a change merges with it.

mod merge;
mod status;

pub use merge::{Action, Change, ChangeRequest, Event, MergeError, merge};
pub use status::{Listing, Reason, ReasonError, State, Status, StatusError, StatusFields};
