//! Scenario scripts: one command a line, run against a [`Stage`], with a transcript as the result.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use trimtab_kube::Key;
use trimtab_kube::api::{Force, Patch, Preconditions, Propagation};
use trimtab_kube::kinds::{APP_RELEASES, FLEET_POLICIES, MANAGED_APPS};
use trimtab_kube::resource::{DEPLOYMENTS, HPAS, PODS, SECRETS};
use trimtab_world::fleet::{Fleet, ServiceSpec};
use trimtab_world::prometheus::Service;
use trimtab_world::traffic::load::ServiceLoad;

use crate::fault;
use crate::shipping;
use crate::show;
use crate::stage::{NAMESPACE, Stage};
use crate::words::{duration, number, setting, signed};

/// How long the manager must be silent to count as settled.
const QUIET: Duration = Duration::from_secs(60);
/// How long anything may take in a script.
const PATIENCE: Duration = Duration::from_secs(3600);
/// How often a script looks for what it waits for.
const LOOK: Duration = Duration::from_secs(1);

/// Runs `script` and returns its transcript: every command, and what it showed. A command that cannot be understood or
/// that fails says so in the transcript and ends it.
pub async fn run(script: &str, stage: &mut Stage) -> String {
    let mut transcript = String::new();
    let mut lines = script.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let command = line.trim();
        if command.is_empty() || command.starts_with('#') {
            let _ = writeln!(transcript, "{line}");
            continue;
        }
        let _ = writeln!(transcript, "> {command}");
        let mut block = String::new();
        if command.ends_with("<<") {
            for (_, line) in lines.by_ref() {
                if line.trim() == "." {
                    break;
                }
                block.push_str(line);
                block.push('\n');
            }
        }
        let words: Vec<&str> = command.trim_end_matches("<<").split_whitespace().collect();
        match step(&words, &block, stage).await {
            Ok(shown) => transcript.push_str(&shown),
            Err(error) => {
                let _ = writeln!(transcript, "line {}: {error}", number + 1);
                return transcript;
            }
        }
    }
    transcript
}

/// Runs one command and returns what it shows.
pub(crate) async fn step(words: &[&str], block: &str, stage: &mut Stage) -> Result<String, String> {
    match words {
        ["service", name, settings @ ..] => service(stage, name, settings).await,
        ["claim", name, settings @ ..] => claim(stage, name, settings).await,
        ["edit", name, settings @ ..] => edit(stage, name, settings).await,
        ["unclaim", name] => delete(stage, MANAGED_APPS, name).await,
        ["deploy", name, image] => shipping::deploy(stage, name, image).await,
        ["rollback", name, "to", release] => shipping::rollback(stage, name, release).await,
        ["apply", name, image, "by", manager, options @ ..] => {
            shipping::apply(stage, name, image, manager, options).await
        }
        ["undo", name] => shipping::undo(stage, name).await,
        ["pause", name, "by", manager] => shipping::set_paused(stage, name, true, manager).await,
        ["resume", name, "by", manager] => shipping::set_paused(stage, name, false, manager).await,
        ["scale", name, replicas] => scale(stage, name, replicas).await,
        ["autoscale", name, min, max] => autoscale(stage, name, min, max).await,
        ["delete", "deployment", name] => delete(stage, DEPLOYMENTS, name).await,
        ["end", "pods", name, count] => end_pods(stage, name, number(count)?).await,
        ["decide", name, release, verdict, "because", why @ ..] => {
            shipping::decide(stage, name, release, verdict, &why.join(" ")).await
        }
        ["object"] => object(stage, block).await,
        ["prometheus", "down"] => set(|| stage.world.prometheus().set_service(Service::Refusing)),
        ["prometheus", "silent"] => set(|| stage.world.prometheus().set_service(Service::Silent)),
        ["prometheus", "up"] => set(|| stage.world.prometheus().set_service(Service::Up)),
        ["traffic", name, settings @ ..] => traffic(stage, name, settings),
        ["past", name, hours] => {
            stage.world.backfill(&Key::new(NAMESPACE, *name), number(hours)?);
            Ok(String::new())
        }
        ["start", "manager", settings @ ..] => {
            let skew = signed(setting(settings, "skew", "0s"))?;
            set(|| drop(stage.start_manager_skewed(skew)))
        }
        ["kill", "manager"] => set(|| stage.kill_managers()),
        ["kill", "manager", which] => {
            let which = number(which)?;
            set(|| stage.kill_manager(which))
        }
        ["fault", kind, settings @ ..] => fault::begin(stage, kind, settings).await,
        ["end", "faults"] => set(|| fault::end_all(stage)),
        ["await", "write", resource] => Ok(fault::await_write(stage, resource).await),
        ["advance", span] => {
            stage.advance(duration(span)?).await;
            Ok(String::new())
        }
        ["settle"] => {
            Ok(if stage.settle(QUIET, PATIENCE).await { String::new() } else { "not settled\n".to_owned() })
        }
        ["wait", name, "until", word] => wait(stage, name, word).await,
        ["show", "pods", name] => Ok(show::pods(stage, name)),
        ["show", "events", name] => Ok(show::events(stage, name)),
        ["show", "writes"] => Ok(show::writes(stage)),
        ["show", "messages"] => Ok(show::messages(stage)),
        ["show", name] => Ok(show::service(stage, name)),
        ["show", "harm", name] => Ok(show::harm(stage, name)),
        ["explain", name] => show::explain(stage, name).await,
        _ => Err(format!("`{}` is not a command", words.join(" "))),
    }
}

fn set(act: impl FnOnce()) -> Result<String, String> {
    act();
    Ok(String::new())
}

async fn service(stage: &mut Stage, name: &str, settings: &[&str]) -> Result<String, String> {
    let deadline: u32 = number(setting(settings, "deadline", "600"))?;
    let mut deployment_spec = json!({"progressDeadlineSeconds": deadline});
    if setting(settings, "strategy", "RollingUpdate") == "Recreate" {
        deployment_spec["strategy"] = json!({"type": "Recreate"});
    }
    let spec = ServiceSpec {
        image: setting(settings, "image", "shop/service:v1").to_owned(),
        replicas: number(setting(settings, "replicas", "3"))?,
        load: load(settings)?,
        deployment_spec,
        ..ServiceSpec::new(NAMESPACE, name)
    };
    let fleet = Fleet { nodes: 0, services: vec![spec] };
    fleet.create(&stage.person).await.map_err(|error| error.to_string())?;
    stage.world.set_loads(&fleet);
    Ok(String::new())
}

fn load(settings: &[&str]) -> Result<ServiceLoad, String> {
    Ok(ServiceLoad {
        error_percent: number(setting(settings, "errors", "0"))?,
        database_errors_per_minute: number(setting(settings, "dberrors", "0"))?,
        ..ServiceLoad::constant(number(setting(settings, "rps", "10"))?)
    })
}

fn traffic(stage: &mut Stage, name: &str, settings: &[&str]) -> Result<String, String> {
    stage.world.set_load(&Key::new(NAMESPACE, name), load(settings)?);
    Ok(String::new())
}

async fn claim(stage: &Stage, name: &str, settings: &[&str]) -> Result<String, String> {
    let app = json!({
        "apiVersion": trimtab_api::API_VERSION,
        "kind": "ManagedApp",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"delivery": {
            "strategy": setting(settings, "strategy", "Guarded"),
            "watch": setting(settings, "watch", "5m"),
        }},
    });
    told(stage.person.create(MANAGED_APPS, Some(NAMESPACE), &app).await)
}

/// Changes what is asked of the delivery of a service.
async fn edit(stage: &Stage, name: &str, settings: &[&str]) -> Result<String, String> {
    let given = settings.iter().filter_map(|setting| setting.split_once('='));
    let delivery: serde_json::Map<String, Value> =
        given.map(|(key, value)| (key.to_owned(), Value::from(value))).collect();
    let patch = Patch::Merge(json!({"spec": {"delivery": delivery}}));
    told(stage.person.patch(MANAGED_APPS, Some(NAMESPACE), name, &patch).await)
}

/// The result of a request in words: nothing when it did what was asked.
pub(crate) fn told<T>(result: Result<T, trimtab_kube::ApiError>) -> Result<String, String> {
    Ok(result.err().map(|error| format!("{error}\n")).unwrap_or_default())
}

async fn scale(stage: &Stage, name: &str, replicas: &str) -> Result<String, String> {
    let patch = Patch::Merge(json!({"spec": {"replicas": number::<u32>(replicas)?}}));
    told(stage.person.patch_subresource(DEPLOYMENTS, Some(NAMESPACE), name, "scale", &patch).await)
}

async fn autoscale(stage: &Stage, name: &str, min: &str, max: &str) -> Result<String, String> {
    let hpa = json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": number::<u32>(min)?,
            "maxReplicas": number::<u32>(max)?,
            "metrics": [{"type": "Resource", "resource": {
                "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70},
            }}],
        },
    });
    told(stage.person.create(HPAS, Some(NAMESPACE), &hpa).await)
}

async fn delete(
    stage: &Stage,
    resource: &'static trimtab_kube::Resource,
    name: &str,
) -> Result<String, String> {
    let none = Preconditions::default();
    told(stage.person.delete(resource, Some(NAMESPACE), name, &none, Propagation::Background).await)
}

/// Ends the newest running pods of a service as the shutdown of their node does: they stay, and are over.
async fn end_pods(stage: &Stage, name: &str, count: usize) -> Result<String, String> {
    let mut pods = stage.sim.list("pods", Some(NAMESPACE));
    pods.retain(|pod| pod["metadata"]["labels"]["app"] == name && pod["status"]["phase"] == "Running");
    let created = |pod: &Value| pod["metadata"]["creationTimestamp"].as_str().unwrap_or_default().to_owned();
    pods.sort_by_key(|pod| std::cmp::Reverse(created(pod)));
    for pod in pods.iter().take(count) {
        let pod_name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let mut containers = pod["status"]["containerStatuses"].clone();
        for container in containers.as_array_mut().into_iter().flatten() {
            let end = json!({"exitCode": 143, "reason": "Error", "finishedAt": stage.clock.now()});
            container["state"] = json!({"terminated": end});
            (container["ready"], container["started"]) = (json!(false), json!(false));
        }
        let status = json!({"phase": "Failed", "reason": "Terminated", "containerStatuses": containers});
        let patch = Patch::Merge(json!({"status": status}));
        let answer = stage.person.patch_subresource(PODS, Some(NAMESPACE), pod_name, "status", &patch).await;
        answer.map_err(|error| error.to_string())?;
    }
    Ok(String::new())
}

/// Creates or replaces any object given as YAML.
async fn object(stage: &Stage, block: &str) -> Result<String, String> {
    let object: Value = serde_saphyr::from_str(block).map_err(|error| error.to_string())?;
    let (resource, namespace) = match object["kind"].as_str() {
        Some("ManagedApp") => (MANAGED_APPS, Some(NAMESPACE)),
        Some("AppRelease") => (APP_RELEASES, Some(NAMESPACE)),
        Some("FleetPolicy") => (FLEET_POLICIES, None),
        Some("Secret") => (SECRETS, object["metadata"]["namespace"].as_str()),
        Some("Deployment") => (DEPLOYMENTS, Some(NAMESPACE)),
        other => return Err(format!("kind {other:?} is not known to scripts")),
    };
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let patch = Patch::Apply { value: object.clone(), force: Force::Yes };
    told(stage.person.patch(resource, namespace, &name, &patch).await)
}

/// Waits until the service's phase or its newest release's phase is `word`.
async fn wait(stage: &Stage, name: &str, word: &str) -> Result<String, String> {
    let start = tokio::time::Instant::now();
    while start.elapsed() < PATIENCE {
        let app = stage.sim.get("managedapps.trimtab.dev", NAMESPACE, name);
        let phase = app.as_ref().and_then(|app| app["status"]["phase"].as_str());
        let newest = show::releases(stage, name).pop();
        let release = newest.as_ref().and_then(|release| release["status"]["phase"].as_str());
        if phase == Some(word) || release == Some(word) {
            return Ok(String::new());
        }
        stage.advance(LOOK).await;
    }
    Err(format!("{name} did not become {word} within an hour"))
}
