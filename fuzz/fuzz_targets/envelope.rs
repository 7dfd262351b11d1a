//! The envelope of the Functions host's timer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rescind::functions::is_past_due;

fuzz_target!(|bytes: &[u8]| {
    let _ = is_past_due(bytes);
});
