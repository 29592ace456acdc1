//! Pods, by the uid of their owner. A row is about half a kibibyte, measured in `tests/memory.rs`.

use std::net::IpAddr;
use std::sync::Arc;

use serde::Deserialize;

use super::kind::Kind;
use crate::intern::{ContainerRole, ContainerSpec, Interner, LabelSet, Owner, label};
use crate::metadata::{Condition, Metadata, Resources, Text};
use crate::resource::{Key, PODS, Resource};
use crate::uid::{Moment, Uid};
use crate::watch::{Project, ProjectError, Row};

/// Label by which Kubernetes tells the ReplicaSets of one Deployment apart.
pub const TEMPLATE_HASH_LABEL: &str = "pod-template-hash";

/// Label by which we tell canary and stable pods apart, moved live.
pub const PHASE_LABEL: &str = "trimtab.dev/phase";

/// The lean row of one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodRow {
    /// Namespace and name.
    pub key: Key,
    /// Which incarnation.
    pub uid: Uid,
    /// Version of the object this was read from.
    pub resource_version: u64,
    /// The controlling owner: its ReplicaSet, usually.
    pub owner: Option<Arc<Owner>>,
    /// All labels.
    pub labels: LabelSet,
    /// `status.phase`.
    pub phase: PodPhase,
    /// Why the whole pod failed or is stuck, for example `Evicted`.
    pub reason: Option<Arc<str>>,
    /// Since when the `Ready` condition is true; `None` when it is not.
    pub ready_since: Option<Moment>,
    /// Since when the pod has been scheduled to a node; `None` when it is not.
    pub scheduled_since: Option<Moment>,
    /// When it was created.
    pub created: Option<Moment>,
    /// When its node acknowledged it.
    pub started: Option<Moment>,
    /// When it is to be gone; `None` unless it is being deleted.
    pub deletion: Option<Moment>,
    /// The node it runs on.
    pub node: Option<Arc<str>>,
    /// Its first address.
    pub ip: Option<IpAddr>,
    /// Its containers, init containers first, each in the order of the spec.
    pub containers: Box<[ContainerRow]>,
}

/// `status.phase` of a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum PodPhase {
    /// Not all containers run yet.
    #[default]
    Pending,
    /// At least one container runs.
    Running,
    /// All containers ended well.
    Succeeded,
    /// All containers ended, not all of them well.
    Failed,
    /// The node does not answer, or a phase this version does not know.
    #[serde(other)]
    Unknown,
}

/// One container of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerRow {
    /// What it was asked to be.
    pub spec: Arc<ContainerSpec>,
    /// How often it was started again.
    pub restarts: u32,
    /// Whether it passes its readiness probe.
    pub ready: bool,
    /// Since when it runs; `None` when it does not.
    pub running_since: Option<Moment>,
    /// Why it waits, for example `CrashLoopBackOff` or `ImagePullBackOff`.
    pub waiting: Option<Arc<str>>,
    /// How it ended, if it is not running now.
    pub terminated: Option<Box<Termination>>,
    /// How it ended before the present start.
    pub last_termination: Option<Box<Termination>>,
}

/// One end of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Termination {
    /// For example `OOMKilled`, `Error`, `Completed`.
    pub reason: Arc<str>,
    /// Exit code of its process.
    pub exit_code: i32,
    /// When it ended.
    pub finished: Option<Moment>,
}

impl PodRow {
    /// The hash of the template it was made from, if a Deployment made it.
    pub fn template_hash(&self) -> Option<&str> {
        label(&self.labels, TEMPLATE_HASH_LABEL)
    }

    /// `canary`, `stable`, or `None` when not labelled.
    pub fn phase_label(&self) -> Option<&str> {
        label(&self.labels, PHASE_LABEL)
    }

    /// The container of that name.
    pub fn container(&self, name: &str) -> Option<&ContainerRow> {
        self.containers.iter().find(|container| &*container.spec.name == name)
    }
}

impl Row for PodRow {
    fn key(&self) -> &Key {
        &self.key
    }

    fn resource_version(&self) -> u64 {
        self.resource_version
    }

    /// Everything but the version: most updates of a pod touch nothing that is kept here.
    fn differs_from(&self, old: &PodRow) -> bool {
        let PodRow { key, uid, resource_version: _, owner, labels, phase, reason, ready_since, .. } = self;
        let PodRow { scheduled_since, created, started, deletion, node, ip, containers, .. } = self;
        (key, uid, owner, labels, phase, reason, ready_since)
            != (&old.key, &old.uid, &old.owner, &old.labels, &old.phase, &old.reason, &old.ready_since)
            || (scheduled_since, created, started, deletion, node, ip, containers)
                != (
                    &old.scheduled_since,
                    &old.created,
                    &old.started,
                    &old.deletion,
                    &old.node,
                    &old.ip,
                    &old.containers,
                )
    }
}

/// Makes [`PodRow`]s.
#[derive(Clone)]
pub struct Pods {
    interner: Interner,
}

impl Pods {
    /// Shares values through `interner`.
    pub fn new(interner: Interner) -> Pods {
        Pods { interner }
    }
}

impl Kind for Pods {
    const RESOURCE: &'static Resource = PODS;

    type Index = Uid;

    fn new(interner: &Interner) -> Pods {
        Pods::new(interner.clone())
    }

    fn index(row: &PodRow, out: &mut Vec<Uid>) {
        out.extend(row.owner.as_ref().map(|owner| owner.uid));
    }
}

#[derive(Deserialize)]
struct Pod<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(borrow, default)]
    spec: Spec<'a>,
    #[serde(borrow, default)]
    status: Status<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec<'a> {
    #[serde(borrow)]
    node_name: Option<Text<'a>>,
    #[serde(borrow)]
    init_containers: Vec<Container<'a>>,
    #[serde(borrow)]
    containers: Vec<Container<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow, default)]
    restart_policy: Option<Text<'a>>,
    #[serde(borrow, default)]
    resources: Resources<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status<'a> {
    phase: PodPhase,
    #[serde(borrow)]
    reason: Option<Text<'a>>,
    start_time: Option<Moment>,
    #[serde(rename = "podIP", borrow)]
    pod_ip: Option<Text<'a>>,
    #[serde(borrow)]
    conditions: Vec<Condition<'a>>,
    #[serde(borrow)]
    init_container_statuses: Vec<ContainerStatus<'a>>,
    #[serde(borrow)]
    container_statuses: Vec<ContainerStatus<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ContainerStatus<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    restart_count: u32,
    ready: bool,
    #[serde(borrow)]
    state: ContainerState<'a>,
    #[serde(borrow)]
    last_state: ContainerState<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ContainerState<'a> {
    #[serde(borrow)]
    waiting: Option<Waiting<'a>>,
    running: Option<Running>,
    #[serde(borrow)]
    terminated: Option<Terminated<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Waiting<'a> {
    #[serde(borrow)]
    reason: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Running {
    started_at: Option<Moment>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Terminated<'a> {
    #[serde(borrow)]
    reason: Text<'a>,
    exit_code: i32,
    finished_at: Option<Moment>,
}

impl Project for Pods {
    type Row = PodRow;

    fn project(&self, object: &[u8]) -> Result<PodRow, ProjectError> {
        let Pod { metadata, spec, status } = serde_json::from_slice(object)?;
        let interner = &self.interner;
        let since = |kind: &str| {
            let condition = status.conditions.iter().find(|condition| &*condition.r#type == kind)?;
            // A condition that is true without a time has been so for as long as we can tell.
            condition
                .is_true()
                .then(|| condition.last_transition_time.or(metadata.creation_timestamp))
                .flatten()
        };
        Ok(PodRow {
            key: metadata.key(interner),
            uid: metadata.uid,
            resource_version: metadata.version()?,
            owner: metadata.owner(interner),
            labels: metadata.label_set(interner),
            phase: status.phase,
            reason: status.reason.as_ref().map(|reason| interner.text(reason)),
            ready_since: since("Ready"),
            scheduled_since: since("PodScheduled"),
            created: metadata.creation_timestamp,
            started: status.start_time,
            deletion: metadata.deletion_timestamp,
            node: spec.node_name.as_ref().map(|node| interner.text(node)),
            ip: status.pod_ip.as_ref().and_then(|ip| ip.parse().ok()),
            containers: self.containers(&spec, &status),
        })
    }
}

impl Pods {
    fn containers(&self, spec: &Spec<'_>, status: &Status<'_>) -> Box<[ContainerRow]> {
        let init = spec.init_containers.iter().map(|container| {
            let sidecar = container.restart_policy.as_deref().is_some_and(|policy| policy == "Always");
            let role = if sidecar { ContainerRole::Sidecar } else { ContainerRole::Init };
            self.container(container, role, &status.init_container_statuses)
        });
        let app = spec
            .containers
            .iter()
            .map(|container| self.container(container, ContainerRole::App, &status.container_statuses));
        init.chain(app).collect()
    }

    fn container(
        &self,
        asked: &Container<'_>,
        role: ContainerRole,
        all: &[ContainerStatus<'_>],
    ) -> ContainerRow {
        let spec = self.interner.container(&ContainerSpec {
            name: self.interner.text(&asked.name),
            role,
            cpu_request_millis: asked.resources.requests.cpu_millis(),
            memory_request_bytes: asked.resources.requests.memory_bytes(),
            cpu_limit_millis: asked.resources.limits.cpu_millis(),
            memory_limit_bytes: asked.resources.limits.memory_bytes(),
        });
        let nothing = ContainerStatus::default();
        let status = all.iter().find(|status| status.name == asked.name).unwrap_or(&nothing);
        ContainerRow {
            spec,
            restarts: status.restart_count,
            ready: status.ready,
            running_since: status.state.running.as_ref().and_then(|running| running.started_at),
            waiting: status.state.waiting.as_ref().map(|waiting| self.interner.text(&waiting.reason)),
            terminated: self.termination(&status.state),
            last_termination: self.termination(&status.last_state),
        }
    }

    fn termination(&self, state: &ContainerState<'_>) -> Option<Box<Termination>> {
        state.terminated.as_ref().map(|terminated| {
            Box::new(Termination {
                reason: self.interner.text(&terminated.reason),
                exit_code: terminated.exit_code,
                finished: terminated.finished_at,
            })
        })
    }
}
