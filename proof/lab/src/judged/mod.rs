//! The product's promises, measured: releases of real processes, judged by a real manager on a real control plane.
//!
//! [`Site::prepare`] installs Trimtab as a user does (`trimtab install | kubectl apply -f -`) and starts the manager as the
//! ServiceAccount that this created, so what it may do is what RBAC says. Each round then ships one release and reports
//! what traffic saw.

mod round;
mod table;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

pub use self::round::{Expected, Kind, Round, RoundResult};
pub use self::table::{Promise, table};
use crate::access::{Access, User};
use crate::cluster::ControlPlaneOptions;
use crate::lab::{Lab, LabOptions};
use crate::process::Process;

/// The user that a manager is.
pub const MANAGER_USER: &str = "system:serviceaccount:trimtab-system:trimtab";
/// How long the manager may take to be ready.
const READY_LIMIT: Duration = Duration::from_secs(30);
/// Where the manager answers probes.
const LISTEN: &str = "127.0.0.1:18080";

/// A lab with Trimtab in it.
pub struct Site {
    trimtab: PathBuf,
    manager: Option<Process>,
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
        let trimtab = program()?;
        let manifests = output(&trimtab, lab.admin(), &["install"]).await?;
        lab.apply(&manifests).await.context("`trimtab install | kubectl apply -f -`")?;
        // The lab has no images: the manager runs as a process, as the same user.
        let scale = ["scale", "deployment/trimtab", "--replicas=0", "--namespace", "trimtab-system"];
        lab.kubectl(&scale).await?;
        let mut site = Self { trimtab, manager: None };
        site.start(lab).await?;
        Ok(site)
    }

    /// Starts the manager and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start(&mut self, lab: &Lab) -> Result<()> {
        let access = lab.control_plane().access(MANAGER_USER)?;
        let kubeconfig = access.kubeconfig.display().to_string();
        let arguments = [
            "manager",
            "--kubeconfig",
            &kubeconfig,
            "--namespace",
            "trimtab-system",
            "--prometheus-url",
            lab.prometheus()?.url(),
            "--listen",
            LISTEN,
        ];
        let mut command = tokio::process::Command::new(&self.trimtab);
        command.args(arguments);
        self.manager = Some(Process::spawn("trimtab", command, lab.directory())?);
        let ready = lab.wait_for("the manager is ready", READY_LIMIT, async || {
            let answer = tokio::net::TcpStream::connect(LISTEN).await;
            Ok(answer.ok().map(drop))
        });
        ready.await.with_context(|| self.tail())
    }

    /// Kills the manager at once.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn kill(&mut self) -> Result<()> {
        match self.manager.take() {
            Some(mut process) => process.kill().await,
            None => Ok(()),
        }
    }

    /// The end of the manager's output.
    #[must_use]
    pub fn tail(&self) -> String {
        self.manager.as_ref().map(|process| process.tail(40)).unwrap_or_default()
    }

    /// Runs the CLI as the admin: what it wrote to stdout.
    ///
    /// # Errors
    /// When it fails.
    pub async fn trimtab(&self, lab: &Lab, arguments: &[&str]) -> Result<String> {
        output(&self.trimtab, lab.admin(), arguments).await
    }
}

async fn output(program: &Path, access: &Access, arguments: &[&str]) -> Result<String> {
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).env("KUBECONFIG", &access.kubeconfig);
    let output = command.output().await.with_context(|| format!("cannot run {}", program.display()))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "trimtab {} failed: {errors}", arguments.join(" "));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
