//! The Functions host on the wire: it takes the package and drives the handler as the real host
//! does.
//!
//! Public requests arrive at [`Host::port`], so `curl` and `openssl` can ask it, too. On the way to
//! the handler stand App Service's front end (which decodes paths and merges slashes), routing by
//! function.json, function keys, and one of the two ways of handing requests over. What the real
//! host does was read in its source; where it could only be inferred, the stricter reading is
//! taken.

mod app;
mod forward;
mod path;
mod route;
mod tests;
mod timer;
mod worker;

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    header,
    server::conn::http1::Builder,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

pub use timer::Tick;
pub use worker::{Line, State};

use crate::{
    cloud::{runtime, wait},
    support::http::{Connection, Reply, request},
};
use route::{Auth, Route};
use worker::Worker;

/// The key of authLevel `function`.
pub const FUNCTION_KEY: &str = "dGhlIGZ1bmN0aW9uIGtleSBvZiB0aGUgdGVzdHM=";
/// The key that opens everything.
pub const MASTER_KEY: &str = "dGhlIG1hc3RlciBrZXkgb2YgdGhlIHRlc3Rz";
/// App Service ends a call after so long.
const LOAD_BALANCER: Duration = Duration::from_secs(230);

/// How requests are handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// An older host: `enableForwardingHttpRequest`; it does not know the other.
    Forwarding,
    /// A newer host: `enableProxyingHttpRequest` comes first.
    Proxying,
}

/// What to start.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    pub zip: &'a Path,
    /// The app settings, and what the platform adds to them.
    pub env: Vec<(String, String)>,
    pub mode: Mode,
    /// Whether App Service stands before the host; it does not in containers.
    pub front_end: bool,
}

struct Shared {
    app: app::App,
    worker: Arc<Worker>,
    mode: Mode,
    front_end: bool,
}

pub struct Host {
    pub port: u16,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Drop for Host {
    fn drop(&mut self) {
        self.task.abort();
        self.shared.worker.kill(true);
        if std::thread::panicking() {
            println!("the handler said: {:#?}", self.log_lines());
        }
    }
}

impl Host {
    /// Starts the package behind App Service's front end; it must start.
    pub fn start(zip: &Path, env: Vec<(String, String)>, mode: Mode) -> Self {
        let plan = Plan {
            zip,
            env,
            mode,
            front_end: true,
        };
        Self::try_start(plan).unwrap_or_else(|problem| panic!("the app does not start: {problem}"))
    }

    pub fn try_start(plan: Plan<'_>) -> Result<Self, String> {
        let settings: BTreeMap<String, String> = plan.env.into_iter().collect();
        let app = app::App::open(plan.zip, &settings)?;
        // An older host passes over what it does not know; a newer one prefers proxying.
        let mode =
            match plan.mode {
                Mode::Proxying if app.proxying => Mode::Proxying,
                _ if app.forwarding => Mode::Forwarding,
                _ => return Err(
                    "host.json: HTTP requests would arrive as JSON, which destroys OCSP requests"
                        .into(),
                ),
            };
        if mode != plan.mode {
            return Err("host.json: enableProxyingHttpRequest is not set".into());
        }
        let worker = Worker::start(&app, &settings)?;
        let shared = Arc::new(Shared {
            app,
            worker,
            mode,
            front_end: plan.front_end,
        });
        let listener = wait(TcpListener::bind("127.0.0.1:0")).map_err(|error| error.to_string())?;
        let port = listener
            .local_addr()
            .map_err(|error| error.to_string())?
            .port();
        let task = runtime().spawn(serve(listener, shared.clone()));
        Ok(Self { port, shared, task })
    }

    // --- Public requests
    // --------------------------------------------------------------------------------------------

    pub fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], b"")
    }

    pub fn head(&self, path: &str) -> Reply {
        let bytes = request("HEAD", path, &[], b"");
        Connection::open(self.port)
            .and_then(|mut one| one.send(&bytes, true))
            .expect("the host answers")
    }

    pub fn post(&self, path: &str, content_type: &str, body: &[u8]) -> Reply {
        self.send(
            "POST",
            path,
            &[&format!("Content-Type: {content_type}")],
            body,
        )
    }

    /// `headers` are whole lines without their ends.
    pub fn send(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Reply {
        self.raw(&request(method, path, headers, body))
    }

    /// Exactly these bytes.
    pub fn raw(&self, bytes: &[u8]) -> Reply {
        Connection::open(self.port)
            .and_then(|mut one| one.send(bytes, false))
            .expect("the host answers")
    }

    /// With the function key.
    pub fn api(&self, method: &str, path: &str, body: &Value) -> Reply {
        let headers = [
            &format!("x-functions-key: {FUNCTION_KEY}"),
            "Content-Type: application/json",
        ];
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.send(method, path, &headers, body.as_bytes())
    }

    // --- The timer
    // --------------------------------------------------------------------------------------------------

    /// One tick of the only timer: what the handler returned, or why the invocation failed.
    pub fn tick(&self) -> Result<Value, String> {
        self.tick_as(Tick::default())
    }

    pub fn tick_as(&self, tick: Tick) -> Result<Value, String> {
        let shared = &self.shared;
        let [timer] = shared.app.timers.as_slice() else {
            return Err(format!("the app has {} timers", shared.app.timers.len()));
        };
        shared.answers()?;
        let request = timer::envelope(timer, tick, shared.mode, shared.worker.port)?;
        let answer = shared.worker.call(request, shared.app.timeout);
        match answer {
            Ok(answer) => timer::verdict(&answer),
            Err(problem) if problem.starts_with("no answer within") => {
                shared.worker.replace()?;
                Err(format!(
                    "functionTimeout, and the process was replaced: {problem}"
                ))
            }
            Err(problem) => Err(problem),
        }
    }

    // --- The process
    // ------------------------------------------------------------------------------------------------

    /// The host ends, and the handler by SIGKILL: nothing is said to it before.
    pub fn kill(self) {
        drop(self);
    }

    /// Something else ends the handler by SIGKILL; the host's rules for errors apply. Waits until
    /// it is back.
    pub fn crash(&self) {
        let starts = self.starts();
        self.shared.worker.kill(false);
        self.await_restart(starts);
    }

    /// SIGKILL without waiting for what comes of it.
    pub fn crash_now(&self) {
        self.shared.worker.kill(false);
    }

    /// Waits until the handler was started more than `starts` times, and answers, or the host has
    /// given up.
    pub fn await_restart(&self, starts: usize) {
        for _ in 0..3000 {
            if self.state() != State::Running
                || (self.starts() > starts && self.shared.answers().is_ok() && self.alive())
            {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the handler is not restarted: {:#?}", self.log_lines());
    }

    fn alive(&self) -> bool {
        let probe = Request::get("/")
            .header(header::HOST, "127.0.0.1")
            .body(Full::new(Bytes::new()));
        probe.is_ok_and(|probe| {
            self.shared
                .worker
                .call(probe, Duration::from_secs(5))
                .is_ok()
        })
    }

    pub fn state(&self) -> State {
        self.shared.worker.state()
    }

    pub fn starts(&self) -> usize {
        self.shared.worker.starts()
    }

    /// From the start of the process to its answer to the probe.
    pub fn ready_in(&self) -> Duration {
        self.shared.worker.ready_in()
    }

    pub fn pid(&self) -> Option<u32> {
        self.shared.worker.pid()
    }

    /// The most memory that the process has had, in KiB.
    pub fn peak_memory(&self) -> Option<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid()?)).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.split_whitespace().next()?.parse().ok()
    }

    /// What the handler wrote, each line at the level that it gets in Application Insights.
    pub fn log_lines(&self) -> Vec<Line> {
        self.shared.worker.lines()
    }

    /// The handler's own port: nothing outside the host can reach it really.
    pub fn handler_port(&self) -> u16 {
        self.shared.worker.port
    }

    /// The folder that the package was unpacked to.
    pub fn root(&self) -> &Path {
        self.shared.app.root.path()
    }
}

/// A random GUID.
fn guid() -> String {
    let mut random = [0; 16];
    aws_lc_rs::rand::fill(&mut random).expect("randomness");
    let hex: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "{}-{}-4{}-8{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[13..16],
        &hex[17..20],
        &hex[20..]
    )
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(connection(stream, shared.clone()));
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let shared = shared.clone();
        async move { shared.public(request).await }
    });
    let _ = Builder::new()
        .preserve_header_case(true)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn plain(status: u16, text: impl Into<String>) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(text.into())));
    *answer.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    answer
}

impl Shared {
    /// Whether calls reach the handler at all.
    fn answers(&self) -> Result<(), String> {
        match self.worker.state() {
            State::Running => Ok(()),
            State::Gone => Err("the handler ended with 0; the host does not notice".into()),
            State::Stopped(why) => Err(why),
        }
    }

    async fn public(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, hyper::Error> {
        let (parts, body) = request.into_parts();
        let request = Request::from_parts(parts, body.collect().await?.to_bytes());
        Ok(self.routed(request).await)
    }

    async fn routed(&self, mut request: Request<Bytes>) -> Response<Full<Bytes>> {
        let raw = request.uri().path().to_owned();
        if request
            .uri()
            .path_and_query()
            .is_some_and(|target| target.as_str().len() > 8192)
        {
            return plain(414, "");
        }
        let path = match self.front_end {
            true if !request.headers().contains_key(header::HOST) => {
                return plain(400, "Bad Request - Invalid Hostname");
            }
            true => {
                if let Err(problem) = front_end(&mut request) {
                    return plain(400, problem);
                }
                path::front_end(&raw)
            }
            false => path::aspnet(&raw),
        };
        let found = self
            .app
            .routes
            .iter()
            .find(|route| route.takes(request.method().as_str(), &path));
        let Some(route) = found else {
            let home = path == "/" && request.method() == "GET";
            return match (home, self.app.homepage) {
                (true, true) => plain(200, "Your Functions 4.0 app is up and running"),
                (true, false) => plain(204, ""),
                _ => plain(404, ""),
            };
        };
        if !allowed(route, &request) {
            return plain(401, "");
        }
        let invocation = guid();
        let public = forward::Public {
            request: &request,
            path: &path,
            invocation: &invocation,
            port: self.worker.port,
        };
        match self.handler(&public).await {
            Ok(answer) => forward::handed_back(answer),
            Err(problem) => plain(
                if self.mode == Mode::Forwarding {
                    500
                } else {
                    502
                },
                problem,
            ),
        }
    }

    /// YARP tries again while nothing listens; forwarding does not.
    async fn handler(&self, public: &forward::Public<'_>) -> Result<Response<Bytes>, String> {
        self.answers()?;
        let tries = if self.mode == Mode::Proxying { 10 } else { 1 };
        let mut pause = 50;
        for left in (0..tries).rev() {
            let request = public.handed_over(self.mode)?;
            let call = tokio::time::timeout(LOAD_BALANCER, worker::call(self.worker.port, request));
            match call
                .await
                .map_err(|_| "no answer within 230 s".to_owned())?
            {
                Err(problem) if problem.starts_with("connect:") && left > 0 => {
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                    pause = (pause + 50).min(250);
                }
                done => return done,
            }
        }
        Err("not reached".into())
    }
}

/// A key in the header or in `?code=`.
fn allowed(route: &Route, request: &Request<Bytes>) -> bool {
    let header = request
        .headers()
        .get("x-functions-key")
        .and_then(|key| key.to_str().ok())
        .map(str::to_owned);
    let code = request
        .uri()
        .query()
        .and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("code=")));
    let code = code.map(|code| {
        percent_encoding::percent_decode_str(code)
            .decode_utf8_lossy()
            .into_owned()
    });
    let key = header.or(code);
    match route.auth {
        Auth::Anonymous => true,
        Auth::Function => key.is_some_and(|key| key == FUNCTION_KEY || key == MASTER_KEY),
        Auth::Admin => key.is_some_and(|key| key == MASTER_KEY),
    }
}

/// What App Service adds to a request. The client's own copies of these do not get through.
fn front_end(request: &mut Request<Bytes>) -> Result<(), String> {
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str())
        .to_owned();
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let added = [
        ("x-waws-unencoded-url", target.as_str()),
        ("x-original-url", &target),
        ("disguised-host", &host),
        ("was-default-hostname", "rescind.azurewebsites.net"),
        ("x-site-deployment-id", "rescind"),
        ("x-arr-log-id", &guid()),
        ("x-forwarded-for", "203.0.113.7:50123"),
        ("client-ip", "203.0.113.7:50123"),
        ("x-forwarded-proto", "http"),
        ("x-appservice-proto", "http"),
        ("max-forwards", "10"),
    ]
    .map(|(name, value)| (name, value.to_owned()));
    for (name, value) in added {
        request
            .headers_mut()
            .insert(name, value.parse().map_err(|_| format!("{name}: {value}"))?);
    }
    Ok(())
}
