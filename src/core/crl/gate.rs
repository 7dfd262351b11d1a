//! What may differ between a CRL and the one before it: only what the journal explains.

use super::{CrlError, CrlRef, Entry, SignedCrl};
use crate::core::{
    chain::Chain, der::oid, issuer::Issuer, journal::replica::Replica, seal::Findings,
    serial::CrlNumber,
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
    #[error(transparent)]
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

/// The bytes of a CRL of ours: what was verified once is not verified again.
#[derive(Clone, Debug)]
pub(crate) struct Verified {
    bytes: Vec<u8>,
}

impl Verified {
    /// Believes `bytes` only under the issuer's own key.
    pub(crate) fn new(bytes: Vec<u8>, issuer: &Issuer) -> Result<Self, PreviousError> {
        Previous::verified(&bytes, issuer, None)?;
        Ok(Self { bytes })
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// To compare with; `seq` as in [`Previous::verified`]. Reads the header alone, which was read
    /// before, so there is always one.
    pub(crate) fn previous(&self, seq: Option<u64>) -> Option<Previous<'_>> {
        let crl = SignedCrl::read(&self.bytes).ok()?.crl;
        Some(Previous { crl, seq })
    }

    /// Its number.
    pub(crate) fn number(&self) -> Option<CrlNumber> {
        self.previous(None)?.crl.number()
    }
}

impl<'a> Previous<'a> {
    /// Believes `bytes` only under the issuer's own key. `seq` is the change set that they were
    /// made from, where a store that describes exactly these bytes says so.
    pub fn verified(
        bytes: &'a [u8],
        issuer: &Issuer,
        seq: Option<u64>,
    ) -> Result<Self, PreviousError> {
        let signed = SignedCrl::read(bytes)?;
        if signed.crl.issuer != issuer.name() {
            return Err(PreviousError::OtherIssuer);
        }
        let algorithm = signed
            .signature_algorithm()
            .ok_or(PreviousError::Signature)?;
        if !issuer
            .key()
            .verifies(algorithm, signed.crl.tbs, signed.signature)
        {
            return Err(PreviousError::Signature);
        }
        signed.crl.number().ok_or(PreviousError::Number)?;
        Ok(Self {
            crl: signed.crl,
            seq,
        })
    }

    /// A CRL that this very pass drafts or has just signed, as the base of the delta CRL beside it.
    pub fn of_this_pass(crl: CrlRef<'a>, replica: &Replica) -> Self {
        Self {
            crl,
            seq: Some(replica.head().seq),
        }
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

/// A gate between a CRL and the world that an operator may pass once, by name: all that compares
/// with what was published before. A rule of the format, or a wrong signature, can never be passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// RFC 5280 §5.2.3: numbers only rise.
    NumberNotRisen,
    /// RFC 5280 §5.1.2.4: a newer CRL is not dated before an older one.
    ThisUpdateWentBack,
    /// The CRL would be made from an older state of the index than the last one.
    IndexWentBack,
    /// RFC 5280 §5.2.5: it is about other certificates than the last one.
    ScopeChanged,
    /// A serial number is gone, neither released nor expired.
    EntryVanished,
    /// All of them are.
    EmptyAfterEntries,
    /// A revocation date changed, and no change set says so.
    DateMoved,
    /// A reason changed, and no change set says so.
    ReasonChanged,
    /// What the last CRL lists cannot be read, so nothing is known of what would be lost.
    PreviousUnreadable,
}

impl Gate {
    /// Every gate.
    pub const ALL: [Self; 9] = [
        Self::NumberNotRisen,
        Self::ThisUpdateWentBack,
        Self::IndexWentBack,
        Self::ScopeChanged,
        Self::EntryVanished,
        Self::EmptyAfterEntries,
        Self::DateMoved,
        Self::ReasonChanged,
        Self::PreviousUnreadable,
    ];

    /// Its name in findings, and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::NumberNotRisen => "number_not_risen",
            Self::ThisUpdateWentBack => "this_update_went_back",
            Self::IndexWentBack => "index_went_back",
            Self::ScopeChanged => "scope_changed",
            Self::EntryVanished => "entry_vanished",
            Self::EmptyAfterEntries => "empty_after_entries",
            Self::DateMoved => "date_moved",
            Self::ReasonChanged => "reason_changed",
            Self::PreviousUnreadable => "previous_unreadable",
        }
    }

    /// The gate with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|gate| gate.name() == name)
    }

    /// The clause that it holds.
    fn clause(self) -> &'static str {
        match self {
            Self::NumberNotRisen => "RFC 5280 §5.2.3",
            Self::ThisUpdateWentBack => "RFC 5280 §5.1.2.4",
            Self::ScopeChanged => "RFC 5280 §5.2.5",
            Self::IndexWentBack
            | Self::EntryVanished
            | Self::EmptyAfterEntries
            | Self::DateMoved
            | Self::ReasonChanged
            | Self::PreviousUnreadable => "DESIGN: nothing disappears unexplained",
        }
    }

    fn found(self, findings: &mut Findings, detail: impl Into<String>) {
        findings.add(self.name(), self.clause(), detail);
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

    fn tell(self, findings: &mut Findings, gate: Gate, what: &str) {
        if self.count > 0 {
            let more = if self.count > self.examples.len() {
                ", …"
            } else {
                ""
            };
            let detail = format!("{} {what}: {}{more}", self.count, self.examples.join(", "));
            gate.found(findings, detail);
        }
    }
}

/// Compares a new CRL with the one before it.
pub(crate) fn crls(new: &CrlRef<'_>, previous: &Previous<'_>, replica: &Replica) -> Findings {
    let mut findings = Findings::default();
    let old = &previous.crl;
    if new.number() <= old.number() {
        let number = |crl: &CrlRef<'_>| crl.number().map_or(0, |number| number.get());
        let detail = format!("the number {} is not above {}", number(new), number(old));
        Gate::NumberNotRisen.found(&mut findings, detail);
    }
    if new.this_update < old.this_update {
        let detail = format!(
            "thisUpdate {} is before the previous {}",
            new.this_update, old.this_update
        );
        Gate::ThisUpdateWentBack.found(&mut findings, detail);
    }
    let seq = replica.head().seq;
    if let Some(published) = previous.seq.filter(|&published| published > seq) {
        let detail = format!(
            "the index ends at change set {seq}, but the previous CRL was made from {published}: \
             was an old backup restored?"
        );
        Gate::IndexWentBack.found(&mut findings, detail);
    }
    let is_delta = |crl: &CrlRef<'_>| crl.extension(oid::DELTA_CRL_INDICATOR).is_some();
    // A delta CRL follows its full CRL (`delta::fits`), for which the gate was passed.
    if is_delta(new) != is_delta(old) || (!is_delta(new) && point(new) != point(old)) {
        let detail = "the issuing distribution point is another one than on the previous CRL, or \
                      one of the two is a \
                      delta CRL: certificates that named the old one may not find the new one, or \
                      trust it for more \
                      than it lists. Put the configuration back (`idp`, `contains`, \
                      `http.public_url`), or publish once \
                      with `--issuer NAME --accept scope_changed --comment WHY`";
        Gate::ScopeChanged.found(&mut findings, detail);
    }
    // What a delta CRL says is compared with the full CRLs beside it (`delta::fits`).
    if new.base_number().is_none() {
        entries(new, previous, replica, &mut findings);
    }
    findings
}

/// The value of the issuing distribution point, which says what a CRL is about.
pub(crate) fn point<'a>(crl: &CrlRef<'a>) -> Option<&'a [u8]> {
    crl.extension(oid::ISSUING_DISTRIBUTION_POINT)
        .map(|extension| extension.value)
}

/// What the two lists differ in, as far as the journal does not explain it.
struct Differences<'a> {
    previous: &'a Previous<'a>,
    replica: &'a Replica,
    vanished: Faulty,
    moved: Faulty,
    reasons: Faulty,
}

impl<'a> Differences<'a> {
    fn new(previous: &'a Previous<'a>, replica: &'a Replica) -> Self {
        let faulty = Faulty::default;
        Self {
            previous,
            replica,
            vanished: faulty(),
            moved: faulty(),
            reasons: faulty(),
        }
    }

    /// Looks at an entry of the previous CRL, and what stands for it on the new one.
    fn look(&mut self, old: &Entry, new: Option<&Entry>) {
        let Some(new) = new else {
            if !may_vanish(old, self.previous, self.replica) {
                self.vanished.add(|| old.serial.to_string());
            }
            return;
        };
        let changed = self.replica.get(&old.serial).map(|status| status.seq());
        if let (Some(changed), Some(published)) = (changed, self.previous.seq)
            && changed > published
        {
            return;
        }
        if new.revoked_at != old.revoked_at {
            self.moved.add(|| {
                format!(
                    "{} from {} to {}",
                    old.serial, old.revoked_at, new.revoked_at
                )
            });
        } else if new.invalidity_date != old.invalidity_date {
            self.moved
                .add(|| format!("{} with another invalidity date", old.serial));
        }
        if new.reason().ok().flatten() != old.reason().ok().flatten() {
            self.reasons.add(|| old.serial.to_string());
        }
    }
}

fn entries(new: &CrlRef<'_>, previous: &Previous<'_>, replica: &Replica, findings: &mut Findings) {
    let mut differences = Differences::new(previous, replica);
    let mut walk = streamed(new, &mut differences);
    if matches!(walk, Walk::OutOfOrder) {
        differences = Differences::new(previous, replica);
        walk = sorted(new, &mut differences);
    }
    if let Walk::Unreadable(error) = walk {
        let detail = format!(
            "the previous CRL cannot be read, so what is lost cannot be told: {}",
            Chain(&error)
        );
        Gate::PreviousUnreadable.found(findings, detail);
    }
    let Differences {
        vanished,
        moved,
        reasons,
        ..
    } = differences;
    let what = "serials of the previous CRL are missing, neither released nor expired";
    // One fault, one gate: an index that lost everything is not to pass as one that lost something.
    match new.entries().next() {
        Some(_) => vanished.tell(findings, Gate::EntryVanished, what),
        None => vanished.tell(
            findings,
            Gate::EmptyAfterEntries,
            &format!("{what}, and the new CRL is empty"),
        ),
    }
    moved.tell(
        findings,
        Gate::DateMoved,
        "dates moved without a change set that says so",
    );
    reasons.tell(
        findings,
        Gate::ReasonChanged,
        "reasons changed without a change set that says so",
    );
}

/// How a walk over both lists ended.
enum Walk {
    Done,
    OutOfOrder,
    Unreadable(CrlError),
}

/// Walks over both at once. Most entries are the same, octet for octet, and need not be read.
fn streamed(new: &CrlRef<'_>, differences: &mut Differences<'_>) -> Walk {
    let (mut olds, mut news) = (differences.previous.crl.entries(), new.entries());
    let mut last = None;
    loop {
        olds.skip_common(&mut news);
        let old = match olds.next() {
            None => return Walk::Done,
            Some(Err(error)) => return Walk::Unreadable(error),
            Some(Ok(old)) => old,
        };
        if last.is_some_and(|last| last >= old.serial) {
            return Walk::OutOfOrder;
        }
        last = Some(old.serial);
        let found = loop {
            let mut ahead = news.clone();
            match ahead.next() {
                Some(Ok(entry)) if entry.serial < old.serial => news = ahead,
                Some(Ok(entry)) if entry.serial == old.serial => {
                    news = ahead;
                    break Some(entry);
                }
                _ => break None,
            }
        };
        differences.look(&old, found.as_ref());
    }
}

/// A CRL of the same key made by other software need not be in order.
fn sorted(new: &CrlRef<'_>, differences: &mut Differences<'_>) -> Walk {
    let mut olds: Vec<Entry> = match differences.previous.crl.entries().collect() {
        Ok(olds) => olds,
        Err(error) => return Walk::Unreadable(error),
    };
    olds.sort_unstable_by_key(|entry| entry.serial);
    let mut news = new.entries().filter_map(Result::ok).peekable();
    for old in &olds {
        while news.next_if(|entry| entry.serial < old.serial).is_some() {}
        differences.look(
            old,
            news.next_if(|entry| entry.serial == old.serial).as_ref(),
        );
    }
    Walk::Done
}

/// Whether the index explains that an entry is gone: it was released, or it was listed once after
/// it expired.
fn may_vanish(old: &Entry, previous: &Previous<'_>, replica: &Replica) -> bool {
    replica.get(&old.serial).is_some_and(|status| {
        let released = !status.is_listed()
            && previous
                .seq
                .is_some_and(|published| status.seq() > published);
        let expired = status
            .not_after()
            .is_some_and(|end| end < previous.crl.this_update);
        released || expired
    })
}
