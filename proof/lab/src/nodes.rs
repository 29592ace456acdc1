//! Nodes for pods to be scheduled to. Nothing runs on them: every container is a process of this machine.

use anyhow::{Context, Result};
use http::Request;
use serde_json::{Value, json};

/// What a node says it has. Requests are scheduled against it; no process is held to it.
const NODE_CAPACITY: (&str, &str, &str) = ("16", "64Gi", "250");

/// Names of the first `count` nodes.
pub(crate) fn names(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("node-{number}")).collect()
}

/// Creates a node that is ready for pods.
pub(crate) async fn register(client: &kube::Client, name: &str) -> Result<()> {
    let failed = || format!("cannot register node {name}");
    let node = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}},
    });
    let create = Request::post("/api/v1/nodes").header("content-type", "application/json");
    let create = create.body(node.to_string().into_bytes()).with_context(failed)?;
    let _created: Value = client.request(create).await.with_context(failed)?;
    let (cpu, memory, pods) = NODE_CAPACITY;
    let capacity = json!({"cpu": cpu, "memory": memory, "pods": pods});
    let status = json!({
        "capacity": capacity,
        "allocatable": capacity,
        "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
    });
    let patch = Request::patch(format!("/api/v1/nodes/{name}/status"))
        .header("content-type", "application/merge-patch+json");
    let patch = patch.body(json!({"status": status}).to_string().into_bytes()).with_context(failed)?;
    let _patched: Value = client.request(patch).await.with_context(failed)?;
    Ok(())
}
