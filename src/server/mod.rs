//! The running process: what its handlers share, the timer's tick, and how the issuers are
//! doing.

pub mod app;
pub mod health;
pub mod shelved;
pub mod tick;
