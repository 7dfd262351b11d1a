//! The good CRLs, and what they are linted against and compared with. All is fixed, and nothing is
//! signed.

use std::{fs, time::Duration};

use rescind::facade::core::{
    certificate::Certificate,
    crl::{
        Appearance, Crl, CrlPlan, CrlRef,
        delta::{self, Neighbours},
        gate::Previous,
        lint::{CrlBefore, CrlSource},
        scope::{Base, Contains, Scope, Shard},
    },
    issuer::Issuer,
    journal::{
        change_set::{ChangeSet, Head, Linked},
        replica::{Fold, Replica},
    },
    revocation::{Change, Event, Listing, Reason, State, Status},
    seal::{Document, Findings},
    serial::{CrlNumber, Serial},
    time::Window,
};

use super::root;
use crate::support::at;

/// 2026-01-10 and the day before, when the good CRL and the one before it were made.
pub(super) const THIS: u64 = 1_768_003_200;
pub(super) const BEFORE: u64 = THIS - 86_400;
/// The good CRL's number, and that of the one before it.
pub(super) const NUMBER: u64 = 1002;

/// A good CRL, which a fault is put into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Good {
    /// With a distribution point, a delta CRL beside it, and expired certificates.
    Full,
    /// The delta CRL beside [`Good::Full`], continuing [`Good::Previous`].
    Delta,
    /// One shard of four.
    Shard,
    /// Of a CA that revoked nothing.
    Empty,
    /// The full CRL before [`Good::Full`].
    Previous,
}

/// The CA, and what it revoked up to the CRL before the good one, and up to the good one.
pub(super) struct World {
    pub(super) issuer: Issuer,
    pub(super) earlier: Replica,
    pub(super) replica: Replica,
    pub(super) nothing: Replica,
}

fn status(serial: &str, reason: Option<Reason>, seq: u64) -> Status {
    let invalidity_date = (reason == Some(Reason::KeyCompromise)).then(|| at(1_735_689_599));
    let serial = Serial::from_hex(serial).unwrap();
    let listing = Listing {
        at: at(1_767_225_600),
        reason,
        invalidity_date,
    };
    Status::listed(serial, listing, None, seq)
}

/// Reads change sets on behind `fold`, whose head is `head`.
fn replica(fold: &mut Fold, head: &mut Head, changes: Vec<Change>) -> Replica {
    let prev = head.hash;
    let set = ChangeSet {
        seq: head.seq + 1,
        at: at(BEFORE),
        actor: "a".into(),
        comment: String::new(),
        changes,
    };
    let mut counts = head.counts;
    for Change { event, status } in &set.changes {
        counts.change(
            (*event == Event::Released).then_some(State::Held),
            status.state(),
        );
    }
    *head = head.then(&set, counts);
    fold.read(&[Linked {
        prev,
        hash: head.hash,
        set,
    }])
    .unwrap();
    fold.clone().level(head).unwrap()
}

impl World {
    pub(super) fn new() -> Self {
        let certificate = fs::read(root().join("issuer.der")).unwrap();
        let issuer = Issuer::new(Certificate::from_der(&certificate).unwrap(), None).unwrap();
        let spki = issuer.spki_hash();
        let (mut fold, mut head) = (Fold::new(&spki), Head::genesis(&spki));
        let nothing = fold.clone().level(&head).unwrap();
        let revoked = [
            ("1100", Some(Reason::KeyCompromise)),
            ("2200", None),
            ("3301", Some(Reason::CertificateHold)),
            ("8044", Some(Reason::Superseded)),
        ];
        let revoked = revoked.map(|(serial, reason)| Change {
            event: Event::Revoked,
            status: status(serial, reason, 1),
        });
        let earlier = replica(&mut fold, &mut head, revoked.to_vec());
        let changes = vec![
            Change {
                event: Event::Released,
                status: Status::valid(revoked[2].status.serial(), None, 2),
            },
            Change {
                event: Event::Revoked,
                status: status("5500", Some(Reason::CessationOfOperation), 2),
            },
        ];
        let replica = replica(&mut fold, &mut head, changes);
        Self {
            issuer,
            earlier,
            replica,
            nothing,
        }
    }

    /// What the good CRL was drafted from.
    pub(super) fn source(&self, good: Good) -> CrlSource<'_> {
        let (replica, now) = match good {
            Good::Empty => (&self.nothing, THIS),
            Good::Previous => (&self.earlier, BEFORE),
            Good::Full | Good::Delta | Good::Shard => (&self.replica, THIS),
        };
        CrlSource {
            issuer: &self.issuer,
            replica,
            now: at(now + 600),
        }
    }

    /// The plan of the good CRL.
    pub(super) fn crl(&self, good: Good) -> Crl {
        let number = if good == Good::Previous {
            NUMBER - 1
        } else {
            NUMBER
        };
        self.plan(good).numbered(CrlNumber::known(number))
    }

    fn plan(&self, good: Good) -> CrlPlan {
        let url = |name: &str| format!("http://pki.contoso.example/crl/golden{name}.crl");
        let this = at(if good == Good::Previous { BEFORE } else { THIS });
        let full = CrlPlan {
            window: Window::new(this, this.after(Duration::from_secs(7 * 86_400))).unwrap(),
            scope: Scope::Full,
            distribution_points: vec![url("")],
            contains: Contains::All,
            freshest: Some(url("-delta")),
            delta: None,
            expired_since: Some(at(1_735_689_600)),
            previous: Some(Appearance {
                this_update: at(BEFORE),
                seq: 1,
            }),
        };
        match good {
            Good::Full | Good::Empty | Good::Previous => full,
            Good::Shard => {
                let scope = Scope::Shard(Shard::of(&Serial::from_hex("1100").unwrap(), 4));
                CrlPlan {
                    scope,
                    distribution_points: vec![url("/00")],
                    freshest: None,
                    ..full
                }
            }
            Good::Delta => {
                let base = Base {
                    number: CrlNumber::known(NUMBER - 1),
                    this_update: at(BEFORE),
                    seq: 1,
                };
                let previous = self.bytes(Good::Previous);
                let previous = CrlRef::read(&previous).unwrap();
                let delta = delta::beside(&full, &self.replica, base, &previous);
                CrlPlan {
                    scope: Scope::Delta,
                    freshest: None,
                    delta: Some(delta),
                    ..full
                }
            }
        }
    }

    /// The good CRL's bytes.
    pub(super) fn bytes(&self, good: Good) -> Vec<u8> {
        let source = self.source(good);
        let linted = self
            .crl(good)
            .draft(source.issuer, source.replica)
            .lint(&source)
            .unwrap();
        linted.to_be_signed().to_vec()
    }

    /// What the linter finds in these bytes, which are to be that good CRL.
    pub(super) fn lint(&self, good: Good, bytes: &[u8]) -> Findings {
        self.crl(good).lint(bytes, &self.source(good))
    }

    /// What the comparison of a full CRL with the one before it finds. `bytes` are one of the two.
    pub(super) fn compare(&self, good: Good, bytes: &[u8]) -> Findings {
        let other = self.bytes(if good == Good::Previous {
            Good::Full
        } else {
            Good::Previous
        });
        let (new, previous) = if good == Good::Previous {
            (&other[..], bytes)
        } else {
            (bytes, &other[..])
        };
        let previous = Previous::of_this_pass(CrlRef::read(previous).unwrap(), &self.earlier);
        let before = CrlBefore {
            previous: Some(previous),
            replica: &self.replica,
            neighbours: None,
            accepted: None,
        };
        self.crl(Good::Full).compare(new, &before)
    }

    /// What the comparison of a delta CRL with its full CRLs finds.
    pub(super) fn fit(&self, good: Good, bytes: &[u8]) -> Findings {
        let (base, full) = (self.bytes(Good::Previous), self.bytes(Good::Full));
        let base = Previous::of_this_pass(CrlRef::read(&base).unwrap(), &self.earlier);
        let neighbours = Neighbours {
            base,
            full: CrlRef::read(&full).unwrap(),
        };
        let before = CrlBefore {
            previous: None,
            replica: &self.replica,
            neighbours: Some(neighbours),
            accepted: None,
        };
        self.crl(good).compare(bytes, &before)
    }
}
