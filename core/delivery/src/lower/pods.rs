//! Labels of pods.

use serde_json::json;
use trimtab_plan as plan;
use trimtab_plan::{IfAbsent, Kind, Object, Part, Patch, Precondition};
use trimtab_workload::{ARM_LABEL, Arm};

/// Sets or removes the arm label of the pod with `uid`.
#[must_use]
pub fn label(namespace: &str, pod: &str, uid: &str, arm: Option<Arm>) -> plan::Write {
    plan::Write::Patch {
        object: Object::new(Kind::POD, namespace, pod),
        part: Part::Main,
        patch: Patch::Merge(json!({"metadata": {"labels": {ARM_LABEL: arm.map(Arm::as_str)}}})),
        copy: None,
        when: Precondition::uid(uid),
        // A pod that is gone, or came back as another one, needs no label.
        if_absent: IfAbsent::Done,
    }
}
