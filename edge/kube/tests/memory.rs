//! What rows cost, counted by the allocator. One test: others would allocate beside it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::alloc::System;

use serde_json::{Value, json};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use trimtab_kube::Uid;
use trimtab_kube::intern::Interner;
use trimtab_kube::kinds::pod::{PodRow, Pods};
use trimtab_kube::kinds::{DeploymentRow, Deployments, ReplicaSetRow, ReplicaSets};
use trimtab_kube::store::Rows;
use trimtab_kube::watch::{Event, Project};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const PODS: usize = 10_000;

/// Pods per ReplicaSet.
const REPLICAS: usize = 10;

/// The budget for one pod, its place in the store and its share of everything interned, in bytes.
const POD_BYTES_MAX: usize = 540;

/// The budget for a Deployment and its ReplicaSet together, without their template, in bytes.
const WORKLOAD_BYTES_MAX: usize = 640;

fn uid(kind: usize, index: usize) -> String {
    format!("{kind:08x}-0000-4000-8000-{index:012x}")
}

fn metadata(name: &str, kind: usize, index: usize, app: usize) -> Value {
    let hash = format!("{:010x}", app * 7_919);
    json!({
        "name": name, "namespace": format!("team-{}", app % 20), "uid": uid(kind, index), "resourceVersion": (900_000 + index).to_string(),
        "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 1,
        "labels": {"app": format!("service-{app}"), "team": format!("team-{}", app % 20), "pod-template-hash": hash, "version": "v128"},
        "annotations": {"prometheus.io/scrape": "true", "checksum/config": "0123456789abcdef0123456789abcdef0123456789abcdef", "trimtab.dev/claim": "held"},
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("service-{app}-{hash}"), "uid": uid(2, app), "controller": true}],
        "managedFields": [{"manager": "kubelet", "operation": "Update", "fieldsV1": {"f:status": {"f:conditions": {}}}}],
    })
}

fn container(name: &str) -> Value {
    let environment: Vec<Value> = (0..12)
        .map(|index| json!({"name": format!("VARIABLE_{index}"), "value": "a value of some length"}))
        .collect();
    json!({"name": name, "image": "registry.example/service:v128", "env": environment,
        "resources": {"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}}})
}

fn container_status(name: &str) -> Value {
    json!({"name": name, "ready": true, "restartCount": 1, "image": "registry.example/service:v128",
        "state": {"running": {"startedAt": "2026-01-01T00:00:09Z"}},
        "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137, "finishedAt": "2026-01-01T00:00:08Z"}}})
}

fn pod(index: usize) -> Vec<u8> {
    let app = index / REPLICAS;
    let name = format!("service-{app}-{:010x}-{index:05x}", app * 7_919);
    let condition =
        |kind: &str| json!({"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:12Z"});
    let object = json!({
        "metadata": metadata(&name, 1, index, app),
        "spec": {"nodeName": format!("node-{}", index % 300), "containers": [container("service"), container("proxy")]},
        "status": {
            "phase": "Running", "podIP": format!("10.{}.{}.{}", index >> 16, index >> 8 & 255, index & 255), "startTime": "2026-01-01T00:00:01Z",
            "conditions": [condition("PodScheduled"), condition("Initialized"), condition("ContainersReady"), condition("Ready")],
            "containerStatuses": [container_status("service"), container_status("proxy")],
        },
    });
    object.to_string().into_bytes()
}

fn workload(name: &str, kind: usize, app: usize, hashed: Option<&str>) -> Vec<u8> {
    let mut labels = json!({"app": format!("service-{app}")});
    if let Some(hash) = hashed {
        labels["pod-template-hash"] = json!(hash);
    }
    let object = json!({
        "metadata": metadata(name, kind, app, app),
        "spec": {"replicas": REPLICAS, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container("service"), container("proxy")]}}},
        "status": {"observedGeneration": 1, "replicas": REPLICAS, "readyReplicas": REPLICAS,
            "conditions": [{"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable", "message": "Deployment has minimum availability."}]},
    });
    object.to_string().into_bytes()
}

/// Bytes that `fill` leaves allocated.
fn kept<T>(fill: impl FnOnce() -> T) -> (usize, T) {
    let region = Region::new(ALLOCATOR);
    let value = fill();
    let change = region.change();
    (change.bytes_allocated - change.bytes_deallocated, value)
}

#[test]
fn rows_stay_within_their_budgets() {
    let interner = Interner::new();
    let pods = Pods::new(interner.clone());
    let (bytes, rows) = kept(|| {
        let mut rows: Rows<PodRow, Uid> =
            Rows::indexed(|pod, values| values.extend(pod.owner.iter().map(|owner| owner.uid)));
        for index in 0..PODS {
            rows.take(Event::Apply(pods.project(&pod(index)).unwrap()));
        }
        rows
    });
    assert_eq!(rows.len(), PODS);
    assert!(bytes / PODS <= POD_BYTES_MAX, "{} bytes per pod", bytes / PODS);
    println!("{} bytes per pod", bytes / PODS);

    let services = PODS / REPLICAS;
    let (bytes, (deployments, replica_sets)) = kept(|| {
        let (mut deployments, mut replica_sets): (Rows<DeploymentRow>, Rows<ReplicaSetRow>) =
            Default::default();
        let (project_deployment, project_set) =
            (Deployments::new(interner.clone()), ReplicaSets::new(interner.clone()));
        for app in 0..services {
            let deployment = workload(&format!("service-{app}"), 3, app, None);
            deployments.take(Event::Apply(project_deployment.project(&deployment).unwrap()));
            let set = workload(&format!("service-{app}-5d4f"), 2, app, Some("5d4f"));
            replica_sets.take(Event::Apply(project_set.project(&set).unwrap()));
        }
        (deployments, replica_sets)
    });
    let templates: usize = deployments.iter().map(|row| row.template.json.len()).sum();
    let each = (bytes - templates) / services;
    println!(
        "{each} bytes per Deployment and ReplicaSet, and {} for the template they share",
        templates / services
    );
    assert!(each <= WORKLOAD_BYTES_MAX, "{each} bytes per Deployment and ReplicaSet");
    for (deployment, set) in deployments.iter().zip(replica_sets.iter()) {
        assert!(std::sync::Arc::ptr_eq(&deployment.template, set.template.as_ref().unwrap()));
    }
}
