//! What a request costs the server: CPU time by the scheduler's own count, memory by its high-water
//! mark.

use std::{collections::BTreeMap, ffi::OsString, fs};

use crate::support::server::Server;

const MOST_NANOSECONDS: u64 = 5_000_000;
const MOST_KIBIBYTES: u64 = 1024;
/// How often a request is repeated for one measurement.
const TIMES: u64 = 5;
/// Something else may happen in the server meanwhile, such as its look at the index: the least of
/// some measurements.
const MEASUREMENTS: usize = 4;

/// CPU time of each thread so far.
fn nanoseconds(pid: u32) -> BTreeMap<OsString, u64> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the server runs");
    let spent = |task: fs::DirEntry| {
        let line = fs::read_to_string(task.path().join("schedstat")).ok()?;
        Some((
            task.file_name(),
            line.split(' ').next()?.parse::<u64>().ok()?,
        ))
    };
    tasks.filter_map(|task| spent(task.ok()?)).collect()
}

/// CPU time of all threads since then; none if one ended meanwhile, for what that one spent is
/// written nowhere.
fn spent_since(before: &BTreeMap<OsString, u64>, pid: u32) -> Option<u64> {
    let now = nanoseconds(pid);
    let is_whole = before.keys().all(|thread| now.contains_key(thread));
    is_whole.then(|| now.values().sum::<u64>() - before.values().sum::<u64>())
}

/// A line of /proc/PID/status.
fn kibibytes(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the server runs");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap_or_else(|| panic!("no {name}"));
    line.trim_start_matches(':')
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap()
}

/// Repeats a request, and says what it costs if that is too much.
pub fn too_much(server: &Server, repeat: impl Fn()) -> Option<String> {
    let pid = server.child.id();
    let (mut worst, mut measurements) = (None, 0);
    while measurements < MEASUREMENTS {
        // 5: the high-water mark is what is in use now.
        fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("the server is ours");
        let (before, used) = (nanoseconds(pid), kibibytes(pid, "VmRSS"));
        (0..TIMES).for_each(|_| repeat());
        let Some(spent) = spent_since(&before, pid) else {
            continue;
        };
        measurements += 1;
        let grown = kibibytes(pid, "VmHWM").saturating_sub(used);
        if spent / TIMES <= MOST_NANOSECONDS && grown <= MOST_KIBIBYTES {
            return None;
        }
        worst = Some(format!("{} µs and {grown} KiB", spent / TIMES / 1000));
    }
    worst
}
