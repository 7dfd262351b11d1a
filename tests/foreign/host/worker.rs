//! The handler's process: started, probed, listened to, restarted by its exit code.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    process::{Command, Stdio},
    sync::{Arc, Mutex, Weak},
    thread,
    time::{Duration, Instant},
};

use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;

use super::app::App;
use crate::cloud::{process, wait};

/// How long a handler may take until it answers `GET /`.
const PATIENCE: Duration = Duration::from_secs(30);
/// After so many the host stops the application.
const ERRORS: usize = 3;

/// A line of output, with the level that the host gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub level: &'static str,
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Running,
    /// Exit code 0: the host neither restarts it nor notices, and every later call fails.
    Gone,
    /// Too many errors, or none of the answers that it waits for.
    Stopped(String),
}

pub struct Worker {
    pub port: u16,
    command: Box<dyn Fn() -> Command + Send + Sync>,
    child: Mutex<Option<process::Guard>>,
    state: Mutex<State>,
    errors: Mutex<usize>,
    starts: Mutex<usize>,
    lines: Arc<Mutex<Vec<Line>>>,
    ready_in: Mutex<Duration>,
}

impl Worker {
    pub fn start(app: &App, settings: &BTreeMap<String, String>) -> Result<Arc<Self>, String> {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let port = port.map_err(|error| error.to_string())?.port();
        let command = command(app, settings, port);
        let worker = Arc::new(Self {
            port,
            command: Box::new(command),
            child: Mutex::default(),
            state: Mutex::new(State::Running),
            errors: Mutex::default(),
            starts: Mutex::default(),
            lines: Arc::default(),
            ready_in: Mutex::default(),
        });
        worker.launch()?;
        let watched = Arc::downgrade(&worker);
        thread::spawn(move || watch(&watched));
        Ok(worker)
    }

    /// Starts the process and waits until it answers anything at all.
    fn launch(&self) -> Result<(), String> {
        let mut child = process::spawn((self.command)());
        let (out, err) = (child.0.stdout.take(), child.0.stderr.take());
        self.listen(out.map(|out| Box::new(out) as Box<dyn Read + Send>), false);
        self.listen(err.map(|err| Box::new(err) as Box<dyn Read + Send>), true);
        *self.child.lock().unwrap() = Some(child);
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let probe = Request::get("/").header("host", format!("127.0.0.1:{}", self.port));
            let probe = probe
                .body(Full::new(Bytes::new()))
                .map_err(|error| error.to_string())?;
            if self.call(probe, PATIENCE).is_ok() {
                *self.ready_in.lock().unwrap() = start.elapsed();
                *self.starts.lock().unwrap() += 1;
                return Ok(());
            }
            let exited = self
                .child
                .lock()
                .unwrap()
                .as_mut()
                .and_then(|child| child.0.try_wait().ok().flatten());
            if let Some(status) = exited {
                // What it said last is still on its way.
                thread::sleep(Duration::from_millis(100));
                return Err(format!(
                    "the handler ended before it answered: {status}; {:#?}",
                    self.lines()
                ));
            }
            thread::sleep(Duration::from_millis(25));
        }
        Err(format!(
            "the handler does not answer GET / within {PATIENCE:?}; {:#?}",
            self.lines()
        ))
    }

    fn listen(&self, pipe: Option<Box<dyn Read + Send>>, errors: bool) {
        let Some(pipe) = pipe else { return };
        let lines = self.lines.clone();
        thread::spawn(move || {
            for text in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                let text = String::from_utf8_lossy(&text).trim_end().to_owned();
                let level = match errors {
                    true if text.to_lowercase().contains("warn") => "Warning",
                    true => "Error",
                    false => "Information",
                };
                lines.lock().unwrap().push(Line { level, text });
            }
        });
    }

    pub fn lines(&self) -> Vec<Line> {
        self.lines.lock().unwrap().clone()
    }

    pub fn state(&self) -> State {
        self.state.lock().unwrap().clone()
    }

    /// How often the process was started and answered.
    pub fn starts(&self) -> usize {
        *self.starts.lock().unwrap()
    }

    /// From the start of the process until it answered the probe.
    pub fn ready_in(&self) -> Duration {
        *self.ready_in.lock().unwrap()
    }

    pub fn pid(&self) -> Option<u32> {
        self.child
            .lock()
            .unwrap()
            .as_ref()
            .map(|child| child.0.id())
    }

    /// One call, on a connection of its own.
    pub fn call(
        &self,
        request: Request<Full<Bytes>>,
        patience: Duration,
    ) -> Result<Response<Bytes>, String> {
        let port = self.port;
        wait(async move {
            match tokio::time::timeout(patience, call(port, request)).await {
                Ok(answer) => answer,
                Err(_) => Err(format!("no answer within {patience:?}")),
            }
        })
    }

    /// SIGKILL. What the host does when it goes (`forever`), or what an out-of-memory killer does.
    pub fn kill(&self, forever: bool) {
        if forever {
            *self.state.lock().unwrap() = State::Stopped("the host was told to".into());
        }
        if let Some(child) = self.child.lock().unwrap().as_mut() {
            let _ = child.0.kill();
        }
        if forever {
            // Waits for its end.
            self.child.lock().unwrap().take();
        }
    }

    /// `functionTimeout` passed: the host kills the process and everything in it, and starts
    /// another.
    pub fn replace(&self) -> Result<(), String> {
        let mut child = self.child.lock().unwrap();
        child.take();
        drop(child);
        self.launch()
    }

    /// The rules for a process that has ended.
    fn ended(&self, code: i32) {
        if *self.state.lock().unwrap() != State::Running {
            return;
        }
        if code == 0 {
            *self.state.lock().unwrap() = State::Gone;
            return;
        }
        // 200 is an intended restart.
        let mut failed = code != 200;
        loop {
            *self.errors.lock().unwrap() += usize::from(failed);
            if *self.errors.lock().unwrap() >= ERRORS {
                let why = "Exceeded http worker restart retry count".to_owned();
                *self.state.lock().unwrap() = State::Stopped(why);
                return;
            }
            failed = self.launch().is_err();
            if !failed || *self.state.lock().unwrap() != State::Running {
                return;
            }
        }
    }
}

/// Looks for the process's end until nobody needs the worker any more.
fn watch(worker: &Weak<Worker>) {
    while let Some(worker) = worker.upgrade() {
        let ended = {
            let mut child = worker.child.lock().unwrap();
            let status = child
                .as_mut()
                .and_then(|child| child.0.try_wait().ok().flatten());
            if status.is_some() {
                child.take();
            }
            status
        };
        if let Some(status) = ended {
            // A signal counts as an exit code other than 0.
            worker.ended(status.code().unwrap_or(137));
        }
        drop(worker);
        thread::sleep(Duration::from_millis(10));
    }
}

/// The process gets the app's settings and what the host adds, and nothing of the tests' own
/// environment.
fn command(
    app: &App,
    settings: &BTreeMap<String, String>,
    port: u16,
) -> impl Fn() -> Command + Send + Sync + use<> {
    let (executable, directory, arguments) = (
        app.executable.clone(),
        app.directory.clone(),
        app.arguments.clone(),
    );
    let mut env = BTreeMap::from([
        (
            "PATH".to_owned(),
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        ),
        ("HOME".to_owned(), app.root.path().display().to_string()),
        ("FUNCTIONS_EXTENSION_VERSION".to_owned(), "~4".to_owned()),
        ("WEBSITE_SITE_NAME".to_owned(), "rescind".to_owned()),
        ("WEBSITE_INSTANCE_ID".to_owned(), "5d1e0f".to_owned()),
    ]);
    env.extend(settings.clone());
    for name in ["FUNCTIONS_HTTPWORKER_PORT", "FUNCTIONS_CUSTOMHANDLER_PORT"] {
        env.insert(name.to_owned(), port.to_string());
    }
    for name in [
        "FUNCTIONS_HTTPWORKER_ID",
        "FUNCTIONS_CUSTOMHANDLER_WORKER_ID",
    ] {
        env.insert(
            name.to_owned(),
            "3f0c9a2e-0001-4000-8000-000000000001".to_owned(),
        );
    }
    env.insert(
        "FUNCTIONS_APP_ROOT_PATH".to_owned(),
        app.root.path().display().to_string(),
    );
    move || {
        let mut command = process::command(&executable);
        command
            .args(&arguments)
            .current_dir(&directory)
            .env_clear()
            .envs(&env);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

/// One call to the handler; the host dials 127.0.0.1 only.
pub async fn call(port: u16, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, String> {
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await;
    let stream = stream.map_err(|error| format!("connect: {error}"))?;
    let _ = stream.set_nodelay(true);
    let (mut sender, connection) = http1::Builder::new()
        .preserve_header_case(true)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let connection = tokio::spawn(connection);
    let answer = sender
        .send_request(request)
        .await
        .map_err(|error| error.to_string())?;
    let (parts, body) = answer.into_parts();
    let body = body
        .collect()
        .await
        .map_err(|error| error.to_string())?
        .to_bytes();
    drop(sender);
    let _ = connection.await;
    Ok(Response::from_parts(parts, body))
}
