//! The servers themselves are judged here: a test that stands on a wrong Azure proves nothing.

mod faults;
mod storage;
mod vault;
