//! The status of a Deployment: counts, and whether it gets anywhere.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::Wanted;
use super::conditions::{Conditions, Says};
use super::sets::ReplicaSets;
use crate::object::{count, generation, text};

/// Added to a deadline before looking again, so that it has surely passed.
const AFTER_DEADLINE: SignedDuration = SignedDuration::from_secs(1);

/// How many pods there are, in which state.
pub(super) struct Counts {
    current: u32,
    updated: u32,
    ready: u32,
    available: u32,
    terminating: u32,
}

pub(super) fn counts(sets: &ReplicaSets<'_>) -> Counts {
    let sum = |field: fn(&super::sets::Set<'_>) -> u32| sets.sets.iter().map(field).sum();
    Counts {
        current: sum(|set| set.current),
        updated: sets.new_set().map_or(0, |set| set.current),
        ready: sum(|set| set.ready),
        available: sum(|set| set.available),
        terminating: sum(|set| set.terminating),
    }
}

/// Whether the new template is everywhere and the old nowhere.
pub(super) fn is_complete(wanted: &Wanted<'_>, counts: &Counts) -> bool {
    [counts.updated, counts.current, counts.available].iter().all(|number| *number == wanted.replicas)
}

/// Whether anything moved since the status was last written.
fn has_progressed(deployment: &Value, counts: &Counts) -> bool {
    let before = |field: &str| count(deployment, &format!("/status/{field}"), 0);
    let old_before = before("replicas").saturating_sub(before("updatedReplicas"));
    counts.updated > before("updatedReplicas")
        || counts.current.saturating_sub(counts.updated) < old_before
        || counts.ready > before("readyReplicas")
        || counts.available > before("availableReplicas")
}

/// The status, and when to look again for a passed deadline.
pub(super) fn status(
    wanted: &Wanted<'_>,
    sets: &ReplicaSets<'_>,
    mut conditions: Conditions,
    evaluates_progress: bool,
    now: Timestamp,
) -> (Value, Option<Timestamp>) {
    let counts = counts(sets);
    let enough = counts.available >= wanted.fewest_available();
    let (status, reason, message) = match enough {
        true => ("True", "MinimumReplicasAvailable", "Deployment has minimum availability."),
        false => ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability."),
    };
    conditions.say(&Says { kind: "Available", status, reason, message: message.to_owned() });
    let mut wake_at = None;
    if evaluates_progress && wanted.progress_deadline_seconds.is_some() {
        wake_at = evaluate_progress(wanted, sets, &counts, &mut conditions, now);
    }
    (body(wanted, &counts, conditions), wake_at)
}

fn evaluate_progress(
    wanted: &Wanted<'_>,
    sets: &ReplicaSets<'_>,
    counts: &Counts,
    conditions: &mut Conditions,
    now: Timestamp,
) -> Option<Timestamp> {
    let complete = is_complete(wanted, counts);
    if counts.current == counts.updated && conditions.progress_reason() == "NewReplicaSetAvailable" {
        return None;
    }
    let name = match sets.new_name() {
        "" => format!("Deployment \"{}\"", text(wanted.deployment, "/metadata/name")),
        name => format!("ReplicaSet \"{name}\""),
    };
    let says = |status, reason, message| Says { kind: "Progressing", status, reason, message };
    if complete {
        let message = format!("{name} has successfully progressed.");
        conditions.say(&says("True", "NewReplicaSetAvailable", message));
        return None;
    }
    let timed_out = conditions.progress_reason() == "ProgressDeadlineExceeded"
        || conditions.progress_reason() != "NewReplicaSetAvailable"
            && conditions.deadline(wanted).is_some_and(|deadline| deadline < now);
    if has_progressed(wanted.deployment, counts) {
        conditions.confirm(&says("True", "ReplicaSetUpdated", format!("{name} is progressing.")));
    } else if timed_out {
        conditions.say(&says(
            "False",
            "ProgressDeadlineExceeded",
            format!("{name} has timed out progressing."),
        ));
        return None;
    }
    // The progress that an earlier rollout made is long past its deadline; nothing is due because of it.
    conditions.deadline(wanted).map(|deadline| deadline + AFTER_DEADLINE).filter(|at| *at > now)
}

fn body(wanted: &Wanted<'_>, counts: &Counts, conditions: Conditions) -> Value {
    let mut status = json!({
        "observedGeneration": generation(wanted.deployment),
        "conditions": conditions.into_values(), "terminatingReplicas": counts.terminating,
    });
    let unavailable = counts.current.saturating_sub(counts.available);
    for (field, number) in [
        ("replicas", counts.current),
        ("updatedReplicas", counts.updated),
        ("readyReplicas", counts.ready),
        ("availableReplicas", counts.available),
        ("unavailableReplicas", unavailable),
    ] {
        if number > 0 {
            status[field] = json!(number);
        }
    }
    if let Some(collisions) = wanted.deployment.pointer("/status/collisionCount") {
        status["collisionCount"] = collisions.clone();
    }
    status
}
