//! The demo, as its readers try it.

use std::{
    fs::{self, File},
    process::{Command, Stdio},
    time::Duration,
};

use crate::support::{Output, poll};

/// Pastes everything that the demo prints into a shell.
#[test]
fn demo_prints_commands_that_work_when_pasted() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("demo.log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_rescind"));
    command
        .args(["demo", "--dir", "try it"])
        .current_dir(folder.path())
        .env_remove("RESCIND_CONFIG");
    let file = File::create(&log).unwrap();
    let errors = File::create(folder.path().join("demo.err")).unwrap();
    let mut demo = Killed(
        command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .spawn()
            .unwrap(),
    );
    let text = poll(Duration::from_secs(20), "the commands", || {
        if let Some(status) = demo.0.try_wait().unwrap() {
            panic!(
                "{status}: {}",
                fs::read_to_string(folder.path().join("demo.err")).unwrap()
            );
        }
        fs::read_to_string(&log)
            .ok()
            .filter(|text| text.contains(" status\n"))
    });
    let script = &text[text.find("\n# ").expect("commands")..];
    let shell = Command::new("sh")
        .args(["-c", script])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = Output::of(shell);
    assert!(
        !said.stderr.contains("not found"),
        "the demo's commands need openssl and curl: {said:?}"
    );
    for (what, count) in [
        ("good.pem: good\n", 2),
        ("revoked.pem: revoked\n", 3),
        ("held.pem: revoked\n", 2),
        ("Reason: certificateHold", 2),
        ("good.pem: OK\n", 1),
        ("HTTP/1.1 200 OK", 1),
        ("released", 0),
    ] {
        assert_eq!(
            said.stdout.matches(what).count(),
            count,
            "{what}: {said:#?}"
        );
    }
    assert_eq!(
        said.stderr.matches("Response verify OK").count(),
        7,
        "{said:#?}"
    );
    assert_eq!(
        said.stderr.matches("certificate revoked").count(),
        2,
        "{said:#?}"
    );
    assert!(said.stderr.contains("verify OK"), "{said:#?}");
    assert_eq!(said.code, 0, "the last command is `status`: {said:#?}");
}

/// A child that does not outlive its test.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
