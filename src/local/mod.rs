//! The drivers for one machine: a SQLite file, directories, PEM files.

pub mod directory;
pub mod pem_key;
pub mod sqlite;
