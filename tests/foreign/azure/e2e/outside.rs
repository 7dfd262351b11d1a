//! What must not get in from outside.

use std::time::Duration;

use serde_json::json;

use crate::azure::{Deployment, package::package};
use crate::{
    host::{Host, Mode, Plan},
    support::poll,
};

/// All the ways to write the path of the timer's function, or to get out of another's.
const PATHS: [&str; 16] = [
    "/publish",
    "/PUBLISH",
    "//publish",
    "/publish/",
    "/%70ublish",
    "/publish?code=x",
    "/ocsp/../publish",
    "/ocsp/%2e%2e/publish",
    "/ocsp/..%2fpublish",
    "/ocsp/%2e%2e%2fpublish",
    "/ocsp/..%5cpublish",
    "/ocsp/x/../../publish",
    "/ocsp/%252e%252e/publish",
    "/v1/../publish",
    "/v1/x/%2e%2e/%2e%2e/publish",
    "/admin/functions/publish",
];

/// The host's own call, as whoever has read its source would write it.
fn forgery() -> (Vec<String>, Vec<u8>) {
    let headers = [
        "Content-Type: application/json; charset=utf-8",
        "User-Agent: Azure-Functions-Host/4.1037.0.0",
        "X-Azure-Functions-InvocationId: 6d0a4a3e-9d8e-4c5b-8f6e-0a1b2c3d4e5f",
        "X-Azure-Functions-HostVersion: 4.1037.0.0",
    ];
    let body = json!({
        "Data": { "timer": { "Schedule": {}, "ScheduleStatus": null, "IsPastDue": false } },
        "Metadata": { "sys": { "MethodName": "publish", "UtcNow": "2026-11-24T00:00:00Z", "RandGuid": "x" } },
    });
    (
        headers.map(str::to_owned).to_vec(),
        body.to_string().into_bytes(),
    )
}

#[test]
fn the_timers_envelope_is_refused_from_outside() {
    let deployment = Deployment::new();
    let (forged, body) = forgery();
    let forged: Vec<_> = forged.iter().map(String::as_str).collect();
    // Without copies of what a forwarding host adds itself.
    let (bare, agent) = (&forged[..1], &forged[..2]);
    let mut passed = vec![];
    for mode in [Mode::Forwarding, Mode::Proxying] {
        for front_end in [true, false] {
            let env = deployment.app(deployment.cloud.env());
            let host = Host::try_start(Plan {
                zip: package(),
                env,
                mode,
                front_end,
            })
            .unwrap();
            poll(Duration::from_secs(20), "the start", || {
                (host.get("/metrics").status == 200).then_some(())
            });
            // An old host in a container without a front end: such a call cannot be told from the
            // timer's.
            let sets: &[&[&str]] = match (mode, front_end) {
                (Mode::Forwarding, false) => &[&forged, agent],
                _ => &[&forged, agent, bare],
            };
            for (path, headers) in PATHS
                .iter()
                .flat_map(|path| sets.iter().map(move |headers| (path, headers)))
            {
                let answer = host.send("POST", path, headers, &body);
                let (status, text) = (
                    answer.status,
                    String::from_utf8_lossy(&answer.body).into_owned(),
                );
                if deployment.cloud.vault().counts().signs > 0 || text.contains("published") {
                    passed.push(format!(
                        "{mode:?}, front end {front_end}: {path}: {status} {text}"
                    ));
                }
                assert!(
                    !text.contains("timer's envelope"),
                    "{mode:?} {front_end} {path}: it came as far as the body"
                );
            }
        }
    }
    assert_eq!(passed, Vec::<String>::new());
    assert_eq!(
        (
            deployment.crl_bytes(),
            deployment.cloud.vault().counts().signs
        ),
        (None, 0)
    );
}
