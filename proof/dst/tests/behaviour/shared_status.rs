//! The status of a service has several writers: what one concern says there, the writes of another leave alone.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use trimtab_dst::stage::NAMESPACE;
use trimtab_dst::{Stage, StageOptions};
use trimtab_kube::api::{Force, Patch};
use trimtab_kube::kinds::MANAGED_APPS;

use crate::support::{play, shows};

const BEGIN: &str =
    "service pay replicas=2 rps=20 image=shop/pay:v1\nadvance 10m\nstart manager\nclaim pay\nsettle\n";

fn status(stage: &Stage) -> Value {
    stage.sim.get("managedapps.trimtab.dev", NAMESPACE, "pay").unwrap()["status"].take()
}

/// The conditions, by type.
fn conditions(stage: &Stage) -> BTreeMap<String, String> {
    let conditions = status(stage)["conditions"].take();
    let pair = |condition: &Value| {
        let text = |member: &str| condition[member].as_str().unwrap().to_owned();
        (text("type"), text("status"))
    };
    conditions.as_array().unwrap().iter().map(pair).collect()
}

/// Another concern, with a field manager of its own, says all that it has to say.
async fn sizing_says(stage: &Stage, conditions: Value) {
    let value = json!({
        "apiVersion": "trimtab.dev/v1alpha1", "kind": "ManagedApp",
        "metadata": {"name": "pay", "namespace": NAMESPACE},
        "status": {"conditions": conditions},
    });
    let patch = Patch::Apply { value, force: Force::No };
    let sizing = stage.person.with_field_manager("trimtab-sizing");
    sizing.patch_subresource(MANAGED_APPS, Some(NAMESPACE), "pay", "status", &patch).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn two_concerns_share_the_status_of_a_service() {
    let mut stage = Stage::set(&StageOptions::seeded(7));
    play(&mut stage, BEGIN).await;
    let sized = json!([{
        "type": "Sized", "status": "True", "reason": "Settled", "message": "the requests fit",
        "lastTransitionTime": "2026-01-01T00:10:00Z",
    }]);
    let alone = conditions(&stage);
    sizing_says(&stage, sized).await;
    let ship = "apply pay shop/pay:v2 by argocd-controller\nsettle\nshow pay\n";
    shows(&mut stage, ship, &["pay: Healthy on v2 [Healthy]"]).await;
    play(&mut stage, "pause pay by kubectl-rollout\nsettle\n").await;
    let paused = conditions(&stage);
    assert_eq!(
        (paused.get("Progressing"), paused.get("Sized")),
        (Some(&"False".into()), Some(&"True".into()))
    );
    play(&mut stage, "resume pay by kubectl-rollout\nsettle\n").await;
    let mut both = conditions(&stage);
    assert_eq!(both.remove("Sized").as_deref(), Some("True"), "what delivery takes away is its own");
    assert_eq!(both, alone);
    sizing_says(&stage, json!([])).await;
    let written = stage.writes().len();
    play(&mut stage, "advance 10m\n").await;
    assert_eq!((conditions(&stage), status(&stage)["current"].take()), (alone, json!(2)));
    assert_eq!(stage.writes().len(), written, "that another concern says less is nothing to delivery");
    stage.stop_managers().await;
}
