//! The Deployment controller: one ReplicaSet per template, moved from the old to the new within the fenceposts.
//!
//! The invariants are Kubernetes': a paused Deployment makes no ReplicaSet and moves no pods between them, but is still
//! scaled; a ReplicaSet is touched only when its controller reference has our uid.

mod conditions;
mod rollout;
mod scale;
mod sets;
mod status;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde_json::{Value, json};
use trimtab_kube::Key;
use trimtab_kube::resource::DEPLOYMENTS;
use trimtab_units::{Fenceposts, IntOrPercent};

use self::conditions::Conditions;
use self::sets::{ReplicaSets, annotations, ownership};
use super::cluster::Cluster;
use super::write::{Plan, Write};
use crate::object::{count, integer, is_being_deleted, text};

/// Replicas of a Deployment that names none.
const DEFAULT_REPLICAS: u32 = 1;
/// Old ReplicaSets kept by a Deployment that names no limit.
const DEFAULT_HISTORY: u32 = 10;

/// How long a Deployment that says nothing about it may get nowhere, in seconds.
const DEFAULT_DEADLINE_SECONDS: i64 = 600;

/// How the old pods give way to the new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strategy {
    Rolling,
    Recreate,
}

/// What one Deployment asks for.
struct Wanted<'d> {
    deployment: &'d Value,
    replicas: u32,
    surge: u32,
    unavailable: u32,
    strategy: Strategy,
    paused: bool,
    progress_deadline_seconds: Option<i64>,
}

impl<'d> Wanted<'d> {
    fn read(deployment: &'d Value) -> Self {
        let replicas = count(deployment, "/spec/replicas", DEFAULT_REPLICAS);
        let strategy = match text(deployment, "/spec/strategy/type") {
            "Recreate" => Strategy::Recreate,
            _ => Strategy::Rolling,
        };
        let quarter = || "25%".parse().expect("a percentage");
        let bound = |field| match strategy {
            Strategy::Recreate => IntOrPercent::Int(0),
            Strategy::Rolling => {
                let value = deployment.pointer(&format!("/spec/strategy/rollingUpdate/{field}"));
                value.and_then(|value| serde_json::from_value(value.clone()).ok()).unwrap_or_else(quarter)
            }
        };
        let posts = Fenceposts::resolve(bound("maxSurge"), bound("maxUnavailable"), replicas);
        let deadline =
            integer(deployment, "/spec/progressDeadlineSeconds").unwrap_or(DEFAULT_DEADLINE_SECONDS);
        Wanted {
            deployment,
            replicas,
            surge: if strategy == Strategy::Rolling { posts.surge } else { 0 },
            unavailable: if strategy == Strategy::Rolling { posts.unavailable } else { 0 },
            strategy,
            paused: deployment.pointer("/spec/paused") == Some(&json!(true)),
            // The largest number means that there is none.
            progress_deadline_seconds: Some(deadline).filter(|seconds| *seconds < i64::from(i32::MAX)),
        }
    }

    /// The most pods there may be at once.
    fn most(&self) -> u32 {
        self.replicas.saturating_add(self.surge)
    }

    /// The fewest pods that have to be available.
    fn fewest_available(&self) -> u32 {
        self.replicas.saturating_sub(self.unavailable)
    }
}

/// What to do about one Deployment.
pub fn plan(cluster: &Cluster, key: &Key, now: Timestamp) -> Plan {
    let Some(row) = cluster.deployments.get(key) else { return Plan::nothing() };
    let deployment = &*row.object;
    if is_being_deleted(deployment) {
        return Plan::nothing();
    }
    let ownership = ownership(cluster, deployment);
    if !ownership.is_empty() {
        return Plan::of(ownership);
    }
    let wanted = Wanted::read(deployment);
    let mut sets = ReplicaSets::gather(cluster, deployment);
    if let Some(write) = record_revision(deployment, &sets) {
        return Plan::of(vec![write]);
    }
    let mut conditions = Conditions::read(deployment, now);
    conditions.note_pause(&wanted);
    sets.keep_annotations(&wanted);
    if sets.new.is_some() {
        conditions.note_found(&wanted, sets.new_name());
    }

    let evaluates_progress = !wanted.paused && !sets.is_scaling_event(&wanted);
    if !evaluates_progress {
        scale::scale(&wanted, &mut sets);
    } else {
        match wanted.strategy {
            Strategy::Rolling => rollout::rolling(&wanted, &mut sets),
            Strategy::Recreate => rollout::recreate(cluster, &wanted, &mut sets),
        }
    }
    if let Some(created) = sets.created_name() {
        conditions.note_created(&wanted, &created);
    }
    let complete = status::is_complete(&wanted, &status::counts(&sets));
    if wanted.paused || complete {
        sets.clean_up(count(deployment, "/spec/revisionHistoryLimit", DEFAULT_HISTORY));
    }
    let (status, wake_at) = status::status(&wanted, &sets, conditions, evaluates_progress, now);
    let mut writes = sets.into_writes();
    writes.extend(Write::status(DEPLOYMENTS, deployment, &status));
    Plan { writes, wake_at }
}

/// The Deployment carries the revision of its newest ReplicaSet.
fn record_revision(deployment: &Value, sets: &ReplicaSets<'_>) -> Option<Write> {
    let revision = sets.new_revision()?;
    if deployment.pointer("/metadata/annotations/deployment.kubernetes.io~1revision")
        == Some(&json!(revision))
    {
        return None;
    }
    let changes = json!({"metadata": {"annotations": {annotations::REVISION: revision}}});
    Some(Write::update(DEPLOYMENTS, deployment, changes))
}

/// The first ReplicaSet of a Deployment that has none, at its full size.
pub(crate) fn first_replica_set(deployment: &Value) -> Value {
    ReplicaSets::gather(&Cluster::default(), deployment).made(Wanted::read(deployment).replicas)
}
