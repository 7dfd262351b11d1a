//! Delta CRLs (RFC 5280 §5.2.4): what is on them, and the proof that base and delta make the full
//! CRL.

use super::{
    CrlPlan, CrlRef, Delta, DeltaEntry, Entry, REMOVE_FROM_CRL, Removal,
    gate::{Previous, point},
    scope::Base,
};
use crate::core::{journal::replica::Replica, revocation::Status, seal::Findings};

/// What is on the delta CRL beside `full`: what changed since `base`, and, as `removeFromCRL`,
/// what was released since or left the CRL because it expired. `listed` is the base itself.
pub fn beside(full: &CrlPlan, replica: &Replica, base: Base, listed: &CrlRef<'_>) -> Delta {
    let mut listed = listed.entries().filter_map(Result::ok).peekable();
    let entry = |status: &Status| {
        let serial = status.serial();
        while listed.next_if(|entry| entry.serial < serial).is_some() {}
        let is_on_base = listed.next_if(|entry| entry.serial == serial).is_some();
        if full.lists(status) {
            return (status.seq() > base.seq).then_some(DeltaEntry::Revoked(*status));
        }
        let is_gone = if status.is_listed() {
            // On the base, or on a CRL since, which a client may have instead of the base.
            is_on_base || status.seq() > base.seq
        } else {
            replica
                .released_at(&serial)
                .is_some_and(|seq| seq > base.seq)
        };
        let since = status.revoked_at().unwrap_or(full.window.this());
        is_gone.then_some(DeltaEntry::Removed(Removal { serial, since }))
    };
    let entries = replica.rows().filter_map(entry).collect();
    Delta { base, entries }
}

/// What a delta CRL must fit.
#[derive(Clone, Debug)]
pub struct Neighbours<'a> {
    /// The full CRL that it continues.
    pub base: Previous<'a>,
    /// The full CRL that is published with it.
    pub full: CrlRef<'a>,
}

/// A client applies `delta` to `base`, or to any full CRL since; it must come to `full`.
pub(crate) fn fits(delta: &CrlRef<'_>, neighbours: &Neighbours<'_>) -> Findings {
    const CLAUSE: &str = "RFC 5280 §5.2.4";
    let mut findings = Findings::default();
    let Neighbours { base, full } = neighbours;
    // RFC 5280 §5.2.3: issued at the same time, they "MUST have the same CRL number".
    findings.require(
        delta.number() == full.number(),
        "delta_number",
        "RFC 5280 §5.2.3",
        "not the full CRL's number",
    );
    let is_base =
        delta.base_number() == base.crl().number() && delta.base_number() <= delta.number();
    findings.require(
        is_base,
        "delta_base",
        CLAUSE,
        "the base is another CRL, or newer than the delta",
    );
    // RFC 5280 §6.3.3 (c) (2): "verify that the delta CRL contains a matching IDP CRL extension".
    let is_one_scope = point(delta) == point(full) && point(delta) == point(base.crl());
    let detail = "base, delta and full CRL have different issuing distribution points";
    findings.require(is_one_scope, "delta_scope", CLAUSE, detail);
    let mut old = base.crl().entries().filter_map(Result::ok).peekable();
    let mut changes = delta.entries().filter_map(Result::ok).peekable();
    let mut new = full.entries().filter_map(Result::ok).peekable();
    loop {
        let heads = [old.peek(), changes.peek(), new.peek()];
        let Some(serial) = heads.into_iter().flatten().map(|entry| entry.serial).min() else {
            return findings;
        };
        let old = old.next_if(|entry| entry.serial == serial);
        let change = changes.next_if(|entry| entry.serial == serial);
        let new = new.next_if(|entry| entry.serial == serial);
        let combined = match change {
            Some(change) if change.reason == Some(REMOVE_FROM_CRL) => None,
            Some(change) => Some(change),
            None => old,
        };
        if !is_same(combined.as_ref(), new.as_ref()) {
            let detail = format!("serial {serial}: base and delta together are not the full CRL");
            findings.add("delta_incomplete", CLAUSE, detail);
            return findings;
        }
    }
}

fn is_same(a: Option<&Entry>, b: Option<&Entry>) -> bool {
    let what = |entry: &Entry| {
        (
            entry.revoked_at,
            entry.reason().ok().flatten(),
            entry.invalidity_date,
        )
    };
    a.map(what) == b.map(what)
}
