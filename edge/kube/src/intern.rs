//! One copy of every value that many rows share: names, label sets, owners, container specs, pod templates, what
//! `ManagedApp`s say alike, and what was told of releases.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use trimtab_api::condition::Condition;
use trimtab_api::managed_app::ManagedAppSpec;
use trimtab_delivery::snapshot::ReleaseEvent;
use trimtab_units::{TemplateHash, canonical, template_hash};

use crate::sync::locked;
use crate::uid::Uid;

/// Labels or annotations, sorted by key, shared between all objects that carry the same set.
pub type LabelSet = Arc<[(Arc<str>, Arc<str>)]>;

/// Looks a key up in a sorted set.
pub fn label<'a>(labels: &'a LabelSet, key: &str) -> Option<&'a str> {
    let index = labels.binary_search_by(|(held, _)| (**held).cmp(key)).ok()?;
    Some(&labels[index].1)
}

/// The controlling owner of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// Kind, for example `ReplicaSet`.
    pub kind: Arc<str>,
    /// Name.
    pub name: Arc<str>,
    /// UID: the identity to act on; names come back.
    pub uid: Uid,
}

/// What a container was asked to be; shared by all pods of one template.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContainerSpec {
    /// Name within the pod.
    pub name: Arc<str>,
    /// What it is there for.
    pub role: ContainerRole,
    /// Requested CPU, in thousandths of a core.
    pub cpu_request_millis: Option<i64>,
    /// Requested memory, in bytes.
    pub memory_request_bytes: Option<i64>,
    /// CPU limit, in thousandths of a core.
    pub cpu_limit_millis: Option<i64>,
    /// Memory limit, in bytes.
    pub memory_limit_bytes: Option<i64>,
}

/// When a container runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ContainerRole {
    /// Runs to completion before the others start.
    Init,
    /// An init container with `restartPolicy: Always`: runs beside the others.
    Sidecar,
    /// An ordinary container.
    App,
}

/// A pod template as raw JSON, in canonical form and without the label that Kubernetes adds: a Deployment and its
/// ReplicaSet share one.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Template {
    /// Canonical JSON of `spec.template`. Every field is kept, known or not.
    pub json: Box<str>,
    /// Its hash; equal for templates that differ only in what a round trip through the API server changes.
    pub hash: TemplateHash,
}

impl Template {
    /// The template of an object's `spec.template`.
    pub fn new(mut template: Value) -> Template {
        let hash = template_hash(&template);
        if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
            labels.remove("pod-template-hash");
        }
        Template { json: canonical::to_string(&template).into(), hash }
    }

    /// The template as JSON, to be written back.
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.json).expect("printed by `new` from a JSON value")
    }
}

/// The spec of a `ManagedApp`, shared by all that say the same: a team writes the same few lines for each of its services.
#[derive(Debug)]
pub struct AppSpec {
    /// What it prints, by which it is found.
    json: Box<str>,
    spec: ManagedAppSpec,
}

impl AppSpec {
    fn new(spec: ManagedAppSpec) -> AppSpec {
        let json = serde_json::to_string(&spec).expect("a spec that was read from JSON prints as JSON");
        AppSpec { json: json.into(), spec }
    }

    /// The spec.
    pub fn spec(&self) -> &ManagedAppSpec {
        &self.spec
    }
}

impl PartialEq for AppSpec {
    fn eq(&self, other: &AppSpec) -> bool {
        self.json == other.json
    }
}

impl Eq for AppSpec {}

impl PartialOrd for AppSpec {
    fn partial_cmp(&self, other: &AppSpec) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for AppSpec {
    fn cmp(&self, other: &AppSpec) -> Ordering {
        self.json.cmp(&other.json)
    }
}

/// What somebody was told of a release, and what became of that.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Told {
    /// What happened.
    pub event: ReleaseEvent,
    /// Who was told.
    pub destination: Box<str>,
    /// What became of it, as the record says.
    pub state: Box<str>,
}

/// Shared pools, cheap to clone. Give all projections of one process the same one.
#[derive(Clone, Default)]
pub struct Interner {
    pools: Arc<Mutex<Pools>>,
}

#[derive(Default)]
struct Pools {
    texts: Pool<str>,
    label_sets: Pool<[(Arc<str>, Arc<str>)]>,
    owners: Pool<Owner>,
    containers: Pool<ContainerSpec>,
    templates: Pool<Template>,
    uids: Pool<Uid>,
    specs: Pool<AppSpec>,
    conditions: Pool<Condition>,
    told: Pool<Told>,
    told_lists: Pool<[Arc<Told>]>,
}

impl Interner {
    /// Empty pools.
    pub fn new() -> Interner {
        Interner::default()
    }

    /// The shared copy of a short text.
    pub fn text(&self, text: &str) -> Arc<str> {
        locked(&self.pools).texts.text(text)
    }

    /// The shared copy of a label or annotation set, given in any order.
    pub fn labels<'a>(&self, labels: impl Iterator<Item = (&'a str, &'a str)>) -> LabelSet {
        let mut pools = locked(&self.pools);
        let texts = &mut pools.texts;
        let mut set: Vec<(Arc<str>, Arc<str>)> =
            labels.map(|(key, value)| (texts.text(key), texts.text(value))).collect();
        set.sort_unstable();
        pools.label_sets.share(&*set, || Arc::from(&*set))
    }

    /// The shared copy of an owner.
    pub fn owner(&self, kind: &str, name: &str, uid: Uid) -> Arc<Owner> {
        let mut pools = locked(&self.pools);
        let (kind, name) = (pools.texts.text(kind), pools.texts.text(name));
        let owner = Owner { kind, name, uid };
        pools.owners.share(&owner, || Arc::new(owner.clone()))
    }

    /// The shared copy of a container spec.
    pub fn container(&self, spec: &ContainerSpec) -> Arc<ContainerSpec> {
        locked(&self.pools).containers.share(spec, || Arc::new(spec.clone()))
    }

    /// The shared copy of a pod template, the value of `spec.template`.
    pub fn template(&self, template: Value) -> Arc<Template> {
        let template = Arc::new(Template::new(template));
        locked(&self.pools).templates.share(&*template, || template.clone())
    }

    /// The shared copy of a UID that many rows name.
    pub fn uid(&self, uid: Uid) -> Arc<Uid> {
        locked(&self.pools).uids.share(&uid, || Arc::new(uid))
    }

    /// The shared copy of a spec.
    pub fn spec(&self, spec: ManagedAppSpec) -> Arc<AppSpec> {
        let spec = Arc::new(AppSpec::new(spec));
        locked(&self.pools).specs.share(&*spec, || spec.clone())
    }

    /// The shared copy of a condition.
    pub fn condition(&self, condition: Condition) -> Arc<Condition> {
        let condition = Arc::new(condition);
        locked(&self.pools).conditions.share(&*condition, || condition.clone())
    }

    /// The shared copy of what was told to one destination.
    pub fn told(&self, told: Told) -> Arc<Told> {
        let told = Arc::new(told);
        locked(&self.pools).told.share(&*told, || told.clone())
    }

    /// The shared copy of all that was told of a release.
    pub fn told_list(&self, list: &[Arc<Told>]) -> Arc<[Arc<Told>]> {
        locked(&self.pools).told_lists.share(list, || Arc::from(list))
    }

    /// How many different values are held, used or not.
    pub fn len(&self) -> usize {
        let pools = locked(&self.pools);
        pools.texts.held.len()
            + pools.label_sets.held.len()
            + pools.owners.held.len()
            + pools.containers.held.len()
            + pools.templates.held.len()
            + pools.uids.held.len()
            + pools.specs.held.len()
            + pools.conditions.held.len()
            + pools.told.held.len()
            + pools.told_lists.held.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A pool is swept when it has doubled since the last sweep, but not below this many values.
const SWEEP_VALUES_MIN: usize = 1_024;

/// One copy of each value. Values that nobody else holds are dropped now and then, so the pool stays within twice what
/// is in use.
struct Pool<T: ?Sized> {
    held: BTreeSet<Arc<T>>,
    sweep_at: usize,
}

impl<T: ?Sized> Default for Pool<T> {
    fn default() -> Pool<T> {
        Pool { held: BTreeSet::new(), sweep_at: SWEEP_VALUES_MIN }
    }
}

impl<T: Ord + ?Sized> Pool<T> {
    fn share(&mut self, value: &T, make: impl FnOnce() -> Arc<T>) -> Arc<T>
    where
        Arc<T>: Borrow<T>,
    {
        if let Some(held) = self.held.get(value) {
            return held.clone();
        }
        if self.held.len() >= self.sweep_at {
            self.held.retain(|held| Arc::strong_count(held) > 1);
            self.sweep_at = (self.held.len() * 2).max(SWEEP_VALUES_MIN);
        }
        let made = make();
        self.held.insert(made.clone());
        made
    }
}

impl Pool<str> {
    fn text(&mut self, text: &str) -> Arc<str> {
        self.share(text, || Arc::from(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn equal_values_share_one_copy() {
        let interner = Interner::new();
        let first = interner.labels([("app", "a"), ("tier", "1")].into_iter());
        let second = interner.labels([("tier", "1"), ("app", "a")].into_iter());
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!((label(&first, "tier"), label(&first, "team")), (Some("1"), None));
    }

    #[test]
    fn a_replica_set_shares_its_deployments_template() {
        let interner = Interner::new();
        let plain =
            json!({"metadata": {"labels": {"app": "a"}}, "spec": {"newField": [1, null], "containers": []}});
        let mut hashed = plain.clone();
        hashed["metadata"]["labels"]["pod-template-hash"] = json!("5d4f");
        let (plain_row, hashed_row) = (interner.template(plain.clone()), interner.template(hashed));
        assert!(Arc::ptr_eq(&plain_row, &hashed_row));
        assert_eq!(plain_row.value(), plain);
    }

    #[test]
    fn services_that_say_the_same_share_their_spec() {
        let interner = Interner::new();
        let spec = |tier: u8| {
            let spec = json!({"tier": tier, "delivery": {"strategy": "Guarded"}});
            interner.spec(serde_json::from_value(spec).unwrap())
        };
        let (first, second, other) = (spec(1), spec(1), spec(2));
        assert!(Arc::ptr_eq(&first, &second) && !Arc::ptr_eq(&first, &other));
        assert_eq!((first.spec().tier, other.spec().tier), (Some(1), Some(2)));
    }

    #[test]
    fn unused_values_are_dropped() {
        let interner = Interner::new();
        let kept = interner.text("kept");
        for index in 0..50_000 {
            interner.text(&format!("pod-{index}"));
        }
        assert!(interner.len() <= 2 * SWEEP_VALUES_MIN, "{}", interner.len());
        assert!(Arc::ptr_eq(&kept, &interner.text("kept")));
    }
}
