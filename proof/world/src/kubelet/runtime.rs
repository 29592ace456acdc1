//! What a kubelet asks of whatever really runs containers, and what it is told back.
//!
//! Invariant: everything that happens to a container arrives as one [`RuntimeEvent`] from [`PodRuntime::next_event`];
//! `start` and `stop` only ask. So a model in virtual time and a runtime of local processes are driven by the same
//! kubelet, and neither can surprise it between two events.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

/// Which pod, in words that stay the same for its whole life.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodIdentity {
    /// Unique for ever; a pod made again under the same name has another one.
    pub uid: Arc<str>,
    /// Namespace of the pod.
    pub namespace: Arc<str>,
    /// Name of the pod.
    pub name: Arc<str>,
}

/// One run of one container. `attempt` counts from 0, so `(pod, container, attempt)` names a run for ever; events about
/// a run that is over are ignored by the kubelet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContainerRun {
    /// The pod that the container belongs to.
    pub pod: PodIdentity,
    /// Container name, unique in the pod, init containers included.
    pub container: Arc<str>,
    /// 0 for the first start, then one more for each restart.
    pub attempt: u32,
}

/// Everything needed to start one container.
#[derive(Debug, Clone)]
pub struct ContainerStart {
    /// Which run this will be.
    pub run: ContainerRun,
    /// The pod's address, as given by [`PodRuntime::address`].
    pub pod_ip: Arc<str>,
    /// Image reference; its tag says how the container behaves (see [`crate::behaviour::Behaviour`]).
    pub image: Arc<str>,
    /// The container as it stands in the pod's spec: command, args, env, ports, probes, lifecycle, resources.
    pub spec: Arc<Value>,
    /// The pod's metadata as last seen: labels and annotations, for `fieldRef` environments.
    pub metadata: Arc<Value>,
}

/// Why a run ended, as Kubernetes words it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitReason {
    /// Exit code 0.
    Completed,
    /// Any other exit code.
    Error,
    /// Killed for memory; the exit code is 137.
    OutOfMemory,
}

impl ExitReason {
    /// The `reason` of a terminated container.
    pub const fn word(self) -> &'static str {
        match self {
            ExitReason::Completed => "Completed",
            ExitReason::Error => "Error",
            ExitReason::OutOfMemory => "OOMKilled",
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// Exit code, 0..=255.
    pub code: i32,
    /// Why.
    pub reason: ExitReason,
}

impl Exit {
    /// A run that ended by itself with `code`.
    pub const fn with_code(code: i32) -> Self {
        Exit { code, reason: if code == 0 { ExitReason::Completed } else { ExitReason::Error } }
    }

    /// A run that the kernel killed for memory.
    pub const fn out_of_memory() -> Self {
        Exit { code: 137, reason: ExitReason::OutOfMemory }
    }
}

/// What happened to a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// The image could not be pulled; nothing was started. The kubelet asks again later with the same `attempt`.
    PullFailed {
        /// Words for people.
        message: String,
    },
    /// The container's process runs. It is not ready until [`Happening::Ready`] says so.
    Running,
    /// The readiness probe passed; without a probe the runtime says so right after [`Happening::Running`].
    Ready,
    /// The readiness probe failed after it had passed.
    NotReady,
    /// The container's process is gone, by itself or because it was asked to stop. Always the last event of a run.
    Exited(Exit),
}

/// What a runtime tells the kubelet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeEvent {
    /// The run it is about.
    pub run: ContainerRun,
    /// What happened.
    pub happening: Happening,
}

/// Whatever runs containers: a model in virtual time, or local processes.
pub trait PodRuntime: Send + 'static {
    /// The address of a pod, unique among pods that exist; asked once per pod, before its first container starts.
    fn address(&mut self, pod: &PodIdentity) -> Arc<str>;

    /// A kubelet that starts afresh finds, by the pod's status, that this run goes on at this address. Whether it really
    /// does: then its events go on as well, and [`PodRuntime::address`] is not asked. By default nothing survives.
    fn recover(&mut self, start: &ContainerStart) -> bool {
        let _ = start;
        false
    }

    /// Begins to pull and start a container. Never blocks: what comes of it arrives as events, which for every run end
    /// with exactly one [`Happening::PullFailed`] or [`Happening::Exited`].
    fn start(&mut self, start: ContainerStart);

    /// Asks a run to end within `grace`, the container's preStop hook included; then it is killed. Never blocks. The end
    /// arrives as [`Happening::Exited`], also when the run had not yet begun. A run that is over is left alone.
    fn stop(&mut self, run: &ContainerRun, grace: Duration);

    /// The pod is gone from the API and all its runs have ended: forget it and reuse its address.
    fn forget(&mut self, pod: &PodIdentity);

    /// The next thing that happened, in order of time; pending while nothing does. Must be cancel safe: dropping the
    /// future loses no event.
    fn next_event(&mut self) -> impl Future<Output = RuntimeEvent> + Send;
}
