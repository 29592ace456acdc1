//! Available pods, against what the Deployment's own strategy demands.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use trimtab_sim::StoreChange;

use super::{Oracle, Violation, image_of, text, violation};

/// What tags of images that take themselves down contain: such a pod counts as long as it is there.
const UNAVAILABLE_BY_ITSELF: [&str; 6] = ["panic", "oom", "neverready", "nopull", "slowstart", "dberrors"];

/// How long Kubernetes takes, in the middle of a rollout, to follow a number that changed.
const SCALING: SignedDuration = SignedDuration::from_secs(30);

/// Kubernetes' controllers count ready pods by the sets' status, which is a moment old. Where a template changes in that
/// moment, they take a pod for unhealthy that has just become ready, and one too many goes.
const COUNTED_LATE: SignedDuration = SignedDuration::from_secs(1);

/// How long they take to put that right. A fall that lasts longer is a fall.
const PUT_RIGHT: SignedDuration = SignedDuration::from_secs(10);

#[derive(Default)]
struct Wanted {
    replicas: u64,
    /// Replicas that the strategy lets be away.
    may_be_away: u64,
    /// When that number changed last.
    scaled_at: Option<Timestamp>,
    template: Value,
    /// When the template changed last.
    templated_at: Option<Timestamp>,
    /// Whether that many were there since the number last changed.
    reached: bool,
    fell: bool,
    /// When too few were there, while Kubernetes may have counted late.
    dipped_at: Option<Timestamp>,
    /// Pods of a Deployment of this name that is gone.
    orphans: BTreeSet<String>,
}

/// Pods and what is wanted of them, by service.
#[derive(Default)]
pub(super) struct Capacity {
    wanted: BTreeMap<String, Wanted>,
    /// Whether a pod counts, by service and name.
    pods: BTreeMap<(String, String), bool>,
}

impl Capacity {
    pub(super) fn see_deployment(&mut self, change: &StoreChange) {
        let Some(object) = change.after() else {
            if let Some(before) = change.before() {
                self.wanted.remove(text(before, "/metadata/name"));
            }
            return;
        };
        let name = text(object, "/metadata/name");
        let wanted = self.wanted.entry(name.to_owned()).or_default();
        if change.before().is_none() {
            let of_service = self.pods.keys().filter(|(service, _)| service == name);
            wanted.orphans = of_service.map(|(_, pod)| pod.clone()).collect();
        }
        let replicas = object["spec"]["replicas"].as_u64().unwrap_or(1);
        // Scaling in mid-rollout takes pods of both sets, ready or not: that is Kubernetes' own doing.
        if replicas != wanted.replicas {
            wanted.reached = false;
            wanted.scaled_at = Some(change.at);
        }
        let template = &object["spec"]["template"];
        if wanted.template != *template {
            wanted.template.clone_from(template);
            wanted.templated_at = Some(change.at);
        }
        wanted.replicas = replicas;
        wanted.may_be_away = may_be_away(object, replicas);
    }

    pub(super) fn see_pod(&mut self, change: &StoreChange) {
        let Some(pod) = change.after().or(change.before()) else { return };
        let key = (text(pod, "/metadata/labels/app").to_owned(), text(pod, "/metadata/name").to_owned());
        if change.after().is_none() {
            self.pods.remove(&key);
        } else {
            self.pods.insert(key, counts(pod));
        }
    }

    /// Whether enough pods are there now. Said once for each fall.
    pub(super) fn check(&mut self, change: &StoreChange) -> Option<Violation> {
        let object = change.after().or(change.before())?;
        let name = match change.resource() {
            "pods" => text(object, "/metadata/labels/app"),
            _ => text(object, "/metadata/name"),
        };
        let wanted = self.wanted.get_mut(name)?;
        let of_service = self.pods.range((name.to_owned(), String::new())..);
        let of_service = of_service.take_while(|((service, _), _)| service == name);
        let there =
            of_service.filter(|((_, pod), counts)| **counts && !wanted.orphans.contains(pod)).count() as u64;
        let needed = wanted.replicas.saturating_sub(wanted.may_be_away);
        let settled = |scaled: Timestamp| change.at.duration_since(scaled) >= SCALING;
        let counted_late = |changed: Timestamp| change.at.duration_since(changed) <= COUNTED_LATE;
        let lasted = wanted.dipped_at.is_some_and(|dipped| change.at.duration_since(dipped) > PUT_RIGHT);
        if there >= needed {
            // Kubernetes has not taken the surplus away yet while the number has just changed.
            wanted.reached |= wanted.scaled_at.is_none_or(settled);
            wanted.dipped_at = None;
            let told = std::mem::take(&mut wanted.fell);
            return (lasted && !told).then(|| {
                violation(Oracle::Capacity, change, format!("{name} had too few pods for a while"))
            });
        }
        if wanted.reached && wanted.templated_at.is_some_and(counted_late) {
            wanted.dipped_at.get_or_insert(change.at);
        }
        if wanted.dipped_at.is_some() && !lasted {
            return None;
        }
        if !wanted.reached || std::mem::replace(&mut wanted.fell, true) {
            return None;
        }
        Some(violation(Oracle::Capacity, change, format!("{name} has {there} pods and needs {needed}")))
    }

    /// Services that have had too few pods since a fall that was taken for a short one.
    pub(super) fn at_rest(&self) -> Vec<String> {
        let low = self.wanted.iter().filter(|(_, wanted)| wanted.dipped_at.is_some() && !wanted.fell);
        low.map(|(name, _)| format!("{name} has too few pods at rest")).collect()
    }
}

fn may_be_away(object: &Value, replicas: u64) -> u64 {
    if text(object, "/spec/strategy/type") == "Recreate" {
        return replicas;
    }
    match object.pointer("/spec/strategy/rollingUpdate/maxUnavailable") {
        Some(Value::Number(number)) => number.as_u64().unwrap_or_default(),
        Some(Value::String(percent)) => {
            replicas * percent.trim_end_matches('%').parse::<u64>().unwrap_or_default() / 100
        }
        _ => replicas / 4,
    }
}

fn counts(pod: &Value) -> bool {
    if !pod["metadata"]["deletionTimestamp"].is_null() {
        return false;
    }
    if UNAVAILABLE_BY_ITSELF.iter().any(|word| image_of(pod).contains(word)) {
        return true;
    }
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|c| text(c, "/type") == "Ready" && text(c, "/status") == "True")
}
