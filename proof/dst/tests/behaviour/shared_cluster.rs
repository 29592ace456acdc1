//! Managers that share a cluster: one with rights in some namespaces alone, and one of several instances.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use trimtab_control::measurements::Measure;
use trimtab_control::{ManagerOptions, Parts};
use trimtab_delivery::names::MANAGER;
use trimtab_dst::stage::NAMESPACE;
use trimtab_dst::{Stage, StageOptions, script};
use trimtab_judge::{Answer, Query};
use trimtab_kube::api::{Patch, Preconditions, Propagation};
use trimtab_kube::host::Host;
use trimtab_kube::kinds::{MANAGED_APPS, Namespaces};
use trimtab_kube::{Api, CancellationToken, Resource};
use trimtab_plan::Kind;

const SHIP: &str = "service payments replicas=3 rps=50 image=shop/payments:v1\nadvance 10m\nstart manager\nclaim payments\nsettle\n\
    apply payments shop/payments:v2-errors30 by argocd-controller\nsettle\nshow payments\n";

/// A service runs, and nobody looks after it.
const RUNS: &str = "service payments replicas=1 rps=5 image=shop/payments:v1\nadvance 5m\n";

async fn play(stage: &mut Stage, commands: &str) {
    let transcript = script::run(commands, stage).await;
    assert!(!transcript.contains("line "), "{transcript}");
}

/// Says which instance looks after the service.
async fn give_to(stage: &Stage, instance: Option<&str>) {
    let label = Patch::Merge(json!({"metadata": {"labels": {"trimtab.dev/instance": instance}}}));
    stage.person.patch(MANAGED_APPS, Some(NAMESPACE), "payments", &label).await.unwrap();
}

/// What the claim on the Deployment asks for, and whose it is.
fn claim(stage: &Stage) -> (Value, Value) {
    let deployment = stage.sim.get("deployments.apps", NAMESPACE, "payments").unwrap();
    let annotation =
        |name: &str| deployment["metadata"]["annotations"].get(name).cloned().unwrap_or_default();
    (annotation("trimtab.dev/claim"), annotation("trimtab.dev/instance"))
}

/// Writes of managers to Deployments so far.
fn claims_written(stage: &Stage) -> usize {
    stage.writes().iter().filter(|entry| entry.resource == "deployments.apps").count()
}

fn phase(stage: &Stage, name: &str) -> Value {
    let app = stage.sim.get("managedapps.trimtab.dev", NAMESPACE, name).unwrap();
    app["status"]["phase"].clone()
}

#[tokio::test(start_paused = true)]
async fn a_manager_of_one_namespace_ships_there_and_asks_nothing_of_the_cluster() {
    let watched = Namespaces::These(vec![Arc::from(NAMESPACE)]);
    let mut stage = Stage::set(&StageOptions { watched, ..StageOptions::seeded(7) });
    let shown = script::run(SHIP, &mut stage).await;
    assert!(shown.contains("Healthy on v1 (v2 rejected)"), "{shown}");
    let refused: Vec<String> = stage
        .sim
        .ledger()
        .into_iter()
        .filter(|entry| entry.user == trimtab_dst::stage::MANAGER_USER && entry.code == 403)
        .map(|entry| format!("{} {} in {:?}", entry.verb, entry.resource, entry.namespace))
        .collect();
    assert_eq!(refused, Vec::<String>::new(), "nothing is asked that it may not have");
    stage.stop_managers().await;
}

/// A namespace that was deleted, or in which the manager has no rights, is nobody else's business.
#[tokio::test(start_paused = true)]
async fn a_namespace_that_cannot_be_read_holds_up_no_other() {
    let watched = Namespaces::These(vec![Arc::from("gone"), Arc::from(NAMESPACE)]);
    let mut stage = Stage::set(&StageOptions { watched, ..StageOptions::seeded(7) });
    let bindings = Resource::of(Kind::new("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings"));
    let (admin, all) = (Api::new(stage.sim.client("system:admin").client, "test"), Preconditions::default());
    let background = Propagation::Background;
    admin
        .delete(&bindings, Some("gone"), "trimtab-manager-watch", &all, background)
        .await
        .expect("the manager had rights there");
    let shown = script::run(SHIP, &mut stage).await;
    assert!(shown.contains("Healthy on v1 (v2 rejected)"), "{shown}");
    stage.stop_managers().await;
}

#[tokio::test(start_paused = true)]
async fn an_instance_looks_after_its_own_services() {
    let instance = Some("team-a".to_owned());
    let mut stage = Stage::set(&StageOptions { instance, ..StageOptions::seeded(7) });
    script::run("service payments replicas=1 rps=5 image=shop/payments:v1\nadvance 5m\nstart manager\nclaim payments\nadvance 1m\n", &mut stage).await;
    assert_eq!(phase(&stage, "payments"), Value::Null, "it is nobody's of this instance");
    assert!(stage.sim.get(trimtab_dst::stage::LEASES, "trimtab-system", "trimtab-manager-team-a").is_some());

    give_to(&stage, Some("team-a")).await;
    stage.advance(Duration::from_secs(60)).await;
    assert_eq!(phase(&stage, "payments"), json!("Healthy"));
    stage.stop_managers().await;
}

/// Its watch of services is late: what it sees is a claimed Deployment that no service names.
#[tokio::test(start_paused = true)]
async fn an_instance_lets_go_of_its_own_claims_alone() {
    for (owner, late) in [(None, Some("team-b")), (Some("team-a"), Some("team-b")), (Some("team-a"), None)] {
        let mut stage = Stage::set(&StageOptions::seeded(7));
        play(&mut stage, RUNS).await;
        stage.start_manager_of(owner);
        stage.start_manager_of(late);
        play(&mut stage, "advance 1m\nfault late-events resource=managedapps.trimtab.dev by=20s manager=2\nclaim payments\n").await;
        give_to(&stage, owner).await;
        stage.advance(Duration::from_secs(60)).await;
        assert_eq!(claim(&stage), (json!("open"), json!(owner)), "{owner:?} has it");
        assert_eq!(claims_written(&stage), 1, "nobody else touched what {owner:?} claimed");
        play(&mut stage, "end faults\nunclaim payments\nadvance 1m\n").await;
        assert_eq!(claim(&stage), (Value::Null, Value::Null), "nothing of {owner:?} stays");
        stage.stop_managers().await;
    }
}

/// The old one hears late that the service is no longer its own, and writes nothing meanwhile.
#[tokio::test(start_paused = true)]
async fn a_service_goes_from_one_instance_to_another() {
    for (from, to) in [(None, Some("team-b")), (Some("team-a"), Some("team-b")), (Some("team-a"), None)] {
        let mut stage = Stage::set(&StageOptions::seeded(7));
        play(&mut stage, RUNS).await;
        stage.start_manager_of(from);
        stage.start_manager_of(to);
        play(&mut stage, "advance 1m\nclaim payments\n").await;
        give_to(&stage, from).await;
        stage.advance(Duration::from_secs(60)).await;
        assert_eq!(claim(&stage), (json!("open"), json!(from)));
        let before = claims_written(&stage);
        play(&mut stage, "fault late-events resource=managedapps.trimtab.dev by=20s manager=1\n").await;
        give_to(&stage, to).await;
        stage.advance(Duration::from_secs(10)).await;
        assert_eq!(claim(&stage), (json!("open"), json!(to)), "{to:?} took over");
        stage.advance(Duration::from_secs(50)).await;
        assert_eq!(claim(&stage), (json!("open"), json!(to)), "and {from:?} did not undo it");
        assert_eq!(claims_written(&stage), before + 1, "one write hands it over");
        play(&mut stage, "end faults\napply payments shop/payments:v2 by argocd-controller\nsettle\n").await;
        assert_eq!(phase(&stage, "payments"), json!("Healthy"), "{to:?} ships it");
        play(&mut stage, "unclaim payments\nadvance 1m\n").await;
        assert_eq!(claim(&stage), (Value::Null, Value::Null), "nothing of {to:?} stays");
        stage.stop_managers().await;
    }
}

/// Counts what it is asked, and finds nothing.
struct Counting(AtomicUsize);

impl Measure for Counting {
    fn ask<'a>(&'a self, _: &'a Query) -> BoxFuture<'a, Answer> {
        self.0.fetch_add(1, Ordering::Relaxed);
        async { Answer::Samples(Vec::new()) }.boxed()
    }
}

/// Rules that find no series are looked up again every hour, while the service is one of the instance.
#[tokio::test(start_paused = true)]
async fn an_instance_asks_about_its_own_services_alone() {
    let mut stage = Stage::set(&StageOptions::seeded(7));
    play(&mut stage, RUNS).await;
    let measure = Arc::new(Counting(AtomicUsize::new(0)));
    let parts = Parts {
        api: Api::new(stage.sim.client(trimtab_dst::stage::MANAGER_USER).client, MANAGER),
        clock: stage.clock.clone(),
        measure: measure.clone(),
        transport: Arc::new(stage.messages.clone()),
        host: Host::new(),
    };
    let options = ManagerOptions {
        namespace: trimtab_dst::stage::OWN_NAMESPACE.to_owned(),
        identity: "manager".to_owned(),
        instance: Some("team-a".to_owned()),
        ..ManagerOptions::default()
    };
    let stop = CancellationToken::new();
    let manager = tokio::spawn(trimtab_control::run(options, parts, stop.clone()));
    play(&mut stage, "claim payments\n").await;
    give_to(&stage, Some("team-a")).await;
    let asked = async |hours: u64| {
        stage.advance(Duration::from_secs(hours * 3600)).await;
        measure.0.load(Ordering::Relaxed)
    };
    let (first, later) = (asked(1).await, asked(3).await);
    assert!(0 < first && first < later, "it asks when it claims, and again: {first}, {later}");
    give_to(&stage, None).await;
    let given = asked(0).await;
    assert_eq!(asked(6).await, given, "a service of nobody's is not asked about");
    stop.cancel();
    manager.await.unwrap();
}
