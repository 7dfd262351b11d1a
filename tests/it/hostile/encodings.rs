//! What is no DER request: cut, lengthened, BER, nested, other things altogether.

use super::{
    Case,
    Verdict::{self, *},
    messages::{SHA1, cert_id, hashes, message},
};
use crate::support::{
    Site,
    der::{self, sequence, tlv, unsigned},
    ocsp::{IssuerId, request},
};

pub fn cases(id: &IssuerId, site: &Site) -> Vec<Case> {
    [
        cut(id),
        lengths(id),
        nested(),
        tags(id),
        other_things(id, site),
        large(id),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn malformed(id: impl Into<String>, body: &[u8]) -> Case {
    Case::post(id, body, &[Malformed])
}

fn cut(id: &IssuerId) -> Vec<Case> {
    let usual = request(&[id.usual("0b")], None);
    let mut cases = vec![
        malformed("e01 nothing", b""),
        malformed("e02 one octet", b"0"),
        malformed("e02 another octet", b"\x00"),
        malformed("e04 an octet behind", &[&usual[..], &[0]].concat()),
        malformed("e05 another request behind", &usual.repeat(2)),
        malformed("e05 a newline behind", &[&usual[..], b"\r\n"].concat()),
        malformed("e05 an octet in front", &[&[0][..], &usual].concat()),
    ];
    cases.extend(
        (2..usual.len())
            .step_by(6)
            .map(|len| malformed(format!("e03 the first {len}"), &usual[..len])),
    );
    cases
}

/// The content of the outermost SEQUENCE.
fn inside(request: &[u8]) -> &[u8] {
    der::only(request).content
}

fn lengths(id: &IssuerId) -> Vec<Case> {
    let usual = request(&[id.usual("0b")], None);
    let content = inside(&usual);
    let len = content.len() as u8;
    let outer = |header: &[u8], end: &[u8]| [header, content, end].concat();
    let inner = [&[0x30, 0x80][..], inside(content), &[0, 0]].concat();
    vec![
        malformed(
            "e06 indefinite outer length",
            &outer(&[0x30, 0x80], &[0, 0]),
        ),
        malformed("e07 indefinite inner length", &sequence(&[&inner])),
        malformed(
            "e08 indefinite length without end",
            &outer(&[0x30, 0x80], &[]),
        ),
        malformed("e09 length in two octets", &outer(&[0x30, 0x81, len], &[])),
        malformed(
            "e09 length in three octets",
            &outer(&[0x30, 0x82, 0, len], &[]),
        ),
        malformed(
            "e09 length in five octets",
            &outer(&[0x30, 0x84, 0, 0, 0, len], &[]),
        ),
        malformed(
            "e10 4 GB",
            &outer(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], &[]),
        ),
        malformed(
            "e10 2 GB",
            &outer(&[0x30, 0x84, 0x7f, 0xff, 0xff, 0xff], &[]),
        ),
        malformed(
            "e11 2^64-1",
            &outer(&[&[0x30, 0x88][..], &[0xff; 8]].concat(), &[]),
        ),
        malformed(
            "e12 127 octets of length",
            &outer(&[&[0x30, 0xff][..], &[0xff; 127]].concat(), &[]),
        ),
        malformed(
            "e12 126 octets of length",
            &outer(&[&[0x30, 0xfe][..], &[0; 125], &[len]].concat(), &[]),
        ),
        malformed("e12 length one too long", &outer(&[0x30, len + 1], &[])),
        malformed("e12 length one too short", &outer(&[0x30, len - 1], &[])),
    ]
}

fn nested() -> Vec<Case> {
    let mut deep = vec![];
    for _ in 0..2000 {
        deep = sequence(&[&deep]);
    }
    let mut signature = vec![];
    for _ in 0..2000 {
        signature = tlv(0xa0, &[&signature]);
    }
    vec![
        Case::post(
            "e13 10 000 indefinite SEQUENCEs",
            &[0x30, 0x80].repeat(10_000),
            &[Http(413), Closed],
        ),
        malformed(
            "e13 8 000 indefinite SEQUENCEs",
            &[0x30, 0x80].repeat(8_000),
        ),
        malformed("e14 2 000 SEQUENCEs, one in the other", &deep),
        malformed(
            "e14 2 000 tags, one in the other",
            &sequence(&[&sequence(&[&[0x30, 0]]), &signature]),
        ),
        malformed(
            "e14 8 000 empty SEQUENCEs",
            &sequence(&[&sequence(&[&sequence(&[&[0x30, 0].repeat(8_000)])])]),
        ),
    ]
}

fn tags(id: &IssuerId) -> Vec<Case> {
    let usual = request(&[id.usual("0b")], None);
    let (name, key) = hashes(id);
    let b = unsigned(&[0x0b]);
    let constructed = |hash: &[u8]| tlv(0x24, &[&tlv(4, &[&hash[..10]]), &tlv(4, &[&hash[10..]])]);
    let algorithm = sequence(&[&tlv(6, &[SHA1]), &[5, 0]]);
    let with_name =
        |name: &[u8]| request(&[sequence(&[&algorithm, name, &tlv(4, &[&key]), &b])], None);
    let one = sequence(&[&cert_id(SHA1, &name, &key, &b)]);
    let listed = |list: &[u8]| sequence(&[&sequence(&[list])]);
    vec![
        malformed("e15 SET outside", &[&[0x31][..], &usual[1..]].concat()),
        malformed("e15 SET for the list", &listed(&tlv(0x31, &[&one]))),
        malformed("e15 the list as [0]", &listed(&tlv(0xa0, &[&one]))),
        malformed(
            "e16 constructed OCTET STRING",
            &with_name(&constructed(&name)),
        ),
        malformed(
            "e16 BIT STRING for a hash",
            &with_name(&tlv(3, &[&[0], &name])),
        ),
        malformed("e16 no hash of the name", &with_name(&[])),
        malformed(
            "e21 a tag of 2^34",
            &[&[0x3f, 0xc0, 0x80, 0x80, 0x80, 0][..], &usual[1..]].concat(),
        ),
        malformed(
            "e21 a tag of many octets",
            &[&[0x3f][..], &[0xff; 200]].concat(),
        ),
        malformed(
            "e21 a primitive SEQUENCE",
            &[&[0x10][..], &usual[1..]].concat(),
        ),
        malformed("e21 end of contents", &[0, 0]),
        malformed(
            "e21 a Request of nothing",
            &message(&[], &[0x30, 0], &[], &[]),
        ),
        malformed(
            "e21 a CertID of nothing",
            &message(&[], &sequence(&[&[0x30, 0]]), &[], &[]),
        ),
        malformed(
            "e21 a CertID that is an INTEGER",
            &message(&[], &sequence(&[&b]), &[], &[]),
        ),
        malformed(
            "e21 a NULL behind a CertID",
            &message(&[], &sequence(&[&id.usual("0b"), &[5, 0]]), &[], &[]),
        ),
    ]
}

fn other_things(id: &IssuerId, site: &Site) -> Vec<Case> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let usual = request(&[id.usual("0b")], None);
    let text = STANDARD.encode(&usual);
    let mut cases = vec![
        malformed(
            "e33 PEM",
            format!(
                "-----BEGIN OCSP REQUEST-----\n{text}\n-----END OCSP \
                                      REQUEST-----\n"
            )
            .as_bytes(),
        ),
        malformed("e34 base64", text.as_bytes()),
        malformed("e35 JSON", br#"{"serial":"0b"}"#),
        malformed("e36 a certificate", &site.ca_der()),
        malformed("e36 a CRL", &site.crl_bytes()),
        malformed("e37 a response", &[0x30, 3, 0x0a, 1, 0]),
        malformed(
            "e37 XML",
            b"<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY y SYSTEM \
              \"file:///etc/passwd\">]><x>&y;</x>",
        ),
        malformed("e37 a form", b"request=MEIwQDA%2BMDwwOjAJBgUrDgMCGgUABBQ"),
        malformed(
            "e37 a shell's nightmare",
            b"() { :;}; echo ${jndi:ldap://x/y} %n%s%x",
        ),
    ];
    cases.extend((1..=8u32).map(|seed| {
        malformed(
            format!("e38 noise {seed}"),
            &noise(seed, 50 * seed as usize),
        )
    }));
    let headed = |seed| [&[0x30, 0x82, 0x01, 0x90][..], &noise(seed, 400)].concat();
    cases.extend(
        (11..=14).map(|seed| malformed(format!("e38 noise in a SEQUENCE {seed}"), &headed(seed))),
    );
    cases
}

/// Octets of a xorshift.
fn noise(seed: u32, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

fn large(id: &IssuerId) -> Vec<Case> {
    const REFUSED: &[Verdict] = &[Http(413), Closed];
    let usual = request(&[id.usual("0b")], None);
    vec![
        Case::post("e40 1 MB of zeros", &vec![0; 1 << 20], REFUSED),
        Case::post(
            "e41 a request and 1 MB",
            &[&usual[..], &vec![0; 1 << 20]].concat(),
            REFUSED,
        ),
        Case::post("e41 16 385 octets", &tlv(0x30, &[&[0x30; 16_381]]), REFUSED),
        Case::post(
            "e41 16 384 octets",
            &tlv(0x30, &[&[0x30; 16_380]]),
            &[Malformed],
        ),
    ]
}
