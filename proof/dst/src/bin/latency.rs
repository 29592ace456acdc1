//! How soon the manager reacts in a large cluster, in real time: `cargo run --release -p trimtab-dst --bin latency`.
//!
//! The API server and the cluster around it are simulated, and time is not: nothing here pauses the clock, so the times in
//! the API server's ledger are real ones. The manager has threads of its own, as it has a process of its own elsewhere.
//! All of them share the cores of this machine, so that what the simulation takes is counted as the manager's.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, sleep};
use trimtab_api::API_VERSION;
use trimtab_dst::stage::is_write_of_ours;
use trimtab_dst::{Stage, StageOptions};
use trimtab_kube::api::Patch;
use trimtab_kube::resource::DEPLOYMENTS;
use trimtab_sim::{LedgerEntry, draw_unit};
use trimtab_world::fleet::{Fleet, ServiceSpec};
use trimtab_world::traffic::load::ServiceLoad;

/// From the change of a template to the first write that it caused.
const PROMISE: Duration = Duration::from_millis(250);
/// Silence of the manager that counts as rest: a minute after a claim it says whether its rules find their series.
const QUIET: Duration = Duration::from_secs(75);
/// How long claiming everything, or beginning the first releases, may take.
const SETTLE_LIMIT: Duration = Duration::from_secs(1_800);
/// How long the last change may wait for its write.
const LAST_WRITE_LIMIT: Duration = Duration::from_secs(30);
/// How often the ledger is looked at meanwhile.
const LOOK: Duration = Duration::from_secs(1);
/// Watch of the releases that are in progress all the time.
const LONG: &str = "1h";
/// Watch of those that are measured.
const SHORT: &str = "30s";
/// What clients ask of a service that ships, per second.
const REQUESTS_PER_SECOND: f64 = 5.0;
/// Source of everything that looks random.
const SEED: u64 = 7;

/// Ships releases in a large simulated cluster in real time, and measures how soon the manager writes about each.
#[derive(Debug, Parser)]
struct Arguments {
    /// Services.
    #[arg(long, default_value_t = 10_000)]
    apps: u32,
    /// Releases that are in progress all the time, beside those that are measured.
    #[arg(long, default_value_t = 100)]
    releases: usize,
    /// Changes that are measured, each of another service.
    #[arg(long, default_value_t = 300)]
    changes: usize,
    /// The mean time between two of them, in milliseconds; each gap is drawn between nothing and twice as much.
    #[arg(long, default_value_t = 300)]
    every: u64,
}

fn main() -> ExitCode {
    let _ = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .try_init();
    let arguments = Arguments::parse();
    let runtime = |name| {
        Builder::new_multi_thread().enable_all().thread_name(name).build().expect("threads can be had")
    };
    let (cluster, manager) = (runtime("cluster"), runtime("manager"));
    let measured = cluster.block_on(measure(&arguments, &manager));
    let kept = report(&measured);
    manager.shutdown_background();
    cluster.shutdown_background();
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What a run came to.
struct Measured {
    waits: Vec<Wait>,
    /// Changes that no write followed.
    unanswered: usize,
    /// Releases in progress when the first change was made, and after the last.
    releasing: [usize; 2],
}

/// One change, and what followed.
struct Wait {
    span: Duration,
    write: String,
}

async fn measure(arguments: &Arguments, manager: &Runtime) -> Measured {
    let fleet = Fleet::idle(arguments.apps);
    let shipping: Vec<ServiceSpec> = shipping(&fleet, arguments.releases + arguments.changes);
    let (long, short) = shipping.split_at(arguments.releases);
    let mut stage = Stage::set(&StageOptions { fleet: fleet.clone(), ..StageOptions::seeded(SEED) });
    let apps = fleet.services.iter().map(|service| {
        let watch = if long.iter().any(|other| other.key == service.key) { LONG } else { SHORT };
        app(service, watch)
    });
    stage.sim.load(apps.collect()).expect("valid services");
    for service in &shipping {
        stage.world.set_load(&service.key, ServiceLoad::constant(REQUESTS_PER_SECOND));
    }
    let began = Instant::now();
    {
        let _there = manager.enter();
        stage.start_manager();
    }
    stage.settle(QUIET, SETTLE_LIMIT).await;
    eprintln!(
        "{} services are claimed and at rest after {:.0?}",
        releasing_and_healthy(&stage).1,
        began.elapsed()
    );
    for service in long {
        ship(&stage, service).await;
    }
    let limit = Instant::now() + SETTLE_LIMIT;
    while releasing_and_healthy(&stage).0 < long.len() && Instant::now() < limit {
        sleep(LOOK).await;
    }
    let (before, first) = (releasing_and_healthy(&stage).0, stage.sim.ledger_since(0).len());
    eprintln!("{before} releases are in progress");
    for (number, service) in short.iter().enumerate() {
        let unit = draw_unit(SEED, "gap", number as u64);
        sleep(Duration::from_millis(arguments.every).mul_f64(2.0 * unit)).await;
        ship(&stage, service).await;
    }
    sleep(LAST_WRITE_LIMIT).await;
    let (ledger, after) = (stage.sim.ledger_since(first), releasing_and_healthy(&stage).0);
    let waits: Vec<Wait> = short.iter().filter_map(|service| wait(&ledger, service)).collect();
    Measured { unanswered: short.len() - waits.len(), waits, releasing: [before, after] }
}

/// Services spread over all namespaces.
fn shipping(fleet: &Fleet, count: usize) -> Vec<ServiceSpec> {
    let step = (fleet.services.len() / count.max(1)).max(1);
    let spread: Vec<ServiceSpec> = fleet.services.iter().step_by(step).take(count).cloned().collect();
    assert_eq!(spread.len(), count, "there are fewer services than releases and changes");
    spread
}

fn app(service: &ServiceSpec, watch: &str) -> Value {
    json!({
        "apiVersion": API_VERSION, "kind": "ManagedApp",
        "metadata": {"namespace": &*service.key.namespace, "name": &*service.key.name},
        "spec": {"delivery": {"watch": watch}},
    })
}

/// Gives the service a new image, as a person does.
async fn ship(stage: &Stage, service: &ServiceSpec) {
    let image = service.image.replace(":v1", ":v2");
    let containers = json!([{"name": "service", "image": image}]);
    let patch = Patch::Strategic(json!({"spec": {"template": {"spec": {"containers": containers}}}}));
    let key = &service.key;
    stage.person.patch(DEPLOYMENTS, key.namespace(), &key.name, &patch).await.expect("a person may do this");
}

fn releasing_and_healthy(stage: &Stage) -> (usize, usize) {
    let apps = stage.sim.list("managedapps.trimtab.dev", None);
    let count = |phase: &str| apps.iter().filter(|app| app["status"]["phase"] == phase).count();
    (count("Releasing"), count("Healthy"))
}

/// From the change of a service that was at rest to the first write of the manager about it: it had no reason for another.
fn wait(ledger: &[LedgerEntry], service: &ServiceSpec) -> Option<Wait> {
    let of_service = |entry: &&LedgerEntry| {
        entry.namespace == *service.key.namespace && entry.name.starts_with(&*service.key.name)
    };
    let mut about = ledger.iter().filter(of_service);
    let change = about.find(|entry| entry.user == "alice" && entry.resource == "deployments.apps")?;
    let write = about.find(|entry| is_write_of_ours(entry))?;
    Some(Wait { span: between(change.at, write.at), write: format!("{} {}", write.verb, write.resource) })
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

/// Prints the figures: whether the promise was kept.
fn report(measured: &Measured) -> bool {
    let mut spans: Vec<Duration> = measured.waits.iter().map(|wait| wait.span).collect();
    spans.sort();
    let mut writes: BTreeMap<&str, usize> = BTreeMap::new();
    measured.waits.iter().for_each(|wait| *writes.entry(&wait.write).or_default() += 1);
    let [before, after] = measured.releasing;
    println!("{} changes, {} without a write", spans.len(), measured.unanswered);
    println!("{before} releases in progress at the first change, {after} half a minute after the last");
    for (write, count) in writes {
        println!("  {count:>6} first writes: {write}");
    }
    let at = |share: f64| {
        let place = (spans.len() as f64 * share).ceil() as usize;
        spans.get(place.saturating_sub(1)).copied().unwrap_or_default()
    };
    let (middle, late, last) = (at(0.5), at(0.99), at(1.0));
    println!("from the change to the first write: p50 {middle:.1?}, p99 {late:.1?}, max {last:.1?}");
    measured.unanswered == 0 && !spans.is_empty() && late <= PROMISE
}
