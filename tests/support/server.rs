//! A running `rescind serve`.

use std::{
    collections::HashSet,
    fs::{self, File},
    net::TcpListener,
    path::PathBuf,
    process::Child,
    sync::Mutex,
    time::Duration,
};

use super::{
    ISSUER, Site,
    http::{Connection, Reply, request},
    ocsp, poll,
};

/// Killed, by its own id, when it goes out of scope.
#[derive(Debug)]
pub struct Server {
    pub child: Child,
    pub port: u16,
    log: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("the server said:\n{}", self.log());
        }
    }
}

/// A site with one good, one revoked and one held serial: 0a, 0b and 0c; and its server.
pub fn serving(settings: &str) -> (Site, Server) {
    let site = Site::with_settings(settings);
    let more = [
        "--reason",
        "keyCompromise",
        "--revoked-at",
        "2025-05-05T05:05:05Z",
    ];
    site.ok(&[&["revoke", "--issuer", ISSUER, "--serial", "0b"], &more[..]].concat());
    site.revoke("0c", "certificateHold");
    site.publish(&[]);
    let server = site.serve();
    (site, server)
}

/// A port that nobody listens on, and that no other test of this process was given.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    let mut given = GIVEN.lock().unwrap();
    loop {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        if given.get_or_insert_default().insert(port) {
            return port;
        }
    }
}

impl Site {
    /// Serves, and waits until OCSP is answered from the index in memory: before, answers are from
    /// its rows, and not kept.
    pub fn serve(&self) -> Server {
        let server = self.serve_with(&[]);
        let probe = ocsp::request(&[self.issuer_id().usual("01")], None);
        poll(
            Duration::from_secs(20),
            "the first kept OCSP answer",
            || {
                server.post("/ocsp", &probe);
                (server.metric("rescind_ocsp_cache_answers") > 0).then_some(())
            },
        );
        server
    }

    /// Serves with more environment, and waits until it listens.
    pub fn serve_with(&self, environment: &[(&str, &str)]) -> Server {
        let port = free_port();
        let log = self.path(&format!("serve-{port}.log"));
        let file = File::create(&log).unwrap();
        let mut command = self.command(&["serve"]);
        command
            .env("RESCIND__HTTP__LISTEN", format!("127.0.0.1:{port}"))
            .envs(environment.iter().copied());
        let child = command
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        let mut server = Server { child, port, log };
        poll(Duration::from_secs(20), "listening", || {
            if let Some(status) = server.child.try_wait().unwrap() {
                panic!("serve ended with {status}: {}", server.log());
            }
            let reply = Connection::open(port)
                .and_then(|mut one| one.send(&request("GET", "/", &[], b""), false));
            reply.is_ok_and(|reply| reply.status == 200).then_some(())
        });
        server
    }
}

impl Server {
    /// What it wrote so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn connect(&self) -> Connection {
        Connection::open(self.port).unwrap()
    }

    /// Sends bytes as they are on a connection of their own.
    pub fn raw(&self, bytes: &[u8]) -> Reply {
        self.connect().send(bytes, false).unwrap()
    }

    pub fn get(&self, path: &str, headers: &[&str]) -> Reply {
        self.raw(&request("GET", path, headers, b""))
    }

    pub fn head(&self, path: &str) -> Reply {
        self.connect()
            .send(&request("HEAD", path, &[], b""), true)
            .unwrap()
    }

    /// A sample of `/metrics`.
    pub fn metric(&self, name: &str) -> u64 {
        let text = String::from_utf8(self.get("/metrics", &[]).body).unwrap();
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value
            .unwrap_or_else(|| panic!("no {name} in {text}"))
            .parse()
            .unwrap()
    }

    /// POSTs an OCSP request.
    pub fn post(&self, path: &str, body: &[u8]) -> Reply {
        self.raw(&request(
            "POST",
            path,
            &["Content-Type: application/ocsp-request"],
            body,
        ))
    }

    /// The response to an OCSP request by POST.
    pub fn ocsp(&self, body: &[u8]) -> Vec<u8> {
        let reply = self.post("/ocsp", body);
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (200, Some("application/ocsp-response")),
            "{reply:?}"
        );
        reply.body
    }

    /// GETs the answer to an OCSP request.
    pub fn ocsp_get(&self, body: &[u8], headers: &[&str]) -> Reply {
        self.get(&get_path(body), headers)
    }
}

/// The path that asks for `request` by GET (RFC 6960 §A.1), every octet that is not plain
/// percent-encoded.
pub fn get_path(request: &[u8]) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let text = STANDARD
        .encode(request)
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D");
    format!("/ocsp/{text}")
}
