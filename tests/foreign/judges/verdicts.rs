//! Each client believes what is published, sees what is revoked, and refuses what was tampered with
//! or is another's.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use super::clients::Client;
use crate::support::{
    Plan, Site,
    client::{Evidence, Expected, Question, Verdict, refused, replaced},
    ocsp,
    pki::{Extension, Key},
    stories::{self, judged_by_crls},
};

const CRL_CLIENTS: [Client; 4] = [
    Client::OpenSsl,
    Client::GnuTls,
    Client::PyHanko,
    Client::Java,
];
const OCSP_CLIENTS: [Client; 6] = [
    Client::GnuTls,
    Client::Java,
    Client::PyHanko,
    Client::Pyca,
    Client::Nss,
    Client::Nginx,
];

/// All clients at once, for their time is mostly that of starting.
pub fn all_say(clients: &[Client], expected: &Expected) {
    let questions: Vec<Question> = expected
        .iter()
        .map(|(question, _)| question.clone())
        .collect();
    thread::scope(|scope| {
        let judging = clients
            .iter()
            .map(|client| (client, scope.spawn(|| client.judge(&questions))));
        for (client, verdicts) in judging.collect::<Vec<_>>() {
            for (verdict, (question, expected)) in
                verdicts.join().unwrap().into_iter().zip(expected)
            {
                assert!(
                    verdict.is_like(expected),
                    "{client:?} says {verdict:?}, not {expected:?}: {question:?}"
                );
            }
        }
    });
}

#[test]
fn crl_clients_see_what_is_revoked_and_refuse_what_is_not_ours() {
    let (_sites, expected) = judged_by_crls();
    all_say(&CRL_CLIENTS, &expected);
}

/// Answers every request with the same bytes until it is dropped.
struct Canned {
    port: u16,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Canned {
    fn serve(response: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                // A client that goes away is its own business.
                let _ = stream.and_then(|stream| answer(stream, &response));
            }
        });
        Self {
            port,
            is_over,
            thread: Some(thread),
        }
    }
}

impl Drop for Canned {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn answer(mut stream: TcpStream, response: &[u8]) -> std::io::Result<()> {
    stream.set_read_timeout(Some(std::time::Duration::from_secs(5)))?;
    let (mut read, mut buffer) = (vec![], [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&read).to_lowercase();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let len = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length:"));
            let len: usize = len.map_or(0, |len| len.trim().parse().unwrap());
            if read.len()
                >= read
                    .windows(4)
                    .position(|window| window == b"\r\n\r\n")
                    .unwrap()
                    + 4
                    + len
            {
                break;
            }
        }
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            count => read.extend(&buffer[..count]),
        }
    }
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: application/ocsp-response\r\nConnection: close\r\n";
    write!(stream, "{head}Content-Length: {}\r\n\r\n", response.len())?;
    stream.write_all(response)
}

/// Another copy of a certificate: nginx's log tells them apart by their files.
fn copy(site: &Site, from: &str, to: &str) -> String {
    fs::copy(site.path(from), site.path(to)).unwrap();
    site.file(to)
}

#[test]
fn ocsp_clients_see_what_is_revoked_and_refuse_what_is_not_ours() {
    // Every client is told where to ask, but pyhanko takes an answer only where the certificate
    // names a responder.
    let access = &[Extension::Responder("http://pki.contoso.example/ocsp")];
    let rsa = "[issuer.ocsp]\ncredential_key = \"rsa2048\"\n";
    let sites = [(Key::P256, ""), (Key::P384, ""), (Key::Rsa2048, rsa)].map(|(key, settings)| {
        stories::revoked(
            Plan {
                key,
                settings,
                ..Plan::default()
            },
            access,
        )
    });
    let servers = [0, 1, 2].map(|at: usize| sites[at].serve());
    let url = |port: u16| Evidence::Ocsp(format!("http://127.0.0.1:{port}/ocsp"));
    let (mut expected, mut canned) = (Expected::new(), vec![]);
    for (site, server) in sites.iter().zip(&servers) {
        let ask = |leaf: String, port, verdict| {
            (
                Question {
                    trust: site.file("ca.pem"),
                    leaf,
                    evidence: url(port),
                },
                verdict,
            )
        };
        expected.push(ask(site.file("good.pem"), server.port, Verdict::Good));
        expected.push(ask(site.file("revoked.pem"), server.port, Verdict::Revoked));
        // The same bytes from a file are believed; with another time in them they are not.
        let response = server.ocsp(&ocsp::request(&[site.issuer_id().usual("0a01")], None));
        let time = ocsp::Basic::read(&response).produced_at;
        let earlier = format!("{}0{}", &time[..time.len() - 2], &time[time.len() - 1..]);
        let later = format!("{}1{}", &time[..time.len() - 2], &time[time.len() - 1..]);
        let other = if earlier == time { later } else { earlier };
        let tampered = replaced(&response, time.as_bytes(), other.as_bytes());
        canned.extend([Canned::serve(response), Canned::serve(tampered)]);
        let ports = [canned[canned.len() - 2].port, canned[canned.len() - 1].port];
        expected.push(ask(
            copy(site, "good.pem", "canned.pem"),
            ports[0],
            Verdict::Good,
        ));
        expected.push(ask(
            copy(site, "good.pem", "tampered.pem"),
            ports[1],
            refused(),
        ));
    }
    // A responder of another CA with the same name.
    let [trust, leaf] = [
        sites[0].file("ca.pem"),
        copy(&sites[0], "good.pem", "foreign.pem"),
    ];
    expected.push((
        Question {
            trust,
            leaf,
            evidence: url(servers[1].port),
        },
        refused(),
    ));
    assert!(
        Path::new(&sites[0].file("leaf.key")).exists(),
        "nginx needs the certificate's key"
    );
    all_say(&OCSP_CLIENTS, &expected);
}
