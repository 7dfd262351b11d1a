//! OCSP (RFC 6960, RFC 9654, RFC 9919): requests as they come by POST and GET, responses as they
//! are written and read back, and the certificate of the authorized responder that signs them.

pub mod certificate;
pub mod get;
mod lint;
mod request;
mod responder;
mod response;

pub use request::{
    CertId, CertStatus, MAX_CERT_IDS, Preferred, Refusal, Request, RequestError, key_hash,
};
pub use responder::Signatory;
pub use response::{Reading, Response};
