//! A new controller is three files: a kind, a decision, and the controller between them. `docs/add-a-controller.md` reads
//! them in order; here they run on the simulated cluster.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod controller;
mod decision;
mod kind;

use std::time::Duration;

use serde_json::{Value, json};
use trimtab_control::host::Controllers;
use trimtab_dst::stage::{NAMESPACE, OWN_NAMESPACE};
use trimtab_dst::{Stage, StageOptions, script};
use trimtab_kube::host::Host;
use trimtab_kube::kinds::{self, Namespaces};
use trimtab_kube::queue::Queue;
use trimtab_kube::{CancellationToken, Resource};
use trimtab_plan::Kind;

use crate::controller::Floors;
use crate::decision::FLOOR;
use crate::kind::{POD_FLOOR, PodFloors};

/// What an installation would add: the kind, and the manager's rights on it.
fn installed() -> Vec<Value> {
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let version = json!({"name": "v1", "served": true, "storage": true, "subresources": {"status": {}}, "schema": schema});
    let rule = |resource: &str, verbs: &[&str]| json!({"apiGroups": ["example.com"], "resources": [resource], "verbs": verbs});
    vec![
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "podfloors.example.com"},
            "spec": {"group": "example.com", "scope": "Namespaced", "versions": [version],
                "names": {"kind": "PodFloor", "listKind": "PodFloorList", "plural": "podfloors", "singular": "podfloor"}},
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "floor"},
            "rules": [rule("podfloors", &["list", "watch"]), rule("podfloors/status", &["patch"])],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "floor"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "floor"},
            "subjects": [{"kind": "ServiceAccount", "name": "trimtab", "namespace": OWN_NAMESPACE}],
        }),
    ]
}

fn condition(stage: &Stage) -> Value {
    let floor = stage.sim.get("podfloors.example.com", NAMESPACE, "payments").unwrap();
    let condition = &floor["status"]["conditions"][0];
    json!([condition["type"], condition["status"], condition["reason"], condition["message"]])
}

fn events(stage: &Stage) -> Vec<String> {
    let events = stage.sim.list("events.events.k8s.io", None);
    let ours = events.iter().filter(|event| event["reportingController"] == "trimtab.dev/floor");
    ours.map(|event| format!("{} {}", event["type"].as_str().unwrap(), event["note"].as_str().unwrap()))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn three_files_make_a_controller() {
    let mut stage = Stage::set(&StageOptions::seeded(3));
    stage.sim.load(installed()).unwrap();
    script::run("service payments replicas=3 rps=10 image=shop/payments:v1\nadvance 5m\n", &mut stage).await;

    // The kind is one line: `.with::<PodFloors>()`; the controller is another one.
    let (context, elector) = stage.stand(kinds::all().with::<PodFloors>());
    let mut controllers = Controllers::new(context.clone());
    controllers.add(Floors { stores: context.stores.clone() }, Queue::new(FLOOR.name, context.clock.clone()));
    let (stop, host) = (CancellationToken::new(), Host::new());
    let running = tokio::spawn({
        let (stop, host) = (stop.clone(), host.clone());
        async move { controllers.run(elector, &Namespaces::All, &host, stop).await }
    });

    let floor = json!({
        "apiVersion": "example.com/v1", "kind": "PodFloor", "metadata": {"name": "payments", "namespace": NAMESPACE},
        "spec": {"deployment": "payments", "pods": 3},
    });
    stage.person.create(&Resource::of(POD_FLOOR), Some(NAMESPACE), &floor).await.unwrap();
    stage.advance(Duration::from_secs(60)).await;
    assert_eq!(condition(&stage), json!(["Met", "True", "Settled", "3 pods"]));

    script::run("scale payments 2\nadvance 2m\n", &mut stage).await;
    assert_eq!(condition(&stage), json!(["Met", "False", "PodsUnavailable", "2 of 3 pods"]));
    assert_eq!(events(&stage), ["Normal 3 pods", "Warning 2 of 3 pods"]);

    let written = stage.writes().len();
    stage.advance(Duration::from_secs(3_600)).await;
    assert_eq!(stage.writes().len(), written, "a floor at rest costs nothing");
    let metrics = host.metrics().unwrap();
    assert!(metrics.contains(r#"trimtab_queue_depth{queue="floor"} 0"#), "{metrics}");
    assert!(!Kind::EVENT.is_ours());

    stop.cancel();
    running.await.unwrap();
}
