//! A Deployment that is claimed and that no service names any more: it runs on as it is, without anything of ours.

use std::sync::Arc;

use trimtab_delivery::lower::{freed, label};
use trimtab_delivery::names::MANAGER;
use trimtab_kube::expectations::Expectations;
use trimtab_kube::kinds::{DeploymentRow, PodRow, ReplicaSetRow};
use trimtab_kube::{Api, ApiError};
use trimtab_plan::{Copied, Kind, Object, Plan, Write};

use crate::cluster::Cluster;
use crate::execute::Executor;
use crate::observed;

/// Labels removed in one plan; the rest follows on the next event.
const LABELS_PER_PLAN_MAX: usize = 50;

/// What is due to let go of `deployment`. The claim goes last: whoever finds it finishes what is left of this.
#[must_use]
pub(crate) fn unclaimed(cluster: &Cluster, deployment: &DeploymentRow) -> Plan {
    let namespace = &*deployment.identity.key.namespace;
    let sets: Vec<Arc<ReplicaSetRow>> =
        cluster.replica_sets.read().at(&deployment.identity.uid).cloned().collect();
    let labelled: Vec<Arc<PodRow>> = {
        let pods = cluster.pods.read();
        let all = sets.iter().flat_map(|set| pods.at(&set.identity.uid));
        all.filter(|pod| pod.phase_label().is_some()).cloned().collect()
    };
    let unlabel = |pod: &Arc<PodRow>| label(namespace, &pod.key.name, &pod.uid.to_string(), None);
    let mut writes: Vec<_> = labelled.iter().take(LABELS_PER_PLAN_MAX).map(unlabel).collect();
    if writes.len() < labelled.len() {
        return Plan { writes, wake_at: None };
    }
    // Letting go must not ship a template that is held.
    let held = deployment.paused && deployment.paused_manager.is_none();
    let running = sets.iter().max_by_key(|set| (set.status.available, set.revision));
    let restore = running.filter(|set| held && set.template.hash != deployment.template.hash);
    let restore = restore.map(|set| Copied {
        from: Object::new(Kind::ReplicaSet, namespace, &*set.identity.key.name),
        pointer: "/spec/template",
        into: "/spec/template",
        template_hash: set.template.hash.to_string(),
    });
    writes.push(free(deployment, restore));
    Plan { writes, wake_at: None }
}

/// The write that lets go. A pause by a person or a tool stays.
fn free(deployment: &DeploymentRow, restore: Option<Copied>) -> Write {
    let unpause = deployment.paused_manager.as_deref().is_none_or(|manager| manager == MANAGER);
    freed(&deployment.identity.key.namespace, &observed::target(deployment, None, None), restore, unpause)
}

/// Lets go of a Deployment for a command that has read it, and removes no labels. `restore` is what must run when the spec holds
/// a rejected template.
///
/// # Errors
/// A refusal of the API server; a conflict when somebody changed the Deployment since it was read.
pub async fn unclaim(api: &Api, deployment: &DeploymentRow, restore: Option<Copied>) -> Result<(), ApiError> {
    let plan = Plan { writes: vec![free(deployment, restore)], wake_at: None };
    let expectations = Expectations::default();
    Executor { api, expectations: &expectations, known: &|_| None, notify: &|_, _| {} }.carry_out(&plan).await
}
