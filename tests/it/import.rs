//! Taking over another CA's revocations: a real CRL, a generated one of the same size and shape,
//! and hostile ones.

use std::{collections::BTreeMap, fs, path::PathBuf};

use rescind::facade::stories::respond::{Answer, Responder};

use crate::support::{
    ISSUER, Plan, Site, at, block_on,
    crl::{AKI, CRL_NUMBER, Crl, Entry, IDP, REASON},
    der,
    keys::Private,
    now,
    ocsp::{self, Hash, Status},
    pem,
    pki::{self, Key},
    stories::{amazon, fabrikam, many_revocations},
};

// CRLReasons (RFC 5280 §5.3.1).
const KEY_COMPROMISE: u8 = 1;
const AFFILIATION_CHANGED: u8 = 3;
const SUPERSEDED: u8 = 4;
const HOLD: u8 = 6;
const REMOVED: u8 = 8;

/// A CRL's entries by serial.
type Entries = BTreeMap<String, Entry>;

fn entries(crl: &Crl) -> Entries {
    crl.list()
        .iter()
        .map(|entry| (entry.hex(), entry.clone()))
        .collect()
}

fn import(crl: &str, ca: &str) -> Vec<String> {
    [
        "import",
        "--issuer",
        ISSUER,
        "--from",
        "crl",
        "--ca-cert",
        ca,
        crl,
    ]
    .map(str::to_owned)
    .to_vec()
}

fn run(site: &Site, args: &[String], more: &[&str]) -> crate::support::Output {
    let args: Vec<_> = args
        .iter()
        .map(String::as_str)
        .chain(more.iter().copied())
        .collect();
    site.run(&args)
}

/// Takes `crl` over whole, and holds what is published against it.
fn takes_over(site: &Site, crl: &str, ca: &str, number: u64) -> Entries {
    const COUNT: usize = 14_102;
    let wanted = entries(&Crl::read(&fs::read(crl).unwrap()));
    assert_eq!(wanted.len(), COUNT);

    let dry = run(site, &import(crl, ca), &["--dry-run", "--json"]);
    assert_eq!(dry.code, 0, "{dry:?}");
    assert_eq!(site.export(), "", "a dry run writes nothing");
    let done = run(site, &import(crl, ca), &["--json"]);
    assert_eq!(
        (done.code, done.json()["changed"].as_u64()),
        (0, Some(COUNT as u64)),
        "{done:?}"
    );

    site.publish(&[]);
    let published = entries(&site.crl());
    assert!(
        published == wanted,
        "serials, dates or reasons are not those of the CRL that was imported"
    );
    assert!(
        site.crl().number() > number,
        "{} is not above {number}",
        site.crl().number()
    );

    let before = site.export();
    let again = run(site, &import(crl, ca), &["--json"]);
    assert_eq!(
        (again.code, again.json()["changed"].as_u64()),
        (0, Some(0)),
        "{again:?}"
    );
    assert_eq!(
        again.json()["seq"],
        site.json(&["status"])["issuers"][0]["seq"]
    );
    assert!(site.export() == before, "importing again changed the index");
    assert_eq!(site.publish(&[])["published"], false);
    wanted
}

/// Asks OCSP about every serial, `together` in one request.
fn ocsp_answers_all(site: &Site, wanted: &Entries, together: usize) {
    let responder = Responder::new(vec![site.ca()]);
    block_on(responder.issuers()[0].refresh(at(now())));
    let issuer = site.issuer_id();
    let all: Vec<_> = wanted.iter().collect();
    for chunk in all.chunks(together) {
        let ids: Vec<_> = chunk
            .iter()
            .map(|(serial, _)| issuer.usual(serial))
            .collect();
        let Answer::Signed(signed) =
            block_on(responder.respond(&ocsp::request(&ids, None), at(now())))
        else {
            panic!("no answer about {chunk:?}");
        };
        let singles = ocsp::Basic::read(&signed.der).singles;
        assert_eq!(singles.len(), ids.len());
        for ((id, single), (serial, entry)) in ids.iter().zip(&singles).zip(chunk) {
            assert_eq!(single.cert_id, *id, "{serial}");
            let Status::Revoked(at, reason) = &single.status else {
                panic!("{serial}: {single:?}")
            };
            assert_eq!(
                (at, *reason),
                (&der::rfc3339(&entry.revoked_at.1), entry.reason()),
                "{serial}"
            );
        }
    }
}

#[test]
fn real_crl_of_14102_entries_is_taken_over_and_each_is_answered() {
    let Some((crl, ca)) = amazon() else { return };
    let site = Site::new();
    let wanted = takes_over(&site, &crl, &ca, 1374);
    ocsp_answers_all(&site, &wanted, 1);
}

#[test]
fn real_crl_as_pem_is_the_same() {
    let Some((crl, ca)) = amazon() else { return };
    let site = Site::new();
    let pem = site.file("r2m02.crl.pem");
    fs::write(&pem, pem::write("X509 CRL", &fs::read(&crl).unwrap())).unwrap();
    let done = run(&site, &import(&pem, &ca), &["--json"]);
    assert_eq!(
        (done.code, done.json()["changed"].as_u64()),
        (0, Some(14_102)),
        "{done:?}"
    );
    assert_eq!(
        run(&site, &import(&crl, &ca), &["--json"]).json()["changed"],
        0
    );
}

/// Another CA, whose CRLs are to be taken over.
struct OldCa {
    site: Site,
}

impl OldCa {
    fn new() -> Self {
        Self { site: fabrikam() }
    }

    fn ca(&self) -> String {
        self.site.file("ca.pem")
    }

    /// A CRL of these entries with this number, and with more extensions.
    fn crl(&self, name: &str, entries: &[Vec<u8>], number: u64, more: &[Vec<u8>]) -> String {
        let (key, ca) = (
            Private::read(&self.site.path("ca.key.pem")),
            self.site.ca_der(),
        );
        let key_id = pki::extensions_of(&ca)
            .into_iter()
            .find(|one| one.id == [0x55, 0x1d, 0x0e])
            .unwrap()
            .value;
        let aki = der::sequence(&[&der::tlv(0x80, &[der::only(&key_id).content])]);
        let number = der::unsigned(&number.to_be_bytes());
        let usual = [
            ocsp::extension(AKI, false, &aki),
            ocsp::extension(CRL_NUMBER, false, &number),
        ];
        let tbs = der::sequence(&[
            &[2, 1, 1],
            &key.algorithm(Hash::Sha256),
            pki::tbs(&ca)[5].whole,
            &pki::time(now()),
            &pki::time(now() + 7 * 86_400),
            &der::sequence(&[&entries.concat()]),
            &der::tlv(0xa0, &[&der::sequence(&[&usual.concat(), &more.concat()])]),
        ]);
        fs::write(self.site.path(name), key.signed(&tbs, Hash::Sha256)).unwrap();
        self.site.file(name)
    }
}

/// One entry: the serial in hexadecimal, a UTCTime, and a CRLReason.
fn entry(serial: &str, date: &str, reason: Option<u8>) -> Vec<u8> {
    let reason = reason.map(|reason| ocsp::extension(REASON, false, &[0x0a, 1, reason]));
    let extensions = reason
        .map(|reason| der::sequence(&[&reason]))
        .unwrap_or_default();
    let serial = der::unsigned(&der::from_hex(serial));
    der::sequence(&[&serial, &der::tlv(0x17, &[date.as_bytes()]), &extensions])
}

#[test]
fn generated_crl_of_the_same_size_and_shape_is_taken_over_and_each_is_answered() {
    let all = many_revocations().map(|(serial, date, reason)| {
        let reason = reason.map(|name| match name {
            "affiliationChanged" => AFFILIATION_CHANGED,
            _ => KEY_COMPROMISE,
        });
        entry(&serial, &date, reason)
    });
    let old = OldCa::new();
    let names = der::tlv(
        0xa0,
        &[&der::tlv(0x86, &[b"http://crl.fabrikam.example/1.crl"])],
    );
    let point = ocsp::extension(IDP, true, &der::sequence(&[&der::tlv(0xa0, &[&names])]));
    // A number above the seconds since 1970, so that only the floor makes ours rise above it.
    let crl = old.crl(
        "old.crl",
        &all.collect::<Vec<_>>(),
        0x02_0000_0000,
        &[point],
    );
    let site = Site::new();
    let wanted = takes_over(&site, &crl, &old.ca(), 0x02_0000_0000);
    ocsp_answers_all(&site, &wanted, 100);
}

/// A refused import says why in one line and leaves everything as it was.
fn refused(site: &Site, args: &[String], words: &[&str]) {
    let before = site.snapshot();
    let output = run(site, args, &[]);
    assert_eq!(
        (output.code, output.stderr.lines().count()),
        (1, 1),
        "{output:?}"
    );
    for word in words {
        assert!(
            output.stderr.contains(word),
            "{word} is not said: {output:?}"
        );
    }
    assert!(site.snapshot() == before, "something changed: {output:?}");
}

#[test]
fn foreign_damaged_and_truncated_crls_are_refused_whole() {
    let old = OldCa::new();
    let index = ["0A", "0B"].map(|serial| entry(serial, "250101000000Z", Some(SUPERSEDED)));
    let crl = old.crl("old.crl", &index, 5, &[]);
    let site = Site::new();
    site.revoke("99", "superseded");
    let without_ca = ["import", "--issuer", ISSUER, "--from", "crl", &crl].map(str::to_owned);
    refused(
        &site,
        &without_ca,
        &["old.crl", "another issuer", "--ca-cert"],
    );
    // The right name under another key.
    let twin = Plan {
        subject: "/C=US/O=Fabrikam/CN=Fabrikam RSA 2048",
        ..Plan::default()
    }
    .build();
    refused(
        &site,
        &import(&crl, &twin.file("ca.pem")),
        &["old.crl", "signature"],
    );

    let bytes = fs::read(&crl).unwrap();
    let bad = |name: &str, bytes: &[u8]| {
        fs::write(site.path(name), bytes).unwrap();
        site.file(name)
    };
    let mut flipped = bytes.clone();
    let serial = flipped
        .windows(3)
        .position(|window| window == [2, 1, 0x0b])
        .unwrap();
    flipped[serial + 2] = 0x0c;
    refused(
        &site,
        &import(&bad("flipped.crl", &flipped), &old.ca()),
        &["flipped.crl", "signature"],
    );
    for len in [0, 1, 10, bytes.len() / 2, bytes.len() - 1] {
        refused(
            &site,
            &import(&bad("short.crl", &bytes[..len]), &old.ca()),
            &["short.crl"],
        );
    }
    refused(
        &site,
        &import(&bad("long.crl", &[&bytes[..], b"\0"].concat()), &old.ca()),
        &["long.crl"],
    );
    refused(
        &site,
        &import(
            &bad("text.crl", b"-----BEGIN X509 CRL-----\nnonsense"),
            &old.ca(),
        ),
        &["text.crl", "PEM"],
    );
    let certificate = fs::read(old.site.path("ca.pem")).unwrap();
    refused(
        &site,
        &import(&bad("cert.crl", &certificate), &old.ca()),
        &["cert.crl", "CERTIFICATE"],
    );
    refused(
        &site,
        &import(&site.file("nowhere.crl"), &old.ca()),
        &["nowhere.crl"],
    );
    // One bad file among good ones.
    let both = [&import(&crl, &old.ca())[..], &[site.file("flipped.crl")]].concat();
    refused(&site, &both, &["flipped.crl", "signature"]);
}

#[test]
fn entry_dated_in_the_future_is_refused() {
    let old = OldCa::new();
    let crl = old.crl("old.crl", &[entry("0A", "490101000000Z", None)], 5, &[]);
    let site = Site::new();
    site.revoke("99", "superseded");
    refused(&site, &import(&crl, &old.ca()), &["future"]);
}

#[test]
fn unknown_critical_extension_is_refused() {
    let old = OldCa::new();
    let unknown = ocsp::extension(&[0x2a, 3, 4], true, &[5, 0]);
    let crl = old.crl(
        "old.crl",
        &[entry("0A", "250101000000Z", None)],
        5,
        &[unknown],
    );
    let site = Site::new();
    site.revoke("99", "superseded");
    refused(&site, &import(&crl, &old.ca()), &["critical"]);
}

/// RFC 5280 §5.3.1: removeFromCRL lifts a hold in delta CRLs; an import takes revocations over, and
/// lifts nothing.
#[test]
fn remove_from_crl_in_a_delta_never_unrevokes() {
    let old = OldCa::new();
    let base = ["0A", "0B"].map(|serial| entry(serial, "250101000000Z", Some(HOLD)));
    let base = old.crl("base.crl", &base, 5, &[]);
    let changes = [
        entry("0A", "250102000000Z", Some(REMOVED)),
        entry("0C", "250102000000Z", Some(SUPERSEDED)),
    ];
    let indicator = ocsp::extension(&[0x55, 0x1d, 0x1b], true, &[2, 1, 5]);
    let delta = old.crl("delta.crl", &changes, 6, &[indicator]);
    let site = Site::new();
    run(&site, &import(&base, &old.ca()), &[]);
    let output = run(&site, &import(&delta, &old.ca()), &[]);
    assert_eq!(site.row("0a").unwrap()["state"], "held", "{output:?}");
    site.publish(&[]);
    assert!(site.crl().entry("0A").is_some());
    assert_eq!(site.row("0c").is_some(), output.code == 0, "{output:?}");
}

/// An old CRL that does not list a serial, or lists it on hold, does not weaken what is known.
#[test]
fn import_never_unrevokes_or_weakens_and_the_earliest_date_stays() {
    let old = OldCa::new();
    let site = Site::new();
    site.ok(&[
        "revoke",
        "--issuer",
        ISSUER,
        "--serial",
        "0a",
        "--revoked-at",
        "2024-06-01T00:00:00Z",
    ]);
    site.revoke("0b", "keyCompromise");
    let crl = old.crl(
        "old.crl",
        &[entry("0A", "250101000000Z", Some(HOLD))],
        5,
        &[],
    );
    assert_eq!(run(&site, &import(&crl, &old.ca()), &[]).code, 0);
    let row = site.row("0a").unwrap();
    assert_eq!(
        (&row["state"], &row["revoked_at"]),
        (&"revoked".into(), &"2024-06-01T00:00:00Z".into())
    );
    assert_eq!(site.row("0b").unwrap()["reason"], "keyCompromise");
    let earlier = old.crl("earlier.crl", &[entry("0A", "230101000000Z", None)], 6, &[]);
    assert_eq!(run(&site, &import(&earlier, &old.ca()), &[]).code, 0);
    assert_eq!(
        site.row("0a").unwrap()["revoked_at"],
        "2023-01-01T00:00:00Z"
    );
    let valid: PathBuf = site.path("valid.jsonl");
    fs::write(&valid, "{\"serial\":\"0a\",\"state\":\"valid\"}\n").unwrap();
    site.run(&[
        "import",
        "--issuer",
        ISSUER,
        "--from",
        "jsonl",
        valid.to_str().unwrap(),
    ]);
    assert_eq!(site.row("0a").unwrap()["state"], "revoked");
}

/// Our own CRL brings nothing new, and needs no `--ca-cert`.
#[test]
fn own_crl_is_known_already() {
    let site = Site::new();
    site.revoke("0a", "superseded");
    site.publish(&[]);
    let crl = site.shelf(".crl");
    let report = site.json(&[
        "import",
        "--issuer",
        ISSUER,
        "--from",
        "crl",
        crl.to_str().unwrap(),
    ]);
    assert_eq!(report["changed"], 0);
}

#[test]
fn export_imported_and_exported_again_is_identical() {
    let site = Site::new();
    for (serial, reason) in [
        ("0a", "unspecified"),
        ("0b", "keyCompromise"),
        ("0c", "certificateHold"),
    ] {
        site.revoke(serial, reason);
    }
    let dates = [
        "--invalidity-date",
        "2023-01-01T00:00:00Z",
        "--not-after",
        "2051-01-01T00:00:00Z",
    ];
    site.ok(&[
        &["revoke", "--issuer", ISSUER, "--serial", &"f".repeat(40)],
        &dates[..],
    ]
    .concat());
    site.ok(&[
        "record",
        "--issuer",
        ISSUER,
        "--cert",
        &site.leaf("leaf", "4711"),
    ]);
    site.revoke("0d", "certificateHold");
    site.ok(&["release", "--issuer", ISSUER, "--serial", "0d"]);
    let export = site.export();
    assert_eq!(export.lines().count(), 6);
    let file = site.file("export.jsonl");
    fs::write(&file, &export).unwrap();
    let other = Plan {
        key: Key::P384,
        ..Plan::default()
    }
    .build();
    other.ok(&["import", "--issuer", ISSUER, "--from", "jsonl", &file]);
    assert_eq!(other.export(), export);
    assert_eq!(
        other.json(&["import", "--issuer", ISSUER, "--from", "jsonl", &file])["changed"],
        0
    );
}

#[test]
fn json_lines_may_be_written_by_hand() {
    let site = Site::new();
    let text = "{\"serial\":\"0A:2E\",\"state\":\"revoked\",\"revoked_at\":\"2026-01-17T00:27:48Z\",\"reason\":null}\n\
                \n{\"serial\":\"00FF\",\"state\":\"held\",\"revoked_at\":\"2026-01-17T00:27:48Z\"}";
    site.import_rows(text);
    assert_eq!(
        site.row("0a2e").unwrap()["revoked_at"],
        "2026-01-17T00:27:48Z"
    );
    assert_eq!(site.row("ff").unwrap()["reason"], "certificateHold");
}

#[test]
fn bad_json_line_is_refused_with_its_number_and_nothing_is_taken() {
    let site = Site::new();
    site.revoke("99", "superseded");
    let good = r#"{"serial":"0a","state":"revoked","revoked_at":"2026-01-17T00:27:48Z"}"#;
    for bad in [
        "nonsense",
        r#"{"serial":"0b"}"#,
        r#"{"serial":"0b","state":"revoked"}"#,
        r#"{"serial":"0b","state":"gone","revoked_at":"2026-01-17T00:27:48Z"}"#,
        r#"{"serial":"xyz","state":"revoked","revoked_at":"2026-01-17T00:27:48Z"}"#,
        r#"{"serial":"0b","state":"revoked","revoked_at":"2026-01-17T00:27:48.5Z"}"#,
        r#"{"serial":"0b","state":"revoked","revoked_at":"2026-01-17T00:27:48Z","reason":"removeFromCRL"}"#,
        r#"{"serial":"0b","state":"revoked","revoked_at":"2026-01-17T00:27:48Z","resaon":"superseded"}"#,
    ] {
        let file = site.file("bad.jsonl");
        fs::write(&file, format!("{good}\n{bad}\n")).unwrap();
        let args = ["import", "--issuer", ISSUER, "--from", "jsonl", &file].map(str::to_owned);
        refused(&site, &args, &["bad.jsonl", "line 2"]);
    }
    assert!(site.row("0a").is_none());
}
