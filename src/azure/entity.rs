//! Rows as Table storage's JSON, and entity group transactions as its multipart bodies. No I/O.
//!
//! *Warning:* stored state. Property names and types are the documented format of the index.

use azure_core::http::Url;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use super::row::{Properties, Row, RowError};
use crate::{
    core::{
        journal::change_set::{ChangeSet, Counts, Head, Linked},
        revocation::{Change, Reason, Status, StatusFields},
        serial::{CrlNumber, Serial},
    },
    store::{
        Version,
        index::{CheckpointRow, Commit, Published, ScopeRow},
        row_key,
    },
};

pub(super) fn head(row: &Map<String, Value>) -> Result<Head, RowError> {
    let row = Row(row);
    let counts = Counts {
        revoked: row.int("Revoked")?,
        held: row.int("Held")?,
        valid: row.int("Valid")?,
    };
    Ok(Head {
        seq: row.int("Seq")?,
        hash: row.hash("Hash")?,
        counts,
        updated_at: row.optional_time("UpdatedAt")?,
    })
}

fn head_row(head: &Head) -> Map<String, Value> {
    let Counts {
        revoked,
        held,
        valid,
    } = head.counts;
    let numbers = [
        ("Seq", head.seq),
        ("Revoked", revoked),
        ("Held", held),
        ("Valid", valid),
    ];
    let row = numbers
        .into_iter()
        .fold(Properties::default(), |row, (name, value)| {
            row.int(name, Some(value))
        });
    row.text("Hash", Some(&head.hash.to_string()))
        .time("UpdatedAt", head.updated_at)
        .0
}

pub(super) fn linked(row: &Map<String, Value>) -> Result<Linked, RowError> {
    let row = Row(row);
    let seq = row.parsed("RowKey", |key| key.strip_prefix("c.")?.parse().ok())?;
    // What is empty may not have been kept; the chain is over these, so nothing can be taken away
    // like this.
    let changes = row.optional("Changes").unwrap_or_default();
    let changes = STANDARD
        .decode(changes)
        .map_err(|_| RowError::Property("Changes".to_owned()))?;
    let changes = ChangeSet::decode_changes(seq, &changes)?;
    let comment = row.optional("Comment").unwrap_or_default().to_owned();
    let actor = row.optional("Actor").unwrap_or_default().to_owned();
    let set = ChangeSet {
        seq,
        at: row.time("At")?,
        actor,
        comment,
        changes,
    };
    Ok(Linked {
        set,
        prev: row.hash("Prev")?,
        hash: row.hash("Hash")?,
    })
}

fn change_row(linked: &Linked) -> Map<String, Value> {
    let set = &linked.set;
    Properties::default()
        .text("Hash", Some(&linked.hash.to_string()))
        .text("Prev", Some(&linked.prev.to_string()))
        .time("At", Some(set.at))
        .text("Actor", Some(&set.actor))
        .text("Comment", Some(&set.comment))
        .typed(
            "Changes",
            Some(STANDARD.encode(set.encode_changes())),
            "Edm.Binary",
        )
        .int("Count", Some(set.changes.len() as u64))
        .0
}

pub(super) fn status(row: &Map<String, Value>, serial: Serial) -> Result<Status, RowError> {
    let row = Row(row);
    let reason = row
        .optional("Reason")
        .map(|_| row.parsed("Reason", |text| Reason::parse(text).ok()))
        .transpose()?;
    let fields = StatusFields {
        serial,
        state: row.parsed("State", |text| text.parse().ok())?,
        revoked_at: row.optional_time("RevokedAt")?,
        reason: reason.flatten(),
        invalidity_date: row.optional_time("InvalidityDate")?,
        not_after: row.optional_time("NotAfter")?,
        seq: row.int("Seq")?,
    };
    Ok(fields.check()?)
}

/// A certificate's row, with the serial number that its key says.
pub(super) fn listed(row: &Map<String, Value>) -> Result<Status, RowError> {
    let key = row
        .get("RowKey")
        .and_then(Value::as_str)
        .unwrap_or_default();
    status(
        row,
        row_key::serial(key).ok_or_else(|| RowError::Key(key.to_owned()))?,
    )
}

fn status_row(status: &Status) -> Map<String, Value> {
    Properties::default()
        .text("State", Some(status.state().name()))
        .time("RevokedAt", status.revoked_at())
        .text("Reason", status.reason().map(Reason::name))
        .time("InvalidityDate", status.invalidity_date())
        .time("NotAfter", status.not_after())
        .int("Seq", Some(status.seq()))
        .0
}

pub(super) fn scope(row: &Map<String, Value>) -> Result<ScopeRow, RowError> {
    let row = Row(row);
    let published = match row.optional("Sha256") {
        None => None,
        Some(_) => Some(Published {
            seq: row.int("Seq")?,
            hash: row.hash("Hash")?,
            sha256: row.digest("Sha256")?,
            this_update: row.time("ThisUpdate")?,
            next_update: row.time("NextUpdate")?,
            published_at: row.time("PublishedAt")?,
        }),
    };
    Ok(ScopeRow {
        number: CrlNumber::known(row.int("Number")?),
        published,
    })
}

pub(super) fn scope_row(row: &ScopeRow) -> Map<String, Value> {
    let last = row.published.as_ref();
    Properties::default()
        .int("Number", Some(row.number.get()))
        .int("Seq", last.map(|last| last.seq))
        .text("Hash", last.map(|last| last.hash.to_string()).as_deref())
        .text(
            "Sha256",
            last.map(|last| last.sha256.to_string()).as_deref(),
        )
        .time("ThisUpdate", last.map(|last| last.this_update))
        .time("NextUpdate", last.map(|last| last.next_update))
        .time("PublishedAt", last.map(|last| last.published_at))
        .0
}

pub(super) fn checkpoint(row: &Map<String, Value>) -> Result<CheckpointRow, RowError> {
    let row = Row(row);
    Ok(CheckpointRow {
        seq: row.int("Seq")?,
        hash: row.hash("Hash")?,
        sha256: row.digest("Sha256")?,
        before: Some(row.int("Number")?).filter(|&before| before > 0),
        written_at: row.time("PublishedAt")?,
    })
}

/// A checkpoint's row has the properties of a CRL's: `Number` is that of the one before it, 0 for
/// none, and all three times are that of its making.
pub(super) fn checkpoint_row(row: &CheckpointRow) -> Map<String, Value> {
    ["ThisUpdate", "NextUpdate", "PublishedAt"]
        .into_iter()
        .fold(Properties::default(), |properties, name| {
            properties.time(name, Some(row.written_at))
        })
        .int("Number", Some(row.before.unwrap_or(0)))
        .int("Seq", Some(row.seq))
        .text("Hash", Some(&row.hash.to_string()))
        .text("Sha256", Some(&row.sha256.to_string()))
        .0
}

/// One write of an entity group transaction.
pub(super) struct Operation {
    pub(super) partition: String,
    pub(super) key: String,
    properties: Map<String, Value>,
    /// What must be there; `None`: whatever it is, it is replaced.
    expected: Option<Version>,
}

impl Operation {
    pub(super) fn new(
        issuer: &str,
        key: &str,
        properties: Map<String, Value>,
        expected: Option<Version>,
    ) -> Self {
        Self {
            partition: issuer.to_owned(),
            key: key.to_owned(),
            properties,
            expected,
        }
    }
}

/// The operations of a commit: head under its version, a new change, status rows whatever they
/// were.
pub(super) fn commit(issuer: &str, commit: &Commit, expected: Version) -> Vec<Operation> {
    let linked = &commit.linked;
    let statuses = linked.set.changes.iter();
    let statuses = statuses.map(|Change { status, .. }| {
        let key = row_key::status(&status.serial());
        Operation::new(issuer, &key, status_row(status), None)
    });
    let change = Operation::new(
        issuer,
        &row_key::change(linked.set.seq),
        change_row(linked),
        Some(Version::Absent),
    );
    [
        Operation::new(
            issuer,
            row_key::HEAD,
            head_row(&commit.head),
            Some(expected),
        ),
        change,
    ]
    .into_iter()
    .chain(statuses)
    .collect()
}

pub(super) const BATCH_TYPE: &str = "multipart/mixed; boundary=batch_rescind";

/// The service's limits for an entity group transaction.
const MAX_OPERATIONS: usize = 100;
const MAX_OCTETS: usize = 4 << 20;

/// The body of an entity group transaction on the table at `base`.
pub(super) fn batch(base: &Url, operations: &[Operation]) -> Result<Vec<u8>, &'static str> {
    let mut keys: Vec<_> = operations.iter().map(|operation| &operation.key).collect();
    keys.sort_unstable();
    if operations.is_empty() || operations.len() > MAX_OPERATIONS {
        return Err("a transaction has 1 to 100 operations");
    }
    if keys.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err("a transaction writes no row twice");
    }
    if operations
        .iter()
        .any(|operation| operation.partition != operations[0].partition)
    {
        return Err("a transaction stays in one partition");
    }
    let mut plain = base.clone();
    plain.set_query(None);
    let mut body =
        "--batch_rescind\r\nContent-Type: multipart/mixed; boundary=changeset_rescind\r\n\r\n"
            .to_owned();
    for operation in operations {
        body.push_str("--changeset_rescind\r\nContent-Type: application/http\r\n");
        body.push_str("Content-Transfer-Encoding: binary\r\n\r\n");
        body.push_str(&request(plain.as_str(), operation));
    }
    body.push_str("--changeset_rescind--\r\n--batch_rescind--\r\n");
    if body.len() > MAX_OCTETS {
        Err("a transaction has at most 4 MiB")
    } else {
        Ok(body.into_bytes())
    }
}

fn request(table: &str, operation: &Operation) -> String {
    let Operation {
        partition,
        key,
        properties,
        expected,
    } = operation;
    let row = format!("{table}(PartitionKey='{partition}',RowKey='{key}')");
    let (method, url, condition) = match expected {
        Some(Version::Absent) => ("POST", table.to_owned(), String::new()),
        Some(Version::At(etag)) => ("PUT", row, format!("If-Match: {etag}\r\n")),
        None => ("PUT", row, String::new()),
    };
    let mut properties = properties.clone();
    properties.insert("PartitionKey".to_owned(), json!(partition));
    properties.insert("RowKey".to_owned(), json!(key));
    let body = Value::Object(properties);
    format!(
        "{method} {url} HTTP/1.1\r\nContent-Type: application/json\r\nAccept: \
         application/json;odata=nometadata\r\n\
         DataServiceVersion: 3.0\r\nPrefer: return-no-content\r\n{condition}\r\n{body}\r\n"
    )
}

/// The status and body of the operation that failed; `None` where all was done.
pub(super) fn batch_failure(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let text = String::from_utf8_lossy(answer);
    let mut parts = text.split("HTTP/1.1 ").skip(1).peekable();
    if parts.peek().is_none() {
        return Some((
            500,
            b"the answer to the transaction cannot be read".to_vec(),
        ));
    }
    parts.find_map(|part| {
        let status: u16 = part.get(..3)?.parse().ok()?;
        let body = part.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        // The boundary stands behind the body.
        let body = body.split("\r\n--").next().unwrap_or_default().trim();
        (status >= 300).then(|| (status, body.as_bytes().to_vec()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{digest::Digest, journal::change_set::ChainHash, time::Timestamp};

    fn operation(key: &str) -> Operation {
        Operation::new("issuing-1", key, Map::new(), None)
    }

    #[test]
    fn a_checkpoints_row_is_read_back_and_has_the_properties_of_a_crls() {
        let row = CheckpointRow {
            seq: 512,
            hash: ChainHash::from_octets([1; 32]),
            sha256: Digest::of(b"a checkpoint"),
            before: Some(256),
            written_at: Timestamp::EPOCH,
        };
        for row in [
            row,
            CheckpointRow {
                before: None,
                ..row
            },
        ] {
            let written = checkpoint_row(&row);
            assert_eq!(checkpoint(&written).unwrap(), row);
            let as_a_crls = scope(&written).unwrap();
            assert_eq!(as_a_crls.number.get(), row.before.unwrap_or(0));
            assert_eq!(scope_row(&as_a_crls), written);
        }
    }

    #[test]
    fn a_row_that_is_no_status_is_an_error_that_names_it() {
        let serial = Serial::from_random([7; 16]);
        let status = Status::valid(serial, None, 1);
        let mut row = status_row(&status);
        assert_eq!(super::status(&row, serial).unwrap(), status);
        row.insert("State".to_owned(), "revoked".into());
        let error = super::status(&row, serial).unwrap_err();
        assert!(
            error.to_string().contains(&format!("status row {serial}")),
            "{error}"
        );
    }

    #[test]
    fn the_services_limits_are_ours() {
        let base = Url::parse("https://a.table.core.windows.net/revocations?sig=x").unwrap();
        let many: Vec<_> = (0..101).map(|at| operation(&at.to_string())).collect();
        assert!(batch(&base, &many).is_err());
        assert!(batch(&base, &[]).is_err());
        assert!(batch(&base, &[operation("a"), operation("a")]).is_err());
        assert!(
            batch(
                &base,
                &[
                    operation("a"),
                    Operation::new("other", "b", Map::new(), None)
                ]
            )
            .is_err()
        );
        let body = String::from_utf8(batch(&base, &many[..100]).unwrap()).unwrap();
        assert!(
            !body.contains("sig=x"),
            "a signature does not belong into the parts"
        );
    }

    #[test]
    fn a_batch_is_never_judged_by_its_outer_status() {
        let done = b"--r\r\nHTTP/1.1 204 No Content\r\nETag: x\r\n\r\n\r\n--r\r\nHTTP/1.1 204 No \
                     Content\r\n\r\n--r--";
        assert_eq!(batch_failure(done), None);
        let failed = b"--r\r\nHTTP/1.1 412 Precondition Failed\r\nContent-Type: \
              application/json\r\n\r\n{\"x\":1}\r\n--r--";
        assert_eq!(batch_failure(failed), Some((412, b"{\"x\":1}".to_vec())));
        assert!(batch_failure(b"<html>").is_some());
    }
}
