//! The path of an OCSP request by GET. The input is a path, and after a newline what a front end
//! says was sent; or, after a zero octet, a request that is encoded here and must come out again,
//! or nothing where slashes were merged.
#![no_main]

use base64::{Engine, engine::general_purpose::STANDARD};
use libfuzzer_sys::fuzz_target;
use rescind::facade::core::ocsp::{Request, get::decode};

fn is_request(der: &[u8]) -> bool {
    Request::read(der).is_ok()
}

fuzz_target!(|bytes: &[u8]| {
    if let [0, ways, der @ ..] = bytes {
        return round_trip(*ways, der);
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (path, sent) = text
        .split_once('\n')
        .map_or((text, None), |(path, sent)| (path, Some(sent)));
    if let Some(der) = decode(path, sent, is_request) {
        assert!(is_request(&der));
    }
});

fn round_trip(ways: u8, der: &[u8]) {
    if !is_request(der) {
        return;
    }
    let text = STANDARD.encode(der);
    let mut path = text.clone();
    if ways & 1 != 0 {
        path = path.replace('+', " ");
    }
    if ways & 2 != 0 {
        path = path.trim_end_matches('=').to_owned();
    }
    if ways & 4 != 0 {
        path = path.replace('+', "-").replace('/', "_");
    }
    let merges = ways & 8 != 0;
    while merges && path.contains("//") {
        path = path.replace("//", "/");
    }
    if ways & 16 != 0 {
        path = path
            .replace('/', "%2F")
            .replace('=', "%3D")
            .replace('%', if ways & 32 != 0 { "%25" } else { "%" });
    }
    match decode(&path, None, is_request) {
        Some(found) => assert_eq!(found, der),
        None => assert!(merges && text.contains("//"), "{path} is lost"),
    }
}
