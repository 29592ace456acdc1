//! The story that `trimtab demo` tells: twelve services, five releases, five outcomes.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use trimtab_kube::ApiError;
use trimtab_kube::api::{Force, Patch};
use trimtab_kube::kinds::MANAGED_APPS;
use trimtab_kube::resource::DEPLOYMENTS;
use trimtab_world::fleet::{Fleet, ServiceSpec};
use trimtab_world::traffic::load::ServiceLoad;

use crate::stage::{NAMESPACE, Stage};

/// Services with their replicas and requests per second.
const SERVICES: [(&str, u32, f64); 12] = [
    ("payments", 3, 50.0),
    ("checkout", 3, 40.0),
    ("ledger", 3, 2.0),
    ("reports", 2, 0.05),
    ("search", 4, 80.0),
    ("catalogue", 3, 60.0),
    ("cart", 3, 30.0),
    ("accounts", 3, 20.0),
    ("emails", 2, 5.0),
    ("fraud", 2, 15.0),
    ("pricing", 3, 25.0),
    ("stock", 2, 10.0),
];
/// How long the services run before the first release.
const BEFORE: Duration = Duration::from_secs(600);
/// Between two acts.
const BETWEEN: Duration = Duration::from_secs(30);
/// How long an act may take, in virtual time.
const ACT_LIMIT: Duration = Duration::from_secs(1800);
/// How often the story looks.
const LOOK: Duration = Duration::from_secs(1);

/// What an act is expected to end in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Kept,
    KeptOnLowEvidence,
    RolledBack,
    Held,
}

struct Act {
    title: &'static str,
    service: &'static str,
    tag: &'static str,
    release: u64,
    ending: Ending,
}

const ACTS: [Act; 5] = [
    Act { title: "a good release", service: "payments", tag: "v2", release: 2, ending: Ending::Kept },
    Act {
        title: "a release that fails 30 % of its requests",
        service: "checkout",
        tag: "v2-errors30",
        release: 2,
        ending: Ending::RolledBack,
    },
    Act {
        title: "one panic in a quiet service",
        service: "ledger",
        tag: "v2-panic20s",
        release: 2,
        ending: Ending::RolledBack,
    },
    Act {
        title: "a release that traffic is too low to judge",
        service: "reports",
        tag: "v2",
        release: 2,
        ending: Ending::KeptOnLowEvidence,
    },
    Act {
        title: "Git applies the rejected release again",
        service: "checkout",
        tag: "v2-errors30",
        release: 2,
        ending: Ending::Held,
    },
];

/// Sets the scene: the services, their traffic, and a claim on each.
///
/// # Errors
/// The first refusal of the simulated API server.
pub async fn prepare(stage: &mut Stage) -> Result<(), ApiError> {
    let service = |(name, replicas, rate): (&str, u32, f64)| ServiceSpec {
        replicas,
        image: format!("{NAMESPACE}/{name}:v1"),
        load: ServiceLoad::constant(rate),
        ..ServiceSpec::new(NAMESPACE, name)
    };
    let fleet = Fleet { nodes: 0, services: SERVICES.into_iter().map(service).collect() };
    fleet.create(&stage.person).await?;
    stage.world.set_loads(&fleet);
    for (name, _, _) in SERVICES {
        let app = json!({
            "apiVersion": trimtab_api::API_VERSION, "kind": "ManagedApp",
            "metadata": {"name": name, "namespace": NAMESPACE}, "spec": {},
        });
        stage.person.create(MANAGED_APPS, Some(NAMESPACE), &app).await?;
    }
    stage.start_manager();
    stage.advance(BEFORE).await;
    Ok(())
}

/// Plays all acts. `say` gets every line as it happens; the result tells whether every outcome was the expected one.
///
/// # Errors
/// The first refusal of the simulated API server.
pub async fn play(stage: &mut Stage, say: &mut impl FnMut(&str)) -> Result<bool, ApiError> {
    let mut right = true;
    for act in &ACTS {
        say(&format!("== {}: {} {}", act.title, act.service, act.tag));
        ship(stage, act).await?;
        let seen = follow(stage, act, say).await;
        let expected = seen == Some(act.ending);
        say(&format!(
            "   {}: {}",
            if expected { "as expected" } else { "NOT as expected" },
            summary(stage, act.service)
        ));
        right &= expected;
        stage.advance(BETWEEN).await;
    }
    Ok(right)
}

/// Applies the image as a GitOps tool does.
async fn ship(stage: &Stage, act: &Act) -> Result<(), ApiError> {
    let image = format!("{NAMESPACE}/{}:{}", act.service, act.tag);
    let value = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": act.service},
        "spec": {"template": {"spec": {"containers": [{"name": "service", "image": image}]}}},
    });
    let api = stage.person.with_field_manager("argocd-controller");
    api.patch(DEPLOYMENTS, Some(NAMESPACE), act.service, &Patch::Apply { value, force: Force::Yes })
        .await
        .map(drop)
}

/// Tells every change until the act has ended.
async fn follow(stage: &Stage, act: &Act, say: &mut impl FnMut(&str)) -> Option<Ending> {
    let start = tokio::time::Instant::now();
    let mut told = BTreeMap::new();
    while start.elapsed() < ACT_LIMIT {
        stage.advance(LOOK).await;
        let name = trimtab_delivery::names::release_object(act.service, act.release);
        let Some(release) = stage.sim.get("appreleases.trimtab.dev", NAMESPACE, &name) else { continue };
        let status = &release["status"];
        let phase = status["phase"].as_str().unwrap_or_default().to_owned();
        let line = format!(
            "{} v{} {phase}: {}",
            act.service,
            act.release,
            status["summary"].as_str().unwrap_or_default()
        );
        if told.insert("line", line.clone()) != Some(line.clone()) {
            say(&format!("   {} {line}", clock(stage)));
        }
        if let Some(ending) = ended(act, &phase, status) {
            return Some(ending);
        }
    }
    None
}

fn ended(act: &Act, phase: &str, status: &Value) -> Option<Ending> {
    match phase {
        // A held release was rolled back before; the act ends when it is held.
        "RolledBack" if act.ending == Ending::Held => (status["held"] == true).then_some(Ending::Held),
        "RolledBack" => Some(Ending::RolledBack),
        "Kept" if status["lowEvidence"] == true => Some(Ending::KeptOnLowEvidence),
        "Kept" => Some(Ending::Kept),
        _ => None,
    }
}

fn summary(stage: &Stage, service: &str) -> String {
    let app = stage.sim.get("managedapps.trimtab.dev", NAMESPACE, service).unwrap_or_default();
    format!("{service} is {}", app["status"]["summary"].as_str().unwrap_or("unknown"))
}

/// Time of day in the simulated cluster.
fn clock(stage: &Stage) -> String {
    let text = stage.clock.now().to_string();
    text.get(11..19).unwrap_or_default().to_owned()
}
