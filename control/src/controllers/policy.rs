//! Says on a `FleetPolicy` whether it is valid.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;
use trimtab_api::resolve::check_policy;
use trimtab_kube::Key;
use trimtab_kube::kinds::{Changed, FLEET_POLICIES, Policies, PolicyRow, Stores};
use trimtab_kube::watch::Row;
use trimtab_plan::concern::{Concern, POLICY};
use trimtab_plan::report::{Report, Step};
use trimtab_plan::{Condition, IfAbsent, Kind, Object, Part, Patch, Plan, Precondition, Reason, Write};

use crate::context::Reads;
use crate::controller::{Controller, Gathered};
use crate::convert;

/// Says on a policy whether it is valid.
pub struct Policy {
    /// What the cluster looks like.
    pub stores: Stores,
}

/// A policy as it was seen.
pub struct Seen {
    row: Arc<PolicyRow>,
    now: Timestamp,
}

impl Controller for Policy {
    type Key = Key;
    type Seen = Seen;

    fn concern(&self) -> &'static Concern {
        &POLICY
    }

    fn concerned(&self, changed: Changed<'_>) -> Vec<Key> {
        changed.keys::<Policies>()
    }

    fn all(&self) -> Vec<Key> {
        self.stores.keys::<Policies>()
    }

    fn reads(&self, key: &Key) -> Vec<Reads> {
        vec![Reads::One(FLEET_POLICIES, key.clone())]
    }

    fn gather(&self, key: &Key, now: Timestamp) -> Gathered<Seen> {
        self.stores
            .of::<Policies>()
            .get(key)
            .map_or(Gathered::Nothing, |row| Gathered::Seen(Seen { row, now }))
    }

    fn plan(&self, Seen { row, now }: &Seen) -> (Plan, Report) {
        let (metadata, status) = (&row.object.metadata, &row.object.status);
        let about = Object::cluster_wide(Kind::FLEET_POLICY, metadata.name.as_str());
        let (condition, report) = validity(row, &about);
        let said = status.conditions.iter().any(|old| convert::condition(old).as_ref() == Some(&condition));
        if said && status.observed_generation == Some(metadata.generation) {
            return (Plan::nothing(), report);
        }
        let before = convert::transitions(&status.conditions);
        let conditions = [condition.written(&before, metadata.generation, *now)];
        let write = Write::Patch {
            object: about,
            part: Part::Status,
            patch: Patch::Apply(json!({
                "apiVersion": FLEET_POLICIES.api_version(),
                "kind": FLEET_POLICIES.kind,
                "metadata": {"name": metadata.name},
                "status": {"observedGeneration": metadata.generation, "conditions": conditions},
            })),
            copy: None,
            when: Precondition::version(row.resource_version()),
            // Another version has an event of its own.
            if_absent: IfAbsent::Done,
        };
        (Plan { writes: vec![write], wake_at: None }, report)
    }
}

fn validity(row: &PolicyRow, about: &Object) -> (Condition, Report) {
    let problems: Vec<String> = check_policy(&row.object).iter().map(ToString::to_string).collect();
    let (holds, code, message) = match problems.as_slice() {
        [] => (true, Reason::Valid, "the spec is valid".to_owned()),
        problems => {
            (false, Reason::Invalid, format!("{}; what is wrong counts as not written", problems.join("; ")))
        }
    };
    let step = Step {
        code,
        subject: about.clone(),
        saw: message.clone(),
        decided: "says so".to_owned(),
        waits_for: Some("a change of the spec".to_owned()),
    };
    let report = Report { about: about.clone(), summary: message.clone(), steps: vec![step] };
    (Condition::new("Valid", holds, code, message), report)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use trimtab_kube::watch::Project as _;

    use super::*;

    const BEFORE: &str = "2026-01-01T00:00:00Z";
    const NOW: &str = "2026-01-02T00:00:00Z";
    const WRONG: &str = "spec.priority: is wrong";

    /// The condition that a plan writes about a policy that is valid, where it writes one.
    fn written(generation: i64, status: &Value) -> Option<Value> {
        let policy = json!({
            "apiVersion": "trimtab.dev/v1alpha1", "kind": "FleetPolicy", "spec": {}, "status": status,
            "metadata": {"name": "default", "uid": "u", "resourceVersion": "7", "generation": generation},
        });
        let row = Policies.project(policy.to_string().as_bytes()).expect("a policy");
        let seen = Seen { row: Arc::new(row), now: NOW.parse().expect("a time") };
        let (plan, _) = Policy { stores: Stores::default() }.plan(&seen);
        let Some(Write::Patch { patch: Patch::Apply(body), .. }) = plan.writes.first() else { return None };
        Some(body["status"]["conditions"][0].clone())
    }

    #[test]
    fn a_policy_is_told_once_and_when_that_began() {
        let says = |status: &str, reason: &str, message: &str| {
            let condition = json!({"type": "Valid", "status": status, "reason": reason, "message": message,
                "lastTransitionTime": BEFORE});
            json!({"observedGeneration": 1, "conditions": [condition]})
        };
        let valid = says("True", "Valid", "the spec is valid");
        for (name, generation, status, since) in [
            ("nothing was said", 1, json!({}), Some(NOW)),
            ("it was said", 1, valid.clone(), None),
            ("the spec changed, and is valid still", 2, valid, Some(BEFORE)),
            ("it was wrong", 1, says("False", "Invalid", WRONG), Some(NOW)),
            ("somebody says that nobody knows", 1, says("Unknown", "Valid", "the spec is valid"), Some(NOW)),
        ] {
            let condition = written(generation, &status);
            let told = condition.as_ref().map(|condition| condition["lastTransitionTime"].clone());
            assert_eq!(told, since.map(Value::from), "{name}: {condition:?}");
            assert!(condition.is_none_or(|condition| condition["status"] == "True"), "{name}");
        }
    }
}
