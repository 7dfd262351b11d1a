//! The drivers for one machine: a SQLite file, and directories.

pub(crate) mod directory;
pub(crate) mod sqlite;

use tokio::task::{JoinError, spawn_blocking};

/// Runs what blocks on a thread for that. A worker of the runtime starts that thread if need be,
/// and not the caller's: a thread inherits how it is scheduled, and one that holds a lock must not
/// give way as the publisher's does.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    tokio::spawn(async { spawn_blocking(work).await }).await?
}
