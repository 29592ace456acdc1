//! A service that names another Deployment from now on, while a release is judged and nothing else happens. No scenario,
//! because how many pods were out at that moment differs after a crash of the manager.

use trimtab_dst::stage::NAMESPACE;
use trimtab_dst::{Stage, StageOptions, script};

/// The release is out everywhere, and judged for minutes to come.
const JUDGED: &str = "service pay replicas=3 rps=50 image=shop/pay:v1\nservice till replicas=2 rps=20 image=shop/till:v7\n\
    advance 10m\nstart manager\nclaim pay\nsettle\napply pay shop/pay:v2 by argocd-controller\nadvance 2m\nshow pay\n\
    show pods pay\n";
const MOVED: &str = "object <<\napiVersion: trimtab.dev/v1alpha1\nkind: ManagedApp\nmetadata: {name: pay}\n\
    spec: {target: {kind: Deployment, name: till}, delivery: {strategy: Guarded, watch: 5m}}\n.\n\
    settle\nshow pay\nshow pods pay\n";

async fn told(stage: &mut Stage, story: &str) -> String {
    let transcript = script::run(story, stage).await;
    assert!(!transcript.contains("line ") && !transcript.contains("not settled"), "{transcript}");
    transcript
}

fn claim(stage: &Stage, deployment: &str) -> Option<String> {
    let deployment = stage.sim.get("deployments.apps", NAMESPACE, deployment).unwrap();
    deployment["metadata"]["annotations"]["trimtab.dev/claim"].as_str().map(str::to_owned)
}

#[tokio::test(start_paused = true)]
async fn the_old_deployment_is_let_go_and_the_new_one_has_its_own_baseline() {
    let mut stage = Stage::set(&StageOptions::seeded(23));
    let shown = told(&mut stage, JUDGED).await;
    assert!(shown.contains("  v2 shop/pay:v2 Judging"), "{shown}");
    assert!(shown.contains("  3 x shop/pay:v2 ready canary"), "{shown}");
    let shown = told(&mut stage, MOVED).await;
    assert_eq!(claim(&stage, "pay"), None, "{shown}");
    assert!(claim(&stage, "till").is_some_and(|claim| claim.starts_with("open")), "{shown}");
    assert!(shown.contains("  3 x shop/pay:v2 ready unlabelled"), "{shown}");
    assert!(shown.contains("pay: Healthy on v3 [Healthy]\n"), "{shown}");
    let ended = "v2 shop/pay:v2 Superseded: ended without a verdict: Deployment till is not the one that it was released to";
    assert!(shown.contains(ended), "{shown}");
    assert!(
        shown.contains("  v3 shop/till:v7 Kept (low evidence): was running when the service was claimed"),
        "{shown}"
    );
    let shown = told(&mut stage, "apply till shop/till:v8 by argocd-controller\nsettle\nshow pay\n").await;
    assert!(shown.contains("pay: Healthy on v4 [Healthy]\n"), "{shown}");
    assert!(shown.contains("  v4 shop/till:v8 Kept"), "{shown}");
}
