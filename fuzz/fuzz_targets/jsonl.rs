//! JSON Lines to be imported: what is taken over is exported again, and that export says nothing
//! new.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use rescind::facade::{
    core::revocation::merge,
    stories::{import::read_jsonl, schema::Shown},
};

fuzz_target!(|bytes: &[u8]| {
    let Ok(requests) = read_jsonl(bytes) else {
        return;
    };
    let serials: BTreeSet<_> = requests
        .iter()
        .map(|request| *request.serial.octets())
        .collect();
    assert_eq!(
        serials.len(),
        requests.len(),
        "a serial number stands twice"
    );
    for request in &requests {
        let taken = merge(None, request).expect("nothing is known that it could contradict");
        let change = taken.expect("nothing is known, so it changes something");
        let status = change.status;
        let line = serde_json::to_vec(&Shown {
            seq: None,
            ..Shown::new(status.serial(), Some(&status))
        });
        let again =
            read_jsonl(&line.expect("it is plain data")).expect("what is exported can be imported");
        assert_eq!(again.as_slice(), std::slice::from_ref(request));
        assert_eq!(
            merge(Some(&status), &again[0]),
            Ok(None),
            "told twice, it changes something"
        );
    }
});
