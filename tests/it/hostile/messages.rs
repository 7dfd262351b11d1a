//! DER requests that ask strange things: CertIDs (a, b, c), extensions (a, e) and signatures (d).

use super::{Case, LONG, Verdict::*};
use crate::support::{
    der::{self, from_hex, sequence, tlv, unsigned},
    ocsp::{Hash, IssuerId, NONCE, extension, nonce, request, request_extensions},
};

/// A request whose parts are given: before the list, the list's Requests, after the list, behind
/// tbsRequest.
pub fn message(before: &[u8], requests: &[u8], after: &[u8], signature: &[u8]) -> Vec<u8> {
    sequence(&[
        &sequence(&[before, &sequence(&[requests]), after]),
        signature,
    ])
}

fn with_extension(id: &IssuerId, name: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let list = request_extensions(&[extension(name, critical, value)]);
    message(&[], &sequence(&[&id.usual("0b")]), &list, &[])
}

/// A CertID from its parts.
pub fn cert_id(algorithm: &[u8], name_hash: &[u8], key_hash: &[u8], serial: &[u8]) -> Vec<u8> {
    let algorithm = sequence(&[&tlv(6, &[algorithm]), &[5, 0]]);
    sequence(&[
        &algorithm,
        &tlv(4, &[name_hash]),
        &tlv(4, &[key_hash]),
        serial,
    ])
}

pub const SHA1: &[u8] = &[0x2b, 0x0e, 3, 2, 0x1a];
const ACCEPTABLE: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 4];
const SERVICE_LOCATOR: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 7];
const PREFERRED: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 8];
const UNKNOWN: &[u8] = &[0x2a, 3, 4, 5];

/// The hashes of the name and of the key in the usual CertID.
pub fn hashes(id: &IssuerId) -> (Vec<u8>, Vec<u8>) {
    let usual = id.usual("0b");
    let fields = der::children(der::only(&usual).content);
    (fields[1].content.to_vec(), fields[2].content.to_vec())
}

pub fn cases(id: &IssuerId) -> Vec<Case> {
    [
        asked(id),
        extended(id),
        several(id),
        foreign(id),
        serials(id),
        signed(id),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn asked(id: &IssuerId) -> Vec<Case> {
    let b = unsigned(&[0x0b]);
    let one = |hash, null| request(&[id.cert_id(hash, null, &b)], None);
    let usual = sequence(&[&id.usual("0b")]);
    let version = |number: &[u8]| message(&tlv(0xa0, &[&tlv(2, &[number])]), &usual, &[], &[]);
    vec![
        Case::post("a00 good", &request(&[id.usual("0a")], None), &[Good]),
        Case::post("a01 SHA-1", &one(Hash::Sha1, true), &[Revoked]),
        Case::post("a02 SHA-256", &one(Hash::Sha256, true), &[Revoked]),
        Case::post(
            "a03 SHA-1, no parameters",
            &one(Hash::Sha1, false),
            &[Revoked],
        ),
        Case::post(
            "a03 SHA-256, no parameters",
            &one(Hash::Sha256, false),
            &[Revoked],
        ),
        Case::post("a04 SHA-384", &one(Hash::Sha384, true), &[Revoked]),
        Case::post("a05 SHA-512", &one(Hash::Sha512, true), &[Revoked]),
        Case::post("a08 version 1 written out", &version(&[0]), &[Revoked]),
        Case::post(
            "a09 requestorName",
            &message(&tlv(0xa1, &[&tlv(0x82, &[b"me"])]), &usual, &[], &[]),
            &[Revoked],
        ),
        Case::post("e22 version 2", &version(&[1]), &[Malformed]),
        Case::post(
            "e23 version of 300 octets",
            &version(&[1; 300]),
            &[Malformed],
        ),
        Case::post("e23 empty version", &version(&[]), &[Malformed]),
        Case::post(
            "e32 unknown field",
            &message(&[], &usual, &tlv(0xa3, &[&tlv(5, &[])]), &[]),
            &[Malformed],
        ),
        Case::post(
            "e32 empty requestorName",
            &message(&tlv(0xa1, &[]), &usual, &[], &[]),
            &[Malformed],
        ),
    ]
}

fn extended(id: &IssuerId) -> Vec<Case> {
    let within = |name: &[u8], critical| {
        let list = tlv(0xa0, &[&sequence(&[&extension(name, critical, &[5, 0])])]);
        message(&[], &sequence(&[&id.usual("0b"), &list]), &[], &[])
    };
    let after = |bytes: &[u8]| message(&[], &sequence(&[&id.usual("0b")]), bytes, &[]);
    let nonced = |value: &[u8]| with_extension(id, NONCE, false, value);
    let basic = sequence(&[&tlv(6, &[&[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1]])]);
    let md5 = sequence(&[&sequence(&[&sequence(&[&tlv(
        6,
        &[&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 4]],
    )])])]);
    let twice = request_extensions(&[
        extension(NONCE, false, &nonce(16)),
        extension(NONCE, false, &nonce(17)),
    ]);
    let many: Vec<_> = (0..200u8)
        .map(|at| extension(&[0x2a, 3, 4, at & 0x7f, 1 + at / 128], false, &[5, 0]))
        .collect();
    let flag = |octet| sequence(&[&tlv(6, &[UNKNOWN]), &[1, 1, octet], &tlv(4, &[&[5, 0]])]);
    let mut cases = vec![
        Case::post(
            "a10 unknown extension",
            &with_extension(id, UNKNOWN, false, &[5, 0]),
            &[Revoked],
        ),
        Case::post(
            "a11 serviceLocator",
            &within(SERVICE_LOCATOR, false),
            &[Revoked],
        ),
        Case::post(
            "a12 acceptable: basic",
            &with_extension(id, ACCEPTABLE, false, &basic),
            &[Revoked],
        ),
        Case::post(
            "a13 acceptable: another",
            &with_extension(id, ACCEPTABLE, false, &sequence(&[&tlv(6, &[UNKNOWN])])),
            &[Revoked],
        ),
        Case::post(
            "a14 preferred: MD5",
            &with_extension(id, PREFERRED, false, &md5),
            &[Revoked],
        ),
        Case::post(
            "a15 preferred: garbage",
            &with_extension(id, PREFERRED, false, b"\xff\xff\x00"),
            &[Revoked],
        ),
        Case::post(
            "a18 critical nonce",
            &with_extension(id, NONCE, true, &nonce(16)),
            &[Revoked],
        ),
        Case::post(
            "a19 nonce without its OCTET STRING",
            &nonced(b"\x01\x02\x03\x05\x08\x0d\x15\x22"),
            &[Revoked],
        ),
        Case::post(
            "e17 BOOLEAN 01",
            &after(&request_extensions(&[flag(1)])),
            &[Malformed],
        ),
        Case::post(
            "e18 FALSE written out",
            &after(&request_extensions(&[flag(0)])),
            &[Malformed],
        ),
        Case::post(
            "e24 critical extension",
            &with_extension(id, UNKNOWN, true, &[5, 0]),
            &[Malformed],
        ),
        Case::post(
            "e25 critical single extension",
            &within(UNKNOWN, true),
            &[Malformed],
        ),
        Case::post("e26 nonce of no octets", &nonced(&nonce(0)), &[Malformed]),
        Case::post("e26 no nonce at all", &nonced(&[]), &[Malformed]),
        Case::post(
            "e27 nonce of 129 octets",
            &nonced(&nonce(129)),
            &[Malformed],
        ),
        Case::post("e28 nonce of 15 K", &nonced(&nonce(15_000)), &[Malformed]),
        Case::post(
            "e28 nonce of 64 K",
            &nonced(&nonce(65_536)),
            &[Http(413), Closed],
        ),
        Case::post("e29 two nonces", &after(&twice), &[Malformed]),
        Case::post(
            "e30 octet behind the nonce",
            &nonced(&[&nonce(16)[..], &[0]].concat()),
            &[Malformed],
        ),
        Case::post(
            "e31 no extensions in their list",
            &after(&request_extensions(&[])),
            &[Malformed],
        ),
        Case::post(
            "e31 nothing where extensions stand",
            &after(&tlv(0xa2, &[])),
            &[Malformed],
        ),
        Case::post(
            "e31 two lists of extensions",
            &after(&[twice.clone(), twice.clone()].concat()),
            &[Malformed],
        ),
        Case::post(
            "g01 200 extensions",
            &after(&request_extensions(&many)),
            &[Revoked],
        ),
    ];
    let lengths = [
        (16, "a16"),
        (32, "a16"),
        (1, "a17"),
        (15, "a17"),
        (33, "a17"),
        (128, "a17"),
    ];
    cases.extend(lengths.map(|(len, name)| {
        Case::post(
            format!("{name} nonce {len}"),
            &nonced(&nonce(len)),
            &[Revoked],
        )
    }));
    cases
}

fn several(id: &IssuerId) -> Vec<Case> {
    let many = |count: usize| {
        let serial =
            |at: usize| id.cert_id(Hash::Sha1, true, &unsigned(&(at as u32).to_be_bytes()));
        request(
            &(0..count).map(|at| serial(at + 0x0b)).collect::<Vec<_>>(),
            None,
        )
    };
    let b = unsigned(&[0x0b]);
    let (name, _) = hashes(id);
    vec![
        Case::post(
            "b01 two",
            &request(&[id.usual("0b"), id.usual("0a")], None),
            &[Answers(2)],
        ),
        Case::post(
            "b02 a foreign one first",
            &request(&[cert_id(SHA1, &name, &[7; 20], &b), id.usual("0b")], None),
            &[Unauthorized],
        ),
        Case::post(
            "b02 a foreign one last",
            &request(&[id.usual("0b"), cert_id(SHA1, &name, &[7; 20], &b)], None),
            &[Unauthorized],
        ),
        Case::post(
            "b03 the same twice",
            &request(&[id.usual("0b"), id.usual("0b")], None),
            &[Answers(2)],
        ),
        Case::post(
            "b04 SHA-1 and SHA-256",
            &request(&[id.usual("0b"), id.cert_id(Hash::Sha256, true, &b)], None),
            &[Answers(2)],
        ),
        Case::post("b05 nothing asked", &request(&[], None), &[Malformed]),
        Case::post("b06 100 at once", &many(100), &[Answers(100)]),
        Case::post("b06 101 at once", &many(101), &[Malformed]),
        Case::post("b06 180 at once", &many(180), &[Malformed]),
        Case::post("b07 10 000 at once", &many(10_000), &[Http(413), Closed]),
    ]
}

fn foreign(id: &IssuerId) -> Vec<Case> {
    let b = unsigned(&[0x0b]);
    let (name, key) = hashes(id);
    let one = |algorithm: &[u8], name: &[u8], key: &[u8]| {
        request(&[cert_id(algorithm, name, key, &b)], None)
    };
    let padded: &[u8] = &[0x2b, 0x0e, 3, 2, 0x80, 0x1a];
    let plain = |parameters: &[u8]| {
        let algorithm = sequence(&[&tlv(6, &[SHA1]), parameters]);
        request(
            &[sequence(&[
                &algorithm,
                &tlv(4, &[&name]),
                &tlv(4, &[&key]),
                &b,
            ])],
            None,
        )
    };
    vec![
        Case::post(
            "c01 another issuer",
            &one(SHA1, &[1; 20], &[2; 20]),
            &[Unauthorized],
        ),
        Case::post(
            "c02 our name alone",
            &one(SHA1, &name, &[2; 20]),
            &[Unauthorized],
        ),
        Case::post(
            "c03 our key alone",
            &one(SHA1, &[1; 20], &key),
            &[Unauthorized],
        ),
        Case::post(
            "c04 hashes cut short",
            &one(SHA1, &name[..19], &key[..19]),
            &[Unauthorized],
        ),
        Case::post(
            "c04 hashes with more",
            &one(SHA1, &[&name[..], &[0]].concat(), &key),
            &[Unauthorized],
        ),
        Case::post(
            "c04 hash of 8 K",
            &one(SHA1, &[1; 8192], &key),
            &[Unauthorized],
        ),
        Case::post("c05 empty hashes", &one(SHA1, &[], &[]), &[Unauthorized]),
        Case::post(
            "c06 MD5",
            &one(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 5], &name, &key),
            &[Unauthorized],
        ),
        Case::post(
            "c07 bogus algorithm",
            &one(UNKNOWN, &name, &key),
            &[Unauthorized],
        ),
        Case::post(
            "c07 empty algorithm",
            &one(&[], &name, &key),
            &[Unauthorized],
        ),
        Case::post(
            "c07 SHA-256 by name, SHA-1 by length",
            &one(&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1], &name, &key),
            &[Unauthorized],
        ),
        Case::post(
            "e19 algorithm of 1000 octets",
            &one(&[0x2b; 1000], &name, &key),
            &[Unauthorized],
        ),
        Case::post(
            "e20 algorithm with padding",
            &one(padded, &name, &key),
            &[Unauthorized],
        ),
        Case::post(
            "g02 parameters that are no NULL",
            &plain(&[4, 1, 0]),
            &[Unauthorized],
        ),
        Case::post("g02 two parameters", &plain(&[5, 0, 5, 0]), &[Malformed]),
        Case::post("g02 NULL with content", &plain(&[5, 1, 0]), &[Unauthorized]),
    ]
}

fn serials(id: &IssuerId) -> Vec<Case> {
    let one = |serial: &[u8]| request(&[id.cert_id(Hash::Sha1, true, serial)], None);
    let of = |content: &[u8]| one(&tlv(2, &[content]));
    vec![
        Case::post(
            "a20 21 octets",
            &one(&unsigned(&from_hex(LONG))),
            &[Revoked],
        ),
        Case::post("a21 128", &of(&[0, 0x80]), &[Revoked]),
        Case::post("c08 unassigned", &of(&[0x0d]), &[Unknown]),
        Case::post("c09 -5", &of(&[0xfb]), &[Unknown]),
        Case::post("c09 -11", &of(&[0xf5]), &[Unknown]),
        Case::post("c10 0", &of(&[0]), &[Unknown]),
        Case::post("c11 empty", &of(&[]), &[Malformed]),
        Case::post("c12 4 KB", &of(&[0x7f; 4096]), &[Unknown]),
        Case::post("c12 21 octets and no sign", &of(&[0x7f; 21]), &[Unknown]),
        Case::post("c13 zeros in front", &of(&[0, 0, 0x0b]), &[Malformed]),
        Case::post("c13 a zero in front", &of(&[0, 0x0b]), &[Malformed]),
        Case::post("c13 ones in front", &of(&[0xff, 0xf5]), &[Malformed]),
        Case::post("c14 -128", &of(&[0x80]), &[Unknown]),
        Case::post(
            "c15 the long one, negative",
            &of(&from_hex(LONG)),
            &[Unknown, Malformed],
        ),
        Case::post("c16 ENUMERATED", &one(&tlv(0x0a, &[&[0x0b]])), &[Malformed]),
        Case::post(
            "c16 two serials",
            &one(&[2, 1, 0x0b, 2, 1, 0x0b]),
            &[Malformed],
        ),
        Case::post("c16 none", &one(&[]), &[Malformed]),
    ]
}

fn signed(id: &IssuerId) -> Vec<Case> {
    let usual = sequence(&[&id.usual("0b")]);
    let algorithm = sequence(&[&tlv(6, &[&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]])]);
    let bits = tlv(3, &[&[0], &[0x55; 64]]);
    let name = tlv(0xa1, &[&tlv(0x82, &[b"me"])]);
    let signature = |parts: &[&[u8]]| tlv(0xa0, &[&sequence(parts)]);
    let certificate = sequence(&[&[4, 82], &[0x30; 82]]);
    let chain = tlv(0xa0, &[&sequence(&[&vec![&certificate[..]; 180].concat()])]);
    let post = |id: &str, before: &[u8], signature: &[u8], allowed| {
        Case::post(id, &message(before, &usual, &[], signature), allowed)
    };
    let unknown = sequence(&[&tlv(6, &[UNKNOWN])]);
    vec![
        post(
            "d01 signed",
            &name,
            &signature(&[&algorithm, &bits]),
            &[Revoked],
        ),
        post(
            "d02 tampered",
            &name,
            &signature(&[&algorithm, &tlv(3, &[&[0], &[0; 64]])]),
            &[Revoked],
        ),
        post(
            "d03 unknown algorithm",
            &name,
            &signature(&[&unknown, &bits]),
            &[Revoked],
        ),
        post(
            "d04 signed without a name",
            &[],
            &signature(&[&algorithm, &bits]),
            &[Revoked],
        ),
        post(
            "d05 180 certificates",
            &name,
            &signature(&[&algorithm, &bits, &chain]),
            &[Revoked],
        ),
        post(
            "d06 empty signature",
            &name,
            &signature(&[]),
            &[Revoked, Malformed],
        ),
        post(
            "d07 nothing for a signature",
            &name,
            &tlv(0xa0, &[]),
            &[Malformed],
        ),
        post(
            "d08 two signatures",
            &name,
            &signature(&[&algorithm, &bits]).repeat(2),
            &[Malformed],
        ),
        post(
            "d09 signature that is no SEQUENCE",
            &name,
            &tlv(0xa0, &[&tlv(0x31, &[&bits])]),
            &[Malformed],
        ),
    ]
}
