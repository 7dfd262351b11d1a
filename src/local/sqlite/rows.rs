//! Rows as the table's columns, written and read.
//!
//! *Warning:* stored state.

use rusqlite::{OptionalExtension, Row, Transaction, params, types::ValueRef};

use super::failure;
use crate::{
    core::{
        digest::Digest,
        journal::change_set::{ChainHash, ChangeSet, Counts, Head, Linked},
        revocation::{Reason, State, Status, StatusFields},
        serial::{CrlNumber, Serial},
        time::Timestamp,
    },
    store::{
        Version,
        index::{CheckpointRow, Published, ScopeRow},
        row_key,
    },
};

/// Where a row is.
pub(super) struct Place {
    pub(super) issuer: String,
    pub(super) key: String,
}

impl Place {
    pub(super) fn new(issuer: &str, key: impl Into<String>) -> Self {
        Self {
            issuer: issuer.to_owned(),
            key: key.into(),
        }
    }
}

/// Reads what [`head`] takes apart.
pub(super) const HEAD: &str =
    "SELECT Seq, Hash, Revoked, Held, Valid, UpdatedAt, Version FROM revocations
     WHERE PartitionKey = ?1 AND RowKey = ?2";

/// Reads what [`scope`] and [`checkpoint`] take apart.
pub(super) const SCOPE: &str =
    "SELECT Number, Seq, Hash, Sha256, ThisUpdate, NextUpdate, PublishedAt, Version
     FROM revocations WHERE PartitionKey = ?1 AND RowKey = ?2";

const PUT_SCOPE: &str = "
    INSERT OR REPLACE INTO revocations
        (PartitionKey, RowKey, Version, Number, Seq, Hash, Sha256,
         ThisUpdate, NextUpdate, PublishedAt)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

/// The version that a row gets next, if it is now `expected`.
pub(super) fn next_version(
    transaction: &Transaction<'_>,
    place: &Place,
    expected: &Version,
) -> Result<Option<i64>, rusqlite::Error> {
    let sql = "SELECT Version FROM revocations WHERE PartitionKey = ?1 AND RowKey = ?2";
    let found: Option<i64> = transaction
        .query_row(sql, [&place.issuer, &place.key], |row| row.get(0))
        .optional()?;
    Ok(match (found, expected) {
        (None, Version::Absent) => Some(1),
        (Some(found), Version::At(expected)) if found.to_string() == *expected => Some(found + 1),
        _ => None,
    })
}

pub(super) fn put_change(
    transaction: &Transaction<'_>,
    issuer: &str,
    linked: &Linked,
) -> Result<(), rusqlite::Error> {
    let sql = "INSERT INTO revocations (PartitionKey, RowKey, Version, Hash, Prev, At, Actor, \
               Comment, Changes, Count)
               VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let set = &linked.set;
    transaction.prepare_cached(sql)?.execute(params![
        issuer,
        row_key::change(set.seq),
        linked.hash.to_string(),
        linked.prev.to_string(),
        set.at.seconds(),
        set.actor,
        set.comment,
        set.encode_changes(),
        set.changes.len() as i64,
    ])?;
    Ok(())
}

pub(super) fn put_head(
    transaction: &Transaction<'_>,
    place: &Place,
    next: i64,
    head: &Head,
) -> Result<(), rusqlite::Error> {
    let sql = "INSERT OR REPLACE INTO revocations
               (PartitionKey, RowKey, Version, Seq, Hash, Revoked, Held, Valid, UpdatedAt)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let Counts {
        revoked,
        held,
        valid,
    } = head.counts;
    let updated_at = head.updated_at.map(Timestamp::seconds);
    let hash = head.hash.to_string();
    transaction.prepare_cached(sql)?.execute(params![
        place.issuer,
        place.key,
        next,
        head.seq,
        hash,
        revoked,
        held,
        valid,
        updated_at
    ])?;
    Ok(())
}

pub(super) fn put_scope(
    transaction: &Transaction<'_>,
    place: &Place,
    next: i64,
    row: &ScopeRow,
) -> Result<(), rusqlite::Error> {
    let number = i64::try_from(row.number.get()).map_err(|error| failure(Box::new(error)))?;
    let last = row.published.as_ref();
    transaction.prepare_cached(PUT_SCOPE)?.execute(params![
        place.issuer,
        place.key,
        next,
        number,
        last.map(|last| last.seq),
        last.map(|last| last.hash.to_string()),
        last.map(|last| last.sha256.to_string()),
        last.map(|last| last.this_update.seconds()),
        last.map(|last| last.next_update.seconds()),
        last.map(|last| last.published_at.seconds()),
    ])?;
    Ok(())
}

/// A checkpoint's row has the columns of a CRL's: `Number` is that of the one before it, 0 for
/// none, and all three times are that of its making.
pub(super) fn put_checkpoint(
    transaction: &Transaction<'_>,
    place: &Place,
    next: i64,
    row: &CheckpointRow,
) -> Result<(), rusqlite::Error> {
    let written_at = row.written_at.seconds();
    transaction.prepare_cached(PUT_SCOPE)?.execute(params![
        place.issuer,
        place.key,
        next,
        row.before.unwrap_or(0),
        row.seq,
        row.hash.to_string(),
        row.sha256.to_string(),
        written_at,
        written_at,
        written_at,
    ])?;
    Ok(())
}

pub(super) fn put_status(
    transaction: &Transaction<'_>,
    issuer: &str,
    status: &Status,
) -> Result<(), rusqlite::Error> {
    let sql = "INSERT INTO revocations
               (PartitionKey, RowKey, Version, State, RevokedAt, Reason, InvalidityDate, NotAfter, \
               Seq)
               VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6, ?7, ?8)
               ON CONFLICT DO UPDATE SET Version = Version + 1, State = ?3, RevokedAt = ?4, Reason \
               = ?5,
               InvalidityDate = ?6, NotAfter = ?7, Seq = ?8";
    let seconds = |time: Option<Timestamp>| time.map(Timestamp::seconds);
    transaction.prepare_cached(sql)?.execute(params![
        issuer,
        row_key::status(&status.serial()),
        status.state().name(),
        seconds(status.revoked_at()),
        status.reason().map(Reason::name),
        seconds(status.invalidity_date()),
        seconds(status.not_after()),
        status.seq(),
    ])?;
    Ok(())
}

pub(super) fn version(row: &Row<'_>) -> Result<Version, rusqlite::Error> {
    Ok(Version::At(row.get::<_, i64>("Version")?.to_string()))
}

fn damaged(column: &str) -> rusqlite::Error {
    failure(format!("the column {column} of a row is damaged").into())
}

fn hash(row: &Row<'_>, at: usize) -> Result<ChainHash, rusqlite::Error> {
    ChainHash::from_hex(&row.get::<_, String>(at)?).ok_or_else(|| damaged("Hash"))
}

fn digest(row: &Row<'_>, at: usize) -> Result<Digest, rusqlite::Error> {
    Ok(Digest::stored(&row.get::<_, String>(at)?))
}

fn time(row: &Row<'_>, at: usize) -> Result<Option<Timestamp>, rusqlite::Error> {
    let seconds: Option<u64> = row.get(at)?;
    seconds
        .map(|seconds| Timestamp::from_seconds(seconds).ok_or_else(|| damaged("of a time")))
        .transpose()
}

fn needed_time(row: &Row<'_>, at: usize) -> Result<Timestamp, rusqlite::Error> {
    time(row, at)?.ok_or_else(|| damaged("of a time"))
}

pub(super) fn head(row: &Row<'_>) -> Result<Head, rusqlite::Error> {
    let counts = Counts {
        revoked: row.get(2)?,
        held: row.get(3)?,
        valid: row.get(4)?,
    };
    Ok(Head {
        seq: row.get(0)?,
        hash: hash(row, 1)?,
        counts,
        updated_at: time(row, 5)?,
    })
}

pub(super) fn linked(row: &Row<'_>) -> Result<Linked, rusqlite::Error> {
    let key: String = row.get(0)?;
    let seq: u64 = key
        .get(2..)
        .and_then(|seq| seq.parse().ok())
        .ok_or_else(|| damaged("RowKey"))?;
    let changes = row.get_ref(6)?.as_blob().map_err(|_| damaged("Changes"))?;
    let changes =
        ChangeSet::decode_changes(seq, changes).map_err(|error| failure(Box::new(error)))?;
    let set = ChangeSet {
        seq,
        at: needed_time(row, 3)?,
        actor: row.get(4)?,
        comment: row.get(5)?,
        changes,
    };
    Ok(Linked {
        set,
        hash: hash(row, 1)?,
        prev: hash(row, 2)?,
    })
}

pub(super) fn status(row: &Row<'_>, serial: Serial) -> Result<Status, rusqlite::Error> {
    let state: State = row
        .get::<_, String>(0)?
        .parse()
        .map_err(|_| damaged("State"))?;
    let reason: Option<String> = row.get(2)?;
    let reason = reason
        .map(|reason| Reason::parse(&reason))
        .transpose()
        .map_err(|_| damaged("Reason"))?;
    let fields = StatusFields {
        serial,
        state,
        revoked_at: time(row, 1)?,
        reason: reason.flatten(),
        invalidity_date: time(row, 3)?,
        not_after: time(row, 4)?,
        seq: row.get(5)?,
    };
    fields.check().map_err(|error| failure(Box::new(error)))
}

pub(super) fn scope(row: &Row<'_>) -> Result<ScopeRow, rusqlite::Error> {
    let published = match row.get_ref(3)? {
        ValueRef::Null => None,
        _ => Some(Published {
            seq: row.get(1)?,
            hash: hash(row, 2)?,
            sha256: digest(row, 3)?,
            this_update: needed_time(row, 4)?,
            next_update: needed_time(row, 5)?,
            published_at: needed_time(row, 6)?,
        }),
    };
    Ok(ScopeRow {
        number: CrlNumber::known(row.get(0)?),
        published,
    })
}

pub(super) fn checkpoint(row: &Row<'_>) -> Result<CheckpointRow, rusqlite::Error> {
    Ok(CheckpointRow {
        seq: row.get(1)?,
        hash: hash(row, 2)?,
        sha256: digest(row, 3)?,
        before: Some(row.get(0)?).filter(|&before| before > 0),
        written_at: needed_time(row, 6)?,
    })
}
