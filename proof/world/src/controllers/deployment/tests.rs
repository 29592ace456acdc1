//! Rollouts, step by step: sizes of the old and the new ReplicaSet after every look of the controller.

use serde_json::{Value, json};
use trimtab_kube::Key;
use trimtab_kube::resource::{DEPLOYMENTS, PODS, REPLICA_SETS};

use super::plan;
use crate::controllers::tests::Bench;
use crate::object::{list, text};

/// Looks that any of these rollouts needs at most.
const MOST_LOOKS: usize = 60;

fn deployment(replicas: u32, strategy: Value) -> Value {
    json!({
        "metadata": {"name": "a", "uid": "d", "annotations": {"team": "blue"}},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": "a"}}, "strategy": strategy,
            "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "app", "image": "a:v1"}]}},
        },
    })
}

fn image(tag: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": format!("a:{tag}")}]}}}})
}

fn rolling(surge: Value, unavailable: Value) -> Value {
    json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}})
}

struct Rollout {
    bench: Bench,
    /// Images whose pods never become available.
    broken: Vec<&'static str>,
}

impl Rollout {
    fn new(replicas: u32, strategy: Value) -> Self {
        let mut bench = Bench::new();
        bench.put(DEPLOYMENTS, deployment(replicas, strategy));
        let mut rollout = Rollout { bench, broken: Vec::new() };
        rollout.settle();
        rollout
    }

    /// One look of the controller, then every ReplicaSet gets its pods. The sizes after it; `None` if nothing was done.
    fn look(&mut self) -> Option<String> {
        self.bench.now += jiff::SignedDuration::from_secs(1);
        let plan = plan(&self.bench.cluster, &Key::new("shop", "a"), self.bench.now);
        let idle = plan.writes.is_empty();
        self.bench.apply(plan);
        let names: Vec<String> =
            self.bench.cluster.replica_sets.iter().map(|row| row.key.name.to_string()).collect();
        let moved: Vec<bool> = names.iter().map(|name| self.fill(name)).collect();
        (!idle || moved.contains(&true)).then(|| self.sizes())
    }

    fn fill(&mut self, name: &str) -> bool {
        let set = self.bench.get(REPLICA_SETS, name);
        let size = set["spec"]["replicas"].clone();
        let image = text(&set, "/spec/template/spec/containers/0/image");
        let works = !self.broken.iter().any(|broken| image.ends_with(broken));
        let available = if works { size.clone() } else { json!(0) };
        let status = json!({
            "replicas": size, "readyReplicas": available, "availableReplicas": available,
            "observedGeneration": set["metadata"]["generation"],
        });
        if set["status"] == status {
            return false;
        }
        self.bench.edit(REPLICA_SETS, name, &json!({"status": status}));
        true
    }

    /// `v1:10 v2:3`, oldest first.
    fn sizes(&self) -> String {
        let mut sets: Vec<(String, String)> = Vec::new();
        for row in self.bench.cluster.replica_sets.iter() {
            let image = text(&row.object, "/spec/template/spec/containers/0/image");
            let size = &row.object["spec"]["replicas"];
            let created = text(&row.object, "/metadata/creationTimestamp").to_owned();
            sets.push((created, format!("{}:{size}", image.trim_start_matches("a:"))));
        }
        sets.sort();
        sets.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(" ")
    }

    /// Looks until nothing is left to do; the different sizes on the way.
    fn settle(&mut self) -> Vec<String> {
        let mut steps: Vec<String> = Vec::new();
        for _ in 0..MOST_LOOKS {
            let Some(sizes) = self.look() else { return steps };
            if steps.last() != Some(&sizes) {
                steps.push(sizes);
            }
        }
        panic!("still moving after {MOST_LOOKS} looks: {steps:?}");
    }

    fn edit(&mut self, change: &Value) -> Vec<String> {
        self.bench.edit(DEPLOYMENTS, "a", change);
        self.settle()
    }

    fn condition(&self, kind: &str) -> String {
        let deployment = self.bench.get(DEPLOYMENTS, "a");
        let condition = list(&deployment, "/status/conditions").iter().find(|c| text(c, "/type") == kind);
        condition.map_or(String::new(), |c| format!("{} {}", text(c, "/status"), text(c, "/reason")))
    }

    fn revision(&self) -> String {
        let deployment = self.bench.get(DEPLOYMENTS, "a");
        text(&deployment, "/metadata/annotations/deployment.kubernetes.io~1revision").to_owned()
    }
}

#[test]
fn pods_move_within_the_fenceposts() {
    let check = |replicas: u32, strategy: Value, expect: &[&str]| {
        let mut rollout = Rollout::new(replicas, strategy.clone());
        let steps = rollout.edit(&image("v2"));
        assert_eq!(steps, expect, "{replicas} replicas, {strategy}");
        assert_eq!(rollout.condition("Progressing"), "True NewReplicaSetAvailable");
        assert_eq!(rollout.revision(), "2");
    };
    check(1, json!({}), &["v1:1 v2:1", "v1:0 v2:1"]);
    check(
        3,
        rolling(json!(1), json!(0)),
        &["v1:3 v2:1", "v1:2 v2:1", "v1:2 v2:2", "v1:1 v2:2", "v1:1 v2:3", "v1:0 v2:3"],
    );
    check(
        3,
        rolling(json!(0), json!(1)),
        &["v1:3 v2:0", "v1:2 v2:0", "v1:2 v2:1", "v1:1 v2:1", "v1:1 v2:2", "v1:0 v2:2", "v1:0 v2:3"],
    );
    check(4, rolling(json!(2), json!(2)), &["v1:4 v2:2", "v1:0 v2:2", "v1:0 v2:4"]);
    check(10, json!({}), &["v1:10 v2:3", "v1:5 v2:3", "v1:5 v2:8", "v1:0 v2:8", "v1:0 v2:10"]);
    check(3, rolling(json!("100%"), json!(0)), &["v1:3 v2:3", "v1:0 v2:3"]);
    check(0, json!({}), &["v1:0 v2:0"]);
}

#[test]
fn a_broken_release_stops_at_the_fenceposts_and_a_new_one_replaces_it() {
    let mut rollout = Rollout::new(10, json!({}));
    rollout.broken = vec!["v2"];
    assert_eq!(rollout.edit(&image("v2")), ["v1:10 v2:3", "v1:8 v2:3", "v1:8 v2:5"]);
    assert_eq!(rollout.condition("Progressing"), "True ReplicaSetUpdated");
    rollout.bench.now += jiff::SignedDuration::from_secs(601);
    rollout.settle();
    assert_eq!(rollout.condition("Progressing"), "False ProgressDeadlineExceeded");
    assert_eq!(rollout.condition("Available"), "True MinimumReplicasAvailable");
    assert_eq!(
        rollout.edit(&image("v3")),
        [
            "v1:8 v2:5 v3:0",
            "v1:8 v2:0 v3:0",
            "v1:8 v2:0 v3:5",
            "v1:3 v2:0 v3:5",
            "v1:3 v2:0 v3:10",
            "v1:0 v2:0 v3:10"
        ]
    );
    assert_eq!(rollout.condition("Progressing"), "True NewReplicaSetAvailable");
    assert_eq!(rollout.revision(), "3");
}

#[test]
fn going_back_reuses_the_old_set_under_a_new_revision() {
    let mut rollout = Rollout::new(2, json!({}));
    rollout.edit(&image("v2"));
    assert_eq!(rollout.edit(&image("v1")).last().unwrap(), "v1:2 v2:0");
    assert_eq!(rollout.revision(), "3");
    let sets = rollout.bench.cluster.replica_sets.iter();
    let history: Vec<Value> = sets
        .filter_map(|row| {
            row.object.pointer("/metadata/annotations/deployment.kubernetes.io~1revision-history").cloned()
        })
        .collect();
    assert_eq!(history, [json!("1")]);
}

#[test]
fn a_paused_deployment_makes_no_set_but_is_scaled() {
    let mut rollout = Rollout::new(4, json!({}));
    let none: [&str; 0] = [];
    assert_eq!(rollout.edit(&json!({"spec": {"paused": true}})), ["v1:4"]);
    assert_eq!(rollout.condition("Progressing"), "Unknown DeploymentPaused");
    rollout.edit(&image("v2"));
    assert_eq!(rollout.bench.cluster.replica_sets.len(), 1);
    assert_eq!(rollout.edit(&json!({"spec": {"replicas": 6}})), ["v1:6"]);
    assert_eq!(rollout.edit(&json!({"spec": {"paused": false}})).last().unwrap(), "v1:0 v2:6");
    assert_eq!(rollout.condition("Progressing"), "True NewReplicaSetAvailable");
    rollout.edit(&json!({"spec": {"paused": true}}));
    rollout.edit(&json!({"spec": {"paused": false}}));
    assert_eq!(rollout.settle(), none, "pausing and resuming an unchanged template moves nothing");
}

#[test]
fn a_change_of_size_in_the_middle_is_shared_in_proportion() {
    let check = |size: u32, expect: &str| {
        let mut rollout = Rollout::new(10, rolling(json!(3), json!(2)));
        rollout.broken = vec!["v2"];
        assert_eq!(rollout.edit(&image("v2")).last().unwrap(), "v1:8 v2:5");
        rollout.edit(&json!({"spec": {"paused": true}}));
        assert_eq!(rollout.edit(&json!({"spec": {"replicas": size}})).last().unwrap(), expect);
    };
    check(15, "v1:11 v2:7");
    check(5, "v1:5 v2:3");
    check(0, "v1:0 v2:0");
}

#[test]
fn recreating_waits_for_the_last_old_pod() {
    let mut rollout = Rollout::new(3, json!({"type": "Recreate"}));
    let owner = rollout.bench.cluster.replica_sets.iter().next().unwrap().object["metadata"]["uid"].clone();
    let reference = json!([{"kind": "ReplicaSet", "name": "x", "uid": owner, "controller": true}]);
    rollout.bench.put(PODS, json!({"metadata": {"name": "p", "ownerReferences": reference}}));
    assert_eq!(rollout.edit(&image("v2")), ["v1:0"]);
    rollout.bench.cluster.take_pod(trimtab_kube::watch::Event::Delete(Key::new("shop", "p")));
    assert_eq!(rollout.settle(), ["v1:0 v2:3"]);
    assert_eq!(rollout.condition("Progressing"), "True NewReplicaSetAvailable");
}

#[test]
fn history_is_limited() {
    let mut rollout = Rollout::new(1, json!({}));
    rollout.edit(&json!({"spec": {"revisionHistoryLimit": 2}}));
    for tag in ["v2", "v3", "v4", "v5"] {
        rollout.edit(&image(tag));
    }
    assert_eq!(rollout.sizes(), "v3:0 v4:0 v5:1");
    assert_eq!(rollout.revision(), "5");
}

#[test]
fn only_own_and_orphaned_sets_are_touched() {
    let mut rollout = Rollout::new(2, json!({}));
    let foreign = json!([{"kind": "ManagedApp", "name": "a", "uid": "m", "controller": true}]);
    let labels = json!({"app": "a"});
    let spec = json!({"replicas": 5, "template": {"metadata": {"labels": labels}}});
    rollout.bench.put(
        REPLICA_SETS,
        json!({"metadata": {"name": "companion", "labels": labels, "ownerReferences": foreign}, "spec": spec}),
    );
    rollout.bench.put(REPLICA_SETS, json!({"metadata": {"name": "orphan", "labels": labels}, "spec": spec}));
    rollout.settle();
    assert_eq!(rollout.bench.get(REPLICA_SETS, "companion")["spec"]["replicas"], json!(5));
    let orphan = rollout.bench.get(REPLICA_SETS, "orphan");
    assert_eq!(orphan.pointer("/metadata/ownerReferences/0/uid"), Some(&json!("d")));
    assert_eq!(orphan["spec"]["replicas"], json!(0), "an adopted set of another template is an old one");
}

proptest::proptest! {
    /// From any settled state, whatever of the new release works: never too many pods, never too few available.
    #[test]
    fn no_look_leaves_the_fenceposts(
        replicas in 0_u32..12, surge in 0_u32..5, unavailable in 0_u32..5, broken in proptest::bool::ANY,
        again in proptest::bool::ANY,
    ) {
        let mut rollout = Rollout::new(replicas, rolling(json!(surge), json!(unavailable)));
        if broken {
            rollout.broken = vec!["v2"];
        }
        let releases = if again { vec!["v2", "v3"] } else { vec!["v2"] };
        // Two zeros mean that one pod may be missing.
        let missing = if surge == 0 { unavailable.max(1) } else { unavailable };
        for release in releases {
            rollout.bench.edit(DEPLOYMENTS, "a", &image(release));
            for _ in 0..MOST_LOOKS {
                let more = rollout.look().is_some();
                let sets = || rollout.bench.cluster.replica_sets.iter().map(|row| row.object.clone());
                let sum = |pointer: &str| sets().map(|set| crate::object::count(&set, pointer, 0)).sum::<u32>();
                proptest::prop_assert!(sum("/spec/replicas") <= replicas + surge);
                proptest::prop_assert!(sum("/status/availableReplicas") >= replicas.saturating_sub(missing));
                if !more {
                    break;
                }
            }
        }
        if !broken || again {
            proptest::prop_assert_eq!(rollout.condition("Progressing"), "True NewReplicaSetAvailable");
        }
    }
}
