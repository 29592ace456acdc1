//! A bench for plans: writes change a cluster in memory, without API server, watch or time.

use serde_json::{Map, Value, json};
use trimtab_kube::resource::{DEPLOYMENTS, HPAS, PDBS, PODS, REPLICA_SETS, SERVICES};
use trimtab_kube::watch::Event;
use trimtab_kube::{Key, Resource};

use super::cluster::{Cluster, PodRow};
use super::write::{Plan, Write};
use super::{disruption, endpoints, hpa, replica_set};
use crate::object::{self, text};
use crate::row::Whole;

pub(super) struct Bench {
    pub(super) cluster: Cluster,
    pub(super) now: jiff::Timestamp,
    version: u64,
}

/// RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    for (field, value) in fields {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(field);
        } else {
            merge(&mut target[field], value);
        }
    }
}

impl Bench {
    pub(super) fn new() -> Self {
        Bench { cluster: Cluster::default(), now: "2026-01-01T00:00:00Z".parse().unwrap(), version: 0 }
    }

    /// Stores an object as the server would: with a uid, a version, a time and a generation.
    pub(super) fn put(&mut self, resource: &'static Resource, mut object: Value) {
        self.version += 1;
        let metadata = &mut object["metadata"];
        metadata["resourceVersion"] = json!(self.version.to_string());
        metadata["namespace"] = json!("shop");
        if metadata["name"].is_null() {
            metadata["name"] =
                json!(format!("{}{:03}", metadata["generateName"].as_str().unwrap(), self.version));
        }
        for (field, value) in [
            ("uid", json!(format!("uid-{}-{}", resource.kind, self.version))),
            ("creationTimestamp", object::stamp(self.now)),
            ("generation", json!(1)),
        ] {
            if metadata[field].is_null() {
                metadata[field] = value;
            }
        }
        self.cluster.stored(resource, object);
    }

    pub(super) fn get(&self, resource: &'static Resource, name: &str) -> Value {
        let key = Key::new("shop", name);
        let row = match resource {
            _ if resource == DEPLOYMENTS => self.cluster.deployments.get(&key),
            _ if resource == REPLICA_SETS => self.cluster.replica_sets.get(&key),
            _ if resource == SERVICES => self.cluster.services.get(&key),
            _ => self.cluster.budgets.get(&key),
        };
        (*row.unwrap_or_else(|| panic!("no {resource} {name}")).object).clone()
    }

    /// Does what a plan says. A precondition that does not hold is a fault of the plan: nothing else writes here.
    pub(super) fn apply(&mut self, plan: Plan) {
        for write in plan.writes {
            match write {
                Write::Create { resource, object, .. } => self.put(resource, object),
                Write::Delete { resource, key, .. } if resource == PODS => {
                    self.cluster.take_pod(Event::Delete(key));
                }
                Write::Delete { resource, key, .. } => {
                    self.cluster.take(resource, Event::Delete(key));
                }
                Write::Merge { resource, key, subresource, body } if resource != PODS => {
                    let mut object = self.get(resource, &key.name);
                    let expected = body.pointer("/metadata/resourceVersion");
                    assert!(
                        expected.is_none_or(|version| *version == object["metadata"]["resourceVersion"]),
                        "{body}"
                    );
                    let spec = object["spec"].clone();
                    merge(&mut object, &body);
                    if subresource.is_none() && object["spec"] != spec {
                        let generation = object["metadata"]["generation"].as_i64().unwrap();
                        object["metadata"]["generation"] = json!(generation + 1);
                    }
                    self.put(resource, object);
                }
                Write::Merge { key, body, .. } => panic!("no test patches pod {key} with {body}"),
            }
        }
    }

    /// Changes an object as a person would.
    pub(super) fn edit(&mut self, resource: &'static Resource, name: &str, change: &Value) {
        let body = change.clone();
        let key = Key::new("shop", name);
        self.apply(Plan::of(vec![Write::Merge { resource, key, subresource: None, body }]));
    }
}

fn pod(name: &str, owner: &str, ready: bool, extra: Value) -> Value {
    let status = if ready { "True" } else { "False" };
    let mut pod = json!({
        "metadata": {"name": name, "labels": {"app": "a"}, "creationTimestamp": "2026-01-01T00:00:00Z",
            "ownerReferences": [{"kind": "ReplicaSet", "name": "a-1", "uid": owner, "controller": true}]},
        "spec": {"nodeName": "n1", "containers": [{"name": "app", "image": "a:v1",
            "resources": {"requests": {"cpu": "100m"}}, "ports": [{"name": "http", "containerPort": 8080}]}]},
        "status": {"phase": "Running", "podIP": "10.0.0.1", "conditions": [
            {"type": "Ready", "status": status, "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
    });
    merge(&mut pod, &extra);
    pod
}

fn replica_set(replicas: u32) -> Value {
    json!({
        "metadata": {"name": "a-1", "uid": "set"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "a"}},
            "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "app"}]}}},
    })
}

fn summary(plan: &Plan) -> Vec<String> {
    plan.writes
        .iter()
        .map(|write| match write {
            Write::Create { resource, object, .. } => {
                let name =
                    object.pointer("/metadata/name").or(object.pointer("/metadata/generateName")).unwrap();
                format!("create {resource} {}", name.as_str().unwrap())
            }
            Write::Delete { resource, key, .. } => format!("delete {resource} {}", key.name),
            Write::Merge { resource, key, body, .. } => {
                let mut body = body.clone();
                body.as_object_mut().unwrap().remove("metadata");
                format!("{resource} {} {body}", key.name)
            }
        })
        .collect()
}

#[test]
fn surplus_pods_go_in_the_order_of_their_uselessness() {
    let check = |pods: Vec<Value>, keep: u32, expect: &[&str]| {
        let mut bench = Bench::new();
        bench.put(REPLICA_SETS, replica_set(keep));
        pods.into_iter().for_each(|pod| bench.put(PODS, pod));
        let plan = replica_set::plan(&bench.cluster, &Key::new("shop", "a-1"), bench.now);
        let deleted: Vec<String> =
            summary(&plan).into_iter().filter(|line| line.starts_with("delete")).collect();
        let expect: Vec<String> = expect.iter().map(|name| format!("delete pods {name}")).collect();
        assert_eq!(deleted, expect);
    };
    let cost = |cost: &str| json!({"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": cost}}});
    let born = |time: &str| json!({"metadata": {"creationTimestamp": time}});
    let plain = || json!({});
    check(vec![pod("p1", "set", true, plain()), pod("p2", "set", false, plain())], 1, &["p2"]);
    check(
        vec![
            pod("p1", "set", false, plain()),
            pod("p2", "set", false, json!({"status": {"phase": "Pending"}})),
            pod("p3", "set", false, json!({"spec": {"nodeName": null}, "status": {"phase": "Pending"}})),
        ],
        0,
        &["p3", "p2", "p1"],
    );
    check(vec![pod("p1", "set", true, cost("5")), pod("p2", "set", true, cost("-5"))], 1, &["p2"]);
    check(
        vec![
            pod("p1", "set", true, born("2026-01-01T00:00:01Z")),
            pod("p2", "set", true, born("2026-01-01T00:00:02Z")),
        ],
        1,
        &["p2"],
    );
    let leaving = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:30Z"}});
    check(vec![pod("p1", "set", true, leaving), pod("p2", "set", true, plain())], 1, &[]);
    check(vec![pod("p1", "somebody else", true, plain()), pod("p2", "set", true, plain())], 0, &["p2"]);
}

#[test]
fn missing_pods_are_made_once() {
    let mut bench = Bench::new();
    bench.put(REPLICA_SETS, replica_set(2));
    let key = Key::new("shop", "a-1");
    bench.apply(replica_set::plan(&bench.cluster, &key, bench.now));
    assert_eq!(bench.cluster.pods.len(), 2);
    assert!(bench.cluster.pods.iter().all(|pod| &*pod.owner == "set" && pod.labels["app"] == "a"));
    bench.apply(replica_set::plan(&bench.cluster, &key, bench.now));
    assert_eq!(bench.cluster.pods.len(), 2);
    assert_eq!(replica_set::plan(&bench.cluster, &key, bench.now), Plan::nothing());
    let status = &bench.get(REPLICA_SETS, "a-1")["status"];
    assert_eq!(
        *status,
        json!({"replicas": 2, "fullyLabeledReplicas": 2, "observedGeneration": 1, "terminatingReplicas": 0})
    );
}

#[test]
fn orphans_are_adopted_and_strays_released() {
    let mut bench = Bench::new();
    bench.put(REPLICA_SETS, replica_set(1));
    bench.put(PODS, pod("orphan", "", true, json!({"metadata": {"ownerReferences": null}})));
    bench.put(PODS, pod("stray", "set", true, json!({"metadata": {"labels": {"app": "debug"}}})));
    let plan = replica_set::plan(&bench.cluster, &Key::new("shop", "a-1"), bench.now);
    let owners: Vec<(String, Value)> = plan
        .writes
        .iter()
        .filter_map(|write| match write {
            Write::Merge { resource, key, body, .. } if *resource == PODS => Some((
                key.name.to_string(),
                body.pointer("/metadata/ownerReferences/0/uid").cloned().unwrap_or_default(),
            )),
            _ => None,
        })
        .collect();
    assert_eq!(owners, [("stray".to_owned(), Value::Null), ("orphan".to_owned(), json!("set"))]);
}

#[test]
fn readiness_becomes_availability_after_a_while() {
    let mut bench = Bench::new();
    let mut set = replica_set(1);
    set["spec"]["minReadySeconds"] = json!(30);
    bench.put(REPLICA_SETS, set);
    bench.put(PODS, pod("p1", "set", true, json!({})));
    let key = Key::new("shop", "a-1");
    let plan = replica_set::plan(&bench.cluster, &key, bench.now);
    assert_eq!(plan.wake_at, Some("2026-01-01T00:00:30Z".parse().unwrap()));
    bench.apply(plan);
    assert_eq!(bench.get(REPLICA_SETS, "a-1")["status"]["readyReplicas"], json!(1));
    assert_eq!(bench.get(REPLICA_SETS, "a-1")["status"]["availableReplicas"], Value::Null);
    bench.now = "2026-01-01T00:00:30Z".parse().unwrap();
    bench.apply(replica_set::plan(&bench.cluster, &key, bench.now));
    assert_eq!(bench.get(REPLICA_SETS, "a-1")["status"]["availableReplicas"], json!(1));
}

#[test]
fn endpoints_say_who_serves() {
    let mut bench = Bench::new();
    let ports = json!([{"name": "web", "port": 80, "targetPort": "http"}]);
    bench.put(
        SERVICES,
        json!({"metadata": {"name": "a"}, "spec": {"selector": {"app": "a"}, "ports": ports}}),
    );
    bench.put(PODS, pod("p1", "set", true, json!({})));
    bench.put(PODS, pod("p2", "set", false, json!({})));
    bench.put(
        PODS,
        pod("p3", "set", true, json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:30Z"}})),
    );
    bench.put(PODS, pod("p4", "set", true, json!({"metadata": {"labels": {"app": "b"}}})));
    bench.put(PODS, pod("p5", "set", true, json!({"status": {"podIP": null}})));
    let key = Key::new("shop", "a");
    let plan = endpoints::plan(&bench.cluster, &key);
    let Write::Create { object, .. } = &plan.writes[0] else { panic!("{plan:?}") };
    let states: Vec<String> = object::list(object, "/endpoints")
        .iter()
        .map(|endpoint| format!("{} {}", text(endpoint, "/targetRef/name"), endpoint["conditions"]))
        .collect();
    assert_eq!(
        states,
        [
            r#"p1 {"ready":true,"serving":true,"terminating":false}"#,
            r#"p2 {"ready":false,"serving":false,"terminating":false}"#,
            r#"p3 {"ready":false,"serving":true,"terminating":true}"#,
        ]
    );
    assert_eq!(object["ports"], json!([{"name": "web", "port": 8080, "protocol": "TCP"}]));
    bench.apply(plan);
    assert_eq!(endpoints::plan(&bench.cluster, &key), Plan::nothing());
}

#[test]
fn budgets_count_what_may_go() {
    let check = |spec: Value, ready: usize, unready: usize, expect: [u32; 4]| {
        let mut bench = Bench::new();
        let mut spec = spec;
        spec["selector"] = json!({"matchLabels": {"app": "a"}});
        bench.put(PDBS, json!({"metadata": {"name": "a"}, "spec": spec}));
        bench.put(REPLICA_SETS, replica_set(u32::try_from(ready + unready).unwrap()));
        for number in 0..ready + unready {
            bench.put(PODS, pod(&format!("p{number}"), "set", number < ready, json!({})));
        }
        bench.apply(disruption::plan(&bench.cluster, &Key::new("shop", "a")));
        let status = bench.get(PDBS, "a")["status"].clone();
        let counts = ["expectedPods", "currentHealthy", "desiredHealthy", "disruptionsAllowed"];
        assert_eq!(counts.map(|field| status[field].clone()), expect.map(|number| json!(number)), "{spec}");
    };
    check(json!({"maxUnavailable": 1}), 3, 0, [3, 3, 2, 1]);
    check(json!({"maxUnavailable": 1}), 2, 1, [3, 2, 2, 0]);
    check(json!({"maxUnavailable": "25%"}), 3, 0, [3, 3, 2, 1]);
    check(json!({"minAvailable": 2}), 3, 0, [3, 3, 2, 1]);
    check(json!({"minAvailable": "50%"}), 3, 0, [3, 3, 2, 1]);
    check(json!({"minAvailable": "100%"}), 3, 0, [3, 3, 3, 0]);
    check(json!({"maxUnavailable": 5}), 2, 0, [2, 2, 0, 2]);
    check(json!({}), 0, 0, [0, 0, 0, 0]);
}

#[test]
fn an_autoscaler_grows_at_once_and_shrinks_late() {
    let mut bench = Bench::new();
    let selector = json!({"matchLabels": {"app": "a"}});
    bench.put(DEPLOYMENTS, json!({"metadata": {"name": "a"}, "spec": {"replicas": 2, "selector": selector}}));
    let metric = json!([{"type": "Resource", "resource": {
        "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]);
    bench.put(
        HPAS,
        json!({"metadata": {"name": "a"}, "spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": "a"}, "minReplicas": 1, "maxReplicas": 6,
            "metrics": metric}}),
    );
    for name in ["p1", "p2"] {
        bench.put(PODS, pod(name, "set", true, json!({"metadata": {"uid": name}})));
    }
    let mut memory = hpa::Recommendations::new();
    let mut desired = |minute: i64, millicores: u64| {
        let usage = ["p1", "p2"].map(|uid| (uid.into(), millicores)).into();
        let now = bench.now + jiff::SignedDuration::from_mins(minute);
        let plan = hpa::plan(&bench.cluster, &Key::new("shop", "a"), &usage, &mut memory, now);
        let scaled = plan.writes.iter().find_map(|write| match write {
            Write::Merge { subresource: Some("scale"), body, .. } => {
                Some(body["spec"]["replicas"].as_u64().unwrap())
            }
            _ => None,
        });
        scaled.unwrap_or(2)
    };
    assert_eq!(desired(0, 54), 2, "within the tolerance");
    assert_eq!(desired(1, 80), 4);
    assert_eq!(desired(2, 500), 4, "at most twice the size at once");
    assert_eq!(desired(3, 10), 2, "a high recommendation is still remembered");
    assert_eq!(desired(8, 10), 1, "and then forgotten");
}

#[test]
fn a_row_that_differs_only_in_its_version_is_no_change() {
    use trimtab_kube::watch::Row;
    let one = PodRow::read(&pod("p1", "set", true, json!({"metadata": {"resourceVersion": "5"}})));
    let other = PodRow::read(&pod("p1", "set", true, json!({"metadata": {"resourceVersion": "6"}})));
    let unready = PodRow::read(&pod("p1", "set", false, json!({"metadata": {"resourceVersion": "6"}})));
    assert!(!other.differs_from(&one));
    assert!(unready.differs_from(&one));
    let whole = Whole::new(json!({"metadata": {"name": "a", "resourceVersion": "not a number"}}));
    assert_eq!(whole.version, 0);
}
