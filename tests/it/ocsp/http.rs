//! How OCSP travels over HTTP: methods, paths, caching, limits (RFC 6960 appendix A, RFC 9919 §6
//! and §7).

use std::time::{Duration, Instant, SystemTime};

use sha2::{Digest, Sha256};

use crate::support::{
    Plan, der,
    http::{Reply, request as http_request},
    now,
    ocsp::{Basic, Hash, MALFORMED_REQUEST, Status, UNAUTHORIZED, nonce, request, status},
    pki::Key,
    server::{get_path, serving},
};

fn http_date(text: &str) -> u64 {
    let time = httpdate::parse_http_date(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

fn max_age(reply: &Reply) -> u64 {
    let control = reply.header("cache-control").unwrap();
    let part = control
        .split(',')
        .find_map(|part| part.trim().strip_prefix("max-age="))
        .unwrap();
    part.parse().unwrap()
}

/// RFC 9919 §7.2: answers to a nonce carry no caching headers, and are never the answer to somebody
/// else.
#[test]
fn nonce_answer_has_no_caching_headers_and_is_not_kept() {
    let (site, server) = serving("");
    let ids = [site.issuer_id().usual("0a")];
    for reply in [
        server.post("/ocsp", &request(&ids, Some(&nonce(16)))),
        server.ocsp_get(&request(&ids, Some(&nonce(16))), &[]),
    ] {
        assert_eq!(reply.status, 200);
        for name in [
            "cache-control",
            "etag",
            "expires",
            "last-modified",
            "pragma",
        ] {
            assert_eq!(reply.header(name), None, "{reply:?}");
        }
    }
    assert!(
        Basic::read(&server.ocsp(&request(&ids, None)))
            .extensions
            .is_empty()
    );
    let [one, other] =
        [16, 32].map(|len| Basic::read(&server.ocsp(&request(&ids, Some(&nonce(len))))).extensions);
    assert_ne!(one, other);
}

/// RFC 9919 §6 and §7.2.
#[test]
fn get_answer_carries_caching_headers_from_its_own_window() {
    let (site, server) = serving("");
    for serial in ["0a", "0b"] {
        let reply = server.ocsp_get(&request(&[site.issuer_id().usual(serial)], None), &[]);
        let basic = Basic::read(&reply.body);
        let single = basic.only();
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (200, Some("application/ocsp-response"))
        );
        assert_eq!(
            reply.header("content-length"),
            Some(reply.body.len().to_string().as_str())
        );
        let time =
            |name: &str| http_date(reply.header(name).unwrap_or_else(|| panic!("no {name}")));
        assert!(time("date").abs_diff(now()) < 5);
        assert_eq!(time("last-modified"), der::seconds(&single.this_update));
        assert_eq!(time("expires"), der::seconds(&single.next_update));
        assert_eq!(
            reply.header("etag").unwrap(),
            format!("\"{}\"", der::hex(&Sha256::digest(&reply.body)))
        );
        let control = reply.header("cache-control").unwrap();
        for directive in ["public", "no-transform", "must-revalidate"] {
            assert!(control.contains(directive), "{control}");
        }
        assert!(!control.contains("no-cache") && !control.contains("no-store"));
        // Replaced at half of its validity; a cache may not keep it beyond.
        let replaced = der::seconds(&single.this_update) + 6 * 3600;
        assert!(
            (1..=replaced - now() + 1).contains(&max_age(&reply)),
            "{control}"
        );
    }
}

#[test]
fn conditional_get_is_answered_304_only_where_nothing_changed() {
    let (site, server) = serving("");
    let asked = request(&[site.issuer_id().usual("0a")], None);
    let first = server.ocsp_get(&asked, &[]);
    let (etag, modified) = (
        first.header("etag").unwrap(),
        first.header("last-modified").unwrap(),
    );
    let ask = |header: &str| server.ocsp_get(&asked, &[header]);
    for header in [
        format!("If-None-Match: {etag}"),
        format!("If-None-Match: \"other\", {etag}"),
        format!("If-None-Match: W/{etag}"),
        "If-None-Match: *".to_owned(),
        format!("If-Modified-Since: {modified}"),
        "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT".to_owned(),
    ] {
        let reply = ask(&header);
        assert_eq!((reply.status, reply.body.len()), (304, 0), "{header}");
        assert_eq!(reply.header("etag"), Some(etag), "{header}");
        assert!(
            reply.header("cache-control").is_some() && reply.header("expires").is_some(),
            "{header}"
        );
    }
    for header in [
        "If-None-Match: \"other\"",
        "If-Modified-Since: Mon, 01 Jan 2001 00:00:00 GMT",
        "If-Modified-Since: yesterday",
    ] {
        let reply = ask(header);
        assert_eq!((reply.status, &reply.body), (200, &first.body), "{header}");
    }
    // RFC 9110 §13.1.3: If-None-Match decides where both stand.
    let both = [
        "If-None-Match: \"other\"",
        "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT",
    ];
    assert_eq!(server.ocsp_get(&asked, &both).status, 200);
}

#[test]
fn post_and_get_agree_and_head_is_get_without_body() {
    let (site, server) = serving("");
    let asked = request(&[site.issuer_id().usual("0b")], None);
    let get = server.ocsp_get(&asked, &[]);
    assert_eq!(server.ocsp(&asked), get.body);
    let head = server.head(&get_path(&asked));
    assert_eq!(
        (head.status, head.header("etag")),
        (200, get.header("etag"))
    );
    assert_eq!(head.header("content-length"), get.header("content-length"));
}

#[test]
fn error_answers_are_http_200_and_never_kept() {
    let (site, server) = serving("");
    let foreign = Plan {
        key: Key::P384,
        ..Plan::default()
    }
    .build()
    .issuer_id();
    let unauthorized = request(&[foreign.usual("0a")], None);
    for (asked, expected) in [
        (&b"\x30\x00"[..], MALFORMED_REQUEST),
        (&unauthorized, UNAUTHORIZED),
    ] {
        for reply in [server.post("/ocsp", asked), server.ocsp_get(asked, &[])] {
            assert_eq!((reply.status, &reply.body[..]), (200, &expected[..]));
            assert_eq!(
                reply.header("content-type"),
                Some("application/ocsp-response")
            );
            assert_eq!(reply.header("cache-control"), Some("no-store"));
            assert!(reply.header("etag").is_none() && reply.header("expires").is_none());
        }
    }
    drop(site);
}

#[test]
fn requests_above_16_kib_are_refused_unread_and_those_below_are_read() {
    let (site, server) = serving("");
    let id = site.issuer_id();
    let largest = request(
        &[id.cert_id(Hash::Sha1, true, &der::tlv(2, &[&vec![0x7f; 16_000]]))],
        None,
    );
    assert!(largest.len() <= 16 * 1024);
    assert_eq!(status(&server.ocsp(&largest)), Status::Unknown);
    let too_large = server.post("/ocsp", &vec![0x30; 16 * 1024 + 1]);
    assert!(
        too_large.status == 413 || too_large.body == MALFORMED_REQUEST,
        "{too_large:?}"
    );
    // A length that is only announced is answered at once, not when 10 GB have come.
    let head = "POST /ocsp HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000000\r\n\r\n";
    let start = Instant::now();
    let reply = server.raw(head.as_bytes());
    assert!(
        reply.status == 413 || reply.body == MALFORMED_REQUEST,
        "{reply:?}"
    );
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn http_1_0_without_host_gets_a_content_length_and_no_chunks() {
    let (site, server) = serving("");
    let asked = request(&[site.issuer_id().usual("0b")], None);
    let post = format!(
        "POST /ocsp HTTP/1.0\r\nContent-Length: {}\r\n\r\n",
        asked.len()
    );
    let get = format!("GET {} HTTP/1.0\r\n\r\n", get_path(&asked));
    for bytes in [[post.as_bytes(), &asked].concat(), get.into_bytes()] {
        let reply = server.raw(&bytes);
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("transfer-encoding"), None);
        assert_eq!(
            reply.header("content-length"),
            Some(reply.body.len().to_string().as_str())
        );
        assert!(matches!(status(&reply.body), Status::Revoked(_, Some(1))));
    }
}

/// What proxies, muxes and clients do to base64 in a path.
#[test]
fn get_survives_every_way_a_path_gets_mangled() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let (site, server) = serving("");
    let id = site.issuer_id();
    // A request whose base64 has `+`, `//` and padding: found by trying nonces.
    let texts = (1..96usize).map(|len| {
        let octets = [&[0xfb, 0xef, 0xbe][..], &[0xff; 9]]
            .concat()
            .into_iter()
            .cycle()
            .skip(len % 12)
            .take(len);
        STANDARD.encode(request(
            &[id.usual("0b")],
            Some(&der::tlv(4, &[&octets.collect::<Vec<_>>()])),
        ))
    });
    let wanted = |text: &String| text.contains('+') && text.contains("//") && text.ends_with('=');
    let text = texts.into_iter().find(wanted).expect("such a request");
    let escaped = text
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D");
    let every: String = text.bytes().map(|octet| format!("%{octet:02x}")).collect();
    for (what, path) in [
        ("as it is", text.clone()),
        ("escaped", escaped.clone()),
        (
            "escaped in lower case",
            text.replace('+', "%2b")
                .replace('/', "%2f")
                .replace('=', "%3d"),
        ),
        ("escaped twice", escaped.replace('%', "%25")),
        ("every octet escaped", every),
        ("only slashes escaped", text.replace('/', "%2f")),
        ("a leading slash", format!("/{text}")),
        ("a space for +", text.replace('+', "%20")),
        (
            "the url-safe alphabet",
            text.replace('+', "-").replace('/', "_"),
        ),
        ("no padding", text.trim_end_matches('=').to_owned()),
    ] {
        let reply = server.get(&format!("/ocsp/{path}"), &[]);
        assert_eq!(reply.status, 200, "{what}");
        assert!(
            matches!(status(&reply.body), Status::Revoked(_, Some(1))),
            "{what}"
        );
    }
}

/// RFC 6960 §A.1 has no place for slashes merged into one; a request that suffers from it is
/// recognized.
#[test]
fn get_with_double_slashes_merged_is_answered() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let (site, server) = serving("");
    let id = site.issuer_id();
    let texts = (1..=u16::MAX).map(|at| {
        let serial = Sha256::digest(at.to_be_bytes());
        STANDARD.encode(request(
            &[id.cert_id(Hash::Sha1, true, &der::unsigned(&serial[..16]))],
            None,
        ))
    });
    let once = |text: &String| text.matches("//").count() == 1 && !text.contains("///");
    let text = texts.into_iter().find(once).expect("such a request");
    let reply = server.get(&format!("/ocsp/{}", text.replace("//", "/")), &[]);
    assert_eq!((reply.status, status(&reply.body)), (200, Status::Good));
}

#[test]
fn get_paths_that_hold_no_request_are_refused_and_reach_no_file() {
    let (_site, server) = serving("");
    for path in [
        "/ocsp/",
        "/ocsp/!",
        "/ocsp/%00",
        "/ocsp/%zz",
        "/ocsp/MAA=",
        "/ocsp/../crl/test-ca.crl",
        "/ocsp/..%2f..",
    ] {
        let reply = server.get(path, &[]);
        let refused = reply.body == MALFORMED_REQUEST || (400..500).contains(&reply.status);
        assert!(refused, "{path}: {reply:?}");
    }
    let long = server.get(&format!("/ocsp/{}", "A".repeat(40_000)), &[]);
    assert!(
        long.body == MALFORMED_REQUEST || (400..500).contains(&long.status),
        "{}",
        long.status
    );
}

#[test]
fn other_methods_are_405_with_allow() {
    let (_site, server) = serving("");
    for method in ["PUT", "DELETE", "PATCH"] {
        let reply = server.raw(&http_request(method, "/ocsp", &[], b""));
        assert_eq!(reply.status, 405, "{method}");
        assert!(
            reply
                .header("allow")
                .is_some_and(|allow| allow.contains("POST")),
            "{method}: {reply:?}"
        );
    }
}
