//! Shelf and archive.

use futures::future::join_all;
use rescind::facade::{
    ca::shelf::Derived,
    core::crl::scope::Scope,
    store::{Version, error::ErrorKind},
};

use super::place::{Place, made};
use crate::support::now;

pub async fn a_crl_is_read_back_with_its_label<P: Place>() {
    let place = P::new();
    let ca = place.ca().await;
    assert!(ca.shelf.current().await.unwrap().is_none());
    assert!(ca.shelf.current_label().await.unwrap().is_none());
    let (crl, label) = made(&ca, now()).await;
    ca.shelf.archive(&crl, label).await.unwrap();
    ca.shelf
        .publish(&crl, label, Version::Absent)
        .await
        .unwrap();
    let ca = place.ca().await;
    assert_eq!(
        ca.shelf.current_label().await.unwrap().as_ref(),
        Some(&label)
    );
    let number = crl.document().number;
    for stored in [
        ca.shelf.current().await.unwrap(),
        ca.shelf.from_archive(Scope::Full, number).await.unwrap(),
    ] {
        let stored = stored.unwrap();
        assert_eq!(
            (stored.bytes.as_slice(), stored.label.as_ref()),
            (crl.bytes(), Some(&label))
        );
        assert!(
            stored
                .modified
                .is_some_and(|time| time.elapsed().is_ok_and(|age| age.as_secs() < 60))
        );
    }
}

pub async fn a_shelf_is_replaced_only_as_it_was_read<P: Place>() {
    let place = P::new();
    let ca = place.ca().await;
    let start = now();
    let mut versions = vec![Version::Absent];
    for round in 0..3 {
        let (crl, label) = made(&ca, start + round).await;
        ca.shelf
            .publish(&crl, label, versions.last().unwrap().clone())
            .await
            .unwrap();
        versions.push(ca.shelf.current().await.unwrap().unwrap().version);
    }
    let before = ca.shelf.current().await.unwrap().unwrap();
    let (late, label) = made(&ca, start + 9).await;
    for stale in &versions[..3] {
        let error = ca
            .shelf
            .publish(&late, label, stale.clone())
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::Conflict, "{error}");
    }
    let after = ca.shelf.current().await.unwrap().unwrap();
    assert_eq!(
        (after.bytes, after.version, after.label),
        (before.bytes, before.version, before.label)
    );
}

pub async fn one_of_many_replacements_at_once_wins<P: Place>() {
    let place = P::new();
    let ca = place.ca().await;
    let start = now();
    for (round, read) in (0..3).zip([true, false, false]) {
        let version = match ca.shelf.current().await.unwrap() {
            Some(stored) => stored.version,
            None => Version::Absent,
        };
        assert_eq!(read, version == Version::Absent);
        let crls = join_all((0..6).map(|at| made(&ca, start + 10 * round + at))).await;
        let all = crls
            .iter()
            .map(|(crl, label)| ca.shelf.publish(crl, *label, version.clone()));
        let results = join_all(all).await;
        let won: Vec<_> = results
            .iter()
            .zip(&crls)
            .filter(|(result, _)| result.is_ok())
            .collect();
        assert_eq!(won.len(), 1, "{results:?}");
        assert!(
            results
                .iter()
                .filter_map(|one| one.as_ref().err())
                .all(|one| one.kind == ErrorKind::Conflict)
        );
        let shelf = ca.shelf.current().await.unwrap().unwrap();
        let (crl, label) = won[0].1;
        assert_eq!(
            (shelf.bytes.as_slice(), shelf.label.as_ref()),
            (crl.bytes(), Some(label))
        );
    }
}

pub async fn an_archive_copy_is_never_overwritten<P: Place>() {
    let place = P::new();
    let ca = place.ca().await;
    let number = now();
    let (first, label) = made(&ca, number).await;
    ca.shelf.archive(&first, label).await.unwrap();
    // ECDSA signatures differ each time, so these are other bytes; their label is another, too.
    let (second, other) = made(&ca, number).await;
    assert_ne!(first.bytes(), second.bytes());
    let error = ca.shelf.archive(&second, other).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict, "{error}");
    assert_eq!(place.archived(number).as_deref(), Some(first.bytes()));
    let stored = ca
        .shelf
        .from_archive(Scope::Full, first.document().number)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (stored.bytes.as_slice(), stored.label),
        (first.bytes(), Some(label))
    );
}

pub async fn an_archive_lists_its_own_numbers_only<P: Place>() {
    let place = P::new();
    let ca = place.ca().await;
    assert_eq!(ca.shelf.archived_numbers(Scope::Full).await.unwrap(), []);
    let start = now();
    for number in [start + 2, start, start + 1] {
        let (crl, label) = made(&ca, number).await;
        ca.shelf.archive(&crl, label).await.unwrap();
    }
    for name in [
        format!("{}-2/7.crl", ca.name),
        format!("{}/notes.txt", ca.name),
        format!("{}/8.crl.bak", ca.name),
    ] {
        place.litter_archive(&name);
    }
    let numbers = ca.shelf.archived_numbers(Scope::Full).await.unwrap();
    let mut numbers: Vec<_> = numbers.into_iter().map(|number| number.get()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [start, start + 1, start + 2]);
}

pub async fn a_label_is_not_believed_of_other_bytes<P: Place>() {
    let place = P::new();
    let ca = place.ca().await;
    let (crl, label) = made(&ca, now()).await;
    ca.shelf
        .publish(&crl, label, Version::Absent)
        .await
        .unwrap();
    let before = ca.shelf.current().await.unwrap().unwrap().version;
    place.alter_shelf(b"other bytes", &label);
    let found = ca.shelf.current().await.unwrap().unwrap();
    assert_eq!(
        (found.bytes.as_slice(), found.label),
        (&b"other bytes"[..], None)
    );
    assert_ne!(found.version, before);
    let error = ca.shelf.publish(&crl, label, before).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict, "{error}");
    ca.shelf.publish(&crl, label, found.version).await.unwrap();
}

pub async fn derived_files_are_written_when_they_differ<P: Place>() {
    let place = P::new();
    let ca = place.ca().await;
    let name = ca.shelf.name(".cer");
    let mut last = None;
    for (bytes, is_new) in [(b"one", true), (b"one", false), (b"two", true)] {
        ca.shelf
            .keep_derived(Derived::Certificate, bytes.to_vec())
            .await
            .unwrap();
        let stored = ca.shelf.store().get(&name).await.unwrap().unwrap();
        assert_eq!(stored.bytes, bytes);
        assert_eq!(last.as_ref() != Some(&stored.version), is_new);
        last = Some(stored.version);
    }
    assert!(
        ca.shelf
            .store()
            .get("nobody/7.crl")
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(ca.shelf.store().list("nobody").await.unwrap(), [""; 0]);
}
