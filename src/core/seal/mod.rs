//! The seal: `Draft → Linted → Compared → Signed → Checked`.
//!
//! A document is drafted, read back and linted, compared with what was there before, signed, and
//! checked; each step takes the value of the step before, and there is no other way to make one.
//! (What a signer elsewhere made as a whole goes through all of them once more before it is
//! [`Checked`].) Only [`Compared`] reaches a signer, only [`Checked`] reaches the world.
//!
//! A draft has no bytes to sign, what was not compared reaches no signer, and what was signed has
//! no bytes to publish:
//!
//! ```compile_fail,E0599
//! fn sign(draft: rescind::facade::core::seal::Draft<rescind::facade::core::crl::Crl>) {
//!     draft.to_be_signed();
//! }
//! ```
//!
//! ```compile_fail,E0599
//! use rescind::facade::core::{crl::Crl, seal::{Linted, SignerAnswer}};
//! fn sign(linted: Linted<Crl>, answer: SignerAnswer) {
//!     linted.answered(answer);
//! }
//! ```
//!
//! ```compile_fail,E0599
//! fn publish(signed: rescind::facade::core::seal::Signed<rescind::facade::core::crl::Crl>) {
//!     signed.bytes();
//! }
//! ```
//!
//! Nobody else can make a checked document, or one that pretends to be compared:
//!
//! ```compile_fail,E0451
//! use rescind::facade::core::{crl::Crl, seal::Checked};
//! fn forge(crl: Crl) -> Checked<Crl> {
//!     rescind::facade::core::seal::Checked { document: crl, bytes: vec![].into() }
//! }
//! ```
//!
//! ```compile_fail,E0423
//! use rescind::facade::core::{crl::Crl, seal::Compared};
//! fn forge() -> Compared<Crl> {
//!     Compared(todo!())
//! }
//! ```

mod findings;
mod proven;
mod states;
mod tbs;

pub(crate) use findings::Finding;
pub use findings::Findings;
pub(crate) use proven::Fleeting;
pub use proven::Proven;
pub(crate) use states::{CheckError, SignedByCa};
pub use states::{Checked, Compared, Document, Draft, Linted, Signed, SignerAnswer};
pub(crate) use tbs::Tbs;

#[cfg(test)]
mod tests;
