//! A write that meets an object which has changed is no failure: a plan is made anew, soon, and nobody is warned.

use trimtab_dst::{Stage, StageOptions, script};

use crate::logged::warnings;

#[tokio::test(start_paused = true)]
async fn conflicts_are_planned_anew_without_a_warning() {
    let (log, logging) = warnings();
    let mut stage = Stage::set(&StageOptions::seeded(7));
    let before = "service pay replicas=2 rps=5 image=shop/pay:v1\nadvance 10m\nstart manager\nclaim pay\nsettle\n\
                  fault conflict resource=appreleases.trimtab.dev for=20s\napply pay shop/pay:v2 by argocd-controller\n\
                  advance 15s\nshow pay\n";
    let refused = script::run(before, &mut stage).await;
    assert!(refused.contains("pay: Healthy on v1") && !refused.contains("v2 shop/pay:v2"), "{refused}");
    // Nothing changes in the cluster when the fault ends: the manager looks again by itself.
    let after = script::run("advance 10s\nshow pay\n", &mut stage).await;
    assert!(after.contains("v2 shop/pay:v2 Judging"), "{after}");
    stage.stop_managers().await;
    drop(logging);
    let told = log.text();
    assert!(!told.contains("reconcile failed"), "{told}");
}
