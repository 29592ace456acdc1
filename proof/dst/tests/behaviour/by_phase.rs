//! Arms that are told apart by the phase of a pod: two services of one namespace have pods in the same phases at one time.
//! No scenario: how Prometheus labels its series is the world's.

use trimtab_dst::{Stage, StageOptions, script};
use trimtab_world::prometheus::PhaseLabel;

const BEGIN: &str = "service payments replicas=3 rps=50 image=shop/payments:v1
service cart replicas=3 rps=50 image=shop/cart:v1
advance 10m
start manager
object <<
apiVersion: trimtab.dev/v1alpha1
kind: FleetPolicy
metadata: {name: everyone}
spec:
  rules:
  - name: rpc-errors
    arms: {by: Phase, label: phase}
    ratio: {bad: 'http_requests_total{code=~\"5..\"}', total: http_requests_total}
.
claim payments
claim cart
settle
advance 10m
";

async fn play(then: &str) -> String {
    let phase_label = PhaseLabel::FromPodLabel;
    let mut stage = Stage::set(&StageOptions { phase_label, ..StageOptions::seeded(7) });
    let shown = script::run(&format!("{BEGIN}{then}"), &mut stage).await;
    stage.stop_managers().await;
    shown
}

/// Most requests of the other service fail on its new pods, which carry the same phase as the new ones of this service.
#[tokio::test(start_paused = true)]
async fn a_bad_release_beside_it_is_not_held_against_a_good_one() {
    let shown = play(
        "apply payments shop/payments:v2 by argocd-controller\napply cart shop/cart:v2-errors60 by argocd-controller\n\
         settle\nshow payments\nshow cart\n",
    )
    .await;
    assert!(
        shown.contains("Healthy on v1 (v2 rejected)"),
        "the bad one, with the first release of all: {shown}"
    );
    assert!(
        shown.contains("v2 shop/payments:v2 Kept (low evidence): low evidence: rpc-errors: canary 0/"),
        "the good one, by its rule: {shown}"
    );
    assert!(
        !shown.contains("RulesBound"),
        "pods that were labelled a moment ago are no reason to say so: {shown}"
    );
}

/// A pod that is born at rest is one of the old ones in the next release, and a service that nobody compares by phase is
/// spared the writes.
#[tokio::test(start_paused = true)]
async fn pods_at_rest_carry_their_phase_where_a_rule_asks_for_it() {
    let shown = play("show pods payments\nscale payments 5\nadvance 1m\nshow pods payments\n").await;
    let carried: Vec<&str> =
        shown.lines().filter(|line| line.contains(" x shop/payments:v1 ready")).collect();
    assert_eq!(
        carried,
        ["  3 x shop/payments:v1 ready stable", "  5 x shop/payments:v1 ready stable"],
        "{shown}"
    );
}
