//! An OCSP request: what is read lies inside the input, and reading it again says the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rescind::facade::core::ocsp::{MAX_CERT_IDS, Request};

fuzz_target!(|bytes: &[u8]| {
    let Ok(request) = Request::read(bytes) else {
        return;
    };
    assert!((1..=MAX_CERT_IDS).contains(&request.cert_ids.len()));
    for id in &request.cert_ids {
        assert!(bytes.as_ptr_range().contains(&id.der.as_ptr()) && id.der.len() < bytes.len());
        if let Some(serial) = id.serial {
            let (octets, len) = serial.integer();
            assert!(
                id.der.ends_with(&octets[octets.len() - len..]),
                "{serial:?} is not the number asked about"
            );
        }
    }
    assert!(
        request
            .nonce
            .is_none_or(|nonce| (1..=131).contains(&nonce.len()))
    );
});
