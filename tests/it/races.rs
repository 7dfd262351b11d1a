//! Many at once, and killed at any moment: nothing acknowledged is lost, numbers only rise, the
//! next pass repairs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Child,
    thread,
    time::Duration,
};

use crate::support::{ISSUER, Output, Site, block_on, crl::Crl, der, judge::crl_verifies};

fn finish(child: Child) -> Output {
    Output::of(child.wait_with_output().unwrap())
}

/// Everything that was ever published verifies under the CA, and no serial that was on one CRL is
/// missing on a later.
fn archive_verifies(site: &Site) -> BTreeMap<u64, Crl> {
    let ca = site.ca_der();
    let mut listed = BTreeSet::new();
    let mut crls = BTreeMap::new();
    for (number, bytes) in site.archive() {
        let crl = crl_verifies(&bytes, &ca);
        assert_eq!(crl.number(), number);
        crl.lists_no_less_than(&mut listed);
        crls.insert(number, crl);
    }
    crls
}

/// The journal is one chain that leads to the head.
fn chain_is_intact(site: &Site) -> u64 {
    let ca = site.ca();
    block_on(rescind::facade::stories::replicate::level(&ca, None))
        .unwrap_or_else(|error| panic!("{error}"))
        .head()
        .seq
}

#[test]
fn eight_processes_revoking_at_once_lose_nothing() {
    const PROCESSES: usize = 8;
    const EACH: usize = 6;
    let site = Site::new();
    let serial = |process: usize, at: usize| format!("{:04x}", 0x1000 * (process + 1) + at);
    thread::scope(|scope| {
        for process in 0..PROCESSES {
            let site = &site;
            scope.spawn(move || {
                for at in 0..EACH {
                    // Every process also revokes one that all the others revoke.
                    let own = serial(process, at);
                    let args = [
                        "revoke", "--issuer", ISSUER, "--serial", &own, "--serial", "ff",
                    ];
                    site.ok(&[&args[..], &["--reason", "superseded"]].concat());
                }
            });
        }
    });
    assert_eq!(site.export().lines().count(), PROCESSES * EACH + 1);
    for process in 0..PROCESSES {
        for at in 0..EACH {
            assert_eq!(site.row(&serial(process, at)).unwrap()["state"], "revoked");
        }
    }
    // One change set for each call, and no two with one number.
    assert_eq!(chain_is_intact(&site), (PROCESSES * EACH) as u64);
    assert_eq!(
        site.ok(&["log", "--issuer", ISSUER]).stdout.lines().count(),
        PROCESSES * EACH
    );
    site.publish(&[]);
    assert_eq!(site.crl().list().len(), PROCESSES * EACH + 1);
}

#[test]
fn crl_number_rises_after_a_lost_race_and_no_two_crls_share_one() {
    let site = Site::new();
    site.revoke("0b", "superseded");
    site.publish(&[]);
    let mut last = site.crl().number();
    let mut seen = site.archive().len();
    for _ in 0..3 {
        let passes: Vec<_> = (0..6)
            .map(|_| site.spawn(&["publish", "--force", "--json"]))
            .collect();
        let outputs: Vec<_> = passes.into_iter().map(finish).collect();
        let lines = outputs.iter().map(|output| {
            assert_eq!(output.code, 0, "losing a race is no failure: {output:?}");
            output.json()["issuers"][0].clone()
        });
        let lines: Vec<_> = lines.collect();
        let published: Vec<_> = lines
            .iter()
            .filter(|line| line["published"] == true)
            .collect();
        let count = published.len();
        let published: BTreeSet<_> = published
            .iter()
            .map(|line| line["crl_number"].as_u64().unwrap())
            .collect();
        assert_eq!(published.len(), count, "two share a number: {lines:?}");
        // Who lost the race for the number signed nothing; who lost the one for the shelf left an
        // archive copy.
        let archive = archive_verifies(&site);
        assert!((seen + count..=seen + lines.len()).contains(&archive.len()));
        let shelf = site.crl();
        assert!(
            published.contains(&shelf.number()),
            "{} is not one of {published:?}",
            shelf.number()
        );
        assert!(shelf.number() > last);
        (last, seen) = (shelf.number(), archive.len());
    }
    // Whatever was left on the shelf, the next pass is above everything in the archive.
    let highest = *site.archive().last_key_value().unwrap().0;
    site.publish(&["--force"]);
    assert!(site.crl().number() > highest);
    assert_eq!(
        site.json(&["status"])["issuers"][0]["problems"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
}

/// A shelf that a reader sees is always one whole CRL, and its number never falls.
#[test]
fn readers_see_whole_crls_with_rising_numbers_while_many_publish() {
    let site = Site::new();
    site.publish(&[]);
    let mut last = 0;
    let mut passes: Vec<_> = (0..5)
        .map(|_| site.spawn(&["publish", "--force"]))
        .collect();
    let mut looks = 0;
    while passes
        .iter_mut()
        .any(|pass| pass.try_wait().unwrap().is_none())
        || looks == 0
    {
        let number = Crl::read(&site.crl_bytes()).number();
        assert!(number >= last, "the shelf went from {last} to {number}");
        last = number;
        looks += 1;
    }
}

/// A pseudo-random sequence that is the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// How long a command takes here, so that kills come at all of its moments.
fn duration(site: &Site, args: &[&str]) -> u64 {
    let start = std::time::Instant::now();
    site.ok(args);
    start.elapsed().as_micros() as u64
}

#[test]
fn processes_killed_at_any_moment_lose_nothing_and_the_next_pass_repairs() {
    let site = Site::new();
    let publish = ["publish", "--force", "--json"];
    let publishing = duration(&site, &publish);
    let revoking = duration(
        &site,
        &[
            "revoke",
            "--issuer",
            ISSUER,
            "--serial",
            "0a",
            "--reason",
            "superseded",
        ],
    );
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut acknowledged = vec!["0A".to_owned()];
    let mut last = site.crl().number();
    for round in 0..40u32 {
        let serial = format!("{:04X}", 0x1000 + round);
        let revoke = [
            "revoke",
            "--issuer",
            ISSUER,
            "--serial",
            &serial,
            "--reason",
            "superseded",
        ];
        let (mut revoker, mut publisher) = (site.spawn(&revoke), site.spawn(&publish));
        thread::sleep(Duration::from_micros(
            dice.roll(revoking.min(publishing) * 3 / 2),
        ));
        revoker.kill().unwrap();
        thread::sleep(Duration::from_micros(dice.roll(publishing)));
        publisher.kill().unwrap();
        if finish(revoker).code == 0 {
            acknowledged.push(serial);
        }
        finish(publisher);
        // What relying parties see is whole and never older.
        let shelf = site.crl();
        assert!(
            shelf.number() >= last,
            "round {round}: the shelf went from {last} to {}",
            shelf.number()
        );
        last = shelf.number();
    }
    let output = site.ok(&["publish", "--json"]);
    let highest = *archive_verifies(&site).last_key_value().unwrap().0;
    assert_eq!(site.crl().number(), highest, "{output:?}");
    chain_is_intact(&site);
    let listed = site.crl().serials();
    let missing: Vec<_> = acknowledged
        .iter()
        .filter(|serial| !listed.contains(serial))
        .collect();
    assert!(missing.is_empty(), "acknowledged and lost: {missing:?}");
    assert_eq!(
        site.publish(&[])["published"],
        false,
        "nothing is left to repair"
    );
    let status = site.run(&["status"]);
    assert_eq!(status.code, 0, "{status:?}");
    assert!(der::seconds(&site.crl().next_update.1) > crate::support::now());
    no_temporary_files(&site);
}

/// What killed processes left half-written does not pile up for ever where relying parties look.
fn no_temporary_files(site: &Site) {
    let visible = fs::read_dir(site.path("data/shelf"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let visible: BTreeSet<_> = visible.map(|name| name.into_string().unwrap()).collect();
    let visible: Vec<_> = visible
        .into_iter()
        .filter(|name| !name.starts_with('.'))
        .collect();
    let expected = [".cer", ".crl", ".crl.pem"].map(|suffix| format!("{ISSUER}{suffix}"));
    assert_eq!(visible, expected);
}

#[test]
fn server_killed_while_it_publishes_leaves_a_whole_shelf() {
    let site = Site::new();
    site.publish(&[]);
    let mut dice = Dice(7);
    for round in 0..5u32 {
        site.revoke(&format!("{:04x}", 0x1000 + round), "superseded");
        let mut server = site.serve_with(&[]);
        thread::sleep(Duration::from_millis(dice.roll(60)));
        server.child.kill().unwrap();
        drop(server);
        site.crl();
    }
    site.publish(&[]);
    assert_eq!(site.crl().list().len(), 5);
    archive_verifies(&site);
    chain_is_intact(&site);
}
