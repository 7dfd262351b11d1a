//! What HTTP can be bent to: methods, lengths, chunks, header fields, versions, other protocols.

use super::{
    Case,
    Verdict::{self, *},
};
use crate::support::ocsp::{IssuerId, request};

/// A connection that is refused: 400, or nothing at all.
const BAD: &[Verdict] = &[Http(400), Closed];

pub fn cases(id: &IssuerId) -> Vec<Case> {
    [
        methods(),
        types(id),
        lengths(id),
        chunks(id),
        fields(id),
        versions(id),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn usual(id: &IssuerId) -> Vec<u8> {
    request(&[id.usual("0b")], None)
}

/// `POST /ocsp` with these lines, and Host; the body as it is.
fn post(lines: &str, body: &[u8]) -> Vec<u8> {
    [
        format!("POST /ocsp HTTP/1.1\r\nHost: x\r\n{lines}\r\n").as_bytes(),
        body,
    ]
    .concat()
}

fn methods() -> Vec<Case> {
    let mut cases = vec![];
    for method in [
        "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "FOO", "get", "M-SEARCH",
    ] {
        for path in [
            "/ocsp",
            "/ocsp/MAA=",
            "/crl/test-ca.crl",
            "/healthz",
            "/v1/pki/ocsp",
            "/v1/pki/crl",
        ] {
            let bytes = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
            cases.push(Case::raw(
                format!("f25 {method} {path}"),
                bytes,
                &[Http(405)],
            ));
        }
    }
    cases.extend([
        Case::raw(
            "f25 CONNECT",
            "CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\n\r\n",
            &[Http(404), Http(405), Http(400)],
        ),
        Case::raw(
            "f25 OPTIONS *",
            "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
            &[Http(404), Http(405)],
        ),
        Case::raw(
            "f26 a method of 1000 octets",
            format!("{} / HTTP/1.1\r\nHost: x\r\n\r\n", "A".repeat(1000)),
            &[Http(405), Http(400), Other],
        ),
        Case::raw(
            "f26 a method with a NUL",
            "GE\0T /ocsp HTTP/1.1\r\nHost: x\r\n\r\n",
            BAD,
        ),
    ]);
    cases
}

fn types(id: &IssuerId) -> Vec<Case> {
    let body = usual(id);
    let with = |name: &str, line: &str, allowed| {
        let lines = format!("{line}Content-Length: {}\r\n", body.len());
        Case::raw(name, post(&lines, &body), allowed)
    };
    vec![
        with("f27 no type", "", &[Revoked]),
        with("f28 text/plain", "Content-Type: text/plain\r\n", &[Revoked]),
        with(
            "f29 case and parameters",
            "content-type: Application/OCSP-Request; x=1\r\n",
            &[Revoked],
        ),
        with("f30 gzip", "Content-Encoding: gzip\r\n", &[Http(415)]),
        with(
            "f30 two codings",
            "Content-Encoding: identity\r\nContent-Encoding: br\r\n",
            &[Http(415)],
        ),
        with("f30 identity", "Content-Encoding: identity\r\n", &[Revoked]),
        with(
            "f31 Accept-Encoding",
            "Accept-Encoding: gzip\r\n",
            &[Revoked],
        ),
        with("f53 Range on POST", "Range: bytes=0-1\r\n", &[Revoked]),
        with(
            "f57 If-None-Match on POST",
            "If-None-Match: *\r\n",
            &[Revoked],
        ),
        with(
            "f59 X-HTTP-Method-Override",
            "X-HTTP-Method-Override: DELETE\r\n",
            &[Revoked],
        ),
        with(
            "f59 Upgrade",
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n",
            &[Revoked],
        ),
    ]
}

fn lengths(id: &IssuerId) -> Vec<Case> {
    let body = usual(id);
    let len = body.len();
    let lines = |name: &str, lines: String, allowed| Case::raw(name, post(&lines, &body), allowed);
    let short = post(&format!("Content-Length: {}\r\n", len + 10), &body);
    vec![
        lines(
            "f34 two lengths",
            format!("Content-Length: {len}\r\nContent-Length: {}\r\n", len + 1),
            BAD,
        ),
        lines(
            "f34 the same length twice",
            format!("Content-Length: {len}\r\nContent-Length: {len}\r\n"),
            &[Revoked, Http(400)],
        ),
        lines(
            "f34 a list of lengths",
            format!("Content-Length: {len}, {}\r\n", len - 1),
            BAD,
        ),
        lines("f35 -1", "Content-Length: -1\r\n".to_owned(), BAD),
        lines("f35 +1", format!("Content-Length: +{len}\r\n"), BAD),
        lines(
            "f35 hexadecimal",
            "Content-Length: 0x45\r\n".to_owned(),
            BAD,
        ),
        lines("f35 empty", "Content-Length: \r\n".to_owned(), BAD),
        lines(
            "f36 2^64",
            "Content-Length: 18446744073709551616\r\n".to_owned(),
            &[Http(400), Http(413), Closed],
        ),
        lines(
            "f36 2^64-1",
            "Content-Length: 18446744073709551615\r\n".to_owned(),
            &[Http(431), Http(413), Closed],
        ),
        lines(
            "f37 10 GB",
            "Content-Length: 10000000000\r\n".to_owned(),
            &[Http(413)],
        ),
        lines(
            "f37 10 GB, Expect",
            "Content-Length: 10000000000\r\nExpect: 100-continue\r\n".to_owned(),
            &[Http(413)],
        ),
        Case {
            half_close: true,
            ..Case::raw(
                "f38 half a body",
                short,
                &[Malformed, Http(400), Http(408), Closed],
            )
        },
        Case {
            half_close: true,
            ..Case::raw(
                "f38 no body",
                post("Content-Length: 9\r\n", b""),
                &[Malformed, Http(400), Closed],
            )
        },
        Case {
            half_close: true,
            ..Case::raw("f38 half a head", "POST /ocsp HTTP/1.1\r\nHos", BAD)
        },
        Case {
            half_close: true,
            ..Case::raw("f38 nothing", "", &[Closed])
        },
        lines(
            "f60 garbage behind",
            format!("Content-Length: {}\r\n", len),
            &[Revoked],
        ),
    ]
}

fn chunks(id: &IssuerId) -> Vec<Case> {
    let body = usual(id);
    let len = body.len();
    let chunked = |name: &str, body: &[u8], allowed| {
        Case::raw(name, post("Transfer-Encoding: chunked\r\n", body), allowed)
    };
    let whole = [format!("{len:x}\r\n").as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
    let single: Vec<u8> = body
        .iter()
        .flat_map(|&octet| [b'1', b'\r', b'\n', octet, b'\r', b'\n'])
        .collect();
    let extended = [
        format!("{len:x};a=\"{}\"\r\n", "b".repeat(2000)).as_bytes(),
        &body,
        b"\r\n0\r\n\r\n",
    ]
    .concat();
    let trailers = [
        format!("{len:x}\r\n").as_bytes(),
        &body,
        b"\r\n0\r\nX: y\r\nContent-Length: 1\r\n\r\n",
    ]
    .concat();
    let endless = [
        b"4000\r\n".as_slice(),
        &[0x30; 0x4000],
        b"\r\n1\r\n0\r\n0\r\n\r\n",
    ]
    .concat();
    let lines = |name: &str, lines: &str, allowed| Case::raw(name, post(lines, &whole), allowed);
    let both = format!("Content-Length: {len}\r\nTransfer-Encoding: chunked\r\n");
    vec![
        chunked("f32 chunked", &whole, &[Revoked]),
        chunked(
            "f32 an octet in a chunk",
            &[&single[..], b"0\r\n\r\n"].concat(),
            &[Revoked],
        ),
        chunked("f32 an extension", &extended, &[Revoked, Http(400), Closed]),
        chunked("f32 trailers", &trailers, &[Revoked, Http(400)]),
        chunked("f32 more than 16 KiB", &endless, &[Http(413)]),
        Case {
            half_close: true,
            ..chunked(
                "f32 a chunk of 2^64-1",
                b"ffffffffffffffff\r\n0",
                &[Http(413), Http(400), Closed],
            )
        },
        chunked(
            "f32 a chunk of 2^68",
            b"fffffffffffffffff\r\n0",
            &[Http(400), Closed],
        ),
        chunked("f32 a chunk of -1", b"-1\r\n0", BAD),
        chunked("f32 a chunk of zz", b"zz\r\n0", BAD),
        chunked(
            "f32 a chunk too long",
            &[b"3\r\n", &body[..], b"\r\n0\r\n\r\n"].concat(),
            BAD,
        ),
        // RFC 9112 §6.1: such a message is read as chunked, and the connection ends with it.
        lines(
            "f33 chunked and a length",
            &both,
            &[Http(400), Revoked, Closed],
        ),
        lines(
            "f33 chunked twice",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            &[Http(400), Revoked, Closed],
        ),
        lines(
            "f33 chunked, not last",
            "Transfer-Encoding: chunked, identity\r\n",
            BAD,
        ),
        lines("f33 xchunked", "Transfer-Encoding: xchunked\r\n", BAD),
        lines(
            "f33 a tab in chunked",
            "Transfer-Encoding:\tchunked\r\n",
            &[Revoked, Http(400)],
        ),
        Case::raw(
            "f33 chunked in 1.0",
            [
                &b"POST /ocsp HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"[..],
                &whole,
            ]
            .concat(),
            BAD,
        ),
    ]
}

fn fields(id: &IssuerId) -> Vec<Case> {
    const LARGE: &[Verdict] = &[Http(431), Http(400), Closed];
    let body = usual(id);
    let with = |name: &str, lines: &str, allowed| {
        let lines = format!("{lines}Content-Length: {}\r\n", body.len());
        Case::raw(name, post(&lines, &body), allowed)
    };
    let bare = [
        format!(
            "POST /ocsp HTTP/1.1\nHost: x\nContent-Length: {}\n\n",
            body.len()
        )
        .as_bytes(),
        &body,
    ]
    .concat();
    vec![
        with(
            "f48 a field of 64 KB",
            &format!("X: {}\r\n", "a".repeat(65_536)),
            LARGE,
        ),
        with(
            "f48 a name of 64 KB",
            &format!("{}: x\r\n", "a".repeat(65_536)),
            LARGE,
        ),
        with("f49 1000 fields", &"X: y\r\n".repeat(1000), LARGE),
        with("f49 10 000 empty names", &": y\r\n".repeat(10_000), LARGE),
        with(
            "f50 a folded field",
            "X: a\r\n b\r\n",
            &[Http(400), Closed, Revoked],
        ),
        with("f51 a space before the colon", "X : a\r\n", BAD),
        with("f51 a NUL in a value", "X: a\0b\r\n", BAD),
        with("f51 a NUL in a name", "X\0: a\r\n", BAD),
        with("f51 no colon", "nonsense\r\n", BAD),
        with("f51 a bare CR", "X: a\rb\r\n", BAD),
        with("f51 octets above 7f", "X: \u{fc}\u{20ac}\r\n", &[Revoked]),
        with(
            "f56 Expect: something",
            "Expect: tea\r\n",
            &[Revoked, Http(417)],
        ),
        with(
            "f59 Forwarded",
            "Forwarded: for=evil;host=evil\r\nX-Forwarded-For: 1.2.3.4\r\n",
            &[Revoked],
        ),
        with(
            "f59 Connection: close, twice",
            "Connection: close\r\nConnection: keep-alive\r\n",
            &[Revoked],
        ),
        Case::raw("f52 bare LF", bare, &[Revoked, Http(400)]),
    ]
}

fn versions(id: &IssuerId) -> Vec<Case> {
    let body = usual(id);
    let len = body.len();
    let head = |head: String| [head.as_bytes(), &body].concat();
    vec![
        Case::raw(
            "f43 1.0 without Host",
            head(format!(
                "POST /ocsp HTTP/1.0\r\nContent-Length: {len}\r\n\r\n"
            )),
            &[Revoked],
        ),
        Case::raw(
            "f44 1.1 without Host",
            head(format!(
                "POST /ocsp HTTP/1.1\r\nContent-Length: {len}\r\n\r\n"
            )),
            &[Http(400)],
        ),
        Case::raw(
            "f44 two Hosts",
            head(format!(
                "POST /ocsp HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: {len}\r\n\r\n"
            )),
            &[Http(400)],
        ),
        Case::raw(
            "f44 an empty Host",
            head(format!(
                "POST /ocsp HTTP/1.1\r\nHost:\r\nContent-Length: {len}\r\n\r\n"
            )),
            &[Revoked, Http(400)],
        ),
        Case::raw("f45 0.9", "GET /ocsp\r\n\r\n", BAD),
        Case::raw("f45 1.2", "GET / HTTP/1.2\r\nHost: x\r\n\r\n", BAD),
        Case::raw("f45 2.0", "GET / HTTP/2.0\r\nHost: x\r\n\r\n", BAD),
        Case::raw("f45 no version", "GET / HTTP/\r\nHost: x\r\n\r\n", BAD),
        Case::raw("f45 SIP", "OPTIONS sip:x SIP/2.0\r\nVia: x\r\n\r\n", BAD),
        Case::raw(
            "f46 HTTP/2",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
            BAD,
        ),
        Case::raw(
            "f47 TLS",
            b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03abcdefgh\x00\x02\x13\x01\x01\x00"
                .to_vec(),
            BAD,
        ),
        Case::raw("f47 SSH", "SSH-2.0-OpenSSH_9.6\r\n", BAD),
        Case::raw("f47 the DER alone", body.clone(), BAD),
    ]
}
