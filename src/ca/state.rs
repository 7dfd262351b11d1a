//! One issuer's state store: what can be rebuilt at any time.

use std::sync::{Arc, atomic::AtomicBool};

use super::store::Store;

/// One issuer's checkpoints.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    issuer: String,
    pub(crate) store: Store,
    /// Whether the last one could not be used, so that another is due.
    pub(crate) is_useless: Arc<AtomicBool>,
}

impl Checkpoints {
    /// The place of the issuer with this name.
    pub fn new(issuer: &str, store: Store) -> Self {
        Self {
            issuer: issuer.to_owned(),
            store,
            is_useless: Arc::default(),
        }
    }

    pub(crate) fn name(&self, seq: u64) -> String {
        format!("{}/{seq:020}.checkpoint", self.issuer)
    }
}
