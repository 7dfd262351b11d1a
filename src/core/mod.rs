//! The pure core: given bytes, values and `now`, it answers.
//!
//! Rules of the room: no I/O, no clock, no environment, no async, no logging. Time is an argument.
//! `tests/it/room.rs` holds the room to these rules.
//!
//! In reading order: the words ([`serial`], [`time`], [`revocation`]), the issuer and its key
//! ([`issuer`], [`certificate`], [`key`]), the stored truth ([`changeset`], [`replica`]), what goes out
//! ([`crl`], [`ocsp`], [`get`], [`delegate`]), what guards it ([`lints`], [`compare`], [`seal`]), and the bytes ([`der`]).

pub mod certificate;
pub mod changeset;
pub mod checkpoint;
pub mod compare;
pub mod crl;
pub mod delegate;
pub mod delta;
pub mod der;
pub mod get;
pub mod issuer;
pub mod key;
pub mod lints;
pub mod ocsp;
pub mod ocsp_response;
pub mod replica;
pub mod revocation;
pub mod scope;
pub mod seal;
pub mod serial;
pub mod time;
