//! What people get wrong, sent to a real API server: `api/tests/corpus`, and fields that this version does not know.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use trimtab_lab::Lab;
use trimtab_lab::judged::{managed_app, workload};

use crate::stage::{self, NAMESPACE, PATIENCE, Stage, deployment, text, wait_until_phase};

/// Where the corpus is.
const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../api/tests/corpus");
/// The service that must not suffer from its neighbours' mistakes.
const SOUND: &str = "sound";
/// The service with fields of a version that is still to come.
const NEWER: &str = "newer";

/// A policy that only the resolver can see through, for services that do not exist.
const BROKEN_POLICY: &str = r#"
apiVersion: trimtab.dev/v1alpha1
kind: FleetPolicy
metadata: {name: broken}
spec:
  match: {namespaces: [nowhere]}
  rules: [{name: stuck, alert: {expr: "max by (("}}]
"#;

/// A file of `corpus/bad`, and what its first lines promise.
struct Bad {
    file: PathBuf,
    /// The file's name, and that of the object in it as it is sent, so that each can be told from the others.
    name: String,
    content: String,
    path: String,
    cause: String,
    accepted: bool,
}

pub(crate) async fn every_bad_manifest_is_refused_or_explained(lab: &Lab, stage: &mut Stage) -> Result<()> {
    let corpus = read_corpus()?;
    let good = Path::new(CORPUS).join("good").display().to_string();
    lab.kubectl(&["create", "--dry-run=server", "-f", &good]).await.context("the good manifests")?;
    let accepted: Vec<&Bad> = corpus.iter().filter(|bad| bad.accepted).collect();
    ensure!(!accepted.is_empty(), "the corpus has nothing that only the resolver knows");
    the_server_refuses(lab, &corpus).await?;
    let told = lint(lab, stage, &corpus).await?;
    // A sound service is between them from the beginning, and the broken ones have Deployments that they could harm.
    let sound = managed_app(NAMESPACE, SOUND, "{delivery: {watch: 5s, history: 2}}");
    lab.apply(BROKEN_POLICY).await?;
    lab.apply(&format!("{}---{sound}", workload(NAMESPACE, SOUND, "v1", 1))).await?;
    for bad in &accepted {
        lab.apply(&format!("{}---\n{}", workload(NAMESPACE, &bad.name, "v1", 0), bad.content)).await?;
    }
    for bad in &accepted {
        the_manager_says(lab, bad, told.get(&bad.name).context("was linted")?).await?;
    }
    let policy = "/apis/trimtab.dev/v1alpha1/fleetpolicies/broken";
    let message = what_is_wrong(lab, policy).await?;
    ensure!(message.contains("spec.rules[0].alert.expr: "), "the policy's condition says {message:?}");
    release_twice(lab, stage).await?;
    println!(
        "{} bad manifests: {} refused by the server, {} explained by lint and on the object",
        corpus.len(),
        corpus.len() - accepted.len(),
        accepted.len()
    );
    unknown_fields_survive(lab).await?;
    let broken: Vec<&str> = accepted.iter().map(|bad| bad.name.as_str()).collect();
    let delete = ["delete", "managedapp,deployment,service", "-n", NAMESPACE, "--wait=false", SOUND, NEWER];
    lab.kubectl(&[&delete[..], &broken[..]].concat()).await?;
    lab.kubectl(&["delete", "fleetpolicy", "broken"]).await.map(drop)
}

/// A service that is all right releases as if it were alone, in the way that people do; and what its history has no room
/// for is forgotten.
async fn release_twice(lab: &Lab, stage: &Stage) -> Result<()> {
    wait_until_phase(lab, SOUND, "Healthy").await?;
    for tag in ["v2", "v3"] {
        let image = format!("shop/service:{tag}");
        let arguments = ["deploy", SOUND, "-n", NAMESPACE, "--image", &image, "--wait=60s"];
        let output = stage.site.try_trimtab(lab, &arguments).await?;
        // Kept; without traffic there is little evidence, and the exit code says so.
        let code = output.status.code();
        ensure!(
            matches!(code, Some(0 | 3)),
            "{tag} ended with {code:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    lab.wait_for("the first release is forgotten", PATIENCE, async || {
        Ok(stage::release(lab, &format!("{SOUND}-v1")).await.is_err().then_some(()))
    })
    .await
}

fn read_corpus() -> Result<Vec<Bad>> {
    let folder = Path::new(CORPUS).join("bad");
    let mut corpus = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let file = entry?.path();
        let content = std::fs::read_to_string(&file)?;
        let header = |key: &str| content.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
        let (path, cause) = header("# problem: ").split_once(':').context("a header has path and cause")?;
        let (path, cause) = (path.to_owned(), cause.trim().to_owned());
        let accepted = header("# server: ") == "accepts";
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let content = ["payments", "fleet"].iter().fold(content.clone(), |content, usual| {
            content.replace(&format!("metadata: {{name: {usual}"), &format!("metadata: {{name: {name}"))
        });
        ensure!(content.contains(&format!("{{name: {name}")), "{name}: the object has an unusual name");
        corpus.push(Bad { file, name, path, cause, accepted, content });
    }
    corpus.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(corpus)
}

/// Sends every bad manifest, and compares whom the server refused, and over which field, with what the corpus says.
async fn the_server_refuses(lab: &Lab, corpus: &[Bad]) -> Result<()> {
    let all: Vec<&str> = corpus.iter().map(|bad| bad.content.as_str()).collect();
    let arguments = ["create", "--dry-run=server", "-f", "-"];
    let output = lab.try_kubectl(lab.admin(), &arguments, &all.join("\n---\n")).await?;
    let created = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    for bad in corpus {
        let accepted = created.contains(&format!("/{} created", bad.name));
        ensure!(accepted == bad.accepted, "{}: accepted is {accepted}:\n{errors}", bad.name);
        let named = errors.lines().any(|said| {
            said.contains(&format!("\"{}\" is invalid", bad.name))
                && paths_to(&bad.path).any(|path| said.contains(path))
        });
        ensure!(accepted || named, "{}: the server does not name {}:\n{errors}", bad.name, bad.path);
    }
    Ok(())
}

/// A field's path, and those of the two above it: what is wrong between two fields is told of their parent.
fn paths_to(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| Some(&path[..path.rfind(['.', '['])?])).take(3)
}

/// Lints every bad file at once: what is told of each, by its name, as `path: cause`.
async fn lint(lab: &Lab, stage: &Stage, corpus: &[Bad]) -> Result<BTreeMap<String, String>> {
    let files: Vec<String> = corpus.iter().map(|bad| bad.file.display().to_string()).collect();
    let arguments: Vec<&str> =
        ["lint", "--output", "json"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let output = stage.site.try_trimtab(lab, &arguments).await?;
    ensure!(output.status.code() == Some(1), "lint ended with {}", output.status);
    let found: Value = serde_json::from_slice(&output.stdout).context("lint writes JSON")?;
    let found = found.as_array().context("lint writes a list")?;
    let mut told = BTreeMap::new();
    for (bad, file) in corpus.iter().zip(&files) {
        let mut own = found.iter().filter(|one| one["file"] == **file && one["weight"] == "problem");
        let named =
            own.find(|one| text(one, "/path") == bad.path && text(one, "/cause").contains(&bad.cause));
        let named = named.with_context(|| format!("lint does not tell {}: {}", bad.name, bad.cause))?;
        told.insert(bad.name.clone(), format!("{}: {}", bad.path, text(named, "/cause")));
    }
    Ok(told)
}

/// The condition on the live object says what `trimtab lint` says, and its Deployment is left alone.
async fn the_manager_says(lab: &Lab, bad: &Bad, told: &str) -> Result<()> {
    let path = format!("/apis/trimtab.dev/v1alpha1/namespaces/{NAMESPACE}/managedapps/{}", bad.name);
    let message = what_is_wrong(lab, &path).await?;
    ensure!(message.contains(told), "{}: the condition says {message:?}, lint says {told:?}", bad.name);
    let claim = &deployment(lab, &bad.name).await?["metadata"]["annotations"]["trimtab.dev/claim"];
    ensure!(claim.is_null(), "{}: a service with a wrong spec was claimed: {claim}", bad.name);
    Ok(())
}

/// What the manager says is wrong with an object.
async fn what_is_wrong(lab: &Lab, path: &str) -> Result<String> {
    lab.wait_for(&format!("{path} has a condition"), PATIENCE, async || {
        let object = lab.get(path).await?;
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let mut own = conditions.iter().filter(|one| one["type"] == "Valid" && one["status"] == "False");
        Ok(own.next().map(|one| text(one, "/message").to_owned()))
    })
    .await
}

/// The definitions of a later version know fields that this manager does not: it writes its status, and they stay.
async fn unknown_fields_survive(lab: &Lab) -> Result<()> {
    let manifest = |watch: &str| {
        let app =
            managed_app(NAMESPACE, NEWER, &format!("{{someUnknown: kept, delivery: {{watch: {watch}}}}}"));
        format!("{}---{app}", workload(NAMESPACE, NEWER, "v1", 0))
    };
    let refused =
        lab.apply(&manifest("1m")).await.err().context("an unknown field is accepted in silence")?;
    ensure!(format!("{refused:#}").contains("spec.someUnknown"), "the field is not named: {refused:#}");
    let definition = async |operation: &str| {
        let part = |part: &str| {
            let path =
                format!("/spec/versions/0/schema/openAPIV3Schema/properties/{part}/properties/someUnknown");
            format!(r#"{{"op": "{operation}", "path": "{path}", "value": {{"type": "string"}}}}"#)
        };
        let patch = format!("[{}, {}]", part("spec"), part("status"));
        lab.kubectl(&[
            "patch",
            "customresourcedefinition/managedapps.trimtab.dev",
            "--type=json",
            "--patch",
            &patch,
        ])
        .await
    };
    definition("add").await?;
    lab.wait_for("the later definition is served", PATIENCE, async || {
        lab.apply(&manifest("1m")).await.map(Some)
    })
    .await?;
    wait_until_phase(lab, NEWER, "Healthy").await?;
    let status = r#"{"status": {"someUnknown": "kept"}}"#;
    let patch = [
        "patch",
        "managedapp",
        NEWER,
        "-n",
        NAMESPACE,
        "--subresource=status",
        "--type=merge",
        "--patch",
        status,
    ];
    lab.kubectl(&patch).await?;
    lab.apply(&manifest("2m")).await?;
    let app = lab
        .wait_for("the manager wrote its status again", PATIENCE, async || {
            let app = stage::app(lab, NEWER).await?;
            let seen = app["status"]["observedGeneration"] == app["metadata"]["generation"];
            Ok(Some(app).filter(|_| seen))
        })
        .await?;
    for part in ["spec", "status"] {
        ensure!(app[part]["someUnknown"] == "kept", "{part}.someUnknown is lost: {}", app[part]);
    }
    definition("remove").await.map(drop)
}
