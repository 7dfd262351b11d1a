//! Figures for the notes; not a test of anything, and slow.
//! `RESCIND_PACKAGE=target/rescind.zip cargo test --test foreign figures -- --ignored --nocapture`.

use std::{
    fmt::Write,
    fs,
    time::{Duration, Instant},
};

use super::{publisher, ticked};
use crate::azure::{Deployment, ISSUER, package::package};
use crate::{
    host::Mode,
    support::{
        ocsp::{Status, TRY_LATER, request, status},
        poll,
    },
};

#[test]
#[ignore = "it measures, and takes minutes"]
fn figures_with_a_hundred_thousand_revoked() {
    let count: u32 = std::env::var("RESCIND_REVOKED").map_or(100_000, |text| text.parse().unwrap());
    let deployment = Deployment::new();
    let mut lines = String::new();
    for number in 0..count {
        let _ = writeln!(
            lines,
            r#"{{"serial":"1{:031x}","state":"revoked","revoked_at":"2026-01-17T00:27:48Z","reason":"superseded","not_after":"2028-01-17T23:59:59Z"}}"#,
            u128::from(number) * 0x9e37_79b9_7f4a_7c15
        );
    }
    fs::write(deployment.path("all.jsonl"), lines).unwrap();
    let start = Instant::now();
    deployment.ok(&["import", "--issuer", ISSUER, "--from", "jsonl", "all.jsonl"]);
    println!("import of {count}: {:?}", start.elapsed());
    println!("zip: {} octets", fs::metadata(package()).unwrap().len());

    let host = publisher(&deployment, Mode::Proxying);
    let start = Instant::now();
    ticked(&host);
    println!(
        "first pass: {:?}; peak memory {:?} KiB",
        start.elapsed(),
        host.peak_memory()
    );
    println!("CRL: {} octets", deployment.crl_bytes().unwrap().len());
    drop(host);

    let body = request(
        &[deployment
            .issuer_id()
            .usual(&format!("1{:031x}", 0x9e37_79b9_7f4a_7c15_u64))],
        None,
    );
    for _ in 0..3 {
        let start = Instant::now();
        let host = publisher(&deployment, Mode::Proxying);
        let unpacked = start.elapsed().saturating_sub(host.ready_in());
        let answer = poll(Duration::from_secs(60), "the first OCSP answer", || {
            let answer = host.post("/ocsp", super::ask::REQUEST, &body);
            (answer.status == 200 && answer.body != TRY_LATER).then_some(answer.body)
        });
        let took = start.elapsed().saturating_sub(unpacked);
        assert!(matches!(status(&answer), Status::Revoked(..)));
        let memory = host.peak_memory();
        println!(
            "ready in {:?}, first OCSP answer after {took:?}, peak memory {memory:?} KiB",
            host.ready_in()
        );
    }
}
