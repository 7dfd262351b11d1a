//! OCSP.

mod answers;
mod history;
mod http;
mod options;
mod serving;
