//! Pods that are over, as the shutdown of a node leaves them: they stay listed, are replaced, and count nowhere. No scenario,
//! because how many pods were out when the node went differs after a crash of the manager.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use trimtab_dst::stage::NAMESPACE;
use trimtab_dst::{Stage, StageOptions, script};

/// Longest that a pod may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Shorter than a pod takes to start: the first one that is ready is the newest that runs.
const LOOK: Duration = Duration::from_millis(10);

async fn told(stage: &mut Stage, story: &str) -> String {
    let transcript = script::run(story, stage).await;
    assert!(!transcript.contains("line ") && !transcript.contains("not settled"), "{transcript}");
    transcript
}

async fn running(seed: u64) -> Stage {
    let mut stage = Stage::set(&StageOptions::seeded(seed));
    let story =
        "service pay replicas=3 rps=50 image=shop/pay:v1\nadvance 10m\nstart manager\nclaim pay\nsettle\n";
    told(&mut stage, story).await;
    stage
}

/// Whether a pod with that image is ready: its kubelet says nothing more of it.
fn is_ready(stage: &Stage, image: &str) -> bool {
    let ready = |pod: &Value| {
        let conditions = pod["status"]["conditions"].as_array();
        conditions.into_iter().flatten().any(|of| of["type"] == "Ready" && of["status"] == "True")
    };
    let pods = stage.sim.list("pods", Some(NAMESPACE));
    pods.iter().any(|pod| pod["spec"]["containers"][0]["image"] == image && ready(pod))
}

/// The images of the pods in a phase.
fn images(stage: &Stage, phase: &str) -> Vec<String> {
    let pods = stage.sim.list("pods", Some(NAMESPACE));
    let image = |pod: &Value| pod["spec"]["containers"][0]["image"].as_str().unwrap().to_owned();
    pods.iter().filter(|pod| pod["status"]["phase"] == phase).map(image).collect()
}

#[tokio::test(start_paused = true)]
async fn pods_that_went_with_their_node_are_no_crashes() {
    let mut stage = running(21).await;
    told(&mut stage, "apply pay shop/pay:v2 by argocd-controller\nadvance 1m\nend pods pay 2\n").await;
    assert_eq!(images(&stage, "Failed"), ["shop/pay:v2", "shop/pay:v2"]);
    let shown = told(&mut stage, "settle\nshow pay\n").await;
    assert!(shown.contains("pay: Healthy on v2 [Healthy]\n"), "{shown}");
    assert!(shown.contains("  v2 shop/pay:v2 Kept"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_over_holds_no_rollback_up() {
    let bad = "shop/pay:v2-errors30";
    let mut stage = running(22).await;
    told(&mut stage, &format!("apply pay {bad} by argocd-controller\n")).await;
    let start = Instant::now();
    while !is_ready(&stage, bad) {
        assert!(start.elapsed() < READY_WITHIN, "no pod of {bad} is ready");
        stage.advance(LOOK).await;
    }
    told(&mut stage, "end pods pay 1\n").await;
    assert_eq!(images(&stage, "Failed"), [bad]);
    let shown = told(&mut stage, "settle\nshow pay\n").await;
    assert_eq!(images(&stage, "Failed"), [bad], "Kubernetes leaves it there");
    assert!(shown.contains("pay: Healthy on v1 (v2 rejected) [Healthy]\n"), "{shown}");
    assert!(shown.contains(&format!("  v2 {bad} RolledBack: ")), "{shown}");
}
