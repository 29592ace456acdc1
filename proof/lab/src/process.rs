//! One long-lived program with its output in a file.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// How long a program has to end by itself before it is killed.
const GRACE: Duration = Duration::from_secs(5);
/// How often a program that is starting is asked whether it is ready.
const READY_POLL: Duration = Duration::from_millis(50);
/// Lines of a program's output that go into the error when it does not start.
const LINES_IN_ERRORS: usize = 15;

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with its output appended to `<directory>/<name>.log`.
    ///
    /// # Errors
    /// When the log or the program cannot be opened.
    pub(crate) fn spawn(name: &str, mut command: Command, directory: &Path) -> Result<Self> {
        let log = directory.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log);
        let file = file.with_context(|| format!("cannot write {}", log.display()))?;
        let errors = file.try_clone().with_context(|| format!("cannot write {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// The process id; `None` once it has ended and that was noticed.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// The last `lines` lines of its output.
    pub(crate) fn tail(&self, lines: usize) -> String {
        tail(&self.log, lines)
    }

    /// Asks `ready` again and again until it says yes.
    ///
    /// # Errors
    /// When the program ends or `limit` passes first; the error carries the end of its output.
    pub(crate) async fn wait_until_ready(
        &mut self,
        limit: Duration,
        mut ready: impl AsyncFnMut() -> bool,
    ) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) =
                self.child.try_wait().with_context(|| format!("cannot wait for {}", self.name))?
            {
                bail!("{} ended with {status} while starting:\n{}", self.name, self.tail(LINES_IN_ERRORS));
            }
            if timeout(limit, ready()).await.unwrap_or(false) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                bail!("{} is not ready after {limit:?}:\n{}", self.name, self.tail(LINES_IN_ERRORS));
            }
            sleep(READY_POLL).await;
        }
    }

    /// Asks it to end (SIGTERM), and kills it when it does not within a few seconds.
    ///
    /// # Errors
    /// When the operating system does not know the process.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        terminate(&self.child);
        if timeout(GRACE, self.child.wait()).await.is_err() {
            self.kill().await?;
        }
        Ok(())
    }

    /// Does `work` while the program stands still (SIGSTOP).
    ///
    /// # Errors
    /// When it does not run, or `work` fails.
    pub(crate) fn frozen<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let signal = |signal| match pid(&self.child) {
            Some(id) => kill_process(id, signal).with_context(|| format!("cannot signal {}", self.name)),
            None => bail!("{} has ended", self.name),
        };
        signal(Signal::STOP)?;
        let done = work();
        signal(Signal::CONT)?;
        done
    }

    /// Kills it (SIGKILL) and waits for its end.
    ///
    /// # Errors
    /// When the operating system does not know the process.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.with_context(|| format!("cannot kill {}", self.name))
    }
}

/// Sends SIGTERM to a child that has not been waited for, whose id therefore cannot belong to anybody else.
pub(crate) fn terminate(child: &Child) {
    if let Some(id) = pid(child) {
        // A failure means that the process has ended already, which is what was asked for.
        let _ended = kill_process(id, Signal::TERM);
    }
}

fn pid(child: &Child) -> Option<Pid> {
    child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)
}

fn tail(path: &Path, lines: usize) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
