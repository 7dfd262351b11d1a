//! Sites that more than one judge looks at, and what is to be said of them.

use std::{fs, path::Path, thread};

use super::{
    ISSUER, Plan, Site,
    client::{Evidence, Expected, Question, Verdict, refused, replaced},
    pki::{self, Cert, Extension, Key, Strings},
};

/// A site with a certificate that is good, and one that is revoked.
pub fn revoked(plan: Plan<'_>, extensions: &[Extension<'_>]) -> Site {
    let site = plan.build();
    site.leaf_with("good", "0a01", extensions);
    site.leaf_with("revoked", "0a02", extensions);
    site.revoke("0a02", "keyCompromise");
    site.publish(&[]);
    site
}

fn crl_questions(site: &Site) -> Expected {
    let crl = site.file(&format!("data/shelf/{ISSUER}.crl"));
    let ask = |leaf: &str, crl: &str, verdict| {
        let evidence = Evidence::Crls(vec![crl.to_owned()]);
        (
            Question {
                trust: site.file("ca.pem"),
                leaf: site.file(leaf),
                evidence,
            },
            verdict,
        )
    };
    // The revoked one's entry becomes another's: a client that does not verify would find it good.
    let tampered = site.file("tampered.crl");
    fs::write(
        &tampered,
        replaced(&site.crl_bytes(), &[2, 2, 0x0a, 2], &[2, 2, 0x0a, 3]),
    )
    .unwrap();
    vec![
        ask("good.pem", &crl, Verdict::Good),
        ask("revoked.pem", &crl, Verdict::Revoked),
        ask("good.pem", &tampered, refused()),
        ask("revoked.pem", &tampered, refused()),
    ]
}

/// Four kinds of CAs, and what clients are to say of their CRLs: which one is revoked, and what is
/// not theirs.
pub fn judged_by_crls() -> (Vec<Site>, Expected) {
    let pss = "signature = \"PS256\"\n";
    let sites = [
        (Key::P256, ""),
        (Key::P384, ""),
        (Key::Rsa2048, ""),
        (Key::Rsa2048, pss),
    ]
    .map(|(key, settings)| {
        revoked(
            Plan {
                key,
                settings,
                ..Plan::default()
            },
            &[],
        )
    });
    let mut expected: Expected = sites.iter().flat_map(crl_questions).collect();
    // The same name, but another key: P-384's CRL for P-256's certificate.
    let foreign = Evidence::Crls(vec![sites[1].file(&format!("data/shelf/{ISSUER}.crl"))]);
    let [trust, leaf] = ["ca.pem", "good.pem"].map(|name| sites[0].file(name));
    expected.push((
        Question {
            trust,
            leaf,
            evidence: foreign,
        },
        refused(),
    ));
    (sites.into(), expected)
}

/// Every kind of key that signs, and the setting that it is signed with.
pub const KEYS: [(Key, &str); 7] = [
    (Key::P256, ""),
    (Key::P384, ""),
    (Key::P521, ""),
    (Key::Rsa2048, ""),
    (Key::Rsa4096, ""),
    (Key::Rsa2048, "signature = \"PS256\"\n"),
    (Key::RsaPss, ""),
];

pub const URL: &str = "http://pki.contoso.example/crl/test-ca";

/// A site with a delta CRL and four shards. Its certificates name the full CRL and the delta, or
/// their shard. After the base, `held` was released, and `late` and `shard-revoked` were revoked.
pub fn scoped((key, settings): (Key, &str)) -> Site {
    let settings = format!("{settings}[issuer.crl]\ndelta = \"4h\"\nshards = 4\n");
    let site = Plan {
        key,
        settings: &settings,
        ..Plan::default()
    }
    .build();
    let (full, delta) = (format!("{URL}.crl"), format!("{URL}-delta.crl"));
    let whole = [Extension::Crl(&full), Extension::Delta(&delta)];
    for (name, serial) in [
        ("early", "7a01"),
        ("held", "7a02"),
        ("late", "7a03"),
        ("good", "7a05"),
    ] {
        site.leaf_with(name, serial, &whole);
    }
    for (name, serial, shard) in [
        ("shard-good", "7b05", "01"),
        ("shard-revoked", "7b09", "01"),
        ("shard-other", "7b06", "02"),
    ] {
        site.leaf_with(
            name,
            serial,
            &[Extension::Crl(&format!("{URL}/{shard}.crl"))],
        );
    }
    site.revoke("7a01", "keyCompromise");
    site.revoke("7a02", "certificateHold");
    site.publish(&[]);
    fs::copy(site.shelf(".crl"), site.path("base.crl")).unwrap();
    site.ok(&["release", "--issuer", ISSUER, "--serial", "7a02"]);
    site.revoke("7a03", "superseded");
    site.revoke("7b09", "keyCompromise");
    site.publish(&[]);
    for (from, to) in [
        (".crl", "full.crl"),
        ("-delta.crl", "delta.crl"),
        ("/01.crl", "01.crl"),
        ("/02.crl", "02.crl"),
    ] {
        fs::copy(site.shelf(from), site.path(to)).unwrap();
    }
    site
}

pub fn ask(site: &Site, leaf: &str, crls: &[&str], verdict: Verdict) -> (Question, Verdict) {
    let crls = crls
        .iter()
        .map(|name| site.file(&format!("{name}.crl")))
        .collect();
    let (trust, leaf) = (site.file("ca.pem"), site.file(&format!("{leaf}.pem")));
    (
        Question {
            trust,
            leaf,
            evidence: Evidence::Crls(crls),
        },
        verdict,
    )
}

/// One site for every kind of key.
pub fn for_every_key() -> Vec<(Site, Key)> {
    thread::scope(|scope| {
        let making: Vec<_> = KEYS
            .iter()
            .map(|&key| (scope.spawn(move || scoped(key)), key.0))
            .collect();
        making
            .into_iter()
            .map(|(site, key)| (site.join().unwrap(), key))
            .collect()
    })
}

/// By a complete CRL alone, the newest and the one before it.
pub fn by_complete_crls(site: &Site) -> Expected {
    vec![
        ask(site, "good", &["full"], Verdict::Good),
        ask(site, "early", &["full"], Verdict::Revoked),
        ask(site, "held", &["full"], Verdict::Good),
        ask(site, "late", &["full"], Verdict::Revoked),
        ask(site, "held", &["base"], Verdict::Revoked),
        ask(site, "late", &["base"], Verdict::Good),
    ]
}

/// By a delta CRL and its base, or a complete CRL that is newer (RFC 5280 §5.2.4): the same as by
/// the full CRL alone.
pub fn by_deltas(site: &Site) -> Expected {
    let pair = |complete| {
        vec![
            ask(site, "good", &[complete, "delta"], Verdict::Good),
            ask(site, "early", &[complete, "delta"], Verdict::Revoked),
            // removeFromCRL: the hold is over.
            ask(site, "held", &[complete, "delta"], Verdict::Good),
            ask(site, "late", &[complete, "delta"], Verdict::Revoked),
        ]
    };
    [pair("base"), pair("full")].concat()
}

/// A delta CRL is no CRL by itself.
pub fn by_a_delta_alone(site: &Site) -> Expected {
    ["good", "early", "late"]
        .map(|leaf| ask(site, leaf, &["delta"], refused()))
        .to_vec()
}

/// By the shard that a certificate names, and by no other.
pub fn by_shards(site: &Site) -> Expected {
    vec![
        ask(site, "shard-good", &["01"], Verdict::Good),
        ask(site, "shard-revoked", &["01"], Verdict::Revoked),
        ask(site, "shard-other", &["01"], refused()),
        ask(site, "good", &["01"], refused()),
        ask(site, "shard-good", &["02", "01"], Verdict::Good),
        ask(site, "shard-revoked", &["02", "01"], Verdict::Revoked),
        ask(site, "shard-other", &["01", "02"], Verdict::Good),
        ask(site, "shard-good", &["full", "delta"], Verdict::Good),
        ask(site, "shard-revoked", &["full", "delta"], Verdict::Revoked),
    ]
}

/// Those questions that come without a delta CRL.
pub fn complete(asked: Expected) -> Expected {
    let is_whole = |(question, _): &(Question, Verdict)| question.evidence.is_without("delta");
    asked.into_iter().filter(is_whole).collect()
}

/// A site with CRLs beside its own that were altered, or are of another CA of its name; and what is
/// to be said of the shards among them.
pub fn altered() -> (Site, Expected) {
    let [site, other] = [scoped(KEYS[0]), scoped(KEYS[1])];
    // Somebody else's entry in the place of the revoked one: who does not verify finds it good.
    for (name, entry) in [("delta", [0x7a, 0x03]), ("01", [0x7b, 0x09])] {
        let bytes = fs::read(site.path(&format!("{name}.crl"))).unwrap();
        let altered = replaced(
            &bytes,
            &[&[2, 2], &entry[..]].concat(),
            &[2, 2, entry[0], entry[1] + 4],
        );
        fs::write(site.path(&format!("altered-{name}.crl")), altered).unwrap();
        fs::copy(
            other.path(&format!("{name}.crl")),
            site.path(&format!("foreign-{name}.crl")),
        )
        .unwrap();
    }
    let shards = vec![
        ask(&site, "shard-revoked", &["altered-01"], refused()),
        ask(&site, "shard-good", &["altered-01"], refused()),
        ask(&site, "shard-good", &["foreign-01"], refused()),
    ];
    (site, shards)
}

/// The new key's issuer.
pub const NEXT: &str = "next-ca";
pub const SUBJECT: &str = "/C=DE/O=Contoso/CN=Test CA";

/// Where an issuer's CRL is, in its certificates and in its issuing distribution point.
fn point(issuer: &str) -> String {
    format!("http://pki.contoso.example/crl/{issuer}.crl")
}

/// A CA that was given a second key: two issuers under one name. The same serials are issued by
/// both, and what one of them revoked is good at the other. `points`: whether certificates and CRLs
/// say where the CRL is.
pub fn rolled_over(points: bool) -> Site {
    let settings = |issuer| match points {
        true => format!("[issuer.crl]\nidp = [\"{}\"]\n", point(issuer)),
        false => String::new(),
    };
    let urls = [ISSUER, NEXT].map(point);
    let [old, new] = urls.each_ref().map(|url| {
        if points {
            vec![Extension::Crl(url)]
        } else {
            vec![]
        }
    });
    let files = format!("certificate = \"file:{NEXT}.pem\"\nkey = \"file:{NEXT}.key\"\n");
    let next = format!(
        "{}\n[[issuer]]\nname = \"{NEXT}\"\n{files}{}",
        settings(ISSUER),
        settings(NEXT)
    );
    let site = Site::with_settings(&next);
    let (key, certificate) = (
        site.path(&format!("{NEXT}.key")),
        site.path(&format!("{NEXT}.pem")),
    );
    fs::write(&key, Key::P256.generate()).unwrap();
    let cert = Cert {
        subject: SUBJECT,
        serial: "0ca1",
        days: 3650,
        extensions: pki::CA_EXTENSIONS,
    };
    pki::self_signed(&key, &certificate, cert, Strings::Utf8);
    let both = ["ca.pem", "next-ca.pem"].map(|name| fs::read_to_string(site.path(name)).unwrap());
    fs::write(site.path("both.pem"), both.concat()).unwrap();
    for (name, serial) in [("old-a", "0a01"), ("old-b", "0a02")] {
        site.leaf_with(name, serial, &old);
    }
    let extensions = [pki::LEAF_EXTENSIONS, &new].concat();
    for (name, serial) in [("new-a", "0a01"), ("new-b", "0a02")] {
        let subject = format!("/CN={name}");
        let cert = Cert {
            subject: &subject,
            serial,
            days: 90,
            extensions: &extensions,
        };
        pki::issue(
            (&certificate, &key),
            &site.path("leaf.key"),
            &site.path(&format!("{name}.pem")),
            cert,
        );
    }
    site.revoke("0a02", "keyCompromise");
    site.ok(&[
        "revoke",
        "--issuer",
        NEXT,
        "--serial",
        "0a01",
        "--reason",
        "superseded",
    ]);
    site
}

/// Questions about the certificates of both keys to clients that trust both and have both CRLs.
pub fn about_both(site: &Site, issuers: [&str; 2]) -> Expected {
    let crls = issuers.map(|issuer| site.file(&format!("data/shelf/{issuer}.crl")));
    let leaves = [
        ("old-a", Verdict::Good),
        ("old-b", Verdict::Revoked),
        ("new-a", Verdict::Revoked),
        ("new-b", Verdict::Good),
    ];
    let question = |(leaf, verdict): (&str, Verdict)| {
        let (trust, leaf) = (site.file("both.pem"), site.file(&format!("{leaf}.pem")));
        (
            Question {
                trust,
                leaf,
                evidence: Evidence::Crls(crls.to_vec()),
            },
            verdict,
        )
    };
    leaves.map(question).to_vec()
}

/// One CA certificate more for the key that `key` is: another serial, other dates.
pub fn renew(site: &Site, key: &str) {
    let cert = Cert {
        subject: SUBJECT,
        serial: "0ca9",
        days: 7300,
        extensions: pki::CA_EXTENSIONS,
    };
    pki::self_signed(&site.path(key), &site.path("ca.pem"), cert, Strings::Utf8);
}

/// What clients are to say of a CRL that was made under a renewed certificate: what they said of it
/// under the old one, which is in `old.pem`.
pub fn about_renewal(site: &Site) -> Expected {
    let crl = site.file(&format!("data/shelf/{ISSUER}.crl"));
    let ask = |(trust, leaf, verdict): (&str, &str, Verdict)| {
        let evidence = Evidence::Crls(vec![crl.clone()]);
        (
            Question {
                trust: site.file(trust),
                leaf: site.file(leaf),
                evidence,
            },
            verdict,
        )
    };
    [
        ("old.pem", "good.pem", Verdict::Good),
        ("old.pem", "revoked.pem", Verdict::Revoked),
        ("ca.pem", "good.pem", Verdict::Good),
        ("ca.pem", "revoked.pem", Verdict::Revoked),
    ]
    .map(ask)
    .to_vec()
}

/// A credential that an administrator had the CA issue; it is in no journal. Returns its text.
pub fn supply_credential(site: &Site, key: Key) -> String {
    let (own, out) = (site.path("own.key"), site.path("own.pem"));
    fs::write(&own, key.shared()).unwrap();
    let extensions = pki::RESPONDER_EXTENSIONS;
    let cert = Cert {
        subject: "/CN=Our own responder",
        serial: "0c5b",
        days: 300,
        extensions,
    };
    pki::issue(
        (&site.path("ca.pem"), &site.path("ca.key.pem")),
        &own,
        &out,
        cert,
    );
    let pem = fs::read_to_string(&own).unwrap() + &fs::read_to_string(&out).unwrap();
    fs::create_dir_all(site.path("data")).unwrap();
    fs::write(site.path(&format!("data/{ISSUER}-ocsp.pem")), &pem).unwrap();
    pem
}

/// Another CA, whose revocations are to be taken over.
pub fn fabrikam() -> Site {
    let plan = Plan {
        key: Key::Rsa2048,
        subject: "/C=US/O=Fabrikam/CN=Fabrikam RSA 2048",
        ..Plan::default()
    };
    plan.build()
}

/// As many revocations as [`amazon`]'s CRL has, of the same shape: serial in hexadecimal, UTCTime,
/// name of the reason.
pub fn many_revocations() -> impl Iterator<Item = (String, String, Option<&'static str>)> {
    (0..14_102u32).map(|at| {
        // 16 octets that do not come in order, dates over 13 months, few reasons.
        let serial = format!(
            "{at:04X}0{:X}{:026X}",
            at % 15 + 1,
            u128::from(at.wrapping_mul(2_654_435_761)) << 32 | 0xabcd
        );
        let (month, day, hour) = (at / 1085 % 12 + 1, at / 40 % 28 + 1, at % 24);
        let date = format!(
            "24{month:02}{day:02}{hour:02}{:02}{:02}Z",
            at % 60,
            at * 7 % 60
        );
        let reason = match at % 5000 {
            0 => Some("affiliationChanged"),
            1 => Some("keyCompromise"),
            _ => None,
        };
        (serial, date, reason)
    })
}

/// A real CA's CRL and certificate, if they are where the project's data are kept.
pub fn amazon() -> Option<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/amazon");
    let file = |name: &str| folder.join(name).into_os_string().into_string().unwrap();
    let (crl, ca) = (file("r2m02.crl"), file("r2m02.cer"));
    if Path::new(&crl).exists() {
        return Some((crl, ca));
    }
    println!(
        "NOT TESTED: the real CRL {crl} is not there; a generated one of its size and shape is \
         tested instead"
    );
    None
}
