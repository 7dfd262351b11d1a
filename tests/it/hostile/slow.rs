//! Clients that take their time, take all connections, or send several requests at once. Those that
//! need real seconds run side by side.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use rescind::facade::http::connections::{BODY, HEAD, MAX_CONNECTIONS, STALL};

use super::{Verdict::*, alive, besieged, everything, honest, verdict};
use crate::support::{
    http::{Connection, request as http_request},
    ocsp::{Basic, Status, request, status},
};

/// Sends the first part at once and then `octet` every second; returns how long the server bore it,
/// and what it said.
fn drip(port: u16, first: &[u8], octet: &[u8]) -> (Duration, String) {
    let start = Instant::now();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    stream.write_all(first).unwrap();
    let mut said = vec![];
    while start.elapsed() < Duration::from_secs(40) {
        let mut buffer = [0; 1024];
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => said.extend_from_slice(&buffer[..len]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                if stream.write_all(octet).is_err() {
                    break;
                }
            }
            Err(_) => break,
        }
    }
    (start.elapsed(), String::from_utf8_lossy(&said).into_owned())
}

/// f39 to f41, and what is never sent to its end.
#[test]
fn slow_clients_are_cut_off_in_time_while_others_are_answered() {
    let (site, mut server) = besieged();
    let port = server.port;
    let post = "POST /ocsp HTTP/1.1\r\nHost: x\r\n";
    let cases: Vec<(&str, String, &[u8], &str)> = vec![
        (
            "f39 body",
            format!("{post}Content-Length: 1000\r\n\r\n"),
            b"0",
            "HTTP/1.1 408",
        ),
        (
            "f39 no body",
            format!("{post}Content-Length: 1000\r\n\r\n"),
            b"",
            "HTTP/1.1 408",
        ),
        ("f40 headers", format!("{post}X: "), b"a", ""),
        (
            "f40 more and more headers",
            post.to_owned(),
            b"X: y\r\n",
            "",
        ),
        ("f40 half a head", post.to_owned(), b"", ""),
        ("f40 the method", String::new(), b"A", ""),
        ("f40 nothing", String::new(), b"", ""),
        ("f40 newlines", String::new(), b"\r\n", ""),
        (
            "f41 chunks",
            format!("{post}Transfer-Encoding: chunked\r\n\r\n"),
            b"1\r\n0\r\n",
            "HTTP/1.1 408",
        ),
        (
            "f41 a chunk's extension",
            format!("{post}Transfer-Encoding: chunked\r\n\r\n1;"),
            b"a",
            "HTTP/1.1 408",
        ),
        (
            "f41 a body by GET",
            "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n".to_owned(),
            b"a",
            "HTTP/1.1 200",
        ),
    ];
    let slow: Vec<_> = cases
        .into_iter()
        .map(|(id, first, octet, said)| {
            (
                id,
                said,
                thread::spawn(move || drip(port, first.as_bytes(), octet)),
            )
        })
        .collect();
    let honest = honest(&site);
    while slow.iter().any(|(_, _, one)| !one.is_finished()) {
        let start = Instant::now();
        assert_eq!(verdict(honest.send(port).as_ref()), Revoked);
        // Behind a slow client it would wait until that one is cut off; on a busy machine it may
        // wait a little.
        assert!(
            start.elapsed() < BODY,
            "an honest client waited {:?}",
            start.elapsed()
        );
        thread::sleep(Duration::from_millis(50));
    }
    for (id, begins, one) in slow {
        let (took, said) = one.join().unwrap();
        assert!(
            took <= HEAD.max(BODY) + Duration::from_secs(15),
            "{id} was borne for {took:?}"
        );
        assert!(said.starts_with(begins), "{id}: {said:?}");
    }
    alive(&mut server);
}

/// Answers that nobody takes fill the system's buffers, and then the server waits; not for ever.
#[test]
#[ignore = "it takes the minute that such a client is borne for"]
fn a_client_that_takes_no_answers_is_cut_off_in_time() {
    let (site, mut server) = besieged();
    let ask = http_request(
        "POST",
        "/ocsp",
        &[],
        &request(&[site.issuer_id().usual("0b")], None),
    )
    .repeat(1000);
    let mut greedy = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    greedy
        .set_write_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    let start = Instant::now();
    let (mut is_blocked, mut is_cut_off) = (false, false);
    while !is_cut_off && start.elapsed() < 3 * STALL {
        match greedy.write_all(&ask) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => is_blocked = true,
            Err(_) => is_cut_off = true,
        }
    }
    assert!(
        is_blocked,
        "it could send what it liked for {:?}",
        start.elapsed()
    );
    assert!(is_cut_off, "it was borne for {:?}", start.elapsed());
    assert_eq!(verdict(honest(&site).send(server.port).as_ref()), Revoked);
    alive(&mut server);
}

/// f42, f60: requests that are sent at once are answered in their order; garbage behind the last
/// ends the connection.
#[test]
fn pipelined_requests_are_answered_in_order_and_garbage_behind_them_is_refused() {
    let (site, server) = besieged();
    let id = site.issuer_id();
    let ask = |serial| http_request("POST", "/ocsp", &[], &request(&[id.usual(serial)], None));
    let mut connection = server.connect();
    let serials = ["0b", "0a", "0d", "80", "0a", "0b"];
    let all = [serials.map(ask).concat(), b"\0garbage\r\n\r\n".to_vec()].concat();
    let mut reply = connection.send(&all, false).unwrap();
    for (at, serial) in serials.iter().enumerate() {
        let single = Basic::read(&reply.body).only().clone();
        assert_eq!(single.cert_id, id.usual(serial), "answer {at}");
        reply = connection.send(b"", false).unwrap();
    }
    assert_eq!(reply.status, 400);
    assert_eq!(everything(&mut connection), "");
}

/// f56: a client that waits for 100 Continue gets it, and only if its body is wanted.
#[test]
fn expectation_is_met_before_the_body_is_sent() {
    let (site, server) = besieged();
    let body = request(&[site.issuer_id().usual("0b")], None);
    let head = |len: usize| {
        format!(
            "POST /ocsp HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: \
             {len}\r\n\r\n"
        )
    };
    let mut connection = server.connect();
    let reply = connection.send(head(body.len()).as_bytes(), true).unwrap();
    assert_eq!(reply.status, 100);
    assert!(matches!(
        status(&connection.send(&body, false).unwrap().body),
        Status::Revoked(..)
    ));
    assert_eq!(
        server
            .connect()
            .send(head(20_000).as_bytes(), false)
            .unwrap()
            .status,
        413
    );
}

/// HTTP/1.0 clients that ask for it keep their connection; they never get chunks.
#[test]
fn http_1_0_keeps_its_connection_where_it_asks_to() {
    let (site, server) = besieged();
    let body = request(&[site.issuer_id().usual("0b")], None);
    let head = format!(
        "POST /ocsp HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut connection = server.connect();
    for _ in 0..3 {
        let reply = connection
            .send(&[head.as_bytes(), &body].concat(), false)
            .unwrap();
        assert_eq!(
            (verdict(Some(&reply)), reply.header("transfer-encoding")),
            (Revoked, None)
        );
        assert_eq!(
            reply.header("connection").map(str::to_lowercase).as_deref(),
            Some("keep-alive")
        );
    }
    let mut once = server.connect();
    let head = head.replace("Connection: keep-alive\r\n", "");
    assert_eq!(
        verdict(
            once.send(&[head.as_bytes(), &body].concat(), false)
                .ok()
                .as_ref()
        ),
        Revoked
    );
    assert_eq!(everything(&mut once), "");
    for path in [
        "/",
        "/crl/test-ca.crl",
        "/healthz",
        "/metrics",
        "/status",
        "/nothing",
    ] {
        let reply = server.raw(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes());
        assert_eq!(reply.header("transfer-encoding"), None, "{path}");
    }
}

/// Idle connections give way to those who come when all are taken.
#[test]
fn connections_have_a_cap_and_idle_ones_make_room() {
    let (site, mut server) = besieged();
    let ask = http_request(
        "POST",
        "/ocsp",
        &[],
        &request(&[site.issuer_id().usual("0b")], None),
    );
    let mut idle: Vec<_> = (0..MAX_CONNECTIONS - 20)
        .map(|_| Connection::open(server.port).unwrap())
        .collect();
    for one in idle.iter_mut().take(50) {
        assert_eq!(verdict(one.send(&ask, false).ok().as_ref()), Revoked);
    }
    let fds = || {
        std::fs::read_dir(format!("/proc/{}/fd", server.child.id()))
            .unwrap()
            .count()
    };
    let more: Vec<_> = (0..100)
        .map(|_| TcpStream::connect(("127.0.0.1", server.port)).unwrap())
        .collect();
    let start = Instant::now();
    assert_eq!(verdict(honest(&site).send(server.port).as_ref()), Revoked);
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "an honest client waited {:?}",
        start.elapsed()
    );
    assert!(fds() <= MAX_CONNECTIONS + 50, "{} open files", fds());
    drop((idle, more));
    alive(&mut server);
}

/// Every single bit of a request, flipped: no failure of ours, and never an answer to another
/// question.
#[test]
fn flipped_bits_are_refused_or_answered_as_asked() {
    let (site, mut server) = besieged();
    let id = site.issuer_id();
    let usual = request(&[id.usual("0b")], None);
    let at = usual.len() - id.usual("0b").len();
    let mut connection = server.connect();
    for bit in 0..usual.len() * 8 {
        let mut flipped = usual.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let reply = connection
            .send(&http_request("POST", "/ocsp", &[], &flipped), false)
            .unwrap();
        match verdict(Some(&reply)) {
            Malformed | Unauthorized => {}
            found @ (Good | Revoked | Unknown) => {
                assert_eq!(
                    Basic::read(&reply.body).only().cert_id,
                    flipped[at..],
                    "bit {bit}"
                );
                let expected = match flipped[usual.len() - 1] {
                    0x0b => Revoked,
                    0x0a => Good,
                    _ => Unknown,
                };
                assert_eq!(found, expected, "bit {bit}");
            }
            other => panic!("bit {bit}: {other:?}"),
        }
    }
    alive(&mut server);
}
