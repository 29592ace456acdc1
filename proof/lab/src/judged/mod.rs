//! The product's promises, measured: releases of real processes, judged by a real manager on a real control plane.
//!
//! [`Site::prepare`] installs Trimtab as a user does (`trimtab install | kubectl apply -f -`) and starts the manager as the
//! ServiceAccount that this created, so what it may do is what RBAC says. Each round then ships one release and reports
//! what traffic saw.

mod manifest;
mod round;
mod scene;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

pub use self::manifest::{managed_app, workload};
pub use self::round::{Expected, Kind, Round, RoundResult};
pub use self::scene::{Scene, Shared};
pub(crate) use self::table::median;
pub use self::table::{Promise, table};
use crate::access::{Access, User};
use crate::cluster::ControlPlaneOptions;
use crate::lab::{Lab, LabOptions};
use crate::process::Process;

/// The user that a manager is.
pub const MANAGER_USER: &str = "system:serviceaccount:trimtab-system:trimtab";
/// How long the manager may take to be ready.
const READY_LIMIT: Duration = Duration::from_secs(30);
/// The first manager answers probes on loopback at this port and one, the second at this port and two.
const LISTEN_PORT_BASE: u16 = 18_080;
/// The manager that a site begins with.
pub const FIRST_MANAGER: u16 = 1;
/// Where messages of a lab go: its receiver is on a private address.
const RECEIVERS: &str = "10.64.0.0/24";
/// What `trimtab install` prints of the manager itself.
const MANIFEST: &str = include_str!("../../../../deploy/manager.yaml");
/// Lines of a manager's output that go into an error.
const LINES_IN_ERRORS: usize = 40;

/// A lab with Trimtab in it.
pub struct Site {
    trimtab: PathBuf,
    prometheus: String,
    managers: BTreeMap<u16, Process>,
}

/// Options of a lab that knows the manager's user.
///
/// # Errors
/// As [`LabOptions::new`].
pub fn options() -> Result<LabOptions> {
    let mut manager = User::named(MANAGER_USER);
    manager.groups =
        vec!["system:serviceaccounts".to_owned(), "system:serviceaccounts:trimtab-system".to_owned()];
    let control_plane =
        ControlPlaneOptions { users: vec![User::admin(), manager], ..ControlPlaneOptions::default() };
    Ok(LabOptions { control_plane, ..LabOptions::new()? })
}

/// The `trimtab` program of the same build: beside this program, or where `TRIMTAB_BIN` says.
///
/// # Errors
/// When there is none; names the command that builds it.
pub fn program() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("TRIMTAB_BIN") {
        return Ok(PathBuf::from(path));
    }
    let own = std::env::current_exe().context("cannot find this program's own file")?;
    let beside =
        own.ancestors().skip(1).take(2).map(|folder| folder.join("trimtab")).find(|path| path.is_file());
    beside.context("the trimtab program is not built; `cargo build -p trimtab`")
}

impl Site {
    /// Installs Trimtab and starts a manager.
    ///
    /// # Errors
    /// When anything of it does not work; the error carries the end of the manager's output.
    pub async fn prepare(lab: &Lab) -> Result<Self> {
        Self::prepare_asking(lab, lab.prometheus()?.url()).await
    }

    /// The same, with a manager that asks this Prometheus instead of the lab's.
    ///
    /// # Errors
    /// As [`Site::prepare`].
    pub async fn prepare_asking(lab: &Lab, prometheus: &str) -> Result<Self> {
        let trimtab = program()?;
        let manifests = output(&trimtab, lab.admin(), &["install"]).await?;
        lab.apply(&manifests).await.context("`trimtab install | kubectl apply -f -`")?;
        // The lab has no images: the manager runs as a process, as the same user.
        let scale = ["scale", "deployment/trimtab", "--replicas=0", "--namespace", "trimtab-system"];
        lab.kubectl(&scale).await?;
        let mut site = Self { trimtab, prometheus: prometheus.to_owned(), managers: BTreeMap::new() };
        site.start(lab).await?;
        Ok(site)
    }

    /// Starts the first manager and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start(&mut self, lab: &Lab) -> Result<()> {
        self.start_manager(lab, FIRST_MANAGER).await
    }

    /// Starts a manager, one of several or again, and waits until it is ready. It may have to wait for the lease.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start_manager(&mut self, lab: &Lab, number: u16) -> Result<()> {
        let access = lab.control_plane().access(MANAGER_USER)?;
        let kubeconfig = access.kubeconfig.display().to_string();
        let listen = format!("127.0.0.1:{}", LISTEN_PORT_BASE + number);
        let arguments = [
            "manager",
            "--kubeconfig",
            &kubeconfig,
            "--namespace",
            "trimtab-system",
            "--prometheus-url",
            &self.prometheus,
            "--notify-allow",
            RECEIVERS,
            "--listen",
            &listen,
            "--identity",
            &identity(number),
        ];
        let mut command = tokio::process::Command::new(&self.trimtab);
        command.args(arguments).envs(environment());
        let name = format!("trimtab-{}", identity(number));
        self.managers.insert(number, Process::spawn(&name, command, lab.directory())?);
        let ready = lab.wait_for("the manager is ready", READY_LIMIT, async || {
            let answer = tokio::net::TcpStream::connect(&listen).await;
            Ok(answer.ok().map(drop))
        });
        ready.await.with_context(|| self.tail())
    }

    /// Kills every manager at once.
    ///
    /// # Errors
    /// When one cannot be killed.
    pub async fn kill(&mut self) -> Result<()> {
        while let Some((_, mut process)) = self.managers.pop_first() {
            process.kill().await?;
        }
        Ok(())
    }

    /// Kills one manager (SIGKILL): it gives nothing back and finishes nothing.
    ///
    /// # Errors
    /// When it does not run, or cannot be killed.
    pub async fn kill_manager(&mut self, number: u16) -> Result<()> {
        let process = self.managers.remove(&number);
        process.with_context(|| format!("{} does not run", identity(number)))?.kill().await
    }

    /// Process id of a manager.
    ///
    /// # Errors
    /// When it does not run.
    pub fn manager_id(&self, number: u16) -> Result<u32> {
        let process = self.managers.get(&number);
        process.and_then(Process::id).with_context(|| format!("{} does not run", identity(number)))
    }

    /// Whether no manager was left running.
    #[must_use]
    pub fn is_deserted(&self) -> bool {
        self.managers.is_empty()
    }

    /// The manager that has the lease, of those that run; none while nobody has it.
    ///
    /// # Errors
    /// When there is no lease.
    pub async fn leader(&self, lab: &Lab) -> Result<Option<u16>> {
        let lease =
            lab.get("/apis/coordination.k8s.io/v1/namespaces/trimtab-system/leases/trimtab-manager").await?;
        let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
        Ok(self.managers.keys().copied().find(|number| identity(*number) == holder))
    }

    /// The end of the managers' output.
    #[must_use]
    pub fn tail(&self) -> String {
        let tails: Vec<String> =
            self.managers.values().map(|process| process.tail(LINES_IN_ERRORS)).collect();
        tails.join("\n")
    }

    /// Runs the CLI as the admin: what it wrote to stdout.
    ///
    /// # Errors
    /// When it fails.
    pub async fn trimtab(&self, lab: &Lab, arguments: &[&str]) -> Result<String> {
        output(&self.trimtab, lab.admin(), arguments).await
    }

    /// Runs the CLI as the admin, whether it fails or not.
    ///
    /// # Errors
    /// When it cannot be run.
    pub async fn try_trimtab(&self, lab: &Lab, arguments: &[&str]) -> Result<Output> {
        run(&self.trimtab, lab.admin(), arguments).await
    }
}

/// The environment that a manager is deployed with, as far as it is the same everywhere.
fn environment() -> impl Iterator<Item = (&'static str, &'static str)> {
    let variable = |line: &'static str| {
        let rest = line.trim().strip_prefix("- {name: ")?.strip_suffix("\"}")?;
        rest.split_once(", value: \"")
    };
    MANIFEST.lines().filter_map(variable)
}

/// A text within an object; empty when it is not there.
#[must_use]
pub fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Who a manager is in the lease.
fn identity(number: u16) -> String {
    format!("manager-{number}")
}

async fn run(program: &Path, access: &Access, arguments: &[&str]) -> Result<Output> {
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).env("KUBECONFIG", &access.kubeconfig);
    command.output().await.with_context(|| format!("cannot run {}", program.display()))
}

async fn output(program: &Path, access: &Access, arguments: &[&str]) -> Result<String> {
    let output = run(program, access, arguments).await?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "trimtab {} failed: {errors}", arguments.join(" "));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_of_the_lab_has_the_environment_of_one_that_is_deployed() {
        assert_eq!(environment().collect::<Vec<_>>(), [("MALLOC_ARENA_MAX", "2")]);
    }
}
