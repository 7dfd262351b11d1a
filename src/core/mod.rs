//! The pure core: given bytes, values and `now`, it answers.
//!
//! Rules of the room: no I/O, no clock, no environment, no async, no logging. Time is an argument.
//! `tests/it/room.rs` holds the room to these rules.
//!
//! In reading order: the words ([`serial`], [`time`], [`revocation`]), the issuer and its key
//! ([`issuer`], [`certificate`], [`key`], [`key_pair`]), the stored truth ([`journal`]), what goes
//! out ([`crl`], [`ocsp`]), what guards it ([`seal`]), the bytes ([`der`], [`digest`]), and how an
//! error is told ([`chain`]).

pub mod certificate;
pub mod chain;
pub mod crl;
pub mod der;
pub mod digest;
pub mod issuer;
pub mod journal;
pub mod key;
pub mod key_pair;
pub mod ocsp;
pub mod revocation;
pub mod seal;
pub mod serial;
pub mod time;
