//! The running process, whatever door its requests come through: what the handlers share, the
//! timer's tick, how the issuers are doing, and what of the shelf is at hand.
//!
//! It runs the stories and knows no HTTP; `http` and `cli` use it, and it imports neither.

pub(crate) mod app;
pub(crate) mod counters;
pub(crate) mod health;
pub(crate) mod shelved;
pub(crate) mod tick;
