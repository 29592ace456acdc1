//! The services that are claimed: many, small and alike.

use anyhow::{Context, Result};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::Request;
use serde_json::{Value, json};

use super::CostPlan;
use crate::lab::Lab;

/// Services of one namespace.
const PER_NAMESPACE: usize = 100;
/// Requests under way at one time.
const AT_ONCE: usize = 16;

/// Namespace and name of a service.
pub(super) struct Name {
    namespace: String,
    name: String,
}

fn name(number: usize) -> Name {
    Name { namespace: format!("team-{:02}", number / PER_NAMESPACE), name: format!("service-{number:05}") }
}

fn names(plan: &CostPlan) -> impl Iterator<Item = Name> {
    (0..plan.apps).map(name)
}

/// Those that ship, spread over all namespaces.
pub(super) fn shipping(plan: &CostPlan) -> Vec<Name> {
    let step = (plan.apps / plan.releases.max(1)).max(1);
    names(plan).step_by(step).take(plan.releases).collect()
}

/// Creates the policy, the namespaces and the Deployments.
pub(super) async fn deploy(lab: &Lab, plan: &CostPlan) -> Result<()> {
    let policy = json!({
        "apiVersion": "trimtab.dev/v1alpha1", "kind": "FleetPolicy", "metadata": {"name": "everyone"},
        "spec": {"defaults": {"delivery": {"watch": plan.watch}}},
    });
    create(lab, "/apis/trimtab.dev/v1alpha1/fleetpolicies", &policy).await?;
    for number in (0..plan.apps).step_by(PER_NAMESPACE) {
        let namespace = name(number).namespace;
        create(lab, "/api/v1/namespaces", &json!({"metadata": {"name": namespace}})).await?;
    }
    each(names(plan), async |name: Name| {
        let path = format!("/apis/apps/v1/namespaces/{}/deployments", name.namespace);
        create(lab, &path, &deployment(&name, plan.replicas)).await
    })
    .await
}

/// No port is named: nobody listens, and Prometheus asks nobody.
fn deployment(Name { namespace, name }: &Name, replicas: usize) -> Value {
    let labels = json!({"app": name});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"namespace": namespace, "name": name, "labels": labels},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container(name, "v1")]}},
        },
    })
}

fn container(name: &str, tag: &str) -> Value {
    json!({
        "name": "service", "image": format!("shop/{name}:{tag}"),
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1},
    })
}

/// Creates the `ManagedApp` of every service.
pub(super) async fn claim(lab: &Lab, plan: &CostPlan) -> Result<()> {
    each(names(plan), async |Name { namespace, name }: Name| {
        let app = json!({
            "apiVersion": "trimtab.dev/v1alpha1", "kind": "ManagedApp",
            "metadata": {"namespace": namespace, "name": name}, "spec": {},
        });
        let path = format!("/apis/trimtab.dev/v1alpha1/namespaces/{namespace}/managedapps");
        create(lab, &path, &app).await
    })
    .await
}

/// Gives these services a new image.
pub(super) async fn ship(lab: &Lab, names: &[Name]) -> Result<()> {
    each(names.iter(), async |Name { namespace, name }: &Name| {
        let patch = json!({"spec": {"template": {"spec": {"containers": [container(name, "v2")]}}}});
        let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}");
        let request = Request::patch(&path).header("content-type", "application/strategic-merge-patch+json");
        send(lab, &path, request.body(patch.to_string().into_bytes())).await
    })
    .await
}

async fn each<T>(all: impl Iterator<Item = T>, work: impl AsyncFn(T) -> Result<()>) -> Result<()> {
    stream::iter(all.map(|one| work(one))).buffer_unordered(AT_ONCE).try_collect().await
}

async fn create(lab: &Lab, path: &str, object: &Value) -> Result<()> {
    let request = Request::post(path).header("content-type", "application/json");
    send(lab, path, request.body(object.to_string().into_bytes())).await
}

async fn send(lab: &Lab, path: &str, request: http::Result<Request<Vec<u8>>>) -> Result<()> {
    let request = request.with_context(|| format!("{path} is not a path"))?;
    let answer: Result<Value, _> = lab.client().request(request).await;
    answer.map(drop).with_context(|| format!("cannot write {path}"))
}
