//! Somebody who may edit one namespace and nothing else makes pods by hand and says of them that they are a release's: the
//! real controllers count none of them, no crash of theirs is the release's, and no rollback waits for them.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use trimtab_lab::Lab;
use trimtab_lab::judged::{managed_app, workload};

use crate::stage::{
    NAMESPACE, PATIENCE, Stage, deployment, items, release, ship, text, wait_for_release, wait_until_phase,
};
use crate::tenants::{admit, as_tenant, dismiss};

/// The service.
const HAUNTED: &str = "haunted";
/// Pods of the service.
const REPLICAS: u32 = 1;
/// A release that crashes while it is watched, and late enough for pods to be forged before.
const BAD: &str = "v2-slowstart6s-panic9s";
/// A release that is good, and takes its time until pods have been forged and have crashed.
const GOOD: &str = "v3-slowstart10s";
/// What forged pods run: it crashes, and is never ready.
const FORGED_IMAGE: &str = "shop/service:v1-panic3s";
/// Names no owner, and carries the labels of the service and of the arm that is judged.
const OF_AN_ARM: &str = "of-an-arm";
/// Named the ReplicaSet of a release as its owner, and lacks the labels that the set selects by: once it was in the bad
/// release, once in the good one.
const DISOWNED: [&str; 2] = ["disowned-by-the-bad", "disowned-by-the-good"];
/// The same, and it names its owner while it is being deleted: Kubernetes neither counts such a pod nor disowns it.
const LINGERING: &str = "lingering";
/// A node that does not exist: nobody runs what is bound to it, and nobody ends it.
const NOWHERE: &str = "nowhere";

pub(crate) async fn pods_that_a_tenant_made_count_nothing_and_hold_nothing_up(
    lab: &Lab,
    _: &mut Stage,
) -> Result<()> {
    admit(lab).await?;
    let outcome = releases_among_forged_pods(lab).await;
    // Whatever came of it: pods that crash for ever must not be met by the cases after this one.
    let removed = remove_everything(lab).await;
    outcome.and(removed)
}

async fn releases_among_forged_pods(lab: &Lab) -> Result<()> {
    let app = managed_app(NAMESPACE, HAUNTED, "{delivery: {watch: 5s}}");
    lab.apply(&format!("{}---{app}", workload(NAMESPACE, HAUNTED, "v1", REPLICAS))).await?;
    wait_until_phase(lab, HAUNTED, "Healthy").await?;
    let canary = json!({"app": HAUNTED, "trimtab.dev/phase": "canary"});
    let mut lingering = by_hand(LINGERING, &labels_of_another(), &json!([]));
    lingering["spec"]["nodeName"] = json!(NOWHERE);
    forge(lab, &[by_hand(OF_AN_ARM, &canary, &json!([])), lingering]).await?;
    as_tenant(lab, &["delete", "pod", LINGERING, "--wait=false"], "").await?;
    a_bad_release_is_rolled_back(lab).await?;
    a_good_release_is_kept(lab).await
}

/// To its end: nothing is left that it waits for, and what ran before it runs again.
async fn a_bad_release_is_rolled_back(lab: &Lab) -> Result<()> {
    let bad = format!("{HAUNTED}-v2");
    ship(lab, HAUNTED, BAD).await?;
    wait_for_release(lab, &bad, "Judging").await?;
    let owners = owned_by(&set_of(lab, BAD).await?);
    forge(lab, &[by_hand(DISOWNED[0], &labels_of_another(), &owners)]).await?;
    let claim = json!({"metadata": {"ownerReferences": owners}}).to_string();
    as_tenant(lab, &["patch", "pod", LINGERING, "--type=merge", "-p", &claim], "").await?;
    is_judged_still(lab, &bad).await?;
    wait_until_disowned(lab, DISOWNED[0]).await?;
    let closed = wait_for_release(lab, &bad, "RolledBack").await?;
    let summary = text(&closed, "/status/summary");
    ensure!(summary.starts_with("panics-and-crashes: "), "the verdict is another one: {summary}");
    runs(lab, "v1").await?;
    let lingering = pod(lab, LINGERING).await?;
    let metadata = &lingering["metadata"];
    ensure!(metadata["deletionTimestamp"].is_string(), "{LINGERING} is not being deleted: {metadata}");
    ensure!(metadata["ownerReferences"] == owners, "{LINGERING} names another owner: {metadata}");
    println!("rolled back beside forged pods: {summary}");
    Ok(())
}

/// Forged pods have crashed before anything is decided, and none of these crashes is on record.
async fn a_good_release_is_kept(lab: &Lab) -> Result<()> {
    let good = format!("{HAUNTED}-v3");
    ship(lab, HAUNTED, GOOD).await?;
    wait_for_release(lab, &good, "Judging").await?;
    let owners = owned_by(&set_of(lab, GOOD).await?);
    forge(lab, &[by_hand(DISOWNED[1], &labels_of_another(), &owners)]).await?;
    wait_until_disowned(lab, DISOWNED[1]).await?;
    wait_until_crashed(lab, OF_AN_ARM).await?;
    wait_until_crashed(lab, DISOWNED[1]).await?;
    is_judged_still(lab, &good).await?;
    let kept = wait_for_release(lab, &good, "Kept").await?;
    let rules = kept["status"]["rules"].as_array().context("the record has no rules")?;
    let crashes = rules.iter().find(|rule| rule["name"] == "panics-and-crashes");
    let crashes = crashes.context("the record says nothing of crashes")?;
    ensure!(crashes["canaryBad"].as_f64() == Some(0.0), "a crash of a forged pod counts: {crashes}");
    runs(lab, GOOD).await?;
    println!("kept beside forged pods: {}", text(&kept, "/status/summary"));
    Ok(())
}

/// What is forged after a decision shows nothing.
async fn is_judged_still(lab: &Lab, name: &str) -> Result<()> {
    let phase = text(&release(lab, name).await?, "/status/phase").to_owned();
    ensure!(phase == "Judging", "pods were forged too late: the release {name} is {phase}");
    Ok(())
}

/// Every pod that the Deployment has runs this, and it is what the Deployment asks for.
async fn runs(lab: &Lab, tag: &str) -> Result<()> {
    let image = format!("shop/service:{tag}");
    let asked = deployment(lab, HAUNTED).await?;
    let asked = text(&asked, "/spec/template/spec/containers/0/image");
    ensure!(asked == image, "the Deployment asks for {asked} instead of {image}");
    // The pod that was made by hand has no hash.
    let own = format!("labelSelector=app%3D{HAUNTED}%2Cpod-template-hash");
    let pods = lab.get(&format!("/api/v1/namespaces/{NAMESPACE}/pods?{own}")).await?;
    let stays = |pod: &&Value| pod["metadata"]["deletionTimestamp"].is_null();
    let images: Vec<&str> =
        items(&pods)?.iter().filter(stays).map(|pod| text(pod, "/spec/containers/0/image")).collect();
    ensure!(images == [image.as_str()], "{images:?} run instead of {image}");
    Ok(())
}

async fn wait_until_disowned(lab: &Lab, name: &str) -> Result<()> {
    lab.wait_for(&format!("its ReplicaSet disowns pod {name}"), PATIENCE, async || {
        let pod = pod(lab, name).await?;
        let owners = pod["metadata"]["ownerReferences"].as_array();
        Ok(owners.is_none_or(Vec::is_empty).then_some(()))
    })
    .await
}

async fn wait_until_crashed(lab: &Lab, name: &str) -> Result<()> {
    lab.wait_for(&format!("pod {name} has crashed"), PATIENCE, async || {
        let pod = pod(lab, name).await?;
        let restarts = pod["status"]["containerStatuses"][0]["restartCount"].as_u64();
        Ok((restarts > Some(0)).then_some(()))
    })
    .await
}

async fn pod(lab: &Lab, name: &str) -> Result<Value> {
    lab.get(&format!("/api/v1/namespaces/{NAMESPACE}/pods/{name}")).await
}

/// The ReplicaSet that the Deployment controller made for a release.
async fn set_of(lab: &Lab, tag: &str) -> Result<Value> {
    let image = format!("shop/service:{tag}");
    let path = format!("/apis/apps/v1/namespaces/{NAMESPACE}/replicasets?labelSelector=app%3D{HAUNTED}");
    lab.wait_for(&format!("{image} has a ReplicaSet"), PATIENCE, async || {
        let list = lab.get(&path).await?;
        let own = |set: &&Value| text(set, "/spec/template/spec/containers/0/image") == image;
        Ok(items(&list)?.iter().find(own).cloned())
    })
    .await
}

/// Creates pods with the tenant's rights.
async fn forge(lab: &Lab, pods: &[Value]) -> Result<()> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": pods});
    as_tenant(lab, &["create", "-f", "-"], &list.to_string()).await
}

/// What a pod says of its ReplicaSet.
fn owned_by(set: &Value) -> Value {
    json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": set["metadata"]["name"],
        "uid": set["metadata"]["uid"], "controller": true}])
}

fn labels_of_another() -> Value {
    json!({"app": "other"})
}

/// A pod that somebody made by hand. Nobody listens where its probe asks, and it does not go away when it is told to.
fn by_hand(name: &str, labels: &Value, owners: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels, "ownerReferences": owners,
            "finalizers": ["mallory.example/stay"]},
        "spec": {"terminationGracePeriodSeconds": 3600, "containers": [{"name": "service", "image": FORGED_IMAGE,
            "readinessProbe": {"tcpSocket": {"port": 9}, "periodSeconds": 1}}]},
    })
}

/// Removes the service, the pods by force, and the tenant.
async fn remove_everything(lab: &Lab) -> Result<()> {
    let forged = [OF_AN_ARM, LINGERING, DISOWNED[0], DISOWNED[1]];
    let free = r#"{"metadata": {"finalizers": null}}"#;
    for name in forged {
        // One that was never made cannot be patched.
        let patch = ["patch", "pod", name, "-n", NAMESPACE, "--type=merge", "-p", free];
        lab.try_kubectl(lab.admin(), &patch, "").await?;
    }
    let all = ["delete", "-n", NAMESPACE, "--ignore-not-found", "--wait=false"];
    let pods = [&all[..], &["--force", "--grace-period=0", "pod"], &forged[..]].concat();
    lab.kubectl(&pods).await?;
    lab.kubectl(&[&all[..], &["managedapp,deployment,service", HAUNTED]].concat()).await?;
    dismiss(lab).await
}
