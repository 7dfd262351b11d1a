//! The journal: numbered, hash-chained change sets; the replica that they come to; and the replica
//! as bytes.

pub(crate) mod change_set;
pub(crate) mod checkpoint;
pub(crate) mod replica;
