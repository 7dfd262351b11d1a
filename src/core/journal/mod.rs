//! The journal: numbered, hash-chained change sets; the replica that they come to; and the replica
//! as bytes.

pub mod change_set;
pub mod checkpoint;
pub mod replica;
