//! One issuer's state store: what can be rebuilt at any time.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use super::store::Store;
use crate::store::{content::Stored, error::DriverError};

/// One issuer's checkpoints.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    issuer: String,
    store: Store,
    is_useless: Arc<AtomicBool>,
}

impl Checkpoints {
    /// The place of the issuer with this name.
    pub(super) fn new(issuer: &str, store: Store) -> Self {
        Self {
            issuer: issuer.to_owned(),
            store,
            is_useless: Arc::default(),
        }
    }

    /// The name of the one that ends with change set `seq`.
    pub(crate) fn name(&self, seq: u64) -> String {
        format!("{}/{seq:020}.checkpoint", self.issuer)
    }

    /// The one that ends with change set `seq`.
    pub(crate) async fn get(&self, seq: u64) -> Result<Option<Stored>, DriverError> {
        self.store.get(&self.name(seq)).await
    }

    /// Writes it.
    pub(crate) async fn put(&self, seq: u64, bytes: Vec<u8>) -> Result<(), DriverError> {
        self.store.put_state(&self.name(seq), bytes).await
    }

    /// Removes it; it may be gone already.
    pub(crate) async fn remove(&self, seq: u64) -> Result<(), DriverError> {
        self.store.remove(&self.name(seq)).await
    }

    /// Whether the last one could not be used, so that another is due.
    pub(crate) fn is_useless(&self) -> bool {
        self.is_useless.load(Relaxed)
    }

    /// Says whether the last one is of use.
    pub(crate) fn set_useless(&self, is_useless: bool) {
        self.is_useless.store(is_useless, Relaxed);
    }
}
