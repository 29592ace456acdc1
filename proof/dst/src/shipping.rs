//! What people and tools do to ship, as commands of a scenario.

use serde_json::{Value, json};
use trimtab_delivery::names::{APP_LABEL, RELEASE_ANNOTATION, parse_release_word, release_object};
use trimtab_kube::api::{Force, Patch};
use trimtab_kube::kinds::APP_RELEASES;
use trimtab_kube::resource::DEPLOYMENTS;

use crate::script::told;
use crate::show;
use crate::stage::{NAMESPACE, Stage};
use crate::words::{number, setting};

fn image_patch(name: &str, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"template": {"spec": {"containers": [{"name": "service", "image": image}]}}},
    })
}

/// Applies the image as a GitOps tool does. With `paused=false` the manifest says so, with `unforced` a conflict with
/// another field manager is an error, `env=VALUE` gives the container something beside its image, and `kib=N` makes that so
/// large.
pub(crate) async fn apply(
    stage: &Stage,
    name: &str,
    image: &str,
    manager: &str,
    options: &[&str],
) -> Result<String, String> {
    // Field managers are program names: a script has a handful, and each lives as long as the process.
    let manager: &'static str = Box::leak(manager.to_owned().into_boxed_str());
    let api = stage.person.with_field_manager(manager);
    let mut value = image_patch(name, image);
    match setting(options, "paused", "") {
        "" => {}
        paused => value["spec"]["paused"] = (paused == "true").into(),
    }
    match setting(options, "env", "") {
        "" => {}
        env => set_env(&mut value, env),
    }
    match number::<usize>(setting(options, "kib", "0"))? {
        0 => {}
        kib => set_env(&mut value, &"x".repeat(kib * 1024)),
    }
    let force = if options.contains(&"unforced") { Force::No } else { Force::Yes };
    let patch = Patch::Apply { value, force };
    told(api.patch(DEPLOYMENTS, Some(NAMESPACE), name, &patch).await)
}

fn set_env(deployment: &mut Value, text: &str) {
    deployment["spec"]["template"]["spec"]["containers"][0]["env"] =
        json!([{"name": "SETTING", "value": text}]);
}

/// Deploys as `trimtab deploy` does: a number first, then the image.
pub(crate) async fn deploy(stage: &Stage, name: &str, image: &str) -> Result<String, String> {
    deploy_numbered(stage, name, image, None).await
}

/// Brings an earlier release back as `trimtab rollback --to` does.
pub(crate) async fn rollback(stage: &Stage, name: &str, release: &str) -> Result<String, String> {
    let releases = show::releases(stage, name);
    let number = parse_release_word(release);
    let old = releases.iter().find(|old| old["spec"]["number"].as_u64() == number);
    let Some(image) = old.and_then(|old| old["spec"]["image"].as_str()) else {
        return Ok(format!("{name} has no release {release}\n"));
    };
    deploy_numbered(stage, name, image, number).await
}

async fn deploy_numbered(
    stage: &Stage,
    name: &str,
    image: &str,
    rollback_to: Option<u64>,
) -> Result<String, String> {
    let app = stage
        .sim
        .get("managedapps.trimtab.dev", NAMESPACE, name)
        .ok_or_else(|| format!("no ManagedApp {name}"))?;
    let last = stage.sim.list("appreleases.trimtab.dev", Some(NAMESPACE));
    let of_app = last.iter().filter(|release| release["spec"]["app"] == name);
    let number = of_app.filter_map(|release| release["spec"]["number"].as_u64()).max().unwrap_or(0) + 1;
    let mut record = json!({
        "apiVersion": trimtab_api::API_VERSION,
        "kind": "AppRelease",
        "metadata": {
            "name": release_object(name, number),
            "namespace": NAMESPACE,
            "labels": {APP_LABEL: name},
            "ownerReferences": [{
                "apiVersion": trimtab_api::API_VERSION, "kind": "ManagedApp", "name": name,
                "uid": app["metadata"]["uid"], "controller": true,
            }],
        },
        "spec": {"app": name, "number": number, "image": image, "actor": "alice"},
    });
    if let Some(old) = rollback_to {
        record["spec"]["rollbackTo"] = old.into();
    }
    if let Err(error) = stage.person.create(APP_RELEASES, Some(NAMESPACE), &record).await {
        return Ok(format!("{error}\n"));
    }
    let mut patch = image_patch(name, image);
    patch["metadata"]["annotations"] = json!({RELEASE_ANNOTATION: format!("v{number}")});
    let answer = stage.person.patch(DEPLOYMENTS, Some(NAMESPACE), name, &Patch::Strategic(patch)).await;
    Ok(answer.err().map_or_else(|| format!("{name} v{number}\n"), |error| format!("{error}\n")))
}

/// Puts the previous template back as `kubectl rollout undo` does.
pub(crate) async fn undo(stage: &Stage, name: &str) -> Result<String, String> {
    let mut sets = stage.sim.list("replicasets.apps", Some(NAMESPACE));
    let revision = |set: &Value| -> u64 {
        set["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
            .as_str()
            .and_then(|r| r.parse().ok())
            .unwrap_or(0)
    };
    sets.retain(|set| set["metadata"]["ownerReferences"][0]["name"] == name);
    sets.sort_by_key(revision);
    let previous =
        sets.len().checked_sub(2).and_then(|index| sets.get(index)).ok_or("no previous ReplicaSet")?;
    let mut template = previous["spec"]["template"].clone();
    if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
        labels.remove("pod-template-hash");
    }
    let patch = Patch::Json(json!([{"op": "replace", "path": "/spec/template", "value": template}]));
    told(
        stage
            .person
            .with_field_manager("kubectl-rollout")
            .patch(DEPLOYMENTS, Some(NAMESPACE), name, &patch)
            .await,
    )
}

pub(crate) async fn set_paused(
    stage: &Stage,
    name: &str,
    paused: bool,
    manager: &str,
) -> Result<String, String> {
    let manager: &'static str = Box::leak(manager.to_owned().into_boxed_str());
    let patch = Patch::Strategic(json!({"spec": {"paused": if paused { json!(true) } else { Value::Null }}}));
    told(stage.person.with_field_manager(manager).patch(DEPLOYMENTS, Some(NAMESPACE), name, &patch).await)
}

pub(crate) async fn decide(
    stage: &Stage,
    name: &str,
    release: &str,
    verdict: &str,
    why: &str,
) -> Result<String, String> {
    let newest = || show::releases(stage, name).pop().and_then(|release| release["spec"]["number"].as_u64());
    let number = if release == "newest" { newest() } else { parse_release_word(release) };
    let Some(number) = number else { return Ok(format!("{name} has no release {release}\n")) };
    let verdict = match verdict {
        "keep" => "Keep",
        "roll-back" => "RollBack",
        other => return Err(format!("`{other}` is neither keep nor roll-back")),
    };
    let decision = json!({"verdict": verdict, "actor": "alice", "because": why, "at": stage.clock.now()});
    let patch = Patch::Merge(json!({"spec": {"decision": decision}}));
    told(stage.person.patch(APP_RELEASES, Some(NAMESPACE), &release_object(name, number), &patch).await)
}
