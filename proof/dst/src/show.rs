//! What scenario scripts show: facts without names, times or numbers that a different but equally right run would change.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use crate::stage::{NAMESPACE, Stage};

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Releases of a service, by number.
pub(crate) fn releases(stage: &Stage, name: &str) -> Vec<Value> {
    let mut releases = stage.sim.list("appreleases.trimtab.dev", Some(NAMESPACE));
    releases.retain(|release| text(release, "/spec/app") == name);
    releases.sort_by_key(|release| release["spec"]["number"].as_u64());
    releases
}

/// The service, its releases and its Deployment.
pub(crate) fn service(stage: &Stage, name: &str) -> String {
    let mut shown = String::new();
    match stage.sim.get("managedapps.trimtab.dev", NAMESPACE, name) {
        Some(app) => {
            let _ = writeln!(
                shown,
                "{name}: {} [{}]",
                text(&app, "/status/summary"),
                text(&app, "/status/phase")
            );
            for condition in app.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten()
            {
                if text(condition, "/status") == "False" {
                    let _ = writeln!(
                        shown,
                        "  not {}: {}",
                        text(condition, "/type"),
                        text(condition, "/message")
                    );
                }
            }
        }
        None => {
            let _ = writeln!(shown, "{name}: no ManagedApp");
        }
    }
    for release in releases(stage, name) {
        let evidence = if release["status"]["lowEvidence"] == true { " (low evidence)" } else { "" };
        let held = if release["status"]["held"] == true { " (held)" } else { "" };
        let _ = writeln!(
            shown,
            "  v{} {} {}{evidence}{held}: {}",
            release["spec"]["number"],
            text(&release, "/spec/image"),
            text(&release, "/status/phase"),
            text(&release, "/status/summary"),
        );
    }
    match stage.sim.get("deployments.apps", NAMESPACE, name) {
        Some(deployment) => {
            let claim =
                deployment.pointer("/metadata/annotations/trimtab.dev~1claim").and_then(Value::as_str);
            let paused = if deployment["spec"]["paused"] == true { ", paused" } else { "" };
            let _ = writeln!(
                shown,
                "  Deployment: {}{paused}, claim {}",
                text(&deployment, "/spec/template/spec/containers/0/image"),
                claim.unwrap_or("none"),
            );
        }
        None => shown.push_str("  Deployment: none\n"),
    }
    shown
}

/// Pods of a service by image, readiness and phase label.
pub(crate) fn pods(stage: &Stage, name: &str) -> String {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for pod in stage.sim.list("pods", Some(NAMESPACE)) {
        if !text(&pod, "/metadata/name").starts_with(&format!("{name}-"))
            || !pod["metadata"]["deletionTimestamp"].is_null()
        {
            continue;
        }
        let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
        let ready = conditions
            .into_iter()
            .flatten()
            .any(|c| text(c, "/type") == "Ready" && text(c, "/status") == "True");
        let label = pod
            .pointer("/metadata/labels/trimtab.dev~1phase")
            .and_then(Value::as_str)
            .unwrap_or("unlabelled");
        let line = format!(
            "{} {} {label}",
            text(&pod, "/spec/containers/0/image"),
            if ready { "ready" } else { "not ready" }
        );
        *counts.entry(line).or_default() += 1;
    }
    let mut shown = String::new();
    for (line, count) in counts {
        let _ = writeln!(shown, "  {count} x {line}");
    }
    if shown.is_empty() { "  no pods\n".to_owned() } else { shown }
}

/// Events about a service, in order of time.
pub(crate) fn events(stage: &Stage, name: &str) -> String {
    let mut events = stage.sim.list("events.events.k8s.io", Some(NAMESPACE));
    events.retain(|event| {
        text(event, "/regarding/name") == name && text(event, "/regarding/kind") == "ManagedApp"
    });
    events.sort_by_key(|event| text(event, "/eventTime").to_owned());
    let mut shown = String::new();
    for event in events {
        let _ = writeln!(
            shown,
            "  {} {}: {}",
            text(&event, "/type"),
            text(&event, "/reason"),
            text(&event, "/note")
        );
    }
    if shown.is_empty() { "  no events\n".to_owned() } else { shown }
}

/// The manager's writes so far, by resource and verb; labels of pods apart from the others.
pub(crate) fn writes(stage: &Stage) -> String {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    let (mut labels, mut others) = (0, 0);
    for entry in stage.writes() {
        let subresource =
            if entry.subresource.is_empty() { String::new() } else { format!("/{}", entry.subresource) };
        *counts.entry(format!("{} {}{subresource}", entry.verb, entry.resource)).or_default() += 1;
        if entry.resource == "pods" { labels += 1 } else { others += 1 }
    }
    let mut shown = String::new();
    for (line, count) in counts {
        let _ = writeln!(shown, "  {count} {line}");
    }
    let _ = writeln!(shown, "  {others} in all, and {labels} pod labels");
    shown
}

/// Messages sent to people: the one line that a phone shows.
pub(crate) fn messages(stage: &Stage) -> String {
    let mut shown = String::new();
    for message in stage.messages.received() {
        let line = match message.body.get("text").and_then(Value::as_str) {
            Some(text) => text.lines().next().unwrap_or_default().to_owned(),
            None => format!("{} {}", text(&message.body, "/event"), text(&message.body, "/release")),
        };
        let _ = writeln!(shown, "  {line}");
    }
    if shown.is_empty() { "  no messages\n".to_owned() } else { shown }
}

/// What the traffic really suffered, as the model knows it.
pub(crate) fn harm(stage: &Stage, name: &str) -> String {
    format!("  {} requests failed\n", stage.world.truth(&trimtab_kube::Key::new(NAMESPACE, name)).failed)
}

/// The report of a plan made now, by the same code that the manager runs.
pub(crate) async fn explain(stage: &Stage, name: &str) -> Result<String, String> {
    let observed =
        trimtab_control::observe(&stage.person, NAMESPACE, name).await.map_err(|error| error.to_string())?;
    let Some(observed) = observed else { return Ok(format!("no ManagedApp {name}\n")) };
    let (_, report) =
        trimtab_delivery::plan(&observed.snapshot(stage.clock.now(), &trimtab_control::NOTHING_MEASURED));
    Ok(report.text())
}
