//! Whatever happens in whatever order, OCSP says what the index said at the last look, or `tryLater`.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;
use rescind::{
    core::{
        ocsp::Refusal,
        revocation::{Action, Reason, Request as Change},
        serial::Serial,
        time::Timestamp,
    },
    respond::{Answer, Responder},
    revoke::{self, Author},
};

use crate::support::{
    Site, at, block_on, der,
    ocsp::{Basic, Status, nonce, request},
};

#[derive(Clone, Copy, Debug)]
enum Step {
    Revoke(u8),
    Hold(u8),
    Release(u8),
    Look,
    Tend,
    Wait(u32),
    Ask(u8, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let serial = 1..5u8;
    prop_oneof![
        1 => serial.clone().prop_map(Step::Revoke),
        2 => serial.clone().prop_map(Step::Hold),
        2 => serial.clone().prop_map(Step::Release),
        3 => Just(Step::Look),
        2 => Just(Step::Tend),
        1 => (1..400u32).prop_map(Step::Wait),
        // Beyond max_staleness, and beyond half of the validity.
        1 => prop_oneof![Just(700), Just(4000), Just(15_000)].prop_map(Step::Wait),
        8 => (serial, any::<bool>()).prop_map(|(serial, has_nonce)| Step::Ask(serial, has_nonce)),
    ]
}

/// On hold or for good.
type Index = BTreeMap<u8, bool>;

struct World {
    site: Site,
    responder: Responder,
    now: Timestamp,
    index: Index,
    /// What the index was at the last look, and when.
    seen: (Index, Timestamp),
    /// Since when each is revoked.
    since: BTreeMap<u8, Timestamp>,
}

impl World {
    fn new() -> Self {
        let site = Site::with_settings("[issuer.ocsp]\nvalidity = \"2h\"\n");
        site.publish(&[]);
        let (responder, now) = (Responder::new(vec![site.ca()]), at(crate::support::now()));
        block_on(responder.issuers()[0].refresh(now));
        let (index, since) = (Index::new(), BTreeMap::new());
        Self { site, responder, now, seen: (index.clone(), now), index, since }
    }

    fn change(&mut self, serial: u8, action: Action) {
        let ca = &self.responder.issuers()[0].ca;
        let change = Change { serial: Serial::from_hex(&format!("{serial:02x}")).unwrap(), action, not_after: None };
        let author = Author { actor: "test".to_owned(), comment: String::new() };
        block_on(revoke::record(ca, &[change], &author, self.now, |_| ())).unwrap();
    }

    fn revoke(&mut self, serial: u8, reason: Reason) {
        let (at, reason) = (self.now, Some(reason));
        self.change(serial, Action::Revoke { at, is_dated: false, reason, invalidity_date: None, amend: false });
        self.since.entry(serial).or_insert(at);
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Revoke(serial) => {
                self.revoke(serial, Reason::Superseded);
                self.index.insert(serial, true);
            }
            Step::Hold(serial) => {
                self.revoke(serial, Reason::CertificateHold);
                self.index.entry(serial).or_insert(false);
            }
            Step::Release(serial) if self.index.get(&serial) == Some(&false) => {
                self.change(serial, Action::Release);
                self.index.remove(&serial);
                self.since.remove(&serial);
            }
            Step::Release(_) => {}
            Step::Look => {
                block_on(self.responder.issuers()[0].refresh(self.now));
                self.seen = (self.index.clone(), self.now);
            }
            Step::Tend => block_on(self.responder.tend(self.now)),
            Step::Wait(seconds) => self.now = self.now.after(Duration::from_secs(seconds.into())),
            Step::Ask(serial, has_nonce) => self.ask(serial, has_nonce),
        }
    }

    fn ask(&self, serial: u8, has_nonce: bool) {
        let nonce = has_nonce.then(|| nonce(16));
        let asked = request(&[self.site.issuer_id().usual(&format!("{serial:02x}"))], nonce.as_deref());
        let is_stale = self.now.since(self.seen.1) > Duration::from_secs(600);
        let signed = match self.responder.respond(&asked, self.now) {
            Answer::Refused(Refusal::TryLater, _) if is_stale => return,
            Answer::Signed(signed) if !is_stale => signed,
            other => panic!("stale: {is_stale}, {other:?}"),
        };
        let basic = Basic::read(&signed.der);
        let single = basic.only();
        let expected = self.seen.0.get(&serial).map(|is_permanent| if *is_permanent { 4 } else { 6 });
        match (&single.status, expected) {
            (Status::Good, None) => {}
            (Status::Revoked(_, Some(reason)), Some(expected)) => assert_eq!(*reason, expected),
            other => panic!("{other:?}"),
        }
        let (this, next) = (der::seconds(&single.this_update), der::seconds(&single.next_update));
        // Never from the future, never of an unknown time, never about to end.
        assert!(this <= self.seen.1.seconds().max(self.since.get(&serial).map_or(0, |since| since.seconds())));
        assert!(this <= self.now.seconds() && self.now.seconds() < next && next - this <= 7200);
        assert!(self.now < signed.replace_at || has_nonce);
        assert_eq!(basic.extensions.len(), usize::from(has_nonce));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn what_ocsp_says_is_what_the_index_said_at_the_last_look(steps in prop::collection::vec(step(), 20..60)) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
        }
    }
}
