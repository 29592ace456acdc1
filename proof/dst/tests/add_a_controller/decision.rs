//! The decision: pure, and all that is due comes out as a plan.

use jiff::Timestamp;
use serde_json::json;
use trimtab_plan::report::{Report, Step};
use trimtab_plan::{
    Concern, Condition, Event, IfAbsent, Kind, Object, Part, Patch, Plan, Precondition, Reason, Right,
    Severity, Write,
};

use crate::kind::{POD_FLOOR, PodFloorRow};

/// What its plans may write: `check` refuses everything else.
pub(crate) const FLOOR: Concern = Concern {
    name: "floor",
    manager: "example-floor",
    rights: &[Right::Create(Kind::EVENT)],
    conditions: &[(POD_FLOOR, "Met")],
};

/// Everything that the decision looks at.
pub(crate) struct Seen {
    pub(crate) floor: PodFloorRow,
    /// Pods available; `None` where there is no such Deployment.
    pub(crate) available: Option<u32>,
    pub(crate) now: Timestamp,
}

/// Says whether the floor is met, and tells of it once when that changes.
pub(crate) fn plan(seen: &Seen) -> (Plan, Report) {
    let Seen { floor, available, now } = seen;
    let about = Object::new(POD_FLOOR, &floor.key.namespace, &*floor.key.name);
    let (met, reason, saw) = match available {
        Some(available) if *available >= floor.pods => (true, Reason::Settled, format!("{available} pods")),
        Some(available) => (false, Reason::PodsUnavailable, format!("{available} of {} pods", floor.pods)),
        None => (false, Reason::TargetNotFound, format!("no Deployment {}", floor.deployment)),
    };
    let step = Step {
        code: reason,
        subject: about.clone(),
        saw: saw.clone(),
        decided: if met { "is content".to_owned() } else { "warns".to_owned() },
        waits_for: (!met).then(|| "pods".to_owned()),
    };
    let report = Report { about: about.clone(), summary: saw.clone(), steps: vec![step] };
    if floor.met == Some(met) {
        return (Plan::nothing(), report);
    }
    // It says another thing than before, so it has no time to carry over.
    let condition = Condition::new("Met", met, reason, saw.as_str()).written(&[], floor.generation, *now);
    let patch = json!({
        "apiVersion": POD_FLOOR.api_version(), "kind": POD_FLOOR.word,
        "metadata": {"name": &*floor.key.name, "namespace": &*floor.key.namespace},
        "status": {"conditions": [condition]},
    });
    let status = Write::Patch {
        object: about.clone(),
        part: Part::Status,
        patch: Patch::Apply(patch),
        copy: None,
        // Somebody changed it meanwhile: that event plans anew.
        when: Precondition::version(floor.version),
        if_absent: IfAbsent::Done,
    };
    let event = Write::Event {
        event: Event {
            object: Object::new(
                Kind::EVENT,
                &floor.key.namespace,
                format!("{}.{}", floor.key.name, floor.version),
            ),
            regarding: about,
            uid: floor.uid.clone(),
            reason,
            severity: if met { Severity::Normal } else { Severity::Warning },
            note: saw,
            at: *now,
        },
        by: &FLOOR,
    };
    (Plan { writes: vec![event, status], wake_at: None }, report)
}
