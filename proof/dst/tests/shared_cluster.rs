//! Managers that share a cluster: one with rights in some namespaces alone, and one of several instances.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use trimtab_dst::stage::NAMESPACE;
use trimtab_dst::{Stage, StageOptions, script};
use trimtab_kube::api::{Patch, Preconditions, Propagation};
use trimtab_kube::kinds::{MANAGED_APPS, Namespaces};
use trimtab_kube::{Api, Resource};
use trimtab_plan::Kind;

const SHIP: &str = "service payments replicas=3 rps=50 image=shop/payments:v1\nadvance 10m\nstart manager\nclaim payments\nsettle\n\
    apply payments shop/payments:v2-errors30 by argocd-controller\nsettle\nshow payments\n";

fn phase(stage: &Stage, name: &str) -> Value {
    let app = stage.sim.get("managedapps.trimtab.dev", NAMESPACE, name).unwrap();
    app["status"]["phase"].clone()
}

#[tokio::test(start_paused = true)]
async fn a_manager_of_one_namespace_ships_there_and_asks_nothing_of_the_cluster() {
    let watched = Namespaces::These(vec![Arc::from(NAMESPACE)]);
    let mut stage = Stage::set(&StageOptions { watched, ..StageOptions::seeded(7) });
    let shown = script::run(SHIP, &mut stage).await;
    assert!(shown.contains("Healthy on v1 (v2 rejected)"), "{shown}");
    let refused: Vec<String> = stage
        .sim
        .ledger()
        .into_iter()
        .filter(|entry| entry.user == trimtab_dst::stage::MANAGER_USER && entry.code == 403)
        .map(|entry| format!("{} {} in {:?}", entry.verb, entry.resource, entry.namespace))
        .collect();
    assert_eq!(refused, Vec::<String>::new(), "nothing is asked that it may not have");
    stage.stop_managers().await;
}

/// A namespace that was deleted, or in which the manager has no rights, is nobody else's business.
#[tokio::test(start_paused = true)]
async fn a_namespace_that_cannot_be_read_holds_up_no_other() {
    let watched = Namespaces::These(vec![Arc::from("gone"), Arc::from(NAMESPACE)]);
    let mut stage = Stage::set(&StageOptions { watched, ..StageOptions::seeded(7) });
    let bindings = Resource::of(Kind::new("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings"));
    let (admin, all) = (Api::new(stage.sim.client("system:admin").client, "test"), Preconditions::default());
    let background = Propagation::Background;
    admin
        .delete(&bindings, Some("gone"), "trimtab-manager-watch", &all, background)
        .await
        .expect("the manager had rights there");
    let shown = script::run(SHIP, &mut stage).await;
    assert!(shown.contains("Healthy on v1 (v2 rejected)"), "{shown}");
    stage.stop_managers().await;
}

#[tokio::test(start_paused = true)]
async fn an_instance_looks_after_its_own_services() {
    let instance = Some("team-a".to_owned());
    let mut stage = Stage::set(&StageOptions { instance, ..StageOptions::seeded(7) });
    script::run("service payments replicas=1 rps=5 image=shop/payments:v1\nadvance 5m\nstart manager\nclaim payments\nadvance 1m\n", &mut stage).await;
    assert_eq!(phase(&stage, "payments"), Value::Null, "it is nobody's of this instance");
    assert!(stage.sim.get(trimtab_dst::stage::LEASES, "trimtab-system", "trimtab-manager-team-a").is_some());

    let label = Patch::Merge(json!({"metadata": {"labels": {"trimtab.dev/instance": "team-a"}}}));
    stage.person.patch(MANAGED_APPS, Some(NAMESPACE), "payments", &label).await.unwrap();
    stage.advance(Duration::from_secs(60)).await;
    assert_eq!(phase(&stage, "payments"), json!("Healthy"));
    stage.stop_managers().await;
}
