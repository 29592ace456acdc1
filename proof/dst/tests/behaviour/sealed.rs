//! Only what the manager itself wrote counts as a release: where its key comes from, and what a tenant can do without it.

use serde_json::{Value, json};
use trimtab_control::seals::SEAL_SECRET;
use trimtab_dst::stage::{NAMESPACE, OWN_NAMESPACE};
use trimtab_dst::{Stage, StageOptions, script};
use trimtab_kube::Resource;
use trimtab_kube::api::{Patch, Preconditions, Propagation};
use trimtab_kube::kinds::APP_RELEASES;
use trimtab_kube::resource::{PODS, SECRETS};

const RUNNING: &str =
    "service pay replicas=3 rps=50 image=shop/pay:v1\nadvance 10m\nstart manager\nclaim pay\nsettle\n";
const FAILING: &str = "apply pay shop/pay:v3-errors30 by argocd-controller\nsettle\nshow pay\n";

async fn told(stage: &mut Stage, story: &str) -> String {
    script::run(story, stage).await
}

fn secret(stage: &Stage) -> Option<Value> {
    stage.sim.get("secrets", OWN_NAMESPACE, SEAL_SECRET)
}

fn record(stage: &Stage, name: &str) -> Value {
    stage.sim.get("appreleases.trimtab.dev", NAMESPACE, name).unwrap()
}

async fn delete(stage: &Stage, resource: &Resource, namespace: &str, name: &str) {
    let any = Preconditions::default();
    stage.person.delete(resource, Some(namespace), name, &any, Propagation::Background).await.unwrap();
}

/// As an installation leaves it.
async fn empty_secret(stage: &Stage) {
    let patch = Patch::Merge(json!({"data": null}));
    stage.person.patch(SECRETS, Some(OWN_NAMESPACE), SEAL_SECRET, &patch).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_first_leader_makes_the_key_and_the_next_one_finds_it() {
    let mut stage = Stage::set(&StageOptions::seeded(11));
    empty_secret(&stage).await;
    // Two of them: one leads.
    told(&mut stage, "start manager\n").await;
    told(&mut stage, RUNNING).await;
    let made = secret(&stage).unwrap();
    assert_eq!(made["data"]["key"].as_str().unwrap().len(), 44, "32 bytes in base64");
    let seal = record(&stage, "pay-v1")["metadata"]["annotations"]["trimtab.dev/seal"].clone();
    assert_eq!(seal.as_str().unwrap().len(), 64, "{seal}");
    let next = told(&mut stage, "kill manager\nadvance 1m\nstart manager\nsettle\nshow pay\n").await;
    assert_eq!(secret(&stage).unwrap(), made, "a key is never replaced");
    assert!(next.contains("pay: Healthy on v1 [Healthy]\n  v1 "), "{next}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_decided_without_a_key() {
    let mut stage = Stage::set(&StageOptions::seeded(12));
    delete(&stage, SECRETS, OWN_NAMESPACE, SEAL_SECRET).await;
    told(&mut stage, RUNNING).await;
    assert!(stage.writes().is_empty(), "{:?}", stage.writes());
    // What `trimtab install` prints is applied again.
    let installed = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SEAL_SECRET, "namespace": OWN_NAMESPACE}});
    stage.sim.load(vec![installed]).unwrap();
    let shown = told(&mut stage, "advance 30s\nsettle\nshow pay\n").await;
    assert!(shown.contains("pay: Healthy on v1 [Healthy]\n  v1 "), "{shown}");
    assert!(secret(&stage).unwrap()["data"]["key"].is_string());
}

/// A copy of what the manager wrote says what the manager wrote, and nothing else.
#[tokio::test(start_paused = true)]
async fn a_copied_seal_counts_for_its_own_record_alone() {
    let mut stage = Stage::set(&StageOptions::seeded(13));
    told(&mut stage, RUNNING).await;
    told(&mut stage, "apply pay shop/pay:v2 by argocd-controller\nsettle\n").await;
    let of = |record: &Value, name: &str, spec: Value| {
        let mut spec_of = record["spec"].clone();
        spec_of.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        json!({
            "apiVersion": record["apiVersion"], "kind": "AppRelease", "spec": spec_of,
            "metadata": {"name": name, "namespace": NAMESPACE, "annotations": record["metadata"]["annotations"]},
        })
    };
    let (first, second) = (record(&stage, "pay-v1"), record(&stage, "pay-v2"));
    let evil = json!({"spec": {"containers": [{"name": "service", "image": "evil", "securityContext": {"privileged": true}}]}});
    delete(&stage, APP_RELEASES, NAMESPACE, "pay-v1").await;
    let copies = [
        of(&first, "pay-v1", json!({"template": evil})),
        of(&second, "pay-v3", json!({"number": 3})),
        of(&second, "ship-v2", json!({"app": "ship"})),
    ];
    for copy in &copies {
        stage.person.create(APP_RELEASES, Some(NAMESPACE), copy).await.unwrap();
    }
    let shown = told(&mut stage, &format!("settle\n{FAILING}")).await;
    assert!(shown.contains("pay: Healthy on v2 (v4 rejected) [Healthy]\n"), "{shown}");
    assert!(
        shown.contains(
            "AppRelease pay-v1: its seal is not of this manager's key, or of another record, and 1 more"
        ),
        "{shown}"
    );
    assert!(shown.contains("Deployment: shop/pay:v2, claim"), "{shown}");
    // The same content under the same name again: it is what the manager wrote, and may be gone back to.
    delete(&stage, APP_RELEASES, NAMESPACE, "pay-v2").await;
    stage.person.create(APP_RELEASES, Some(NAMESPACE), &of(&second, "pay-v2", json!({}))).await.unwrap();
    let shown = told(&mut stage, &format!("settle\nshow pay\n{FAILING}")).await;
    assert!(shown.contains("Deployment: shop/pay:v2, claim"), "{shown}");
}

/// Anybody who may edit the namespace can fill it. What the manager does about one service stays within bounds.
#[tokio::test(start_paused = true)]
async fn thousands_of_records_hold_nothing_up() {
    const FORGED: u64 = 5_000;
    let mut stage = Stage::set(&StageOptions::seeded(14));
    told(&mut stage, RUNNING).await;
    let forged = (2..2 + FORGED).map(|number| {
        json!({
            "apiVersion": "trimtab.dev/v1alpha1", "kind": "AppRelease",
            "metadata": {"name": format!("pay-v{number}"), "namespace": NAMESPACE, "labels": {"trimtab.dev/app": "pay"}},
            "spec": {"app": "pay", "number": number, "actor": "mallory", "templateHash": "bcdfg24567",
                "template": {"spec": {"containers": [{"name": "service", "image": "evil"}]}}},
        })
    });
    let before = stage.writes().len();
    stage.sim.load(forged.collect()).unwrap();
    told(&mut stage, "settle\n").await;
    let told_of = stage.writes().len() - before;
    assert!(told_of <= 10, "{told_of} writes: the service says so, and not of each");
    assert!(!told(&mut stage, FAILING).await.contains("not settled"));
    let app = stage.sim.get("managedapps.trimtab.dev", NAMESPACE, "pay").unwrap();
    assert_eq!(app["status"]["summary"], format!("Healthy on v1 (v{} rejected)", FORGED + 2));
    let size = app["status"].to_string().len();
    assert!(size < 4_096, "{size} bytes of status");
    let template = &stage.sim.get("deployments.apps", NAMESPACE, "pay").unwrap()["spec"]["template"];
    assert_eq!(template["spec"]["containers"][0]["image"], "shop/pay:v1");
}

/// A service whose new release is judged, and its ReplicaSet.
async fn judged(seed: u64, image: &str) -> (Stage, Value) {
    let mut stage = Stage::set(&StageOptions::seeded(seed));
    told(&mut stage, RUNNING).await;
    let ship = format!("apply pay {image} by argocd-controller\nwait pay until Judging\nadvance 5s\n");
    told(&mut stage, &ship).await;
    let sets = stage.sim.list("replicasets.apps", Some(NAMESPACE));
    let is_new = |set: &&Value| set["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2";
    let set = sets.iter().find(is_new).unwrap().clone();
    (stage, set)
}

/// What a pod says of its owner.
fn owned_by(kind: &str, owner: &Value, is_controller: bool) -> Value {
    json!([{"apiVersion": "apps/v1", "kind": kind, "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"], "controller": is_controller}])
}

/// A pod that somebody made by hand.
fn by_hand(name: &str, labels: &Value, owners: &Value, spec: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "spec": spec,
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels, "ownerReferences": owners},
    })
}

/// The same, with a finalizer and a grace period of an hour.
fn held(mut pod: Value) -> Value {
    pod["metadata"]["finalizers"] = json!(["mallory.example/stay"]);
    pod["spec"]["terminationGracePeriodSeconds"] = json!(3600);
    pod
}

/// The same, and it does not go away: its node does not answer, and a finalizer holds it.
fn to_stay(mut pod: Value) -> Value {
    pod["spec"] = json!({"containers": [{"name": "service", "image": "evil"}], "nodeName": "nowhere"});
    held(pod)
}

async fn create(stage: &Stage, pods: &[Value]) {
    for pod in pods {
        stage.person.create(PODS, Some(NAMESPACE), pod).await.unwrap();
    }
}

/// It crashed three times.
async fn crash(stage: &Stage, name: &str) {
    let crashed = json!({"name": "service", "image": "evil", "imageID": "", "ready": false, "restartCount": 3,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": 101, "reason": "Error", "finishedAt": stage.clock.now()}}});
    let patch = Patch::Merge(json!({"status": {"phase": "Running", "containerStatuses": [crashed]}}));
    stage.person.patch_subresource(PODS, Some(NAMESPACE), name, "status", &patch).await.unwrap();
}

fn pod(stage: &Stage, name: &str) -> Value {
    stage.sim.get("pods", NAMESPACE, name).unwrap()
}

/// Pods that crash and say of themselves that they are the release's, with finalizers and a grace period of an hour, beside a
/// release that is good. Kubernetes counts none of them among the pods of its ReplicaSet.
#[tokio::test(start_paused = true)]
async fn a_forged_pod_is_no_evidence() {
    let (mut stage, set) = judged(17, "shop/pay:v2").await;
    let deployment = stage.sim.get("deployments.apps", NAMESPACE, "pay").unwrap();
    let (own, other) = (&set["spec"]["template"]["metadata"]["labels"], &json!({"app": "other"}));
    let arm = &json!({"app": "pay", "trimtab.dev/phase": "canary"});
    let crashes = &json!({"containers": [{"name": "service", "image": "evil:v1-panic3s-neverready"}]});
    let pods = [
        by_hand("disowned", other, &owned_by("ReplicaSet", &set, true), crashes),
        by_hand("uncontrolled", other, &owned_by("ReplicaSet", &set, false), crashes),
        by_hand("of-the-deployment", own, &owned_by("Deployment", &deployment, true), crashes),
        by_hand("of-an-arm", arm, &json!([]), crashes),
    ];
    create(&stage, &pods.map(held)).await;
    let shown = told(&mut stage, "settle\nshow pay\n").await;
    for name in ["disowned", "uncontrolled", "of-the-deployment", "of-an-arm"] {
        let status = &pod(&stage, name)["status"]["containerStatuses"][0];
        assert!(status["restartCount"].as_u64() > Some(0), "{name} crashed: {status}");
    }
    assert!(shown.contains("pay: Healthy on v2 [Healthy]\n"), "{shown}");
    assert!(shown.contains("  v2 shop/pay:v2 Kept"), "{shown}");
}

/// Kubernetes does not disown a pod that is being deleted, whatever owner is written into it.
#[tokio::test(start_paused = true)]
async fn an_owner_that_is_written_into_a_pod_on_its_way_out_makes_it_no_evidence() {
    let (mut stage, set) = judged(18, "shop/pay:v2").await;
    create(&stage, &[to_stay(by_hand("lingering", &json!({"app": "other"}), &json!([]), &json!({})))]).await;
    crash(&stage, "lingering").await;
    let (none, background) = (Preconditions::default(), Propagation::Background);
    stage.person.delete(PODS, Some(NAMESPACE), "lingering", &none, background).await.unwrap();
    let owners = owned_by("ReplicaSet", &set, true);
    let claim = Patch::Merge(json!({"metadata": {"ownerReferences": owners}}));
    stage.person.patch(PODS, Some(NAMESPACE), "lingering", &claim).await.unwrap();
    let shown = told(&mut stage, "settle\nshow pay\n").await;
    assert_eq!(pod(&stage, "lingering")["metadata"]["ownerReferences"], owners);
    assert!(shown.contains("  v2 shop/pay:v2 Kept"), "{shown}");
}

/// Its labels match and its owner is right: Kubernetes takes it for one of the ReplicaSet's, and so does Trimtab.
#[tokio::test(start_paused = true)]
async fn a_pod_that_kubernetes_counts_is_evidence_and_holds_nothing_up() {
    let (mut stage, set) = judged(16, "shop/pay:v2").await;
    let own = &set["spec"]["template"]["metadata"]["labels"];
    let twin = by_hand("twin", own, &owned_by("ReplicaSet", &set, true), &json!({}));
    create(&stage, &[to_stay(twin)]).await;
    crash(&stage, "twin").await;
    let shown = told(&mut stage, "settle\nshow pay\n").await;
    assert!(pod(&stage, "twin")["metadata"]["deletionTimestamp"].is_string(), "it is still going away");
    assert!(shown.contains("pay: Healthy on v1 (v2 rejected) [Healthy]\n"), "{shown}");
    assert!(shown.contains("RolledBack: panics-and-crashes: 3 on new pods"), "{shown}");
}

/// Pods that name a ReplicaSet as their owner, or an arm as theirs, and do not go away.
#[tokio::test(start_paused = true)]
async fn a_forged_pod_holds_no_rollback_up() {
    let (mut stage, set) = judged(15, "shop/pay:v2-errors30").await;
    let (own, owners) = (&set["spec"]["template"]["metadata"]["labels"], &owned_by("ReplicaSet", &set, true));
    let pods = [
        by_hand("forged-owner", &json!({"app": "other"}), owners, &json!({})),
        by_hand("forged-twin", own, owners, &json!({})),
        by_hand("forged-arm", &json!({"app": "pay", "trimtab.dev/phase": "stable"}), &json!([]), &json!({})),
    ];
    create(&stage, &pods.map(to_stay)).await;
    let shown = told(&mut stage, "settle\nshow pay\n").await;
    assert!(shown.contains("pay: Healthy on v1 (v2 rejected) [Healthy]\n"), "{shown}");
    assert!(shown.contains("RolledBack: rpc-errors"), "{shown}");
    assert!(shown.contains("Deployment: shop/pay:v1, claim"), "{shown}");
}
