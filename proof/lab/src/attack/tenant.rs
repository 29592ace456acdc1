//! Somebody who may edit one namespace, and does.

use std::time::Duration;

use anyhow::{Context, Result};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::{Method, Request};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::lab::Lab;

/// The tenant's namespace.
pub(super) const NAMESPACE: &str = "evil";
/// Who the tenant is.
const USER: &str = "mallory";
/// The service whose releases are forged.
const FORGED: &str = "forged";
/// The service with a template as large as etcd takes.
const LARGE: &str = "large";
/// Services with many rules.
const RULED: usize = 30;
/// Rules of each: the schema takes no more.
const RULES: usize = 50;
/// Labels of a pod: with names and values of 63 bytes they come to 10 kB.
const LABELS: usize = 80;
/// Values of the large template, each below what one variable of a process may be.
const VALUES: usize = 9;
const VALUE_BYTES: usize = 100_000;
/// How long services may take to be claimed.
const CLAIM_LIMIT: Duration = Duration::from_secs(300);
/// Requests under way at one time.
const AT_ONCE: usize = 16;
/// Time between two turns of an attack that goes on.
const TURN: Duration = Duration::from_secs(3);
/// Records forged in a turn.
const RECORDS_PER_TURN: usize = 20;

/// The attacker.
pub(super) struct Tenant<'l> {
    lab: &'l Lab,
}

impl<'l> Tenant<'l> {
    pub(super) fn new(lab: &'l Lab) -> Self {
        Self { lab }
    }

    /// Claims services, forges `records` releases of one, gives all others their rules, and ships everything.
    pub(super) async fn begin(&self, records: usize) -> Result<()> {
        self.lab.kubectl(&["create", "namespace", NAMESPACE]).await?;
        let user = format!("--user={USER}");
        self.lab
            .kubectl(&["create", "rolebinding", USER, "--clusterrole=edit", &user, "-n", NAMESPACE])
            .await?;
        let all = || ruled().chain([FORGED.to_owned(), LARGE.to_owned()]);
        self.each(all(), async |name: String| {
            self.create("apis/apps/v1", "deployments", &deployment(&name)).await?;
            self.create("apis/trimtab.dev/v1alpha1", "managedapps", &app(&name)).await
        })
        .await?;
        self.wait_until_claimed(RULED + 2).await?;
        self.each(ruled(), async |name: String| self.rule(&name, 0).await).await?;
        self.each(2..2 + records, async |number| self.forge(number).await).await?;
        self.each(all(), async |name: String| self.ship(&name, 0).await).await
    }

    /// Ships the large template again and again, changes rules and forges more records, without an end.
    pub(super) async fn go_on(&self, records: usize) -> Result<()> {
        // The number after the last forged one is the manager's: it wrote the release that `begin` shipped.
        let mut next = 3 + records;
        for turn in 1_usize.. {
            sleep(TURN).await;
            self.ship(LARGE, turn).await?;
            self.rule(&ruled_name(turn % RULED), turn).await?;
            self.each(next..next + RECORDS_PER_TURN, async |number| self.forge(number).await).await?;
            next += RECORDS_PER_TURN;
        }
        Ok(())
    }

    async fn wait_until_claimed(&self, wanted: usize) -> Result<()> {
        let path = format!("/apis/trimtab.dev/v1alpha1/namespaces/{NAMESPACE}/managedapps");
        self.lab
            .wait_for("the tenant's services are claimed", CLAIM_LIMIT, async || {
                let list = self.lab.get(&path).await?;
                let healthy = |app: &&Value| app["status"]["phase"] == "Healthy";
                let count = list["items"].as_array().into_iter().flatten().filter(healthy).count();
                Ok((count >= wanted).then_some(()))
            })
            .await
    }

    async fn rule(&self, name: &str, turn: usize) -> Result<()> {
        let patch = json!({"spec": {"delivery": {"rules": rules(turn)}}});
        self.patch("apis/trimtab.dev/v1alpha1", "managedapps", name, &patch).await
    }

    async fn ship(&self, name: &str, turn: usize) -> Result<()> {
        let patch = json!({"spec": {"template": template(name, &format!("turn-{turn}"))}});
        self.patch("apis/apps/v1", "deployments", name, &patch).await
    }

    /// A record as the manager writes it, without its seal.
    async fn forge(&self, number: usize) -> Result<()> {
        let record = json!({
            "apiVersion": "trimtab.dev/v1alpha1", "kind": "AppRelease",
            "metadata": {"name": format!("{FORGED}-v{number}"), "labels": {"trimtab.dev/app": FORGED}},
            "spec": {"app": FORGED, "number": number, "actor": USER, "templateHash": "bcdfg24567",
                "template": {"spec": {"containers": [{"name": "service", "image": "evil"}]}}},
        });
        self.create("apis/trimtab.dev/v1alpha1", "appreleases", &record).await
    }

    async fn each<T>(&self, all: impl Iterator<Item = T>, work: impl AsyncFn(T) -> Result<()>) -> Result<()> {
        stream::iter(all.map(|one| work(one))).buffer_unordered(AT_ONCE).try_collect().await
    }

    async fn create(&self, group: &str, plural: &str, object: &Value) -> Result<()> {
        let path = format!("/{group}/namespaces/{NAMESPACE}/{plural}");
        self.send(Method::POST, &path, "application/json", object).await
    }

    async fn patch(&self, group: &str, plural: &str, name: &str, patch: &Value) -> Result<()> {
        let path = format!("/{group}/namespaces/{NAMESPACE}/{plural}/{name}");
        self.send(Method::PATCH, &path, "application/merge-patch+json", patch).await
    }

    async fn send(&self, method: Method, path: &str, kind: &str, object: &Value) -> Result<()> {
        let request = Request::builder().method(method).uri(path).header("content-type", kind);
        let request = request.header("impersonate-user", USER).body(object.to_string().into_bytes());
        let request = request.with_context(|| format!("{path} is not a path"))?;
        let answer: Result<Value, _> = self.lab.client().request(request).await;
        answer.map(drop).with_context(|| format!("{USER} cannot write {path}"))
    }
}

fn ruled_name(number: usize) -> String {
    format!("ruled-{number:02}")
}

fn ruled() -> impl Iterator<Item = String> {
    (0..RULED).map(ruled_name)
}

fn app(name: &str) -> Value {
    json!({
        "apiVersion": "trimtab.dev/v1alpha1", "kind": "ManagedApp", "metadata": {"name": name},
        "spec": {"delivery": {"watch": "1h"}},
    })
}

fn deployment(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template(name, "first")},
    })
}

fn template(name: &str, word: &str) -> Value {
    let mut labels = json!({"app": name});
    for number in 0..LABELS {
        labels[format!("label-{number:057}")] = json!("x".repeat(63));
    }
    let mut variables = vec![json!({"name": "WORD", "value": word})];
    if name == LARGE {
        let value = |number| json!({"name": format!("VALUE_{number}"), "value": "x".repeat(VALUE_BYTES)});
        variables.extend((0..VALUES).map(value));
    }
    json!({
        "metadata": {"labels": labels},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [{
            "name": "service", "image": "shop/service:v1", "env": variables,
            "ports": [{"name": "http", "containerPort": 8080}],
        }]},
    })
}

/// As many as fit: of two, one asks the server something of its own, and one explodes.
fn rules(turn: usize) -> Value {
    let rule = |number: usize| {
        let expression = if number.is_multiple_of(2) {
            format!("evil_{number} > {turn}")
        } else {
            format!(r#"x{{a=~"(\\w{{{}}}){{30}}"}} > {turn}"#, 10 + number)
        };
        json!({"name": format!("rule-{number}"), "alert": {"expr": expression}})
    };
    (0..RULES).map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inputs_are_as_large_as_they_are_said_to_be() {
        let labels = template("a", "b")["metadata"]["labels"].to_string().len();
        assert!((10_000..12_000).contains(&labels), "{labels} bytes of labels");
        let large = template(LARGE, "b").to_string().len();
        assert!((900_000..1_000_000).contains(&large), "{large} bytes of template");
        assert_eq!(rules(0).as_array().map_or(0, Vec::len) * RULED, 1_500);
    }
}
