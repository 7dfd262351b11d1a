//! A change set's stored form: what is read is written again as it was; and the checkpoint of what
//! was read has it all.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use rescind::facade::core::{
    digest::Digest,
    journal::{
        change_set::{ChainHash, ChangeSet, Linked},
        checkpoint,
        replica::Fold,
    },
    time::Timestamp,
};

const KEY: Digest = Digest::from_octets([9; 32]);

fuzz_target!(|bytes: &[u8]| {
    let (seq, stored) = bytes.split_at(bytes.len().min(8));
    let seq = seq
        .iter()
        .fold(0, |seq, &octet| seq << 8 | u64::from(octet));
    let Ok(changes) = ChangeSet::decode_changes(seq, stored) else {
        return;
    };
    let (at, actor, comment) = (Timestamp::EPOCH, String::new(), String::new());
    let set = ChangeSet {
        seq,
        at,
        actor,
        comment,
        changes,
    };
    assert_eq!(set.encode_changes(), stored);
    if seq == 1 {
        kept(set);
    }
});

/// The first change set of a journal, by way of a replica and its checkpoint.
fn kept(set: ChangeSet) {
    let serials: BTreeSet<_> = set
        .changes
        .iter()
        .map(|change| *change.status.serial().octets())
        .collect();
    let prev = ChainHash::genesis(&KEY);
    let hash = prev.then(&set);
    let mut fold = Fold::new(&KEY);
    fold.read(&[Linked { set, prev, hash }])
        .expect("it is linked to the beginning");
    let rows: Vec<_> = fold.rows().copied().collect();
    assert!(rows.iter().map(|row| *row.serial().octets()).eq(serials));
    // A head is level with it by definition, whatever the counts; they are the rows'.
    let mut head = rescind::facade::core::journal::change_set::Head::genesis(&KEY);
    (head.seq, head.hash) = (fold.seq(), fold.hash());
    rows.iter()
        .for_each(|row| head.counts.change(None, row.state()));
    let replica = fold.level(&head).expect("counts are those of the rows");
    let written = checkpoint::write(&replica, &KEY).expect("every time fits");
    let read = checkpoint::read(&written, &KEY).expect("it was just written");
    assert!(read.rows().eq(replica.rows()));
    assert_eq!((read.seq(), read.hash()), (head.seq, head.hash));
    let again = read.level(&head).expect("it has the same counts");
    assert_eq!(
        (again.crl_seq(), again.released()),
        (replica.crl_seq(), replica.released())
    );
}
