//! Restarts and kills told by Kubernetes, and panics that the process survived.

use trimtab_judge::rule::{CrashesRule, RuleKind};

use crate::check;
use crate::lab::{Lab, lab, name};

fn crashes() -> Lab {
    let counters = vec!["panics_total".into()];
    lab(RuleKind::Crashes(CrashesRule { ignore_containers: vec!["envoy".into()], counters }))
}

#[test]
fn verdicts() {
    check(
        "nothing happened",
        &crashes(),
        &[30.0],
        "rule undecided: 0 on new pods in 0.5 pod-minutes; old pods: 0 in 75 pod-hours",
    );
    check(
        "one crash of a quiet service",
        &crashes().crashed("x", "service", 1),
        &[30.0],
        "rule FAIL: 1 on new pods (last: OOMKilled) in 0.5 pod-minutes; old pods: 0 in 75 pod-hours",
    );
    let often = ["a", "b", "c"].into_iter().fold(crashes(), |lab, pod| lab.crashed(pod, "service", 25));
    check(
        "one crash of a service that crashes every hour",
        &often.clone().crashed("x", "service", 1),
        &[30.0],
        "rule undecided: 1 on new pods (last: OOMKilled) in 0.5 pod-minutes; old pods: 75 in 75 pod-hours",
    );
    check(
        "eight of them",
        &often.crashed("x", "service", 8),
        &[30.0],
        "rule FAIL: 8 on new pods (last: OOMKilled) in 0.5 pod-minutes; old pods: 75 in 75 pod-hours",
    );
    let both = ["a", "b", "c", "x"].into_iter().fold(crashes(), |lab, pod| lab.crashed(pod, "service", 1));
    check(
        "every pod crashed once: not the release's doing",
        &both,
        &[30.0],
        "rule undecided: 1 on new pods (last: OOMKilled) in 0.5 pod-minutes; old pods: 3 in 75 pod-hours",
    );
    check(
        "an old pod crashed",
        &crashes().crashed("a", "service", 1),
        &[30.0],
        "rule undecided: 0 on new pods in 0.5 pod-minutes; old pods: 1 in 75 pod-hours",
    );
    check(
        "a sidecar that restarts by design",
        &crashes().crashed("x", "envoy", 3),
        &[30.0],
        "rule undecided: 0 on new pods in 0.5 pod-minutes; old pods: 0 in 75 pod-hours",
    );
    let unstarted = crashes().crashed("x", "service", 1).with(|lab| {
        lab.arms.pods.values_mut().for_each(|pod| pod.started_ms = None);
    });
    check(
        "crashed before anybody saw it start",
        &unstarted,
        &[30.0],
        "rule FAIL: 1 on new pods (last: OOMKilled) in 0 pod-minutes; old pods: 0 in 0 pod-hours",
    );
}

#[test]
fn panics() {
    let counted = crashes().samples("panics_total", "x", &[(2.0, 0.0), (17.0, 1.0)]);
    check(
        "a panic that the process survived",
        &counted,
        &[30.0],
        "rule FAIL: 1 on new pods (counted panics) in 0.5 pod-minutes; old pods: 0 in 75 pod-hours",
    );
    check(
        "one that ended its container is told twice, and counts once",
        &counted.crashed("x", "service", 1),
        &[30.0],
        "rule FAIL: 1 on new pods (last: OOMKilled) in 0.5 pod-minutes; old pods: 0 in 75 pod-hours",
    );
    let history = crashes().samples("panics_total", "a", &[(-40.0, 9.0), (-25.0, 9.0), (5.0, 12.0)]);
    check(
        "panics of old pods are not the release's",
        &history,
        &[30.0],
        "rule undecided: 0 on new pods in 0.5 pod-minutes; old pods: 0 in 75 pod-hours",
    );
    let down = crashes().crashed("x", "service", 1).outage(0.0..400.0);
    check(
        "without a metrics server Kubernetes still tells",
        &down,
        &[30.0],
        "rule FAIL: 1 on new pods (last: OOMKilled) in 0.5 pod-minutes; old pods: 0 in 75 pod-hours",
    );
}

#[test]
fn a_pod_that_is_gone_is_exposed_to_nothing() {
    let gone = crashes().with(|lab| {
        let pod = lab.arms.pods.get_mut(&name("x")).expect("the pod exists");
        pod.gone_ms = Some(crate::lab::at_ms(60.0));
    });
    check(
        "one minute, however late it is asked",
        &gone,
        &[3600.0],
        "rule undecided: 0 on new pods in 1 pod-minutes; old pods: 0 in 78 pod-hours",
    );
}
