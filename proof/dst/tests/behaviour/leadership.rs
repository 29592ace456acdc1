//! When a manager decides: not on what an unhealthy watch shows, not before it has read what its predecessor wrote, and about
//! everything once more when it has got back a lease that it had lost.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Request;
use jiff::Timestamp;
use kube::Client;
use kube::client::Body;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use trimtab_control::context::Reads;
use trimtab_control::controller::{Controller, Gathered};
use trimtab_control::host::Controllers;
use trimtab_control::measure::PrometheusMeasure;
use trimtab_control::{ManagerOptions, Parts};
use trimtab_delivery::names::MANAGER;
use trimtab_dst::stage::{LEASES, MANAGER_USER, OWN_NAMESPACE};
use trimtab_dst::{Stage, StageOptions};
use trimtab_kube::api::LIST_PAGE_ITEMS;
use trimtab_kube::host::Host;
use trimtab_kube::kinds::{self, Changed, FLEET_POLICIES, Namespaces, Policies, Stores};
use trimtab_kube::queue::Queue;
use trimtab_kube::{Api, CancellationToken, Key};
use trimtab_plan::concern::{Concern, UNCLAIM};
use trimtab_plan::{Plan, Report};
use trimtab_providers::prometheus::{Prometheus, PrometheusConfig};
use trimtab_sim::{Effect, Fault, WatchEffect, Watches};
use trimtab_world::prometheus::InProcess;

use crate::support::{play, shows};

const RUNS: &str = "service pay replicas=3 rps=50 image=shop/pay:v1\nadvance 10m\n";
const BAD: &str = "apply pay shop/pay:v2-errors30 by argocd-controller\n";
/// A watch of what no decision here is about, so that nothing but its health is in the way: for longer than a watch may be
/// without a connection.
const UNHEALTHY: &str = "fault server-error resource=fleetpolicies.trimtab.dev code=503\n\
    fault dropped-watches resource=fleetpolicies.trimtab.dev\nadvance 90s\n";

/// A manager whose probes and requests a test can see.
struct Manager {
    host: Host,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Manager {
    fn start(stage: &Stage, client: Client, identity: &str) -> Self {
        let transport = Arc::new(InProcess(stage.world.prometheus().clone()));
        let config = PrometheusConfig::new("prometheus", "http://prometheus.monitoring:9090");
        let prometheus = Prometheus::new(transport, config).unwrap();
        let host = Host::new();
        let parts = Parts {
            api: Api::new(client, MANAGER),
            clock: stage.clock.clone(),
            measure: Arc::new(PrometheusMeasure::new(Arc::new(prometheus))),
            transport: Arc::new(stage.messages.clone()),
            host: host.clone(),
        };
        let options = ManagerOptions {
            namespace: OWN_NAMESPACE.to_owned(),
            identity: identity.to_owned(),
            ..ManagerOptions::default()
        };
        let stop = CancellationToken::new();
        let task = tokio::spawn(trimtab_control::run(options, parts, stop.clone()));
        Self { host, stop, task }
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    /// What its metrics say of the watch that is made unhealthy.
    fn says_of_the_watch(&self, health: u8) {
        let expected = format!("trimtab_watch_healthy{{resource=\"fleetpolicies.trimtab.dev\"}} {health}\n");
        let metrics = self.host.metrics().unwrap();
        assert!(metrics.contains(&expected), "{expected} is not in\n{metrics}");
    }

    fn holds_its_decisions(&self) {
        let why = self.host.readiness().unwrap_err();
        let named = why.starts_with("watches: the watch of fleetpolicies is unhealthy: ");
        assert!(named && why.ends_with("; decisions are held\n"), "{why}");
        self.says_of_the_watch(0);
    }
}

/// A service that is looked after.
async fn settled() -> (Stage, Manager) {
    let mut stage = Stage::set(&StageOptions::seeded(7));
    play(&mut stage, RUNS).await;
    let manager = Manager::start(&stage, stage.sim.client(MANAGER_USER).client, "first");
    play(&mut stage, "claim pay\nsettle\n").await;
    assert_eq!(manager.host.readiness(), Ok(()));
    manager.says_of_the_watch(1);
    (stage, manager)
}

/// Ends what is wrong, and waits until the manager is ready again.
async fn healthy(stage: &Stage, manager: &Manager) {
    stage.sim.end_faults();
    stage.advance(Duration::from_secs(60)).await;
    assert_eq!(manager.host.readiness(), Ok(()));
    manager.says_of_the_watch(1);
}

#[tokio::test(start_paused = true)]
async fn a_new_release_is_not_recorded_while_a_watch_is_unhealthy() {
    let (mut stage, manager) = settled().await;
    play(&mut stage, UNHEALTHY).await;
    manager.holds_its_decisions();
    let written = stage.writes().len();
    play(&mut stage, "apply pay shop/pay:v2 by argocd-controller\nadvance 5m\n").await;
    manager.holds_its_decisions();
    assert_eq!(stage.writes().len(), written, "{:?}", stage.writes().last());
    // Nothing changes in the cluster when the fault ends: the manager looks again by itself.
    healthy(&stage, &manager).await;
    assert!(stage.writes().len() > written, "it goes on at once");
    shows(&mut stage, "settle\nshow pay\n", &["pay: Healthy on v2 [Healthy]"]).await;
    manager.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_bad_release_is_not_rolled_back_before_its_watches_are_healthy() {
    let (mut stage, manager) = settled().await;
    // Nothing is known of the release until the decisions are held.
    play(&mut stage, &format!("prometheus down\n{BAD}wait pay until Judging\n{UNHEALTHY}")).await;
    manager.holds_its_decisions();
    let written = stage.writes().len();
    let judging = ["v2 shop/pay:v2-errors30 Judging", "Deployment: shop/pay:v2-errors30"];
    shows(&mut stage, "prometheus up\nadvance 2m\nshow pay\n", &judging).await;
    assert_eq!(stage.writes().len(), written, "{:?}", stage.writes().last());
    healthy(&stage, &manager).await;
    let rolled_back = ["pay: Healthy on v1 (v2 rejected) [Healthy]", "Deployment: shop/pay:v1"];
    shows(&mut stage, "settle\nshow pay\n", &rolled_back).await;
    manager.end().await;
}

/// What a manager asked for, and what it got, in order.
#[derive(Clone, Default)]
struct Trace(Arc<Mutex<Vec<String>>>);

impl Trace {
    fn add(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// A client like `inner` whose requests are kept here.
    fn of(&self, inner: Client) -> Client {
        let trace = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let (inner, trace) = (inner.clone(), trace.clone());
            async move {
                let asked = format!("{} {}", request.method(), request.uri());
                trace.add(format!("asks {asked}"));
                let answer = inner.send(request).await?;
                if answer.status().is_success() {
                    trace.add(format!("got {asked}"));
                }
                Ok::<_, kube::Error>(answer)
            }
        });
        Client::new(service, "default")
    }
}

/// Whether it asks for a write, those to the lease apart.
fn is_write(line: &str) -> bool {
    line.strip_prefix("asks ").is_some_and(|asked| !asked.starts_with("GET ") && !asked.contains("/leases"))
}

#[tokio::test(start_paused = true)]
async fn a_successor_reads_everything_consistently_before_its_first_write() {
    let mut stage = Stage::set(&StageOptions::seeded(7));
    play(&mut stage, &format!("{RUNS}start manager\nclaim pay\nsettle\n")).await;
    let (actor, trace) = (stage.sim.client(MANAGER_USER), Trace::default());
    let successor = Manager::start(&stage, trace.of(actor.client.clone()), "successor");
    stage.advance(Duration::from_secs(60)).await;
    // From here on its stores show nothing of what the first one writes.
    let deaf = Watches { actor: Some(actor.number()), ..Watches::default() };
    let deaf = stage.sim.faults().add_to_watches(deaf, WatchEffect::Held);
    play(&mut stage, &format!("{BAD}wait pay until Judging\nkill manager\n")).await;
    let start = Instant::now();
    while !trace.lines().iter().any(|line| is_write(line)) {
        assert!(start.elapsed() < Duration::from_secs(120), "it decides nothing: {:?}", trace.lines());
        stage.advance(Duration::from_millis(100)).await;
    }

    let lines = trace.lines();
    let leads = |line: &String| line.starts_with("got PUT ") && line.contains("/leases/trimtab-manager");
    let gained = lines.iter().position(leads).expect("it has the lease");
    let wrote = lines.iter().position(|line| is_write(line)).expect("it has written");
    assert!(gained < wrote, "it writes before it leads: {lines:?}");
    let since = &lines[gained..wrote];
    let watched: BTreeSet<&str> = lines
        .iter()
        .filter_map(|line| line.strip_prefix("asks GET ")?.split_once("?watch=true"))
        .map(|(path, _)| path)
        .collect();
    assert!(watched.len() >= 7, "{watched:?}");
    for path in watched {
        // Without a version, which would allow an answer from a cache that is behind.
        let list = format!("GET {path}?limit={LIST_PAGE_ITEMS}");
        let asked = since.iter().position(|line| *line == format!("asks {list}"));
        let got = since.iter().rposition(|line| *line == format!("got {list}"));
        let read = asked.zip(got).is_some_and(|(asked, got)| asked < got);
        assert!(read, "{list} is not read between gaining the lease and the first write: {since:?}");
    }

    stage.sim.end_fault(deaf);
    let rolled_back = ["pay: Healthy on v1 (v2 rejected) [Healthy]", "v2 shop/pay:v2-errors30 RolledBack"];
    shows(&mut stage, "settle\nshow pay\n", &rolled_back).await;
    successor.end().await;
}

/// Wants to look at every policy once more when a time has come, and writes nothing.
struct Waking {
    stores: Stores,
    due: Timestamp,
    /// When it looked.
    looks: Arc<Mutex<Vec<Timestamp>>>,
    terms: Arc<AtomicUsize>,
}

impl Controller for Waking {
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

    fn begin_term(&self) {
        self.terms.fetch_add(1, Ordering::SeqCst);
    }

    fn reads(&self, _: &Key) -> Vec<Reads> {
        Vec::new()
    }

    fn gather(&self, _: &Key, now: Timestamp) -> Gathered<()> {
        self.looks.lock().unwrap().push(now);
        if now < self.due { Gathered::Later(self.due) } else { Gathered::Nothing }
    }

    fn plan(&self, (): &()) -> (Plan, Report) {
        unreachable!("it never sees anything to plan on")
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_due_while_a_process_had_lost_its_lease_is_looked_at_once_it_has_it_back() {
    let stage = Stage::set(&StageOptions::seeded(7));
    let policy = json!({
        "apiVersion": FLEET_POLICIES.api_version(), "kind": "FleetPolicy", "metadata": {"name": "any"}, "spec": {},
    });
    stage.person.create(FLEET_POLICIES, None, &policy).await.unwrap();
    let (context, elector) = stage.stand(kinds::all());
    let leadership = context.standing.leadership().clone();
    let (looks, terms) = (Arc::<Mutex<Vec<Timestamp>>>::default(), Arc::<AtomicUsize>::default());
    let due = stage.clock.now().checked_add(Duration::from_secs(115)).unwrap();
    let waking = Waking { stores: context.stores.clone(), due, looks: looks.clone(), terms: terms.clone() };
    let queue: Queue<Key> = Queue::new("waking", context.clock.clone());
    let mut controllers = Controllers::new(context);
    controllers.add(waking, queue.clone());
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    let running = tokio::spawn(async move {
        controllers.run(elector, &Namespaces::All, &Host::new(), stopping).await;
    });
    stage.advance(Duration::from_secs(100)).await;
    let before = looks.lock().unwrap().len();
    assert!(before > 0, "a new leader looks at everything once");
    let first = leadership.term().unwrap();

    // The last renewal before was sent at most 2 s ago, and counts for 10 s.
    let outage = Fault {
        user: Some(MANAGER_USER.to_owned()),
        resource: Some(LEASES.to_owned()),
        ..Fault::always(Effect::DropBefore)
    };
    let outage = stage.sim.faults().add(outage);
    stage.advance(Duration::from_secs(12)).await;
    assert_eq!(leadership.term(), None, "the lease ran out");
    let reconciled = queue.counts().reconciles;
    stage.advance(Duration::from_secs(8)).await;
    assert_eq!(queue.counts().reconciles, reconciled + 1, "its time came, and nobody led");
    assert!(queue.is_idle(), "its timer is gone with that");
    assert_eq!(looks.lock().unwrap().len(), before);

    let ended = stage.clock.now();
    stage.sim.end_fault(outage);
    stage.advance(Duration::from_secs(20)).await;
    let second = leadership.term().unwrap();
    assert!(first < second, "{first}, then {second}");
    assert_eq!(terms.load(Ordering::SeqCst), 2);
    let looked = looks.lock().unwrap().clone();
    assert!(looked.len() > before && looked[before..].iter().all(|at| *at > ended), "{looked:?}");
    stop.cancel();
    running.await.unwrap();
}
