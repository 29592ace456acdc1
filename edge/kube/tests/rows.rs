//! Objects in, rows out.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use trimtab_kube::intern::{ContainerRole, Interner};
use trimtab_kube::kinds::pod::{PodPhase, PodRow, Pods};
use trimtab_kube::kinds::{Autoscalers, Deployments, Progress, ReplicaSets, Strategy};
use trimtab_kube::resource::Key;
use trimtab_kube::watch::{Project, Row};
use trimtab_units::IntOrPercent;

fn metadata(name: &str) -> Value {
    json!({
        "namespace": "shop", "name": name, "uid": "9f3b2c1d-4e5f-4a6b-8c7d-0123456789ab", "resourceVersion": "42",
        "generation": 7, "creationTimestamp": "2026-01-01T00:00:00Z",
    })
}

fn full_pod() -> Value {
    let mut metadata = metadata("payments-5d4f-abc\u{e9}");
    metadata["labels"] =
        json!({"app": "payments", "pod-template-hash": "5d4f", "trimtab.dev/phase": "canary"});
    metadata["ownerReferences"] = json!([
        {"kind": "Other", "name": "x", "uid": "00000000-0000-4000-8000-000000000001"},
        {"kind": "ReplicaSet", "name": "payments-5d4f", "uid": "00000000-0000-4000-8000-000000000002", "controller": true},
    ]);
    metadata["deletionTimestamp"] = json!("2026-01-01T01:00:00Z");
    json!({
        "metadata": metadata,
        "spec": {
            "nodeName": "node-1",
            "initContainers": [{"name": "setup"}, {"name": "proxy", "restartPolicy": "Always"}],
            "containers": [{"name": "service", "resources": {"requests": {"cpu": "250m", "memory": "64Mi"}, "limits": {"cpu": 2}}}],
        },
        "status": {
            "phase": "Running", "podIP": "10.0.0.7", "startTime": "2026-01-01T00:00:01Z",
            "conditions": [
                {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:20Z"},
                {"type": "PodScheduled", "status": "False", "lastTransitionTime": "2026-01-01T00:00:02Z"},
            ],
            "initContainerStatuses": [{"name": "setup", "state": {"terminated": {"reason": "Completed", "exitCode": 0}}}],
            "containerStatuses": [{
                "name": "service", "restartCount": 3, "ready": true,
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
                "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137, "finishedAt": "2026-01-01T00:00:30Z"}},
            }],
        },
    })
}

fn pod(object: &Value) -> PodRow {
    Pods::new(Interner::new()).project(object.to_string().as_bytes()).unwrap()
}

#[test]
fn a_pod_keeps_what_decisions_need() {
    let row = pod(&full_pod());
    assert_eq!(row.key, Key::new("shop", "payments-5d4f-abc\u{e9}"));
    assert_eq!((row.resource_version, row.phase), (42, PodPhase::Running));
    assert_eq!(row.uid.to_string(), "9f3b2c1d-4e5f-4a6b-8c7d-0123456789ab");
    assert_eq!(&*row.owner.as_ref().unwrap().name, "payments-5d4f");
    assert_eq!((row.template_hash(), row.phase_label()), (Some("5d4f"), Some("canary")));
    assert_eq!(row.node.as_deref(), Some("node-1"));
    assert_eq!(row.ip.unwrap().to_string(), "10.0.0.7");
    let moments = [row.ready_since, row.scheduled_since, row.created, row.started, row.deletion];
    let moments = moments
        .map(|moment| moment.map_or("-".to_owned(), |moment| format!("{moment:?}")[11..19].to_owned()));
    assert_eq!(moments, ["00:00:20", "-", "00:00:00", "00:00:01", "01:00:00"]);

    let roles: Vec<(&str, ContainerRole)> =
        row.containers.iter().map(|container| (&*container.spec.name, container.spec.role)).collect();
    let expect =
        [("setup", ContainerRole::Init), ("proxy", ContainerRole::Sidecar), ("service", ContainerRole::App)];
    assert_eq!(roles, expect);
    let service = row.container("service").unwrap();
    assert_eq!(
        (service.restarts, service.ready, service.waiting.as_deref()),
        (3, true, Some("CrashLoopBackOff"))
    );
    assert_eq!(service.spec.cpu_request_millis, Some(250));
    assert_eq!(service.spec.memory_request_bytes, Some(64 << 20));
    assert_eq!((service.spec.cpu_limit_millis, service.spec.memory_limit_bytes), (Some(2_000), None));
    let last = service.last_termination.as_ref().unwrap();
    assert_eq!((&*last.reason, last.exit_code), ("OOMKilled", 137));
    assert!(service.terminated.is_none() && service.running_since.is_none());
    assert_eq!(row.container("setup").unwrap().terminated.as_ref().unwrap().exit_code, 0);
}

#[test]
fn a_bare_pod_is_still_a_pod() {
    let row = pod(&json!({"metadata": metadata("a")}));
    assert_eq!((row.phase, row.containers.len(), row.ready_since), (PodPhase::Pending, 0, None));
    assert_eq!((row.template_hash(), row.owner.as_ref()), (None, None));
    let row = pod(&json!({"metadata": metadata("a"), "status": {"phase": "Melted"}}));
    assert_eq!(row.phase, PodPhase::Unknown);
}

#[test]
fn only_what_is_kept_makes_a_pod_differ() {
    let check = |path: &str, value: Value, expect: bool| {
        let interner = Pods::new(Interner::new());
        let project = |object: &Value| interner.project(object.to_string().as_bytes()).unwrap();
        let old = full_pod();
        let mut new = old.clone();
        *new.pointer_mut(path).unwrap() = value;
        assert_eq!(project(&new).differs_from(&project(&old)), expect, "{path}");
    };
    check("/metadata/resourceVersion", json!("43"), false);
    check("/status/conditions/1/lastTransitionTime", json!("2026-01-01T00:00:21Z"), false);
    check("/status/containerStatuses/0/state/waiting/message", json!("other words"), false);
    check("/metadata/labels/trimtab.dev~1phase", json!("stable"), true);
    check("/metadata/uid", json!("9f3b2c1d-4e5f-4a6b-8c7d-0123456789ac"), true);
    check("/status/phase", json!("Failed"), true);
    check("/status/conditions/0/status", json!("False"), true);
    check("/status/containerStatuses/0/restartCount", json!(4), true);
    check("/spec/containers/0/resources/requests/memory", json!("65Mi"), true);
    check("/metadata/deletionTimestamp", json!(null), true);
    check("/status/podIP", json!("10.0.0.8"), true);
    check("/spec/nodeName", json!("node-2"), true);
}

#[test]
fn what_cannot_be_a_row_says_why() {
    let check = |object: Value, expect: &str| {
        let error = Pods::new(Interner::new()).project(object.to_string().as_bytes()).unwrap_err();
        assert!(error.to_string().contains(expect), "{error}");
    };
    let with = |field: &str, value: Value| {
        let mut metadata = metadata("a");
        metadata[field] = value;
        json!({"metadata": metadata})
    };
    check(json!({}), "missing field `metadata`");
    check(with("uid", json!("uid-1")), "uid is not a UUID");
    check(with("resourceVersion", json!("x")), "resource version \"x\" is not a number");
    check(with("labels", json!([])), "invalid type");
}

fn deployment() -> Value {
    let mut metadata = metadata("payments");
    metadata["labels"] = json!({"tier": "1"});
    metadata["annotations"] = json!({
        "trimtab.dev/claim": "held", "deployment.kubernetes.io/revision": "12",
        "kubernetes.io/change-cause": "hotfix", "kubectl.kubernetes.io/last-applied-configuration": "{}",
    });
    metadata["managedFields"] = json!([
        {"manager": "argocd", "operation": "Apply", "time": "2026-01-02T00:00:00Z", "fieldsV1": {"f:spec": {"f:template": {}}}},
        {"manager": "hpa", "operation": "Update", "time": "2026-01-03T00:00:00Z", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
        {"manager": "kubectl", "operation": "Update", "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:spec": {"f:template": {}}}},
    ]);
    json!({
        "metadata": metadata,
        "spec": {
            "replicas": 3, "paused": true,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}},
            "selector": {"matchLabels": {"app": "payments"}},
            "template": {"metadata": {"labels": {"app": "payments"}}, "spec": {"futureField": {"kept": true}}},
        },
        "status": {
            "observedGeneration": 6, "replicas": 4, "updatedReplicas": 2, "readyReplicas": 3, "availableReplicas": 1,
            "conditions": [{"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated", "message": "m"}],
        },
    })
}

#[test]
fn a_deployment_keeps_what_a_rollout_needs() {
    let row = Deployments::new(Interner::new()).project(deployment().to_string().as_bytes()).unwrap();
    assert_eq!((row.replicas, row.paused), (3, true));
    let strategy = Strategy::RollingUpdate {
        max_surge: IntOrPercent::Int(1),
        max_unavailable: IntOrPercent::Percent(25),
    };
    assert_eq!(row.strategy, strategy);
    assert_eq!((row.revision, row.identity.generation, row.observed_generation), (Some(12), 7, 6));
    let status = row.status;
    assert_eq!((status.replicas, status.updated, status.ready, status.available), (4, 2, 3, 1));
    assert_eq!(row.template.value(), deployment()["spec"]["template"]);
    assert_eq!(row.identity.annotation("trimtab.dev/claim"), Some("held"));
    assert_eq!((row.identity.annotations.len(), row.match_labels.len()), (2, 1));
    let writers: Vec<&str> = row.template_managers.iter().map(|writer| &**writer).collect();
    assert_eq!(writers, ["kubectl", "argocd"], "those who wrote the template, oldest first");
}

#[test]
fn a_rollout_is_under_way_complete_or_late() {
    let check = |reason: &str, expect: Progress| {
        let mut object = deployment();
        object["status"]["conditions"][0]["reason"] = json!(reason);
        let row = Deployments::new(Interner::new()).project(object.to_string().as_bytes()).unwrap();
        assert_eq!(row.progress, expect, "{reason}");
    };
    check("ReplicaSetUpdated", Progress::Underway);
    check("NewReplicaSetAvailable", Progress::Complete);
    check("ProgressDeadlineExceeded", Progress::DeadlineExceeded("m".into()));
}

/// The end of a pause begins the clock anew, and a pod that becomes ready once more does not.
#[test]
fn progress_is_counted_from_the_rollout_or_the_end_of_a_pause() {
    let since = |status: &str, reason: &str| {
        let mut object = deployment();
        object["status"]["conditions"][0] = json!({
            "type": "Progressing", "status": status, "reason": reason, "message": "m",
            "lastTransitionTime": "2026-01-01T00:00:00Z", "lastUpdateTime": "2026-01-01T01:00:00Z",
        });
        let row = Deployments::new(Interner::new()).project(object.to_string().as_bytes()).unwrap();
        row.progressing_since.map(|at| at.timestamp().to_string())
    };
    assert_eq!(since("True", "ReplicaSetUpdated").as_deref(), Some("2026-01-01T00:00:00Z"));
    assert_eq!(since("Unknown", "DeploymentResumed").as_deref(), Some("2026-01-01T01:00:00Z"));
    assert_eq!(since("False", "ProgressDeadlineExceeded"), None, "the clock ran out");
    let mut unknown = deployment();
    unknown["status"]["conditions"] = json!([]);
    let row = Deployments::new(Interner::new()).project(unknown.to_string().as_bytes()).unwrap();
    assert_eq!(row.progressing_since, None);
}

#[test]
fn defaults_are_kubernetes_own() {
    let object =
        json!({"metadata": metadata("a"), "spec": {"selector": {}, "strategy": {"type": "Recreate"}}});
    let row = Deployments::new(Interner::new()).project(object.to_string().as_bytes()).unwrap();
    assert_eq!((row.replicas, row.paused, row.strategy), (1, false, Strategy::Recreate));
    let object = json!({"metadata": metadata("a"), "spec": {"replicas": 0, "selector": {}}});
    let row = ReplicaSets::new(Interner::new()).project(object.to_string().as_bytes()).unwrap();
    assert_eq!((row.replicas, row.revision, row.template), (0, None, None), "no pods need its template");
}

#[test]
fn an_autoscaler_keeps_its_target_and_bounds() {
    let object = json!({
        "metadata": metadata("a"),
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "payments"}, "maxReplicas": 9},
        "status": {"currentReplicas": 2, "desiredReplicas": 3, "conditions": null},
    });
    let row = Autoscalers::new(Interner::new()).project(object.to_string().as_bytes()).unwrap();
    assert_eq!(
        (&*row.target_kind, &*row.target_name, &*row.target_api_version),
        ("Deployment", "payments", "apps/v1")
    );
    let numbers = (row.min_replicas, row.max_replicas, row.current_replicas, row.desired_replicas);
    assert_eq!(numbers, (1, 9, 2, 3));
}

#[test]
fn pods_of_one_set_share_everything_but_their_names() {
    let projection = Pods::new(Interner::new());
    let [first, second] =
        [full_pod(), full_pod()].map(|object| projection.project(object.to_string().as_bytes()).unwrap());
    assert!(Arc::ptr_eq(&first.labels, &second.labels));
    assert!(Arc::ptr_eq(first.owner.as_ref().unwrap(), second.owner.as_ref().unwrap()));
    assert!(Arc::ptr_eq(&first.containers[2].spec, &second.containers[2].spec));
    assert!(Arc::ptr_eq(&first.key.namespace, &second.key.namespace));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_a_row_or_an_error(position in any::<proptest::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let interner = Interner::new();
        for object in [full_pod(), deployment()] {
            let mut bytes = object.to_string().into_bytes();
            let position = position.index(bytes.len());
            bytes[position] = byte;
            if cut {
                bytes.truncate(position);
            }
            let _ = Pods::new(interner.clone()).project(&bytes);
            let _ = Deployments::new(interner.clone()).project(&bytes);
            let _ = Autoscalers::new(interner.clone()).project(&bytes);
            let cut_is_refused = !cut || Deployments::new(interner.clone()).project(&bytes).is_err();
            prop_assert!(cut_is_refused);
        }
    }
}
