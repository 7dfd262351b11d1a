//! The index in a SQLite file. Its one table has the rows and columns of the Azure table, so that
//! either can be read with the other's documentation; times are seconds since 1970.
//!
//! WAL with `synchronous=FULL`: a commit that returned survives the loss of power, and the command
//! line and a running server use the file at once.

mod rows;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rusqlite::{
    Connection, ErrorCode, OptionalExtension, Row, Transaction, TransactionBehavior, params,
};

use crate::{
    core::{
        crl::scope::Scope,
        journal::change_set::{Head, Linked},
        revocation::Status,
        serial::Serial,
    },
    store::{
        Version, Versioned,
        error::{DriverError, ErrorKind},
        index::{CheckpointRow, Commit, ScopeRow},
        row_key,
    },
};

use self::rows::Place;

/// An open index file.
#[derive(Clone, Debug)]
pub struct Sqlite {
    connection: Arc<Mutex<Connection>>,
    path: PathBuf,
}

/// "RSCD": what `file` shows, and what tells our files from other programs'.
const APPLICATION_ID: i32 = 0x5253_4344;
const SCHEMA_VERSION: i32 = 1;
const SCHEMA: &str = "
    CREATE TABLE revocations (
        PartitionKey TEXT NOT NULL, RowKey TEXT NOT NULL, Version INTEGER NOT NULL,
        Seq INTEGER, Hash TEXT, Revoked INTEGER, Held INTEGER, Valid INTEGER, UpdatedAt INTEGER,
        Prev TEXT, At INTEGER, Actor TEXT, Comment TEXT, Changes BLOB, Count INTEGER,
        State TEXT, RevokedAt INTEGER, Reason TEXT, InvalidityDate INTEGER, NotAfter INTEGER,
        Number INTEGER, Sha256 TEXT, ThisUpdate INTEGER, NextUpdate INTEGER, PublishedAt INTEGER,
        PRIMARY KEY (PartitionKey, RowKey)
    ) WITHOUT ROWID";

/// How long to wait for another process's transaction.
const BUSY: Duration = Duration::from_secs(10);

impl Sqlite {
    /// Opens the file, and makes it where there is none.
    pub fn open(path: &Path) -> Result<Self, DriverError> {
        let operation = || format!("open the index {}", path.display());
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|error| DriverError::io(operation(), error))?;
        }
        let connection = Connection::open(path).and_then(|mut connection| {
            prepare(&mut connection)?;
            Ok(connection)
        });
        let connection = connection.map_err(|error| driver_error(operation(), error))?;
        let ours = connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i32>(0));
        match ours.map_err(|error| driver_error(operation(), error))? {
            SCHEMA_VERSION => Ok(Self {
                connection: Arc::new(Mutex::new(connection)),
                path: path.to_owned(),
            }),
            other => Err(DriverError::because(
                operation(),
                ErrorKind::Other,
                format!("its schema is version {other}, and this rescind knows {SCHEMA_VERSION}"),
            )),
        }
    }

    /// Runs `work` on the connection, away from the async threads.
    async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, DriverError> {
        let connection = Arc::clone(&self.connection);
        let operation = format!("{operation} {}", self.path.display());
        let job = super::blocking(move || {
            // A panic elsewhere rolled its transaction back, so the connection is sound.
            work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner))
        });
        match job.await {
            Ok(result) => result.map_err(|error| driver_error(operation, error)),
            Err(error) => Err(DriverError::because(operation, ErrorKind::Other, error)),
        }
    }

    /// The row at a place, which the columns of `sql` tell.
    async fn one<T: Send + 'static>(
        &self,
        operation: &'static str,
        place: Place,
        sql: &'static str,
        read: fn(&Row<'_>) -> Result<T, rusqlite::Error>,
    ) -> Result<Option<Versioned<T>>, DriverError> {
        self.run(operation, move |connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let found = statement.query_row([&place.issuer, &place.key], |row| {
                Ok(Versioned {
                    value: read(row)?,
                    version: rows::version(row)?,
                })
            });
            found.optional()
        })
        .await
    }

    /// Replaces the row at a place by what `put` writes, if it is still `expected`.
    async fn replace<Put>(
        &self,
        operation: &'static str,
        place: Place,
        expected: Version,
        put: Put,
    ) -> Result<Version, DriverError>
    where
        Put: FnOnce(&Transaction<'_>, &Place, i64) -> Result<(), rusqlite::Error> + Send + 'static,
    {
        let done = self.run(operation, move |connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let Some(next) = rows::next_version(&transaction, &place, &expected)? else {
                return Ok(None);
            };
            put(&transaction, &place, next)?;
            transaction.commit()?;
            Ok(Some(Version::At(next.to_string())))
        });
        done.await?.ok_or_else(|| self.conflict(operation))
    }

    pub(crate) async fn head(&self, issuer: &str) -> Result<Option<Versioned<Head>>, DriverError> {
        let place = Place::new(issuer, row_key::HEAD);
        self.one("read the head in", place, rows::HEAD, rows::head)
            .await
    }

    pub(crate) async fn commit(
        &self,
        issuer: &str,
        commit: Commit,
        expected: Version,
    ) -> Result<(), DriverError> {
        let place = Place::new(issuer, row_key::HEAD);
        let write = move |transaction: &Transaction<'_>, place: &Place, next| {
            rows::put_change(transaction, &place.issuer, &commit.linked)?;
            rows::put_head(transaction, place, next, &commit.head)?;
            let mut changes = commit.linked.set.changes.iter();
            changes
                .try_for_each(|change| rows::put_status(transaction, &place.issuer, &change.status))
        };
        self.replace("commit to", place, expected, write).await?;
        Ok(())
    }

    pub(crate) async fn journal(
        &self,
        issuer: &str,
        seq: u64,
        limit: u32,
    ) -> Result<Vec<Linked>, DriverError> {
        let issuer = issuer.to_owned();
        self.run("read the journal in", move |connection| {
            let sql = "SELECT RowKey, Hash, Prev, At, Actor, Comment, Changes FROM revocations
                       WHERE PartitionKey = ?1 AND RowKey > ?2 AND RowKey < 'c/' ORDER BY RowKey \
                       LIMIT ?3";
            let mut statement = connection.prepare_cached(sql)?;
            let rows =
                statement.query_map(params![issuer, row_key::change(seq), limit], rows::linked)?;
            rows.collect()
        })
        .await
    }

    pub(crate) async fn statuses(
        &self,
        issuer: &str,
        serials: Vec<Serial>,
    ) -> Result<Vec<Status>, DriverError> {
        let issuer = issuer.to_owned();
        self.run("read certificates in", move |connection| {
            let sql =
                "SELECT State, RevokedAt, Reason, InvalidityDate, NotAfter, Seq FROM revocations
                       WHERE PartitionKey = ?1 AND RowKey = ?2";
            let mut statement = connection.prepare_cached(sql)?;
            let mut read = |serial: Serial| {
                statement
                    .query_row([&issuer, &row_key::status(&serial)], |row| {
                        rows::status(row, serial)
                    })
                    .optional()
            };
            serials
                .into_iter()
                .filter_map(|serial| read(serial).transpose())
                .collect()
        })
        .await
    }

    pub(crate) async fn rows(
        &self,
        issuer: &str,
        after: Option<Serial>,
        limit: u32,
    ) -> Result<Vec<Status>, DriverError> {
        let issuer = issuer.to_owned();
        self.run("read certificates in", move |connection| {
            let sql =
                "SELECT State, RevokedAt, Reason, InvalidityDate, NotAfter, Seq, RowKey FROM \
                       revocations
                       WHERE PartitionKey = ?1 AND RowKey > ?2 AND RowKey < 's/' ORDER BY RowKey \
                       LIMIT ?3";
            let mut statement = connection.prepare_cached(sql)?;
            let rows =
                statement.query_map(params![issuer, row_key::after(after), limit], |row| {
                    let key: String = row.get(6)?;
                    rows::status(
                        row,
                        row_key::serial(&key)
                            .ok_or_else(|| failure(row_key::not_a_serials(&key).into()))?,
                    )
                })?;
            rows.collect()
        })
        .await
    }

    pub(crate) async fn row(
        &self,
        issuer: &str,
        scope: Scope,
    ) -> Result<Option<Versioned<ScopeRow>>, DriverError> {
        let place = Place::new(issuer, row_key::scope(scope));
        self.one(
            "read the last CRL's row in",
            place,
            rows::SCOPE,
            rows::scope,
        )
        .await
    }

    pub(crate) async fn put_row(
        &self,
        issuer: &str,
        scope: Scope,
        row: ScopeRow,
        expected: Version,
    ) -> Result<Version, DriverError> {
        let place = Place::new(issuer, row_key::scope(scope));
        let operation = "write the last CRL's row in";
        self.replace(
            operation,
            place,
            expected,
            move |transaction, place, next| rows::put_scope(transaction, place, next, &row),
        )
        .await
    }

    pub(crate) async fn checkpoint(
        &self,
        issuer: &str,
    ) -> Result<Option<Versioned<CheckpointRow>>, DriverError> {
        let place = Place::new(issuer, row_key::CHECKPOINT);
        let operation = "read the checkpoint's row in";
        self.one(operation, place, rows::SCOPE, rows::checkpoint)
            .await
    }

    pub(crate) async fn put_checkpoint(
        &self,
        issuer: &str,
        row: CheckpointRow,
        expected: Version,
    ) -> Result<Version, DriverError> {
        let place = Place::new(issuer, row_key::CHECKPOINT);
        let operation = "write the checkpoint's row in";
        self.replace(
            operation,
            place,
            expected,
            move |transaction, place, next| rows::put_checkpoint(transaction, place, next, &row),
        )
        .await
    }

    fn conflict(&self, operation: &str) -> DriverError {
        DriverError::new(
            format!("{operation} {}", self.path.display()),
            ErrorKind::Conflict,
        )
    }
}

fn prepare(connection: &mut Connection) -> Result<(), rusqlite::Error> {
    connection.busy_timeout(BUSY)?;
    // Before anything is written: the journal's mode stands in the file too.
    if is_anothers(connection)? {
        return Err(failure("it is another program's database".into()));
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Serials are random, so a large import touches the whole tree: keep it in memory (KiB), and
    // write it back rarely.
    connection.pragma_update(None, "cache_size", -32_768)?;
    connection.pragma_update(None, "wal_autocheckpoint", 8_000)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if tables(&transaction)? == 0 {
        transaction.execute_batch(SCHEMA)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    }
    transaction.commit()
}

fn tables(connection: &Connection) -> Result<i32, rusqlite::Error> {
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
}

fn is_anothers(connection: &Connection) -> Result<bool, rusqlite::Error> {
    // In this order: tables that are seen were committed together with the mark.
    Ok(tables(connection)? > 0
        && connection.query_row("PRAGMA application_id", [], |row| row.get::<_, i32>(0))?
            != APPLICATION_ID)
}

fn failure(error: Box<dyn std::error::Error + Send + Sync>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Null, error)
}

/// What SQLite said; its own source repeats that in other words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct SqliteError(rusqlite::Error);

fn driver_error(operation: String, error: rusqlite::Error) -> DriverError {
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => ErrorKind::Transient,
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            ErrorKind::Denied
        }
        _ => ErrorKind::Other,
    };
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => DriverError::because(
            operation,
            kind,
            format!(
                "the file is damaged or no SQLite database ({error}); restore it from a backup"
            ),
        ),
        _ => match error {
            rusqlite::Error::FromSqlConversionFailure(_, _, inner) => {
                DriverError::because(operation, kind, inner)
            }
            error => DriverError::because(operation, kind, SqliteError(error)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{digest::Digest, journal::change_set::ChainHash, time::Timestamp};

    #[tokio::test]
    async fn a_checkpoints_row_is_replaced_only_as_it_was_read() {
        let dir = tempfile::tempdir().unwrap();
        let sqlite = Sqlite::open(&dir.path().join("index.sqlite")).unwrap();
        assert_eq!(sqlite.checkpoint("a").await.unwrap(), None);
        let first = CheckpointRow {
            seq: 256,
            hash: ChainHash::from_octets([1; 32]),
            sha256: Digest::of(b"a checkpoint"),
            before: None,
            written_at: Timestamp::EPOCH,
        };
        let put = |row, expected| sqlite.put_checkpoint("a", row, expected);
        let version = put(first, Version::Absent).await.unwrap();
        let found = sqlite.checkpoint("a").await.unwrap().unwrap();
        assert_eq!((found.value, &found.version), (first, &version));
        let second = CheckpointRow {
            seq: 512,
            before: Some(256),
            ..first
        };
        let lost = put(second, Version::Absent).await.unwrap_err();
        assert_eq!(lost.kind, ErrorKind::Conflict);
        put(second, version).await.unwrap();
        let found = sqlite.checkpoint("a").await.unwrap().unwrap();
        assert_eq!(found.value, second);
        assert_eq!(sqlite.checkpoint("b").await.unwrap(), None);
        assert_eq!(sqlite.row("a", Scope::Full).await.unwrap(), None);
    }
}
