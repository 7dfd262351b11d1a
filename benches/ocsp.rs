//! What an OCSP answer costs in memory, without HTTP: reading, looking up, answering, signing.
//!
//! `cargo bench --bench ocsp`; compare `uncached` with `openssl speed ecdsap256`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs
)]

use std::{
    fs,
    future::Future,
    hint::black_box,
    path::Path,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair},
};
use criterion::{Criterion, criterion_group, criterion_main};
use rescind::facade::{
    ca::Ca,
    config::{Config, values::Values},
    core::{
        der::{oid, tag, write},
        key_pair::{self, NewKey},
        ocsp::Request,
        revocation::{Action, ChangeRequest as Change},
        serial::Serial,
        time::Timestamp,
    },
    stories::{
        publish::{self, Options},
        respond::{Answer, Responder, SignedAnswer},
        revoke::{self, Author},
    },
};
use sha1::{Digest, Sha1};

/// Revoked certificates in the index.
const ROWS: u32 = 20_000;

fn now() -> Timestamp {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    Timestamp::from_seconds(seconds).unwrap()
}

/// A self-signed CA with a P-256 key, as PEM files.
fn make_ca(folder: &Path) {
    let key = key_pair::generate(NewKey::P256).unwrap().pem;
    let pair = rcgen::KeyPair::from_pem(&key).unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.key_usages = vec![
        rcgen::KeyUsagePurpose::KeyCertSign,
        rcgen::KeyUsagePurpose::CrlSign,
    ];
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "Bench CA");
    fs::write(
        folder.join("ca.pem"),
        params.self_signed(&pair).unwrap().pem(),
    )
    .unwrap();
    fs::write(folder.join("ca.key.pem"), key).unwrap();
}

async fn responder(folder: &Path) -> Responder {
    make_ca(folder);
    let text =
        "[[issuer]]\nname = \"bench\"\ncertificate = \"file:ca.pem\"\nkey = \"file:ca.key.pem\"\n";
    let values = Values::collect(Some(("rescind.toml", text)), []).unwrap();
    let config = Config::from_values(&values, folder).unwrap();
    let ca = Ca::open_all(&config, None).await.unwrap().remove(0);
    let author = Author {
        actor: "bench".to_owned(),
        comment: String::new(),
    };
    let serial = |at: u32| Serial::from_hex(&format!("{:x}", at * 2 + 1)).unwrap();
    let action = || Action::Revoke {
        at: now(),
        is_dated: false,
        reason: None,
        invalidity_date: None,
        amend: false,
    };
    let all: Vec<_> = (0..ROWS)
        .map(|at| Change {
            serial: serial(at),
            action: action(),
            not_after: None,
        })
        .collect();
    revoke::commit(&ca, &all, &author, now(), |_| ())
        .await
        .unwrap();
    publish::publish(&ca, None, Options::default(), now())
        .await
        .unwrap();
    let responder = Responder::new(vec![ca]);
    responder.issuers()[0].refresh(now()).await;
    responder
}

fn request(responder: &Responder, serial: &[u8], nonce: Option<&[u8]>) -> Vec<u8> {
    let issuer = &responder.issuers()[0].ca.issuer;
    let algorithm = write::sequence(&[&write::value(tag::OID, &[oid::SHA1]), &[tag::NULL, 0]]);
    let hash = |bytes: &[u8]| write::value(tag::OCTET_STRING, &[&Sha1::digest(bytes)]);
    let (name, key) = (hash(issuer.name()), hash(issuer.key().bits()));
    let id = write::sequence(&[
        &algorithm,
        &name,
        &key,
        &write::value(tag::INTEGER, &[serial]),
    ]);
    let list = write::sequence(&[&write::sequence(&[&id])]);
    let nonce = nonce.map_or(vec![], |nonce| {
        let nonce = write::extension(
            oid::OCSP_NONCE,
            false,
            &write::value(tag::OCTET_STRING, &[nonce]),
        );
        write::value(tag::context(2), &[&write::sequence(&[&nonce])])
    });
    write::sequence(&[&write::sequence(&[&list, &nonce])])
}

/// The answer to a request. It is polled here, and without a runtime: with the index in memory
/// nothing is waited for, and an executor's turn through its queues and its poller, about a
/// microsecond of an answer with a nonce, is no cost of ours.
fn answer(responder: &Responder, request: &[u8], at: Timestamp) -> Arc<SignedAnswer> {
    let mut context = Context::from_waker(Waker::noop());
    let mut future = pin!(responder.respond(request, at));
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(Answer::Signed(signed)) => return signed,
            Poll::Ready(Answer::Refused(refusal, why)) => panic!("{}: {why}", refusal.name()),
            Poll::Pending => {}
        }
    }
}

fn ocsp(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let responder = runtime.block_on(responder(folder.path()));
    let at = now();
    let plain = request(&responder, &[0x21], None);
    let nonce = request(&responder, &[0x21], Some(&[7; 32]));
    let state = responder.issuers()[0].state();
    let replica = &state.level.as_ref().unwrap().replica;
    let serial = Serial::from_hex("21").unwrap();
    answer(&responder, &plain, at);

    criterion.bench_function("parse", |bench| {
        bench.iter(|| Request::read(black_box(&nonce)).unwrap().cert_ids.len())
    });
    criterion.bench_function("lookup", |bench| {
        bench.iter(|| replica.get(black_box(&serial)).is_some())
    });
    criterion.bench_function("cached", |bench| {
        bench.iter(|| answer(&responder, black_box(&plain), at))
    });
    // Every answer is signed, and made for one client.
    criterion.bench_function("nonce", |bench| {
        bench.iter(|| answer(&responder, black_box(&nonce), at))
    });
    // Every answer is signed, verified, read back by two parsers, and kept.
    let mut count = 0u32;
    criterion.bench_function("uncached", |bench| {
        bench.iter(|| {
            count += 1;
            let serial = [&[1][..], &count.to_be_bytes()].concat();
            let asked = request(&responder, &serial, None);
            answer(&responder, &asked, at)
        });
    });
    // The yardstick: nothing but a signature.
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    let random = SystemRandom::new();
    criterion.bench_function("sign", |bench| {
        bench.iter(|| pair.sign(&random, black_box(&nonce)).unwrap())
    });
}

criterion_group!(benches, ocsp);
criterion_main!(benches);
