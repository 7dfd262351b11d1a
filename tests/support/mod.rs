//! What the tests stand on, here and with foreign parts: a folder with a CA, the binary, a server,
//! and judges.

pub mod client;
pub mod complaint;
pub mod crl;
pub mod der;
pub mod http;
pub mod judge;
pub mod keys;
pub mod ocsp;
pub mod pem;
pub mod pki;
pub mod seeds;
pub mod server;
pub mod stories;

use std::{
    collections::BTreeMap,
    fs,
    future::Future,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    task::{Context, Poll, Waker},
    time::{Duration, Instant, SystemTime},
};

use rescind::facade::{
    ca::Ca,
    config::{Config, values::Values},
    core::time::Timestamp,
};

use pki::{Cert, Extension, Form, Key, Strings};

/// The name of every test's issuer.
pub const ISSUER: &str = "test-ca";

/// What a program said.
#[derive(Clone, Debug)]
pub struct Output {
    /// The exit code; -1 where a signal ended it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    pub fn of(output: std::process::Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
        let code = output.status.code().unwrap_or(-1);
        Self {
            code,
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Standard output as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }
}

/// How a [`Site`] is to be made.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    pub key: Key,
    pub form: Form,
    /// Whether another CA issued the CA certificate, so that its AKI is not its SKI.
    pub intermediate: bool,
    pub subject: &'a str,
    pub days: u32,
    pub strings: Strings,
    pub ca_extensions: &'a [Extension<'a>],
    /// Lines for `[[issuer]]`, and then for tables below it.
    pub settings: &'a str,
}

impl Default for Plan<'_> {
    fn default() -> Self {
        Self {
            key: Key::P256,
            form: Form::Pkcs8,
            intermediate: false,
            subject: "/C=DE/O=Contoso/CN=Test CA",
            days: 3650,
            strings: Strings::Utf8,
            ca_extensions: pki::CA_EXTENSIONS,
            settings: "",
        }
    }
}

/// A folder with a configuration, a CA and its stores.
#[derive(Debug)]
pub struct Site {
    dir: tempfile::TempDir,
    intermediate: bool,
}

impl Plan<'_> {
    pub fn build(self) -> Site {
        let site = Site {
            dir: tempfile::tempdir().unwrap(),
            intermediate: self.intermediate,
        };
        pki::write_key(&site.path("ca.key.pem"), self.key.shared(), self.form);
        let ca = Cert {
            subject: self.subject,
            serial: "0ca0",
            days: self.days,
            extensions: self.ca_extensions,
        };
        if self.intermediate {
            site.issue_intermediate(ca);
        } else {
            pki::self_signed(
                &site.path("ca.key.pem"),
                &site.path("ca.pem"),
                ca,
                self.strings,
            );
        }
        site.configure(self.settings);
        site
    }
}

impl Site {
    /// A P-256 root with the default settings.
    pub fn new() -> Self {
        Plan::default().build()
    }

    /// With other settings of the issuer.
    pub fn with_settings(settings: &str) -> Self {
        Plan {
            settings,
            ..Plan::default()
        }
        .build()
    }

    fn issue_intermediate(&self, ca: Cert<'_>) {
        let [root, root_key] = ["root.pem", "root.key.pem"].map(|name| self.path(name));
        pki::write_key(&root_key, &Key::P256.generate(), Form::Pkcs8);
        let subject = "/C=DE/O=Contoso/CN=Test Root";
        pki::self_signed(
            &root_key,
            &root,
            Cert {
                subject,
                serial: "01",
                ..ca
            },
            Strings::Utf8,
        );
        let extensions = [ca.extensions, &[Extension::AuthorityKeyId]].concat();
        let (key, out) = (self.path("ca.key.pem"), self.path("ca.pem"));
        pki::issue(
            (&root, &root_key),
            &key,
            &out,
            Cert {
                extensions: &extensions,
                ..ca
            },
        );
    }

    /// Writes the configuration anew.
    pub fn configure(&self, settings: &str) {
        fs::write(self.path("rescind.toml"), configuration(settings)).unwrap();
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The path as text, for command lines.
    pub fn file(&self, name: &str) -> String {
        self.path(name).into_os_string().into_string().unwrap()
    }

    /// The binary with this site's configuration, and nothing of the caller's environment.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rescind"));
        command
            .arg("--config")
            .arg(self.path("rescind.toml"))
            .args(args)
            .current_dir(self.dir());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("RESCIND") {
                command.env_remove(name);
            }
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, args: &[&str]) -> Output {
        Output::of(self.command(args).output().unwrap())
    }

    pub fn spawn(&self, args: &[&str]) -> Child {
        self.command(args).spawn().unwrap()
    }

    /// Runs a command, which must succeed.
    pub fn ok(&self, args: &[&str]) -> Output {
        let output = self.run(args);
        assert_eq!(output.code, 0, "rescind {}: {output:#?}", args.join(" "));
        output
    }

    /// What a command answers with `--json`; it must succeed.
    pub fn json(&self, args: &[&str]) -> serde_json::Value {
        self.ok(&[args, &["--json"]].concat()).json()
    }

    /// Revokes serials for a reason, now.
    pub fn revoke(&self, serial: &str, reason: &str) {
        self.ok(&[
            "revoke", "--issuer", ISSUER, "--serial", serial, "--reason", reason,
        ]);
    }

    /// Imports JSON Lines.
    pub fn import_rows(&self, lines: &str) {
        fs::write(self.path("rows.jsonl"), lines).unwrap();
        self.ok(&[
            "import",
            "--issuer",
            ISSUER,
            "--from",
            "jsonl",
            "rows.jsonl",
        ]);
    }

    /// One pass with a gate accepted.
    pub fn accept(&self, gate: &str, comment: &str) -> Output {
        self.run(&[
            "publish",
            "--issuer",
            ISSUER,
            "--accept",
            gate,
            "--comment",
            comment,
        ])
    }

    /// One pass; returns what it says of the issuer.
    pub fn publish(&self, options: &[&str]) -> serde_json::Value {
        let answer = self.json(&[&["publish"], options].concat());
        answer["issuers"][0].clone()
    }

    /// The index as JSON Lines.
    pub fn export(&self) -> String {
        self.ok(&["export", "--issuer", ISSUER]).stdout
    }

    /// A row of the export, by serial in hexadecimal.
    pub fn row(&self, serial: &str) -> Option<serde_json::Value> {
        let export = self.export();
        let rows = export
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let plain = |text: &str| text.trim_start_matches('0').to_lowercase();
        rows.into_iter()
            .find(|row| plain(row["serial"].as_str().unwrap()) == plain(serial))
    }

    pub fn shelf(&self, suffix: &str) -> PathBuf {
        self.path(&format!("data/shelf/{ISSUER}{suffix}"))
    }

    /// The bytes that relying parties get.
    pub fn crl_bytes(&self) -> Vec<u8> {
        fs::read(self.shelf(".crl")).unwrap()
    }

    pub fn crl(&self) -> crl::Crl {
        crl::Crl::read(&self.crl_bytes())
    }

    /// Every archived CRL by number.
    pub fn archive(&self) -> BTreeMap<u64, Vec<u8>> {
        let folder = self.path(&format!("data/archive/{ISSUER}"));
        let files = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let crls = files.filter(|path| path.extension().is_some_and(|end| end == "crl"));
        crls.map(|path| {
            (
                path.file_stem().unwrap().to_str().unwrap().parse().unwrap(),
                fs::read(&path).unwrap(),
            )
        })
        .collect()
    }

    /// An ordinary certificate, PEM; its file is `NAME.pem`.
    pub fn leaf(&self, name: &str, serial: &str) -> String {
        self.leaf_with(name, serial, &[])
    }

    /// The same, with more extensions: where its CRL and its responder are.
    pub fn leaf_with(&self, name: &str, serial: &str, more: &[Extension<'_>]) -> String {
        let key = self.path("leaf.key");
        fs::write(&key, Key::P256.shared()).unwrap();
        let (subject, out) = (
            format!("/CN={name}.contoso.example"),
            self.path(&format!("{name}.pem")),
        );
        let extensions = [pki::LEAF_EXTENSIONS, more].concat();
        let cert = Cert {
            subject: &subject,
            serial,
            days: 90,
            extensions: &extensions,
        };
        pki::issue(
            (&self.path("ca.pem"), &self.path("ca.key.pem")),
            &key,
            &out,
            cert,
        );
        self.file(&format!("{name}.pem"))
    }

    /// The CA certificate, DER.
    pub fn ca_der(&self) -> Vec<u8> {
        pki::der_of(&self.path("ca.pem"))
    }

    pub fn issuer_id(&self) -> ocsp::IssuerId {
        ocsp::IssuerId::of(&self.ca_der())
    }

    pub fn is_intermediate(&self) -> bool {
        self.intermediate
    }

    /// The issuer as the library sees it.
    pub fn ca(&self) -> Ca {
        let text = fs::read_to_string(self.path("rescind.toml")).unwrap();
        open(&text, self.dir()).remove(0)
    }

    /// Everything that must not change when a command is refused: the index, and what the shelf and
    /// the archive show. Hidden files hold locks and labels.
    pub fn snapshot(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let index = self.path("data/index.sqlite");
        if let Ok(bytes) = fs::read(&index) {
            found.insert(index, bytes);
        }
        for store in ["data/shelf", "data/archive"] {
            gather(&self.path(store), &mut found);
        }
        found
    }
}

/// A folder with `ca.pem` and `ca.key.pem` of a CA that all such folders share; in memory, where
/// there is one: a million fsyncs are no part of the rules.
pub fn folder() -> tempfile::TempDir {
    static SITE: OnceLock<Site> = OnceLock::new();
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    }
    .unwrap();
    for name in ["ca.pem", "ca.key.pem"] {
        fs::copy(
            SITE.get_or_init(Site::new).path(name),
            dir.path().join(name),
        )
        .unwrap();
    }
    dir
}

/// The configuration of one issuer, with more of its settings.
pub fn configuration(settings: &str) -> String {
    format!(
        "[storage]\nindex = \"file:data/index.sqlite\"\nshelf = \"file:data/shelf\"\n\
         archive = \"file:data/archive\"\nstate = \"file:data/state\"\n\n\
         [http]\nlisten = \"127.0.0.1:8080\"\npublic_url = \"http://pki.contoso.example\"\n\n\
         [[issuer]]\nname = \"{ISSUER}\"\ncertificate = \"file:ca.pem\"\nkey = \
         \"file:ca.key.pem\"\n\
         credential = \"file:data/{ISSUER}-ocsp.pem\"\n{settings}"
    )
}

/// The issuers of a configuration as the library sees them.
pub fn open(text: &str, dir: &Path) -> Vec<Ca> {
    let values = Values::collect(Some(("rescind.toml", text)), []).unwrap();
    let config = Config::from_values(&values, dir).unwrap();
    // Opening awaits nothing where everything is local.
    let opening = std::pin::pin!(Ca::open_all(&config, None));
    match opening.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(cas) => cas.unwrap(),
        Poll::Pending => panic!("opening a local CA waited for something"),
    }
}

fn gather(folder: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for path in entries.map(|entry| entry.unwrap().path()) {
        let hidden = path.file_name().unwrap().to_string_lossy().starts_with('.');
        if path.is_dir() {
            gather(&path, found);
        } else if !hidden {
            let bytes = fs::read(&path).unwrap();
            found.insert(path, bytes);
        }
    }
}

/// Runs a future of the library.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

pub fn at(seconds: u64) -> Timestamp {
    Timestamp::from_seconds(seconds).unwrap()
}

/// Asks again and again until there is an answer.
pub fn poll<T>(limit: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(
            start.elapsed() < limit,
            "{what} did not happen within {limit:?}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}
