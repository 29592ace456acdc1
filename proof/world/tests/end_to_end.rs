//! Whole worlds on a simulated API server: what the parts do together.

#![allow(clippy::unwrap_used, reason = "this whole file is a test")]

use std::time::Duration;

use serde_json::{Value, json};
use trimtab_kube::api::{Patch, Preconditions, Propagation};
use trimtab_kube::resource::{DEPLOYMENTS, HPAS, PDBS, Resource};
use trimtab_kube::{Api, Clock, Key};
use trimtab_sim::{Effect, Fault, Sim, SimConfig};
use trimtab_world::fleet::{Fleet, ServiceSpec};
use trimtab_world::traffic::load::ServiceLoad;
use trimtab_world::{Clients, Storage, World, WorldConfig};

const SEED: u64 = 11;

struct Bench {
    sim: Sim,
    world: World,
    person: Api,
}

fn start(seed: u64, fleet: &Fleet) -> Bench {
    let sim = Sim::new(SimConfig::seeded(seed));
    sim.load(fleet.objects()).unwrap();
    run(sim, seed, fleet)
}

/// All of the fleet is ready from the beginning.
fn start_settled(seed: u64, fleet: &Fleet) -> Bench {
    let sim = Sim::new(SimConfig::seeded(seed));
    let storage = Storage {
        load: &|objects| sim.load(objects),
        get: &|resource, namespace, name| sim.get(resource, namespace, name),
    };
    fleet.settle(sim.now(), &storage).unwrap();
    run(sim, seed, fleet)
}

fn run(sim: Sim, seed: u64, fleet: &Fleet) -> Bench {
    let clock = Clock::following_tokio(sim.now());
    let clients = Clients::connect(|user| sim.client(user).client);
    let world = World::start(clients, &clock, WorldConfig::new(seed, fleet));
    world.set_loads(fleet);
    let person = Api::new(sim.client("person").client, "kubectl");
    Bench { sim, world, person }
}

fn one(service: ServiceSpec) -> Fleet {
    Fleet::of(vec![service])
}

fn pay() -> ServiceSpec {
    ServiceSpec::new("shop", "pay")
}

async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

impl Bench {
    async fn patch(&self, resource: &Resource, name: &str, change: Value) {
        self.person.patch(resource, Some("shop"), name, &Patch::Strategic(change)).await.unwrap();
    }

    async fn release(&self, image: &str) {
        let container = json!({"name": "service", "image": image});
        let template = json!({"spec": {"containers": [container]}});
        self.patch(DEPLOYMENTS, "pay", json!({"spec": {"template": template}})).await;
    }

    fn deployment(&self) -> Value {
        self.sim.get("deployments.apps", "shop", "pay").unwrap()
    }

    fn condition(&self, kind: &str) -> String {
        let deployment = self.deployment();
        let conditions = deployment.pointer("/status/conditions").and_then(Value::as_array).cloned();
        let condition = conditions.into_iter().flatten().find(|condition| condition["type"] == kind);
        condition.map_or(String::new(), |condition| condition["reason"].as_str().unwrap().to_owned())
    }

    fn pods(&self) -> Vec<Value> {
        self.sim.list("pods", Some("shop"))
    }

    /// Images and states of the pods, sorted: `v1 Running ready x0`.
    fn pod_lines(&self) -> Vec<String> {
        let line = |pod: &Value| {
            let image = pod.pointer("/spec/containers/0/image").and_then(Value::as_str).unwrap();
            let status = &pod["status"]["containerStatuses"][0];
            let state = status["state"].as_object().unwrap().iter().next().unwrap();
            let word = state.1["reason"].as_str().unwrap_or(state.0);
            let ready = if status["ready"] == json!(true) { "ready" } else { "unready" };
            format!("{} {word} {ready} x{}", image.rsplit(':').next().unwrap(), status["restartCount"])
        };
        let mut lines: Vec<String> = self.pods().iter().map(line).collect();
        lines.sort();
        lines
    }

    fn ready_endpoints(&self) -> usize {
        let slices = self.sim.list("endpointslices.discovery.k8s.io", Some("shop"));
        let endpoints =
            slices.iter().flat_map(|slice| slice["endpoints"].as_array().cloned().unwrap_or_default());
        endpoints.filter(|endpoint| endpoint.pointer("/conditions/ready") == Some(&json!(true))).count()
    }

    async fn vector(&self, query: &str) -> Vec<f64> {
        let request = http::Request::post("http://prometheus/api/v1/query");
        let answer =
            self.world.prometheus().handle(request.body(format!("query={query}").into()).unwrap()).await;
        let answer: Value = serde_json::from_slice(answer.unwrap().body()).unwrap();
        let result = answer.pointer("/data/result").unwrap_or_else(|| panic!("{answer}")).as_array().unwrap();
        result
            .iter()
            .map(|item| item.pointer("/value/1").unwrap().as_str().unwrap().parse().unwrap())
            .collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_comes_up_and_a_release_replaces_its_pods() {
    let bench = start(SEED, &one(pay()));
    seconds(30).await;
    assert_eq!(bench.pod_lines(), vec!["v1 running ready x0"; 3]);
    assert_eq!(bench.condition("Progressing"), "NewReplicaSetAvailable");
    assert_eq!(bench.ready_endpoints(), 3);
    bench.release("shop/pay:v2").await;
    seconds(90).await;
    assert_eq!(bench.pod_lines(), vec!["v2 running ready x0"; 3]);
    assert_eq!(bench.condition("Progressing"), "NewReplicaSetAvailable");
    assert_eq!(bench.ready_endpoints(), 3);
    let sizes: Vec<Value> = bench
        .sim
        .list("replicasets.apps", Some("shop"))
        .iter()
        .map(|set| set.pointer("/spec/replicas").unwrap().clone())
        .collect();
    assert!(sizes.len() == 2 && sizes.contains(&json!(0)) && sizes.contains(&json!(3)), "{sizes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_crashing_release_stops_half_way_and_says_so() {
    let bench = start(SEED, &one(pay()));
    seconds(30).await;
    bench.release("shop/pay:v2-neverready-panic5s").await;
    seconds(120).await;
    let lines = bench.pod_lines();
    assert_eq!(lines[..3], vec!["v1 running ready x0"; 3][..]);
    assert!(lines.len() == 4 && lines[3].starts_with("v2-") && lines[3].contains("unready"), "{lines:?}");
    let crashed = bench.pods().into_iter().find(|pod| pod.to_string().contains("v2-neverready")).unwrap();
    let last = crashed.pointer("/status/containerStatuses/0/lastState/terminated").unwrap();
    assert_eq!((&last["exitCode"], &last["reason"]), (&json!(101), &json!("Error")));
    assert_eq!(bench.condition("Progressing"), "ReplicaSetUpdated");
    seconds(600).await;
    assert_eq!(bench.condition("Progressing"), "ProgressDeadlineExceeded");
    assert_eq!(bench.condition("Available"), "MinimumReplicasAvailable");
    bench.release("shop/pay:v1").await;
    seconds(90).await;
    assert_eq!(bench.pod_lines(), vec!["v1 running ready x0"; 3]);
    assert_eq!(bench.condition("Progressing"), "NewReplicaSetAvailable");
}

#[tokio::test(start_paused = true)]
async fn pods_follow_the_size_and_go_with_their_deployment() {
    let bench = start(SEED, &one(pay()));
    seconds(30).await;
    bench.patch(DEPLOYMENTS, "pay", json!({"spec": {"replicas": 7}})).await;
    seconds(30).await;
    assert_eq!(bench.pod_lines(), vec!["v1 running ready x0"; 7]);
    bench.patch(DEPLOYMENTS, "pay", json!({"spec": {"replicas": 2}})).await;
    seconds(60).await;
    assert_eq!(bench.pod_lines(), vec!["v1 running ready x0"; 2]);
    let name = bench.pods()[0].pointer("/metadata/name").unwrap().as_str().unwrap().to_owned();
    bench.world.delete_pod(&Key::new("shop", name.as_str())).await.unwrap();
    seconds(60).await;
    assert_eq!(bench.pod_lines(), vec!["v1 running ready x0"; 2]);
    assert!(bench.sim.get("pods", "shop", &name).is_none());
    let any = Preconditions::default();
    bench.person.delete(DEPLOYMENTS, Some("shop"), "pay", &any, Propagation::Background).await.unwrap();
    seconds(90).await;
    for resource in ["deployments.apps", "replicasets.apps", "pods"] {
        assert_eq!(bench.sim.list(resource, Some("shop")), Vec::<Value>::new(), "{resource}");
    }
    assert_eq!(bench.ready_endpoints(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_paused_deployment_holds_its_template() {
    let bench = start(SEED, &one(pay()));
    seconds(30).await;
    bench.patch(DEPLOYMENTS, "pay", json!({"spec": {"paused": true}})).await;
    bench.release("shop/pay:v2").await;
    bench.patch(DEPLOYMENTS, "pay", json!({"spec": {"replicas": 4}})).await;
    seconds(60).await;
    assert_eq!(bench.pod_lines(), vec!["v1 running ready x0"; 4]);
    assert_eq!(bench.sim.list("replicasets.apps", Some("shop")).len(), 1);
    bench.patch(DEPLOYMENTS, "pay", json!({"spec": {"paused": false}})).await;
    seconds(120).await;
    assert_eq!(bench.pod_lines(), vec!["v2 running ready x0"; 4]);
}

#[tokio::test(start_paused = true)]
async fn harm_and_its_evidence_begin_with_the_release() {
    let load = ServiceLoad::constant(50.0);
    let bench = start(SEED, &one(ServiceSpec { load, ..pay() }));
    let service = Key::new("shop", "pay");
    seconds(60).await;
    bench.world.backfill(&service, 24);
    let before = bench.world.truth(&service).harmed;
    seconds(300).await;
    assert_eq!(bench.world.truth(&service).harmed, before);
    bench.release("shop/pay:v2-errors30").await;
    seconds(300).await;
    let harmed = bench.world.truth(&service).harmed - before;
    assert!((3_000..5_000).contains(&harmed), "about 30 % of 15,000 requests, not {harmed}");
    let errors = bench.vector("sum(increase(http_requests_total{code=\"500\"}[5m]))").await;
    assert!((3_000.0..5_500.0).contains(&errors[0]), "{errors:?}");
    let yesterday = bench.vector("sum(rate(http_requests_total[1h] offset 12h))").await;
    assert!((45.0..55.0).contains(&yesterday[0]), "{yesterday:?}");
}

#[tokio::test(start_paused = true)]
async fn an_idle_world_writes_nothing() {
    let bench = start(SEED, &Fleet::idle(50));
    seconds(120).await;
    let settled = bench.sim.revision();
    seconds(24 * 3600).await;
    assert_eq!(bench.sim.revision(), settled);
}

#[tokio::test(start_paused = true)]
async fn a_service_costs_few_writes_to_start() {
    let services = 100;
    let bench = start(SEED, &Fleet::idle(services));
    seconds(60).await;
    let ready = bench.sim.list("deployments.apps", None);
    assert!(ready.iter().all(|deployment| deployment.pointer("/status/readyReplicas") == Some(&json!(1))));
    let writes = bench.sim.ledger().len();
    assert!(writes <= 15 * services as usize, "{writes} writes for {services} services");
}

#[tokio::test(start_paused = true)]
async fn a_settled_fleet_of_two_thousand_is_left_as_it_is() {
    let bench = start_settled(SEED, &Fleet::idle(2_000));
    seconds(600).await;
    let writes: Vec<String> = bench.sim.ledger().iter().map(|entry| format!("{entry:?}")).take(3).collect();
    assert_eq!(writes, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_settled_service_takes_a_release_like_any_other() {
    let load = ServiceLoad::constant(20.0);
    let bench = start_settled(SEED, &one(ServiceSpec { load, ..pay() }));
    seconds(10).await;
    assert_eq!((bench.ready_endpoints(), bench.sim.ledger().len()), (3, 0));
    bench.release("shop/pay:v2").await;
    seconds(90).await;
    assert_eq!(bench.pod_lines(), vec!["v2 running ready x0"; 3]);
    assert_eq!(bench.sim.list("replicasets.apps", Some("shop")).len(), 2);
    assert_eq!(bench.world.truth(&Key::new("shop", "pay")).harmed, 0);
}

#[tokio::test(start_paused = true)]
async fn load_makes_an_autoscaler_grow_and_silence_makes_it_shrink() {
    let service = ServiceSpec { replicas: 2, load: ServiceLoad::constant(200.0), ..pay() };
    let bench = start(SEED, &one(service));
    let target = json!({"type": "Utilization", "averageUtilization": 80});
    let autoscaler = json!({
        "metadata": {"name": "pay"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "pay"},
            "minReplicas": 2, "maxReplicas": 10,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
    });
    bench.person.create(HPAS, Some("shop"), &autoscaler).await.unwrap();
    seconds(300).await;
    // 200 requests of 2 ms are 400 millicores: five pods of 100 at 80 %.
    assert_eq!(bench.pod_lines(), vec!["v1 running ready x0"; 5]);
    bench.world.set_load(&Key::new("shop", "pay"), ServiceLoad::constant(20.0));
    seconds(200).await;
    assert_eq!(bench.pods().len(), 5, "the size is held for five minutes");
    seconds(300).await;
    assert_eq!(bench.pod_lines(), vec!["v1 running ready x0"; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_budget_lets_one_pod_go_at_a_time() {
    let bench = start(SEED, &one(pay()));
    let selector = json!({"matchLabels": {"app": "pay"}});
    let budget = json!({"metadata": {"name": "pay"}, "spec": {"maxUnavailable": 1, "selector": selector}});
    bench.person.create(PDBS, Some("shop"), &budget).await.unwrap();
    seconds(30).await;
    let names: Vec<String> =
        bench.pods().iter().map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect();
    let any = Preconditions::default();
    bench.person.evict("shop", &names[0], &any).await.unwrap();
    let refusal = bench.person.evict("shop", &names[1], &any).await.unwrap_err();
    assert_eq!(refusal.word(), "too_many_requests");
    seconds(60).await;
    bench.person.evict("shop", &names[1], &any).await.unwrap();
    seconds(60).await;
    assert_eq!(bench.pod_lines(), vec!["v1 running ready x0"; 3]);
}

#[tokio::test(start_paused = true)]
async fn broken_watches_lost_history_and_failing_writes_only_delay() {
    let bench = start(SEED, &one(pay()));
    seconds(30).await;
    bench.release("shop/pay:v2").await;
    for round in 0..10 {
        let effects =
            [Effect::Refuse { code: 503, retry_after: None }, Effect::DropBefore, Effect::DropAfter];
        bench.sim.faults().add(Fault {
            verbs: vec!["create".to_owned(), "patch".to_owned(), "delete".to_owned()],
            times: Some(3),
            ..Fault::always(effects[round % 3].clone())
        });
        seconds(1).await;
        bench.sim.compact();
        bench.sim.drop_watches();
    }
    seconds(180).await;
    assert!(bench.sim.faults().struck() > 0);
    assert_eq!(bench.pod_lines(), vec!["v2 running ready x0"; 3]);
    assert_eq!(bench.condition("Progressing"), "NewReplicaSetAvailable");
    assert_eq!(bench.ready_endpoints(), 3);
}

async fn eventful(seed: u64) -> (String, String) {
    let load = ServiceLoad { pod_spread: 0.5, ..ServiceLoad::constant(20.0) };
    let second = ServiceSpec { replicas: 2, ..ServiceSpec::new("shop", "cart") };
    let bench = start(seed, &Fleet::of(vec![ServiceSpec { load, ..pay() }, second]));
    seconds(40).await;
    bench.release("shop/pay:v2-panic20s-errors5").await;
    seconds(100).await;
    bench.patch(DEPLOYMENTS, "cart", json!({"spec": {"replicas": 5}})).await;
    seconds(100).await;
    (
        format!("{:?}", bench.sim.ledger()),
        format!("{} {:?}", bench.sim.state_digest(), bench.world.truth_by_pod()),
    )
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_history() {
    let (ledger, state) = eventful(5).await;
    let (again, same) = eventful(5).await;
    assert_eq!(ledger, again);
    assert_eq!(state, same);
    let (other, _) = eventful(6).await;
    assert_ne!(ledger, other);
}
