//! The envelope of the Functions host's timer: how its JSON is laid out does not matter.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rescind::facade::http::functions::is_past_due;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let said = is_past_due(bytes);
    let Ok(envelope) = serde_json::from_slice::<Value>(bytes) else {
        return assert_eq!(said, None, "what is no JSON is no envelope");
    };
    let laid_out = serde_json::to_vec_pretty(&envelope).expect("it was read from JSON");
    assert_eq!(is_past_due(&laid_out), said);
});
