//! One pod as its kubelet sees it: pure. What the API and the runtime say goes in, what to ask of the runtime and the
//! pod's status come out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::container::{Container, RestartPolicy, Retired};
use super::runtime::{ContainerRun, ContainerStart, PodIdentity, RuntimeEvent};
use crate::object::{self, count, instant, is_being_deleted, list, stamp, text};

/// What a pod's kubelet asks of the runtime.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Start this container.
    Start(ContainerStart),
    /// End this run within this time.
    Stop(ContainerRun, Duration),
}

/// A container that has its place among the init containers.
#[derive(Debug, Clone)]
struct InitContainer {
    container: Container,
    /// `restartPolicy: Always`: it only has to run, not to end, before the next may start.
    sidecar: bool,
}

impl InitContainer {
    fn lets_the_next_start(&self) -> bool {
        if self.sidecar { self.container.has_run() } else { self.container.succeeded() }
    }

    fn status(&self, pod: &PodIdentity) -> Value {
        let mut status = self.container.status(pod);
        if !self.sidecar {
            status["ready"] = json!(self.container.succeeded());
        }
        status
    }
}

/// The life of one pod on a node.
#[derive(Debug)]
pub struct Pod {
    identity: PodIdentity,
    metadata: Arc<Value>,
    pod_ip: Arc<str>,
    host_ip: Arc<str>,
    started: Timestamp,
    init: Vec<InitContainer>,
    main: Vec<Container>,
    gates: Vec<(String, bool)>,
    deleting: bool,
    /// Status and time of the last change, per condition type.
    conditions: BTreeMap<&'static str, (bool, Timestamp)>,
}

impl Pod {
    /// A pod that was just bound to this kubelet's node, and has not ended.
    pub fn new(pod: &Value, pod_ip: Arc<str>, host_ip: Arc<str>, now: Timestamp) -> Self {
        let policy = RestartPolicy::read(text(pod, "/spec/restartPolicy")).unwrap_or(RestartPolicy::Always);
        let has_init = !list(pod, "/spec/initContainers").is_empty();
        let reason = if has_init { "PodInitializing" } else { "ContainerCreating" };
        let mut machine = Pod {
            identity: identity(pod),
            metadata: Arc::new(pod["metadata"].clone()),
            pod_ip,
            host_ip,
            started: instant(pod, "/status/startTime").unwrap_or(now),
            init: list(pod, "/spec/initContainers").iter().map(|spec| init_container(spec, policy)).collect(),
            main: list(pod, "/spec/containers")
                .iter()
                .map(|spec| Container::new(spec, policy, reason))
                .collect(),
            gates: Vec::new(),
            deleting: false,
            conditions: BTreeMap::new(),
        };
        machine.resume(pod);
        machine.observe(pod);
        machine.settle_conditions(now);
        machine
    }

    /// A pod that, by its status, an earlier kubelet ran. `None` unless all its containers go on, as `goes_on` says.
    pub fn recover(
        pod: &Value,
        now: Timestamp,
        mut goes_on: impl FnMut(&ContainerStart) -> bool,
    ) -> Option<Self> {
        let address = text(pod, "/status/podIP");
        if address.is_empty() || !list(pod, "/spec/initContainers").is_empty() {
            return None;
        }
        let mut machine = Pod::new(pod, address.into(), text(pod, "/status/hostIP").into(), now);
        let statuses = list(pod, "/status/containerStatuses");
        for container in &mut machine.main {
            let status = statuses.iter().find(|status| text(status, "/name") == &*container.name)?;
            if !container.recover(status) {
                return None;
            }
        }
        let Pod { identity, metadata, pod_ip, main, conditions, .. } = &mut machine;
        if !main.iter().all(|container| goes_on(&start(identity, metadata, pod_ip, container))) {
            return None;
        }
        for (kind, (holds, since)) in conditions.iter_mut() {
            let known = list(pod, "/status/conditions").iter().find(|known| text(known, "/type") == *kind);
            if let Some(known) = known {
                *holds = text(known, "/status") == "True";
                *since = instant(known, "/lastTransitionTime").unwrap_or(now);
            }
        }
        Some(machine)
    }

    /// A kubelet that starts afresh finds none of the runs that the status tells of: they count as ended.
    fn resume(&mut self, pod: &Value) {
        for (statuses, containers) in [
            ("/status/containerStatuses", self.main.iter_mut().collect::<Vec<_>>()),
            ("/status/initContainerStatuses", self.init.iter_mut().map(|init| &mut init.container).collect()),
        ] {
            for container in containers {
                let known =
                    list(pod, statuses).iter().find(|status| text(status, "/name") == &*container.name);
                if let Some(status) = known.filter(|status| !text(status, "/containerID").is_empty()) {
                    container.resume_after(count(status, "/restartCount", 0).saturating_add(1));
                }
            }
        }
    }

    /// Who it is.
    pub fn identity(&self) -> &PodIdentity {
        &self.identity
    }

    /// Takes in the pod as the API has it now.
    pub fn observe(&mut self, pod: &Value) {
        if self.metadata.get("labels") != pod.pointer("/metadata/labels")
            || self.metadata.get("annotations") != pod.pointer("/metadata/annotations")
        {
            self.metadata = Arc::new(pod["metadata"].clone());
        }
        self.deleting |= is_being_deleted(pod);
        self.gates = list(pod, "/spec/readinessGates")
            .iter()
            .map(|gate| text(gate, "/conditionType"))
            .map(|gate| (gate.to_owned(), condition_holds(pod, gate)))
            .collect();
        for (container, spec) in self.main.iter_mut().zip(list(pod, "/spec/containers")) {
            container.respecify(spec);
        }
    }

    /// Begins the end, if the API says so: what runs is asked to stop within the grace period.
    pub fn begin_deletion(&mut self, grace: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        let pod = &self.identity;
        for container in self.main.iter_mut().chain(self.init.iter_mut().map(|init| &mut init.container)) {
            if container.retire() == Retired::StopIt {
                effects.push(Effect::Stop(run(pod, container), grace));
            }
        }
        effects
    }

    /// Whether the API wants it gone.
    pub fn is_being_deleted(&self) -> bool {
        self.deleting
    }

    /// Whether every container has ended for good.
    pub fn is_over(&self) -> bool {
        self.containers().all(Container::is_done)
    }

    /// Starts what is due. Init containers go one after the other, the others together.
    pub fn advance(&mut self, now: Timestamp) -> Vec<Effect> {
        if self.deleting {
            return Vec::new();
        }
        let mut due = Vec::new();
        let mut may_start = true;
        for init in &mut self.init {
            init.container.tick(now);
            let next_may_start = may_start && init.lets_the_next_start();
            if may_start && init.container.is_due(now) {
                due.push(&mut init.container);
            }
            may_start = next_may_start;
        }
        for container in &mut self.main {
            container.tick(now);
            if may_start && container.is_due(now) {
                due.push(container);
            }
        }
        let mut effects = Vec::new();
        for container in due {
            container.begin();
            effects.push(Effect::Start(start(&self.identity, &self.metadata, &self.pod_ip, container)));
        }
        effects.extend(self.stop_sidecars());
        self.settle_conditions(now);
        effects
    }

    /// Sidecars end when nothing else is left to serve.
    fn stop_sidecars(&mut self) -> Vec<Effect> {
        const SIDECAR_GRACE: Duration = Duration::from_secs(30);
        if self.main.is_empty() || !self.main.iter().all(Container::is_done) {
            return Vec::new();
        }
        let pod = &self.identity;
        let sidecars = self.init.iter_mut().filter(|init| init.sidecar);
        sidecars
            .map(|init| &mut init.container)
            .filter_map(|sidecar| {
                (sidecar.retire() == Retired::StopIt).then(|| Effect::Stop(run(pod, sidecar), SIDECAR_GRACE))
            })
            .collect()
    }

    /// Takes in what the runtime says. Words about a run that is not the current one are ignored.
    pub fn happened(&mut self, event: &RuntimeEvent, now: Timestamp) {
        let containers = self.main.iter_mut().chain(self.init.iter_mut().map(|init| &mut init.container));
        for container in containers {
            if container.name == event.run.container && container.attempt == event.run.attempt {
                container.happened(&event.happening, now, &self.identity);
                break;
            }
        }
        self.settle_conditions(now);
    }

    /// When something is to be done although nothing happens.
    pub fn wake_at(&self) -> Option<Timestamp> {
        if self.deleting { None } else { self.containers().filter_map(Container::wake_at).min() }
    }

    fn containers(&self) -> impl Iterator<Item = &Container> {
        self.init.iter().map(|init| &init.container).chain(&self.main)
    }

    fn is_initialized(&self) -> bool {
        self.init.iter().all(InitContainer::lets_the_next_start)
    }

    /// The pod's phase.
    pub fn phase(&self) -> &'static str {
        let init_failed = self
            .init
            .iter()
            .any(|init| !init.sidecar && init.container.is_done() && !init.container.succeeded());
        if init_failed && !self.deleting {
            return "Failed";
        }
        if !self.main.is_empty() && self.main.iter().all(Container::is_done) {
            return match self.main.iter().all(Container::succeeded) {
                true => "Succeeded",
                false if self.main.iter().all(Container::has_run) => "Failed",
                false => "Pending",
            };
        }
        let all_have_run = self.main.iter().all(Container::has_run);
        if self.is_initialized() && all_have_run { "Running" } else { "Pending" }
    }

    fn unready(&self) -> Vec<&str> {
        let sidecars = self.init.iter().filter(|init| init.sidecar).map(|init| &init.container);
        let unready = sidecars.chain(&self.main).filter(|container| !container.is_ready());
        unready.map(|container| &*container.name).collect()
    }

    fn settle_conditions(&mut self, now: Timestamp) {
        let ready = self.unready().is_empty();
        let gates = self.gates.iter().all(|(_, holds)| *holds);
        let now_so = [
            ("ContainersReady", ready),
            ("Initialized", self.is_initialized()),
            ("PodReadyToStartContainers", !self.is_over()),
            ("Ready", ready && gates),
        ];
        for (kind, holds) in now_so {
            let (was, since) = self.conditions.entry(kind).or_insert((holds, now));
            if *was != holds {
                (*was, *since) = (holds, now);
            }
        }
    }

    fn condition(&self, kind: &'static str) -> Value {
        let (holds, since) = self.conditions[kind];
        let mut condition = json!({
            "type": kind, "status": if holds { "True" } else { "False" }, "lastTransitionTime": stamp(since),
        });
        if let Some((reason, message)) = self.complaint(kind).filter(|_| !holds) {
            condition["reason"] = json!(reason);
            condition["message"] = json!(message);
        }
        condition
    }

    fn complaint(&self, kind: &str) -> Option<(&'static str, String)> {
        let unready = self.unready();
        match kind {
            "Ready" | "ContainersReady" if matches!(self.phase(), "Succeeded" | "Failed") => {
                Some(("PodCompleted", String::new()))
            }
            "Ready" if unready.is_empty() => {
                let missing = self.gates.iter().find(|(_, holds)| !holds)?;
                let message =
                    format!("corresponding condition of pod readiness gate \"{}\" is not True", missing.0);
                Some(("ReadinessGatesNotReady", message))
            }
            "Ready" | "ContainersReady" => Some((
                "ContainersNotReady",
                format!("containers with unready status: [{}]", unready.join(" ")),
            )),
            "Initialized" => {
                Some(("ContainersNotInitialized", "containers with incomplete status".to_owned()))
            }
            _ => None,
        }
    }

    /// The status to report: everything that a kubelet owns, and nothing else.
    pub fn status(&self) -> Value {
        let pod = &self.identity;
        let conditions: Vec<Value> = self.conditions.keys().map(|kind| self.condition(kind)).collect();
        let mut status = json!({
            "phase": self.phase(), "conditions": conditions, "startTime": stamp(self.started),
            "hostIP": self.host_ip, "hostIPs": [{"ip": self.host_ip}],
            "podIP": self.pod_ip, "podIPs": [{"ip": self.pod_ip}],
            "containerStatuses": self.main.iter().map(|container| container.status(pod)).collect::<Vec<_>>(),
        });
        if !self.init.is_empty() {
            status["initContainerStatuses"] = self.init.iter().map(|init| init.status(pod)).collect();
        }
        status
    }
}

/// Who the pod is.
pub fn identity(pod: &Value) -> PodIdentity {
    PodIdentity {
        uid: object::uid(pod),
        namespace: text(pod, "/metadata/namespace").into(),
        name: text(pod, "/metadata/name").into(),
    }
}

fn init_container(spec: &Value, pod_policy: RestartPolicy) -> InitContainer {
    let sidecar = text(spec, "/restartPolicy") == "Always";
    let policy = match pod_policy {
        _ if sidecar => RestartPolicy::Always,
        RestartPolicy::Always => RestartPolicy::OnFailure,
        other => other,
    };
    InitContainer { container: Container::new(spec, policy, "PodInitializing"), sidecar }
}

fn start(
    pod: &PodIdentity,
    metadata: &Arc<Value>,
    pod_ip: &Arc<str>,
    container: &Container,
) -> ContainerStart {
    ContainerStart {
        run: run(pod, container),
        pod_ip: pod_ip.clone(),
        image: container.image.clone(),
        spec: container.spec.clone(),
        metadata: metadata.clone(),
    }
}

fn run(pod: &PodIdentity, container: &Container) -> ContainerRun {
    ContainerRun { pod: pod.clone(), container: container.name.clone(), attempt: container.attempt }
}

fn condition_holds(pod: &Value, kind: &str) -> bool {
    list(pod, "/status/conditions").iter().any(|c| text(c, "/type") == kind && text(c, "/status") == "True")
}
