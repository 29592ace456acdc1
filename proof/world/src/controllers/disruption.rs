//! The disruption controller: how many pods of a budget may be evicted now.

use serde_json::{Value, json};
use trimtab_kube::Key;
use trimtab_kube::resource::PDBS;
use trimtab_units::IntOrPercent;

use super::cluster::{Cluster, workload_selector};
use super::write::{Plan, Write};
use crate::object::{count, generation, text};

/// What to do about one PodDisruptionBudget.
pub fn plan(cluster: &Cluster, key: &Key) -> Plan {
    let Some(row) = cluster.budgets.get(key) else { return Plan::nothing() };
    let budget = &*row.object;
    let pods = cluster.selected_pods(key, &workload_selector(budget));
    let active: Vec<_> = pods.into_iter().filter(|pod| cluster.is_active(pod)).collect();
    let healthy = active.iter().filter(|pod| pod.ready_since.is_some()).count();
    let expected = expected_pods(cluster, key, active.iter().map(|pod| pod.owner_name.to_string()).collect());
    let bounded = |field: &str| {
        let value = budget.pointer(&format!("/spec/{field}")).filter(|value| !value.is_null())?;
        serde_json::from_value::<IntOrPercent>(value.clone()).ok()
    };
    // Both round up, as the budget's own arithmetic does.
    let desired = match (bounded("maxUnavailable"), bounded("minAvailable")) {
        (Some(most), _) => expected.saturating_sub(most.resolve_surge(expected)),
        (None, Some(IntOrPercent::Int(least))) => least,
        (None, Some(share)) => share.resolve_surge(expected),
        (None, None) => 0,
    };
    let healthy = u32::try_from(healthy).unwrap_or(u32::MAX);
    let allowed = if expected == 0 { 0 } else { healthy.saturating_sub(desired) };
    let status = status(budget, healthy, desired, expected, allowed);
    Plan::of(Vec::from_iter(Write::status(PDBS, budget, &status)))
}

/// Pods that the owners of the selected pods want; selected pods of nobody count as they are.
fn expected_pods(cluster: &Cluster, key: &Key, owners: Vec<String>) -> u32 {
    let orphans = owners.iter().filter(|owner| owner.is_empty()).count();
    let mut names: Vec<String> = owners.into_iter().filter(|owner| !owner.is_empty()).collect();
    names.sort();
    names.dedup();
    let wanted = names.into_iter().filter_map(|name| {
        let set = cluster.replica_sets.get(&Key::new(key.namespace.clone(), name))?;
        let owner = crate::object::controller(&set.object);
        let deployment = owner.filter(|owner| text(owner, "/kind") == "Deployment");
        let deployment = deployment.and_then(|owner| {
            cluster.deployments.get(&Key::new(key.namespace.clone(), text(owner, "/name")))
        });
        Some(match deployment {
            Some(row) => (row.key.clone(), count(&row.object, "/spec/replicas", 1)),
            None => (set.key.clone(), count(&set.object, "/spec/replicas", 1)),
        })
    });
    let mut wanted: Vec<(Key, u32)> = wanted.collect();
    wanted.sort();
    wanted.dedup();
    let owned = wanted.into_iter().map(|(_, replicas)| replicas).fold(0, u32::saturating_add);
    owned.saturating_add(u32::try_from(orphans).unwrap_or(u32::MAX))
}

fn status(budget: &Value, healthy: u32, desired: u32, expected: u32, allowed: u32) -> Value {
    let mut status =
        budget.get("status").filter(|status| status.is_object()).cloned().unwrap_or_else(|| json!({}));
    status["currentHealthy"] = json!(healthy);
    status["desiredHealthy"] = json!(desired);
    status["expectedPods"] = json!(expected);
    status["disruptionsAllowed"] = json!(allowed);
    status["observedGeneration"] = json!(generation(budget));
    status
}
