//! A change set's stored form: what is read is written again as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rescind::core::{changeset::ChangeSet, time::Timestamp};

fuzz_target!(|bytes: &[u8]| {
    let (seq, stored) = bytes.split_at(bytes.len().min(8));
    let seq = seq.iter().fold(0, |seq, &octet| seq << 8 | u64::from(octet));
    if let Ok(changes) = ChangeSet::decode_changes(seq, stored) {
        let (at, actor, comment) = (Timestamp::EPOCH, String::new(), String::new());
        assert_eq!(ChangeSet { seq, at, actor, comment, changes }.encode_changes(), stored);
    }
});
