//! Full, delta and sharded CRLs for every kind of CA key, as clients judge them.

use std::{fs, process::Command, thread};

use serde_json::{Value, json};

use super::{
    clients::{Client, Evidence, Question, Verdict},
    verdicts::{Expected, all_say, refused, replaced},
};
use crate::support::{ISSUER, Output, Plan, Site, pki::Key, tools};

/// Every kind of key that signs, and the setting that it is signed with.
const KEYS: [(Key, &str); 7] = [
    (Key::P256, ""),
    (Key::P384, ""),
    (Key::P521, ""),
    (Key::Rsa2048, ""),
    (Key::Rsa4096, ""),
    (Key::Rsa2048, "signature = \"PS256\"\n"),
    (Key::RsaPss, ""),
];

const URL: &str = "http://pki.contoso.example/crl/test-ca";

/// A site with a delta CRL and four shards. Its certificates name the full CRL and the delta, or
/// their shard. After the base, `held` was released, and `late` and `shard-revoked` were revoked.
fn scoped((key, settings): (Key, &str)) -> Site {
    let settings = format!("{settings}[issuer.crl]\ndelta = \"4h\"\nshards = 4\n");
    let site = Plan {
        key,
        settings: &settings,
        ..Plan::default()
    }
    .build();
    let whole =
        format!("crlDistributionPoints = URI:{URL}.crl\nfreshestCRL = URI:{URL}-delta.crl\n");
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
            &format!("crlDistributionPoints = URI:{URL}/{shard}.crl\n"),
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

fn ask(site: &Site, leaf: &str, crls: &[&str], verdict: Verdict) -> (Question, Verdict) {
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
fn for_every_key() -> Vec<(Site, Key)> {
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
fn by_complete_crls(site: &Site) -> Expected {
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
fn by_deltas(site: &Site) -> Expected {
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
fn by_a_delta_alone(site: &Site) -> Expected {
    ["good", "early", "late"]
        .map(|leaf| ask(site, leaf, &["delta"], refused()))
        .to_vec()
}

/// By the shard that a certificate names, and by no other.
fn by_shards(site: &Site) -> Expected {
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

/// The README says which clients do not know what, so that nobody is surprised; here is what those
/// do know.
#[test]
fn clients_agree_on_full_delta_and_shard_crls_whatever_the_key() {
    let sites = for_every_key();
    let all = |ask: fn(&Site) -> Expected| {
        sites
            .iter()
            .flat_map(|(site, _)| ask(site))
            .collect::<Expected>()
    };
    // Neither of them knows CA keys that are for PSS alone; PSS with a plain RSA key both know.
    let plain = || sites.iter().filter(|(_, key)| *key != Key::RsaPss);
    let some = |ask: fn(&Site) -> Expected| {
        plain()
            .flat_map(|(site, _)| ask(site))
            .collect::<Expected>()
    };
    let complete = |asked: Expected| {
        let is_whole = |(question, _): &(Question, Verdict)| question.evidence.is_without("delta");
        asked.into_iter().filter(is_whole).collect::<Expected>()
    };
    all_say(
        &[Client::OpenSsl],
        &[
            all(by_complete_crls),
            all(by_deltas),
            all(by_a_delta_alone),
            all(by_shards),
        ]
        .concat(),
    );
    all_say(
        &[Client::PyHanko],
        &[all(by_deltas), all(by_a_delta_alone), all(by_shards)].concat(),
    );
    let java = [
        all(by_complete_crls),
        all(by_a_delta_alone),
        complete(all(by_shards)),
    ]
    .concat();
    all_say(&[Client::Java], &java);
    let webpki = [
        some(by_complete_crls),
        some(by_a_delta_alone),
        complete(some(by_shards)),
    ]
    .concat();
    all_say(&[Client::Webpki], &webpki);
    // It looks at no distribution point, so it is not asked about another's shard.
    let own = |site: &Site| {
        let shard = [
            ("shard-good", Verdict::Good),
            ("shard-revoked", Verdict::Revoked),
        ];
        [
            by_complete_crls(site),
            shard
                .map(|(leaf, verdict)| ask(site, leaf, &["01"], verdict))
                .to_vec(),
        ]
        .concat()
    };
    all_say(
        &[Client::GnuTls],
        &plain().flat_map(|(site, _)| own(site)).collect(),
    );
}

/// It says why, so a list of CRLs with a delta CRL among them is of no use to it.
#[test]
fn webpki_refuses_delta_crls_as_unsupported() {
    let site = scoped(KEYS[0]);
    let asked: Vec<_> = by_deltas(&site)
        .into_iter()
        .map(|(question, _)| question)
        .collect();
    for verdict in Client::Webpki.judge(&asked) {
        assert_eq!(verdict, Verdict::Refused("UnsupportedDeltaCrl".to_owned()));
    }
}

#[test]
fn clients_refuse_deltas_and_shards_that_were_altered_or_are_anothers() {
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
    all_say(
        &[
            Client::OpenSsl,
            Client::PyHanko,
            Client::Java,
            Client::Webpki,
        ],
        &shards,
    );
    let delta =
        ["late", "good"].map(|leaf| ask(&site, leaf, &["base", "altered-delta"], refused()));
    all_say(&[Client::OpenSsl, Client::PyHanko], &delta.to_vec());
    // OpenSSL goes by the base where no delta fits it; this one wants what FreshestCRL names.
    all_say(
        &[Client::PyHanko],
        &vec![ask(&site, "late", &["base", "foreign-delta"], refused())],
    );
    let [genuine, altered] =
        ["01.crl", "altered-01.crl"].map(|name| contents(&site, &[name])[0]["valid"] == true);
    assert!(genuine && !altered);
}

/// What Python's `cryptography` reads in CRLs.
fn contents(site: &Site, names: &[&str]) -> Vec<Value> {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/judges/contents.py");
    let mut command = Command::new(tools::python());
    command
        .arg(program)
        .arg(site.path("ca.pem"))
        .args(names.iter().map(|name| site.path(name)));
    let said = Output::of(command.output().unwrap());
    assert_eq!(said.code, 0, "{said:?}");
    said.stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn readers_find_exactly_what_is_due_in_full_delta_and_shard_crls_whatever_the_key() {
    let sites = for_every_key();
    let mut tasks = vec![];
    for (site, key) in &sites {
        let names = ["base.crl", "full.crl", "delta.crl", "01.crl"];
        let found = contents(site, &names);
        let [base, full] = [0, 1].map(|at: usize| found[at]["CRLNumber"].as_u64().unwrap());
        assert!(base < full);
        let id = found[0]["key"].as_str().unwrap();
        let common = |number: u64, more: Value, entries: Value| {
            let mut crl =
                json!({ "valid": true, "key": id, "CRLNumber": number, "entries": entries });
            let plain = json!([["AuthorityKeyIdentifier", false], ["CRLNumber", false]]);
            let (name, critical, field, value) =
                (&more[0], &more[1], more[2].as_str().unwrap(), &more[3]);
            crl["extensions"] = plain;
            crl["extensions"]
                .as_array_mut()
                .unwrap()
                .push(json!([name, critical]));
            crl[field] = value.clone();
            crl
        };
        let freshest = json!([
            "FreshestCRL",
            false,
            "freshest",
            [format!("{URL}-delta.crl")]
        ]);
        let indicator = json!(["DeltaCRLIndicator", true, "DeltaCRLIndicator", base]);
        let point = json!([
            "IssuingDistributionPoint",
            true,
            "points",
            [format!("{URL}/01.crl")]
        ]);
        let (early, held) = (
            json!(["7a01", "keyCompromise"]),
            json!(["7a02", "certificateHold"]),
        );
        let (late, shard) = (
            json!(["7a03", "superseded"]),
            json!(["7b09", "keyCompromise"]),
        );
        let expected = [
            common(base, freshest.clone(), json!([early, held])),
            common(full, freshest, json!([early, late, shard])),
            common(
                full,
                indicator,
                json!([["7a02", "removeFromCRL"], late, shard]),
            ),
            common(full, point, json!([early, shard])),
        ];
        assert_eq!(found, expected, "{key:?}");
        for name in names {
            tasks.extend(["crl".to_owned(), site.file(name), site.file("ca.pem")]);
        }
    }
    assert_eq!(tools::complaints(&tasks), "");
}

/// A public CA's configuration: no holds, no deltas, reasons of the Baseline Requirements' list (BR
/// §7.2.2).
#[test]
fn pkilint_finds_nothing_by_the_baseline_requirements() {
    let mut tasks = vec![];
    let shards = ["full", "00", "01", "02", "03"];
    let sites: Vec<Site> = KEYS
        .iter()
        .map(|&(key, settings)| public(key, settings))
        .collect();
    for site in &sites {
        site.publish(&[]);
        tasks.extend([
            "br".to_owned(),
            site.file(&format!("data/shelf/{ISSUER}.crl")),
        ]);
        for shard in &shards[1..] {
            tasks.extend([
                "br".to_owned(),
                site.file(&format!("data/shelf/{ISSUER}/{shard}.crl")),
            ]);
        }
    }
    assert_eq!(tools::complaints(&tasks), "");

    // It can say no: of a hold, of a reason that is not for subscribers, and of a life of more than
    // ten days.
    for (reason, name) in [
        ("certificateHold", "certificateHold"),
        ("aACompromise", "aACompromise"),
    ] {
        let site = public(Key::P256, "");
        site.revoke("0b08", reason);
        site.publish(&[]);
        let said = tools::complaints(&[
            "br".to_owned(),
            site.file(&format!("data/shelf/{ISSUER}.crl")),
        ]);
        assert!(
            said.contains("crl_prohibited_reason_code") && said.contains(name),
            "{said}"
        );
    }
    let site = Site::with_settings("[issuer.crl]\nvalidity = \"11d\"\n");
    site.publish(&[]);
    let said = tools::complaints(&[
        "br".to_owned(),
        site.file(&format!("data/shelf/{ISSUER}.crl")),
    ]);
    assert!(said.contains("validity"), "{said}");
}

/// A site as a public CA would have it, with an entry for every reason that it may give.
fn public(key: Key, settings: &str) -> Site {
    let settings =
        format!("{settings}[issuer.crl]\nvalidity = \"7d\"\nrefresh = \"1d\"\nshards = 4\n");
    let site = Plan {
        key,
        settings: &settings,
        ..Plan::default()
    }
    .build();
    let reasons = [
        "unspecified",
        "keyCompromise",
        "affiliationChanged",
        "superseded",
        "cessationOfOperation",
        "privilegeWithdrawn",
    ];
    for (at, reason) in reasons.iter().enumerate() {
        site.revoke(&format!("0b{at:02x}"), reason);
    }
    site
}
