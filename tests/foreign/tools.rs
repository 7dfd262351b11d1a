//! Judges written in Python: pkilint, the `cryptography` package, and pyhanko-certvalidator.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use crate::support::Output;

/// What is installed, and so part of the folder's name: another version makes another folder.
const PKILINT: &str = "pkilint==0.13.3";
const CRYPTOGRAPHY: &str = "cryptography==50.0.2";
const PYHANKO: &str = "pyhanko-certvalidator==0.33.0";

/// One process looks at many files, because importing pkilint takes longer than using it. A line of
/// output is a complaint.
const JUDGE: &str = r#"
import contextlib, io, sys
from pkilint.bin import lint_crl, lint_ocsp_response
from cryptography import x509
from cryptography.x509 import ocsp

def lint(main, options, path, severity="ERROR"):
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        count = main(["lint", *options, "-s", severity, "-f", "TEXT", "--document-format", "DER", path])
    if count:
        print(f"pkilint: {path}: {said.getvalue()}")

def load_crl(path, ca):
    crl = x509.load_der_x509_crl(open(path, "rb").read())
    ca = x509.load_pem_x509_certificate(open(ca, "rb").read())
    if not crl.is_signature_valid(ca.public_key()):
        print(f"cryptography: {path}: the signature is not valid")
    for entry in crl:
        [extension.value for extension in entry.extensions]
    [extension.value for extension in crl.extensions]

def load_response(path):
    response = ocsp.load_der_ocsp_response(open(path, "rb").read())
    if response.response_status != ocsp.OCSPResponseStatus.SUCCESSFUL:
        print(f"cryptography: {path}: {response.response_status}")

tasks = sys.argv[1:]
while tasks:
    kind, path = tasks.pop(0), tasks.pop(0)
    try:
        if kind == "crl":
            lint(lint_crl.main, ["-t", "CRL", "-p", "PKIX"], path)
            load_crl(path, tasks.pop(0))
        elif kind == "br":
            lint(lint_crl.main, ["-t", "CRL", "-p", "BR"], path, "WARNING")
        elif kind == "ocsp":
            lint(lint_ocsp_response.main, [], path)
            load_response(path)
        else:
            print(f"what is {kind}?")
    except Exception as error:
        print(f"{kind} {path}: {type(error).__name__}: {error}")
"#;

/// Lints files at ERROR and above and loads them with `cryptography`; returns the complaints. Tasks
/// are `["crl", CRL, CA.pem]`, `["ocsp", RESPONSE]` and `["br", CRL]`, one behind the other; the
/// last is by the rules for public CAs, the CA/Browser Forum's Baseline Requirements, at WARNING
/// and above.
pub fn complaints(tasks: &[String]) -> String {
    assert!(!tasks.is_empty());
    let output = Command::new(python())
        .arg("-c")
        .arg(JUDGE)
        .args(tasks)
        .output()
        .unwrap();
    let output = Output::of(output);
    assert_eq!(output.code, 0, "the Python judge itself failed: {output:?}");
    output.stdout
}

/// The interpreter of a virtual environment that has the judges.
pub fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("test-tools");
        let folder = tools.join(PKILINT.replace("==", "-"));
        fs::create_dir_all(&tools).unwrap();
        // Another test process may be making it right now.
        let lock = File::create(tools.join("lock")).unwrap();
        lock.lock().unwrap();
        let (done, python) = (folder.join("done"), folder.join("bin/python3"));
        let packages = [PKILINT, CRYPTOGRAPHY, PYHANKO];
        if fs::read_to_string(&done).is_ok_and(|text| text == packages.concat()) {
            return python;
        }
        let _ = fs::remove_dir_all(&folder);
        let folder = folder.to_str().unwrap();
        run(
            Command::new("python3").args(["-m", "venv", folder]),
            "Python 3 with venv (Debian: python3-venv)",
        );
        let install = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ];
        run(
            Command::new(&python).args(install).args(packages),
            "PyPI, or a mirror that pip is configured for",
        );
        fs::write(&done, packages.concat()).unwrap();
        python
    })
}

fn run(command: &mut Command, needed: &str) {
    let why = match command.output().map(Output::of) {
        Ok(output) if output.code == 0 => return,
        Ok(output) => output.stdout + &output.stderr,
        Err(error) => error.to_string(),
    };
    panic!("these tests need {needed}, but {command:?} failed: {why}");
}
