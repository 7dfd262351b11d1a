//! The pure core: given bytes, values and `now`, it answers.
//!
//! Rules of the room: no I/O, no clock, no environment, no async, no logging. Time is an argument.
//! `tests/it/room/` holds the room to these rules.
//!
//! In reading order: the words ([`serial`], [`time`], [`revocation`]), the issuer and its key
//! ([`issuer`], [`certificate`], [`key`], [`key_pair`]), the stored truth ([`journal`]), what goes
//! out ([`crl`], [`ocsp`]), what guards it ([`seal`]), the bytes ([`der`], [`digest`]), and how an
//! error is told ([`chain`]).

#![warn(missing_docs)]

pub(crate) mod certificate;
pub(crate) mod chain;
pub(crate) mod crl;
pub(crate) mod der;
pub(crate) mod digest;
pub(crate) mod issuer;
pub(crate) mod journal;
pub(crate) mod key;
pub(crate) mod key_pair;
pub(crate) mod ocsp;
pub(crate) mod revocation;
pub(crate) mod seal;
pub(crate) mod serial;
pub(crate) mod time;
