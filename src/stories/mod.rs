//! The stories, each told from top to bottom: what is done with an issuer. They reach stores and
//! keys through [`crate::ca`].

pub(crate) mod import;
pub(crate) mod publish;
pub(crate) mod replicate;
pub(crate) mod respond;
pub(crate) mod revoke;
pub(crate) mod schema;
pub(crate) mod verify;
