//! Every write that a plan may hold does on an API server what it says, and stops where something has changed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use trimtab_control::execute::{Executor, Stopped};
use trimtab_kube::Api;
use trimtab_kube::expectations::Expectations;
use trimtab_kube::resource::EVENTS;
use trimtab_plan::concern::{DELIVERY, POLICY};
use trimtab_plan::{
    Concern, Condition, Event, IfAbsent, IfThere, Kind, Object, Part, Patch, Plan, Precondition, Reason,
    Right, Severity, Write, check,
};
use trimtab_sim::{Sim, SimConfig};

const PODS: &str = "pods";
const DEPLOYMENTS: &str = "deployments.apps";

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop", "labels": {"app": "pay"}},
        "spec": {"containers": [
            {"name": "app", "image": "pay:v1", "resources": {"requests": {"cpu": "100m"}}},
            {"name": "proxy", "image": "envoy:v1", "resources": {"requests": {"cpu": "10m"}}},
        ]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    })
}

/// An API server with a Deployment and two pods in it.
fn cluster() -> Sim {
    let sim = Sim::new(SimConfig::seeded(7));
    let template = json!({"metadata": {"labels": {"app": "pay"}}, "spec": pod("any")["spec"]});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "pay", "namespace": "shop"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "pay"}}, "template": template},
    });
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    sim.load(vec![namespace, deployment, pod("pay-0"), pod("pay-1")]).expect("valid objects");
    sim
}

async fn carry_out(sim: &Sim, writes: Vec<Write>) -> Result<(), Stopped> {
    carry_out_as(&WRITER, sim, writes).await
}

async fn carry_out_as(concern: &'static Concern, sim: &Sim, writes: Vec<Write>) -> Result<(), Stopped> {
    let api = Api::new(sim.client("system:admin").client, "trimtab-test");
    let expectations = Expectations::default();
    let executor =
        Executor { api: &api, expectations: &expectations, known: &|_| None, key: None, notify: &|_, _| {} };
    let plan = Plan { writes, wake_at: None };
    executor.carry_out(check(&plan, concern).expect("it may write this")).await
}

/// May write everything that these tests write.
const WRITER: Concern = Concern {
    name: "test",
    manager: "trimtab-test",
    rights: &[
        Right::Create(Kind::POD),
        Right::Evict,
        Right::Resize,
        Right::Scale(Kind::DEPLOYMENT),
        Right::Field(Kind::DEPLOYMENT, Part::Main, "/spec/paused"),
        Right::Field(Kind::DEPLOYMENT, Part::Main, "/spec/minReadySeconds"),
        Right::Field(Kind::APP_RELEASE, Part::Main, "/spec/image"),
    ],
    conditions: &[],
};

fn object(kind: Kind, name: &str) -> Object {
    Object::new(kind, "shop", name)
}

fn uid(sim: &Sim, resource: &str, name: &str) -> Precondition {
    let found = sim.get(resource, "shop", name).expect("it exists");
    Precondition::uid(found["metadata"]["uid"].as_str().expect("objects have uids"))
}

fn other() -> Precondition {
    Precondition::uid("another-one")
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_evicted_once_and_never_another_of_its_name() {
    let sim = cluster();
    let evict = |name: &str, when| Write::Evict { object: object(Kind::POD, name), when };
    let first = uid(&sim, PODS, "pay-0");
    carry_out(&sim, vec![evict("pay-0", first.clone()), evict("pay-1", other())]).await.expect("evicted");
    assert_eq!(sim.get(PODS, "shop", "pay-0"), None);
    assert!(sim.get(PODS, "shop", "pay-1").is_some(), "it is another pod than the one that was meant");
    carry_out(&sim, vec![evict("pay-0", first)]).await.expect("what is gone needs no eviction");

    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "pay", "namespace": "shop"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "pay"}}},
        "status": {"disruptionsAllowed": 0, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1, "observedGeneration": 1},
    });
    sim.load(vec![budget]).expect("a valid budget");
    let held = carry_out(&sim, vec![evict("pay-1", uid(&sim, PODS, "pay-1"))]).await;
    assert!(matches!(held, Err(Stopped::Failed(_))), "the budget holds it back: {held:?}");
    assert!(sim.get(PODS, "shop", "pay-1").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_running_pod_is_resized_in_place() {
    let sim = cluster();
    let resize = |when| Write::Resize {
        object: object(Kind::POD, "pay-0"),
        resources: BTreeMap::from([("app".to_owned(), json!({"requests": {"cpu": "250m"}}))]),
        when,
    };
    let containers = || sim.get(PODS, "shop", "pay-0").expect("it runs")["spec"]["containers"].clone();
    let stale = carry_out(&sim, vec![resize(other())]).await;
    assert!(matches!(stale, Err(Stopped::Stale(_))), "{stale:?}");
    assert_eq!(containers()[0]["resources"]["requests"]["cpu"], "100m");
    carry_out(&sim, vec![resize(uid(&sim, PODS, "pay-0"))]).await.expect("resized");
    assert_eq!(containers()[0]["resources"]["requests"]["cpu"], "250m");
    assert_eq!(containers()[1]["resources"]["requests"]["cpu"], "10m", "what is not named stays");
    assert_eq!(containers()[0]["image"], "pay:v1");
}

#[tokio::test(start_paused = true)]
async fn a_workload_is_scaled_on_what_was_read() {
    let sim = cluster();
    let scale = |replicas, when| Write::Scale { object: object(Kind::DEPLOYMENT, "pay"), replicas, when };
    let replicas = || sim.get(DEPLOYMENTS, "shop", "pay").expect("it exists")["spec"]["replicas"].clone();
    let read = sim.get(DEPLOYMENTS, "shop", "pay").expect("it exists");
    let version = read["metadata"]["resourceVersion"].as_str().and_then(|version| version.parse().ok());
    let version = Precondition::version(version.expect("versions are numbers here"));
    // A write of the same plan counts as read.
    carry_out(&sim, vec![scale(3, version.clone()), scale(4, version.clone())]).await.expect("scaled");
    assert_eq!(replicas(), 4);
    let stale = carry_out(&sim, vec![scale(5, version)]).await;
    assert!(matches!(stale, Err(Stopped::Stale(_))), "{stale:?}");
    let stale = carry_out(&sim, vec![scale(5, other())]).await;
    assert!(matches!(stale, Err(Stopped::Stale(_))), "{stale:?}");
    assert_eq!(replicas(), 4);
}

#[tokio::test(start_paused = true)]
async fn an_event_is_recorded_once() {
    let sim = cluster();
    let event = |note: &str| Event {
        object: object(Kind::EVENT, "pay-v2.kept"),
        regarding: object(Kind::MANAGED_APP, "pay"),
        uid: "u".to_owned(),
        reason: Reason::Kept,
        severity: Severity::Normal,
        note: note.to_owned(),
        at: Timestamp::UNIX_EPOCH,
    };
    let twice = ["v2 is kept", "said again"].map(|note| Write::Event { event: event(note), by: &DELIVERY });
    carry_out_as(&DELIVERY, &sim, twice.into()).await.expect("recorded");
    let api = Api::new(sim.client("system:admin").client, "trimtab-test");
    let found = api.get(EVENTS, Some("shop"), "pay-v2.kept").await.expect("an answer").expect("it is there");
    let told = ["reason", "action", "note", "type", "reportingController"].map(|field| found[field].clone());
    assert_eq!(told, ["Kept", "Kept", "v2 is kept", "Normal", "trimtab.dev/delivery"]);
    assert_eq!(found["regarding"]["apiVersion"], "trimtab.dev/v1alpha1");
}

/// What changed since the plan was made is no failure; what the server will never accept is.
#[tokio::test(start_paused = true)]
async fn stale_plans_are_told_from_refused_ones() {
    let sim = cluster();
    let patch = |operations: Value, generation| Write::Patch {
        object: object(Kind::DEPLOYMENT, "pay"),
        part: Part::Main,
        patch: Patch::Json(operations.as_array().cloned().expect("operations")),
        copy: None,
        when: Precondition { generation: Some(generation), ..Precondition::none() },
        if_absent: IfAbsent::Fail,
    };
    let pause = || json!([{"op": "add", "path": "/spec/paused", "value": true}]);
    let gone = |object| Write::Patch {
        object,
        part: Part::Main,
        patch: Patch::Merge(json!({"spec": {"paused": true}})),
        copy: None,
        when: Precondition::uid("u"),
        if_absent: IfAbsent::Fail,
    };
    let nowhere = Object::new(Kind::POD, "nowhere", "pay-0");
    let create = |object: Object, if_there| {
        let mut body = pod(&object.name);
        body["metadata"]["namespace"] = json!(object.namespace);
        Write::Create { object, body, copy: None, if_there }
    };
    let wrong = json!([{"op": "add", "path": "/spec/minReadySeconds", "value": -1}]);
    for (case, write, stale) in [
        ("another generation", patch(pause(), 9), true),
        ("an object that is gone", gone(object(Kind::DEPLOYMENT, "bill")), true),
        ("a name that is taken", create(object(Kind::POD, "pay-0"), IfThere::Fail), true),
        ("a value that is wrong", patch(wrong, 1), false),
        ("a namespace that does not exist", create(nowhere, IfThere::Fail), false),
    ] {
        let stopped = carry_out(&sim, vec![write]).await;
        let found = matches!(&stopped, Err(Stopped::Stale(_)));
        assert!(stopped.is_err() && found == stale, "{case}: {stopped:?}");
    }
    carry_out(&sim, vec![patch(pause(), 1)]).await.expect("nothing changed since");
}

/// What the manager would say about a policy: an apply of its status on the version that was read.
#[tokio::test(start_paused = true)]
async fn a_policy_gets_its_status() {
    let sim = cluster();
    let crd: Value =
        serde_saphyr::from_str(include_str!("../../../../deploy/crds/fleetpolicies.yaml")).expect("YAML");
    let policy = json!({
        "apiVersion": Kind::FLEET_POLICY.api_version(), "kind": "FleetPolicy", "metadata": {"name": "default"}, "spec": {},
    });
    sim.load(vec![crd, policy]).expect("valid objects");
    let read = || sim.get("fleetpolicies.trimtab.dev", "", "default").expect("it exists");
    let version = |value: &Value| {
        let version = value["metadata"]["resourceVersion"].as_str().and_then(|version| version.parse().ok());
        Precondition::version(version.expect("versions are numbers here"))
    };
    let status = |when| {
        let condition = Condition::new("Valid", true, Reason::Valid, "the spec is valid");
        let condition = condition.written(&[], 1, Timestamp::UNIX_EPOCH);
        let body = json!({
            "apiVersion": Kind::FLEET_POLICY.api_version(), "kind": "FleetPolicy", "metadata": {"name": "default"},
            "status": {"conditions": [condition]},
        });
        Write::Patch {
            object: Object::cluster_wide(Kind::FLEET_POLICY, "default"),
            part: Part::Status,
            patch: Patch::Apply(body),
            copy: None,
            when,
            if_absent: IfAbsent::Done,
        }
    };
    let before = version(&read());
    carry_out_as(&POLICY, &sim, vec![status(before.clone())]).await.expect("applied");
    assert_eq!(read()["status"]["conditions"][0]["reason"], "Valid");
    let after = read();
    carry_out_as(&POLICY, &sim, vec![status(before)])
        .await
        .expect("a policy that changed gets its status from the next plan");
    assert_eq!(read(), after);
}

/// A record without an image gets one when its template is seen; one that has an image keeps it.
#[tokio::test(start_paused = true)]
async fn an_image_is_recorded_once() {
    let sim = cluster();
    let crd: Value =
        serde_saphyr::from_str(include_str!("../../../../deploy/crds/appreleases.yaml")).expect("YAML");
    let record = json!({
        "apiVersion": Kind::APP_RELEASE.api_version(), "kind": "AppRelease", "metadata": {"name": "pay-v2", "namespace": "shop"},
        "spec": {"app": "pay", "number": 2, "actor": "ana"},
    });
    sim.load(vec![crd, record]).expect("valid objects");
    let fill = |image: &str| Write::Patch {
        object: object(Kind::APP_RELEASE, "pay-v2"),
        part: Part::Main,
        patch: Patch::Merge(json!({"spec": {"image": image}})),
        copy: None,
        when: Precondition::none(),
        if_absent: IfAbsent::Fail,
    };
    carry_out(&sim, vec![fill("pay:v2"), fill("pay:v2")]).await.expect("filled in");
    let refused = carry_out(&sim, vec![fill("pay:v3")]).await;
    assert!(matches!(&refused, Err(Stopped::Failed(_))), "{refused:?}");
}
