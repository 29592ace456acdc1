//! A plan that computes for seconds costs neither the lease nor another controller's turn. In real time, on threads: that is
//! what it is about.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use trimtab_control::context::Reads;
use trimtab_control::controller::{Controller, Gathered};
use trimtab_control::controllers::policy::Policy;
use trimtab_control::host::Controllers;
use trimtab_dst::stage::{LEASES, OWN_NAMESPACE};
use trimtab_dst::{Stage, StageOptions};
use trimtab_kube::host::Host;
use trimtab_kube::kinds::{self, Changed, FLEET_POLICIES, Namespaces, Policies, Stores};
use trimtab_kube::queue::Queue;
use trimtab_kube::{CancellationToken, Key};
use trimtab_plan::concern::{Concern, UNCLAIM};
use trimtab_plan::{Kind, Object, Plan, Report};

/// How long the slow plan computes.
const COMPUTES: Duration = Duration::from_secs(5);
/// How long anything may take before the test gives up: nothing is measured by it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Thinks about every policy, for long, and never writes.
struct Slow {
    stores: Stores,
    began: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
}

impl Controller for Slow {
    type Key = Key;
    type Seen = ();

    fn concern(&self) -> &'static Concern {
        &UNCLAIM
    }

    fn concerned(&self, changed: Changed<'_>) -> Vec<Key> {
        changed.keys::<Policies>()
    }

    fn all(&self) -> Vec<Key> {
        self.stores.keys::<Policies>()
    }

    fn reads(&self, _: &Key) -> Vec<Reads> {
        Vec::new()
    }

    fn gather(&self, _: &Key, _: Timestamp) -> Gathered<()> {
        Gathered::Seen(())
    }

    #[allow(clippy::disallowed_methods, reason = "a plan that computes holds its thread")]
    fn plan(&self, (): &()) -> (Plan, Report) {
        self.began.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(COMPUTES);
        self.ended.fetch_add(1, Ordering::SeqCst);
        let about = Object::cluster_wide(Kind::FLEET_POLICY, "any");
        (Plan::nothing(), Report { about, summary: String::new(), steps: Vec::new() })
    }
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let waited = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waited).await.is_ok(), "{what} did not come");
}

fn policy(name: &str) -> Value {
    json!({"apiVersion": "trimtab.dev/v1alpha1", "kind": "FleetPolicy", "metadata": {"name": name}, "spec": {}})
}

fn version(stage: &Stage, resource: &str, namespace: &str, name: &str) -> Value {
    let found = stage.sim.get(resource, namespace, name).unwrap_or_default();
    found["metadata"]["resourceVersion"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_plan_that_computes_costs_nobody_else_a_turn() {
    let stage = Stage::set(&StageOptions::seeded(1));
    let (context, elector) = stage.stand(kinds::all());
    let (began, ended) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let mut controllers = Controllers::new(context.clone());
    let slow = Slow { stores: context.stores.clone(), began: began.clone(), ended: ended.clone() };
    controllers.add(slow, Queue::new("slow", context.clock.clone()));
    let queue = Queue::new("policies", context.clock.clone());
    controllers.add(Policy { stores: context.stores.clone() }, queue);
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    let manager = tokio::spawn(async move {
        controllers.run(elector, &Namespaces::All, &Host::new(), stopping).await;
    });

    stage.person.create(FLEET_POLICIES, None, &policy("first")).await.unwrap();
    until("the slow plan", || began.load(Ordering::SeqCst) == 1).await;
    let lease = version(&stage, LEASES, OWN_NAMESPACE, "trimtab-manager");
    stage.person.create(FLEET_POLICIES, None, &policy("second")).await.unwrap();
    let is_valid = || {
        let second = stage.sim.get("fleetpolicies.trimtab.dev", "", "second").unwrap_or_default();
        second["status"]["conditions"][0]["status"] == "True"
    };
    until("the other controller's turn", is_valid).await;
    until("a renewal", || version(&stage, LEASES, OWN_NAMESPACE, "trimtab-manager") != lease).await;
    assert_eq!((began.load(Ordering::SeqCst), ended.load(Ordering::SeqCst)), (1, 0), "the slow plan is over");

    stop.cancel();
    manager.await.unwrap();
    let holder = stage.sim.get(LEASES, OWN_NAMESPACE, "trimtab-manager").unwrap_or_default();
    assert_eq!(holder["spec"]["holderIdentity"].as_str().unwrap_or_default(), "", "the lease is given back");
}
