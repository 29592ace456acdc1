//! Says on a `FleetPolicy` whether it is valid.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;
use trimtab_api::condition::{Condition, merge_conditions};
use trimtab_api::resolve::check_policy;
use trimtab_kube::Key;
use trimtab_kube::kinds::{Changed, FLEET_POLICIES, Policies, PolicyRow, Stores};
use trimtab_kube::watch::Row;
use trimtab_plan::concern::{Concern, POLICY};
use trimtab_plan::report::{Report, Step};
use trimtab_plan::{IfAbsent, Kind, Object, Part, Patch, Plan, Precondition, Reason, Write};

use crate::context::Reads;
use crate::controller::{Controller, Gathered};

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
        let said = status.conditions.iter().any(|old| {
            (&old.status, &old.reason, &old.message)
                == (&condition.status, &condition.reason, &condition.message)
        });
        if said && status.observed_generation == Some(metadata.generation) {
            return (Plan::nothing(), report);
        }
        let conditions = merge_conditions(&status.conditions, vec![condition], *now);
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
    let (status, code, message) = match problems.as_slice() {
        [] => ("True", Reason::Valid, "the spec is valid".to_owned()),
        problems => (
            "False",
            Reason::Invalid,
            format!("{}; what is wrong counts as not written", problems.join("; ")),
        ),
    };
    let step = Step {
        code,
        subject: about.clone(),
        saw: message.clone(),
        decided: "says so".to_owned(),
        waits_for: Some("a change of the spec".to_owned()),
    };
    let report = Report { about: about.clone(), summary: message.clone(), steps: vec![step] };
    let condition = Condition {
        kind: "Valid".to_owned(),
        status: status.to_owned(),
        reason: code.code().to_owned(),
        message,
        last_transition_time: None,
        observed_generation: Some(row.object.metadata.generation),
    };
    (condition, report)
}
