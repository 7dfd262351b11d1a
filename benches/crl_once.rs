//! One CRL of a given size, step by step, the least time of some runs, as JSON: `crl_once ENTRIES
//! RUNS`. For `benches/compare`, which sets it beside others. Without arguments (`cargo bench`,
//! `cargo test`) it is small.

#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    unreachable_pub,
    missing_docs
)]

mod common;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use common::{World, yardstick};

/// The least time of each step.
#[derive(Default)]
struct Least(BTreeMap<&'static str, Duration>);

impl Least {
    fn time<T>(&mut self, step: &'static str, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.keep(step, start.elapsed());
        result
    }

    fn keep(&mut self, step: &'static str, took: Duration) {
        let least = self.0.entry(step).or_insert(took);
        *least = took.min(*least);
    }
}

fn main() {
    let mut numbers = std::env::args()
        .skip(1)
        .filter_map(|arg| arg.parse::<usize>().ok());
    let (entries, runs) = (numbers.next().unwrap_or(1000), numbers.next().unwrap_or(1));
    let world = World::new(entries);
    let previous = world.publish(1, None).shared();
    let rss_before = peak_rss("VmRSS");
    let mut least = Least::default();
    let mut len = 0;
    for run in 0..runs as u64 {
        let number = run + 2;
        let start = Instant::now();
        let before = least.time("verify_previous", || world.before(Some(&previous)));
        let building = Instant::now();
        let draft = least.time("build", || world.draft(number, Some(&previous)));
        let build = building.elapsed();
        let linted = least.time("lint", || world.lint(draft));
        let compared = least.time("compare", || {
            linted.compare(&before).expect("no contradiction")
        });
        let signing = Instant::now();
        let signed = least.time("sign", || world.sign(compared));
        least.keep("build_and_sign", build + signing.elapsed());
        let checked = least.time("check", || world.check(signed, &before));
        least.keep("all_gates", start.elapsed());
        len = checked.bytes().len();
        least.time("yardstick", || yardstick(checked.bytes()));
    }
    let mut report: serde_json::Map<_, _> = least
        .0
        .into_iter()
        .map(|(step, time)| (step.to_owned(), time.as_secs_f64().into()))
        .collect();
    report.insert("entries".to_owned(), entries.into());
    report.insert("bytes".to_owned(), len.into());
    report.insert("rss_before_kb".to_owned(), rss_before.into());
    report.insert("peak_kb".to_owned(), peak_rss("VmHWM").into());
    println!("{}", serde_json::Value::from(report));
}

/// A line of this process's status in kB; 0 where there is none.
fn peak_rss(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|text| text.strip_prefix(line)?.strip_prefix(':'));
    line.and_then(|value| value.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}
