//! etcd, kube-apiserver, kube-controller-manager and kube-scheduler, on loopback.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http::Request;
use tokio::process::Command;

use crate::access::{Access, User};
use crate::audit::{self, AuditEvent};
use crate::process::Process;
use crate::tools::Tools;

/// How long any component may take to become ready. Seconds are usual; a machine that builds meanwhile is slow.
const START_LIMIT: Duration = Duration::from_secs(90);
/// Where the API server says it is; an address that is not loopback, as the server insists on.
const ADVERTISED_ADDRESS: &str = "10.64.0.1";
/// Cluster addresses of Services; nothing answers there, see [`crate::load`].
const SERVICE_NETWORK: &str = "10.96.0.0/16";
/// Requests per second that a controller may make: their defaults (20 and 50) are for machines with other work.
const CONTROLLER_REQUESTS_PER_SECOND: u32 = 500;
/// Controllers that would declare nodes dead, or give them networks, where no cloud and no real node is.
const CONTROLLERS: &str = "*,-node-lifecycle-controller,-node-ipam-controller,-taint-eviction-controller";

/// Where etcd keeps its data, in the folder of the control plane.
const ETCD_DATA: &str = "etcd";
/// Where a copy of it is kept.
const ETCD_REMEMBERED: &str = "etcd-remembered";

/// One of the programs of the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// The store.
    Etcd,
    /// kube-apiserver.
    ApiServer,
    /// kube-controller-manager.
    ControllerManager,
    /// kube-scheduler.
    Scheduler,
}

impl Component {
    pub(crate) const ALL: [Self; 4] = [Self::Etcd, Self::ApiServer, Self::ControllerManager, Self::Scheduler];
}

impl fmt::Display for Component {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
        })
    }
}

/// What a control plane is started with. The default has one user, `admin`, and the components' own settings.
#[derive(Debug, Clone)]
pub struct ControlPlaneOptions {
    /// Who may authenticate; the first one is used for everything that the lab itself does, and must be an admin.
    pub users: Vec<User>,
    /// Further flags for a component, e.g. `--horizontal-pod-autoscaler-sync-period=5s`.
    pub flags: BTreeMap<Component, Vec<String>>,
    /// The user whose requests the API server writes down, see [`ControlPlane::audit`].
    pub audited: Option<String>,
}

impl Default for ControlPlaneOptions {
    fn default() -> Self {
        Self { users: vec![User::admin()], flags: BTreeMap::new(), audited: None }
    }
}

/// A running control plane. Dropping it kills its four processes.
#[derive(Debug)]
pub struct ControlPlane {
    program: PathBuf,
    directory: PathBuf,
    ports: Ports,
    flags: BTreeMap<Component, Vec<String>>,
    access: BTreeMap<String, Access>,
    admin: Access,
    processes: BTreeMap<Component, Process>,
}

impl ControlPlane {
    /// Starts the four components in `directory` and returns when the API server, the controllers and the scheduler
    /// are ready: 5 to 10 seconds on an idle machine. Ports are `first_port` and the five after it.
    ///
    /// # Errors
    /// When one of them does not become ready; the error carries the end of its output.
    pub async fn start(
        tools: &Tools,
        directory: &Path,
        first_port: u16,
        options: ControlPlaneOptions,
    ) -> Result<Self> {
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
        let tokens: String = options.users.iter().map(User::token_line).collect();
        fs::write(directory.join("tokens.csv"), tokens)
            .context("cannot write the API server's token file")?;
        let ports = Ports { first: first_port };
        let url = format!("https://127.0.0.1:{}", ports.api_server());
        // The API server makes its certificate when it starts, and signs it itself: it is its own authority.
        let authority = directory.join("certificates/apiserver.crt");
        let mut access = BTreeMap::new();
        for user in &options.users {
            access.insert(user.name.clone(), Access::write(user, &url, &authority, directory)?);
        }
        let admin = options.users.first().and_then(|user| access.get(&user.name)).cloned();
        let admin = admin.context("a control plane needs at least one user, an admin")?;
        let program = tools.controlplane.clone();
        let processes = BTreeMap::new();
        let mut flags = options.flags;
        if let Some(user) = &options.audited {
            flags.entry(Component::ApiServer).or_default().extend(audit::prepare(directory, user)?);
        }
        let directory = directory.to_owned();
        let mut plane = Self { program, directory, ports, flags, access, admin, processes };
        for component in Component::ALL {
            plane.spawn(component)?;
            // The API server waits for etcd by itself; the other two exit when there is no API server.
            if component == Component::ApiServer {
                plane.wait_until_ready(Component::Etcd).await?;
                plane.wait_until_ready(component).await?;
            }
        }
        plane.wait_until_ready(Component::ControllerManager).await?;
        plane.wait_until_ready(Component::Scheduler).await?;
        Ok(plane)
    }

    /// Access as the first user, an admin.
    pub fn admin(&self) -> &Access {
        &self.admin
    }

    /// Access as one of the users it was started with.
    ///
    /// # Errors
    /// When it was started without that user.
    pub fn access(&self, user: &str) -> Result<&Access> {
        self.access.get(user).with_context(|| format!("user {user} is not among the control plane's users"))
    }

    /// What the audited user asked so far, and how it was answered.
    ///
    /// # Errors
    /// When nobody is audited, or nothing was asked yet.
    pub fn audit(&self) -> Result<Vec<AuditEvent>> {
        audit::read(&self.directory)
    }

    /// The last lines of a component's output; empty when it is not running.
    pub fn tail(&self, component: Component, lines: usize) -> String {
        self.processes.get(&component).map(|process| process.tail(lines)).unwrap_or_default()
    }

    /// Process ids of the running components.
    pub fn process_ids(&self) -> BTreeMap<Component, u32> {
        self.processes.iter().filter_map(|(component, process)| Some((*component, process.id()?))).collect()
    }

    /// Kills a component and leaves it dead; what it stored stays.
    ///
    /// # Errors
    /// When it is not running.
    pub async fn kill(&mut self, component: Component) -> Result<()> {
        let mut process =
            self.processes.remove(&component).with_context(|| format!("{component} is not running"))?;
        process.kill().await
    }

    /// Starts a killed component again, on the same port and the same data, and waits until it is ready.
    ///
    /// # Errors
    /// When it is running already, or does not become ready.
    pub async fn revive(&mut self, component: Component) -> Result<()> {
        ensure!(!self.processes.contains_key(&component), "{component} is running already");
        self.spawn(component)?;
        self.wait_until_ready(component).await
    }

    /// Copies what etcd has on disk at one moment: what a machine would find that lost its power then. See
    /// [`ControlPlane::lose_what_followed`].
    ///
    /// # Errors
    /// When etcd does not run, or its data cannot be copied.
    pub fn remember(&self) -> Result<()> {
        let etcd = self.processes.get(&Component::Etcd).context("etcd is not running")?;
        etcd.frozen(|| copy_folder(&self.directory.join(ETCD_DATA), &self.directory.join(ETCD_REMEMBERED)))
    }

    /// Kills all four, takes from etcd what was written since [`ControlPlane::remember`], and starts them again.
    ///
    /// # Errors
    /// When nothing is remembered, or a component does not become ready.
    pub async fn lose_what_followed(&mut self) -> Result<()> {
        for component in Component::ALL.into_iter().rev() {
            self.kill(component).await?;
        }
        let data = self.directory.join(ETCD_DATA);
        fs::remove_dir_all(&data).context("cannot remove etcd's data")?;
        fs::rename(self.directory.join(ETCD_REMEMBERED), &data).context("cannot put etcd's data back")?;
        for component in Component::ALL {
            self.revive(component).await?;
        }
        Ok(())
    }

    /// Ends the components, clients before servers.
    ///
    /// # Errors
    /// When one of them can neither be ended nor killed.
    pub async fn stop(mut self) -> Result<()> {
        for component in Component::ALL.into_iter().rev() {
            if let Some(mut process) = self.processes.remove(&component) {
                process.stop().await?;
            }
        }
        Ok(())
    }

    fn spawn(&mut self, component: Component) -> Result<()> {
        let mut command = Command::new(&self.program);
        let arguments = match component {
            Component::Etcd => self.etcd_arguments(),
            Component::ApiServer => self.api_server_arguments(),
            Component::ControllerManager => self.controller_manager_arguments(),
            Component::Scheduler => self.scheduler_arguments(),
        };
        command.arg(component.to_string()).args(arguments).current_dir(&self.directory);
        command.args(self.flags.get(&component).into_iter().flatten());
        let process = Process::spawn(&component.to_string(), command, &self.directory)?;
        self.processes.insert(component, process);
        Ok(())
    }

    async fn wait_until_ready(&mut self, component: Component) -> Result<()> {
        let process =
            self.processes.get_mut(&component).with_context(|| format!("{component} is not running"))?;
        match component {
            Component::Etcd => {
                process.wait_until_ready(START_LIMIT, async || is_listening(self.ports.etcd()).await).await
            }
            Component::ApiServer => {
                process.wait_until_ready(START_LIMIT, async || is_ready(&self.admin).await).await
            }
            // Both listen before they work, and tell who they are only over TLS of their own making: their first
            // work (a service account, a scheduled pod) is what the caller waits for anyway.
            Component::ControllerManager => {
                let port = self.ports.controller_manager();
                process.wait_until_ready(START_LIMIT, async || is_listening(port).await).await
            }
            Component::Scheduler => {
                let port = self.ports.scheduler();
                process.wait_until_ready(START_LIMIT, async || is_listening(port).await).await
            }
        }
    }

    fn etcd_arguments(&self) -> Vec<String> {
        let client = format!("http://127.0.0.1:{}", self.ports.etcd());
        let peer = format!("http://127.0.0.1:{}", self.ports.etcd_peer());
        vec![
            format!("--data-dir={ETCD_DATA}"),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
            // Nothing here outlives the machine.
            "--unsafe-no-fsync".to_owned(),
            "--log-level=warn".to_owned(),
        ]
    }

    fn api_server_arguments(&self) -> Vec<String> {
        vec![
            format!("--etcd-servers=http://127.0.0.1:{}", self.ports.etcd()),
            format!("--secure-port={}", self.ports.api_server()),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--advertise-address={ADVERTISED_ADDRESS}"),
            "--cert-dir=certificates".to_owned(),
            "--token-auth-file=tokens.csv".to_owned(),
            "--authorization-mode=RBAC".to_owned(),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            // The key that the server makes for its own certificate signs service account tokens too.
            "--service-account-signing-key-file=certificates/apiserver.key".to_owned(),
            "--service-account-key-file=certificates/apiserver.key".to_owned(),
            // Pods are local processes that never ask for a token, and would each wait for one; nodes are ready when
            // they are made, and nobody here would remove the taint that says they are not.
            "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition".to_owned(),
            format!("--service-cluster-ip-range={SERVICE_NETWORK}"),
        ]
    }

    fn controller_manager_arguments(&self) -> Vec<String> {
        let mut arguments = self.client_arguments(self.ports.controller_manager());
        arguments.extend([
            format!("--controllers={CONTROLLERS}"),
            "--root-ca-file=certificates/apiserver.crt".to_owned(),
            format!("--kube-api-qps={CONTROLLER_REQUESTS_PER_SECOND}"),
            format!("--kube-api-burst={CONTROLLER_REQUESTS_PER_SECOND}"),
        ]);
        arguments
    }

    fn scheduler_arguments(&self) -> Vec<String> {
        let mut arguments = self.client_arguments(self.ports.scheduler());
        arguments.extend([
            format!("--kube-api-qps={CONTROLLER_REQUESTS_PER_SECOND}"),
            format!("--kube-api-burst={CONTROLLER_REQUESTS_PER_SECOND}"),
        ]);
        arguments
    }

    fn client_arguments(&self, port: u16) -> Vec<String> {
        let kubeconfig = self.admin.kubeconfig.display();
        vec![
            format!("--kubeconfig={kubeconfig}"),
            // One of each: an election would only delay the start.
            "--leader-elect=false".to_owned(),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={port}"),
        ]
    }
}

/// Ports are counted off rather than searched for: the namespace is ours alone, and below the range from which the
/// kernel takes the ports of outgoing connections nothing can be in the way.
#[derive(Debug, Clone, Copy)]
struct Ports {
    first: u16,
}

impl Ports {
    fn etcd(self) -> u16 {
        self.first
    }
    fn etcd_peer(self) -> u16 {
        self.first + 1
    }
    fn api_server(self) -> u16 {
        self.first + 2
    }
    fn controller_manager(self) -> u16 {
        self.first + 3
    }
    fn scheduler(self) -> u16 {
        self.first + 4
    }
}

async fn is_listening(port: u16) -> bool {
    tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok()
}

/// `/readyz` answers before the default namespace exists, and the first thing anybody does is to create something in it.
async fn is_ready(access: &Access) -> bool {
    let Ok(client) = access.client().await else { return false };
    for path in ["/readyz", "/api/v1/namespaces/default"] {
        let request = Request::get(path).body(Vec::new()).expect("a constant path is a valid request");
        if client.request_text(request).await.is_err() {
            return false;
        }
    }
    true
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let path = entry?.path();
        let copy = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy_folder(&path, &copy)?;
        } else {
            fs::copy(&path, &copy).with_context(|| format!("cannot copy {}", path.display()))?;
        }
    }
    Ok(())
}
