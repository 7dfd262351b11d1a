//! Programs that the tests start and that never outlive them.

use std::{
    ffi::OsStr,
    process::{Child, Command},
    sync::{OnceLock, mpsc},
    thread,
};

/// Ended, by its own id, when it goes out of scope; and by the kernel should the test process die
/// without a word.
#[derive(Debug)]
pub struct Guard(pub Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A command whose process the kernel kills as soon as the thread that started it is gone.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

type Job = (Command, mpsc::Sender<std::io::Result<Child>>);

/// Starts a [`command`] from a thread that lives as long as the process: a test's own thread may be
/// gone while others still use what it started.
pub fn spawn(command: Command) -> Guard {
    static JOBS: OnceLock<mpsc::Sender<Job>> = OnceLock::new();
    let jobs = JOBS.get_or_init(|| {
        let (sender, receiver) = mpsc::channel::<Job>();
        thread::spawn(move || {
            for (mut command, answer) in receiver {
                let _ = answer.send(command.spawn());
            }
        });
        sender
    });
    let (sender, receiver) = mpsc::channel();
    let what = format!("{command:?}");
    jobs.send((command, sender))
        .expect("the starting thread never ends");
    match receiver.recv().expect("the starting thread never ends") {
        Ok(child) => Guard(child),
        Err(error) => {
            panic!("these tests need `setpriv` (Debian: util-linux) to start {what}: {error}")
        }
    }
}
