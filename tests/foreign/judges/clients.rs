//! Clients as relying parties run them: given a trust anchor, a certificate and CRLs or a
//! responder, a verdict.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{
    openssl::openssl,
    support::{
        Output,
        client::{Evidence, Question, Verdict},
        pem,
        pki::der_of,
        poll,
        server::free_port,
    },
    tools,
};

/// Who judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// `openssl verify`, with deltas and shards.
    OpenSsl,
    /// `certtool` and `ocsptool`.
    GnuTls,
    /// pyhanko-certvalidator: deltas and shards.
    PyHanko,
    /// The parts of Python's `cryptography`.
    Pyca,
    /// PKIXRevocationChecker: no deltas.
    Java,
    /// `ocspclnt`.
    Nss,
    /// nginx's stapling, fetched by `openssl s_client`.
    Nginx,
}

impl Client {
    /// One verdict for each question. Clients that are slow to start are started once.
    pub fn judge(self, questions: &[Question]) -> Vec<Verdict> {
        let each = |judge: fn(&Question) -> Verdict| questions.iter().map(judge).collect();
        match self {
            Self::OpenSsl => each(openssl_verify),
            Self::GnuTls => each(gnutls),
            Self::Nss => each(nss),
            Self::PyHanko => python("pyhanko", questions),
            Self::Pyca => python("pyca", questions),
            Self::Java => java(questions),
            Self::Nginx => nginx(questions),
        }
    }
}

fn openssl_verify(question: &Question) -> Verdict {
    let mut args = vec![
        "verify",
        "-CAfile",
        &question.trust,
        "-crl_check",
        "-use_deltas",
        "-extended_crl",
    ];
    let pems: Vec<String> = question.crls().iter().map(|file| pem_of(file)).collect();
    args.extend(pems.iter().flat_map(|pem| ["-CRLfile", pem]));
    args.push(&question.leaf);
    let said = openssl(question.dir(), &args);
    match said.code {
        0 => Verdict::Good,
        _ if said.stderr.contains("error 23 ") => Verdict::Revoked,
        _ => Verdict::Refused(said.stderr),
    }
}

/// `certtool --verify` takes no notice of a CRL that does not verify, so that is asked first.
fn gnutls(question: &Question) -> Verdict {
    let trust = ["--load-ca-certificate", &question.trust];
    if let Evidence::Ocsp(url) = &question.evidence {
        let ask = format!("--ask={url}");
        let files = [
            "--load-issuer",
            &question.trust,
            "--load-cert",
            &question.leaf,
            "--load-trust",
            &question.trust,
        ];
        let said = run(
            "ocsptool",
            "gnutls-bin",
            question.dir(),
            &[&[ask.as_str()], &files[..]].concat(),
        );
        return match said.stdout.contains("Verifying OCSP Response: Success") {
            true if said.stdout.contains("Certificate Status: good") => Verdict::Good,
            true if said.stdout.contains("Certificate Status: revoked") => Verdict::Revoked,
            _ => Verdict::Refused(said.stdout + &said.stderr),
        };
    }
    let [crl] = question.crls() else {
        panic!("certtool takes one CRL")
    };
    let authority = tempfile::NamedTempFile::new_in(question.dir()).unwrap();
    // With --inder the CA must be DER too.
    fs::write(&authority, der_of(Path::new(&question.trust))).unwrap();
    let authority = authority.path().to_str().unwrap();
    let files = [
        "--verify-crl",
        "--inder",
        "--infile",
        crl,
        "--load-ca-certificate",
        authority,
    ];
    let said = run("certtool", "gnutls-bin", question.dir(), &files);
    if said.code != 0 || !said.stdout.contains("Verified") {
        return Verdict::Refused(said.stdout + &said.stderr);
    }
    let crl = pem_of(crl);
    let files = ["--verify", "--load-crl", &crl, "--infile", &question.leaf];
    let said = run(
        "certtool",
        "gnutls-bin",
        question.dir(),
        &[&files[..], &trust[..]].concat(),
    );
    match said.code {
        0 if said.stdout.contains("Checked against CRL") => Verdict::Good,
        1 if said.stdout.contains("The certificate chain is revoked") => Verdict::Revoked,
        _ => Verdict::Refused(said.stdout + &said.stderr),
    }
}

/// `ocspclnt` asks the responder that the database is told of; it always exits with 0.
fn nss(question: &Question) -> Verdict {
    let dir = tempfile::tempdir_in(question.dir()).unwrap();
    let database = format!("sql:{}", dir.path().display());
    let certutil = |args: &[&str]| {
        let said = run(
            "certutil",
            "libnss3-tools",
            dir.path(),
            &[args, &["-d", &database]].concat(),
        );
        assert_eq!(said.code, 0, "{args:?}: {said:?}");
    };
    certutil(&["-N", "--empty-password"]);
    certutil(&["-A", "-n", "ca", "-t", "C,,", "-i", &question.trust]);
    certutil(&["-A", "-n", "leaf", "-t", ",,", "-i", &question.leaf]);
    let ask = [
        "-d",
        &database,
        "-S",
        "leaf",
        "-u",
        "1",
        "-l",
        question.url(),
        "-t",
        "ca",
    ];
    let said = run("ocspclnt", "libnss3-tools", dir.path(), &ask);
    let text = said.stdout + &said.stderr;
    match () {
        () if text.contains("\"leaf\" succeeded") => Verdict::Good,
        () if text.contains("Peer's Certificate has been revoked") => Verdict::Revoked,
        () => Verdict::Refused(text),
    }
}

fn python(client: &str, questions: &[Question]) -> Vec<Verdict> {
    let lines: Vec<String> = questions
        .iter()
        .map(|question| format!("{client} {}", question.line()))
        .collect();
    let program = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/foreign/judges/clients.py"
    );
    verdicts(Command::new(tools::python()).arg(program), "Python", &lines)
}

/// A single file that Java compiles by itself.
fn java(questions: &[Question]) -> Vec<Verdict> {
    let lines: Vec<String> = questions.iter().map(Question::line).collect();
    let program = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/foreign/judges/Pkix.java"
    );
    let mut command = Command::new("java");
    command.args([
        "-XX:TieredStopAtLevel=1",
        "-Dcom.sun.security.ocsp.timeout=10",
        program,
    ]);
    verdicts(
        &mut command,
        "JDK 17 or newer (Debian: default-jdk-headless)",
        &lines,
    )
}

/// A line in, a verdict out.
fn verdicts(command: &mut Command, needed: &str, lines: &[String]) -> Vec<Verdict> {
    let child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child =
        child.unwrap_or_else(|error| panic!("these tests need {needed}; {command:?}: {error}"));
    child
        .stdin
        .take()
        .unwrap()
        .write_all(lines.join("\n").as_bytes())
        .unwrap();
    let said = Output::of(child.wait_with_output().unwrap());
    let verdicts: Vec<Verdict> = said.stdout.lines().map(Verdict::read).collect();
    assert_eq!(
        (said.code, verdicts.len()),
        (0, lines.len()),
        "{needed}: {said:#?}"
    );
    verdicts
}

/// Killed by its own id.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One server for each certificate. What nginx does not staple it writes to its log, with the
/// certificate's file.
fn nginx(questions: &[Question]) -> Vec<Verdict> {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (log, config) = (path("error.log"), path("nginx.conf"));
    let ports: Vec<u16> = questions.iter().map(|_| free_port()).collect();
    let mut text = format!(
        "daemon off; master_process off; pid {}; error_log {log} info; events {{}}\n",
        path("pid")
    );
    text += "http { access_log off; ssl_stapling on; ssl_stapling_verify on;\n";
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        text += &format!("{kind}_temp_path {};\n", path(kind));
    }
    for (question, port) in questions.iter().zip(&ports) {
        let Question { trust, leaf, .. } = question;
        text += &format!(
            "server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {leaf}; ssl_certificate_key \
             {}; \
             ssl_trusted_certificate {trust}; ssl_stapling_responder {}; }}\n",
            question.dir().join("leaf.key").display(),
            question.url(),
        );
    }
    fs::write(&config, text + "}\n").unwrap();
    // Debian has it where only root looks.
    let program = if Path::new("/usr/sbin/nginx").exists() {
        "/usr/sbin/nginx"
    } else {
        "nginx"
    };
    let child = Command::new(program)
        .args(["-e", &log, "-c", &config])
        .spawn();
    let _running =
        Running(child.unwrap_or_else(|error| {
            panic!("these tests need nginx (Debian: nginx-light): {error}")
        }));
    let ask = |(question, port): (&Question, &u16)| {
        let address = format!("127.0.0.1:{port}");
        // The first handshake makes nginx ask; a later one has the answer.
        poll(
            Duration::from_secs(20),
            &format!("nginx's verdict on {}", question.leaf),
            || {
                let said = openssl(dir.path(), &["s_client", "-connect", &address, "-status"]);
                if said.stdout.contains("Cert Status: good") {
                    return Some(Verdict::Good);
                }
                let log = fs::read_to_string(&log).unwrap_or_default();
                let mine = format!("certificate: \"{}\"", question.leaf);
                let line = log
                    .lines()
                    .find(|line| line.contains("[error]") && line.contains(&mine))?;
                let is_revoked =
                    line.contains("certificate status \"revoked\" in the OCSP response");
                Some(if is_revoked {
                    Verdict::Revoked
                } else {
                    Verdict::Refused(line.to_owned())
                })
            },
        )
    };
    questions.iter().zip(&ports).map(ask).collect()
}

fn run(program: &str, package: &str, dir: &Path, args: &[&str]) -> Output {
    let output = Command::new(program)
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::null())
        .output();
    Output::of(output.unwrap_or_else(|error| {
        panic!(
            "these tests need `{program}` (Debian: apt-get install {package}), which cannot be \
                run: {error}"
        )
    }))
}

/// The PEM twin of a CRL, beside it. Several clients ask for it at once, so none sees half of it.
fn pem_of(crl: &str) -> String {
    let pem = format!("{crl}.judged.pem");
    let half = tempfile::NamedTempFile::new_in(Path::new(crl).parent().unwrap()).unwrap();
    fs::write(&half, pem::write("X509 CRL", &fs::read(crl).unwrap())).unwrap();
    half.persist(&pem).unwrap();
    pem
}
