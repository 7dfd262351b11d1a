//! Sends OCSP requests at a fixed rate whether or not answers are late, and counts each one's time
//! from when it was due: `openloop ADDRESS PATH HEX RATE SECONDS CONNECTIONS`; prints JSON,
//! milliseconds in it. For `benches/compare`. One thread, which sleeps between requests, so that it
//! takes little from the server that it measures.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs
)]

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rustix::{
    buffer::spare_capacity,
    event::{Timespec, epoll},
};

struct Connection {
    stream: TcpStream,
    /// When its next request is due, or when the one under way was.
    due: Instant,
    is_asking: bool,
    reply: Vec<u8>,
}

/// Times of one second's requests, in microseconds.
type Times = Vec<Vec<u32>>;

fn main() {
    let args: Vec<_> = std::env::args().skip(1).collect();
    // `cargo test` and `cargo bench` name no server.
    let [address, path, hex, rate, seconds, connections] = &args[..] else {
        return;
    };
    let number = |text: &String| text.parse::<f64>().expect("a number");
    let (rate, seconds, connections) = (number(rate), number(seconds), number(connections));
    let octet = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
    let body: Vec<_> = (0..hex.len()).step_by(2).map(octet).collect();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n",
        body.len()
    );
    let message = [
        head.as_bytes(),
        b"Content-Type: application/ocsp-request\r\n\r\n",
        &body,
    ]
    .concat();
    let every = Duration::from_secs_f64(connections / rate);

    let queue = epoll::create(epoll::CreateFlags::CLOEXEC).expect("epoll");
    let began = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock after 1970")
        .as_secs_f64();
    let start = Instant::now() + Duration::from_millis(10);
    let mut all: Vec<_> = (0..connections as u32)
        .map(|at| open(address, start + every * at / connections as u32))
        .collect();
    for (at, one) in all.iter().enumerate() {
        let data = epoll::EventData::new_u64(at as u64);
        epoll::add(&queue, &one.stream, data, epoll::EventFlags::IN).expect("epoll");
    }
    let end = start + Duration::from_secs_f64(seconds);
    let mut times: Times = vec![vec![]; seconds.ceil() as usize];
    let mut ready = Vec::with_capacity(all.len());
    loop {
        let now = Instant::now();
        for one in all
            .iter_mut()
            .filter(|one| !one.is_asking && one.due <= now && one.due < end)
        {
            one.stream.write_all(&message).expect("a request is sent");
            one.is_asking = true;
        }
        let Some(next) = all
            .iter()
            .filter(|one| one.is_asking || one.due < end)
            .map(|one| one.wakes(now))
            .min()
        else {
            break;
        };
        let wait = Timespec {
            tv_sec: next.as_secs() as i64,
            tv_nsec: next.subsec_nanos().into(),
        };
        ready.clear();
        epoll::wait(&queue, spare_capacity(&mut ready), Some(&wait)).expect("epoll");
        for event in &ready {
            let one = &mut all[event.data.u64() as usize];
            if one.is_answered() {
                times[one.due.duration_since(start).as_secs() as usize]
                    .push(one.due.elapsed().as_micros() as u32);
                one.due += every;
            }
        }
    }
    print(began, &times);
}

fn open(address: &str, due: Instant) -> Connection {
    let stream = TcpStream::connect(address).expect("the server listens");
    stream
        .set_nonblocking(true)
        .and_then(|()| stream.set_nodelay(true))
        .expect("a socket's options");
    Connection {
        stream,
        due,
        is_asking: false,
        reply: vec![],
    }
}

impl Connection {
    /// How long nothing has to be done for it, unless its answer comes.
    fn wakes(&self, now: Instant) -> Duration {
        if self.is_asking {
            Duration::from_secs(10)
        } else {
            self.due.saturating_duration_since(now)
        }
    }

    /// Reads what is there; whether the answer is whole.
    fn is_answered(&mut self) -> bool {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => panic!("the server closed a connection"),
            Ok(count) => self.reply.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) => panic!("{error}"),
        }
        let Some(head) = self
            .reply
            .windows(4)
            .position(|octets| octets == b"\r\n\r\n")
        else {
            return false;
        };
        let (head, body) = self.reply.split_at(head + 4);
        let head = std::str::from_utf8(head)
            .expect("ASCII")
            .to_ascii_lowercase();
        let length = head
            .split("content-length: ")
            .nth(1)
            .and_then(|rest| rest.split('\r').next());
        let length: usize = length
            .and_then(|text| text.parse().ok())
            .expect("Content-Length");
        // A refusal has five octets.
        assert!(
            head.starts_with("http/1.1 200") && length > 100,
            "the server refused: {head}"
        );
        let is_whole = body.len() == length;
        if is_whole {
            self.reply.clear();
            self.is_asking = false;
        }
        is_whole
    }
}

fn print(began: f64, times: &Times) {
    let ms = |micros: u32| f64::from(micros) / 1000.0;
    let by_second: Vec<_> = times
        .iter()
        .map(|second| ms(quantile(second.clone(), 0.99)))
        .collect();
    let whole = times.concat();
    let at = |part| ms(quantile(whole.clone(), part));
    let (count, p50, p99, max) = (whole.len(), at(0.5), at(0.99), at(1.0));
    println!(
        r#"{{"began": {began}, "count": {count}, "p50": {p50}, "p99": {p99}, "max": {max}, "p99_by_second": {by_second:?}}}"#
    );
}

fn quantile(mut times: Vec<u32>, part: f64) -> u32 {
    times.sort_unstable();
    times
        .get((part * times.len().saturating_sub(1) as f64) as usize)
        .copied()
        .unwrap_or(0)
}
