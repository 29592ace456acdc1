//! What the controllers know of the cluster: one shared view, kept by watches and by their own writes.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use trimtab_kube::resource::{DEPLOYMENTS, ENDPOINT_SLICES, HPAS, PDBS, PODS, REPLICA_SETS, SERVICES};
use trimtab_kube::store::{Change, Rows};
use trimtab_kube::watch::{Event, Project, ProjectError, Row};
use trimtab_kube::{Key, Resource};

use crate::object::{self, LabelSelector, Labels, count, instant, is_being_deleted, list, text};
use crate::row::Whole;

/// What controllers need of a pod.
#[derive(Debug, Clone, PartialEq)]
pub struct PodRow {
    /// Namespace and name.
    pub key: Key,
    /// Resource version as a number.
    pub version: u64,
    /// Its uid.
    pub uid: Arc<str>,
    /// Uid of its controller; empty for an orphan.
    pub owner: Arc<str>,
    /// Name of its controller; empty for an orphan.
    pub owner_name: Arc<str>,
    /// Its labels.
    pub labels: Labels,
    /// `Pending`, `Running`, `Succeeded`, `Failed`.
    pub phase: Arc<str>,
    /// Since when it has been ready.
    pub ready_since: Option<Timestamp>,
    /// Whether it waits for its grace period to end.
    pub deleting: bool,
    /// Its node; empty while it has none.
    pub node: Arc<str>,
    /// Its address; empty while it has none.
    pub ip: Arc<str>,
    /// When it was created.
    pub created: Timestamp,
    /// Most restarts of any of its containers.
    pub restarts: u32,
    /// What it costs to delete it, in its owner's words; cheaper ones go first.
    pub deletion_cost: i64,
    /// Named ports of its containers.
    pub ports: Vec<(String, u32)>,
    /// Sum of its containers' CPU requests, in thousandths of a core.
    pub cpu_request: u64,
    /// Images of its containers, in order.
    pub images: Vec<Arc<str>>,
}

impl PodRow {
    /// Reads a pod.
    pub fn read(pod: &Value) -> PodRow {
        let owner = object::controller(pod);
        let conditions = list(pod, "/status/conditions");
        let ready = conditions.iter().find(|c| text(c, "/type") == "Ready" && text(c, "/status") == "True");
        let containers = list(pod, "/spec/containers");
        let ports = containers.iter().flat_map(|container| list(container, "/ports"));
        let named = ports.map(|port| (text(port, "/name").to_owned(), count(port, "/containerPort", 0)));
        let restarts = list(pod, "/status/containerStatuses").iter().map(|c| count(c, "/restartCount", 0));
        let cost = pod.pointer("/metadata/annotations/controller.kubernetes.io~1pod-deletion-cost");
        PodRow {
            key: object::key(pod),
            version: object::resource_version(pod),
            uid: object::uid(pod),
            owner: owner.map_or("", |owner| text(owner, "/uid")).into(),
            owner_name: owner.map_or("", |owner| text(owner, "/name")).into(),
            labels: object::labels(pod, "/metadata/labels"),
            phase: text(pod, "/status/phase").into(),
            ready_since: ready.map(|c| instant(c, "/lastTransitionTime").unwrap_or(Timestamp::UNIX_EPOCH)),
            deleting: is_being_deleted(pod),
            node: text(pod, "/spec/nodeName").into(),
            ip: text(pod, "/status/podIP").into(),
            created: instant(pod, "/metadata/creationTimestamp").unwrap_or(Timestamp::UNIX_EPOCH),
            restarts: restarts.max().unwrap_or(0),
            deletion_cost: cost.and_then(Value::as_str).and_then(|cost| cost.parse().ok()).unwrap_or(0),
            ports: named.collect(),
            cpu_request: containers.iter().map(cpu_request).sum(),
            images: containers.iter().map(|container| text(container, "/image").into()).collect(),
        }
    }

    /// Whether it counts as one of its owner's pods: it has not ended and is not on its way out.
    pub fn is_active(&self) -> bool {
        !self.deleting && !self.is_over()
    }

    /// Whether all its containers have ended for good.
    pub fn is_over(&self) -> bool {
        matches!(&*self.phase, "Succeeded" | "Failed")
    }
}

/// A container's CPU request in thousandths of a core; 0 if it has none that can be read.
fn cpu_request(container: &Value) -> u64 {
    let request = text(container, "/resources/requests/cpu").parse::<trimtab_units::Quantity>();
    request.ok().and_then(|request| u64::try_from(request.millis()).ok()).unwrap_or(0)
}

impl Row for PodRow {
    fn key(&self) -> &Key {
        &self.key
    }

    fn resource_version(&self) -> u64 {
        self.version
    }

    /// Everything but the version: most updates of a pod touch nothing that is kept here.
    fn differs_from(&self, old: &PodRow) -> bool {
        let PodRow {
            key: _, version: _, uid, owner, owner_name, labels, phase, ready_since, deleting, ..
        } = self;
        let PodRow { node, ip, created, restarts, deletion_cost, ports, cpu_request, images, .. } = self;
        (uid, owner, owner_name, labels, phase, ready_since, deleting)
            != (
                &old.uid,
                &old.owner,
                &old.owner_name,
                &old.labels,
                &old.phase,
                &old.ready_since,
                &old.deleting,
            )
            || (node, ip, created, restarts) != (&old.node, &old.ip, &old.created, &old.restarts)
            || (deletion_cost, ports, cpu_request, images)
                != (&old.deletion_cost, &old.ports, &old.cpu_request, &old.images)
    }
}

/// Makes [`PodRow`]s.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LeanPods;

impl Project for LeanPods {
    type Row = PodRow;

    fn project(&self, object: &[u8]) -> Result<PodRow, ProjectError> {
        Ok(PodRow::read(&serde_json::from_slice(object)?))
    }
}

/// By what objects are found without looking at all of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Index {
    /// Objects controlled by this uid.
    Owner(Arc<str>),
    /// Objects of this namespace that nobody controls.
    Orphan(Arc<str>),
    /// Objects of this namespace that carry, or select by, this label.
    Label(Arc<str>, String, String),
    /// Objects of this namespace whose selector names no label.
    AnyLabel(Arc<str>),
    /// Slices of this Service.
    Service(Key),
}

fn owner_index(namespace: &Key, owner: &Arc<str>) -> Index {
    if owner.is_empty() { Index::Orphan(namespace.namespace.clone()) } else { Index::Owner(owner.clone()) }
}

fn selector_index(key: &Key, selector: &LabelSelector) -> Index {
    match selector.pairs().last_key_value() {
        Some((name, value)) => Index::Label(key.namespace.clone(), name.clone(), value.clone()),
        None => Index::AnyLabel(key.namespace.clone()),
    }
}

/// The selector of a Service; `None` for one that selects nothing.
pub(crate) fn service_selector(service: &Value) -> Option<LabelSelector> {
    let pairs = object::labels(service, "/spec/selector");
    (!pairs.is_empty()).then(|| LabelSelector::equal(pairs))
}

/// The selector of anything that has one at `spec.selector`.
pub(crate) fn workload_selector(object: &Value) -> LabelSelector {
    LabelSelector::read(&object["spec"]["selector"])
}

/// The cluster as the controllers know it.
pub struct Cluster {
    pub(crate) deployments: Rows<Whole>,
    pub(crate) replica_sets: Rows<Whole, Index>,
    pub(crate) pods: Rows<PodRow, Index>,
    pub(crate) services: Rows<Whole, Index>,
    pub(crate) slices: Rows<Whole, Index>,
    pub(crate) budgets: Rows<Whole, Index>,
    pub(crate) autoscalers: Rows<Whole>,
    /// Uids whose deletion was accepted: they count as going, whatever an older event still says.
    doomed: BTreeSet<Arc<str>>,
}

impl Default for Cluster {
    fn default() -> Self {
        Cluster {
            deployments: Rows::new(),
            replica_sets: Rows::indexed(|row, into| {
                into.push(owner_index(&row.key, &object::controller_uid(&row.object)));
            }),
            pods: Rows::indexed(|row, into| {
                into.push(owner_index(&row.key, &row.owner));
                let namespace = &row.key.namespace;
                let labels = row.labels.iter().map(|(name, value)| (name.clone(), value.clone()));
                into.extend(labels.map(|(name, value)| Index::Label(namespace.clone(), name, value)));
            }),
            services: Rows::indexed(|row, into| {
                into.extend(
                    service_selector(&row.object).map(|selector| selector_index(&row.key, &selector)),
                );
            }),
            slices: Rows::indexed(|row, into| into.push(Index::Service(slice_service(row)))),
            budgets: Rows::indexed(|row, into| {
                into.push(selector_index(&row.key, &workload_selector(&row.object)));
            }),
            autoscalers: Rows::new(),
            doomed: BTreeSet::new(),
        }
    }
}

/// The Service that a slice belongs to.
pub(crate) fn slice_service(slice: &Whole) -> Key {
    let name = slice.object.pointer("/metadata/labels/kubernetes.io~1service-name").and_then(Value::as_str);
    Key::new(slice.key.namespace.clone(), name.unwrap_or_default())
}

impl Cluster {
    /// ReplicaSets that `owner` controls.
    pub(crate) fn replica_sets_of(&self, owner: &Arc<str>) -> Vec<&Arc<Whole>> {
        let owned = Index::Owner(owner.clone());
        self.replica_sets.at(&owned).filter(|row| !self.is_doomed(&object::uid(&row.object))).collect()
    }

    /// ReplicaSets of a namespace that nobody controls.
    pub(crate) fn orphan_replica_sets(&self, namespace: &Arc<str>) -> Vec<&Arc<Whole>> {
        self.replica_sets.at(&Index::Orphan(namespace.clone())).collect()
    }

    /// Pods that `owner` controls, those on their way out included.
    pub(crate) fn pods_of(&self, owner: &Arc<str>) -> Vec<&Arc<PodRow>> {
        self.pods.at(&Index::Owner(owner.clone())).collect()
    }

    /// Pods of a namespace that nobody controls.
    pub(crate) fn orphan_pods(&self, namespace: &Arc<str>) -> Vec<&Arc<PodRow>> {
        self.pods.at(&Index::Orphan(namespace.clone())).collect()
    }

    /// Pods of a namespace that `selector` selects.
    pub(crate) fn selected_pods(&self, key: &Key, selector: &LabelSelector) -> Vec<&Arc<PodRow>> {
        match selector_index(key, selector) {
            Index::AnyLabel(namespace) => {
                self.pods.in_namespace(&namespace).filter(|pod| selector.selects(&pod.labels)).collect()
            }
            index => self.pods.at(&index).filter(|pod| selector.selects(&pod.labels)).collect(),
        }
    }

    /// Whether everything has been listed once: until then what is missing means nothing.
    pub(crate) fn is_synced(&self) -> bool {
        let indexed = [&self.replica_sets, &self.services, &self.slices, &self.budgets];
        let plain = [&self.deployments, &self.autoscalers];
        indexed.iter().all(|rows| rows.synced())
            && plain.iter().all(|rows| rows.synced())
            && self.pods.synced()
    }

    /// Whether the deletion of this object was accepted before.
    pub(crate) fn is_doomed(&self, uid: &Arc<str>) -> bool {
        self.doomed.contains(uid)
    }

    /// Whether a pod counts as one of its owner's.
    pub(crate) fn is_active(&self, pod: &PodRow) -> bool {
        pod.is_active() && !self.is_doomed(&pod.uid)
    }

    /// The deletion of this object was accepted.
    pub(crate) fn doom(&mut self, uid: &str) {
        self.doomed.insert(uid.into());
    }

    /// The object is really gone.
    pub(crate) fn forget(&mut self, uid: &Arc<str>) {
        self.doomed.remove(uid);
    }

    /// Takes in what the server answered to a write, before the watch tells of it.
    pub(crate) fn stored(&mut self, resource: &'static Resource, object: Value) -> Vec<Touched> {
        if resource == PODS {
            return self.take_pod(Event::Apply(PodRow::read(&object)));
        }
        self.take(resource, Event::Apply(Whole::new(object)))
    }

    /// Takes in an event about pods.
    pub(crate) fn take_pod(&mut self, event: Event<PodRow>) -> Vec<Touched> {
        let changes = self.pods.take(event);
        changes
            .into_iter()
            .map(|change| {
                if let (Some(old), None) = (&change.old, &change.new) {
                    self.forget(&old.uid);
                }
                Touched::Pod(change)
            })
            .collect()
    }

    /// Takes in an event about any other kind.
    pub(crate) fn take(&mut self, resource: &'static Resource, event: Event<Whole>) -> Vec<Touched> {
        let changes = match resource {
            _ if resource == DEPLOYMENTS => self.deployments.take(event),
            _ if resource == REPLICA_SETS => self.replica_sets.take(event),
            _ if resource == SERVICES => self.services.take(event),
            _ if resource == ENDPOINT_SLICES => self.slices.take(event),
            _ if resource == PDBS => self.budgets.take(event),
            _ if resource == HPAS => self.autoscalers.take(event),
            _ => Vec::new(),
        };
        for change in &changes {
            if let (Some(old), None) = (&change.old, &change.new) {
                self.forget(&object::uid(&old.object));
            }
        }
        changes.into_iter().map(|change| Touched::Whole(resource, change)).collect()
    }
}

/// Something in the cluster changed.
pub(crate) enum Touched {
    Pod(Change<PodRow>),
    Whole(&'static Resource, Change<Whole>),
}

/// The reference by which `owner` controls an object.
pub(crate) fn controller_reference(resource: &Resource, owner: &Value) -> Value {
    json!({
        "apiVersion": resource.api_version(), "kind": resource.kind,
        "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
        "controller": true, "blockOwnerDeletion": true,
    })
}
