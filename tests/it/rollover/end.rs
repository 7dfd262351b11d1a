//! The end of a CA certificate: nobody can sign after it, so the last CRLs are made before it, and
//! last.

use rescind::facade::{
    server::health::{self, Problem},
    stories::{
        publish::{self, Became, Options, Outcome, PublishError, Why},
        respond::{Answer, Responder},
    },
};

use super::{NEXT, crl_of, renew, rolled_over};
use crate::support::{
    ISSUER, Plan, Site, at, block_on, crl::Crl, der, judge::crl_verifies, now, ocsp::request, pki,
};

const DAY: u64 = 24 * 3600;
const FINAL: &str = "[issuer.crl]\nfinal_validity = \"365d\"\n";

/// One pass at a time of the test's choice.
fn pass(site: &Site, seconds: u64) -> Result<Outcome, PublishError> {
    block_on(publish::publish(
        &site.ca(),
        None,
        Options::default(),
        at(seconds),
    ))
}

/// The CA certificate's notAfter.
fn end(site: &Site) -> u64 {
    site.ca().issuer.certificate().not_after.seconds()
}

fn next_update(crl: &Crl) -> u64 {
    der::seconds(&crl.next_update.1)
}

fn shelf(site: &Site, suffix: &str) -> Crl {
    Crl::read(&std::fs::read(site.shelf(suffix)).unwrap())
}

#[test]
fn the_last_crls_are_made_before_the_end_and_outlive_it() {
    let site = Plan {
        days: 60,
        settings: FINAL,
        ..Plan::default()
    }
    .build();
    site.revoke("0a01", "superseded");
    let end = end(&site);
    pass(&site, now()).unwrap();
    assert!(
        next_update(&site.crl()) < now() + 7 * DAY,
        "far from the end, a CRL is like any other"
    );

    let near = end - 3 * DAY;
    assert_eq!(
        pass(&site, near).unwrap().became,
        Became::Published(Why::Refresh)
    );
    assert_eq!(next_update(&site.crl()), end + 365 * DAY);
    // Such a CRL is not made again at every tick.
    assert_eq!(pass(&site, near + 60).unwrap().became, Became::NotDue);
    // Nor is it the last word: what is revoked until the end is on the one that stays.
    site.revoke("0a02", "keyCompromise");
    assert_eq!(
        pass(&site, end - 60).unwrap().became,
        Became::Published(Why::Changed)
    );
    let last = site.crl();
    assert_eq!(
        (last.serials().len(), next_update(&last)),
        (2, end + 365 * DAY)
    );
    assert!(der::seconds(&last.this_update.1) <= end);
    crl_verifies(&site.crl_bytes(), &site.ca_der());
}

/// The last full CRL names a delta CRL that clients go on to fetch, so that one must last as well.
#[test]
fn the_last_deltas_and_shards_outlive_the_ca_too() {
    let settings = "[issuer.crl]\nfinal_validity = \"365d\"\ndelta = \"4h\"\nshards = 2\n";
    let site = Plan {
        days: 60,
        settings,
        ..Plan::default()
    }
    .build();
    let end = end(&site);
    pass(&site, end - DAY).unwrap();
    let delta = next_update(&shelf(&site, "-delta.crl"));
    assert!(
        delta <= end - DAY + 4 * 3600,
        "a delta CRL lasts as long as it is to be cached, until the last one"
    );
    pass(&site, end - 3600).unwrap();
    for file in [".crl", "-delta.crl", "/00.crl", "/01.crl"] {
        assert_eq!(next_update(&shelf(&site, file)), end + 365 * DAY, "{file}");
    }
    assert_eq!(shelf(&site, "-delta.crl").number(), site.crl().number());
    assert_eq!(pass(&site, end - 3500).unwrap().became, Became::NotDue);
}

#[test]
fn a_renewed_certificate_takes_the_last_crl_back() {
    let site = Plan {
        days: 60,
        settings: FINAL,
        ..Plan::default()
    }
    .build();
    let end = end(&site);
    pass(&site, end - DAY).unwrap();
    let last = site.crl();
    assert_eq!(next_update(&last), end + 365 * DAY);
    renew(&site, "ca.key.pem");
    assert_eq!(
        pass(&site, end - DAY + 60).unwrap().became,
        Became::Published(Why::Configuration)
    );
    assert!(site.crl().number() > last.number());
    assert!(next_update(&site.crl()) < end + 7 * DAY);
}

#[test]
fn without_final_validity_the_last_crl_ends_like_any_other() {
    let site = Plan {
        days: 60,
        ..Plan::default()
    }
    .build();
    let end = end(&site);
    pass(&site, end - 60).unwrap();
    assert!(next_update(&site.crl()) < end + 7 * DAY);
}

/// A pass over an issuer that ended, in the usual way and by force: both are refused.
fn is_refused(site: &Site, seconds: u64) {
    let ca = site.ca();
    for force in [false, true] {
        let options = Options {
            force,
            ..Options::default()
        };
        let refused = block_on(publish::publish(&ca, None, options, at(seconds))).unwrap_err();
        assert!(matches!(refused, PublishError::Expired { .. }), "{refused}");
    }
}

/// Everything that a signature would change.
fn all(site: &Site) -> impl PartialEq + use<> {
    (
        site.snapshot(),
        std::fs::read(site.path(&format!("data/{ISSUER}-ocsp.pem"))).unwrap(),
    )
}

#[test]
fn after_the_end_nothing_is_signed_and_the_last_crl_stays() {
    let site = Plan {
        days: 60,
        settings: FINAL,
        ..Plan::default()
    }
    .build();
    site.revoke("0a01", "superseded");
    let end = end(&site);
    pass(&site, end - 60).unwrap();
    let before = all(&site);
    let number = Some(site.crl().number());
    for later in [1, DAY, 364 * DAY] {
        // The timer goes on; that there is nothing to do is no failure that somebody must look at.
        let outcome = pass(&site, end + later).unwrap();
        assert_eq!(outcome.became, Became::Ended);
        assert_eq!(outcome.number.map(|number| number.get()), number);
    }
    // But that the last CRL went stale is one.
    is_refused(&site, end + 366 * DAY);
    assert!(before == all(&site));
    // And so is a revocation that no CRL can say any more.
    site.revoke("0a02", "superseded");
    let before = all(&site);
    is_refused(&site, end + 1);
    assert!(before == all(&site));
}

#[test]
fn ocsp_ends_with_the_ca() {
    let site = Plan {
        days: 60,
        ..Plan::default()
    }
    .build();
    site.revoke("0a01", "superseded");
    let end = end(&site);
    pass(&site, end - 60).unwrap();
    let responder = Responder::new(vec![site.ca()]);
    let asked = request(&[site.issuer_id().usual("0a01")], None);
    for (time, is_answered) in [(end - 30, true), (end + 30, false)] {
        block_on(responder.issuers()[0].refresh(at(time)));
        let answer = block_on(responder.respond(&asked, at(time)));
        assert_eq!(
            matches!(answer, Answer::Signed(_)),
            is_answered,
            "{answer:?}"
        );
    }
}

/// None could last longer, so none is made again and again while the end comes nearer, and nobody
/// misses one.
#[test]
fn the_last_credential_ends_with_the_ca_and_is_left_alone() {
    let site = Plan {
        days: 60,
        ..Plan::default()
    }
    .build();
    let end = end(&site);
    pass(&site, end - 6 * DAY).unwrap();
    let credential =
        || std::fs::read_to_string(site.path(&format!("data/{ISSUER}-ocsp.pem"))).unwrap();
    let last = credential();
    let problems = |time: u64| {
        let found = block_on(health::status(&site.ca(), at(time))).found;
        found
            .iter()
            .filter(|one| matches!(one, Problem::Credential(_)))
            .count()
    };
    for before in [2 * DAY, 3600, 300, 60] {
        pass(&site, end - before).unwrap();
        assert!(credential() == last, "{before} s before the end");
        assert_eq!(problems(end - before), 0);
    }
    assert_eq!(problems(end + DAY), 0);
}

#[test]
fn the_end_of_one_issuer_is_not_the_others() {
    let site = rolled_over(false);
    site.publish(&[]);
    let last = site.crl_bytes();
    pki::expired_self_signed(
        &site.path("ca.key.pem"),
        &site.path("ca.pem"),
        "/CN=Test CA",
    );
    site.ok(&["revoke", "--issuer", NEXT, "--serial", "0a05"]);
    let said = site.run(&["publish"]);
    assert!(
        said.code == 1 && said.stderr.contains("ended on 2021-01-01"),
        "{said:?}"
    );
    assert!(said.stderr.contains("Configure its successor"), "{said:?}");
    assert_eq!(crl_of(&site, NEXT).serials(), ["0A01", "0A05"]);
    assert!(site.crl_bytes() == last);
    // Relying parties still get it.
    let server = site.serve_with(&[]);
    assert_eq!(server.get(&format!("/crl/{ISSUER}.crl"), &[]).body, last);
}

/// A nextUpdate of a year must not hide that the publisher stands still; and after the end it is no
/// fault that it does.
#[test]
fn a_last_crl_is_late_like_any_other_and_after_the_end_not_at_all() {
    let site = Plan {
        days: 60,
        settings: FINAL,
        ..Plan::default()
    }
    .build();
    let end = end(&site);
    pass(&site, end - 6 * DAY).unwrap();
    let late = |time: u64| {
        let found = block_on(health::status(&site.ca(), at(time))).found;
        let late = found.iter().filter(|one| matches!(one, Problem::Late(_)));
        late.map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(late(end - 5 * DAY), [""; 0]);
    assert!(
        late(end - DAY)[0].contains("is late"),
        "{:?}",
        late(end - DAY)
    );
    pass(&site, end - 60).unwrap();
    assert_eq!(late(end + 300 * DAY), [""; 0]);
    assert!(late(end + 366 * DAY)[0].contains("went stale"));
}
