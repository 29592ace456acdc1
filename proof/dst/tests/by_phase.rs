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
apply payments shop/payments:v2 by argocd-controller
apply cart shop/cart:v2 by argocd-controller
settle
advance 10m
";

/// The first release of each gives its pods the phase that the second one is compared with. Most requests of the other service fail on its new pods, which carry the same phase as the new ones of this service.
#[tokio::test(start_paused = true)]
async fn a_bad_release_beside_it_is_not_held_against_a_good_one() {
    let phase_label = PhaseLabel::FromPodLabel;
    let mut stage = Stage::set(&StageOptions { phase_label, ..StageOptions::seeded(7) });
    let script = format!(
        "{BEGIN}apply payments shop/payments:v3 by argocd-controller\napply cart shop/cart:v3-errors60 by argocd-controller\n\
         settle\nshow payments\nshow cart\n"
    );
    let shown = script::run(&script, &mut stage).await;
    assert!(shown.contains("Healthy on v2 (v3 rejected)"), "the bad one: {shown}");
    assert!(
        shown.contains("v3 shop/payments:v3 Kept (low evidence): low evidence: rpc-errors: canary 0/"),
        "the good one, by its rule: {shown}"
    );
    stage.stop_managers().await;
}
