//! Which object of which controller has to be looked at again when something changes.

use std::sync::Arc;

use serde_json::Value;
use trimtab_kube::Key;
use trimtab_kube::resource::{DEPLOYMENTS, ENDPOINT_SLICES, HPAS, PDBS, REPLICA_SETS, SERVICES};
use trimtab_kube::store::Change;

use super::Controller;
use super::cluster::{Cluster, Index, PodRow, Touched, slice_service, workload_selector};
use crate::object::{self, LabelSelector, Labels, text};
use crate::row::Whole;

/// One object of one controller.
pub(super) type Work = (Controller, Key);

/// What to look at because of this.
pub(super) fn work_for(cluster: &Cluster, touched: &Touched) -> Vec<Work> {
    match touched {
        Touched::Pod(change) => for_pod(cluster, change),
        Touched::Whole(resource, change) => {
            let rows = change.old.iter().chain(&change.new);
            rows.flat_map(|row| match *resource {
                kind if kind == DEPLOYMENTS => for_deployment(cluster, row),
                kind if kind == REPLICA_SETS => for_replica_set(cluster, row),
                kind if kind == SERVICES => vec![(Controller::Endpoints, row.key.clone())],
                kind if kind == ENDPOINT_SLICES => vec![(Controller::Endpoints, slice_service(row))],
                kind if kind == PDBS => vec![(Controller::Disruption, row.key.clone())],
                // An autoscaler is looked at every so often, and when it comes or goes.
                kind if kind == HPAS && (change.old.is_none() || change.new.is_none()) => {
                    vec![(Controller::Hpa, row.key.clone())]
                }
                _ => Vec::new(),
            })
            .collect()
        }
    }
}

fn for_deployment(cluster: &Cluster, row: &Whole) -> Vec<Work> {
    let labels = object::labels(&row.object, "/spec/template/metadata/labels");
    let mut work = budgets_over(cluster, &row.key.namespace, &labels);
    work.push((Controller::Deployment, row.key.clone()));
    work
}

fn for_replica_set(cluster: &Cluster, row: &Whole) -> Vec<Work> {
    let mut work = vec![(Controller::ReplicaSet, row.key.clone())];
    let namespace = &row.key.namespace;
    match object::controller(&row.object) {
        Some(owner) if text(owner, "/kind") == "Deployment" => {
            work.push((Controller::Deployment, Key::new(namespace.clone(), text(owner, "/name"))));
        }
        Some(_) => {}
        None => {
            let labels = object::labels(&row.object, "/metadata/labels");
            let matching = cluster
                .deployments
                .in_namespace(namespace)
                .filter(|deployment| selects(&deployment.object, &labels));
            work.extend(matching.map(|deployment| (Controller::Deployment, deployment.key.clone())));
        }
    }
    work
}

fn selects(workload: &Value, labels: &Labels) -> bool {
    let selector: LabelSelector = workload_selector(workload);
    !selector.is_empty() && selector.selects(labels)
}

fn for_pod(cluster: &Cluster, change: &Change<PodRow>) -> Vec<Work> {
    let mut work = Vec::new();
    for pod in change.old.iter().chain(&change.new) {
        let namespace = &pod.key.namespace;
        if pod.owner.is_empty() {
            let sets = cluster.replica_sets.in_namespace(namespace);
            let matching = sets.filter(|set| selects(&set.object, &pod.labels));
            work.extend(matching.map(|set| (Controller::ReplicaSet, set.key.clone())));
        } else {
            let owner = Key::new(namespace.clone(), pod.owner_name.clone());
            work.extend(waiting_deployment(cluster, &owner));
            work.push((Controller::ReplicaSet, owner));
        }
        for (name, value) in &pod.labels {
            let index = Index::Label(namespace.clone(), name.clone(), value.clone());
            let services = cluster.services.at(&index);
            work.extend(services.map(|service| (Controller::Endpoints, service.key.clone())));
        }
        work.extend(budgets_over(cluster, namespace, &pod.labels));
    }
    work
}

fn budgets_over(cluster: &Cluster, namespace: &Arc<str>, labels: &Labels) -> Vec<Work> {
    let named =
        labels.iter().map(|(name, value)| Index::Label(namespace.clone(), name.clone(), value.clone()));
    let indexes = named.chain([Index::AnyLabel(namespace.clone())]);
    let budgets =
        indexes.flat_map(|index| cluster.budgets.at(&index).map(|row| row.key.clone()).collect::<Vec<_>>());
    budgets.map(|key| (Controller::Disruption, key)).collect()
}

/// A Deployment that recreates waits for the last old pod to go.
fn waiting_deployment(cluster: &Cluster, set: &Key) -> Option<Work> {
    let set = cluster.replica_sets.get(set)?;
    let owner = object::controller(&set.object).filter(|owner| text(owner, "/kind") == "Deployment")?;
    let key = Key::new(set.key.namespace.clone(), text(owner, "/name"));
    let deployment = cluster.deployments.get(&key)?;
    (text(&deployment.object, "/spec/strategy/type") == "Recreate").then_some((Controller::Deployment, key))
}
