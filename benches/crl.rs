//! The steps of a CRL, and reading a checkpoint, at 1 000, 100 000 and 1 000 000 entries: `cargo
//! bench --bench crl`. `RESCIND_BENCH_ENTRIES=5000000` measures another size instead.

#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    unreachable_pub,
    missing_docs
)]

mod common;

use std::{hint::black_box, time::Duration};

use common::{World, yardstick};
use criterion::{
    BatchSize, BenchmarkGroup, BenchmarkId, Criterion, Throughput, measurement::WallTime,
};
use rescind::facade::core::{crl::Crl, journal::checkpoint, seal::Linted};

fn sizes() -> Vec<usize> {
    let wanted = std::env::var("RESCIND_BENCH_ENTRIES")
        .ok()
        .and_then(|text| text.parse().ok());
    wanted.map_or_else(|| vec![1_000, 100_000, 1_000_000], |size| vec![size])
}

fn steps(group: &mut BenchmarkGroup<'_, WallTime>, world: &World, size: usize) {
    let previous = world.publish(1, None).shared();
    let before = world.before(Some(&previous));
    group.throughput(Throughput::Bytes(previous.len() as u64));
    let draft = || world.draft(2, Some(&previous));
    group.bench_function(BenchmarkId::new("build", size), |bench| {
        bench.iter_with_large_drop(draft)
    });
    group.bench_function(BenchmarkId::new("read_back_and_lint", size), |bench| {
        bench.iter_batched(draft, |draft| world.lint(draft), BatchSize::PerIteration);
    });
    group.bench_function(BenchmarkId::new("compare", size), |bench| {
        let compare = |linted: Linted<Crl>| linted.compare(&before).expect("no contradiction");
        bench.iter_batched(|| world.lint(draft()), compare, BatchSize::PerIteration);
    });
    group.bench_function(BenchmarkId::new("verify_previous", size), |bench| {
        bench.iter_with_large_drop(|| world.before(Some(&previous)));
    });
    group.bench_function(BenchmarkId::new("all_gates", size), |bench| {
        bench.iter_with_large_drop(|| world.publish(2, Some(&previous)));
    });
    let spki = world.issuer.spki_hash();
    let written = checkpoint::write(&world.replica, &spki).expect("a checkpoint");
    group.bench_function(BenchmarkId::new("checkpoint_load", size), |bench| {
        bench.iter_with_large_drop(|| {
            checkpoint::read(black_box(&written), &spki).expect("the checkpoint")
        });
    });
    group.bench_function(BenchmarkId::new("copy_and_sha256", size), |bench| {
        bench.iter_with_large_drop(|| yardstick(black_box(&previous)));
    });
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("crl");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(5))
        .warm_up_time(Duration::from_millis(500));
    // `cargo test --benches` runs everything once: there the smallest will do.
    let is_test = !std::env::args().any(|arg| arg == "--bench");
    for size in sizes()
        .into_iter()
        .take(if is_test { 1 } else { usize::MAX })
    {
        steps(&mut group, &World::new(size), size);
    }
    group.finish();
    criterion.final_summary();
}
