//! `trimtab uninstall`, with services at rest, in the middle of a release and holding a rejected template: everything of
//! Trimtab's goes, and no pod notices.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use trimtab_lab::Lab;
use trimtab_lab::judged::{managed_app, workload};

use crate::stage::{
    NAMESPACE, PATIENCE, Stage, deployment, items, ship, text, wait_for_release, wait_until_phase,
};

/// At rest.
const RESTING: &str = "resting";
/// In the middle of a release.
const RELEASING: &str = "releasing";
/// A template was rejected, and applied again.
const HOLDING: &str = "holding";
/// Pods of each of them.
const REPLICAS: u32 = 2;
/// What is left of Trimtab's own objects must be nothing; the namespace stays on purpose.
const INSTALLED: [&str; 10] = [
    "customresourcedefinition/managedapps.trimtab.dev",
    "customresourcedefinition/fleetpolicies.trimtab.dev",
    "customresourcedefinition/appreleases.trimtab.dev",
    "mutatingadmissionpolicy/hold.trimtab.dev",
    "mutatingadmissionpolicybinding/hold.trimtab.dev",
    "clusterrole/trimtab-manager",
    "clusterrolebinding/trimtab-manager",
    "deployment/trimtab",
    "serviceaccount/trimtab",
    "secret/trimtab-seal",
];

/// A pod that must not notice: its uid, the restarts of its containers, its image.
type Pods = BTreeMap<String, (String, Vec<u64>, String)>;

pub(crate) async fn uninstall_leaves_every_pod_running(lab: &Lab, stage: &mut Stage) -> Result<()> {
    stage.stop_traffic();
    for name in [RESTING, RELEASING, HOLDING] {
        let app = managed_app(NAMESPACE, name, "{delivery: {watch: 1h}}");
        lab.apply(&format!("{}---{app}", workload(NAMESPACE, name, "v1", REPLICAS))).await?;
    }
    for name in [RESTING, RELEASING, HOLDING] {
        wait_until_phase(lab, name, "Healthy").await?;
    }
    ship(lab, RELEASING, "v2").await?;
    hold(lab, stage).await?;
    wait_until_settled(lab).await?;
    let before = pods(lab).await?;
    ensure!(
        images_of(&before, HOLDING) == ["shop/service:v1"; 2],
        "a rejected template has pods: {before:?}"
    );
    let claimed = claimed(lab).await?;
    ensure!(claimed.iter().any(|name| name == HOLDING), "nothing is claimed: {claimed:?}");

    stage.site.trimtab(lab, &["uninstall"]).await.context("rehearsal")?;
    ensure!(self::claimed(lab).await? == claimed, "a rehearsal lets go of services");
    // The managers still run, as their pods would for a moment: without rights they must undo nothing.
    let said = stage.site.trimtab(lab, &["uninstall", "--yes"]).await?;
    let restored = format!("let go of Deployment {NAMESPACE}/{HOLDING}, and the template that runs put back");
    ensure!(said.contains(&restored), "uninstall does not speak of the held template:\n{said}");
    nothing_is_left(lab).await?;
    ensure!(self::claimed(lab).await?.is_empty(), "claims are left: {:?}", self::claimed(lab).await?);
    wait_until_settled(lab).await?;
    let after = pods(lab).await?;
    ensure!(after == before, "pods have noticed:\nbefore {before:?}\nafter {after:?}");
    println!("{} Deployments let go of, {} pods have not noticed", claimed.len(), after.len());

    // From here on they are plain Deployments: what was rejected ships when somebody ships it.
    ship(lab, HOLDING, "v2").await?;
    lab.wait_for_rollout(NAMESPACE, &format!("deployment/{HOLDING}"), PATIENCE).await?;
    stage.site.kill().await
}

/// Has a person reject a release, and ships it again.
async fn hold(lab: &Lab, stage: &Stage) -> Result<()> {
    ship(lab, HOLDING, "v2").await?;
    let release = format!("{HOLDING}-v2");
    wait_for_release(lab, &release, "Judging").await?;
    stage.site.trimtab(lab, &["abort", HOLDING, "-n", NAMESPACE, "--because", "the lab says so"]).await?;
    wait_for_release(lab, &release, "RolledBack").await?;
    ship(lab, HOLDING, "v2").await?;
    wait_until_phase(lab, HOLDING, "Held").await?;
    let paused = &deployment(lab, HOLDING).await?["spec"]["paused"];
    ensure!(*paused == true, "what is held is not paused");
    Ok(())
}

/// Waits until the Deployment controller has done all that the specs ask for, and no pod is on its way out.
async fn wait_until_settled(lab: &Lab) -> Result<()> {
    lab.wait_for("every Deployment has come to rest", PATIENCE, async || {
        let list = lab.get(&format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments")).await?;
        for deployment in items(&list)? {
            let (spec, status) = (&deployment["spec"], &deployment["status"]);
            let number = |field: &str| status[field].as_u64().unwrap_or(0);
            let wanted = spec["replicas"].as_u64().unwrap_or(1);
            let seen = status["observedGeneration"] == deployment["metadata"]["generation"];
            // A paused one keeps the pods that it has.
            let updated = spec["paused"] == true || number("updatedReplicas") == wanted;
            if !seen || !updated || number("availableReplicas") != wanted || number("replicas") != wanted {
                bail!("Deployment {} has not: {status}", text(deployment, "/metadata/name"));
            }
        }
        let pods = lab.get(&format!("/api/v1/namespaces/{NAMESPACE}/pods")).await?;
        let leaving = items(&pods)?.iter().any(|pod| !pod["metadata"]["deletionTimestamp"].is_null());
        Ok((!leaving).then_some(()))
    })
    .await
}

async fn pods(lab: &Lab) -> Result<Pods> {
    let list = lab.get(&format!("/api/v1/namespaces/{NAMESPACE}/pods")).await?;
    let read = |pod: &Value| {
        let containers = pod["status"]["containerStatuses"].as_array().cloned().unwrap_or_default();
        let restarts = containers.iter().map(|one| one["restartCount"].as_u64().unwrap_or(0)).collect();
        let image = text(pod, "/spec/containers/0/image").to_owned();
        (text(pod, "/metadata/name").to_owned(), (text(pod, "/metadata/uid").to_owned(), restarts, image))
    };
    Ok(items(&list)?.iter().map(read).collect())
}

fn images_of<'p>(pods: &'p Pods, service: &str) -> Vec<&'p str> {
    let prefix = format!("{service}-");
    pods.iter()
        .filter(|(name, _)| name.starts_with(&prefix))
        .map(|(_, (_, _, image))| image.as_str())
        .collect()
}

/// Deployments with any trace of Trimtab's on them: its annotations, or a pause.
async fn claimed(lab: &Lab) -> Result<Vec<String>> {
    let list = lab.get("/apis/apps/v1/deployments").await?;
    let ours = |deployment: &&Value| {
        let annotations = deployment["metadata"]["annotations"].as_object();
        let annotated = annotations.is_some_and(|all| all.keys().any(|key| key.contains("trimtab.dev/")));
        annotated || deployment["spec"]["paused"] == true
    };
    Ok(items(&list)?.iter().filter(ours).map(|one| text(one, "/metadata/name").to_owned()).collect())
}

/// Definitions go once their objects are gone, which takes the API server a moment.
async fn nothing_is_left(lab: &Lab) -> Result<()> {
    let mut arguments = vec!["get", "--ignore-not-found", "--output=name", "-n", "trimtab-system"];
    arguments.extend(INSTALLED);
    lab.wait_for("nothing of Trimtab's is left", PATIENCE, async || {
        let left = lab.kubectl(&arguments).await?;
        if left.trim().is_empty() { Ok(Some(())) } else { bail!("{left}") }
    })
    .await
}
