//! `GET /status`: how every issuer is doing, for people and for machines.

use std::{fmt::Write, sync::Arc};

use axum::{
    Json,
    extract::State,
    http::{
        HeaderMap,
        header::{ACCEPT, CACHE_CONTROL},
    },
    response::{Html, IntoResponse, Response},
};

use crate::server::{
    app::App,
    health::{IssuerStatus, or_none},
};

pub(super) async fn page(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let now = (app.clock)();
    let all = app.statuses(now).await;
    let accept = headers
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .unwrap_or_default();
    if accept.contains("application/json") {
        (
            [(CACHE_CONTROL, "no-store")],
            Json(serde_json::json!({ "issuers": all })),
        )
            .into_response()
    } else {
        (
            [(CACHE_CONTROL, "no-store")],
            Html(html(&all, &now.to_string())),
        )
            .into_response()
    }
}

const STYLE: &str = "\
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;\
color:#1b1b1b}\
h2{margin:2rem 0 .5rem}\
table{border-collapse:collapse;width:100%}\
th,td{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #ddd;\
font-variant-numeric:tabular-nums}\
th{font-weight:500;width:14rem;color:#555}\
.ok{color:#0a6b2d}\
.bad{color:#a40000}\
footer{margin-top:2rem;color:#777;font-size:.85rem}";

fn html(all: &[IssuerStatus], now: &str) -> String {
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>rescind</title><style>{STYLE}</style>\
         <h1>Certificate revocation</h1>"
    );
    for one in all {
        issuer(&mut page, one);
    }
    // Writing to a String cannot fail.
    let _ = write!(
        page,
        "<footer>rescind {}, {now}</footer></html>",
        env!("CARGO_PKG_VERSION")
    );
    page
}

fn issuer(page: &mut String, one: &IssuerStatus) {
    let IssuerStatus {
        revoked,
        held,
        valid,
        ..
    } = one;
    let _ = write!(page, "<h2>{}</h2>", escaped(&one.name));
    if one.problems.is_empty() {
        page.push_str("<p class=\"ok\">Everything is in time.</p>");
    }
    for problem in &one.problems {
        let _ = write!(page, "<p class=\"bad\">{}</p>", escaped(problem));
    }
    let rows = [
        ("CRL number", or_none(one.crl_number)),
        ("CRL entries", or_none(one.entries)),
        ("CRL size in octets", or_none(one.bytes)),
        ("This update", or_none(one.this_update)),
        ("Next update", or_none(one.next_update)),
        (
            "Revoked, held, valid",
            format!("{revoked}, {held}, {valid}"),
        ),
        ("Newest change set", or_none(one.seq)),
        ("OCSP credential ends", or_none(one.credential_not_after)),
        ("CA certificate ends", or_none(one.ca_not_after)),
    ];
    page.push_str("<table>");
    for (what, value) in rows {
        let _ = write!(
            page,
            "<tr><th scope=\"row\">{what}</th><td>{}</td></tr>",
            escaped(&value)
        );
    }
    page.push_str("</table>");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
