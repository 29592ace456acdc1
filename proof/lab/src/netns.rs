//! A network and process namespace for everything that the lab starts.
//!
//! The network namespace has one interface, `lo`, that answers for all of `10.64.0.0/16`: each pod gets an address of
//! its own, every port is free, and nothing that runs here can reach, or be reached from, anything else. The process
//! namespace is why nothing is ever left behind: this process is its first one, and when the first one ends, however
//! it ends, the kernel kills the rest. A file system in memory, seen from inside only, goes with them.

use std::convert::Infallible;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use rustix::process::geteuid;
use tokio::signal::unix::{SignalKind, signal};

use crate::tools::Tools;

/// Set inside the namespace, to the folder for the lab's files.
const SCRATCH_VARIABLE: &str = "TRIMTAB_LAB_NAMESPACE";
/// The addresses that are ours inside, in the notation of `ip addr add`.
const POD_NETWORK: &str = "10.64.0.0/16";
/// What a shell reports for a program ended by SIGINT (2) and SIGTERM (15): 128 and the signal's number.
const SIGNALS: [(SignalKind, i32); 2] = [(SignalKind::interrupt(), 130), (SignalKind::terminate(), 143)];

/// Proof that this process, and so all that it starts, is alone in its namespaces. Made by
/// [`reexec_in_namespace`] only.
#[derive(Debug, Clone)]
pub struct Namespace {
    scratch: PathBuf,
}

impl Namespace {
    /// A folder in memory for files that end with the namespace.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }
}

/// Called first thing in `main`, before any thread exists: outside, replaces this process by itself inside new
/// namespaces and does not return; inside, brings the network up and returns.
///
/// Works as root, and as anybody else where user namespaces are allowed.
///
/// # Errors
/// Says which program is missing (`unshare`, `ip` or `mount`) or refused, and what to install.
pub fn reexec_in_namespace(tools: &Tools) -> Result<Namespace> {
    match std::env::var_os(SCRATCH_VARIABLE) {
        Some(scratch) if std::process::id() == 1 => set_up(PathBuf::from(scratch)),
        _ => match replace_this_process(tools)? {},
    }
}

fn replace_this_process(tools: &Tools) -> Result<Infallible> {
    let scratch = tools.cache.join("run");
    fs::create_dir_all(&scratch).with_context(|| format!("cannot create {}", scratch.display()))?;
    let itself = std::env::current_exe().context("cannot find this program's own file")?;
    // Once this process is replaced, nobody is left to say why it did not work.
    run(&mut unshare(Path::new("ip"), ["link", "set", "lo", "up"]), "util-linux and iproute2")
        .context("this machine does not let us have namespaces of our own")?;
    let mut command = unshare(&itself, std::env::args_os().skip(1));
    Err(command.env(SCRATCH_VARIABLE, &scratch).exec()).context("cannot start unshare")
}

fn unshare(program: &Path, arguments: impl IntoIterator<Item: AsRef<OsStr>>) -> Command {
    let mut command = Command::new("unshare");
    if !geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command
        .args(["--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--"])
        .arg(program)
        .args(arguments);
    command
}

fn set_up(scratch: PathBuf) -> Result<Namespace> {
    exit_on_signals()?;
    run(Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&scratch), "mount")?;
    run(Command::new("ip").args(["link", "set", "lo", "up"]), "iproute2")?;
    run(Command::new("ip").args(["addr", "add", POD_NETWORK, "dev", "lo"]), "iproute2")?;
    Ok(Namespace { scratch })
}

fn run(command: &mut Command, packages: &str) -> Result<()> {
    let what = format!("{command:?}");
    let output = command.output().with_context(|| format!("cannot start {what}; install {packages}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{what} ended with {} (it needs {packages}): {}",
        output.status,
        said.trim()
    );
    Ok(())
}

/// The first process of a namespace is not ended by a signal it has no handler for: without this, ctrl-c does nothing.
fn exit_on_signals() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start a runtime")?;
    let exit_code = async {
        let [(interrupt, interrupted), (terminate, terminated)] = SIGNALS;
        let (mut interrupt, mut terminate) = (signal(interrupt)?, signal(terminate)?);
        tokio::select! {
            _ = interrupt.recv() => std::io::Result::Ok(interrupted),
            _ = terminate.recv() => Ok(terminated),
        }
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || std::process::exit(runtime.block_on(exit_code).unwrap_or(1)))
        .context("cannot start a thread")?;
    Ok(())
}
