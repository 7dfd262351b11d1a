//! The package under the Functions host, judged by `openssl` and `curl` as relying parties would.

mod ask;
mod figures;
mod identities;
mod outside;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::json;

use super::{Deployment, ISSUER, package::package};
use crate::{
    cloud::Fault,
    host::{Host, Mode, Tick},
    support::{crl::Crl, ocsp::Status, poll},
};
use ask::{get_paths, mangled_serial};

/// A Function app with this identity, from the package.
fn app(deployment: &Deployment, identity: Vec<(String, String)>, mode: Mode) -> Host {
    Host::start(package(), deployment.app(identity), mode)
}

fn publisher(deployment: &Deployment, mode: Mode) -> Host {
    app(deployment, deployment.cloud.env(), mode)
}

#[test]
fn a_revocation_reaches_relying_parties_when_requests_are_proxied() {
    from_timer_to_relying_party(Mode::Proxying);
}

#[test]
fn a_revocation_reaches_relying_parties_when_requests_are_forwarded() {
    from_timer_to_relying_party(Mode::Forwarding);
}

/// What is in a folder, and below it.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                BTreeSet::from([path])
            }
        })
        .collect()
}

/// The first tick; it may come before the app has opened its issuers.
fn ticked(host: &Host) -> serde_json::Value {
    poll(Duration::from_secs(20), "the first tick", || {
        host.tick().ok()
    })
}

fn from_timer_to_relying_party(mode: Mode) {
    let deployment = Deployment::new();
    let host = publisher(&deployment, mode);
    let unpacked = files(host.root());
    println!("{mode:?}: ready in {:?}", host.ready_in());
    let first = ticked(&host);
    assert!(
        first["Logs"][0].as_str().unwrap().contains("first CRL"),
        "{first}"
    );
    assert_eq!(deployment.fetched_crl(), [""; 0]);
    deployment.await_ocsp(&host);

    let serial = mangled_serial(&deployment.issuer_id());
    assert_eq!(deployment.openssl_says(&host, &serial), "good");
    let body = json!({ "serial": serial, "reason": "keyCompromise", "comment": "lost" });
    let answer = host.api("POST", &format!("/api/{ISSUER}/revocations"), &body);
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(answer["changed"], 1, "{answer}");

    let second = host.tick().unwrap();
    assert!(
        second["Logs"][0]
            .as_str()
            .unwrap()
            .contains("index changed"),
        "{second}"
    );
    assert_eq!(deployment.fetched_crl(), [serial.to_uppercase()]);
    poll(Duration::from_secs(20), "OCSP says revoked", || {
        (deployment.openssl_says(&host, &serial) == "revoked").then_some(())
    });
    for path in get_paths(&deployment.issuer_id(), &serial) {
        let file = deployment.path("response.der");
        deployment.curl(&format!("http://127.0.0.1:{}{path}", host.port), &file);
        assert_eq!(
            deployment.openssl_reads(&file, &serial),
            "revoked",
            "{mode:?}: {path}"
        );
    }
    assert!(
        host.tick().unwrap()["Logs"][0]
            .as_str()
            .unwrap()
            .contains("not due")
    );
    assert_eq!(
        files(host.root()),
        unpacked,
        "the package is mounted read-only on most plans"
    );
    println!("{mode:?}: peak memory {:?} KiB", host.peak_memory());
    deployment.behaved();
}

/// Everything that the host routes is answered, in both modes.
#[test]
fn every_public_route_is_answered_through_the_host() {
    let deployment = Deployment::new();
    deployment.revoke("0a");
    deployment.publish(&[]);
    for mode in [Mode::Forwarding, Mode::Proxying] {
        let host = publisher(&deployment, mode);
        deployment.await_ocsp(&host);
        let crl = host.get(&format!("/crl/{ISSUER}.crl"));
        assert_eq!(
            (crl.status, crl.header("content-type")),
            (200, Some("application/pkix-crl")),
            "{mode:?}"
        );
        assert_eq!(Crl::read(&crl.body).serials(), ["0A"]);
        assert_eq!(
            host.head(&format!("/crl/{ISSUER}.crl")).status,
            200,
            "{mode:?}"
        );
        let certificate = host.get(&format!("/ca/{ISSUER}.cer"));
        assert_eq!(
            certificate.body,
            deployment.cloud.vault().ca(ISSUER).der,
            "{mode:?}"
        );
        for (path, status) in [
            ("/healthz", 200),
            ("/metrics", 200),
            ("/status", 200),
            ("/v1/nothing", 404),
        ] {
            let reply = host.get(path);
            assert_eq!(reply.status, status, "{mode:?}: {path}: {}", reply.text());
        }
        assert_eq!(
            host.send("GET", &format!("/api/{ISSUER}/certificates/0a"), &[], b"")
                .status,
            401
        );
        let known = host.api(
            "GET",
            &format!("/api/{ISSUER}/certificates/0a"),
            &serde_json::Value::Null,
        );
        assert!(known.text().contains("\"revoked\""), "{mode:?}: {known:?}");
    }
    deployment.behaved();
}

/// A tick may come late, again, or without the schedule's state; a pass that fails is a tick that
/// fails.
#[test]
fn ticks_of_any_kind_are_answered_and_failures_are_told() {
    let deployment = Deployment::new();
    let host = publisher(&deployment, Mode::Proxying);
    poll(Duration::from_secs(20), "the start", || {
        (host.get("/metrics").status == 200).then_some(())
    });
    deployment
        .cloud
        .fail("POST *.vault.* */sign?*", Fault::Refused(403, None), 2);
    let error = host.tick().unwrap_err();
    assert!(
        error.contains("500") && error.contains("Key Vault Crypto User"),
        "{error}"
    );
    for tick in [
        Tick {
            attempt: 1,
            ..Tick::default()
        },
        Tick {
            past_due: true,
            ..Tick::default()
        },
        Tick {
            no_status: true,
            ..Tick::default()
        },
    ] {
        host.tick_as(tick).unwrap();
    }
    let lines = host.log_lines();
    let log: Vec<serde_json::Value> = lines
        .iter()
        .filter_map(|line| serde_json::from_str(&line.text).ok())
        .collect();
    assert_eq!(log.len(), lines.len(), "a line is not JSON: {lines:#?}");
    assert!(
        lines.iter().all(|line| line.level == "Information"),
        "stderr: {lines:#?}"
    );
    let failed = log
        .iter()
        .find(|line| line["level"] == "ERROR")
        .expect("an error is logged");
    let id = failed
        .pointer("/span/id")
        .and_then(serde_json::Value::as_str);
    assert!(
        id.is_some_and(|id| id.len() == 36),
        "no invocation id: {failed}"
    );
    deployment.behaved();
}

/// SIGKILL between the archive's copy and the shelf's: the host starts the process again, and the
/// next tick repairs.
#[test]
fn a_pass_that_is_killed_is_repaired_by_the_next_tick() {
    let deployment = Deployment::new();
    let host = publisher(&deployment, Mode::Proxying);
    ticked(&host);
    let before = deployment.crl().number();
    let patterns = [
        "PUT *.blob.* /archive/*",
        "PUT *.blob.* /crl/*.crl",
        "POST *.vault.* */sign?*",
    ];
    for (pattern, serial) in patterns.into_iter().zip(["0A", "0B", "0C"]) {
        deployment.revoke(serial);
        deployment.cloud.forget_calls();
        deployment
            .cloud
            .fail(pattern, Fault::Late(Duration::from_secs(30)), 1);
        let starts = host.starts();
        std::thread::scope(|scope| {
            let tick = scope.spawn(|| host.tick());
            poll(Duration::from_secs(20), pattern, || {
                (deployment.cloud.count(pattern) > 0).then_some(())
            });
            std::thread::sleep(Duration::from_millis(100));
            host.crash_now();
            tick.join().unwrap().unwrap_err();
        });
        deployment.cloud.heal();
        if serial == "0C" {
            // The third crash: the host gives up, and an operator starts the app again.
            break;
        }
        host.await_restart(starts);
        ticked(&host);
        assert!(deployment.crl().entry(serial).is_some(), "{pattern}");
        assert!(deployment.crl().number() > before, "{pattern}");
    }
    host.kill();
    let host = publisher(&deployment, Mode::Proxying);
    ticked(&host);
    assert_eq!(deployment.fetched_crl(), ["0A", "0B", "0C"]);
    assert_eq!(
        deployment.json(&["status"])["issuers"][0]["problems"],
        json!([])
    );
    deployment.behaved();
}

/// A vault that cannot be reached for a while must not end the app: the host gives up after three
/// errors.
#[test]
fn an_app_that_starts_while_the_vault_is_out_of_reach_comes_up_later() {
    let deployment = Deployment::new();
    deployment.publish(&[]);
    deployment.cloud.fail("* *.vault.* *", Fault::Unreached, 12);
    let host = publisher(&deployment, Mode::Proxying);
    deployment.await_ocsp(&host);
    assert_eq!(host.starts(), 1, "{:#?}", host.log_lines());
    assert_eq!(deployment.ocsp(&host, "01"), Status::Good);
}
