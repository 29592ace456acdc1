//! What one service costs the manager at rest, counted by the allocator. One test: others would allocate beside it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::alloc::System;
use std::cell::Cell;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use trimtab_control::bindings::Bindings;
use trimtab_control::measurements::Measure;
use trimtab_control::observed::{NOTHING_MEASURED, Observed};
use trimtab_delivery::seal::{SEAL_ANNOTATION, SealKey, Sealed, Trust};
use trimtab_delivery::snapshot::{Binding, ReleasePhase};
use trimtab_judge::binding::Bound;
use trimtab_judge::{Answer, Query};
use trimtab_kube::expectations::Expectations;
use trimtab_kube::intern::Interner;
use trimtab_kube::kinds::pod::Pods;
use trimtab_kube::kinds::{self, Apps, Deployments, MANAGED_APPS, Releases, ReplicaSets, Stores, Trusted};
use trimtab_kube::queue::Queue;
use trimtab_kube::watch::{Event, Project, Row as _};
use trimtab_kube::{CancellationToken, Clock, Key, Store};
use trimtab_units::{template_digest, template_hash};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SERVICES: usize = 2_000;
/// Services whose workloads are measured too: every one has a dozen templates to read.
const WITH_WORKLOADS: usize = 200;
const TEAMS: usize = 40;
/// As many releases as the default policy remembers.
const HISTORY: usize = 10;
/// Number of the first one remembered.
const FIRST: usize = 119;
const PODS_PER_SERVICE: usize = 3;
/// ReplicaSets that a Deployment keeps by default, scaled to zero, beside the one that runs.
const OLD_SETS: usize = 10;

/// The budget for a settled service, in bytes: its `ManagedApp` with spec, labels, status and conditions, all its releases,
/// its Deployment with the template that runs, its ReplicaSets and its pods, each with its place in the stores and in their
/// indexes and its share of what is interned; what the queue keeps once the service was decided; what is remembered of our
/// own writes once they were seen; and what its rules are bound to. Judges and messages exist only while a release is under
/// way.
const SERVICE_BYTES_MAX: usize = 12 << 10;

/// A quarter of the budget is left for fields that a status is still to get.
const USED_BYTES_MAX: usize = SERVICE_BYTES_MAX / 4 * 3;

fn service(app: usize) -> String {
    format!("checkout-gateway-{app:04}")
}

fn team(app: usize) -> String {
    format!("team-{:02}", app % TEAMS)
}

fn uid(kind: usize, index: usize) -> String {
    format!("{kind:08x}-0000-4000-8000-{index:012x}")
}

fn managed_fields(manager: &str) -> Value {
    json!([
        {"apiVersion": "v1", "fieldsType": "FieldsV1", "manager": manager, "operation": "Update", "time": "2026-01-01T00:10:00Z",
            "fieldsV1": {"f:metadata": {"f:labels": {".": {}, "f:app": {}}}, "f:spec": {".": {}, "f:template": {}, "f:watch": {}}}},
        {"apiVersion": "v1", "fieldsType": "FieldsV1", "manager": "trimtab-delivery", "operation": "Update", "subresource": "status", "time": "2026-01-01T00:18:30Z",
            "fieldsV1": {"f:status": {".": {}, "f:conditions": {".": {}, "k:{\"type\":\"Claimed\"}": {".": {}, "f:message": {}, "f:reason": {}}}}}},
    ])
}

fn metadata(name: &str, kind: usize, index: usize, app: usize) -> Value {
    json!({
        "name": name, "namespace": team(app), "uid": uid(kind, index), "resourceVersion": (9_000_000 + index).to_string(),
        "generation": 3, "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": {"app": service(app), "team": team(app), "app.kubernetes.io/managed-by": "argocd"},
        "annotations": {"argocd.argoproj.io/tracking-id": format!("shop:apps/{name}"),
            "kubectl.kubernetes.io/last-applied-configuration": "{\"spec\":{\"tier\":1}}".repeat(20)},
        "managedFields": managed_fields("argocd-controller"),
    })
}

fn container(name: &str, image: &str) -> Value {
    let environment: Vec<Value> = (0..12)
        .map(|index| json!({"name": format!("VARIABLE_{index}"), "value": "a value of some length"}))
        .collect();
    json!({"name": name, "image": image, "env": environment,
        "resources": {"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}}})
}

fn image(app: usize, number: usize) -> String {
    format!("registry.example/{}/{}:v{number}", team(app), service(app))
}

fn template(app: usize, number: usize) -> Value {
    json!({"metadata": {"labels": {"app": service(app)}},
        "spec": {"containers": [container("service", &image(app, number)), container("proxy", "registry.example/mesh/proxy:v9")]}})
}

fn managed_app(app: usize) -> Value {
    let condition = |kind: &str, reason: &str, message: &str| {
        json!({"type": kind, "status": "True", "reason": reason, "message": message, "observedGeneration": 3,
            "lastTransitionTime": "2026-01-01T00:11:11.014732915Z"})
    };
    json!({
        "apiVersion": trimtab_api::API_VERSION, "kind": "ManagedApp",
        "metadata": metadata(&service(app), 1, app, app),
        "spec": {"tier": 1, "delivery": {"strategy": "Guarded", "watch": "10m"}, "notify": {"slack": format!("#{}", team(app))}},
        "status": {
            "observedGeneration": 3, "phase": "Healthy", "summary": "Healthy on v128", "targetUid": uid(3, app),
            "current": 128, "lastRelease": 128,
            "conditions": [
                condition("Claimed", "Claimed", "the Deployment is looked after in place"),
                condition("Valid", "Valid", "the spec is valid"),
                condition("RulesBound", "Bound", "every rule that needs series finds them"),
            ],
        },
    })
}

/// One release in ten was rolled back, and one was replaced before its verdict.
fn phase(index: usize) -> &'static str {
    match index {
        2 => "RolledBack",
        5 => "Superseded",
        _ => "Kept",
    }
}

/// Traffic told enough about every second one; a service whose traffic never does costs the same.
fn verdict(index: usize) -> &'static str {
    if index.is_multiple_of(2) { "Undecided" } else { "Pass" }
}

fn release(app: usize, index: usize) -> Value {
    let number = FIRST + index;
    let name = format!("{}-v{number}", service(app));
    let mut metadata = metadata(&name, 2, app * HISTORY + index, app);
    metadata["labels"] = json!({"trimtab.dev/app": service(app)});
    metadata["ownerReferences"] = json!([{"apiVersion": trimtab_api::API_VERSION, "kind": "ManagedApp", "name": service(app), "uid": uid(1, app), "controller": true}]);
    let (canary, stable) = (14_634 + 10 * app + index, 14_192 + 10 * app + index);
    let summary =
        format!("rpc-errors: canary 0/{canary} (0 %) vs stable 0/{stable} (0 %); no worse than tolerated");
    let rule = |name: &str| {
        json!({"name": name, "verdict": "Pass", "summary": summary, "canaryBad": 0, "canaryTotal": 14634.0, "stableBad": 0,
            "stableTotal": 14192.0, "ratio": [256.0, 11.094, 1_000_000.0], "evidence": [6.749, 3.505]})
    };
    let told =
        |event: &str, at: &str| json!({"event": event, "destination": "slack", "state": "Sent", "at": at});
    let record = json!({
        "apiVersion": trimtab_api::API_VERSION, "kind": "AppRelease", "metadata": metadata,
        "spec": {"app": service(app), "number": number, "previous": number - 1, "actor": "argocd-controller",
            "image": image(app, number), "template": template(app, number), "templateHash": template_hash(&template(app, number)),
            "targetUid": uid(3, app)},
        "status": {
            "phase": phase(index), "verdict": verdict(index), "summary": summary, "harmed": 0.0,
            "startedAt": "2026-01-01T00:13:25.010123456Z", "readyAt": "2026-01-01T00:13:30.595123456Z", "decidedAt": "2026-01-01T00:18:30.595123456Z",
            "rules": [rule("rpc-errors"), rule("panics-and-crashes"), rule("database-errors")],
            "notifications": [told("Started", "2026-01-01T00:13:25.010123456Z"), told("Kept", "2026-01-01T00:18:30.595123456Z")],
        },
    });
    sealed(app, number, record)
}

fn trust() -> Trusted {
    Trusted::new(Trust::Key(SealKey::new([7; 32])))
}

/// The record as the manager sealed it.
fn sealed(app: usize, number: usize, mut record: Value) -> Value {
    let (namespace, service, target_uid) = (team(app), service(app), uid(3, app));
    let template = template(app, number);
    let hash = template_hash(&template).to_string();
    let (namespace, service, target_uid) = (namespace.as_str(), service.as_str(), target_uid.as_str());
    let about = Sealed { namespace, service, number: number as u64, target_uid, template_hash: &hash };
    let seal = SealKey::new([7; 32]).seal(&about.text(), &template_digest(&template));
    record["metadata"]["annotations"] = json!({SEAL_ANNOTATION: seal.to_string()});
    record
}

fn workload(app: usize, name: &str, kind: usize, index: usize, number: usize, replicas: usize) -> Value {
    let mut metadata = metadata(name, kind, index, app);
    metadata["annotations"]["trimtab.dev/claim"] = json!("open");
    metadata["annotations"]["deployment.kubernetes.io/revision"] = json!(number.to_string());
    if kind == 4 {
        metadata["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": service(app), "uid": uid(3, app), "controller": true}]);
    }
    json!({
        "metadata": metadata,
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": service(app)}}, "template": template(app, number)},
        "status": {"observedGeneration": 3, "replicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas,
            "conditions": [
                {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable", "message": "Deployment has minimum availability."},
                {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable", "message": format!("ReplicaSet \"{name}-5d4f000000\" has successfully progressed.")},
            ]},
    })
}

fn deployment(app: usize) -> Value {
    workload(app, &service(app), 3, app, FIRST + HISTORY - 1, PODS_PER_SERVICE)
}

/// The ReplicaSet of the `age`-th template before the one that runs.
fn replica_set(app: usize, age: usize) -> Value {
    let replicas = if age == 0 { PODS_PER_SERVICE } else { 0 };
    let index = app * (OLD_SETS + 1) + age;
    workload(app, &format!("{}-5d4f{age:06x}", service(app)), 4, index, FIRST + HISTORY - 1 - age, replicas)
}

fn pod(app: usize, index: usize) -> Value {
    let mut metadata =
        metadata(&format!("{}-5d4f000000-{index:05x}", service(app)), 5, app * PODS_PER_SERVICE + index, app);
    metadata["labels"]["pod-template-hash"] = json!("5d4f000000");
    metadata["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{}-5d4f000000", service(app)),
        "uid": uid(4, app * (OLD_SETS + 1)), "controller": true}]);
    let status = |name: &str| {
        json!({"name": name, "ready": true, "restartCount": 0, "image": "registry.example/service:v128",
            "state": {"running": {"startedAt": "2026-01-01T00:00:09Z"}}, "lastState": {}})
    };
    json!({
        "metadata": metadata,
        "spec": {"nodeName": format!("node-{}", (app * PODS_PER_SERVICE + index) % 300), "containers": template(app, 128)["spec"]["containers"]},
        "status": {"phase": "Running", "podIP": format!("10.{}.{}.{index}", app >> 8, app & 255), "startTime": "2026-01-01T00:00:01Z",
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:12Z"}],
            "containerStatuses": [status("service"), status("proxy")]},
    })
}

/// Lists `objects` into `store`, as a watch does.
fn list<P: Project, I: Ord>(store: &Store<P::Row, I>, projection: &P, objects: impl Iterator<Item = Value>) {
    store.take(Event::Reset);
    for object in objects {
        store.take(Event::Init(projection.project(object.to_string().as_bytes()).unwrap()));
    }
    store.take(Event::Ready);
}

/// Bytes that `fill` leaves allocated, for each of `services`.
fn kept(services: usize, fill: impl FnOnce()) -> usize {
    let region = Region::new(ALLOCATOR);
    fill();
    let change = region.change();
    change.bytes_allocated.saturating_sub(change.bytes_deallocated) / services
}

/// Every service enqueued and decided once, as after a start.
async fn decide_all(queue: &Queue<Key>) {
    for app in 0..SERVICES {
        queue.enqueue(Key::new(team(app), service(app)));
    }
    let (stop, decided) = (CancellationToken::new(), Cell::new(0));
    queue
        .run(16, stop.clone(), async |_| {
            decided.set(decided.get() + 1);
            if decided.get() == SERVICES {
                stop.cancel();
            }
            Ok::<_, String>(None)
        })
        .await;
    assert!(queue.is_idle());
}

/// The status of every service written and seen.
fn write_and_see(expectations: &Expectations) {
    for app in 0..SERVICES {
        let key = Key::new(team(app), service(app));
        expectations.wrote(MANAGED_APPS, key.clone(), 9_000_001);
        assert!(!expectations.is_behind(MANAGED_APPS, &key, |_| Some(9_000_001)));
    }
}

/// A metrics server on which every series exists, and none too often.
struct Everything;

impl Measure for Everything {
    fn ask<'a>(&'a self, query: &'a Query) -> BoxFuture<'a, Answer> {
        let is_more = matches!(query, Query::Instant { expr, .. } if expr.contains(") > "));
        std::future::ready(Answer::Returned(usize::from(!is_more))).boxed()
    }
}

/// Every service with a workload asked about once.
async fn check_bindings(stores: &Stores, bindings: &Bindings, apps: &[usize]) {
    for app in apps.iter().filter(|app| **app < WITH_WORKLOADS) {
        let row = stores.of::<Apps>().get(&Key::new(team(*app), service(*app))).unwrap();
        let observed = Observed::gather(stores, &row);
        let now = "2026-01-02T00:00:00Z".parse().unwrap();
        let snapshot = observed.snapshot(now, &NOTHING_MEASURED);
        assert_eq!(bindings.check(row.key(), &snapshot).await, (true, None), "{}", row.key());
        assert_eq!(bindings.known(row.key(), &snapshot), Binding::Found(Bound::default()), "{}", row.key());
    }
}

/// What was measured is what decisions are made on.
fn check_reading(stores: &Stores) {
    let row = stores.of::<Apps>().get(&Key::new(team(7), service(7))).unwrap();
    let observed = Observed::gather(stores, &row);
    let snapshot = observed.snapshot(jiff::Timestamp::UNIX_EPOCH, &NOTHING_MEASURED);
    assert_eq!(snapshot.app.status.conditions.len(), 3);
    assert_eq!(snapshot.settings.watch.as_secs(), 600);
    assert_eq!(snapshot.releases.len(), HISTORY);
    assert_eq!(snapshot.history().current().unwrap().number, 128);
    let rolled_back = &snapshot.releases[2];
    assert_eq!(rolled_back.status.phase, ReleasePhase::RolledBack);
    assert!(rolled_back.status.summary.starts_with("rpc-errors"), "its status may be written again");
    assert_eq!((snapshot.replica_sets.len(), snapshot.pods.len()), (OLD_SETS + 1, PODS_PER_SERVICE));
}

#[test]
fn a_settled_service_stays_within_its_budget() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let queue: Queue<Key> = Queue::new("services", Clock::system());
    let (interner, stores, expectations) = (Interner::new(), kinds::all(), Expectations::default());
    // In the order of their keys, as the API server lists.
    let mut apps: Vec<usize> = (0..SERVICES).collect();
    apps.sort_by_key(|app| (team(*app), service(*app)));

    let row = kept(SERVICES, || {
        list(stores.of::<Apps>(), &Apps::new(interner.clone()), apps.iter().map(|app| managed_app(*app)));
    });
    let records = kept(SERVICES, || {
        let releases = apps.iter().flat_map(|app| (0..HISTORY).map(|index| release(*app, index)));
        list(stores.of::<Releases>(), &Releases::new(interner.clone(), trust()), releases);
    });
    let shell = kept(SERVICES, || {
        runtime.block_on(decide_all(&queue));
        write_and_see(&expectations);
    });
    let workload = workloads(&stores, &interner, &apps);
    // What the first look ever sets up is there once for all services.
    let warm = Bindings::new(Arc::new(Everything), Queue::new("warm", Clock::system()));
    runtime.block_on(check_bindings(&stores, &warm, &apps));
    drop(warm);
    let bindings = Bindings::new(Arc::new(Everything), Queue::new("bindings", Clock::system()));
    let checks = kept(WITH_WORKLOADS, || runtime.block_on(check_bindings(&stores, &bindings, &apps)));
    let all = row + records + shell + checks + workload;
    println!("{row} bytes for the row of a ManagedApp");
    println!("{records} bytes for its {HISTORY} releases");
    println!("{shell} bytes in the queue and of its writes");
    println!("{checks} bytes for what its rules are bound to");
    println!("{all} bytes for a settled service, of {SERVICE_BYTES_MAX}");
    check_reading(&stores);
    assert!(all <= USED_BYTES_MAX, "{all} bytes for a settled service");
}

/// Lists what is held for every Deployment of a cluster, claimed or not, and returns what one comes to.
fn workloads(stores: &Stores, interner: &Interner, apps: &[usize]) -> usize {
    let apps: Vec<usize> = apps.iter().copied().filter(|app| *app < WITH_WORKLOADS).collect();
    let deployments = kept(WITH_WORKLOADS, || {
        let projection = Deployments::new(interner.clone());
        list(stores.of::<Deployments>(), &projection, apps.iter().map(|app| deployment(*app)));
    });
    let sets = kept(WITH_WORKLOADS, || {
        let sets = apps.iter().flat_map(|app| (0..=OLD_SETS).map(|age| replica_set(*app, age)));
        list(stores.of::<ReplicaSets>(), &ReplicaSets::new(interner.clone()), sets);
    });
    let pods = kept(WITH_WORKLOADS, || {
        let pods = apps.iter().flat_map(|app| (0..PODS_PER_SERVICE).map(|index| pod(*app, index)));
        list(stores.of::<Pods>(), &Pods::new(interner.clone()), pods);
    });
    println!("{deployments} bytes per Deployment with the template that runs");
    println!("{sets} bytes for its {} ReplicaSets with {OLD_SETS} older templates", OLD_SETS + 1);
    println!("{pods} bytes for its {PODS_PER_SERVICE} pods");
    deployments + sets + pods
}
