//! How the responder serves: what it keeps, when it signs, what bounds it, and what it does when it
//! knows too little.

use std::{
    fs,
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rescind::facade::{
    core::{ocsp::Refusal, time::Timestamp},
    stories::respond::{Answer, CacheSize, Limits, Purpose, Responder, SignedAnswer},
};

use crate::support::{
    ISSUER, Site, at, block_on, der,
    ocsp::{Basic, Status, nonce, request, status},
    poll,
    server::serving,
};

/// A responder that is up to date.
fn responder(site: &Site, limits: Limits) -> (Responder, Timestamp) {
    let (responder, now) = (
        Responder::with_limits(vec![site.ca()], limits),
        at(crate::support::now()),
    );
    block_on(responder.issuers()[0].refresh(now));
    (responder, now)
}

/// 0a is good, 0b is revoked.
fn site(settings: &str) -> Site {
    let site = Site::with_settings(settings);
    site.revoke("0b", "keyCompromise");
    site.publish(&[]);
    site
}

fn signed(answer: Answer) -> Arc<SignedAnswer> {
    match answer {
        Answer::Signed(signed) => signed,
        Answer::Refused(refusal, why) => panic!("{}: {why}", refusal.name()),
    }
}

fn try_later(answer: Answer) -> String {
    match answer {
        Answer::Refused(Refusal::TryLater, why) => why,
        other => panic!("{other:?}"),
    }
}

fn is_revoked(der: &[u8]) -> bool {
    matches!(status(der), Status::Revoked(..))
}

fn later(now: Timestamp, seconds: u64) -> Timestamp {
    now.after(Duration::from_secs(seconds))
}

const ON_REQUEST: &str = "rescind_ocsp_signatures_total{for=\"request\"}";

#[test]
fn a_kept_answer_is_signed_once_and_a_nonce_passes_it_by() {
    let site = site("");
    let (responder, now) = responder(&site, Limits::default());
    let id = site.issuer_id().usual("0a");
    let plain = request(std::slice::from_ref(&id), None);
    let first = signed(block_on(responder.respond(&plain, now)));
    assert_eq!(
        signed(block_on(responder.respond(&plain, later(now, 60)))).der,
        first.der
    );
    let [one, other] = [16, 32].map(|len| {
        signed(block_on(responder.respond(
            &request(std::slice::from_ref(&id), Some(&nonce(len))),
            now,
        )))
    });
    assert!(one.der != other.der && one.etag.is_none() && first.etag.is_some());
    assert_eq!(
        (
            responder.signatures(Purpose::Kept),
            responder.signatures(Purpose::Fleeting)
        ),
        (1, 2)
    );
    assert_eq!(responder.cache_size().answers, 1);
}

/// RFC 9919 §7.1: what is asked for is replaced before caches must ask again, by nobody's request.
#[test]
fn answers_that_are_asked_for_are_replaced_ahead_and_others_are_not() {
    let site = site("");
    let (responder, now) = responder(&site, Limits::default());
    let id = site.issuer_id();
    let [hot, once] = ["0a", "0c"].map(|serial| request(&[id.usual(serial)], None));
    let first = signed(block_on(responder.respond(&hot, now)));
    signed(block_on(responder.respond(&hot, now)));
    signed(block_on(responder.respond(&once, now)));
    block_on(responder.tend(later(now, 3600)));
    assert_eq!(responder.signatures(Purpose::Ahead), 0, "too early");
    let soon = later(now, 5 * 3600);
    block_on(responder.issuers()[0].refresh(soon));
    block_on(responder.tend(soon));
    assert_eq!(
        responder.signatures(Purpose::Ahead),
        1,
        "the one that is asked for"
    );
    let over = later(now, 6 * 3600);
    block_on(responder.issuers()[0].refresh(over));
    let second = signed(block_on(responder.respond(&hot, over)));
    assert!(second.window.this() > first.window.this() && second.replace_at > over);
    assert_eq!(
        responder.signatures(Purpose::Kept),
        2,
        "no request waited for a signature"
    );
    block_on(responder.tend(over));
    assert_eq!(
        responder.cache_size().answers,
        1,
        "what nobody asks for goes"
    );
}

#[test]
fn a_change_in_the_index_drops_the_kept_answer_at_once() {
    let site = site("");
    let (responder, now) = responder(&site, Limits::default());
    let id = site.issuer_id();
    let [asked, other] = ["0a", "0c"].map(|serial| request(&[id.usual(serial)], None));
    for request in [&asked, &asked, &other] {
        assert!(!is_revoked(
            &signed(block_on(responder.respond(request, now))).der
        ));
    }
    site.revoke("0a", "superseded");
    block_on(responder.issuers()[0].refresh(now));
    // Before anybody tended the cache, and afterwards.
    assert!(is_revoked(
        &signed(block_on(responder.respond(&asked, now))).der
    ));
    site.revoke("0c", "superseded");
    block_on(responder.issuers()[0].refresh(now));
    block_on(responder.tend(now));
    assert_eq!(responder.cache_size().answers, 1);
    assert!(is_revoked(
        &signed(block_on(responder.respond(&other, now))).der
    ));
}

/// Also where the answer was asked for: the revoked one is signed before the next request.
#[test]
fn the_revoked_answer_is_ready_before_it_is_asked_for() {
    let site = site("");
    let (responder, now) = responder(&site, Limits::default());
    let asked = request(&[site.issuer_id().usual("0a")], None);
    signed(block_on(responder.respond(&asked, now)));
    signed(block_on(responder.respond(&asked, now)));
    site.revoke("0a", "superseded");
    block_on(responder.issuers()[0].refresh(now));
    block_on(responder.tend(now));
    assert!(is_revoked(
        &signed(block_on(responder.respond(&asked, now))).der
    ));
    assert_eq!(
        (
            responder.signatures(Purpose::Kept),
            responder.signatures(Purpose::Ahead)
        ),
        (1, 1)
    );
}

#[test]
fn many_who_ask_for_the_same_at_once_cost_one_signature() {
    let (site, server) = serving("[issuer.ocsp]\ncredential_key = \"rsa2048\"\n");
    let (asked, before) = (
        request(&[site.issuer_id().usual("0b")], None),
        server.metric(ON_REQUEST),
    );
    let start = Barrier::new(16);
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut connection = server.connect();
                let headers = ["Content-Type: application/ocsp-request"];
                let bytes = crate::support::http::request("POST", "/ocsp", &headers, &asked);
                start.wait();
                assert!(is_revoked(&connection.send(&bytes, false).unwrap().body));
            });
        }
    });
    assert_eq!(server.metric(ON_REQUEST), before + 1);
    assert!(server.metric("rescind_ocsp_cache_answers") >= 1);
}

#[test]
fn kept_answers_never_take_more_memory_than_they_may() {
    const MOST: u64 = 256 << 10;
    let site = site("");
    let (responder, now) = responder(
        &site,
        Limits {
            cache_octets: MOST,
            ..Limits::default()
        },
    );
    let id = site.issuer_id();
    let mut largest = 0;
    for serial in 1..=600u16 {
        let asked = request(&[id.usual(&format!("{serial:04x}"))], None);
        signed(block_on(responder.respond(&asked, now)));
        let CacheSize { octets, answers } = responder.cache_size();
        assert!(octets <= MOST, "{octets} after {serial}");
        largest = largest.max(answers);
    }
    assert!((50..600).contains(&largest), "{largest}");
    // An answer that is larger than all memory for answers is given all the same.
    let (responder, now) = self::responder(
        &site,
        Limits {
            cache_octets: 100,
            ..Limits::default()
        },
    );
    signed(block_on(
        responder.respond(&request(&[id.usual("0a")], None), now),
    ));
    assert!(responder.cache_size().octets <= 100);
}

#[test]
fn too_many_signatures_at_once_are_refused_with_try_later() {
    let site = site("[issuer.ocsp]\ncredential_key = \"rsa2048\"\n");
    let (responder, now) = responder(
        &site,
        Limits {
            signing: 1,
            ..Limits::default()
        },
    );
    let asked = request(&[site.issuer_id().usual("0b")], Some(&nonce(16)));
    let start = Barrier::new(8);
    let refused = thread::scope(|scope| {
        let ask = || {
            start.wait();
            (0..50)
                .filter(|_| {
                    matches!(
                        block_on(responder.respond(&asked, now)),
                        Answer::Refused(Refusal::TryLater, _)
                    )
                })
                .count()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum::<usize>()
    });
    assert!((1..400).contains(&refused), "{refused}");
    assert_eq!(
        responder.signatures(Purpose::Fleeting),
        400 - refused as u64
    );
    // Nobody holds a place any longer.
    assert!(is_revoked(
        &signed(block_on(responder.respond(&asked, now))).der
    ));
}

#[test]
fn nothing_is_answered_from_an_index_that_is_staler_than_max_staleness() {
    let site = site("[issuer.ocsp]\nmax_staleness = \"10s\"\n");
    let (responder, now) = responder(&site, Limits::default());
    let id = site.issuer_id();
    for serial in ["0a", "0b"] {
        let asked = request(&[id.usual(serial)], None);
        signed(block_on(responder.respond(&asked, later(now, 10))));
        let why = try_later(block_on(responder.respond(&asked, later(now, 11))));
        assert!(why.contains("max_staleness"), "{why}");
    }
    block_on(responder.issuers()[0].refresh(later(now, 60)));
    signed(block_on(
        responder.respond(&request(&[id.usual("0a")], None), later(now, 61)),
    ));
}

/// Until the index is in memory, rows of it answer.
#[test]
fn a_process_that_still_reads_the_index_answers_from_its_rows() {
    let site = site("");
    let (responder, now) = (Responder::new(vec![site.ca()]), at(crate::support::now()));
    let id = site.issuer_id();
    let [good, revoked] = ["0a", "0b"].map(|serial| request(&[id.usual(serial)], None));
    assert!(try_later(block_on(responder.respond(&revoked, now))).contains("credential"));
    block_on(responder.issuers()[0].refresh_credentials(now));
    assert!(is_revoked(
        &signed(block_on(responder.respond(&revoked, now))).der
    ));
    assert_eq!(
        status(&signed(block_on(responder.respond(&good, now))).der),
        Status::Good
    );
    // The very next commit counts.
    site.revoke("0a", "superseded");
    let both = request(&[id.usual("0a"), id.usual("0c")], Some(&nonce(16)));
    let basic = Basic::read(&signed(block_on(responder.respond(&both, now))).der);
    assert!(
        matches!(basic.singles[0].status, Status::Revoked(..))
            && basic.singles[1].status == Status::Good
    );
    // Bounded, and nothing is kept.
    let many: Vec<_> = (1..=11u8)
        .map(|serial| id.usual(&format!("{serial:02x}")))
        .collect();
    try_later(block_on(responder.respond(&request(&many, None), now)));
    assert_eq!(responder.cache_size().answers, 0);
    // A revoked credential signs nothing.
    let certificate = &basic.certificates[0];
    let fields = der::children(der::children(der::only(certificate).content)[0].content);
    let serial = der::hex(fields[1].content);
    site.revoke(&serial, "keyCompromise");
    assert!(try_later(block_on(responder.respond(&good, now))).contains("revoked"));
}

/// An index that was put back from a backup says good of what was revoked since.
#[test]
fn a_process_that_begins_with_an_index_put_back_says_try_later() {
    let site = site("");
    let index = site.path("data/index.sqlite");
    let backup = fs::read(&index).unwrap();
    assert!(
        !site.path("data/index.sqlite-wal").exists(),
        "the last process left nothing to be merged"
    );
    site.revoke("0a", "keyCompromise");
    site.publish(&[]);
    fs::write(&index, backup).unwrap();
    let (responder, now) = (Responder::new(vec![site.ca()]), at(crate::support::now()));
    let asked = request(&[site.issuer_id().usual("0a")], None);
    block_on(responder.issuers()[0].refresh_credentials(now));
    let why = try_later(block_on(responder.respond(&asked, now)));
    assert!(why.contains("put back"), "{why}");
    block_on(responder.issuers()[0].refresh(now));
    try_later(block_on(responder.respond(&asked, now)));
    assert!(responder.issuers()[0].state().problem().is_some());
}

/// Another credential takes the place of the old one while requests come: none fails, and no
/// restart is needed.
#[test]
fn the_credential_is_exchanged_under_load_without_a_failed_answer() {
    let (site, server) = serving("");
    let place = site.path(&format!("data/{ISSUER}-ocsp.pem"));
    let id = site.issuer_id();
    let [plain, fresh] =
        [None, Some(nonce(16))].map(|nonce| request(&[id.usual("0b")], nonce.as_deref()));
    let signer = |asked: &[u8]| Basic::read(&server.ocsp(asked)).certificates[0].clone();
    let old = signer(&plain);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let ask = |asked: &[u8]| {
            let mut connection = server.connect();
            let headers = ["Content-Type: application/ocsp-request"];
            let bytes = crate::support::http::request("POST", "/ocsp", &headers, asked);
            let mut count = 0;
            while !is_over.load(Ordering::Relaxed) {
                assert!(is_revoked(&connection.send(&bytes, false).unwrap().body));
                count += 1;
            }
            count
        };
        let threads = [&plain, &fresh].map(|asked| scope.spawn(move || ask(asked)));
        fs::remove_file(&place).unwrap();
        site.publish(&[]);
        let is_new = |asked: &[u8]| (signer(asked) != old).then_some(());
        poll(
            Duration::from_secs(10),
            "answers by the new credential",
            || is_new(&fresh),
        );
        // Those who ask for it keep it hot, so it is replaced although the old credential's answer
        // was good for hours.
        poll(
            Duration::from_secs(10),
            "the kept answer by the new credential",
            || is_new(&plain),
        );
        is_over.store(true, Ordering::Relaxed);
        threads
            .into_iter()
            .for_each(|thread| assert!(thread.join().unwrap() > 50));
    });
}

#[test]
fn healthz_and_metrics_say_what_ocsp_answers_from() {
    let (site, server) = serving("");
    // The first answers come from single rows, and the replica a moment later.
    let health = poll(Duration::from_secs(20), "the replica", || {
        let health: serde_json::Value =
            serde_json::from_slice(&server.get("/healthz", &[]).body).unwrap();
        (health["issuers"][0]["rows"] == 3).then_some(health)
    });
    let issuer = &health["issuers"][0];
    assert_eq!(issuer["name"], ISSUER, "{health}");
    server.ocsp(&request(&[site.issuer_id().usual("0a")], None));
    assert!(
        issuer["staleness_seconds"].as_u64().unwrap() <= 5 && issuer["seq"].as_u64().unwrap() >= 3,
        "{health}"
    );
    server.ocsp(&request(&[site.issuer_id().usual("0a")], Some(&nonce(16))));
    assert_eq!(
        server.metric("rescind_ocsp_signatures_total{for=\"nonce\"}"),
        1
    );
    assert!(server.metric("rescind_ocsp_cache_octets") > 0);
    assert!(
        server.metric(&format!(
            "rescind_replica_age_seconds{{issuer=\"{ISSUER}\"}}"
        )) <= 5
    );
}

/// Without a credential every request is refused: clients must not be able to fill the log with
/// that.
#[test]
fn refusals_are_all_counted_and_told_once_a_minute() {
    let site = Site::new();
    // No pass can write one, then.
    std::fs::create_dir_all(site.path(&format!("data/{ISSUER}-ocsp.pem/in-the-way"))).unwrap();
    let server = site.serve_with(&[]);
    let asked = request(&[site.issuer_id().usual("0a")], None);
    for _ in 0..40 {
        assert_eq!(
            server.post("/ocsp", &asked).body,
            crate::support::ocsp::TRY_LATER
        );
    }
    let told = server.log().matches("could not be answered yet").count();
    // A minute may end meanwhile.
    assert!((1..=2).contains(&told), "{told} lines:\n{}", server.log());
    let metrics = String::from_utf8(server.get("/metrics", &[]).body).unwrap();
    let counted = metrics
        .lines()
        .find(|line| line.contains("tryLater"))
        .unwrap_or_else(|| panic!("{metrics}"));
    assert!(counted.ends_with(" 40"), "{counted}");
}
