//! The ReplicaSets of one Deployment, with the changes planned for them.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use trimtab_kube::resource::{DEPLOYMENTS, REPLICA_SETS};
use trimtab_units::{TemplateHash, template_hash};

use super::Wanted;
use crate::controllers::cluster::{Cluster, controller_reference, workload_selector};
use crate::controllers::write::Write;
use crate::object::{self, count, instant, is_being_deleted, text};

/// Annotations that the controller keeps on ReplicaSets.
pub(super) mod annotations {
    pub(in super::super) const REVISION: &str = "deployment.kubernetes.io/revision";
    pub(in super::super) const HISTORY: &str = "deployment.kubernetes.io/revision-history";
    pub(in super::super) const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
    pub(in super::super) const MOST: &str = "deployment.kubernetes.io/max-replicas";
    pub(in super::super) const APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
}

const HASH_LABEL: &str = "pod-template-hash";

/// One ReplicaSet.
pub(super) struct Set<'c> {
    object: &'c Value,
    pub(super) name: String,
    /// `spec.replicas`, as planned so far.
    pub(super) replicas: u32,
    /// `status.replicas`.
    pub(super) current: u32,
    pub(super) ready: u32,
    pub(super) available: u32,
    pub(super) terminating: u32,
    pub(super) created: Timestamp,
    pub(super) uid: Arc<str>,
    revision: u64,
    annotations: Map<String, Value>,
    changes: Map<String, Value>,
}

impl<'c> Set<'c> {
    fn read(object: &'c Value) -> Self {
        let annotations = object.pointer("/metadata/annotations").and_then(Value::as_object).cloned();
        let mut set = Set {
            object,
            name: text(object, "/metadata/name").to_owned(),
            replicas: count(object, "/spec/replicas", 1),
            current: count(object, "/status/replicas", 0),
            ready: count(object, "/status/readyReplicas", 0),
            available: count(object, "/status/availableReplicas", 0),
            terminating: count(object, "/status/terminatingReplicas", 0),
            created: instant(object, "/metadata/creationTimestamp").unwrap_or(Timestamp::UNIX_EPOCH),
            uid: object::uid(object),
            revision: 0,
            annotations: annotations.unwrap_or_default(),
            changes: Map::new(),
        };
        set.revision = set.number(annotations::REVISION).unwrap_or(0);
        set
    }

    fn number(&self, annotation: &str) -> Option<u64> {
        self.annotations.get(annotation)?.as_str()?.parse().ok()
    }

    /// The most pods that its Deployment could have when it was last scaled.
    pub(super) fn most_then(&self) -> Option<u64> {
        self.number(annotations::MOST)
    }

    /// The size of its Deployment when it was last scaled.
    pub(super) fn desired_then(&self) -> Option<u64> {
        self.number(annotations::DESIRED)
    }

    fn annotate(&mut self, name: &str, value: &str) {
        let value = json!(value);
        if self.annotations.get(name) != Some(&value) {
            self.annotations.insert(name.to_owned(), value.clone());
            self.changes.insert(name.to_owned(), value);
        }
    }

    /// Plans a size, and records for which size of the Deployment it was chosen.
    pub(super) fn resize(&mut self, replicas: u32, wanted: &Wanted<'_>) {
        self.replicas = replicas;
        self.annotate(annotations::DESIRED, &wanted.replicas.to_string());
        self.annotate(annotations::MOST, &wanted.most().to_string());
    }

    fn into_write(self, min_ready: &Value) -> Option<Write> {
        let mut changes = json!({});
        if !self.changes.is_empty() {
            changes["metadata"]["annotations"] = Value::Object(self.changes);
        }
        if self.replicas != count(self.object, "/spec/replicas", 1) {
            changes["spec"]["replicas"] = json!(self.replicas);
        }
        if !min_ready.is_null() && *min_ready != self.object["spec"]["minReadySeconds"] {
            changes["spec"]["minReadySeconds"] = min_ready.clone();
        }
        (changes != json!({})).then(|| Write::update(REPLICA_SETS, self.object, changes))
    }
}

/// All ReplicaSets of one Deployment.
pub(super) struct ReplicaSets<'c> {
    deployment: &'c Value,
    hash: TemplateHash,
    /// Oldest first.
    pub(super) sets: Vec<Set<'c>>,
    /// Which of them has the Deployment's template.
    pub(super) new: Option<usize>,
    creation: Option<u32>,
    deletions: Vec<Write>,
}

impl<'c> ReplicaSets<'c> {
    pub(super) fn gather(cluster: &'c Cluster, deployment: &'c Value) -> Self {
        let hash = template_hash(&deployment["spec"]["template"]);
        let rows = cluster.replica_sets_of(&object::uid(deployment));
        let rows: Vec<&Value> =
            rows.into_iter().map(|row| &*row.object).filter(|set| !is_being_deleted(set)).collect();
        let mut sets: Vec<Set<'c>> = rows.into_iter().map(Set::read).collect();
        sets.sort_by(|one, other| (one.created, &one.name).cmp(&(other.created, &other.name)));
        // The oldest wins where two have the same template.
        let new = sets.iter().position(|set| template_hash(&set.object["spec"]["template"]) == hash);
        ReplicaSets { deployment, hash, sets, new, creation: None, deletions: Vec::new() }
    }

    pub(super) fn new_set(&self) -> Option<&Set<'c>> {
        self.new.map(|index| &self.sets[index])
    }

    pub(super) fn new_name(&self) -> &str {
        self.new_set().map_or("", |set| &set.name)
    }

    /// The revision of the ReplicaSet with the present template, once it is recorded there.
    pub(super) fn new_revision(&self) -> Option<String> {
        let set = self.new_set()?;
        (set.revision >= self.next_revision()).then(|| set.revision.to_string())
    }

    fn next_revision(&self) -> u64 {
        let old = self.old().map(|index| self.sets[index].revision);
        old.max().unwrap_or(0) + 1
    }

    /// Indexes of all but the new one, oldest first.
    pub(super) fn old(&self) -> impl Iterator<Item = usize> + use<> {
        let new = self.new;
        (0..self.sets.len()).filter(move |index| Some(*index) != new)
    }

    /// Indexes of those that want pods, oldest first.
    pub(super) fn active(&self) -> Vec<usize> {
        (0..self.sets.len()).filter(|index| self.sets[*index].replicas > 0).collect()
    }

    /// Pods that all of them want together, a planned one included.
    pub(super) fn total(&self) -> u32 {
        let sizes = self.sets.iter().map(|set| set.replicas).chain(self.creation);
        sizes.fold(0, u32::saturating_add)
    }

    /// Whether somebody changed the size of the Deployment since its ReplicaSets were last scaled.
    pub(super) fn is_scaling_event(&self, wanted: &Wanted<'_>) -> bool {
        let active = self.sets.iter().filter(|set| set.replicas > 0);
        active.filter_map(Set::desired_then).any(|desired| desired != u64::from(wanted.replicas))
    }

    /// Keeps the new ReplicaSet's annotations in step with the Deployment's, and its revision the highest.
    pub(super) fn keep_annotations(&mut self, wanted: &Wanted<'_>) {
        let Some(index) = self.new else { return };
        let (next, copied) = (self.next_revision(), copied_annotations(wanted.deployment));
        let set = &mut self.sets[index];
        for (name, value) in copied {
            set.annotate(&name, &value);
        }
        if set.revision < next {
            if set.revision > 0 {
                let history = set.annotations.get(annotations::HISTORY).and_then(Value::as_str);
                let history = history.map(|history| format!("{history},")).unwrap_or_default();
                set.annotate(annotations::HISTORY, &format!("{history}{}", set.revision));
            }
            set.annotate(annotations::REVISION, &next.to_string());
        }
    }

    /// Plans a ReplicaSet with the present template.
    pub(super) fn create(&mut self, replicas: u32) {
        self.creation = Some(replicas);
    }

    pub(super) fn created_name(&self) -> Option<String> {
        self.creation.map(|_| self.name())
    }

    fn name(&self) -> String {
        format!("{}-{}", text(self.deployment, "/metadata/name"), self.hash)
    }

    /// Plans the deletion of old, empty ReplicaSets beyond the `limit`, lowest revision first.
    pub(super) fn clean_up(&mut self, limit: u32) {
        let mut old: Vec<usize> = self.old().collect();
        let surplus = old.len().saturating_sub(limit as usize);
        old.sort_by_key(|index| self.sets[*index].revision);
        let empty = |set: &Set<'_>| {
            let observed = count(set.object, "/status/observedGeneration", 0);
            set.replicas == 0 && set.current == 0 && observed >= count(set.object, "/metadata/generation", 0)
        };
        let old = old.into_iter().take(surplus).map(|index| &self.sets[index]).filter(|set| empty(set));
        self.deletions = old.map(|set| Write::delete(REPLICA_SETS, set.object)).collect();
    }

    pub(super) fn into_writes(self) -> Vec<Write> {
        let min_ready = &self.deployment["spec"]["minReadySeconds"];
        let creation = self.creation.map(|replicas| Write::Create {
            resource: REPLICA_SETS,
            namespace: text(self.deployment, "/metadata/namespace").to_owned(),
            object: self.made(replicas),
        });
        let resizes = self.sets.into_iter().filter_map(|set| set.into_write(min_ready));
        creation.into_iter().chain(resizes).chain(self.deletions).collect()
    }

    /// A ReplicaSet with the present template.
    pub(super) fn made(&self, replicas: u32) -> Value {
        let deployment = self.deployment;
        let wanted = Wanted::read(deployment);
        let mut template = deployment["spec"]["template"].clone();
        template["metadata"]["labels"][HASH_LABEL] = json!(self.hash.as_str());
        let mut selector = deployment["spec"]["selector"].clone();
        selector["matchLabels"][HASH_LABEL] = json!(self.hash.as_str());
        let mut marks: Map<String, Value> =
            copied_annotations(deployment).into_iter().map(|(name, value)| (name, json!(value))).collect();
        marks.insert(annotations::REVISION.to_owned(), json!(self.next_revision().to_string()));
        marks.insert(annotations::DESIRED.to_owned(), json!(wanted.replicas.to_string()));
        marks.insert(annotations::MOST.to_owned(), json!(wanted.most().to_string()));
        let namespace = text(deployment, "/metadata/namespace");
        let mut spec = json!({"replicas": replicas, "selector": selector, "template": template});
        if let Some(seconds) = deployment.pointer("/spec/minReadySeconds") {
            spec["minReadySeconds"] = seconds.clone();
        }
        json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {
                "name": self.name(), "namespace": namespace, "annotations": marks,
                "labels": spec["template"]["metadata"]["labels"],
                "ownerReferences": [controller_reference(DEPLOYMENTS, deployment)],
            },
            "spec": spec,
        })
    }
}

/// The Deployment's annotations that its new ReplicaSet carries too.
fn copied_annotations(deployment: &Value) -> Vec<(String, String)> {
    use annotations::{APPLIED, DESIRED, HISTORY, MOST, REVISION};
    let own = [APPLIED, REVISION, HISTORY, DESIRED, MOST];
    let all = object::labels(deployment, "/metadata/annotations");
    all.into_iter().filter(|(name, _)| !own.contains(&name.as_str())).collect()
}

/// Takes in matching ReplicaSets of nobody, and lets go of ours that no longer match.
pub(super) fn ownership(cluster: &Cluster, deployment: &Value) -> Vec<Write> {
    let selector = workload_selector(deployment);
    if selector.is_empty() {
        return Vec::new();
    }
    let matches = |set: &Value| selector.selects(&object::labels(set, "/metadata/labels"));
    let namespace = object::key(deployment).namespace;
    let orphans = cluster.orphan_replica_sets(&namespace).into_iter().map(|row| &*row.object);
    let adopted = orphans.filter(|set| !is_being_deleted(set) && matches(set)).map(|set| {
        let owners = json!([controller_reference(DEPLOYMENTS, deployment)]);
        Write::update(REPLICA_SETS, set, json!({"metadata": {"ownerReferences": owners}}))
    });
    let own = cluster.replica_sets_of(&object::uid(deployment)).into_iter().map(|row| &*row.object);
    let released = own
        .filter(|set| !is_being_deleted(set) && !matches(set))
        .map(|set| Write::update(REPLICA_SETS, set, json!({"metadata": {"ownerReferences": null}})));
    adopted.chain(released).collect()
}
