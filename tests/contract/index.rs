//! The index: commits, journal, rows, scopes.

use futures::future::join_all;
use rescind::facade::{
    ca::Ca,
    core::{
        chain::Chain,
        crl::scope::{Scope, Shard},
        digest::Digest,
        journal::change_set::{ChangeSet, Head, Linked, MAX_CHANGES, MAX_TEXT},
        revocation::{Change, Event, Listing, Reason, Status},
        serial::{CrlNumber, Serial},
        time::Timestamp,
    },
    store::{
        Version, Versioned,
        error::ErrorKind,
        index::{Commit, Published, ScopeRow},
    },
    stories::revoke::{Author, remark},
};

use super::place::{Place, level};
use crate::support::at;

fn serial(number: u64) -> Serial {
    Serial::from_hex(&format!("{number:06x}")).unwrap()
}

fn revoked(number: u64) -> Status {
    Status::listed(
        serial(number),
        listing(Some(Reason::KeyCompromise)),
        None,
        0,
    )
}

fn listing(reason: Option<Reason>) -> Listing {
    Listing {
        at: at(1_700_000_000),
        reason,
        invalidity_date: None,
    }
}

fn genesis(ca: &Ca) -> Head {
    Head::genesis(&ca.issuer.spki_hash())
}

/// The commit that follows `head` and revokes these.
fn after(head: &Head, statuses: &[Status]) -> Commit {
    with_texts(head, statuses, "ada@contoso.example", "lost")
}

fn with_texts(head: &Head, statuses: &[Status], actor: &str, comment: &str) -> Commit {
    let seq = head.seq + 1;
    let changes: Vec<_> = statuses
        .iter()
        .map(|status| Change {
            event: Event::Revoked,
            status: status.with_seq(seq),
        })
        .collect();
    let mut counts = head.counts;
    changes
        .iter()
        .for_each(|change| counts.change(None, change.status.state()));
    let (actor, comment) = (actor.to_owned(), comment.to_owned());
    let set = ChangeSet {
        seq,
        at: at(1_750_000_000),
        actor,
        comment,
        changes,
    };
    let next = head.then(&set, counts);
    Commit {
        linked: Linked {
            set,
            prev: head.hash,
            hash: next.hash,
        },
        head: next,
    }
}

/// Commits that each revoke one more serial, from 1 up; returns the last head.
async fn grow(ca: &Ca, count: u64) -> Head {
    let (mut head, mut version) = (genesis(ca), Version::Absent);
    for number in 1..=count {
        let commit = after(&head, &[revoked(number)]);
        head = commit.head;
        ca.index.commit(&ca.name, commit, version).await.unwrap();
        let found = ca.index.head(&ca.name).await.unwrap().unwrap();
        assert_eq!(found.value, head);
        version = found.version;
    }
    head
}

async fn rows(ca: &Ca, serials: impl IntoIterator<Item = u64>) -> Vec<Status> {
    let serials = serials.into_iter().map(serial).collect();
    let mut found = ca.index.statuses(&ca.name, serials).await.unwrap();
    found.sort_unstable_by_key(|status| *status.serial().octets());
    found
}

pub async fn an_empty_index_has_no_head_no_journal_and_no_rows<P: Place>() {
    let place = P::new();
    let ca = place.ca().await;
    assert_eq!(ca.index.head(&ca.name).await.unwrap(), None);
    assert_eq!(ca.index.journal(&ca.name, 0, 1000).await.unwrap(), []);
    assert_eq!(rows(&ca, [1, 2]).await, []);
    assert_eq!(ca.index.row(&ca.name, Scope::Full).await.unwrap(), None);
    assert_eq!(*level(&ca).await.head(), genesis(&ca));
}

pub async fn a_commit_is_read_back_whole<P: Place>() {
    let place = P::new();
    let ca = place.ca().await;
    let commit = after(&genesis(&ca), &[revoked(1), revoked(2)]);
    ca.index
        .commit(&ca.name, commit.clone(), Version::Absent)
        .await
        .unwrap();
    // Another process sees it.
    let ca = place.ca().await;
    let head = ca.index.head(&ca.name).await.unwrap().unwrap();
    assert_eq!(head.value, commit.head);
    assert_eq!(
        ca.index.journal(&ca.name, 0, 10).await.unwrap(),
        [commit.linked]
    );
    let known = rows(&ca, [1, 2, 3]).await;
    assert_eq!(known, [1, 2].map(|number| revoked(number).with_seq(1)));
    assert_eq!(level(&ca).await.counts().revoked, 2);
}

pub async fn every_field_of_a_status_is_kept<P: Place>() {
    let place = P::new();
    let ca = place.ca().await;
    let end: Timestamp = "9999-12-31T23:59:59Z".parse().unwrap();
    let hold = listing(Some(Reason::CertificateHold));
    let held = Status::listed(serial(1), hold, None, 0);
    let valid = Status::valid(serial(2), Some(end), 0);
    let undetermined = Listing {
        invalidity_date: Some(at(1)),
        ..listing(None)
    };
    let plain = Status::listed(serial(3), undetermined, Some(at(1_800_000_000)), 0);
    let last = Serial::from_hex(&format!("7f{}", "ff".repeat(19))).unwrap();
    let long = Status::listed(last, undetermined, plain.not_after(), 0);
    let reasons = (1..=10)
        .filter_map(Reason::from_code)
        .filter(|reason| *reason != Reason::CertificateHold);
    let others = reasons
        .zip(4..)
        .map(|(reason, number)| Status::listed(serial(number), listing(Some(reason)), None, 0));
    let all: Vec<_> = [held, valid, plain, long]
        .into_iter()
        .chain(others)
        .collect();
    let commit = after(&genesis(&ca), &all);
    ca.index
        .commit(&ca.name, commit.clone(), Version::Absent)
        .await
        .unwrap();
    let serials = all.iter().map(Status::serial).collect();
    let found = ca.index.statuses(&ca.name, serials).await.unwrap();
    assert_eq!(found.len(), all.len());
    for status in &all {
        assert!(found.contains(&status.with_seq(1)), "{status:?}");
    }
    assert_eq!(
        ca.index.journal(&ca.name, 0, 1).await.unwrap(),
        [commit.linked]
    );
    level(&ca).await;
}

pub async fn texts_are_kept_to_the_letter<P: Place>() {
    let place = P::new();
    let ca = place.ca().await;
    let longest = "ü".repeat(MAX_TEXT / 2);
    let texts = [
        "",
        " leading and trailing ",
        "it's \"quoted\" \\ and 'twice'",
        "two\r\nlines\r\n--changeset_rescind--\r\n--batch_rescind--\r\n\r\nHTTP/1.1 500 X",
        "\u{0} \u{1} \u{7f} \u{85} \u{feff} \u{fffd} 😀 żółć",
        "2026-11-24T00:00:00Z",
        longest.as_str(),
    ];
    let (mut head, mut version) = (genesis(&ca), Version::Absent);
    for (text, number) in texts.iter().zip(1..) {
        let commit = with_texts(
            &head,
            &[revoked(number)],
            &format!("actor {text}").replace(&longest, "x"),
            text,
        );
        head = commit.head;
        ca.index
            .commit(&ca.name, commit.clone(), version)
            .await
            .unwrap();
        version = ca.index.head(&ca.name).await.unwrap().unwrap().version;
        assert_eq!(
            ca.index.journal(&ca.name, number - 1, 1).await.unwrap(),
            [commit.linked],
            "{text:?}"
        );
    }
    assert_eq!(*level(&ca).await.head(), head);
}

pub async fn a_full_change_set_fits_one_commit<P: Place>() {
    let place = P::new();
    let ca = place.ca().await;
    let all: Vec<_> = (1..=MAX_CHANGES as u64).map(revoked).collect();
    let longest = "\u{1}".repeat(MAX_TEXT);
    let commit = with_texts(&genesis(&ca), &all, &longest, &longest);
    ca.index
        .commit(&ca.name, commit.clone(), Version::Absent)
        .await
        .unwrap();
    assert_eq!(
        ca.index.journal(&ca.name, 0, 10).await.unwrap(),
        [commit.linked]
    );
    assert_eq!(
        rows(&ca, 1..=MAX_CHANGES as u64 + 5).await.len(),
        MAX_CHANGES
    );
}

pub async fn a_commit_under_a_stale_head_conflicts_and_changes_nothing<P: Place>() {
    let place = P::new();
    let ca = place.ca().await;
    let first = after(&genesis(&ca), &[revoked(1)]);
    ca.index
        .commit(&ca.name, first.clone(), Version::Absent)
        .await
        .unwrap();
    let stale = ca.index.head(&ca.name).await.unwrap().unwrap().version;
    let second = after(&first.head, &[revoked(2)]);
    ca.index
        .commit(&ca.name, second.clone(), stale.clone())
        .await
        .unwrap();
    for (expected, head) in [
        (stale, first.head),
        (Version::Absent, genesis(&ca)),
        (Version::Absent, second.head),
    ] {
        let late = after(&head, &[revoked(3)]);
        let error = ca.index.commit(&ca.name, late, expected).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Conflict, "{error}");
    }
    assert_eq!(
        ca.index.head(&ca.name).await.unwrap().unwrap().value,
        second.head
    );
    assert_eq!(
        ca.index.journal(&ca.name, 0, 10).await.unwrap(),
        [first.linked, second.linked]
    );
    assert_eq!(rows(&ca, [3]).await, []);
}

/// The head is as expected, but the change set's place is taken: head and rows must stay, too.
pub async fn a_commit_that_fails_in_one_row_changes_no_other<P: Place>() {
    let place = P::new();
    let ca = place.ca().await;
    let first = after(&genesis(&ca), &[revoked(1)]);
    ca.index
        .commit(&ca.name, first.clone(), Version::Absent)
        .await
        .unwrap();
    let version = ca.index.head(&ca.name).await.unwrap().unwrap().version;
    let again = after(&genesis(&ca), &[revoked(1), revoked(2)]);
    assert_eq!(again.linked.set.seq, 1);
    ca.index
        .commit(&ca.name, again, version.clone())
        .await
        .unwrap_err();
    assert_eq!(
        ca.index.head(&ca.name).await.unwrap().unwrap(),
        Versioned {
            value: first.head,
            version
        }
    );
    assert_eq!(
        ca.index.journal(&ca.name, 0, 10).await.unwrap(),
        [first.linked]
    );
    assert_eq!(rows(&ca, [1, 2]).await.len(), 1);
}

pub async fn one_of_many_commits_at_once_wins<P: Place>() {
    let place = P::new();
    let ca = place.ca().await;
    let head = grow(&ca, 1).await;
    let version = ca.index.head(&ca.name).await.unwrap().unwrap().version;
    let commits = (10..18).map(|number| {
        let commit = after(&head, &[revoked(number)]);
        let (ca, version) = (ca.clone(), version.clone());
        async move { ca.index.commit(&ca.name, commit, version).await }
    });
    let results = join_all(commits).await;
    let lost = results.iter().filter_map(|result| result.as_ref().err());
    let lost: Vec<_> = lost.map(|error| error.kind).collect();
    assert_eq!(lost, [ErrorKind::Conflict; 7]);
    assert_eq!(rows(&ca, 10..18).await.len(), 1);
    assert_eq!(level(&ca).await.head().seq, 2);
}

pub async fn the_journal_comes_in_order_and_within_its_limit<P: Place>() {
    let place = P::new();
    let ca = place.ca().await;
    grow(&ca, 12).await;
    for (from, limit, expected) in [
        (0, 100, 1..=12),
        (0, 5, 1..=5),
        (4, 5, 5..=9),
        (11, 5, 12..=12),
        (3, 1, 4..=4),
    ] {
        let sets = ca.index.journal(&ca.name, from, limit).await.unwrap();
        let seqs: Vec<_> = sets.iter().map(|linked| linked.set.seq).collect();
        assert_eq!(seqs, expected.collect::<Vec<u64>>(), "from {from}, {limit}");
    }
    assert_eq!(ca.index.journal(&ca.name, 12, 5).await.unwrap(), []);
    assert_eq!(ca.index.journal(&ca.name, 1000, 5).await.unwrap(), []);
}

pub async fn the_journal_is_read_past_a_thousand_change_sets<P: Place>() {
    let place = P::new();
    let ca = place.ca().await;
    let head = grow(&ca, 1030).await;
    let seqs = |sets: Vec<Linked>| sets.iter().map(|linked| linked.set.seq).collect::<Vec<_>>();
    assert_eq!(
        seqs(ca.index.journal(&ca.name, 0, 1024).await.unwrap()),
        (1..=1024).collect::<Vec<_>>()
    );
    assert_eq!(
        seqs(ca.index.journal(&ca.name, 1024, 1024).await.unwrap()),
        (1025..=1030).collect::<Vec<_>>()
    );
    let replica = level(&ca).await;
    assert_eq!((replica.head(), replica.counts().revoked), (&head, 1030));
}

pub async fn a_change_set_without_changes_and_texts_is_kept<P: Place>() {
    let place = P::new();
    let ca = place.ca().await;
    grow(&ca, 1).await;
    let author = Author {
        actor: "ada@contoso.example".to_owned(),
        comment: "scope_changed accepted".to_owned(),
    };
    assert_eq!(remark(&ca, &author, at(1_760_000_000)).await.unwrap(), 2);
    let nobody = Author {
        actor: String::new(),
        comment: String::new(),
    };
    assert_eq!(remark(&ca, &nobody, at(1_760_000_001)).await.unwrap(), 3);
    // Another process sees them, and can chain them.
    let ca = place.ca().await;
    let sets = ca.index.journal(&ca.name, 1, 10).await.unwrap();
    let told: Vec<_> = sets
        .iter()
        .map(|linked| (linked.set.actor.as_str(), linked.set.comment.as_str()))
        .collect();
    assert_eq!(
        told,
        [("ada@contoso.example", "scope_changed accepted"), ("", "")]
    );
    assert!(sets.iter().all(|linked| linked.set.changes.is_empty()));
    let replica = level(&ca).await;
    assert_eq!(
        (
            replica.head().seq,
            replica.counts().revoked,
            replica.crl_seq()
        ),
        (3, 1, 1)
    );
}

pub async fn rows_come_in_order_of_serial_and_within_their_limit<P: Place>() {
    let place = P::new();
    let ca = place.ca().await;
    assert_eq!(ca.index.rows(&ca.name, None, 10).await.unwrap(), []);
    let last = Serial::from_hex(&format!("7f{}", "ff".repeat(19))).unwrap();
    let long = Status::listed(last, listing(None), None, 0);
    // Neither in the order of numbers, nor in that of the texts without their zeros.
    let statuses = [
        revoked(0x0a00),
        long,
        revoked(0x9),
        revoked(0xff),
        revoked(0x0100),
    ];
    let commit = after(&genesis(&ca), &statuses);
    ca.index
        .commit(&ca.name, commit, Version::Absent)
        .await
        .unwrap();
    let mut sorted = statuses.map(|status| status.with_seq(1));
    sorted.sort_unstable_by_key(Status::serial);
    assert_eq!(ca.index.rows(&ca.name, None, 10).await.unwrap(), sorted);
    assert_eq!(ca.index.rows(&ca.name, None, 2).await.unwrap(), sorted[..2]);
    assert_eq!(
        ca.index
            .rows(&ca.name, Some(sorted[1].serial()), 2)
            .await
            .unwrap(),
        sorted[2..4]
    );
    // It need not be there itself.
    assert_eq!(
        ca.index
            .rows(&ca.name, Some(serial(0x0a01)), 10)
            .await
            .unwrap(),
        sorted[4..]
    );
    assert_eq!(
        ca.index
            .rows(&ca.name, Some(sorted[4].serial()), 10)
            .await
            .unwrap(),
        []
    );
    let other = format!("{}-2", ca.name);
    assert_eq!(ca.index.rows(&other, None, 10).await.unwrap(), []);
}

pub async fn rows_are_listed_past_a_thousand<P: Place>() {
    let place = P::new();
    let ca = place.ca().await;
    let (mut head, mut version) = (genesis(&ca), Version::Absent);
    for numbers in (1..=1100).collect::<Vec<_>>().chunks(MAX_CHANGES) {
        let commit = after(
            &head,
            &numbers.iter().copied().map(revoked).collect::<Vec<_>>(),
        );
        head = commit.head;
        ca.index.commit(&ca.name, commit, version).await.unwrap();
        version = ca.index.head(&ca.name).await.unwrap().unwrap().version;
    }
    let serials = |rows: Vec<Status>| rows.iter().map(Status::serial).collect::<Vec<_>>();
    let all: Vec<_> = (1..=1100).map(serial).collect();
    assert_eq!(
        serials(ca.index.rows(&ca.name, None, 1050).await.unwrap()),
        all[..1050]
    );
    assert_eq!(
        serials(
            ca.index
                .rows(&ca.name, Some(all[1049]), 1050)
                .await
                .unwrap()
        ),
        all[1050..]
    );
}

pub async fn a_row_under_a_key_that_is_no_serials_is_an_error<P: Place>() {
    let place = P::new();
    let ca = place.ca().await;
    grow(&ca, 1).await;
    place.copy_status(&serial(1), "s.000001");
    let error = ca.index.rows(&ca.name, None, 10).await.unwrap_err();
    let error = Chain(&error).to_string();
    assert!(error.contains("\"s.000001\""), "{error}");
}

pub async fn issuers_do_not_see_each_other<P: Place>() {
    let place = P::new();
    let ca = place.ca().await;
    let mut other = ca.clone();
    other.name = format!("{}-2", ca.name);
    grow(&ca, 2).await;
    assert_eq!(other.index.head(&other.name).await.unwrap(), None);
    assert_eq!(other.index.journal(&other.name, 0, 10).await.unwrap(), []);
    assert_eq!(rows(&other, [1, 2]).await, []);
    grow(&other, 3).await;
    assert_eq!(ca.index.journal(&ca.name, 0, 10).await.unwrap().len(), 2);
    assert_eq!(rows(&ca, [3]).await, []);
}

pub async fn a_scope_row_is_replaced_only_as_it_was_read<P: Place>() {
    let place = P::new();
    let ca = place.ca().await;
    let number = |number| ScopeRow {
        number: CrlNumber::known(number),
        published: None,
    };
    let first = ca
        .index
        .put_row(&ca.name, Scope::Full, number(7), Version::Absent)
        .await
        .unwrap();
    assert_eq!(
        ca.index.row(&ca.name, Scope::Full).await.unwrap(),
        Some(Versioned {
            value: number(7),
            version: first.clone()
        })
    );
    let shard = Scope::Shard(Shard::all(16).next().unwrap());
    assert_eq!(ca.index.row(&ca.name, shard).await.unwrap(), None);
    let published = Published {
        seq: 3,
        hash: genesis(&ca).hash,
        sha256: Digest::of(b"a CRL"),
        this_update: at(1_700_000_000),
        next_update: at(1_700_600_000),
        published_at: at(1_700_000_001),
    };
    let row = ScopeRow {
        number: CrlNumber::known(i64::MAX as u64),
        published: Some(published),
    };
    let second = ca
        .index
        .put_row(&ca.name, Scope::Full, row, first.clone())
        .await
        .unwrap();
    for stale in [first, Version::Absent] {
        let error = ca
            .index
            .put_row(&ca.name, Scope::Full, number(9), stale)
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::Conflict, "{error}");
    }
    assert_eq!(
        ca.index.row(&ca.name, Scope::Full).await.unwrap(),
        Some(Versioned {
            value: row,
            version: second.clone()
        })
    );
    ca.index
        .put_row(&ca.name, shard, number(1), Version::Absent)
        .await
        .unwrap();
    ca.index
        .put_row(&ca.name, Scope::Full, number(8), second)
        .await
        .unwrap();
    assert_eq!(
        ca.index
            .row(&ca.name, Scope::Full)
            .await
            .unwrap()
            .unwrap()
            .value,
        number(8)
    );
    assert_eq!(
        ca.index.row(&ca.name, shard).await.unwrap().unwrap().value,
        number(1)
    );
}

pub async fn one_of_many_numbers_at_once_is_reserved<P: Place>() {
    let place = P::new();
    let ca = place.ca().await;
    let row = |number| ScopeRow {
        number: CrlNumber::known(number),
        published: None,
    };
    let mut version = Version::Absent;
    for round in 0..3 {
        let all = (0..8).map(|at| {
            let (ca, version) = (ca.clone(), version.clone());
            async move {
                ca.index
                    .put_row(&ca.name, Scope::Full, row(100 * (round + 1) + at), version)
                    .await
            }
        });
        let won: Vec<_> = join_all(all)
            .await
            .into_iter()
            .filter_map(Result::ok)
            .collect();
        assert_eq!(won.len(), 1, "round {round}");
        let found = ca.index.row(&ca.name, Scope::Full).await.unwrap().unwrap();
        assert_eq!(found.version, won[0]);
        version = found.version;
    }
}
