//! The ReplicaSet controller: as many pods as were asked for, and a status that counts them.

use std::cmp::Reverse;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use trimtab_kube::Key;
use trimtab_kube::resource::{PODS, REPLICA_SETS};

use super::cluster::{Cluster, PodRow, controller_reference, workload_selector};
use super::write::{Plan, Write};
use crate::object::{self, LabelSelector, count, generation, is_being_deleted};

/// Pods created or deleted in one go; the rest follows when these have been seen.
const BURST_PODS: usize = 500;

/// What to do about one ReplicaSet.
pub fn plan(cluster: &Cluster, key: &Key, now: Timestamp) -> Plan {
    let Some(row) = cluster.replica_sets.get(key) else { return Plan::nothing() };
    let set = &*row.object;
    let uid = object::uid(set);
    let selector = workload_selector(set);
    let mut writes = Vec::new();
    let going = is_being_deleted(set) || cluster.is_doomed(&uid);
    let mut pods: Vec<&Arc<PodRow>> = Vec::new();
    for pod in cluster.pods_of(&uid) {
        if selector.selects(&pod.labels) {
            pods.push(pod);
        } else if !going && cluster.is_active(pod) {
            writes.push(release(pod));
        }
    }
    if going {
        return Plan::of(writes);
    }
    writes.extend(adoptions(cluster, set, key, &selector));
    let active: Vec<&Arc<PodRow>> = pods.iter().filter(|pod| cluster.is_active(pod)).copied().collect();
    // A pod just adopted counts from the next look on; until then its owner is not what the API says.
    if writes.is_empty() {
        writes.extend(scale(cluster, set, &active));
    }
    let min_ready = SignedDuration::from_secs(i64::from(count(set, "/spec/minReadySeconds", 0)));
    let status = status(set, &pods, &active, min_ready, now);
    writes.extend(Write::status(REPLICA_SETS, set, &status));
    Plan { writes, wake_at: next_available(&active, min_ready, now) }
}

/// Pods of nobody that match are taken in.
fn adoptions(cluster: &Cluster, set: &Value, key: &Key, selector: &LabelSelector) -> Vec<Write> {
    if selector.is_empty() {
        return Vec::new();
    }
    let orphans = cluster.orphan_pods(&key.namespace).into_iter();
    let matching = orphans.filter(|pod| cluster.is_active(pod) && selector.selects(&pod.labels));
    matching
        .map(|pod| {
            let owners = json!([controller_reference(REPLICA_SETS, set)]);
            let metadata = json!({"uid": pod.uid, "ownerReferences": owners});
            Write::Merge {
                resource: PODS,
                key: pod.key.clone(),
                subresource: None,
                body: json!({"metadata": metadata}),
            }
        })
        .collect()
}

/// A pod that no longer matches is let go: it lives on, and a new one takes its place.
fn release(pod: &PodRow) -> Write {
    let body = json!({"metadata": {"uid": pod.uid, "ownerReferences": null}});
    Write::Merge { resource: PODS, key: pod.key.clone(), subresource: None, body }
}

fn scale(cluster: &Cluster, set: &Value, active: &[&Arc<PodRow>]) -> Vec<Write> {
    let wanted = count(set, "/spec/replicas", 1) as usize;
    if active.len() < wanted {
        let missing = (wanted - active.len()).min(BURST_PODS);
        return std::iter::repeat_with(|| create(set)).take(missing).collect();
    }
    let surplus = (active.len() - wanted).min(BURST_PODS);
    let mut victims = active.to_vec();
    let siblings = |node: &Arc<str>| sibling_pods(cluster, set, node);
    victims.sort_by_cached_key(|pod| deletion_order(pod, siblings(&pod.node)));
    let victims = victims.into_iter().take(surplus);
    victims
        .map(|pod| Write::Delete { resource: PODS, key: pod.key.clone(), uid: pod.uid.to_string() })
        .collect()
}

/// Active pods on `node` of all ReplicaSets that the same controller owns: where they crowd, they go first.
fn sibling_pods(cluster: &Cluster, set: &Value, node: &Arc<str>) -> usize {
    let owner = object::controller_uid(set);
    let own = [object::uid(set)];
    let related: Vec<Arc<str>> = match owner.is_empty() {
        true => own.into(),
        false => cluster.replica_sets_of(&owner).iter().map(|row| object::uid(&row.object)).collect(),
    };
    let pods = related.iter().flat_map(|uid| cluster.pods_of(uid));
    pods.filter(|pod| cluster.is_active(pod) && pod.node == *node).count()
}

/// Smaller goes first: pods that have no node, then those furthest from serving, then crowded ones, then the youngest.
type DeletionOrder =
    (bool, u8, bool, i64, Reverse<usize>, Reverse<Option<Timestamp>>, Reverse<u32>, Reverse<Timestamp>, Key);

fn deletion_order(pod: &PodRow, crowd: usize) -> DeletionOrder {
    let phase = match &*pod.phase {
        "Pending" => 0,
        "Running" => 2,
        _ => 1,
    };
    let ready = pod.ready_since.is_some();
    (
        !pod.node.is_empty(),
        phase,
        ready,
        pod.deletion_cost,
        Reverse(crowd),
        Reverse(pod.ready_since),
        Reverse(pod.restarts),
        Reverse(pod.created),
        pod.key.clone(),
    )
}

fn create(set: &Value) -> Write {
    let namespace = object::text(set, "/metadata/namespace").to_owned();
    Write::Create { resource: PODS, namespace, object: pod_of(set) }
}

/// A pod made from the template.
pub(crate) fn pod_of(set: &Value) -> Value {
    let template = &set["spec"]["template"];
    let mut metadata = json!({});
    for (field, value) in template["metadata"].as_object().into_iter().flatten() {
        if field != "creationTimestamp" {
            metadata[field] = value.clone();
        }
    }
    metadata["generateName"] = json!(format!("{}-", object::text(set, "/metadata/name")));
    metadata["namespace"] = set["metadata"]["namespace"].clone();
    metadata["ownerReferences"] = json!([controller_reference(REPLICA_SETS, set)]);
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})
}

fn status(
    set: &Value,
    pods: &[&Arc<PodRow>],
    active: &[&Arc<PodRow>],
    min_ready: SignedDuration,
    now: Timestamp,
) -> Value {
    let labels = object::labels(set, "/spec/template/metadata/labels");
    let labelled = LabelSelector::equal(labels);
    let available = |pod: &&&Arc<PodRow>| pod.ready_since.is_some_and(|since| since + min_ready <= now);
    let counts = [
        ("availableReplicas", active.iter().filter(available).count()),
        ("fullyLabeledReplicas", active.iter().filter(|pod| labelled.selects(&pod.labels)).count()),
        ("readyReplicas", active.iter().filter(|pod| pod.ready_since.is_some()).count()),
    ];
    let mut status = json!({"replicas": active.len(), "observedGeneration": generation(set)});
    for (field, number) in counts {
        if number > 0 {
            status[field] = json!(number);
        }
    }
    let terminating = pods.iter().filter(|pod| pod.deleting && !pod.is_over()).count();
    status["terminatingReplicas"] = json!(terminating);
    status
}

/// When the next ready pod has been ready for long enough to be available.
fn next_available(active: &[&Arc<PodRow>], min_ready: SignedDuration, now: Timestamp) -> Option<Timestamp> {
    let instants = active.iter().filter_map(|pod| Some(pod.ready_since? + min_ready));
    instants.filter(|instant| *instant > now).min()
}
