//! A CA elsewhere signs a list of its own making: it is linted, compared and verified like a draft.

use std::time::Duration;

use rescind::facade::{
    ca::Ca,
    core::{
        crl::{
            Crl, CrlPlan,
            gate::Previous,
            lint::{CrlBefore, CrlSource},
            scope::{Contains, Scope},
        },
        journal::replica::Replica,
        seal::{Checked, Compared, SignerAnswer},
        serial::CrlNumber,
        time::{Timestamp, Window},
    },
    stories::replicate::level,
};

use crate::support::{Plan, Site, at, block_on, now};

const NUMBER: u64 = 4711;

struct Elsewhere {
    ca: Ca,
    replica: Replica,
    now: Timestamp,
}

impl Elsewhere {
    fn of(site: &Site) -> Self {
        let ca = site.ca();
        let replica = block_on(level(&ca, None)).unwrap();
        let now = at(now());
        Self { ca, replica, now }
    }

    fn source(&self) -> CrlSource<'_> {
        CrlSource {
            issuer: &self.ca.issuer,
            replica: &self.replica,
            now: self.now,
        }
    }

    fn before(&self) -> CrlBefore<'_> {
        CrlBefore {
            previous: None,
            replica: &self.replica,
            neighbours: None,
            accepted: None,
        }
    }

    /// A full CRL with this number, made `age` ago.
    fn compared(&self, number: u64, age: Duration) -> Compared<Crl> {
        let this = self.now.before(age);
        let plan = CrlPlan {
            window: Window::new(this, this.after(Duration::from_secs(86_400))).unwrap(),
            scope: Scope::Full,
            distribution_points: vec![],
            contains: Contains::All,
            freshest: None,
            delta: None,
            expired_since: None,
            previous: None,
        };
        let draft = plan
            .numbered(CrlNumber::known(number))
            .draft(&self.ca.issuer, &self.replica);
        let linted = draft.lint(&self.source()).unwrap();
        linted.compare(&self.before()).unwrap()
    }

    /// What another one made: its number, and how long ago.
    fn made(&self, number: u64, age: Duration) -> Checked<Crl> {
        let compared = self.compared(number, age);
        let signed = block_on(self.ca.signer().unwrap().sign(compared)).unwrap();
        let key = self.ca.issuer.key();
        signed.check(key, &self.source(), &self.before()).unwrap()
    }

    /// Number NUMBER was asked for, and this came back.
    fn answered(&self, bytes: &[u8], before: &CrlBefore<'_>) -> Result<Checked<Crl>, String> {
        let asked = self.compared(NUMBER, Duration::from_secs(600));
        let answer = SignerAnswer::Whole(bytes.to_vec().into());
        let checked = asked
            .answered(answer)
            .check(self.ca.issuer.key(), &self.source(), before);
        checked.map_err(|error| format!("{error:?}"))
    }
}

#[test]
fn a_crl_made_elsewhere_keeps_its_own_number_and_dates() {
    let site = Site::new();
    site.revoke("0a01", "keyCompromise");
    let here = Elsewhere::of(&site);
    let made = here.made(NUMBER + 5, Duration::from_secs(60));
    let taken = here.answered(made.bytes(), &here.before()).unwrap();
    assert_eq!(taken.bytes(), made.bytes());
    assert_eq!(taken.document().number, CrlNumber::known(NUMBER + 5));
    let this = taken.document().plan.window.this();
    assert_eq!(this, here.now.before(Duration::from_secs(60)));
}

#[test]
fn a_crl_made_elsewhere_lists_what_our_index_says_and_nothing_less() {
    let site = Site::new();
    site.revoke("0a01", "keyCompromise");
    let earlier = Elsewhere::of(&site);
    site.revoke("0a02", "superseded");
    let here = Elsewhere::of(&site);
    let made = earlier.made(NUMBER + 5, Duration::from_secs(60));
    let refused = here.answered(made.bytes(), &here.before()).unwrap_err();
    assert!(refused.contains("entry_missing"), "{refused}");
}

#[test]
fn a_crl_made_elsewhere_passes_the_gates_like_any_other() {
    let site = Site::new();
    site.revoke("0a01", "keyCompromise");
    let here = Elsewhere::of(&site);
    let last = here.made(NUMBER + 9, Duration::from_secs(300));
    let before = CrlBefore {
        previous: Some(Previous::verified(last.bytes(), &here.ca.issuer, None).unwrap()),
        ..here.before()
    };
    let made = here.made(NUMBER + 5, Duration::from_secs(60));
    let refused = here.answered(made.bytes(), &before).unwrap_err();
    assert!(refused.contains("number_not_risen"), "{refused}");
}

#[test]
fn another_cas_crl_is_not_taken_for_ours() {
    let site = Site::new();
    let subject = "/C=DE/O=Contoso/CN=Another CA";
    let other = Plan {
        subject,
        ..Plan::default()
    };
    let other = other.build();
    let (here, there) = (Elsewhere::of(&site), Elsewhere::of(&other));
    let made = there.made(NUMBER + 5, Duration::from_secs(60));
    let refused = here.answered(made.bytes(), &here.before()).unwrap_err();
    assert!(refused.contains("issuer_name"), "{refused}");
}
