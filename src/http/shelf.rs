//! CRLs and CA certificates, as they are on the shelf (RFC 2585, RFC 5280 §4.2.1.13).

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::{HeaderMap, Method, StatusCode},
    response::Response,
};
use sha2::{Digest, Sha256};

use super::{
    App,
    sending::{Caching, Sending, failure},
};
use crate::{
    ca::Ca,
    core::{crl::SignedCrl, serial::hex, time::Timestamp},
};

/// DER or PEM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Der,
    Pem,
}

/// `/crl/{issuer}.crl` and `/crl/{issuer}.crl.pem`.
pub(super) async fn crl(
    State(app): State<Arc<App>>,
    Path(file): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let (name, form) = match (file.strip_suffix(".crl.pem"), file.strip_suffix(".crl")) {
        (Some(name), _) => (name, Form::Pem),
        (_, Some(name)) => (name, Form::Der),
        _ => return failure(StatusCode::NOT_FOUND, "there is no such CRL; the name ends with .crl or .crl.pem"),
    };
    match app.ca(name) {
        Some(ca) => send_crl(&app, ca, form, &method, &headers).await,
        None => failure(StatusCode::NOT_FOUND, "there is no such issuer"),
    }
}

/// Sends the CRL on the shelf.
pub(super) async fn send_crl(app: &App, ca: &Ca, form: Form, method: &Method, request: &HeaderMap) -> Response {
    let (suffix, content_type) = match form {
        Form::Der => (".crl", "application/pkix-crl"),
        Form::Pem => (".crl.pem", "application/x-pem-file"),
    };
    let stored = match ca.shelf.store().get(&ca.shelf.name(suffix)).await {
        Ok(Some(stored)) => stored,
        Ok(None) => return failure(StatusCode::NOT_FOUND, "no CRL has been published yet"),
        Err(error) => {
            tracing::error!(%error, "the shelf could not be read");
            return failure(StatusCode::SERVICE_UNAVAILABLE, "the shelf could not be read");
        }
    };
    let caching = caching(ca, &stored.bytes, form);
    let sending = Sending { method, request, content_type, bytes: stored.bytes };
    match caching {
        Some(caching) => sending.cacheable(&caching, (app.clock)()),
        None => sending.never_kept(),
    }
}

/// From the CRL's own window: fresh until the next refresh, gone at nextUpdate.
fn caching(ca: &Ca, bytes: &[u8], form: Form) -> Option<Caching> {
    let pem = match form {
        Form::Der => None,
        Form::Pem => Some(der::pem::decode_vec(bytes).ok()?.1),
    };
    let signed = SignedCrl::read(pem.as_deref().unwrap_or(bytes)).ok()?;
    let modified = signed.crl.this_update;
    let expires = signed.crl.next_update?;
    let refresh = modified.after(ca.crl.backdate).after(ca.crl.refresh);
    let etag = hex(&Sha256::digest(bytes));
    Some(Caching { etag, modified, expires, fresh_until: refresh.min(expires), directives: ", public, no-transform" })
}

/// How long a CA certificate may be kept without asking.
const CERTIFICATE_AGE: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// `/ca/{issuer}.cer` and `/ca/{issuer}.pem`.
pub(super) async fn certificate(
    State(app): State<Arc<App>>,
    Path(file): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let (name, form) = match (file.strip_suffix(".pem"), file.strip_suffix(".cer")) {
        (Some(name), _) => (name, Form::Pem),
        (_, Some(name)) => (name, Form::Der),
        _ => return failure(StatusCode::NOT_FOUND, "there is no such certificate; the name ends with .cer or .pem"),
    };
    match app.ca(name) {
        Some(ca) => send_certificate(&app, ca, form, &method, &headers),
        None => failure(StatusCode::NOT_FOUND, "there is no such issuer"),
    }
}

/// Sends the CA certificate.
pub(super) fn send_certificate(app: &App, ca: &Ca, form: Form, method: &Method, request: &HeaderMap) -> Response {
    let certificate = ca.issuer.certificate();
    let (bytes, content_type) = match form {
        Form::Der => (certificate.der.clone(), "application/pkix-cert"),
        Form::Pem => (certificate_pem(ca).into_bytes(), "application/x-pem-file"),
    };
    let now: Timestamp = (app.clock)();
    let caching = Caching {
        etag: hex(&Sha256::digest(&bytes)),
        modified: certificate.not_before,
        expires: now.after(CERTIFICATE_AGE),
        fresh_until: now.after(CERTIFICATE_AGE),
        directives: ", public, no-transform",
    };
    Sending { method, request, content_type, bytes }.cacheable(&caching, now)
}

/// The CA certificate as PEM.
pub(super) fn certificate_pem(ca: &Ca) -> String {
    let der = &ca.issuer.certificate().der;
    der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, der).unwrap_or_default()
}
