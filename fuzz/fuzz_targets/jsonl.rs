//! JSON Lines to be imported.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rescind::import::read_jsonl;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(requests) = read_jsonl(bytes) {
        assert!(requests.len() <= bytes.len());
    }
});
