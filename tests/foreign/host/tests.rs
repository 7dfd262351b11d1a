//! The simulated host is judged here with a handler that repeats what it was sent.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{FUNCTION_KEY, Host, MASTER_KEY, Mode, Plan, State, Tick};
use crate::support::poll;

/// Answers every request with what it was; timers by the setting `ANSWER`.
const HANDLER: &str = r#"#!/usr/bin/env python3
import base64, http.server, json, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            while (size := int(self.rfile.readline(), 16)):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        if self.path.startswith("/exit/"):
            os._exit(int(self.path[6:]))
        kind, status = "application/json", 200
        headers = [[name.lower(), value] for name, value in self.headers.items()]
        text = json.dumps({"method": self.command, "path": self.path, "headers": headers,
                           "body": base64.b64encode(body).decode()})
        if self.path == "/publish":
            answer = os.environ.get("ANSWER", "echo")
            if answer == "empty": text = ""
            if answer == "text": kind = "text/plain"
            if answer == "fail": status = 500
            if answer == "echo": text = json.dumps({"ReturnValue": json.loads(text), "Logs": ["done"]})
        print("asked for", self.path, flush=True)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD": self.wfile.write(text.encode())
    do_GET = do_POST = do_HEAD = do
    def log_message(self, *args): pass
print("warning: a word", file=sys.stderr, flush=True)
port = int(os.environ["FUNCTIONS_CUSTOMHANDLER_PORT"])
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"#;

const ZIP: &str = r#"
import os, sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as archive:
    for folder, _, names in os.walk(sys.argv[2]):
        for name in names:
            path = os.path.join(folder, name)
            entry = zipfile.ZipInfo(os.path.relpath(path, sys.argv[2]))
            entry.external_attr = (0o100777 if name == sys.argv[3] else 0o100666) << 16
            archive.writestr(entry, open(path, "rb").read())
"#;

/// A package with an OCSP function, a guarded one and a timer.
fn package(dir: &tempfile::TempDir, executable: &str) -> PathBuf {
    let root = dir.path().join("app");
    let http = |route: &str, level: &str, methods: Value| {
        let trigger = json!({ "type": "httpTrigger", "direction": "in", "name": "req", "authLevel": level, "methods": methods, "route": route });
        json!({ "bindings": [trigger, { "type": "http", "direction": "out", "name": "res" }] })
    };
    let retry =
        json!({ "strategy": "fixedDelay", "maxRetryCount": 2, "delayInterval": "00:00:10" });
    let timer = json!({ "type": "timerTrigger", "direction": "in", "name": "timer", "schedule": "%SCHEDULE%" });
    let custom = json!({
        "description": { "defaultExecutablePath": "handler" },
        "enableForwardingHttpRequest": true, "enableProxyingHttpRequest": true,
    });
    let files = [
        (
            "host.json",
            json!({ "version": "2.0", "customHandler": custom, "extensions": { "http": { "routePrefix": "" } } }),
        ),
        (
            "ocsp/function.json",
            http("ocsp/{*request}", "anonymous", json!(["get", "post"])),
        ),
        (
            "api/function.json",
            http("api/{*path}", "function", json!(["get", "post"])),
        ),
        (
            "exit/function.json",
            http("exit/{code}", "anonymous", json!(["get"])),
        ),
        (
            "publish/function.json",
            json!({ "bindings": [timer], "retry": retry }),
        ),
        (
            "deep/er/function.json",
            http("deep", "anonymous", json!(["get"])),
        ),
    ];
    for (name, content) in files {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content.to_string()).unwrap();
    }
    fs::write(root.join("handler"), HANDLER).unwrap();
    let zip = dir.path().join("app.zip");
    let done = Command::new("python3")
        .args(["-c", ZIP])
        .arg(&zip)
        .arg(&root)
        .arg(executable)
        .status()
        .unwrap();
    assert!(done.success());
    zip
}

fn settings(more: &[(&str, &str)]) -> Vec<(String, String)> {
    let usual = [("SCHEDULE", "0 * * * * *")];
    usual
        .iter()
        .chain(more)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn host(mode: Mode, front_end: bool, more: &[(&str, &str)]) -> Host {
    let dir = tempfile::tempdir().unwrap();
    let zip = package(&dir, "handler");
    Host::try_start(Plan {
        zip: &zip,
        env: settings(more),
        mode,
        front_end,
    })
    .unwrap()
}

fn json_of(reply: &crate::support::http::Reply) -> Value {
    assert_eq!(reply.status, 200, "{reply:?}");
    serde_json::from_slice(&reply.body).unwrap()
}

fn headers<'a>(seen: &'a Value, name: &str) -> Vec<&'a str> {
    let all = seen["headers"].as_array().unwrap().iter();
    all.filter(|one| one[0] == name)
        .map(|one| one[1].as_str().unwrap())
        .collect()
}

#[test]
fn the_front_end_decodes_and_merges_paths_and_leaves_the_original_in_a_header() {
    for mode in [Mode::Forwarding, Mode::Proxying] {
        let host = host(mode, true, &[]);
        let raw = "/ocsp/MFQ%2FA%2B//B==?x=1%202";
        let seen = json_of(&host.send("GET", raw, &["X-WAWS-Unencoded-URL: /lie"], b""));
        let path = seen["path"].as_str().unwrap().split('?').next().unwrap();
        assert_eq!(path, "/ocsp/MFQ/A+/B==", "{mode:?}");
        assert_eq!(headers(&seen, "x-waws-unencoded-url"), [raw]);
    }
}

#[test]
fn without_a_front_end_an_encoded_slash_survives_and_proxying_encodes_it_again() {
    let raw = "/ocsp/MFQ%2FA%2B//B==";
    for (mode, expected) in [
        (Mode::Forwarding, "/ocsp/MFQ%2FA+//B=="),
        (Mode::Proxying, "/ocsp/MFQ%252FA+//B=="),
    ] {
        let seen = json_of(&host(mode, false, &[]).get(raw));
        assert_eq!(seen["path"], expected);
        assert!(headers(&seen, "x-waws-unencoded-url").is_empty());
    }
}

#[test]
fn forwarding_keeps_the_host_and_appends_where_proxying_replaces() {
    let lies = [
        "X-Azure-Functions-InvocationId: lie",
        "User-Agent: client",
        "X-Forwarded-For: 1.2.3.4",
    ];
    let old = host(Mode::Forwarding, false, &[]);
    let seen = json_of(&old.send("GET", "/ocsp/a?b=1&b=2", &lies, b""));
    assert_eq!(headers(&seen, "host"), ["127.0.0.1"]);
    assert_eq!(headers(&seen, "x-azure-functions-invocationid").len(), 2);
    assert!(
        seen["path"].as_str().unwrap().ends_with("?b=1%2C2"),
        "{seen}"
    );
    let new = host(Mode::Proxying, false, &[]);
    let seen = json_of(&new.send("GET", "/ocsp/a?b=1&b=2", &lies, b""));
    assert_eq!(
        headers(&seen, "host"),
        [format!("127.0.0.1:{}", new.handler_port())]
    );
    assert_eq!(headers(&seen, "x-azure-functions-invocationid").len(), 1);
    assert_eq!(
        headers(&seen, "x-azure-functions-invocationid"),
        headers(&seen, "x-ms-invocation-id")
    );
    assert_eq!(headers(&seen, "x-forwarded-host"), ["127.0.0.1"]);
    assert_eq!(headers(&seen, "user-agent"), ["client"]);
    assert!(
        seen["path"].as_str().unwrap().ends_with("?b=1&b=2"),
        "{seen}"
    );
}

#[test]
fn a_chunked_body_gets_lost_in_forwarding_and_passes_in_proxying() {
    let bytes = b"POST /ocsp HTTP/1.1\r\nHost: a\r\nContent-Type: \
                  application/ocsp-request\r\nTransfer-Encoding: chunked\r\n\r\n\
        3\r\n\x00\xff\x01\r\n0\r\n\r\n";
    for (mode, expected) in [
        (Mode::Forwarding, &b""[..]),
        (Mode::Proxying, b"\x00\xff\x01"),
    ] {
        let host = host(mode, true, &[]);
        let seen = json_of(&host.raw(bytes));
        assert_eq!(
            STANDARD.decode(seen["body"].as_str().unwrap()).unwrap(),
            expected
        );
        let seen = json_of(&host.post("/ocsp", "application/ocsp-request", b"\x00\xff\x01"));
        assert_eq!(
            STANDARD.decode(seen["body"].as_str().unwrap()).unwrap(),
            b"\x00\xff\x01"
        );
        assert_eq!(headers(&seen, "content-type"), ["application/ocsp-request"]);
    }
}

#[test]
fn only_what_function_json_lists_is_routed() {
    let host = host(Mode::Proxying, false, &[]);
    for (method, path, status) in [
        ("GET", "/", 200),
        ("GET", "/ocsp", 200),
        ("GET", "/OCSP/a/b//c", 200),
        ("GET", "/ocsp//a", 404),
        ("HEAD", "/ocsp/a", 404),
        ("PUT", "/ocsp/a", 404),
        ("POST", "/publish", 404),
        ("GET", "/deep", 404),
        ("GET", "/admin/host/status", 404),
    ] {
        let reply = if method == "HEAD" {
            host.head(path)
        } else {
            host.send(method, path, &[], b"")
        };
        assert_eq!(reply.status, status, "{method} {path}");
    }
    assert!(
        !host.get("/").text().contains("headers"),
        "the host answers that itself"
    );
}

#[test]
fn functions_with_a_key_ask_for_it() {
    let host = host(Mode::Forwarding, true, &[]);
    assert_eq!(host.get("/api/x").status, 401);
    assert_eq!(
        host.send("GET", "/api/x", &["x-functions-key: wrong"], b"")
            .status,
        401
    );
    assert_eq!(host.api("GET", "/api/x", &Value::Null).status, 200);
    assert_eq!(
        host.get(&format!("/api/x?code={}", FUNCTION_KEY.replace('=', "%3D")))
            .status,
        200
    );
    assert_eq!(
        host.send(
            "GET",
            "/api/x",
            &[&format!("x-functions-key: {MASTER_KEY}")],
            b""
        )
        .status,
        200
    );
}

#[test]
fn a_tick_sends_the_envelope_and_succeeds_only_with_a_json_object() {
    let ticking = host(Mode::Proxying, true, &[]);
    let result = ticking
        .tick_as(Tick {
            past_due: true,
            ..Tick::default()
        })
        .unwrap();
    let seen = &result["ReturnValue"];
    assert_eq!(
        (&seen["method"], &seen["path"]),
        (&json!("POST"), &json!("/publish"))
    );
    assert!(headers(seen, "user-agent")[0].starts_with("Azure-Functions-Host/"));
    let body: Value =
        serde_json::from_slice(&STANDARD.decode(seen["body"].as_str().unwrap()).unwrap()).unwrap();
    assert_eq!(body["Data"]["timer"]["IsPastDue"], true);
    assert_eq!(body["Metadata"]["sys"]["MethodName"], "publish");
    assert_eq!(body["Metadata"]["RetryContext"]["MaxRetryCount"], 2);
    for (answer, problem) in [
        ("empty", "hangs"),
        ("text", "Content-Type"),
        ("fail", "500"),
    ] {
        let error = host(Mode::Proxying, true, &[("ANSWER", answer)])
            .tick()
            .unwrap_err();
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn exit_code_0_is_not_noticed_200_restarts_and_three_errors_end_the_app() {
    let gone = host(Mode::Forwarding, true, &[]);
    assert_eq!(gone.get("/exit/0").status, 500);
    gone.await_restart(1);
    assert_eq!((gone.state(), gone.starts()), (State::Gone, 1));
    assert_eq!(gone.get("/ocsp/a").status, 500);

    let host = host(Mode::Forwarding, true, &[]);
    for round in 1..=4 {
        host.get("/exit/200");
        host.await_restart(round);
    }
    assert_eq!((host.state(), host.starts()), (State::Running, 5));
    host.crash();
    host.crash();
    assert_eq!((host.state(), host.starts()), (State::Running, 7));
    assert_eq!(host.get("/ocsp/a").status, 200);
    host.crash();
    assert!(matches!(host.state(), State::Stopped(_)));
}

#[test]
fn what_the_handler_writes_gets_the_level_that_the_host_gives_it() {
    let host = host(Mode::Proxying, true, &[]);
    host.get("/ocsp/a");
    // The lines come by a pipe, the answer by a socket.
    for (level, text) in [
        ("Warning", "warning: a word"),
        ("Information", "asked for /ocsp/a"),
    ] {
        let is_there = || {
            host.log_lines()
                .iter()
                .any(|line| line.level == level && line.text == text)
        };
        poll(Duration::from_secs(10), text, || is_there().then_some(()));
    }
    assert!(host.peak_memory().unwrap() > 1000);
}

#[test]
fn an_app_is_refused_that_the_platform_could_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let zip = package(&dir, "nothing");
    let start = |env| {
        Host::try_start(Plan {
            zip: &zip,
            env,
            mode: Mode::Proxying,
            front_end: true,
        })
        .err()
        .unwrap()
    };
    assert!(start(settings(&[])).contains("no execute bit"));
    let zip = package(&dir, "handler");
    let missing = Host::try_start(Plan {
        zip: &zip,
        env: vec![],
        mode: Mode::Proxying,
        front_end: true,
    });
    assert!(
        missing
            .err()
            .unwrap()
            .contains("%SCHEDULE% does not resolve")
    );
    let off = vec![(
        "AzureWebJobs.publish.Disabled".to_owned(),
        "true".to_owned(),
    )];
    let host = Host::try_start(Plan {
        zip: &zip,
        env: off,
        mode: Mode::Proxying,
        front_end: true,
    })
    .unwrap();
    assert!(host.tick().unwrap_err().contains("0 timers"));
}
