//! The package, made from the binary that is tested.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The zip that `infra/package` makes; once for each test process. `RESCIND_PACKAGE` names another
/// to be tested.
pub fn package() -> &'static Path {
    static PACKAGE: OnceLock<PathBuf> = OnceLock::new();
    PACKAGE.get_or_init(|| std::env::var_os("RESCIND_PACKAGE").map_or_else(make, PathBuf::from))
}

fn make() -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(dir).unwrap();
    let [binary, zip] =
        ["rescind", "zip"].map(|kind| dir.join(format!("package-{}.{kind}", std::process::id())));
    forget_old(dir);
    // What only a debugger reads would make the zip ten times as large.
    let strip = [
        "--strip-debug",
        "-o",
        binary.to_str().unwrap(),
        env!("CARGO_BIN_EXE_rescind"),
    ];
    run(
        Command::new("strip").args(strip),
        "`strip` (Debian: binutils)",
    );
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("infra/package");
    let said = run(
        Command::new(script)
            .arg("--binary")
            .arg(&binary)
            .arg("--out")
            .arg(&zip),
        "python3",
    );
    println!("{said}");
    zip
}

/// The packages of test runs that are over.
fn forget_old(dir: &Path) {
    for path in fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        let name = path
            .file_stem()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let process = name
            .strip_prefix("package-")
            .filter(|id| id.bytes().all(|digit| digit.is_ascii_digit()));
        if process.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
            let _ = fs::remove_file(path);
        }
    }
}

fn run(command: &mut Command, needed: &str) -> String {
    match command.output() {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).into_owned()
        }
        Ok(output) => panic!(
            "{command:?} failed: {}",
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(error) => panic!("these tests need {needed}: {command:?}: {error}"),
    }
}
