//! A plan that its controller may not carry out changes nothing: it is counted, said, and made again ever more seldom.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use trimtab_control::context::Reads;
use trimtab_control::controller::{Controller, Gathered};
use trimtab_control::host::Controllers;
use trimtab_dst::stage::{LEASES, MANAGER_USER, NAMESPACE};
use trimtab_dst::{Stage, StageOptions, script};
use trimtab_kube::host::Host;
use trimtab_kube::kinds::{self, Changed, FLEET_POLICIES, Namespaces, Policies, Stores};
use trimtab_kube::queue::Queue;
use trimtab_kube::{CancellationToken, Key};
use trimtab_plan::{
    Concern, Event, IfAbsent, Kind, Object, Part, Patch, Plan, Precondition, Reason, Report, Right, Severity,
    Write,
};

use crate::logged::warnings;

/// May tell, and may touch nothing.
const NOSY: Concern =
    Concern { name: "nosy", manager: "example-nosy", rights: &[Right::Create(Kind::EVENT)], conditions: &[] };

/// Wants a Deployment paused, for every policy that there is.
struct Nosy {
    stores: Stores,
    /// Uid of the Deployment.
    uid: String,
    planned: Arc<AtomicUsize>,
}

impl Controller for Nosy {
    type Key = Key;
    type Seen = Timestamp;

    fn concern(&self) -> &'static Concern {
        &NOSY
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

    fn gather(&self, _: &Key, now: Timestamp) -> Gathered<Timestamp> {
        Gathered::Seen(now)
    }

    /// The first write is one that it may make, and the server would take both.
    fn plan(&self, now: &Timestamp) -> (Plan, Report) {
        self.planned.fetch_add(1, Ordering::SeqCst);
        let deployment = Object::new(Kind::DEPLOYMENT, NAMESPACE, "pay");
        let event = Event {
            object: Object::new(Kind::EVENT, NAMESPACE, "pay.paused"),
            regarding: deployment.clone(),
            uid: self.uid.clone(),
            reason: Reason::Kept,
            severity: Severity::Normal,
            note: "pay is paused".to_owned(),
            at: *now,
        };
        let pause = Write::Patch {
            object: deployment.clone(),
            part: Part::Main,
            patch: Patch::Merge(json!({"spec": {"paused": true}})),
            copy: None,
            when: Precondition::uid(self.uid.clone()),
            if_absent: IfAbsent::Fail,
        };
        let report = Report { about: deployment, summary: "is paused".to_owned(), steps: Vec::new() };
        (Plan { writes: vec![Write::Event { event, by: &NOSY }, pause], wake_at: None }, report)
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_breaks_the_list_of_who_may_write_what_is_not_carried_out() {
    let (log, _logging) = warnings();
    let mut stage = Stage::set(&StageOptions::seeded(7));
    script::run("service pay replicas=1 rps=5 image=shop/pay:v1\nadvance 5m\n", &mut stage).await;
    let deployment = stage.sim.get("deployments.apps", NAMESPACE, "pay").unwrap();
    let uid = deployment["metadata"]["uid"].as_str().unwrap().to_owned();
    let policy = json!({
        "apiVersion": FLEET_POLICIES.api_version(), "kind": "FleetPolicy", "metadata": {"name": "any"}, "spec": {},
    });
    stage.person.create(FLEET_POLICIES, None, &policy).await.unwrap();

    let (context, elector) = stage.stand(kinds::all());
    let planned = Arc::<AtomicUsize>::default();
    let mut controllers = Controllers::new(context.clone());
    let nosy = Nosy { stores: context.stores.clone(), uid, planned: planned.clone() };
    controllers.add(nosy, Queue::new(NOSY.name, context.clock.clone()));
    let (stop, host) = (CancellationToken::new(), Host::new());
    let running = tokio::spawn({
        let (stop, host) = (stop.clone(), host.clone());
        async move { controllers.run(elector, &Namespaces::All, &host, stop).await }
    });
    stage.advance(Duration::from_secs(3_600)).await;

    let mut sent = stage.sim.ledger();
    sent.retain(|entry| entry.user == MANAGER_USER && entry.resource != LEASES);
    assert_eq!(sent, [], "nothing of it was asked for, not even what it may write");
    let planned = planned.load(Ordering::SeqCst);
    assert!((10..=25).contains(&planned), "made {planned} times in an hour: 1 s apart at first, then 5 min");
    let counted = format!("trimtab_plans_refused_total{{controller=\"nosy\"}} {planned}\n");
    let metrics = host.metrics().unwrap();
    assert!(metrics.contains(&counted), "{metrics}");
    let told = log.text();
    let why = "a plan of nosy was not carried out: write 1: nosy may not write /spec/paused of Deployment shop/pay; \
        please report this";
    assert_eq!(told.matches(why).count(), planned, "{told}");

    stop.cancel();
    running.await.unwrap();
}
