//! Shared by the benchmarks of CRLs: a CA and an index of a given size in memory, and the steps of
//! a CRL. All that touches the product's API is here.

use std::time::Duration;

use rescind::facade::core::{
    certificate::Certificate,
    crl::{
        Appearance, Crl, CrlPlan,
        gate::Previous,
        lint::{CrlBefore, CrlSource},
        scope::{Contains, Scope},
    },
    issuer::Issuer,
    journal::{
        change_set::{ChangeSet, Head, Linked},
        replica::{Fold, Replica},
    },
    key_pair::KeyPair,
    revocation::{Change, Event, Listing, Reason, Status},
    seal::{Checked, Compared, Draft, Linted, Signed},
    serial::{CrlNumber, Serial},
    time::{Timestamp, Window},
};
use sha2::{Digest, Sha256};

/// 2026-01-01, when all is published.
const NOW: u64 = 1_767_225_600;
/// As many as one commit holds.
const CHANGES: usize = 98;

/// An issuer with its key and what it revoked.
pub struct World {
    pub issuer: Issuer,
    pub key: KeyPair,
    pub replica: Replica,
}

/// Steps of one CRL, each a call to the product.
impl World {
    /// With `entries` revoked: serials of 16 octets, dates, and a reason on two of three.
    pub fn new(entries: usize) -> Self {
        let (issuer, key) = ca();
        let replica = replica(&issuer, entries);
        Self {
            issuer,
            key,
            replica,
        }
    }

    pub fn draft(&self, number: u64, previous: Option<&[u8]>) -> Draft<Crl> {
        let this = at(NOW + number);
        let appearance = previous.map(|_| Appearance {
            this_update: at(NOW + number - 1),
            seq: 0,
        });
        let plan = CrlPlan {
            window: Window::new(this, this.after(Duration::from_secs(7 * 86_400)))
                .expect("a window"),
            scope: Scope::Full,
            distribution_points: vec![],
            contains: Contains::All,
            freshest: None,
            delta: None,
            expired_since: None,
            previous: appearance,
        };
        plan.numbered(CrlNumber::known(number))
            .draft(&self.issuer, &self.replica)
    }

    pub fn lint(&self, draft: Draft<Crl>) -> Linted<Crl> {
        draft.lint(&self.source()).expect("no finding")
    }

    fn source(&self) -> CrlSource<'_> {
        CrlSource {
            issuer: &self.issuer,
            replica: &self.replica,
            now: at(NOW + 1000),
        }
    }

    pub fn sign(&self, compared: Compared<Crl>) -> Signed<Crl> {
        self.key.sign(compared).expect("a signature")
    }

    /// Verifies the CRL's signature.
    pub fn check(&self, signed: Signed<Crl>, before: &CrlBefore<'_>) -> Checked<Crl> {
        signed
            .check(self.issuer.key(), &self.source(), before)
            .expect("no contradiction")
    }

    /// Reads and verifies the CRL before.
    pub fn before<'a>(&'a self, previous: Option<&'a [u8]>) -> CrlBefore<'a> {
        let previous =
            previous.map(|bytes| Previous::verified(bytes, &self.issuer, None).expect("ours"));
        CrlBefore {
            previous,
            replica: &self.replica,
            neighbours: None,
            accepted: None,
        }
    }

    /// All that a pass does between the replica and the shelf, in the order in which it does it.
    pub fn publish(&self, number: u64, previous: Option<&[u8]>) -> Checked<Crl> {
        let before = self.before(previous);
        let linted = self.lint(self.draft(number, previous));
        let compared = linted.compare(&before).expect("no contradiction");
        self.check(self.sign(compared), &before)
    }
}

/// The least that anybody does with a CRL's bytes: copy them once and hash them once.
pub fn yardstick(bytes: &[u8]) -> (Vec<u8>, [u8; 32]) {
    let copy = bytes.to_vec();
    let hash = Sha256::digest(&copy).into();
    (copy, hash)
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_seconds(seconds).expect("in range")
}

fn ca() -> (Issuer, KeyPair) {
    let key = rcgen::KeyPair::generate().expect("a P-256 key");
    let mut params = rcgen::CertificateParams::new([]).expect("no names");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.key_usages = vec![
        rcgen::KeyUsagePurpose::KeyCertSign,
        rcgen::KeyUsagePurpose::CrlSign,
    ];
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "Bench CA");
    let certificate = params.self_signed(&key).expect("a certificate");
    let certificate = Certificate::from_der(certificate.der()).expect("a certificate");
    let issuer = Issuer::new(certificate, None).expect("an issuer");
    let key = KeyPair::from_pem(key.serialize_pem().as_bytes(), issuer.key()).expect("its key");
    (issuer, key)
}

fn replica(issuer: &Issuer, entries: usize) -> Replica {
    let spki = issuer.spki_hash();
    let (mut fold, mut head) = (Fold::new(&spki), Head::genesis(&spki));
    let mut sets = vec![];
    for first in (0..entries).step_by(CHANGES) {
        let these = first..entries.min(first + CHANGES);
        let seq = head.seq + 1;
        let count = these.len() as u64;
        let (linked, next) = link(
            head,
            these
                .map(|n| Change {
                    event: Event::Revoked,
                    status: status(n, seq),
                })
                .collect(),
        );
        head = next;
        head.counts.revoked += count;
        sets.push(linked);
        if sets.len() == 2000 {
            fold.read(&sets).expect("a chain");
            sets.clear();
        }
    }
    fold.read(&sets).expect("a chain");
    fold.level(&head).expect("level")
}

fn link(head: Head, changes: Vec<Change>) -> (Linked, Head) {
    let set = ChangeSet {
        seq: head.seq + 1,
        at: at(NOW),
        actor: "bench".to_owned(),
        comment: String::new(),
        changes,
    };
    let next = head.then(&set, head.counts);
    (
        Linked {
            set,
            prev: head.hash,
            hash: next.hash,
        },
        next,
    )
}

fn status(n: usize, seq: u64) -> Status {
    let random: [u8; 32] = Sha256::digest(n.to_be_bytes()).into();
    let mut serial = [0; 16];
    serial.copy_from_slice(&random[..16]);
    let reason = [None, Some(Reason::KeyCompromise), Some(Reason::Superseded)][n % 3];
    let listing = Listing {
        at: at(NOW - 1 - (n as u64 % 30_000_000)),
        reason,
        invalidity_date: None,
    };
    Status::listed(Serial::from_random(serial), listing, None, seq)
}
