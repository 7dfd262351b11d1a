//! A CRL from a shelf, an archive or another CA.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rescind::core::crl::SignedCrl;

fuzz_target!(|bytes: &[u8]| {
    let Ok(signed) = SignedCrl::read(bytes) else { return };
    let _ = signed.signature_algorithm();
    let _ = signed.crl.number();
    // Every entry takes octets of its own.
    assert!(signed.crl.entries().count() < bytes.len().max(1));
});
