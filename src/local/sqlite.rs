//! The index in a SQLite file. Its one table has the rows and columns of the Azure table, so that
//! either can be read with the other's documentation; times are seconds since 1970.
//!
//! WAL with `synchronous=FULL`: a commit that returned survives the loss of power, and the command
//! line and a running server use the file at once.

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
        journal::change_set::{ChainHash, ChangeSet, Counts, Head, Linked},
        revocation::{Reason, State, Status},
        serial::{CrlNumber, Serial},
        time::Timestamp,
    },
    store::{
        Version,
        error::{DriverError, ErrorKind},
        index::{Commit, Published, ScopeRow},
        row_key,
    },
};

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

    pub(crate) async fn head(&self, issuer: &str) -> Result<Option<(Head, Version)>, DriverError> {
        let issuer = issuer.to_owned();
        self.run("read the head in", move |connection| {
            let sql = "SELECT Seq, Hash, Revoked, Held, Valid, UpdatedAt, Version FROM revocations
                       WHERE PartitionKey = ?1 AND RowKey = 'head'";
            let mut statement = connection.prepare_cached(sql)?;
            statement
                .query_row([issuer], |row| Ok((head(row)?, version(row, 6)?)))
                .optional()
        })
        .await
    }

    pub(crate) async fn commit(
        &self,
        issuer: &str,
        commit: Commit,
        expected: Version,
    ) -> Result<(), DriverError> {
        let issuer = issuer.to_owned();
        let done = self.run("commit to", move |connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let Some(next) = next_version(&transaction, &issuer, row_key::HEAD, &expected)? else {
                return Ok(false);
            };
            put_change(&transaction, &issuer, &commit.linked)?;
            put_head(&transaction, &issuer, &commit.head, next)?;
            for (_, status) in &commit.linked.set.changes {
                put_status(&transaction, &issuer, status)?;
            }
            transaction.commit()?;
            Ok(true)
        });
        if done.await? {
            Ok(())
        } else {
            Err(self.conflict("commit to"))
        }
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
            let rows = statement.query_map(params![issuer, row_key::change(seq), limit], linked)?;
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
                        status(row, serial)
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
                    status(
                        row,
                        row_key::serial(&key)
                            .ok_or_else(|| failure(row_key::not_a_serials(&key).into()))?,
                    )
                })?;
            rows.collect()
        })
        .await
    }

    pub(crate) async fn scope(
        &self,
        issuer: &str,
        scope: &str,
    ) -> Result<Option<(ScopeRow, Version)>, DriverError> {
        let keys = [issuer.to_owned(), row_key::scope(scope)];
        self.run("read the last CRL's row in", move |connection| {
            let sql =
                "SELECT Number, Seq, Hash, Sha256, ThisUpdate, NextUpdate, PublishedAt, Version
                       FROM revocations WHERE PartitionKey = ?1 AND RowKey = ?2";
            let mut statement = connection.prepare_cached(sql)?;
            statement
                .query_row(keys, |row| Ok((scope_row(row)?, version(row, 7)?)))
                .optional()
        })
        .await
    }

    pub(crate) async fn put_scope(
        &self,
        issuer: &str,
        scope: &str,
        row: ScopeRow,
        expected: Version,
    ) -> Result<Version, DriverError> {
        let (issuer, key) = (issuer.to_owned(), row_key::scope(scope));
        let done = self.run("write the last CRL's row in", move |connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let Some(next) = next_version(&transaction, &issuer, &key, &expected)? else {
                return Ok(None);
            };
            let number =
                i64::try_from(row.number.get()).map_err(|error| failure(Box::new(error)))?;
            let seconds = |time: Timestamp| time.seconds();
            let last = row.published.as_ref();
            let sql = "INSERT OR REPLACE INTO revocations (PartitionKey, RowKey, Version, Number, \
                       Seq, Hash, Sha256,
                       ThisUpdate, NextUpdate, PublishedAt) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, \
                       ?8, ?9, ?10)";
            transaction.prepare_cached(sql)?.execute(params![
                issuer,
                key,
                next,
                number,
                last.map(|last| last.seq),
                last.map(|last| last.hash.to_string()),
                last.map(|last| &last.sha256),
                last.map(|last| seconds(last.this_update)),
                last.map(|last| seconds(last.next_update)),
                last.map(|last| seconds(last.published_at)),
            ])?;
            transaction.commit()?;
            Ok(Some(Version::At(next.to_string())))
        });
        done.await?
            .ok_or_else(|| self.conflict("write the last CRL's row in"))
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
    let trouble = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => ErrorKind::Transient,
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            ErrorKind::Denied
        }
        _ => ErrorKind::Other,
    };
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => DriverError::because(
            operation,
            trouble,
            format!(
                "the file is damaged or no SQLite database ({error}); restore it from a backup"
            ),
        ),
        _ => match error {
            rusqlite::Error::FromSqlConversionFailure(_, _, inner) => {
                DriverError::because(operation, trouble, inner)
            }
            error => DriverError::because(operation, trouble, SqliteError(error)),
        },
    }
}

/// The version that a row gets next, if it is now `expected`.
fn next_version(
    transaction: &Transaction<'_>,
    issuer: &str,
    key: &str,
    expected: &Version,
) -> Result<Option<i64>, rusqlite::Error> {
    let sql = "SELECT Version FROM revocations WHERE PartitionKey = ?1 AND RowKey = ?2";
    let found: Option<i64> = transaction
        .query_row(sql, [issuer, key], |row| row.get(0))
        .optional()?;
    Ok(match (found, expected) {
        (None, Version::Absent) => Some(1),
        (Some(found), Version::At(expected)) if found.to_string() == *expected => Some(found + 1),
        _ => None,
    })
}

fn put_change(
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

fn put_head(
    transaction: &Transaction<'_>,
    issuer: &str,
    head: &Head,
    next: i64,
) -> Result<(), rusqlite::Error> {
    let sql = "INSERT OR REPLACE INTO revocations
               (PartitionKey, RowKey, Version, Seq, Hash, Revoked, Held, Valid, UpdatedAt)
               VALUES (?1, 'head', ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let Counts {
        revoked,
        held,
        valid,
    } = head.counts;
    let updated_at = head.updated_at.map(Timestamp::seconds);
    let hash = head.hash.to_string();
    transaction.prepare_cached(sql)?.execute(params![
        issuer, next, head.seq, hash, revoked, held, valid, updated_at
    ])?;
    Ok(())
}

fn put_status(
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
        row_key::status(&status.serial),
        status.state.name(),
        seconds(status.revoked_at),
        status.reason.map(Reason::name),
        seconds(status.invalidity_date),
        seconds(status.not_after),
        status.seq,
    ])?;
    Ok(())
}

fn version(row: &Row<'_>, at: usize) -> Result<Version, rusqlite::Error> {
    Ok(Version::At(row.get::<_, i64>(at)?.to_string()))
}

fn damaged(column: &str) -> rusqlite::Error {
    failure(format!("the column {column} of a row is damaged").into())
}

fn hash(row: &Row<'_>, at: usize) -> Result<ChainHash, rusqlite::Error> {
    ChainHash::from_hex(&row.get::<_, String>(at)?).ok_or_else(|| damaged("Hash"))
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

fn head(row: &Row<'_>) -> Result<Head, rusqlite::Error> {
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

fn linked(row: &Row<'_>) -> Result<Linked, rusqlite::Error> {
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

fn status(row: &Row<'_>, serial: Serial) -> Result<Status, rusqlite::Error> {
    let state: State = row
        .get::<_, String>(0)?
        .parse()
        .map_err(|_| damaged("State"))?;
    let reason: Option<String> = row.get(2)?;
    let reason = reason
        .map(|reason| Reason::parse(&reason))
        .transpose()
        .map_err(|_| damaged("Reason"))?;
    Ok(Status {
        serial,
        state,
        revoked_at: time(row, 1)?,
        reason: reason.flatten(),
        invalidity_date: time(row, 3)?,
        not_after: time(row, 4)?,
        seq: row.get(5)?,
    })
}

fn scope_row(row: &Row<'_>) -> Result<ScopeRow, rusqlite::Error> {
    let number = CrlNumber::known(row.get::<_, u64>(0)?);
    let published = match row.get::<_, Option<String>>(3)? {
        None => None,
        Some(sha256) => Some(Published {
            seq: row.get(1)?,
            hash: hash(row, 2)?,
            sha256,
            this_update: needed_time(row, 4)?,
            next_update: needed_time(row, 5)?,
            published_at: needed_time(row, 6)?,
        }),
    };
    Ok(ScopeRow { number, published })
}
