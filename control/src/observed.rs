//! One service as it was seen: owned values that a [`Snapshot`] borrows from.

use std::ops::RangeInclusive;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use trimtab_api::ManagedApp;
use trimtab_api::resolve::{Policies, Reach, reaches, settings};
use trimtab_delivery::names::{
    CLAIM_ANNOTATION, INSTANCE_ANNOTATION, MANAGER, RELEASE_ANNOTATION, claimed_images, parse_release_word,
    release_object,
};
use trimtab_delivery::records::{Sifted, sift, taken_from};
use trimtab_delivery::seal::Trust;
use trimtab_delivery::snapshot::{App, Binding, Settings, Snapshot};
use trimtab_judge::finding::Finding;
use trimtab_kube::intern::{ContainerRole, Interner};
use trimtab_kube::kinds::pod::{ContainerRow, PodPhase, PodRow, Termination};
use trimtab_kube::kinds::{
    self, AppRow, Apps, Autoscalers, DeploymentRow, Deployments, MANAGED_APPS, Pods, Progress, Releases,
    ReplicaSetRow, ReplicaSets, Stores, Strategy,
};
use trimtab_kube::watch::{Project, Row};
use trimtab_kube::{Api, ApiError, Key, Moment};
use trimtab_workload::{AdmissionHold, Arm, ContainerReport, End, Pod, ReplicaSet, Target, service_image};

use crate::convert;

/// What a metrics server and the pods told about a service; nothing by default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// Findings on the release that is judged.
    pub findings: Vec<Finding>,
    /// Since when a question about it is open.
    pub measuring_since: Option<Timestamp>,
    /// Rules that find no series, or too many, where it was asked.
    pub binding: Binding,
}

/// What is measured where nobody measures.
pub static NOTHING_MEASURED: Measured =
    Measured { findings: Vec::new(), measuring_since: None, binding: Binding::NotAsked };

/// One service as it was seen.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The service.
    pub app: App,
    /// Its `ManagedApp`, as far as it is read.
    pub wire: ManagedApp,
    /// Its namespace and name.
    pub key: Key,
    /// What policy and spec come to.
    pub settings: Settings,
    /// Its Deployment.
    pub deployment: Option<Arc<DeploymentRow>>,
    /// Where its events are told.
    pub reaches: Vec<Reach>,
    target: Option<Target>,
    replica_sets: Vec<ReplicaSet>,
    pods: Vec<Pod>,
    records: Records,
}

/// What is recorded of a service.
#[derive(Clone, Debug)]
struct Records {
    sifted: Sifted,
    /// Numbers whose names something else holds.
    taken: Vec<RangeInclusive<u64>>,
}

impl Records {
    fn gather(stores: &Stores, row: &AppRow, app: &App, target: Option<&Target>) -> Self {
        let rows = stores.of::<Releases>().read();
        let found = rows.at(row.key()).map(|row| (row.key().name.to_string(), row.release())).collect();
        let revision = target.and_then(|target| target.revision).unwrap_or_default();
        let reached = app.status.last_release.unwrap_or_default().max(revision);
        let sifted = sift(&app.name, reached, found);
        let held = |number: u64| {
            let key = Key::new(row.key().namespace.clone(), release_object(&app.name, number));
            rows.get(&key).is_some() || rows.is_undecodable(&key)
        };
        let recorded = sifted.releases.last().map_or(0, |release| release.number);
        let last = recorded.max(app.status.last_release.unwrap_or_default());
        let firsts = [last.saturating_add(1), revision.max(last.saturating_add(1))];
        let taken = firsts.into_iter().filter_map(|first| taken_from(first, held)).collect();
        Self { sifted, taken }
    }
}

impl Observed {
    /// The service behind `row` as the stores know it.
    #[must_use]
    pub fn gather(stores: &Stores, row: &AppRow) -> Self {
        let wire = row.app();
        let (app, settings, reaches) = {
            let policies = stores.of::<kinds::Policies>().read();
            let policies = Policies::matching(policies.iter().map(|policy| &policy.object), &wire);
            let (app, settings) = app_and_settings(stores, row, &wire, &policies);
            (app, settings, reaches(&wire.spec, &policies))
        };
        let target_key = row.target();
        let deployment = stores.of::<Deployments>().get(&target_key);
        let (replica_sets, pods) = deployment.as_ref().map(|d| arms(stores, d)).unwrap_or_default();
        let autoscalers = stores.of::<Autoscalers>().read();
        let autoscaler = autoscalers.at(&target_key).next().map(|hpa| hpa.identity.key.name.to_string());
        drop(autoscalers);
        let target = deployment.as_ref().map(|d| target(d, wire.spec.container.as_deref(), autoscaler));
        let records = Records::gather(stores, row, &app, target.as_ref());
        let key = row.key().clone();
        Self { app, wire, key, settings, deployment, reaches, target, replica_sets, pods, records }
    }

    /// What a plan looks at.
    #[must_use]
    pub fn snapshot<'a>(&'a self, now: Timestamp, measured: &'a Measured) -> Snapshot<'a> {
        Snapshot {
            now,
            app: &self.app,
            settings: &self.settings,
            target: self.target.as_ref(),
            replica_sets: &self.replica_sets,
            pods: &self.pods,
            releases: &self.records.sifted.releases,
            refused: &self.records.sifted.refused,
            taken: &self.records.taken,
            findings: &measured.findings,
            measuring_since: measured.measuring_since,
            binding: &measured.binding,
        }
    }
}

fn app_and_settings(
    stores: &Stores,
    row: &AppRow,
    wire: &ManagedApp,
    policies: &Policies<'_>,
) -> (App, Settings) {
    let (settings, problems) = settings(wire, policies);
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let claimed_by = holder(stores, &row.target()).filter(|holder| holder != row.key());
    let claimed_by = claimed_by.map(|holder| holder.name.to_string());
    let app = App {
        namespace: wire.metadata.namespace.clone(),
        name: wire.metadata.name.clone(),
        generation: wire.metadata.generation,
        instance: row.object.instance.as_deref().map(str::to_owned),
        problems,
        claimed_by,
        status: convert::app_status(&wire.status),
        uid: wire.metadata.uid.clone(),
        version: row.resource_version(),
        transitions: convert::transitions(&wire.status.conditions),
    };
    (app, settings)
}

/// Who has the claim on `target`, of all services that name it: the one that looks after it already, or the first by name.
/// The others must not fight for it.
fn holder(stores: &Stores, target: &Key) -> Option<Key> {
    let apps = stores.of::<Apps>();
    let apps = apps.read();
    let deployment = stores.of::<Deployments>().get(target);
    let has_it = |app: &&Arc<AppRow>| deployment.as_ref().is_some_and(|of| app.looks_after(&of.identity.uid));
    let holder = apps.at(target).find(has_it).or_else(|| apps.at(target).next());
    holder.map(|app| app.key().clone())
}

/// A Deployment that a command has read, as decisions see it; `None` where it cannot be read.
#[must_use]
pub fn target_of(deployment: &Value) -> Option<Target> {
    let row = Deployments::new(Interner::new()).project(deployment.to_string().as_bytes()).ok()?;
    Some(target(&row, None, None))
}

/// The Deployment as a decision sees it; `container` names the service container where it is not the first.
pub(crate) fn target(row: &DeploymentRow, container: Option<&str>, autoscaler: Option<String>) -> Target {
    let identity = &row.identity;
    let exceeded = match &row.progress {
        Progress::DeadlineExceeded(message) => Some(message.to_string()),
        Progress::Underway | Progress::Complete => None,
    };
    let owner = identity.owner.as_ref().map(|owner| format!("{} {}", owner.kind, owner.name));
    let writers = row.template_managers.iter().rev().map(|writer| &**writer);
    Target {
        name: identity.key.name.to_string(),
        uid: identity.uid.to_string(),
        version: identity.resource_version,
        generation: identity.generation,
        observed_generation: row.observed_generation,
        template_hash: row.template.hash.to_string(),
        template_bytes: row.template.json.len(),
        image: service_image(&row.template.value(), container).unwrap_or_default(),
        selector: row.match_labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
        template_manager: writers
            .into_iter()
            .find(|manager| *manager != MANAGER)
            .unwrap_or("unknown")
            .to_owned(),
        owns_template: row.template_managers.iter().any(|writer| &**writer == MANAGER),
        replicas: i32::try_from(row.replicas).unwrap_or(i32::MAX),
        paused: row.paused,
        paused_by: row.paused_manager.as_deref().filter(|manager| *manager != MANAGER).map(str::to_owned),
        hold: identity.annotation(CLAIM_ANNOTATION).map(AdmissionHold::parse),
        held_images: identity.annotation(CLAIM_ANNOTATION).map(claimed_images).unwrap_or_default(),
        instance: identity.annotation(INSTANCE_ANNOTATION).map(str::to_owned),
        release_annotation: identity.annotation(RELEASE_ANNOTATION).and_then(parse_release_word),
        has_release_annotation: identity.annotation(RELEASE_ANNOTATION).is_some(),
        has_annotations: identity.has_annotations,
        recreate: row.strategy == Strategy::Recreate,
        owner,
        autoscaler,
        progress_deadline_exceeded: exceeded,
        rolled_out: row.progress == Progress::Complete,
        progressing_since: row.progressing_since.map(Moment::timestamp),
        revision: row.revision,
    }
}

/// The ReplicaSets of a Deployment, and their pods.
pub(crate) fn arms(stores: &Stores, deployment: &DeploymentRow) -> (Vec<ReplicaSet>, Vec<Pod>) {
    let sets: Vec<Arc<ReplicaSetRow>> =
        stores.of::<ReplicaSets>().read().at(&deployment.identity.uid).cloned().collect();
    let pods = stores.of::<Pods>().read();
    let owned = sets.iter().flat_map(|set| pods.at(&set.uid).filter(move |row| is_of(set, row)));
    let mut seen: Vec<Pod> = owned.map(|row| pod(row)).collect();
    seen.sort_by(|a, b| a.name.cmp(&b.name));
    (sets.iter().map(|set| replica_set(set)).collect(), seen)
}

/// Kubernetes disowns a pod that names a set as its owner and lacks its label, but not one that is being deleted: anybody may
/// write an owner into that.
fn is_of(set: &ReplicaSetRow, pod: &PodRow) -> bool {
    let is_labelled = |hash| set.key.name.strip_suffix(hash).is_some_and(|rest| rest.ends_with('-'));
    pod.deletion.is_none() || pod.template_hash().is_some_and(is_labelled)
}

fn replica_set(row: &ReplicaSetRow) -> ReplicaSet {
    ReplicaSet {
        name: row.key.name.to_string(),
        uid: row.uid.to_string(),
        template_hash: row.template_hash.to_string(),
        replicas: i32::try_from(row.replicas).unwrap_or(i32::MAX),
        available: i32::try_from(row.available).unwrap_or(i32::MAX),
    }
}

fn pod(row: &PodRow) -> Pod {
    let reports: Vec<ContainerReport<'_>> = row.containers.iter().map(container).collect();
    let ended = matches!(row.phase, PodPhase::Succeeded | PodPhase::Failed);
    let pod = Pod {
        name: row.key.name.to_string(),
        uid: row.uid.to_string(),
        replica_set: row.owner.as_ref().map(|owner| owner.uid.to_string()).unwrap_or_default(),
        arm: row.phase_label().and_then(Arm::parse),
        ready: row.ready_since.is_some() && !ended,
        deleting: row.deletion.is_some(),
        ended,
        created_at: row.created.map(Moment::timestamp),
        started_at: row.started.map(Moment::timestamp),
        ..Pod::default()
    };
    pod.reported(&reports)
}

fn container(row: &ContainerRow) -> ContainerReport<'_> {
    ContainerReport {
        name: &row.spec.name,
        is_init: row.spec.role == ContainerRole::Init,
        restarts: row.restarts,
        end: row.terminated.as_deref().map(end),
        last_end: row.last_termination.as_deref().map(end),
        waiting: row.waiting.as_deref(),
    }
}

fn end(end: &Termination) -> End<'_> {
    End { reason: &end.reason, exit_code: end.exit_code, at: end.finished.map(Moment::timestamp) }
}

/// One service read straight from the API, for commands: the same values that the manager decides on. `None` when there is
/// no such `ManagedApp`.
pub async fn observe(api: &Api, namespace: &str, service: &str) -> Result<Option<Observed>, ApiError> {
    if api.get(MANAGED_APPS, Some(namespace), service).await?.is_none() {
        return Ok(None);
    }
    let stores = kinds::all();
    stores.trust().learn(Trust::Form);
    stores.read_once(api, namespace).await?;
    let row = stores.of::<Apps>().get(&Key::new(namespace, service));
    Ok(row.map(|row| Observed::gather(&stores, &row)))
}

/// The Deployment that a pod belongs to, by its ReplicaSet.
pub(crate) fn target_of_pod(stores: &Stores, pod: &PodRow) -> Option<Key> {
    let owner = pod.owner.as_ref()?;
    stores.of::<ReplicaSets>().get(&Key::new(pod.key.namespace.clone(), owner.name.clone()))?.deployment()
}
