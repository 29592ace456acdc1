//! How far the Deployment controller is with a template that was let through at once.

use std::time::Duration;

use jiff::Timestamp;
use trimtab_plan::Reason;
use trimtab_units::duration_words;

use super::contract::{Next, Wait};
use super::stage::Stage;
use crate::command;
use crate::deadline::after;
use crate::names::release_word;

/// How long a rollout may go on without a new pod before its release is judged by the pods that there are. Kubernetes gives
/// up earlier, unless the Deployment's `progressDeadlineSeconds` tells it not to.
pub const NO_PROGRESS_MAX: Duration = Duration::from_secs(3600);

/// What is due before the release is out; `None` once it was. What was out once stays out: a pod that is lost later, or one
/// that an autoscaler finds no room for, is no reason to judge for ever.
pub(super) fn before_out(stage: &Stage<'_>) -> Option<Next> {
    if stage.release.status.ready_at.is_some() {
        return None;
    }
    if stage.target.replicas > 0 && !is_out(stage) {
        return Some(Next::Wait { waits: vec![pods(stage)], until: stalls_at(stage) });
    }
    Some(Next::Out { saw: short_of_pods(stage).unwrap_or_else(|| "all pods are ready".to_owned()) })
}

/// Why a rollout that nobody gives up came to nothing: its pods are there, and none of them became ready in all that time.
pub(super) fn came_to_nothing(stage: &Stage<'_>) -> Option<String> {
    // What was complete once, while nobody looked, did not come to nothing.
    let waits = stage.release.status.ready_at.is_none() && !stage.target.rolled_out;
    let stalled = stage.target.replicas > 0 && is_stalled(stage);
    let mut pods = stage.own_pods().filter(|pod| !pod.ended).peekable();
    let tried = pods.peek().is_some() && !pods.any(|pod| pod.ready);
    (waits && stalled && tried && stage.available() == 0).then(|| {
        let word = release_word(stage.release.number);
        format!("progress: no pod of {word} became ready within {}", duration_words(NO_PROGRESS_MAX))
    })
}

/// How many pods of the release are available, where it is fewer than wanted.
pub(super) fn short_of_pods(stage: &Stage<'_>) -> Option<String> {
    let (available, wanted) = (stage.available(), stage.target.replicas);
    (available < wanted).then(|| format!("{available} of {wanted} pods are available"))
}

/// Whether every pod of the Deployment runs the release and is available, or was, or no more will be.
fn is_out(stage: &Stage<'_>) -> bool {
    let old: i32 = stage.replica_sets.iter().filter(|set| !stage.runs(set)).map(|set| set.replicas).sum();
    let whole = stage.available() >= stage.target.replicas || stage.target.rolled_out;
    let complete = stage.is_observed() && old == 0 && whole;
    complete || is_stalled(stage) || is_given_up(stage)
}

/// Whether Kubernetes gave up on it. It may go on, and give up again and again: the first time counts.
pub(super) fn is_given_up(stage: &Stage<'_>) -> bool {
    stage.is_observed() && stage.target.progress_deadline_exceeded.is_some()
}

fn is_stalled(stage: &Stage<'_>) -> bool {
    stage.is_observed() && stalls_at(stage).is_some_and(|at| stage.now >= at)
}

/// When a rollout counts as stalled; `None` while it is paused. Time under a pause counts for nothing, where the Deployment
/// controller says when it ended.
fn stalls_at(stage: &Stage<'_>) -> Option<Timestamp> {
    let started_at = stage.release.status.started_at.filter(|_| !stage.target.paused)?;
    let made = stage.own_pods().filter_map(|pod| pod.started_at.max(pod.created_at));
    let last = made.chain(stage.target.progressing_since).fold(started_at, Timestamp::max);
    Some(after(last, NO_PROGRESS_MAX))
}

fn pods(stage: &Stage<'_>) -> Wait {
    let (word, target) = (release_word(stage.release.number), stage.target);
    let saw = format!("{} of {} pods of {word} are available", stage.available(), target.replicas);
    match target.paused_by_others() {
        Some(manager) => Wait {
            code: Reason::PausedByOther,
            saw,
            decided: format!("waits: {manager} paused the Deployment"),
            waits_for: format!("`{}`", command::resume(&target.name, stage.namespace)),
        },
        None => Wait {
            code: Reason::PodsUnavailable,
            saw,
            decided: "judges what there is".to_owned(),
            waits_for: "the other pods".to_owned(),
        },
    }
}
