//! Hostile requests: each gets the answer it deserves, an honest request after it is answered, and
//! none costs much.
//!
//! The ids are those of the list that the cases come from: a to d what a CertID or a signature may
//! say, e what is no DER request, f what HTTP can be bent to.

mod cost;
mod encodings;
mod framing;
mod messages;
mod paths;
mod slow;

use std::io::{Read, Write};

use crate::support::{
    ISSUER, Site,
    http::{Connection, Reply, request as http_request},
    ocsp::{Basic, MALFORMED_REQUEST, Status, UNAUTHORIZED, request},
    server::Server,
};

/// What may come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    Revoked,
    Unknown,
    /// So many single answers, the first of them `Revoked`.
    Answers(usize),
    Malformed,
    Unauthorized,
    /// A status of HTTP other than 200.
    Http(u16),
    /// 200 without an OCSP response.
    Other,
    /// The connection is closed without an answer.
    Closed,
}

use Verdict::*;

/// One hostile request.
struct Case {
    id: String,
    bytes: Vec<u8>,
    allowed: &'static [Verdict],
    /// Whether the client shuts down its side afterwards.
    half_close: bool,
    /// Whether the answer has no body.
    head: bool,
}

impl Case {
    fn raw(id: impl Into<String>, bytes: impl Into<Vec<u8>>, allowed: &'static [Verdict]) -> Self {
        Self {
            id: id.into(),
            bytes: bytes.into(),
            allowed,
            half_close: false,
            head: false,
        }
    }

    /// The body of a `POST /ocsp`.
    fn post(id: impl Into<String>, body: &[u8], allowed: &'static [Verdict]) -> Self {
        let bytes = http_request(
            "POST",
            "/ocsp",
            &["Content-Type: application/ocsp-request"],
            body,
        );
        Self::raw(id, bytes, allowed)
    }

    fn get(id: impl Into<String>, path: &str, allowed: &'static [Verdict]) -> Self {
        Self::raw(id, http_request("GET", path, &[], b""), allowed)
    }

    /// Sends it on a connection of its own.
    fn send(&self, port: u16) -> Option<Reply> {
        let mut connection = Connection::open(port).expect("a connection");
        // A server that has refused does not read on.
        let _ = connection.stream().write_all(&self.bytes);
        if self.half_close {
            let _ = connection.stream().shutdown(std::net::Shutdown::Write);
        }
        connection.send(b"", self.head).ok()
    }
}

/// What a reply is.
fn verdict(reply: Option<&Reply>) -> Verdict {
    let Some(reply) = reply else { return Closed };
    // RFC 9110 §15.5.6.
    assert!(
        reply.status != 405 || reply.header("allow").is_some(),
        "405 without Allow: {reply:?}"
    );
    if reply.status != 200 {
        return Http(reply.status);
    }
    if reply.header("content-type") != Some("application/ocsp-response") || reply.body.is_empty() {
        return Other;
    }
    match &reply.body[..] {
        body if body == MALFORMED_REQUEST => Malformed,
        body if body == UNAUTHORIZED => Unauthorized,
        body => match &Basic::read(body).singles[..] {
            [one] => match one.status {
                Status::Good => Good,
                Status::Revoked(_, Some(1)) => Revoked,
                Status::Revoked(..) => panic!("revoked for another reason: {one:?}"),
                Status::Unknown => Unknown,
            },
            more => {
                assert!(matches!(more[0].status, Status::Revoked(..)), "{more:?}");
                Answers(more.len())
            }
        },
    }
}

/// 20 octets, the first above 7f: its INTEGER has 21.
const LONG: &str = "fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0efeeedec";

/// A site that says `unknown` of what it does not list. 0a is good; 0b, 80 and [`LONG`] are
/// revoked.
fn besieged() -> (Site, Server) {
    let alias = format!("[[alias]]\nmount = \"pki\"\nissuer = \"{ISSUER}\"\n");
    let site = Site::with_settings(&format!("[issuer.ocsp]\nunlisted = \"unknown\"\n\n{alias}"));
    let good = site.leaf("good", "0a");
    site.ok(&["record", "--issuer", ISSUER, "--cert", &good]);
    for serial in ["0b", "80", LONG] {
        site.revoke(serial, "keyCompromise");
    }
    site.publish(&[]);
    let server = site.serve();
    (site, server)
}

/// An honest request, on a connection of its own.
fn honest(site: &Site) -> Case {
    Case::post(
        "honest",
        &request(&[site.issuer_id().usual("0b")], None),
        &[Revoked],
    )
}

fn alive(server: &mut Server) {
    assert!(
        server.child.try_wait().unwrap().is_none(),
        "the server ended: {}",
        server.log()
    );
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

#[test]
fn every_hostile_request_gets_its_answer_costs_little_and_harms_nobody() {
    let (site, mut server) = besieged();
    let id = site.issuer_id();
    let lists = [
        messages::cases(&id),
        encodings::cases(&id, &site),
        framing::cases(&id),
        paths::cases(&id),
    ];
    let cases: Vec<Case> = lists.into_iter().flatten().collect();
    assert!(cases.len() >= 150, "only {} cases", cases.len());
    let honest = honest(&site);
    let mut wrong = vec![];
    for case in &cases {
        let found = verdict(case.send(server.port).as_ref());
        if !case.allowed.contains(&found) {
            wrong.push(format!("{}: {found:?}, not {:?}", case.id, case.allowed));
        }
        let after = verdict(honest.send(server.port).as_ref());
        assert_eq!(after, Revoked, "the honest request after {}", case.id);
        if let Some(cost) = cost::too_much(&server, || drop(case.send(server.port))) {
            wrong.push(format!("{} costs {cost}", case.id));
        }
    }
    alive(&mut server);
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

/// Every octet that the server sends until it closes.
fn everything(connection: &mut Connection) -> String {
    let mut all = vec![];
    let _ = connection.stream().read_to_end(&mut all);
    String::from_utf8_lossy(&all).into_owned()
}
