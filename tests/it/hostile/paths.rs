//! Requests by GET, and paths that lead astray.

use super::{
    Case,
    Verdict::{self, *},
};
use crate::support::{
    http::request as http_request,
    ocsp::{IssuerId, nonce, request},
};

/// A request whose base64 has `+`, `//` and padding: found by trying nonces.
fn text(id: &IssuerId) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let texts = (1..96usize).map(|len| {
        let octets = [&[0xfb, 0xef, 0xbe][..], &[0xff; 9]]
            .concat()
            .into_iter()
            .cycle()
            .skip(len % 12)
            .take(len);
        let value = crate::support::der::tlv(4, &[&octets.collect::<Vec<_>>()]);
        STANDARD.encode(request(&[id.usual("0b")], Some(&value)))
    });
    let wanted = |text: &String| text.contains('+') && text.contains("//") && text.ends_with('=');
    texts.into_iter().find(wanted).expect("such a request")
}

pub fn cases(id: &IssuerId) -> Vec<Case> {
    [mangled(id), not_ours(id), astray()]
        .into_iter()
        .flatten()
        .collect()
}

fn mangled(id: &IssuerId) -> Vec<Case> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    const ANSWERED: &[Verdict] = &[Revoked];
    let text = text(id);
    let escaped = text
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D");
    let every: String = text.bytes().map(|octet| format!("%{octet:02x}")).collect();
    let long = STANDARD
        .encode(request(&[id.usual("0b")], Some(&nonce(128))))
        .replace('/', "%2F");
    let get = |name: &str, path: &str| Case::get(name, &format!("/ocsp/{path}"), ANSWERED);
    let body = [
        &http_request(
            "GET",
            &format!("/ocsp/{escaped}"),
            &["Content-Length: 3"],
            b"",
        )[..],
        b"abc",
    ]
    .concat();
    vec![
        get("f01 escaped", &escaped),
        get(
            "f02 escaped in lower case",
            &text
                .replace('+', "%2b")
                .replace('/', "%2f")
                .replace('=', "%3d"),
        ),
        get("f03 bare", &text),
        get(
            "f04 slashes bare",
            &text.replace('+', "%2B").replace('=', "%3D"),
        ),
        get("f05 no padding", text.trim_end_matches('=')),
        get("f06 base64url", &text.replace('+', "-").replace('/', "_")),
        get("f07 escaped twice", &escaped.replace('%', "%25")),
        get("f62 a space for +", &text.replace('+', "%20")),
        get("f63 every octet escaped", &every),
        get("f61 a slash in front", &format!("/{text}")),
        get("f61 four slashes in front", &format!("////{text}")),
        get("f09 a query", &format!("{escaped}?x=1")),
        get("f21 more than 255 octets", &long),
        Case::get(
            "f01 at Vault's address",
            &format!("/v1/pki/ocsp/{escaped}"),
            ANSWERED,
        ),
        Case::get(
            "f03 bare at Vault's address",
            &format!("/v1/pki/issuer/default/ocsp//{text}"),
            ANSWERED,
        ),
        Case::get(
            "f08 a slash behind",
            &format!("/ocsp/{text}/"),
            &[Malformed, Revoked],
        ),
        Case::raw("f22 GET with a body", body, ANSWERED),
        Case::raw(
            "f23 absolute form",
            format!("GET http://pki.contoso.example/ocsp/{escaped} HTTP/1.1\r\nHost: x\r\n\r\n"),
            ANSWERED,
        ),
        Case::raw(
            "f43 1.0 without Host",
            format!("GET /ocsp/{escaped} HTTP/1.0\r\n\r\n"),
            ANSWERED,
        ),
        Case {
            head: true,
            ..Case::raw(
                "f24 HEAD",
                http_request("HEAD", &format!("/ocsp/{escaped}"), &[], b""),
                &[Other],
            )
        },
    ]
}

fn not_ours(id: &IssuerId) -> Vec<Case> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let refused = |name: &str, path: &str| Case::get(name, &format!("/ocsp/{path}"), &[Malformed]);
    let text = STANDARD.encode(request(&[id.usual("0b")], None));
    let slashes = format!("MIIB/zCC{}", "/AAA".repeat(120));
    let conditions = |name: &str, header: &str, allowed| {
        Case::raw(
            name,
            http_request(
                "GET",
                &format!("/ocsp/{}", text.replace('/', "%2F")),
                &[header],
                b"",
            ),
            allowed,
        )
    };
    vec![
        refused(
            "f10 a newline",
            &format!("{}%0a{}", &text[..20], &text[20..]),
        ),
        refused("f10 a newline behind", &format!("{text}%0d%0a")),
        refused("f11 not base64", "!!!!"),
        refused("f11 stars", "****"),
        refused("f12 %00", "%00"),
        refused(
            "f13 NUL inside",
            &format!("{}%00{}", &text[..20], &text[20..]),
        ),
        refused("f14 %zz", "%zz"),
        refused("f14 half an escape", "MEI%2"),
        refused("f15 empty", ""),
        refused("f15 slashes", "///"),
        refused("f15 padding", "===="),
        refused("f15 an empty SEQUENCE", "MAA="),
        refused("f15 not UTF-8", "%ff%fe"),
        refused("f15 a thousand percents", &"%25".repeat(1000)),
        refused("f15 slashes to be put back", &slashes),
        refused(
            "f15 slashes alone behind a header",
            &format!("MIH/{}", "/".repeat(400)),
        ),
        refused("f15 cut", &text[..text.len() - 8]),
        Case::get("f15 no path", "/ocsp", &[Malformed]),
        Case::get(
            "f19 8 KB",
            &format!("/ocsp/{}", "A".repeat(8192)),
            &[Http(414)],
        ),
        Case::get(
            "f19 8 KB of query",
            &format!("/ocsp?{}", "A".repeat(8192)),
            &[Http(414)],
        ),
        Case::get(
            "f19 just below 8 KB",
            &format!("/ocsp/{}", "A".repeat(8000)),
            &[Malformed],
        ),
        Case::get(
            "f20 70 KB",
            &format!("/ocsp/{}", "A".repeat(70_000)),
            &[Http(414), Http(431), Closed],
        ),
        conditions("f53 Range", "Range: bytes=0-9", &[Http(206)]),
        conditions(
            "f53 a thousand ranges",
            &format!("Range: bytes={}0-1", "0-1,".repeat(1000)),
            &[Revoked],
        ),
        conditions(
            "f53 a range of 2^64",
            "Range: bytes=18446744073709551616-",
            &[Revoked],
        ),
        conditions(
            "f53 a range behind the end",
            "Range: bytes=100000-",
            &[Http(416)],
        ),
        conditions("f54 Accept: text/html", "Accept: text/html", &[Revoked]),
        conditions("f55 no-cache", "Cache-Control: no-cache", &[Revoked]),
        conditions("f57 If-None-Match: *", "If-None-Match: *", &[Http(304)]),
        conditions(
            "f58 If-Modified-Since 2100",
            "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT",
            &[Http(304)],
        ),
        conditions(
            "f58 If-Modified-Since 99999",
            "If-Modified-Since: Fri, 01 Jan 99999 00:00:00 GMT",
            &[Revoked],
        ),
        conditions(
            "f59 X-Forwarded-Host",
            "X-Forwarded-Host: evil.example",
            &[Revoked],
        ),
        conditions(
            "f31 Accept-Encoding",
            "Accept-Encoding: gzip, br",
            &[Revoked],
        ),
        conditions(
            "g03 X-WAWS-Unencoded-URL of another",
            "X-WAWS-Unencoded-URL: /ocsp/MAA=",
            &[Revoked],
        ),
        conditions(
            "g03 X-WAWS-Unencoded-URL of noise",
            "X-WAWS-Unencoded-URL: %%%\u{e9}",
            &[Revoked],
        ),
    ]
}

fn astray() -> Vec<Case> {
    const NOTHING: &[Verdict] = &[Http(404), Http(400)];
    let paths = [
        "/crl/../ca.key.pem",
        "/crl/..%2fca.key.pem",
        "/crl/..%2f..%2fca.key.pem",
        "/crl/%2e%2e/%2e%2e/ca.key.pem",
        "/crl/..%5c..%5cca.key.pem",
        "/crl/%252e%252e%252fca.key.pem",
        "/crl/.test-ca.crl.json",
        "/crl/test-ca.crl%00.pem",
        "/crl/%00",
        "/ca/../rescind.toml",
        "/ca/..%2f..%2fetc%2fpasswd",
        "/ca/test-ca.key.pem",
        "/../../../../etc/passwd",
        "//etc/passwd",
        "/v1/../../etc/passwd",
        "/v1/other/ocsp",
        "/v1/pki/../other",
        "/.env",
        "/ocsp.php",
        "/crl/",
        "/crl/test-ca.crl/",
    ];
    let mut cases: Vec<_> = paths
        .into_iter()
        .map(|path| Case::get(format!("f18 {path}"), path, NOTHING))
        .collect();
    for path in [
        "/ocsp/../crl/test-ca.crl",
        "/ocsp/..%2f..%2fca.key.pem",
        "/ocsp/%2e%2e/ca.key.pem",
    ] {
        cases.push(Case::get(format!("f16 {path}"), path, &[Malformed]));
    }
    cases
}
