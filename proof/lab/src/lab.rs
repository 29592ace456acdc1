//! Everything together: see [`Lab`].

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use http::Request;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use trimtab_kube::clock::Clock;
use trimtab_world::kubelet::{Binding, Kubelet, KubeletConfig, Modelled};

use crate::access::Access;
use crate::cluster::{Component, ControlPlane, ControlPlaneOptions};
use crate::load::{Load, LoadPlan};
use crate::netns::Namespace;
use crate::nodes;
use crate::pods::ProcessRuntime;
use crate::prometheus::{Prometheus, PrometheusOptions};
use crate::tools::Tools;

/// The first lab of a namespace has its ports from here on: below the range for outgoing connections.
const FIRST_PORT: u16 = 20_000;
/// Ports per lab: five for the control plane, one for Prometheus, and some to spare.
const PORTS_PER_LAB: u16 = 10;
/// Labs that a process may start one after the other.
const MOST_LABS: u16 = 1_000;
/// How long one kubectl or helm may take; both have waiting commands, with limits of their own below this.
const COMMAND_LIMIT: Duration = Duration::from_secs(300);
/// What modelled pods differ by from one another.
const MODELLED_SEED: u64 = 1;
/// How often [`Lab::wait_for`] asks.
const WAIT_POLL: Duration = Duration::from_millis(200);

/// How many labs this process has started: each has ports and a folder of its own.
static LABS_STARTED: AtomicU16 = AtomicU16::new(0);

/// What a lab is started with.
#[derive(Debug, Clone)]
pub struct LabOptions {
    /// Users and flags of the control plane.
    pub control_plane: ControlPlaneOptions,
    /// Number of nodes, named `node-1` and so on. With none there is no kubelet either, and pods stay pending.
    pub nodes: usize,
    /// A Prometheus, or none.
    pub prometheus: Option<PrometheusOptions>,
    /// What pods are.
    pub pods: Pods,
    /// What containers without a command run: a program that calls [`crate::service::run_if_asked`].
    pub program: PathBuf,
}

/// What runs when a pod is scheduled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pods {
    /// Its containers are processes.
    Processes,
    /// Nothing: its status says what the tags of its images ask for, see [`Modelled`].
    Modelled,
}

impl LabOptions {
    /// One admin, three nodes, a Prometheus that scrapes every five seconds, and pods made of this very program.
    ///
    /// # Errors
    /// When the operating system does not tell which program this is.
    pub fn new() -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let (control_plane, prometheus) = Default::default();
        Ok(Self { control_plane, nodes: 3, prometheus: Some(prometheus), pods: Pods::Processes, program })
    }

    /// The API server and the built-in controllers alone: no node, no Prometheus.
    ///
    /// # Errors
    /// As [`LabOptions::new`].
    pub fn control_plane_only() -> Result<Self> {
        Ok(Self { nodes: 0, prometheus: None, ..Self::new()? })
    }
}

/// A running lab. Dropping it kills everything it started.
pub struct Lab {
    tools: Tools,
    directory: PathBuf,
    control_plane: ControlPlane,
    prometheus: Option<Prometheus>,
    client: kube::Client,
    kubelet: Option<Task>,
}

impl Lab {
    /// Starts a lab and returns when all of it is ready, 5 to 10 seconds later on an idle machine.
    ///
    /// # Errors
    /// When a part does not become ready; the error carries the end of that part's output.
    pub async fn start(tools: &Tools, namespace: &Namespace, options: LabOptions) -> Result<Self> {
        let number = LABS_STARTED.fetch_add(1, Ordering::Relaxed);
        ensure!(number < MOST_LABS, "this process has started {MOST_LABS} labs already");
        let port = FIRST_PORT + number * PORTS_PER_LAB;
        let directory = namespace.scratch().join(format!("lab-{number}"));
        let control_plane =
            ControlPlane::start(tools, &directory.join("control-plane"), port, options.control_plane).await?;
        let client = control_plane.admin().client().await?;
        let names = nodes::names(options.nodes);
        for name in &names {
            nodes::register(&client, name).await?;
        }
        let kubelet = (!names.is_empty())
            .then(|| start_kubelet(&client, names, options.pods, options.program, &directory))
            .transpose()?;
        let prometheus = match &options.prometheus {
            Some(settings) => {
                let (admin, directory) = (control_plane.admin(), directory.join("prometheus"));
                Some(Prometheus::start(tools, admin, &directory, port + PORTS_PER_LAB / 2, settings).await?)
            }
            None => None,
        };
        Ok(Self { tools: tools.clone(), directory, control_plane, prometheus, client, kubelet })
    }

    /// A folder for files that end with the namespace.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Address, token and kubeconfig of the admin.
    pub fn admin(&self) -> &Access {
        self.control_plane.admin()
    }

    /// The control plane, for its other users and its logs.
    pub fn control_plane(&self) -> &ControlPlane {
        &self.control_plane
    }

    /// The control plane, to kill and revive its components.
    pub fn control_plane_mut(&mut self) -> &mut ControlPlane {
        &mut self.control_plane
    }

    /// A client that acts as the admin.
    pub fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// The Prometheus.
    ///
    /// # Errors
    /// When the lab was started without one.
    pub fn prometheus(&self) -> Result<&Prometheus> {
        self.prometheus.as_ref().context("this lab was started without Prometheus")
    }

    /// Reads an object, or a list, by its path on the API server; the error is Kubernetes' own.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn get(&self, path: &str) -> Result<Value> {
        let request = Request::get(path).body(Vec::new()).with_context(|| format!("{path} is not a path"))?;
        self.client.request(request).await.with_context(|| format!("cannot read {path}"))
    }

    /// Runs kubectl as the admin: what it wrote to stdout.
    ///
    /// # Errors
    /// When it fails; the error carries the command line and what it wrote to stderr.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        succeed("kubectl", arguments, self.try_kubectl(self.admin(), arguments, "").await?)
    }

    /// Runs kubectl as anybody, with `input` on its stdin, whether it fails or not.
    ///
    /// # Errors
    /// When it cannot be run, or takes longer than five minutes.
    pub async fn try_kubectl(&self, access: &Access, arguments: &[&str], input: &str) -> Result<Output> {
        self.run(&self.tools.kubectl, access, arguments, input).await.context("cannot run kubectl")
    }

    /// `kubectl apply` of a manifest in YAML or JSON: what it wrote to stdout.
    ///
    /// # Errors
    /// As [`Lab::kubectl`].
    pub async fn apply(&self, manifest: &str) -> Result<String> {
        let arguments = ["apply", "-f", "-"];
        succeed("kubectl", &arguments, self.try_kubectl(self.admin(), &arguments, manifest).await?)
    }

    /// Runs helm as the admin: what it wrote to stdout.
    ///
    /// # Errors
    /// As [`Lab::kubectl`].
    pub async fn helm(&self, arguments: &[&str]) -> Result<String> {
        let output =
            self.run(&self.tools.helm, self.admin(), arguments, "").await.context("cannot run helm")?;
        succeed("helm", arguments, output)
    }

    /// Sends traffic to a Service until the plan ends or [`Load::stop`] is called.
    ///
    /// # Errors
    /// As [`Load::start`].
    pub async fn start_load(&self, plan: LoadPlan) -> Result<Load> {
        Load::start(self.client(), plan).await
    }

    /// Asks `question` five times a second until it has an answer. Errors count as "not yet", the last one is kept.
    ///
    /// # Errors
    /// When there is no answer within `limit`: names `what` was waited for and the last error.
    pub async fn wait_for<T>(
        &self,
        what: &str,
        limit: Duration,
        mut question: impl AsyncFnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        let deadline = Instant::now() + limit;
        loop {
            let answer = question().await;
            if let Ok(Some(answer)) = answer {
                return Ok(answer);
            }
            if Instant::now() >= deadline {
                let error = answer.err().map(|error| format!("; last error: {error:#}")).unwrap_or_default();
                bail!("{what}: not within {limit:?}{error}");
            }
            sleep(WAIT_POLL).await;
        }
    }

    /// Waits until the rollout of a Deployment (or DaemonSet, StatefulSet) is complete, as `kubectl rollout status` has it.
    ///
    /// # Errors
    /// When it is not complete within `limit`.
    pub async fn wait_for_rollout(&self, namespace: &str, workload: &str, limit: Duration) -> Result<()> {
        let limit = format!("--timeout={}s", limit.as_secs());
        self.kubectl(&["rollout", "status", workload, "--namespace", namespace, &limit]).await.map(drop)
    }

    /// The last lines of a component's output.
    pub fn tail(&self, component: Component, lines: usize) -> String {
        self.control_plane.tail(component, lines)
    }

    /// What a container's process has written; empty when there was none of that name.
    pub fn container_log(&self, pod: &str, container: &str) -> String {
        let path = logs(&self.directory).join(format!("{pod}_{container}.log"));
        std::fs::read_to_string(path).unwrap_or_default()
    }

    /// The end of every part's output, to find out what went wrong.
    pub fn tails(&self, lines: usize) -> String {
        let mut all = String::new();
        for component in Component::ALL {
            all.push_str(&format!("--- {component}\n{}\n", self.tail(component, lines)));
        }
        if let Some(prometheus) = &self.prometheus {
            all.push_str(&format!("--- prometheus\n{}\n", prometheus.tail(lines)));
        }
        all
    }

    /// Ends everything, pods first.
    ///
    /// # Errors
    /// When a part can neither be ended nor killed.
    pub async fn stop(self) -> Result<()> {
        drop(self.kubelet);
        if let Some(prometheus) = self.prometheus {
            prometheus.stop().await?;
        }
        self.control_plane.stop().await
    }

    async fn run(&self, program: &Path, access: &Access, arguments: &[&str], input: &str) -> Result<Output> {
        let mut command = Command::new(program);
        command.args(arguments).env("KUBECONFIG", &access.kubeconfig);
        // Caches and settings of whoever runs the tests must not change what the tests see.
        command.env("HOME", &self.directory).current_dir(&self.directory);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let mut stdin = child.stdin.take().context("the child has no stdin")?;
        let talk = async {
            // A program that does not read its input may end before all of it is written.
            let _unread = stdin.write_all(input.as_bytes()).await;
            drop(stdin);
            child.wait_with_output().await
        };
        let output = timeout(COMMAND_LIMIT, talk).await;
        Ok(output.with_context(|| format!("{arguments:?} takes longer than {COMMAND_LIMIT:?}"))??)
    }
}

/// A task that ends with its owner.
#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn start_kubelet(
    client: &kube::Client,
    nodes: Vec<String>,
    pods: Pods,
    program: PathBuf,
    directory: &Path,
) -> Result<Task> {
    let config = KubeletConfig { binding: Binding::Scheduler, nodes };
    let (client, clock) = (client.clone(), Clock::system());
    let task = match pods {
        Pods::Processes => {
            let logs = logs(directory);
            std::fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
            tokio::spawn(Kubelet::new(client, clock, config, ProcessRuntime::new(program, logs)).run())
        }
        Pods::Modelled => {
            tokio::spawn(Kubelet::new(client, clock, config, Modelled::new(MODELLED_SEED)).run())
        }
    };
    Ok(Task(task))
}

fn logs(directory: &Path) -> PathBuf {
    directory.join("pods")
}

fn succeed(program: &str, arguments: &[&str], output: Output) -> Result<String> {
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {}: {}", arguments.join(" "), said.trim());
    String::from_utf8(output.stdout).with_context(|| format!("{program} did not write text"))
}
