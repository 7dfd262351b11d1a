//! An HTTP client that sends exactly the bytes a test wants and hides nothing of what comes back.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self
            .headers
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name));
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(
            found.next().is_none(),
            "{name} stands twice: {:?}",
            self.headers
        );
        value
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

/// A connection that may carry several requests.
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub fn open(port: u16) -> std::io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.set_write_timeout(Some(Duration::from_secs(20)))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// The connection itself, for what is no request.
    pub fn stream(&mut self) -> &mut TcpStream {
        self.stream.get_mut()
    }

    /// Sends bytes as they are and reads one answer; `head`: whether the answer has no body.
    pub fn send(&mut self, bytes: &[u8], head: bool) -> std::io::Result<Reply> {
        let written = self.stream.get_mut().write_all(bytes);
        // A server may answer, and close, before it has taken everything.
        self.read(head).or_else(|unread| written.and(Err(unread)))
    }

    fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }

    fn read(&mut self, head: bool) -> std::io::Result<Reply> {
        let line = self.line()?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status =
            status.ok_or_else(|| std::io::Error::other(format!("no status line: {line:?}")))?;
        let mut headers = vec![];
        loop {
            let header = self.line()?;
            if header.is_empty() {
                break;
            }
            let (name, value) = header.split_once(':').expect("a header has a colon");
            headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
        let mut reply = Reply {
            status,
            headers,
            body: vec![],
        };
        if !head && status != 304 && status != 204 {
            self.body(&mut reply)?;
        }
        Ok(reply)
    }

    fn body(&mut self, reply: &mut Reply) -> std::io::Result<()> {
        if let Some(len) = reply.header("content-length") {
            reply.body = vec![0; len.parse().unwrap()];
            return self.stream.read_exact(&mut reply.body);
        }
        if reply.header("transfer-encoding") == Some("chunked") {
            loop {
                let len =
                    usize::from_str_radix(&self.line()?, 16).map_err(std::io::Error::other)?;
                let mut chunk = vec![0; len];
                self.stream.read_exact(&mut chunk)?;
                reply.body.extend(chunk);
                self.line()?;
                if len == 0 {
                    return Ok(());
                }
            }
        }
        self.stream.read_to_end(&mut reply.body).map(|_| ())
    }
}

/// A request of HTTP/1.1 with a Host; `headers` are whole lines without their ends.
pub fn request(method: &str, path: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n");
    for header in headers {
        text += header;
        text += "\r\n";
    }
    if !body.is_empty() || method == "POST" {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    [format!("{text}\r\n").as_bytes(), body].concat()
}
