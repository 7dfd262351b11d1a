//! The paths of HashiCorp Vault's PKI engine, for certificates that have them inside:
//! `/v1/{mount}/…`.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{ALLOW, CACHE_CONTROL},
    },
    response::{IntoResponse, Response},
};

use super::{
    crl::{self},
    ocsp,
    sending::failure,
};
use crate::server::{
    app::App,
    shelved::{Encoding, Wanted},
};
use crate::{
    ca::Ca,
    core::{chain::Chain, crl::scope::Scope},
};

/// Any of Vault's read paths.
pub(super) async fn any(State(app): State<Arc<App>>, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let path = path.trim_start_matches("/v1/");
    // The longest mount: `pki` is one of `pki/int`'s beginnings.
    let matching = app.aliases.iter().filter_map(|alias| {
        let rest = path.strip_prefix(alias.mount.as_str())?.strip_prefix('/')?;
        Some((rest, app.ca(&alias.issuer)?))
    });
    let below = matching.min_by_key(|(rest, _)| rest.len());
    let Some((rest, ca)) = below else {
        return failure(
            StatusCode::NOT_FOUND,
            "there is no [[alias]] for this mount",
        );
    };
    let parts: Vec<_> = rest.split('/').collect();
    // `/issuer/{ref}/…`: the reference is Vault's own name for an issuer; a mount here has one.
    let parts = match parts.as_slice() {
        ["issuer", _, below @ ..] => below.to_vec(),
        all => all.to_vec(),
    };
    let (method, headers) = (&head.method, &head.headers);
    match (method, parts.as_slice()) {
        (&Method::POST, ["ocsp" | "unified-ocsp"]) => {
            ocsp::post(State(Arc::clone(&app)), Request::from_parts(head, body)).await
        }
        (&Method::GET | &Method::HEAD, ["ocsp" | "unified-ocsp", ..]) => {
            let below = rest
                .strip_prefix("issuer/")
                .and_then(|rest| Some(rest.split_once('/')?.1));
            let text = below
                .unwrap_or(rest)
                .trim_start_matches("unified-")
                .trim_start_matches("ocsp");
            ocsp::get_from(&app, text, method, headers).await
        }
        (&Method::GET | &Method::HEAD, parts) => read(&app, ca, parts, method, headers).await,
        (_, parts) => {
            // RFC 9110 §15.5.6.
            let allowed = if matches!(parts, ["ocsp" | "unified-ocsp", ..]) {
                "GET,HEAD,POST"
            } else {
                "GET,HEAD"
            };
            let mut response = failure(
                StatusCode::METHOD_NOT_ALLOWED,
                "only Vault's read paths and OCSP are answered",
            );
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static(allowed));
            response
        }
    }
}

async fn read(
    app: &App,
    ca: &Ca,
    parts: &[&str],
    method: &Method,
    headers: &HeaderMap,
) -> Response {
    match parts {
        ["crl" | "unified-crl"] | ["crl" | "unified-crl", "der"] => {
            crl::send_crl(app, ca, Wanted::Der(Scope::Full), method, headers).await
        }
        ["crl" | "unified-crl", "pem"] => {
            crl::send_crl(app, ca, Wanted::Pem, method, headers).await
        }
        ["crl" | "unified-crl", "delta"] | ["crl" | "unified-crl", "delta", "der"] => {
            crl::send_crl(app, ca, Wanted::Der(Scope::Delta), method, headers).await
        }
        ["ca"] | ["der"] => crl::send_certificate(app, ca, Encoding::Der, method, headers),
        ["ca" | "ca_chain", ..] | ["pem"] => {
            crl::send_certificate(app, ca, Encoding::Pem, method, headers)
        }
        ["cert", "ca" | "ca_chain"] | ["json"] | [] => described(crl::certificate_pem(ca)),
        ["cert", "crl"] => match ca.shelf.store().get(&ca.shelf.name(".crl.pem")).await {
            Ok(Some(stored)) => described(String::from_utf8_lossy(&stored.bytes).into_owned()),
            Ok(None) => failure(StatusCode::NOT_FOUND, "no CRL has been published yet"),
            Err(error) => {
                tracing::error!(error = %Chain(&error), "the shelf could not be read");
                failure(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the shelf could not be read",
                )
            }
        },
        _ => failure(
            StatusCode::NOT_FOUND,
            "this path of Vault's is not answered",
        ),
    }
}

/// As Vault wraps a PEM text.
fn described(pem: String) -> Response {
    let data = serde_json::json!({ "data": { "certificate": pem, "revocation_time": 0 } });
    ([(CACHE_CONTROL, "no-store")], Json(data)).into_response()
}
