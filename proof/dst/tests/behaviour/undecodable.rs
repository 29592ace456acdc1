//! A service that cannot be read says nothing: its claim is kept until it can be read, or is gone.

use serde_json::{Value, json};
use trimtab_dst::stage::NAMESPACE;
use trimtab_dst::{Stage, StageOptions};
use trimtab_kube::api::Patch;
use trimtab_kube::kinds::MANAGED_APPS;

use crate::logged::warnings;
use crate::support::{play, shows};

const BEGIN: &str =
    "service pay replicas=2 rps=20 image=shop/pay:v1\nadvance 10m\nstart manager\nclaim pay\nsettle\n";

/// What the claim on the Deployment asks for.
fn claim(stage: &Stage) -> Value {
    let deployment = stage.sim.get("deployments.apps", NAMESPACE, "pay").unwrap();
    deployment["metadata"]["annotations"].get("trimtab.dev/claim").cloned().unwrap_or_default()
}

/// Writes a number of a release into the service's status.
async fn set_current(stage: &Stage, number: Value) {
    let patch = Patch::Merge(json!({"status": {"current": number}}));
    let (namespace, name) = (Some(NAMESPACE), "pay");
    stage.person.patch_subresource(MANAGED_APPS, namespace, name, "status", &patch).await.unwrap();
}

/// A service that was claimed, and that the manager which runs now could never read.
async fn unreadable() -> Stage {
    let mut stage = Stage::set(&StageOptions::seeded(7));
    play(&mut stage, BEGIN).await;
    assert_eq!(claim(&stage), json!("open"));
    stage.stop_managers().await;
    // The definition of the kind takes it, and no number of a release is below zero.
    set_current(&stage, json!(-1)).await;
    let written = stage.writes().len();
    // Longer than until a claim without a readable service is looked at again.
    play(&mut stage, "start manager\nadvance 5m\n").await;
    assert_eq!(stage.writes().len(), written, "nothing is known of the service: {:?}", stage.writes().last());
    assert_eq!(claim(&stage), json!("open"));
    stage
}

#[tokio::test(start_paused = true)]
async fn a_service_that_cannot_be_read_when_a_manager_starts_keeps_its_claim() {
    let (log, _logging) = warnings();
    let mut stage = unreadable().await;
    let told = log.text();
    assert!(told.contains("keeps a claim that no ManagedApp names"), "{told}");
    assert!(told.contains("kubectl get managedapp pay"), "it says how to look at it: {told}");
    set_current(&stage, json!(1)).await;
    let ships = "settle\napply pay shop/pay:v2 by argocd-controller\nsettle\nshow pay\n";
    let goes_on = ["pay: Healthy on v2 [Healthy]", "Deployment: shop/pay:v2, claim open"];
    shows(&mut stage, ships, &goes_on).await;
    stage.stop_managers().await;
}

#[tokio::test(start_paused = true)]
async fn the_claim_of_a_service_that_could_not_be_read_goes_with_it() {
    // Threads that log nothing would silence the others.
    let (_log, _logging) = warnings();
    let mut stage = unreadable().await;
    play(&mut stage, "unclaim pay\nadvance 2m\n").await;
    assert_eq!(claim(&stage), Value::Null);
    stage.stop_managers().await;
}
