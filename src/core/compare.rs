//! What may differ between a CRL and the one before it: only what the journal explains.

use super::{
    crl::{CrlError, CrlRef, Entry, SignedCrl},
    issuer::Issuer,
    replica::Replica,
    seal::Findings,
};

/// A CRL of ours that was published before: its signature was verified under the issuer's own key.
#[derive(Clone, Debug)]
pub struct Previous<'a> {
    crl: CrlRef<'a>,
    seq: Option<u64>,
}

/// Why some bytes are not a CRL of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PreviousError {
    /// Not a CRL.
    #[error("{0}")]
    Read(#[from] CrlError),
    /// Another issuer's.
    #[error("it is another issuer's CRL")]
    OtherIssuer,
    /// Not signed by the issuer's key.
    #[error("its signature is not that of the issuer's key")]
    Signature,
    /// Without a number.
    #[error("it has no CRL number, or one above 2^64 - 1")]
    Number,
}

impl<'a> Previous<'a> {
    /// Believes `bytes` only under the issuer's own key. `seq` is the change set that they were made from,
    /// where a store that describes exactly these bytes says so.
    pub fn verified(bytes: &'a [u8], issuer: &Issuer, seq: Option<u64>) -> Result<Self, PreviousError> {
        let signed = SignedCrl::read(bytes)?;
        if signed.crl.issuer != issuer.name() {
            return Err(PreviousError::OtherIssuer);
        }
        let algorithm = signed.signature_algorithm().ok_or(PreviousError::Signature)?;
        if !issuer.key().verifies(algorithm, signed.crl.tbs, signed.signature) {
            return Err(PreviousError::Signature);
        }
        signed.crl.number().ok_or(PreviousError::Number)?;
        signed.crl.entries().try_for_each(|entry| entry.map(|_| ()))?;
        Ok(Self { crl: signed.crl, seq })
    }

    /// A CRL that this very pass drafts or has just signed, as the base of the delta CRL beside it.
    pub fn of_this_pass(crl: CrlRef<'a>, replica: &Replica) -> Self {
        Self { crl, seq: Some(replica.head().seq) }
    }

    /// The CRL.
    pub fn crl(&self) -> &CrlRef<'a> {
        &self.crl
    }

    /// The change set it was made from, where known.
    pub fn seq(&self) -> Option<u64> {
        self.seq
    }
}

/// How many examples a finding gives.
const EXAMPLES: usize = 3;

/// Serials that share a fault.
#[derive(Default)]
struct Faulty {
    count: usize,
    examples: Vec<String>,
}

impl Faulty {
    fn add(&mut self, detail: impl FnOnce() -> String) {
        self.count += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(detail());
        }
    }

    fn tell(self, findings: &mut Findings, lint: &'static str, what: &str) {
        if self.count > 0 {
            let more = if self.count > self.examples.len() { ", …" } else { "" };
            let detail = format!("{} {what}: {}{more}", self.count, self.examples.join(", "));
            findings.add(lint, "DESIGN: nothing disappears unexplained", detail);
        }
    }
}

/// Compares a new CRL with the one before it.
pub fn crls(new: &CrlRef<'_>, previous: &Previous<'_>, replica: &Replica) -> Findings {
    let mut findings = Findings::default();
    let old = &previous.crl;
    if new.number() <= old.number() {
        let number = |crl: &CrlRef<'_>| crl.number().map_or(0, |number| number.get());
        let detail = format!("the number {} is not above {}", number(new), number(old));
        findings.add("number_not_risen", "RFC 5280 §5.2.3", detail);
    }
    if new.this_update < old.this_update {
        let detail = format!("thisUpdate {} is before the previous {}", new.this_update, old.this_update);
        findings.add("this_update_went_back", "RFC 5280 §5.1.2.4", detail);
    }
    let seq = replica.head().seq;
    if let Some(published) = previous.seq.filter(|&published| published > seq) {
        let detail = format!(
            "the index ends at change set {seq}, but the previous CRL was made from {published}: \
             was an old backup restored?"
        );
        findings.add("index_went_back", "DESIGN: nothing disappears unexplained", detail);
    }
    // What a delta CRL says is compared with the full CRLs beside it (`delta::fits`).
    if new.base_number().is_none() {
        entries(new, previous, replica, &mut findings);
    }
    findings
}

fn entries(new: &CrlRef<'_>, previous: &Previous<'_>, replica: &Replica, findings: &mut Findings) {
    let (mut vanished, mut moved, mut reasons) = (Faulty::default(), Faulty::default(), Faulty::default());
    let explained = |entry: &Entry| {
        let changed = replica.get(&entry.serial).map(|status| status.seq);
        matches!((changed, previous.seq), (Some(changed), Some(published)) if changed > published)
    };
    // A CRL of the same key made by other software need not be in order.
    let mut old: Vec<Entry> = previous.crl.entries().filter_map(Result::ok).collect();
    if !old.is_sorted_by_key(|entry| entry.serial) {
        old.sort_unstable_by_key(|entry| entry.serial);
    }
    let mut news = new.entries().filter_map(Result::ok).peekable();
    for old in &old {
        while news.next_if(|entry| entry.serial < old.serial).is_some() {}
        let Some(new) = news.next_if(|entry| entry.serial == old.serial) else {
            if !may_vanish(old, previous, replica) {
                vanished.add(|| old.serial.to_string());
            }
            continue;
        };
        if new.revoked_at != old.revoked_at && !explained(old) {
            moved.add(|| format!("{} from {} to {}", old.serial, old.revoked_at, new.revoked_at));
        }
        if new.reason().ok().flatten() != old.reason().ok().flatten() && !explained(old) {
            reasons.add(|| old.serial.to_string());
        }
    }
    vanished.tell(findings, "entry_vanished", "serials of the previous CRL are missing, neither released nor expired");
    moved.tell(findings, "date_moved", "revocation dates moved without a change set that says so");
    reasons.tell(findings, "reason_changed", "reasons changed without a change set that says so");
}

/// Whether the index explains that an entry is gone: it was released, or it was listed once after it expired.
fn may_vanish(old: &Entry, previous: &Previous<'_>, replica: &Replica) -> bool {
    replica.get(&old.serial).is_some_and(|status| {
        let released = !status.is_listed() && previous.seq.is_some_and(|published| status.seq > published);
        let expired = status.not_after.is_some_and(|end| end < previous.crl.this_update);
        released || expired
    })
}
