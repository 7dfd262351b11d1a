//! Full, delta and sharded CRLs for every kind of CA key, as clients judge them.

use std::process::Command;

use serde_json::{Value, json};

use super::{clients::Client, verdicts::all_say};
use crate::{
    support::{
        ISSUER, Output, Plan, Site,
        client::{Expected, Verdict, refused},
        pki::Key,
        stories::{
            KEYS, URL, altered, ask, by_a_delta_alone, by_complete_crls, by_deltas, by_shards,
            complete, for_every_key,
        },
    },
    tools,
};

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
    // It does not know CA keys that are for PSS alone; PSS with a plain RSA key it knows.
    let plain = || sites.iter().filter(|(_, key)| *key != Key::RsaPss);
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

#[test]
fn clients_refuse_deltas_and_shards_that_were_altered_or_are_anothers() {
    let (site, shards) = altered();
    all_say(&[Client::OpenSsl, Client::PyHanko, Client::Java], &shards);
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
    let program = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/foreign/judges/contents.py"
    );
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
