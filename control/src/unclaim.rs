//! A Deployment that is claimed and that no service names any more: it runs on as it is, without anything of ours.

use std::sync::Arc;

use serde_json::Value;
use trimtab_delivery::lower::{freed, label, put_back, returned};
use trimtab_delivery::snapshot::{Release, ReleasePhase};
use trimtab_delivery::unclaim::{Leaving, OldSet, Step, next_step};
use trimtab_kube::pod_row::PodRow;
use trimtab_kube::watch::Row;
use trimtab_kube::workload_rows::{DeploymentRow, ReplicaSetRow};
use trimtab_kube::{Api, ApiError};
use trimtab_plan::{Copied, Kind, Object, Plan, Write};

use crate::cluster::Cluster;
use crate::execute::Executor;
use crate::expectations::Expectations;
use crate::observed;

/// Labels removed in one plan; the rest follows on the next event.
const LABELS_PER_PLAN_MAX: usize = 50;

/// What is due to let go of `deployment`: one step, which is seen before the next one follows.
#[must_use]
pub(crate) fn unclaimed(cluster: &Cluster, deployment: &DeploymentRow) -> Plan {
    let namespace = &*deployment.identity.key.namespace;
    let target = observed::target(deployment, None, None);
    let sets: Vec<Arc<ReplicaSetRow>> =
        cluster.replica_sets.read().at(&deployment.identity.uid).cloned().collect();
    let writes = match next_step(&leaving(cluster, deployment, &sets)) {
        Step::Restore { template_hash } => {
            let set = sets.iter().find(|set| *set.template.hash.to_string() == template_hash);
            let other = set.filter(|set| set.template.hash != deployment.template.hash);
            let restore = other.map(|set| Copied {
                from: Object::new(Kind::ReplicaSet, namespace, &*set.identity.key.name),
                pointer: "/spec/template",
                into: "/spec/template",
                template_hash,
            });
            vec![put_back(namespace, &target, restore)]
        }
        Step::ReturnFields => vec![returned(namespace, &target)],
        Step::Release | Step::ReleasePaused => {
            let (mut writes, rest) = unlabelled(cluster, namespace, &sets);
            // The claim goes last: whoever finds it finishes what is left of this.
            if rest == 0 {
                writes.push(freed(namespace, &target));
            }
            writes
        }
    };
    Plan { writes, wake_at: None }
}

/// Takes the labels off the pods, as many as one plan may; and how many are left.
fn unlabelled(cluster: &Cluster, namespace: &str, sets: &[Arc<ReplicaSetRow>]) -> (Vec<Write>, usize) {
    let labelled: Vec<Arc<PodRow>> = {
        let pods = cluster.pods.read();
        let all = sets.iter().flat_map(|set| pods.at(&set.identity.uid));
        all.filter(|pod| pod.phase_label().is_some()).cloned().collect()
    };
    let unlabel = |pod: &Arc<PodRow>| label(namespace, &pod.key.name, &pod.uid.to_string(), None);
    let writes: Vec<Write> = labelled.iter().take(LABELS_PER_PLAN_MAX).map(unlabel).collect();
    let rest = labelled.len() - writes.len();
    (writes, rest)
}

/// What is known about the Deployment. Its records may be gone with the service.
fn leaving(cluster: &Cluster, row: &DeploymentRow, sets: &[Arc<ReplicaSetRow>]) -> Leaving {
    let target = observed::target(row, None, None);
    let releases = cluster.releases.read();
    let here = releases.iter().filter(|release| release.key().namespace == row.identity.key.namespace);
    let mut records: Vec<Release> = here.map(|row| row.release()).collect();
    records.retain(|release| !release.is_foreign_to(&target.uid));
    records.sort_by_key(|release| release.number);
    let hashes = |phases: &[ReleasePhase]| {
        let those = records.iter().filter(|release| phases.contains(&release.status.phase));
        those.filter_map(|release| release.template_hash.clone()).collect::<Vec<_>>()
    };
    let set = |set: &Arc<ReplicaSetRow>| OldSet {
        template_hash: set.template.hash.to_string(),
        revision: set.revision.unwrap_or_default(),
        replicas: set.replicas,
        images: images(&set.template.value()),
    };
    let kept = hashes(&[ReleasePhase::Kept]);
    // Kept after all: a person said so, or it passed the second time.
    let last_kept = kept.last().cloned();
    let failed = hashes(&[ReleasePhase::RolledBack, ReleasePhase::RollingBack]);
    let rejected = failed.into_iter().filter(|hash| Some(hash) != last_kept.as_ref());
    Leaving {
        held: target.held_by_admission(),
        sets: sets.iter().map(set).collect(),
        rejected: rejected.collect(),
        kept,
        template_hash: target.template_hash,
        owns_template: target.owns_template,
        held_images: target.held_images,
    }
}

fn images(template: &Value) -> Vec<String> {
    let containers = template.pointer("/spec/containers").and_then(Value::as_array);
    let image = |container: &Value| Some(container.get("image")?.as_str()?.to_owned());
    containers.into_iter().flatten().filter_map(image).collect()
}

/// Whether admission holds the template in the spec of a Deployment.
#[must_use]
pub fn is_held(deployment: &DeploymentRow) -> bool {
    observed::target(deployment, None, None).held_by_admission()
}

/// How far letting go of a Deployment came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// One step is done; the next one needs the Deployment as it is then.
    Going,
    /// The claim is gone.
    Gone,
}

/// Takes the next step of letting go of a Deployment, for a command that has read it, and removes no labels. `restore` is what
/// must run where admission holds the template in the spec; without it, that one was kept and its pause goes.
///
/// # Errors
/// A refusal of the API server; a conflict when somebody changed the Deployment since it was read.
pub async fn unclaim(
    api: &Api,
    deployment: &DeploymentRow,
    restore: Option<Copied>,
) -> Result<Progress, ApiError> {
    let namespace = &*deployment.identity.key.namespace;
    let target = observed::target(deployment, None, None);
    let (write, progress) = if target.held_by_admission() {
        (put_back(namespace, &target, restore), Progress::Going)
    } else if target.owns_template {
        (returned(namespace, &target), Progress::Going)
    } else {
        (freed(namespace, &target), Progress::Gone)
    };
    let plan = Plan { writes: vec![write], wake_at: None };
    let expectations = Expectations::default();
    let executor = Executor { api, expectations: &expectations, known: &|_| None, notify: &|_, _| {} };
    executor.carry_out(&plan).await?;
    Ok(progress)
}
