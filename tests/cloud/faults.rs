//! What goes wrong between us and the cloud, and the list of what was asked of it.
//!
//! A *pattern* is three words, `METHOD HOST PATH`; `*` in each stands for anything. The path
//! includes the query: `"PUT *.blob.* /crl/*"`, `"POST *.vault.* */sign?*"`, `"* * *"`.

use std::{sync::Mutex, time::Duration};

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection ends before the service saw anything.
    Unreached,
    /// The service did it; the connection ends before the answer.
    Lost,
    /// Not done; this status, in the service's own words, with `Retry-After` in seconds or without.
    Refused(u16, Option<u32>),
    /// Done, and this status all the same.
    Misreported(u16),
    /// Done and answered, but only after a while.
    Slow(Duration),
    /// Done at once, answered after a while.
    Late(Duration),
    /// Done; half of the answer's body, and then the connection ends. An answer without a body is
    /// [`Fault::Lost`].
    Cut,
    /// Done; the answer's body is as long as it should be, and nonsense.
    Garbled,
}

/// A call that reached the proxy.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: String,
    pub host: String,
    /// With the query.
    pub path: String,
    /// The identity whose token it carried.
    pub who: Option<String>,
    /// 0 where no answer was sent (yet).
    pub status: u16,
    pub fault: Option<Fault>,
}

#[derive(Debug)]
struct Rule {
    pattern: String,
    skip: usize,
    times: usize,
    fault: Fault,
}

#[derive(Debug, Default)]
pub struct Faults {
    rules: Mutex<Vec<Rule>>,
    calls: Mutex<Vec<Call>>,
}

impl Faults {
    pub fn inject(&self, skip: usize, pattern: &str, fault: Fault, times: usize) {
        assert_eq!(
            pattern.split(' ').count(),
            3,
            "a pattern is METHOD HOST PATH: {pattern:?}"
        );
        self.rules.lock().unwrap().push(Rule {
            pattern: pattern.to_owned(),
            skip,
            times,
            fault,
        });
    }

    pub fn clear(&self) {
        self.rules.lock().unwrap().clear();
    }

    /// Whether every injected fault has happened.
    pub fn spent(&self) -> bool {
        self.rules
            .lock()
            .unwrap()
            .iter()
            .all(|rule| rule.times == 0)
    }

    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    pub fn forget(&self) {
        self.calls.lock().unwrap().clear();
    }

    /// Notes a call; returns its number and what shall happen to it: the first rule that still has
    /// something to do.
    pub fn note(&self, mut call: Call) -> (usize, Option<Fault>) {
        let mut rules = self.rules.lock().unwrap();
        for rule in rules
            .iter_mut()
            .filter(|rule| rule.times > 0 && call.matches(&rule.pattern))
        {
            if rule.skip > 0 {
                rule.skip -= 1;
            } else {
                rule.times -= 1;
                call.fault = Some(rule.fault);
                break;
            }
        }
        let fault = call.fault;
        let mut calls = self.calls.lock().unwrap();
        calls.push(call);
        (calls.len() - 1, fault)
    }

    pub fn answered(&self, number: usize, status: u16) {
        // The list may have been forgotten meanwhile.
        if let Some(call) = self.calls.lock().unwrap().get_mut(number) {
            call.status = status;
        }
    }
}

impl Call {
    pub fn matches(&self, pattern: &str) -> bool {
        let words = [&self.method, &self.host, &self.path];
        pattern
            .split(' ')
            .zip(words)
            .all(|(glob, text)| matches(glob, text))
    }
}

fn matches(glob: &str, text: &str) -> bool {
    match glob.split_once('*') {
        None => glob == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|tail| {
            (0..=tail.len()).any(|at| tail.get(at..).is_some_and(|tail| matches(rest, tail)))
        }),
    }
}
