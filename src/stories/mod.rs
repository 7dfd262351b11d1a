//! The stories, each told from top to bottom: what is done with an issuer. They reach stores and
//! keys through [`crate::ca`].

pub mod import;
pub mod publish;
pub mod replicate;
pub mod respond;
pub mod revoke;
pub mod schema;
pub mod verify;
