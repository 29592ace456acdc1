//! A shop with one service, `payments`, on a simulated API server, and a person at a terminal.
#![allow(dead_code, reason = "every test file uses another part of it")]

use serde_json::{Value, json};
use trimtab::cli::exit::Exit;
use trimtab::cli::install::{Choices, objects};
use trimtab::cli::output::{Form, Paint};
use trimtab::cli::session::{FIELD_MANAGER, Session};
use trimtab::cli::{dispatch, parse, report};
use trimtab_kube::{Api, Clock};
use trimtab_sim::{Sim, SimConfig};
use trimtab_units::template_hash;

/// Who types.
pub(crate) const PERSON: &str = "alice";
/// Namespace of the shop.
pub(crate) const SHOP: &str = "shop";

/// What a command did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// How it ended.
    pub(crate) exit: Exit,
    /// Data.
    pub(crate) out: String,
    /// Talk.
    pub(crate) err: String,
}

/// The shop.
pub(crate) struct Shop {
    /// The server.
    pub(crate) sim: Sim,
}

/// A pod template with two containers and a field from the future.
pub(crate) fn template(image: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": "payments"}},
        "spec": {"containers": [
            {"name": "service", "image": image, "env": [{"name": "MODE", "value": "live"}]},
            {"name": "envoy", "image": "envoy:1"},
        ]},
    })
}

impl Shop {
    /// A cluster with Trimtab's definitions, policy and permissions, and an unclaimed Deployment that runs `payments:1`.
    pub(crate) async fn open() -> Self {
        let sim = Sim::new(SimConfig::seeded(7));
        let choices = Choices {
            namespace: "trimtab-system".to_owned(),
            image: "trimtab:1".to_owned(),
            ..Choices::default()
        };
        sim.load(objects(&choices).expect("the files are readable")).expect("the files are valid");
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SHOP}});
        sim.load(vec![namespace]).expect("a namespace");
        let shop = Self { sim };
        shop.create("deployments", json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "payments", "namespace": SHOP},
            "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "payments"}}, "template": template("payments:1")},
        })).await;
        shop
    }

    /// The same, claimed: v126 to v127 were kept, and v127 runs `payments:1`.
    pub(crate) async fn claimed() -> Self {
        let shop = Self::open().await;
        shop.manager("trimtab-manager", "trimtab-0").await;
        shop.create("managedapps", json!({
            "apiVersion": "trimtab.dev/v1alpha1", "kind": "ManagedApp", "metadata": {"name": "payments", "namespace": SHOP}, "spec": {},
        })).await;
        shop.status(
            "managedapps",
            "payments",
            json!({"phase": "Healthy", "summary": "Healthy on v127", "current": 127, "lastRelease": 127}),
        )
        .await;
        shop.merge("payments", json!({"metadata": {"annotations": {"trimtab.dev/claim": "open"}}})).await;
        shop.release(126, "payments:0", json!({"phase": "Kept"})).await;
        shop.release(127, "payments:1", json!({"phase": "Kept"})).await;
        shop
    }

    /// The same, with v128 (`payments:2`) in the Deployment and in this phase.
    pub(crate) async fn with_v128(status: Value) -> Self {
        let shop = Self::claimed().await;
        shop.release(128, "payments:2", status).await;
        shop.merge("payments", json!({"spec": {"template": template("payments:2")}})).await;
        shop
    }

    /// The same, with v128 rejected, applied again, and held by the admission policy.
    pub(crate) async fn held() -> Self {
        let shop = Self::claimed().await;
        shop.release(
            128,
            "payments:2",
            json!({"phase": "RolledBack", "summary": "rpc-errors: too many", "held": true}),
        )
        .await;
        shop.merge(
            "payments",
            json!({"metadata": {"annotations": {"trimtab.dev/claim": "hold-changes payments:2"}}}),
        )
        .await;
        shop.merge_as("argocd", "payments", json!({"spec": {"template": template("payments:2")}})).await;
        shop.merge(
            "payments",
            json!({"metadata": {"annotations": {"trimtab.dev/claim": "held payments:2"}}}),
        )
        .await;
        shop.status(
            "managedapps",
            "payments",
            json!({"phase": "Held", "summary": "Healthy on v127 (v128 rejected)"}),
        )
        .await;
        assert_eq!(shop.deployment()["spec"]["paused"], json!(true), "the admission policy holds it");
        shop
    }

    /// Records a release with its template.
    pub(crate) async fn release(&self, number: u64, image: &str, status: Value) {
        let name = format!("payments-v{number}");
        let app = self.sim.get("managedapps.trimtab.dev", SHOP, "payments").expect("it is claimed");
        let owner = json!({"apiVersion": "trimtab.dev/v1alpha1", "kind": "ManagedApp", "name": "payments", "uid": app["metadata"]["uid"], "controller": true});
        // As the API server stored it: with the defaults filled in.
        self.merge("payments", json!({"spec": {"template": template(image)}})).await;
        let stored = self.deployment()["spec"]["template"].clone();
        self.create("appreleases", json!({
            "apiVersion": "trimtab.dev/v1alpha1", "kind": "AppRelease",
            "metadata": {"name": name, "namespace": SHOP, "labels": {"trimtab.dev/app": "payments"}, "ownerReferences": [owner],
                "annotations": {"trimtab.dev/seal": "5e".repeat(32)}},
            "spec": {"app": "payments", "number": number, "image": image, "actor": "bob",
                "templateHash": template_hash(&stored).as_str(), "targetUid": self.deployment()["metadata"]["uid"], "template": stored},
        })).await;
        self.status("appreleases", &name, status).await;
        self.merge("payments", json!({"spec": {"template": template("payments:1")}})).await;
    }

    /// Runs a command as the person.
    pub(crate) async fn run(&self, line: &str) -> Said {
        self.run_as(PERSON, line).await
    }

    /// Runs a command as somebody.
    pub(crate) async fn run_as(&self, user: &str, line: &str) -> Said {
        let words = std::iter::once("trimtab").chain(line.split_whitespace()).map(std::ffi::OsString::from);
        let arguments = parse(words).unwrap_or_else(|error| panic!("{line}: {error}"));
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let api = Api::new(self.sim.client(user).client, FIELD_MANAGER);
        let mut session = Session {
            clock: api.server_clock(Clock::following_tokio(self.sim.now())),
            api,
            namespace: arguments.globals.namespace.clone().unwrap_or_else(|| SHOP.to_owned()),
            form: arguments.globals.output.unwrap_or(Form::Table),
            paint: Paint::Plain,
            reach: String::new(),
            named_command: false,
            out: &mut out,
            err: &mut err,
        };
        let ended = dispatch(arguments.command, &mut session).await;
        let exit = ended.unwrap_or_else(|failure| report(&failure, &mut err));
        let text = |bytes| String::from_utf8(bytes).expect("it is text");
        Said { exit, out: text(out), err: text(err) }
    }

    /// The Deployment now.
    pub(crate) fn deployment(&self) -> Value {
        self.sim.get("deployments.apps", SHOP, "payments").expect("it exists")
    }

    /// A release's record now.
    pub(crate) fn record(&self, number: u64) -> Option<Value> {
        self.sim.get("appreleases.trimtab.dev", SHOP, &format!("payments-v{number}"))
    }

    /// What the person changed so far: `verb resource name`, in order, without questions about who they are.
    pub(crate) fn changes(&self) -> Vec<String> {
        self.sim
            .ledger()
            .into_iter()
            .filter(|entry| entry.user == PERSON && entry.changed)
            .map(|entry| format!("{} {} {}", entry.verb, entry.resource, entry.name))
            .collect()
    }

    /// The lease of a manager, held from now on by `holder`; nobody renews it.
    pub(crate) async fn manager(&self, lease: &str, holder: &str) {
        let now = format!("{:.6}", self.sim.now());
        let object = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": lease, "namespace": "trimtab-system"},
            "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": now},
        });
        let path = "/apis/coordination.k8s.io/v1/namespaces/trimtab-system/leases";
        self.send("setup", "POST", path, "application/json", &object).await;
    }

    /// Puts a label on the service.
    pub(crate) async fn label(&self, key: &str, value: &str) {
        let path = format!("/apis/trimtab.dev/v1alpha1/namespaces/{SHOP}/managedapps/payments");
        let patch = json!({"metadata": {"labels": {key: value}}});
        self.send("setup", "PATCH", &path, "application/merge-patch+json", &patch).await;
    }

    pub(crate) async fn create(&self, plural: &str, object: Value) {
        let path = match plural {
            "deployments" => "/apis/apps/v1",
            _ => "/apis/trimtab.dev/v1alpha1",
        };
        self.send(
            "setup",
            "POST",
            &format!("{path}/namespaces/{SHOP}/{plural}"),
            "application/json",
            &object,
        )
        .await;
    }

    /// Sets fields of a status.
    pub(crate) async fn status(&self, plural: &str, name: &str, status: Value) {
        let path = format!("/apis/trimtab.dev/v1alpha1/namespaces/{SHOP}/{plural}/{name}/status");
        self.send("setup", "PATCH", &path, "application/merge-patch+json", &json!({"status": status})).await;
    }

    /// Deletes the Deployment, as somebody with `kubectl delete`.
    pub(crate) async fn delete_deployment(&self) {
        let path = format!("/apis/apps/v1/namespaces/{SHOP}/deployments/payments");
        self.send("setup", "DELETE", &path, "application/json", &json!({})).await;
        assert_eq!(self.sim.get("deployments.apps", SHOP, "payments"), None);
    }

    /// Sets fields of a Deployment as the manager.
    pub(crate) async fn merge(&self, name: &str, patch: Value) {
        self.merge_as("system:serviceaccount:trimtab-system:trimtab", name, patch).await;
    }

    /// Sets fields of a Deployment.
    pub(crate) async fn merge_as(&self, user: &str, name: &str, patch: Value) {
        let path = format!("/apis/apps/v1/namespaces/{SHOP}/deployments/{name}");
        self.send(user, "PATCH", &path, "application/merge-patch+json", &patch).await;
    }

    async fn send(&self, user: &str, method: &str, path: &str, kind: &str, body: &Value) {
        let answer = self.request(user, method, path, kind, body).await;
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
    }

    /// Sends an object, or with PATCH a merge patch, and says what the server said.
    pub(crate) async fn tries(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        self.request("setup", method, path, kind, body).await
    }

    async fn request(
        &self,
        user: &str,
        method: &str,
        path: &str,
        kind: &str,
        body: &Value,
    ) -> Result<Value, String> {
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", kind)
            .body(body.to_string().into_bytes())
            .expect("a request");
        self.sim.client(user).client.request::<Value>(request).await.map_err(|error| error.to_string())
    }
}
