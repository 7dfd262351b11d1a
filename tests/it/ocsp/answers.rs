//! OCSP over HTTP: what is answered, to whom, and how it may be cached (RFC 6960, RFC 9654, RFC
//! 9919).

use std::{fs, time::Duration};

use sha1::{Digest, Sha1};

use crate::support::{
    ISSUER, Plan, Site, der,
    http::request as http_request,
    keys::Private,
    now,
    ocsp::{
        Basic, Hash, IssuerId, MALFORMED_REQUEST, NONCE, Status, UNAUTHORIZED, extension, nonce,
        request, request_extensions, status,
    },
    pki::{self, Key, tbs},
    poll,
    server::serving,
};

#[test]
fn good_revoked_and_held_are_told_apart_with_date_and_reason() {
    let (site, server) = serving("");
    let id = site.issuer_id();
    let ask = |serial: &str| status(&server.ocsp(&request(&[id.usual(serial)], None)));
    assert_eq!(ask("0a"), Status::Good);
    assert_eq!(
        ask("0b"),
        Status::Revoked("2025-05-05T05:05:05Z".to_owned(), Some(1))
    );
    assert!(matches!(ask("0c"), Status::Revoked(_, Some(6))));
}

#[test]
fn response_has_the_form_that_rfc_9919_wants() {
    let (site, server) = serving("");
    let before = now();
    let basic = Basic::read(&server.ocsp(&request(&[site.issuer_id().usual("0a")], None)));
    let single = basic.only();
    assert_eq!(basic.produced_at, single.this_update);
    let this = der::seconds(&single.this_update);
    assert!(
        (before - 300..=now() - 300).contains(&this),
        "thisUpdate is backdated by 5 minutes"
    );
    assert_eq!(der::seconds(&single.next_update) - this, 12 * 3600);
    assert!(
        basic.extensions.is_empty() && single.extensions.is_empty(),
        "no extensions without need"
    );
    assert_eq!(
        basic.certificates.len(),
        1,
        "the credential's certificate, once"
    );
    let key = tbs(&basic.certificates[0])[6];
    let bits = &der::children(key.content)[1].content[1..];
    assert_eq!(
        basic.responder,
        (0xa2, Sha1::digest(bits).to_vec()),
        "byKey"
    );
    assert_eq!(der::hex(&basic.algorithm), "300a06082a8648ce3d040302");
}

/// RFC 6960 §4.2.2.2, BR §7.1.2.8.
#[test]
fn credential_is_a_short_lived_delegate_of_the_ca_known_to_the_index() {
    let (site, server) = serving("");
    let basic = Basic::read(&server.ocsp(&request(&[site.issuer_id().usual("0a")], None)));
    let certificate = &basic.certificates[0];
    let fields = tbs(certificate);
    assert_eq!(fields[3].whole, site.issuer_id().subject);
    let (_, end) = der::time(der::children(fields[4].content)[1]);
    assert!(der::seconds(&end) <= now() + 7 * 24 * 3600);
    assert!(der::seconds(&basic.only().next_update) <= der::seconds(&end));
    let list = der::extensions(fields[7].content);
    let find = |id: &[u8]| {
        list.iter()
            .find(|extension| extension.id == id)
            .map(|found| (found.critical, &found.value))
    };
    assert_eq!(
        find(&[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 5]),
        Some((false, &vec![5, 0])),
        "id-pkix-ocsp-nocheck"
    );
    assert_eq!(
        find(&[0x55, 0x1d, 0x0f]),
        Some((true, &vec![3, 2, 7, 0x80])),
        "digitalSignature alone"
    );
    let usage = der::sequence(&[&der::tlv(6, &[&[0x2b, 6, 1, 5, 5, 7, 3, 9]])]);
    assert_eq!(
        find(&[0x55, 0x1d, 0x25]),
        Some((false, &usage)),
        "OCSPSigning alone"
    );
    assert!(
        find(&[0x55, 0x1d, 0x23]).is_some() && find(&[0x55, 0x1d, 0x0e]).is_some(),
        "AKI and SKI"
    );
    assert_eq!(list.len(), 5);
    let serial = der::hex(fields[1].content);
    assert_eq!(site.row(&serial).unwrap()["state"], "valid");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(site.path(&format!("data/{ISSUER}-ocsp.pem")))
            .unwrap()
            .permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn rsa_credential_signs_with_rsa_on_request() {
    let (site, server) = serving("[issuer.ocsp]\ncredential_key = \"rsa2048\"\n");
    let basic = Basic::read(&server.ocsp(&request(&[site.issuer_id().usual("0b")], None)));
    assert_eq!(der::hex(&basic.algorithm), "300d06092a864886f70d01010b0500");
}

#[test]
fn cert_id_is_echoed_byte_for_byte_under_every_hash() {
    let (site, server) = serving("");
    let id = site.issuer_id();
    for hash in Hash::ALL {
        for null in [true, false] {
            let asked = id.cert_id(hash, null, &der::unsigned(&[0x0b]));
            let basic = Basic::read(&server.ocsp(&request(std::slice::from_ref(&asked), None)));
            assert_eq!(basic.only().cert_id, asked, "{hash:?} {null}");
            assert!(
                matches!(basic.only().status, Status::Revoked(_, Some(1))),
                "{hash:?} {null}"
            );
        }
    }
}

#[test]
fn each_cert_id_gets_exactly_one_answer_in_the_order_asked() {
    let (site, server) = serving("");
    let id = site.issuer_id();
    let revoked = der::unsigned(&[0x0b]);
    let twice = [
        id.usual("0b"),
        id.usual("0a"),
        id.usual("0b"),
        id.cert_id(Hash::Sha256, false, &revoked),
    ];
    let many: Vec<_> = (0..100u8)
        .map(|at| id.usual(&format!("{:02x}", at + 1)))
        .collect();
    for ids in [&twice[..], &many] {
        let basic = Basic::read(&server.ocsp(&request(ids, None)));
        let answered: Vec<_> = basic
            .singles
            .iter()
            .map(|single| single.cert_id.clone())
            .collect();
        assert_eq!(answered, ids);
    }
    assert!(matches!(
        Basic::read(&server.ocsp(&request(&many, None))).singles[10].status,
        Status::Revoked(_, Some(1))
    ));
}

#[test]
fn more_than_100_cert_ids_or_none_are_malformed() {
    let (site, server) = serving("");
    let ids = vec![site.issuer_id().usual("0a"); 101];
    assert_eq!(server.ocsp(&request(&ids, None)), MALFORMED_REQUEST);
    assert_eq!(server.ocsp(&request(&[], None)), MALFORMED_REQUEST);
}

/// RFC 9654 §2.1: 1 to 128 octets are echoed, in an OCTET STRING; otherwise malformedRequest.
#[test]
fn nonce_of_1_to_128_octets_is_echoed_and_others_are_malformed() {
    let (site, server) = serving("");
    let ids = [site.issuer_id().usual("0a")];
    for len in [1, 15, 16, 32, 33, 128] {
        let asked = nonce(len);
        let basic = Basic::read(&server.ocsp(&request(&ids, Some(&asked))));
        let expected = der::Extension {
            id: NONCE.to_vec(),
            critical: false,
            value: asked,
        };
        assert_eq!(basic.extensions, [expected], "{len}");
    }
    for len in [0, 129, 4096] {
        assert_eq!(
            server.ocsp(&request(&ids, Some(&nonce(len)))),
            MALFORMED_REQUEST,
            "{len}"
        );
    }
    let trailing = [nonce(16), vec![0]].concat();
    assert_eq!(
        server.ocsp(&request(&ids, Some(&trailing))),
        MALFORMED_REQUEST
    );
    let list = der::sequence(&[&der::sequence(&[&ids[0]])]);
    let twice = [
        extension(NONCE, false, &nonce(16)),
        extension(NONCE, false, &nonce(16)),
    ];
    let twice = der::sequence(&[&der::sequence(&[&list, &request_extensions(&twice)])]);
    assert_eq!(server.ocsp(&twice), MALFORMED_REQUEST);
}

/// RFC 6960 §4.1.1: an issuer is named by the hashes of both its name and its key.
#[test]
fn issuers_that_are_not_ours_are_unauthorized() {
    let (site, server) = serving("");
    let ours = site.issuer_id();
    let other_key = IssuerId {
        key: vec![4; 65],
        ..ours.clone()
    };
    let other_name = IssuerId {
        subject: der::sequence(&[]),
        ..ours.clone()
    };
    let bogus = |oid: &[u8], hash: &[u8]| {
        let algorithm = der::sequence(&[&der::tlv(6, &[oid]), &[5, 0]]);
        der::sequence(&[
            &algorithm,
            &der::tlv(4, &[hash]),
            &der::tlv(4, &[hash]),
            &[2, 1, 0x0b],
        ])
    };
    const MD5: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 5];
    const SHA1: &[u8] = &[0x2b, 0x0e, 3, 2, 0x1a];
    for (what, ids) in [
        ("another key", vec![other_key.usual("0b")]),
        ("another name", vec![other_name.usual("0b")]),
        ("MD5", vec![bogus(MD5, &[7; 16])]),
        ("an unknown hash", vec![bogus(&[0x2a, 3, 4], &[7; 20])]),
        ("empty hashes", vec![bogus(SHA1, &[])]),
        ("hashes too short", vec![bogus(SHA1, &[7; 19])]),
        (
            "ours and a foreign one",
            vec![ours.usual("0b"), other_key.usual("0b")],
        ),
    ] {
        assert_eq!(server.ocsp(&request(&ids, None)), UNAUTHORIZED, "{what}");
    }
}

#[test]
fn serials_that_no_certificate_can_have_are_unknown_and_echoed() {
    let (site, server) = serving("");
    let id = site.issuer_id();
    let huge = der::tlv(2, &[&[0x7f; 21]]);
    let vast = der::tlv(2, &[&[0x7f; 4096]]);
    for serial in [&[2, 1, 0][..], &[2, 1, 0xfb], &[2, 1, 0x80], &huge, &vast] {
        let asked = id.cert_id(Hash::Sha1, true, serial);
        let basic = Basic::read(&server.ocsp(&request(std::slice::from_ref(&asked), None)));
        assert_eq!(
            (&basic.only().status, &basic.only().cert_id),
            (&Status::Unknown, &asked)
        );
    }
    for serial in [
        &[2, 0][..],
        &[2, 2, 0, 0x0b],
        &[2, 2, 0xff, 0xfb],
        &[4, 1, 0x0b],
    ] {
        let asked = id.cert_id(Hash::Sha1, true, serial);
        assert_eq!(
            server.ocsp(&request(&[asked], None)),
            MALFORMED_REQUEST,
            "{serial:?}"
        );
    }
}

#[test]
fn serial_of_20_octets_with_the_top_bit_set_is_found() {
    let site = Site::new();
    let serial = "f".repeat(40);
    site.revoke(&serial, "superseded");
    let server = site.serve();
    let asked = request(&[site.issuer_id().usual(&serial)], None);
    assert!(matches!(
        status(&server.ocsp(&asked)),
        Status::Revoked(_, Some(4))
    ));
}

#[test]
fn unlisted_serials_are_unknown_where_the_index_lists_all_issued() {
    let site = Site::with_settings("[issuer.ocsp]\nunlisted = \"unknown\"\n");
    let leaf = site.leaf("leaf", "0d");
    site.ok(&["record", "--issuer", ISSUER, "--cert", &leaf]);
    site.revoke("0b", "superseded");
    let server = site.serve();
    let ask =
        |serial: &str| status(&server.ocsp(&request(&[site.issuer_id().usual(serial)], None)));
    assert_eq!((ask("0a"), ask("0d")), (Status::Unknown, Status::Good));
    assert!(matches!(ask("0b"), Status::Revoked(..)));
}

/// What is no DER OCSPRequest, each made from a good one.
#[test]
fn everything_that_is_no_der_request_is_malformed() {
    let (site, server) = serving("");
    let id = site.issuer_id().usual("0a");
    let good = request(std::slice::from_ref(&id), None);
    let tbs = der::only(der::only(&good).content);
    let list = der::only(tbs.content).whole;
    let with = |parts: &[&[u8]]| der::sequence(&[&der::sequence(parts)]);
    let indefinite = [&[0x30, 0x80][..], der::only(&good).content, &[0, 0]].concat();
    let long_form = [&[0x30, 0x82, 0, good.len() as u8 - 2][..], &good[2..]].concat();
    let critical = request_extensions(&[extension(&[0x2a, 3, 4], true, b"")]);
    let mut cases: Vec<(&str, Vec<u8>)> = vec![
        ("one octet", vec![0x30]),
        ("a truncated request", good[..good.len() - 1].to_vec()),
        ("a trailing octet", [&good[..], &[0]].concat()),
        ("a second request behind", good.repeat(2)),
        ("BER's indefinite length", indefinite),
        ("a length in long form", long_form),
        (
            "a length of 4 GB",
            vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0],
        ),
        (
            "a length of 2^64 - 1",
            [&[0x30, 0x88][..], &[0xff; 8]].concat(),
        ),
        (
            "a length of 127 octets",
            [&[0x30, 0xff][..], &[0xff; 127]].concat(),
        ),
        (
            "2000 nested sequences",
            (0..2000).fold(vec![], |inner, _| der::sequence(&[&inner])),
        ),
        ("8000 open sequences", [0x30, 0x80].repeat(8000)),
        ("a SET", der::tlv(0x31, &[der::only(&good).content])),
        ("version 2", with(&[&der::tlv(0xa0, &[&[2, 1, 1]]), list])),
        ("an unknown critical extension", with(&[list, &critical])),
        (
            "an unknown field",
            with(&[list, &der::tlv(0xa5, &[&[5, 0]])]),
        ),
        (
            "empty extensions",
            with(&[list, &der::tlv(0xa2, &[&der::sequence(&[])])]),
        ),
        ("JSON", b"{\"serial\":\"0a\"}".to_vec()),
        ("a certificate", site.ca_der()),
        ("a CRL", site.crl_bytes()),
        ("an OCSP response", server.ocsp(&good)),
        ("zeros", vec![0; 1000]),
    ];
    let single = request_extensions(&[extension(&[0x2a, 3, 4], true, b"")]);
    let single = der::tlv(0xa0, &[&single[2..]]);
    cases.push((
        "an unknown critical single extension",
        with(&[&der::sequence(&[&der::sequence(&[&id, &single])])]),
    ));
    for (what, bytes) in cases {
        assert_eq!(server.ocsp(&bytes), MALFORMED_REQUEST, "{what}");
    }
    let empty = server.post("/ocsp", b"");
    assert!(
        empty.status == 400 || empty.body == MALFORMED_REQUEST,
        "{empty:?}"
    );
}

#[test]
fn harmless_oddities_are_answered() {
    let (site, server) = serving("");
    let id = site.issuer_id().usual("0a");
    let list = der::sequence(&[&der::sequence(&[&id])]);
    let with = |parts: &[&[u8]]| der::sequence(&[&der::sequence(parts)]);
    let name = der::tlv(0xa1, &[&der::tlv(0xa4, &[&site.issuer_id().subject])]);
    let unknown = request_extensions(&[extension(&[0x2a, 3, 4], false, b"x")]);
    let basic_only = der::sequence(&[&der::tlv(6, &[&[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1]])]);
    let acceptable = request_extensions(&[extension(
        &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 4],
        false,
        &basic_only,
    )]);
    for (what, asked) in [
        ("a requestorName without a signature", with(&[&name, &list])),
        ("an unknown extension", with(&[&list, &unknown])),
        ("acceptableResponses", with(&[&list, &acceptable])),
    ] {
        assert_eq!(status(&server.ocsp(&asked)), Status::Good, "{what}");
    }
}

/// A flipped bit is malformed, unauthorized, or a question about another serial; it never crashes
/// the server.
#[test]
fn single_bit_flips_never_fail_the_server() {
    let (site, server) = serving("");
    let good = request(&[site.issuer_id().usual("0b")], None);
    let mut connection = server.connect();
    for bit in 0..good.len() * 8 {
        let mut asked = good.clone();
        asked[bit / 8] ^= 1 << (bit % 8);
        let bytes = http_request(
            "POST",
            "/ocsp",
            &["Content-Type: application/ocsp-request"],
            &asked,
        );
        let reply = connection.send(&bytes, false).unwrap();
        assert_eq!(reply.status, 200, "bit {bit}");
        if reply.body != MALFORMED_REQUEST && reply.body != UNAUTHORIZED {
            let basic = Basic::read(&reply.body);
            assert!(
                asked
                    .windows(basic.only().cert_id.len())
                    .any(|window| window == basic.only().cert_id),
                "bit {bit}"
            );
        }
    }
}

#[test]
fn revocation_by_another_process_is_answered_within_5_seconds() {
    let (site, server) = serving("");
    let asked = request(&[site.issuer_id().usual("0a")], None);
    assert_eq!(status(&server.ocsp_get(&asked, &[]).body), Status::Good);
    site.revoke("0a", "keyCompromise");
    poll(Duration::from_secs(5), "the revoked answer", || {
        matches!(status(&server.ocsp(&asked)), Status::Revoked(_, Some(1))).then_some(())
    });
    site.ok(&["release", "--issuer", ISSUER, "--serial", "0c"]);
    let held = request(&[site.issuer_id().usual("0c")], None);
    poll(Duration::from_secs(5), "the released answer", || {
        (status(&server.ocsp_get(&held, &[]).body) == Status::Good).then_some(())
    });
}

#[test]
fn answer_about_a_revocation_right_now_is_not_dated_before_it() {
    let (site, server) = serving("");
    let date = crate::support::at(now()).to_string();
    site.ok(&[
        "revoke",
        "--issuer",
        ISSUER,
        "--serial",
        "0a",
        "--revoked-at",
        &date,
    ]);
    let asked = request(&[site.issuer_id().usual("0a")], None);
    let basic = poll(Duration::from_secs(5), "the revoked answer", || {
        let basic = Basic::read(&server.ocsp(&asked));
        (basic.only().status != Status::Good).then_some(basic)
    });
    let single = basic.only();
    assert_eq!(single.status, Status::Revoked(date.clone(), None));
    assert!(
        der::rfc3339(&single.this_update) >= date && der::seconds(&single.this_update) <= now()
    );
}

/// Two issuers on one server, each answered in its own name; both in one request find no one
/// signer.
#[test]
fn issuers_are_told_apart_by_name_and_key() {
    let (site, other) = (
        Site::new(),
        Plan {
            key: Key::P384,
            ..Plan::default()
        }
        .build(),
    );
    for file in ["ca.pem", "ca.key.pem"] {
        fs::copy(other.path(file), site.path(&format!("other-{file}"))).unwrap();
    }
    site.configure(
        "[[issuer]]\nname = \"other\"\ncertificate = \"file:other-ca.pem\"\nkey = \
         \"file:other-ca.key.pem\"\n",
    );
    site.revoke("0b", "superseded");
    site.ok(&["revoke", "--issuer", "other", "--serial", "0c"]);
    let server = site.serve();
    let (ours, theirs) = (site.issuer_id(), other.issuer_id());
    let ask = |issuer: &IssuerId, serial: &str| {
        status(&server.ocsp(&request(&[issuer.usual(serial)], None)))
    };
    poll(Duration::from_secs(10), "the other issuer's answer", || {
        (server.ocsp(&request(&[theirs.usual("0a")], None)).len() > 5).then_some(())
    });
    assert!(matches!(
        (ask(&ours, "0b"), ask(&theirs, "0b")),
        (Status::Revoked(..), Status::Good)
    ));
    assert!(matches!(
        (ask(&ours, "0c"), ask(&theirs, "0c")),
        (Status::Good, Status::Revoked(..))
    ));
    let both = request(&[ours.usual("0b"), theirs.usual("0b")], None);
    assert_eq!(server.ocsp(&both), UNAUTHORIZED);
}

/// RFC 6960 §4.1.2: who signs also says who it is.
#[test]
fn signed_request_is_answered_as_if_it_were_not_signed() {
    let (site, server) = serving("");
    let signer = pki::der_of(site.leaf("signer", "0d").as_ref());
    let (id, key) = (
        site.issuer_id().usual("0b"),
        Private::read(&site.path("leaf.key")),
    );
    let requestor = der::tlv(0xa1, &[&der::tlv(0xa4, &[tbs(&signer)[5].whole])]);
    let inside = der::sequence(&[&requestor, &der::sequence(&[&der::sequence(&[&id])])]);
    let signature = der::tlv(3, &[&[0], &key.sign(&inside, Hash::Sha256)]);
    let certificates = der::tlv(0xa0, &[&der::sequence(&[&signer])]);
    let signature = der::sequence(&[&key.algorithm(Hash::Sha256), &signature, &certificates]);
    let asked = der::sequence(&[&inside, &der::tlv(0xa0, &[&signature])]);
    assert!(matches!(
        status(&server.ocsp(&asked)),
        Status::Revoked(_, Some(1))
    ));
}
