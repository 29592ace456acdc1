//! The two requests that only a scheduler and a node's agent send.

use http::{Method, Request, header};
use serde_json::{Value, json};
use trimtab_kube::resource::PODS;

use super::runtime::PodIdentity;

/// Binds a pod to a node, as the scheduler does.
pub(super) async fn bind(client: &kube::Client, pod: &PodIdentity, node: &str) -> Result<(), kube::Error> {
    let body = json!({
        "apiVersion": "v1", "kind": "Binding",
        "metadata": {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    });
    send(client, Method::POST, PODS.path(Some(&pod.namespace), Some(&pod.name), Some("binding")), &body).await
}

/// Removes a pod whose containers have all ended, at once and only if it is still the same pod.
pub(super) async fn remove(client: &kube::Client, pod: &PodIdentity) -> Result<(), kube::Error> {
    let body = json!({
        "apiVersion": "v1", "kind": "DeleteOptions",
        "gracePeriodSeconds": 0, "preconditions": {"uid": pod.uid},
    });
    send(client, Method::DELETE, PODS.path(Some(&pod.namespace), Some(&pod.name), None), &body).await
}

async fn send(client: &kube::Client, method: Method, path: String, body: &Value) -> Result<(), kube::Error> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(body.to_string().into_bytes())
        .expect("a path made of escaped names is a valid URI");
    client.request_text(request).await.map(drop)
}
