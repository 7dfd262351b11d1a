//! HTTP beside OCSP: CRLs and CA certificates, the API, health, metrics, shutdown.

use std::{fs::File, sync::Arc, time::Duration};

use rescind::facade::{
    server::{
        app::{Access, App},
        tick::tick,
    },
    stories::respond::Responder,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{
    ISSUER, Site, block_on, der,
    http::{Reply, request},
    ocsp, poll,
    server::{Server, serving},
};

#[test]
fn crl_is_served_as_on_the_shelf_with_its_own_validity() {
    let (site, server) = serving("");
    let reply = server.get("/crl/test-ca.crl", &[]);
    assert_eq!((reply.status, &reply.body), (200, &site.crl_bytes()));
    assert_eq!(reply.header("content-type"), Some("application/pkix-crl"));
    assert_eq!(
        reply.header("content-length"),
        Some(reply.body.len().to_string().as_str())
    );
    let time = |name: &str| httpdate::parse_http_date(reply.header(name).unwrap()).unwrap();
    let seconds = |name: &str| {
        time(name)
            .duration_since(std::time::SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_secs()
    };
    let crl = site.crl();
    assert_eq!(seconds("last-modified"), der::seconds(&crl.this_update.1));
    assert_eq!(seconds("expires"), der::seconds(&crl.next_update.1));
    let etag = format!("\"{}\"", der::hex(&Sha256::digest(&reply.body)));
    assert_eq!(reply.header("etag"), Some(etag.as_str()));
    let age = reply.header("cache-control").unwrap();
    let age: u64 = age
        .split(',')
        .next()
        .unwrap()
        .strip_prefix("max-age=")
        .unwrap()
        .parse()
        .unwrap();
    assert!(
        (1..=24 * 3600).contains(&age),
        "no longer than until the next refresh: {age}"
    );
    for header in [
        format!("If-None-Match: {etag}"),
        format!("If-Modified-Since: {}", reply.header("date").unwrap()),
    ] {
        let reply = server.get("/crl/test-ca.crl", &[&header]);
        assert_eq!(
            (reply.status, reply.body.len(), reply.header("etag")),
            (304, 0, Some(etag.as_str())),
            "{header}"
        );
    }
    let head = server.head("/crl/test-ca.crl");
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, reply.header("content-length"))
    );
}

#[test]
fn crl_can_be_fetched_in_ranges() {
    let (site, server) = serving("");
    let whole = site.crl_bytes();
    let len = whole.len();
    for (range, expected) in [
        ("bytes=0-9".to_owned(), 0..10),
        (format!("bytes={}-", len - 5), len - 5..len),
        ("bytes=-7".to_owned(), len - 7..len),
        (format!("bytes=10-{}", len * 2), 10..len),
    ] {
        let reply = server.get("/crl/test-ca.crl", &[&format!("Range: {range}")]);
        let content = format!("bytes {}-{}/{len}", expected.start, expected.end - 1);
        assert_eq!(
            (reply.status, reply.header("content-range")),
            (206, Some(content.as_str())),
            "{range}"
        );
        assert_eq!(reply.body, whole[expected], "{range}");
    }
    let beyond = server.get("/crl/test-ca.crl", &[&format!("Range: bytes={len}-")]);
    assert_eq!(
        (beyond.status, beyond.header("content-range")),
        (416, Some(format!("bytes */{len}").as_str()))
    );
    for range in ["bytes=a-b", "bytes=5-2", "lines=1-2"] {
        let reply = server.get("/crl/test-ca.crl", &[&format!("Range: {range}")]);
        assert_eq!((reply.status, reply.body == whole), (200, true), "{range}");
    }
    let changed = server.get(
        "/crl/test-ca.crl",
        &["Range: bytes=0-9", "If-Range: \"another\""],
    );
    assert_eq!((changed.status, changed.body == whole), (200, true));
}

#[test]
fn pem_twin_and_ca_certificate_are_served() {
    let (site, server) = serving("");
    let pem = server.get("/crl/test-ca.crl.pem", &[]);
    assert!(pem.text().starts_with("-----BEGIN X509 CRL-----"));
    let cer = server.get("/ca/test-ca.cer", &[]);
    assert_eq!(
        (cer.header("content-type"), &cer.body),
        (Some("application/pkix-cert"), &site.ca_der())
    );
    let text = server.get("/ca/test-ca.pem", &[]).text();
    assert_eq!(text, std::fs::read_to_string(site.path("ca.pem")).unwrap());
}

#[test]
fn other_paths_are_404_and_reach_no_file() {
    let (_site, server) = serving("");
    for path in [
        "/crl/other.crl",
        "/crl/test-ca.txt",
        "/crl/../rescind.toml",
        "/crl/..%2frescind.toml",
        "/crl/%2e%2e%2f%2e%2e%2frescind.toml",
        "/crl/..%2f..%2fca.key.pem",
        "/ca/test-ca.key.pem",
        "/ca/../ca.key.pem",
        "/crl/.test-ca.crl.json",
        "/nothing",
    ] {
        let reply = server.get(path, &[]);
        assert!((400..500).contains(&reply.status), "{path}: {reply:?}");
        assert!(
            !reply.text().contains("PRIVATE KEY") && !reply.text().contains("[storage]"),
            "{path}"
        );
    }
}

#[test]
fn shelf_damaged_under_a_running_server_is_healed_by_its_timer_or_told_by_healthz() {
    let (site, server) = serving("");
    assert_eq!(server.get("/healthz", &[]).status, 200);
    std::fs::write(site.shelf(".crl"), b"garbage").unwrap();
    let reply = server.get("/healthz", &[]);
    assert!(
        reply.status == 503 && reply.text().contains(ISSUER),
        "{reply:?}"
    );
    site.publish(&[]);
    assert_eq!(server.get("/healthz", &[]).status, 200);
}

#[test]
fn metrics_are_prometheus_text_and_count() {
    let (site, server) = serving("");
    server.ocsp(&ocsp::request(&[site.issuer_id().usual("0b")], None));
    server.ocsp(b"0");
    let reply = server.get("/metrics", &[]);
    assert_eq!(reply.status, 200);
    assert!(
        reply
            .header("content-type")
            .unwrap()
            .starts_with("text/plain")
    );
    for line in reply
        .text()
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        assert!(name.starts_with("rescind_"), "{line}");
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
    assert!(
        reply.text().contains(&site.crl().number().to_string()),
        "the CRL number: {}",
        reply.text()
    );
}

/// Calls the API; `token`: whether to show the right one.
fn api(server: &Server, path: &str, body: &str, token: bool) -> Reply {
    let token: &[&str] = if token {
        &["Authorization: Bearer s3cret"]
    } else {
        &[]
    };
    let headers = [&["Content-Type: application/json"], token].concat();
    server.raw(&request("POST", path, &headers, body.as_bytes()))
}

fn problem(reply: &Reply, status: u16, word: &str) {
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (status, Some("application/problem+json")),
        "{reply:?}"
    );
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(body["status"], status);
    assert!(
        body["detail"].as_str().unwrap().contains(word),
        "{word}: {body}"
    );
}

#[test]
fn api_is_closed_without_a_token_and_to_those_who_do_not_show_it() {
    let site = Site::new();
    let body = json!({"serial": "0a"}).to_string();
    let closed = site.serve_with(&[]);
    problem(
        &api(&closed, "/api/test-ca/revocations", &body, true),
        403,
        "RESCIND_API_TOKEN",
    );
    drop(closed);
    let open = site.serve_with(&[("RESCIND_API_TOKEN", "s3cret")]);
    let reply = api(&open, "/api/test-ca/revocations", &body, false);
    problem(&reply, 401, "Bearer");
    assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
    let wrong = request(
        "POST",
        "/api/test-ca/revocations",
        &["Authorization: Bearer s3cre"],
        body.as_bytes(),
    );
    problem(&open.raw(&wrong), 401, "Bearer");
    problem(
        &open.get("/api/test-ca/certificates/0a", &[]),
        401,
        "Bearer",
    );
    assert!(site.row("0a").is_none());
}

#[test]
fn api_revokes_releases_and_shows_and_the_responder_follows() {
    let site = Site::new();
    let server = site.serve_with(&[("RESCIND_API_TOKEN", "s3cret")]);
    let path = "/api/test-ca/revocations";
    let one =
        json!({"serial": "0a", "reason": "keyCompromise", "revoked_at": "2025-05-05T05:05:05Z"})
            .to_string();
    let reply = api(&server, path, &one, true);
    assert_eq!(reply.status, 200, "{reply:?}");
    let answer: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(answer["changed"], 1);
    let again: Value = serde_json::from_slice(&api(&server, path, &one, true).body).unwrap();
    assert_eq!(
        (&again["changed"], &again["seq"]),
        (&0.into(), &answer["seq"])
    );
    let leaf = std::fs::read_to_string(site.leaf("leaf", "0b")).unwrap();
    let list = json!([{"certificate": leaf}, {"serial": "0c", "reason": "certificateHold", "comment": "lost"}]);
    assert_eq!(api(&server, path, &list.to_string(), true).status, 200);

    let shown = server.get(
        "/api/test-ca/certificates/0c",
        &["Authorization: Bearer s3cret"],
    );
    let shown: Value = serde_json::from_slice(&shown.body).unwrap();
    assert_eq!(
        (&shown["state"], &shown["reason"]),
        (&"held".into(), &"certificateHold".into())
    );
    let release = json!({"serial": "0c", "comment": "found"}).to_string();
    assert_eq!(
        api(&server, "/api/test-ca/releases", &release, true).status,
        200
    );
    let asked = |serial: &str| ocsp::request(&[site.issuer_id().usual(serial)], None);
    poll(Duration::from_secs(10), "the revoked answer", || {
        let body = server.ocsp(&asked("0b"));
        (body.len() > 5 && matches!(ocsp::status(&body), ocsp::Status::Revoked(..))).then_some(())
    });
    assert_eq!(
        site.row("0b").unwrap()["not_after"].as_str().map(str::len),
        Some(20),
        "taken from the certificate"
    );
    assert_eq!(
        site.row("0a").unwrap()["revoked_at"],
        "2025-05-05T05:05:05Z"
    );
}

#[test]
fn api_refuses_bad_calls_with_a_problem_document_and_changes_nothing() {
    let site = Site::new();
    site.revoke("0b", "superseded");
    let server = site.serve_with(&[("RESCIND_API_TOKEN", "s3cret")]);
    let revocations = "/api/test-ca/revocations";
    let export = site
        .export()
        .lines()
        .filter(|line| !line.contains("\"valid\""))
        .count();
    for (path, body, status, word) in [
        (revocations, "nonsense", 400, "body"),
        (revocations, "[]", 400, "empty"),
        (
            revocations,
            r#"{"serial":"0a","resaon":"superseded"}"#,
            400,
            "resaon",
        ),
        (revocations, "{}", 422, "serial"),
        (revocations, r#"{"serial":"xyz"}"#, 422, "xyz"),
        (
            revocations,
            r#"{"serial":"0a","reason":"removeFromCRL"}"#,
            422,
            "removeFromCRL",
        ),
        (
            revocations,
            r#"{"serial":"0a","revoked_at":"2999-01-01T00:00:00Z"}"#,
            422,
            "future",
        ),
        (
            revocations,
            r#"[{"serial":"0a"},{"serial":"0A"}]"#,
            422,
            "twice",
        ),
        (
            "/api/nobody/revocations",
            r#"{"serial":"0a"}"#,
            404,
            "nobody",
        ),
        ("/api/test-ca/releases", r#"{"serial":"0b"}"#, 409, "0b"),
        ("/api/test-ca/releases", r#"{"serial":"0a"}"#, 409, "0a"),
    ] {
        problem(&api(&server, path, body, true), status, word);
    }
    let large = format!(
        "[{}{{\"serial\":\"0a\"}}]",
        "{\"serial\":\"0d\"},".repeat(100_000)
    );
    problem(&api(&server, revocations, &large, true), 413, "octets");
    let rows = site.export();
    assert_eq!(
        rows.lines()
            .filter(|line| !line.contains("\"valid\""))
            .count(),
        export,
        "{rows}"
    );
}

#[test]
fn server_ends_gracefully_when_asked() {
    let (_site, mut server) = serving("");
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&server.child),
        rustix::process::Signal::TERM,
    )
    .unwrap();
    let status = poll(Duration::from_secs(10), "the end", || {
        server.child.try_wait().unwrap()
    });
    assert_eq!(status.code(), Some(0), "{}", server.log());
}

#[test]
fn server_publishes_what_is_due_by_itself() {
    let site = Site::new();
    site.revoke("0b", "superseded");
    let server = site.serve();
    poll(Duration::from_secs(10), "the first CRL", || {
        site.shelf(".crl").exists().then_some(())
    });
    assert_eq!(site.crl().serials(), ["0B"]);
    drop(server);
}

/// Of each thread with this name: whether it gives way to all others (sched(7): SCHED_IDLE, 5).
fn give_way(server: &Server, name: &str) -> Vec<bool> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.child.id())).unwrap();
    let stats =
        tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("stat")).ok());
    let named = stats.filter(|stat| stat.contains(&format!("({name})")));
    named
        .map(|stat| stat.rsplit(')').next().unwrap().split_whitespace().nth(38) == Some("5"))
        .collect()
}

#[test]
fn only_the_publishers_thread_gives_way() {
    let site = Site::new();
    site.revoke("0b", "superseded");
    // The first pass waits for the shelf's lock, so that its thread can be looked at.
    std::fs::create_dir_all(site.path("data/shelf")).unwrap();
    let lock = File::create(site.path("data/shelf/.lock")).unwrap();
    lock.lock().unwrap();
    let server = site.serve_with(&[]);
    poll(Duration::from_secs(10), "the publisher's thread", || {
        (give_way(&server, "publisher") == [true]).then_some(())
    });
    poll(Duration::from_secs(10), "what waits for the lock", || {
        let others = give_way(&server, "tokio-rt-worker");
        assert!(!others.contains(&true), "{others:?}");
        (others.len() > std::thread::available_parallelism().unwrap().get()).then_some(())
    });
    drop(lock);
    poll(Duration::from_secs(10), "the first CRL", || {
        site.shelf(".crl").exists().then_some(())
    });
}

#[test]
fn an_urgent_tick_publishes_too_and_the_next_is_polite_again() {
    let site = Site::new();
    site.revoke("0b", "superseded");
    let app = Arc::new(App::new(
        Responder::new(vec![site.ca()]),
        vec![],
        Access::Closed,
        false,
        || crate::support::at(crate::support::now()),
    ));
    app.set_urgent(true);
    let ticked = block_on(tick(&app));
    assert!(
        ticked.failed.is_empty() && ticked.done[0].contains("published CRL number"),
        "{ticked:?}"
    );
    assert_eq!(site.crl().serials(), ["0B"]);
    assert!(!app.is_urgent());
}

#[test]
fn port_in_use_is_one_clear_message() {
    let (site, server) = serving("");
    let mut command = site.command(&["serve"]);
    let address = format!("127.0.0.1:{}", server.port);
    let output = command
        .env("RESCIND__HTTP__LISTEN", &address)
        .output()
        .unwrap();
    let output = crate::support::Output::of(output);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains(&address), "{output:?}");
}
