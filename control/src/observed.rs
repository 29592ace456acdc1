//! One service as it was seen: owned values that a [`Snapshot`] borrows from.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use trimtab_api::ManagedApp;
use trimtab_api::resolve::{Policies, Reach, reaches, settings};
use trimtab_delivery::names::{
    CLAIM_ANNOTATION, MANAGER, RELEASE_ANNOTATION, claimed_images, parse_release_word, release_object,
};
use trimtab_delivery::records::{Sifted, sift, taken_from};
use trimtab_delivery::snapshot::{App, Settings, Snapshot};
use trimtab_judge::binding::Bound;
use trimtab_judge::finding::Finding;
use trimtab_kube::intern::ContainerRole;
use trimtab_kube::pod_row::{ContainerRow, PodPhase, PodProjection, PodRow, Termination};
use trimtab_kube::resource::{DEPLOYMENTS, HPAS, PODS, REPLICA_SETS};
use trimtab_kube::watch::{Event, Project, Row};
use trimtab_kube::workload_rows::{
    DeploymentProjection, DeploymentRow, HpaProjection, ReplicaSetProjection, ReplicaSetRow, Strategy,
};
use trimtab_kube::{Api, ApiError, Key, Moment, Store};
use trimtab_workload::{AdmissionHold, Arm, ContainerReport, End, Pod, ReplicaSet, Target, service_image};

use crate::cluster::{Cluster, target_key};
use crate::convert;
use crate::resources::{APP_RELEASES, FLEET_POLICIES, MANAGED_APPS};
use crate::rows::{AppRow, Apps, PoliciesOf, Releases};

/// What a metrics server and the pods told about a service; nothing by default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// Findings on the release that is judged.
    pub findings: Vec<Finding>,
    /// Since when a question about it is open.
    pub measuring_since: Option<Timestamp>,
    /// Rules that find no series, or too many, where it was asked.
    pub bound: Option<Bound>,
}

/// What is measured where nobody measures.
pub static NOTHING_MEASURED: Measured = Measured { findings: Vec::new(), measuring_since: None, bound: None };

/// One service as it was seen.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The service.
    pub app: App,
    /// Its `ManagedApp`, as far as it is read.
    pub wire: ManagedApp,
    /// Namespace and name of the Deployment that it claims.
    pub target_key: Key,
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
    taken: Vec<u64>,
}

impl Records {
    fn gather(cluster: &Cluster, row: &AppRow, app: &App, target: Option<&Target>) -> Self {
        let rows = cluster.releases.read();
        let found = rows.at(row.key()).map(|row| (row.key().name.to_string(), row.release())).collect();
        let revision = target.and_then(|target| target.revision).unwrap_or_default();
        let sifted = sift(&app.name, app.status.last_release.unwrap_or_default().max(revision), found);
        let held = |number: u64| {
            let key = Key::new(row.key().namespace.clone(), release_object(&app.name, number));
            rows.get(&key).is_some() || rows.is_unreadable(&key)
        };
        let last = sifted.releases.last().map_or(0, |release| release.number);
        let firsts = [last.saturating_add(1), revision.max(last.saturating_add(1))];
        let taken = firsts.into_iter().flat_map(|first| taken_from(first, held)).collect();
        Self { sifted, taken }
    }
}

impl Observed {
    /// The service behind `row` as the stores know it.
    #[must_use]
    pub fn gather(cluster: &Cluster, row: &AppRow) -> Self {
        let wire = row.app();
        let (app, settings, reaches) = {
            let policies = cluster.policies.read();
            let policies = Policies::matching(policies.iter().map(|policy| &policy.object), &wire);
            let (app, settings) = app_and_settings(cluster, row, &wire, &policies);
            (app, settings, reaches(&wire.spec, &policies))
        };
        let target_key = target_key(row);
        let deployment = cluster.deployments.get(&target_key);
        let (replica_sets, pods) = deployment.as_ref().map(|d| arms(cluster, d)).unwrap_or_default();
        let autoscaler =
            cluster.autoscalers.read().at(&target_key).next().map(|hpa| hpa.identity.key.name.to_string());
        let target = deployment.as_ref().map(|d| target(d, wire.spec.container.as_deref(), autoscaler));
        let records = Records::gather(cluster, row, &app, target.as_ref());
        Self { app, wire, target_key, settings, deployment, reaches, target, replica_sets, pods, records }
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
            bound: measured.bound.as_ref(),
        }
    }
}

fn app_and_settings(
    cluster: &Cluster,
    row: &AppRow,
    wire: &ManagedApp,
    policies: &Policies<'_>,
) -> (App, Settings) {
    let (settings, problems) = settings(wire, policies);
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    // The first by name has the claim; whoever else names the same Deployment must not fight for it.
    let first = cluster.apps.read().at(&target_key(row)).next().map(|first| first.key().clone());
    let claimed_by = first.filter(|first| first != row.key()).map(|first| first.name.to_string());
    let app = App {
        namespace: wire.metadata.namespace.clone(),
        name: wire.metadata.name.clone(),
        generation: wire.metadata.generation,
        problems,
        claimed_by,
        status: convert::app_status(&wire.status),
        uid: wire.metadata.uid.clone(),
        version: row.resource_version(),
        transitions: convert::transitions(&wire.status),
    };
    (app, settings)
}

/// The Deployment as a decision sees it; `container` names the service container where it is not the first.
pub(crate) fn target(row: &DeploymentRow, container: Option<&str>, autoscaler: Option<String>) -> Target {
    let identity = &row.identity;
    let progressing = row.conditions.iter().find(|condition| &*condition.kind == "Progressing");
    let exceeded = progressing.filter(|condition| &*condition.reason == "ProgressDeadlineExceeded");
    let owner = identity.owner.as_ref().map(|owner| format!("{} {}", owner.kind, owner.name));
    let writers = row.template_managers.iter().rev().map(|writer| &*writer.manager);
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
        owns_template: row.template_managers.iter().any(|writer| &*writer.manager == MANAGER),
        replicas: i32::try_from(row.replicas).unwrap_or(i32::MAX),
        paused: row.paused,
        paused_by: row.paused_manager.as_deref().filter(|manager| *manager != MANAGER).map(str::to_owned),
        claim: identity.annotation(CLAIM_ANNOTATION).map(AdmissionHold::parse),
        held_images: identity.annotation(CLAIM_ANNOTATION).map(claimed_images).unwrap_or_default(),
        release_annotation: identity.annotation(RELEASE_ANNOTATION).and_then(parse_release_word),
        has_release_annotation: identity.annotation(RELEASE_ANNOTATION).is_some(),
        has_annotations: identity.has_annotations,
        recreate: row.strategy == Strategy::Recreate,
        owner,
        autoscaler,
        progress_deadline_exceeded: exceeded.map(|condition| condition.message.to_string()),
        rolled_out: progressing.is_some_and(|condition| &*condition.reason == "NewReplicaSetAvailable"),
        revision: row.revision,
    }
}

fn arms(cluster: &Cluster, deployment: &DeploymentRow) -> (Vec<ReplicaSet>, Vec<Pod>) {
    let sets: Vec<Arc<ReplicaSetRow>> =
        cluster.replica_sets.read().at(&deployment.identity.uid).cloned().collect();
    let pods = cluster.pods.read();
    let mut seen: Vec<Pod> =
        sets.iter().flat_map(|set| pods.at(&set.identity.uid)).map(|row| pod(row)).collect();
    seen.sort_by(|a, b| a.name.cmp(&b.name));
    (sets.iter().map(|set| replica_set(set)).collect(), seen)
}

fn replica_set(row: &ReplicaSetRow) -> ReplicaSet {
    ReplicaSet {
        name: row.identity.key.name.to_string(),
        uid: row.identity.uid.to_string(),
        template_hash: row.template.hash.to_string(),
        replicas: i32::try_from(row.replicas).unwrap_or(i32::MAX),
        available: i32::try_from(row.status.available).unwrap_or(i32::MAX),
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
    let cluster = Cluster::new();
    let interner = trimtab_kube::intern::Interner::new();
    let Some(app) = api.get(MANAGED_APPS, Some(namespace), service).await? else { return Ok(None) };
    fill(&cluster.apps, &Apps::new(interner.clone()), vec![app]);
    fill(&cluster.policies, &PoliciesOf, list(api, FLEET_POLICIES, None).await?);
    fill(
        &cluster.releases,
        &Releases::new(interner.clone()),
        list(api, APP_RELEASES, Some(namespace)).await?,
    );
    fill(
        &cluster.deployments,
        &DeploymentProjection::new(interner.clone()),
        list(api, DEPLOYMENTS, Some(namespace)).await?,
    );
    fill(
        &cluster.replica_sets,
        &ReplicaSetProjection::new(interner.clone()),
        list(api, REPLICA_SETS, Some(namespace)).await?,
    );
    fill(&cluster.pods, &PodProjection::new(interner.clone()), list(api, PODS, Some(namespace)).await?);
    fill(&cluster.autoscalers, &HpaProjection::new(interner), list(api, HPAS, Some(namespace)).await?);
    let row = cluster.apps.get(&Key::new(namespace, service));
    Ok(row.map(|row| Observed::gather(&cluster, &row)))
}

async fn list(
    api: &Api,
    resource: &trimtab_kube::Resource,
    namespace: Option<&str>,
) -> Result<Vec<Value>, ApiError> {
    api.list(resource, namespace, &trimtab_kube::api::Selector::all()).await
}

fn fill<P: Project, I: Ord>(store: &Store<P::Row, I>, projection: &P, objects: Vec<Value>) {
    store.take(Event::Reset);
    for object in objects {
        // What cannot be read is left out here as it is in the manager's own stores.
        if let Ok(row) = projection.project(object.to_string().as_bytes()) {
            store.take(Event::Init(row));
        }
    }
    store.take(Event::Ready);
}
