//! CRLs and CA certificates, as they are on the shelf (RFC 2585, RFC 5280 §4.2.1.13).

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::{HeaderMap, Method, StatusCode},
    response::Response,
};

use super::sending::{Caching, Sending, failure};
use crate::{
    ca::Ca,
    core::{chain::Chain, crl::scope::Scope, der::write, digest::Digest, time::Timestamp},
    server::{
        app::App,
        shelved::{Encoding, Freshness, Wanted, shelved},
    },
};

/// `/crl/{issuer}.crl`, `/crl/{issuer}.crl.pem` and `/crl/{issuer}-delta.crl`.
pub(super) async fn crl(
    State(app): State<Arc<App>>,
    Path(file): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let (name, encoding) = match (file.strip_suffix(".crl.pem"), file.strip_suffix(".crl")) {
        (Some(name), _) => (name, Encoding::Pem),
        (_, Some(name)) => (name, Encoding::Der),
        _ => {
            return failure(
                StatusCode::NOT_FOUND,
                "there is no such CRL; the name ends with .crl or .crl.pem",
            );
        }
    };
    let delta = name
        .strip_suffix("-delta")
        .filter(|_| encoding == Encoding::Der)
        .and_then(|name| app.ca(name));
    let wanted = match (app.ca(name), delta, encoding) {
        (Some(ca), _, Encoding::Der) => Some((ca, Wanted::Der(Scope::Full))),
        (Some(ca), _, Encoding::Pem) => Some((ca, Wanted::Pem)),
        (None, Some(ca), _) => Some((ca, Wanted::Der(Scope::Delta))),
        (None, None, _) => None,
    };
    match wanted {
        Some((ca, wanted)) => send_crl(&app, ca, wanted, &method, &headers).await,
        None => failure(StatusCode::NOT_FOUND, "there is no such issuer"),
    }
}

/// `/crl/{issuer}/{shard}.crl`.
pub(super) async fn shard(
    State(app): State<Arc<App>>,
    Path((issuer, file)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let shard = app.ca(&issuer).and_then(|ca| {
        let name = file.strip_suffix(".crl")?;
        Some((ca, ca.crl.shards().find(|shard| shard.name() == name)?))
    });
    match shard {
        Some((ca, shard)) => {
            send_crl(
                &app,
                ca,
                Wanted::Der(Scope::Shard(shard)),
                &method,
                &headers,
            )
            .await
        }
        None => failure(StatusCode::NOT_FOUND, "there is no such issuer or shard"),
    }
}

/// Sends the CRL on the shelf.
pub(super) async fn send_crl(
    app: &App,
    ca: &Ca,
    wanted: Wanted,
    method: &Method,
    request: &HeaderMap,
) -> Response {
    let shelved = match shelved(app, ca, wanted).await {
        Ok(Some(shelved)) => shelved,
        Ok(None) => return failure(StatusCode::NOT_FOUND, "no CRL has been published yet"),
        Err(error) => {
            tracing::error!(error = %Chain(&error), "the shelf could not be read");
            return failure(
                StatusCode::SERVICE_UNAVAILABLE,
                "the shelf could not be read",
            );
        }
    };
    let content_type = match wanted {
        Wanted::Der(_) => "application/pkix-crl",
        Wanted::Pem => "application/x-pem-file",
    };
    let sending = Sending {
        method,
        request,
        content_type,
        bytes: shelved.bytes.clone(),
    };
    match &shelved.freshness {
        Some(freshness) => sending.cacheable(&caching(freshness), (app.clock)()),
        None => sending.never_kept(),
    }
}

fn caching(freshness: &Freshness) -> Caching {
    let Freshness {
        etag,
        modified,
        expires,
        fresh_until,
    } = freshness.clone();
    Caching {
        etag,
        modified,
        expires,
        fresh_until,
        directives: ", public, no-transform",
    }
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
    let (name, encoding) = match (file.strip_suffix(".pem"), file.strip_suffix(".cer")) {
        (Some(name), _) => (name, Encoding::Pem),
        (_, Some(name)) => (name, Encoding::Der),
        _ => {
            return failure(
                StatusCode::NOT_FOUND,
                "there is no such certificate; the name ends with .cer or .pem",
            );
        }
    };
    match app.ca(name) {
        Some(ca) => send_certificate(&app, ca, encoding, &method, &headers),
        None => failure(StatusCode::NOT_FOUND, "there is no such issuer"),
    }
}

/// Sends the CA certificate.
pub(super) fn send_certificate(
    app: &App,
    ca: &Ca,
    encoding: Encoding,
    method: &Method,
    request: &HeaderMap,
) -> Response {
    let certificate = ca.issuer.certificate();
    let (bytes, content_type) = match encoding {
        Encoding::Der => (certificate.der.clone(), "application/pkix-cert"),
        Encoding::Pem => (certificate_pem(ca).into_bytes(), "application/x-pem-file"),
    };
    let now: Timestamp = (app.clock)();
    let caching = Caching {
        etag: Digest::of(&bytes).to_string(),
        modified: certificate.not_before,
        expires: now.after(CERTIFICATE_AGE),
        fresh_until: now.after(CERTIFICATE_AGE),
        directives: ", public, no-transform",
    };
    Sending {
        method,
        request,
        content_type,
        bytes: bytes.into(),
    }
    .cacheable(&caching, now)
}

/// The CA certificate as PEM.
pub(super) fn certificate_pem(ca: &Ca) -> String {
    write::pem("CERTIFICATE", &ca.issuer.certificate().der)
}
