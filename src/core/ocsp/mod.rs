//! OCSP (RFC 6960, RFC 9654, RFC 9919): requests as they come by POST and GET, responses as they
//! are written and read back, and the certificate of the authorized responder that signs them.

pub(crate) mod certificate;
pub(crate) mod get;
mod lint;
mod request;
mod responder;
mod response;

pub(crate) use request::{CertId, CertStatus, Preferred};
pub use request::{MAX_CERT_IDS, Refusal, Request};
pub(crate) use responder::Signatory;
pub(crate) use response::{Reading, Response};
