//! A release whose pods are not all there: it ends all the same, and says so.

use jiff::ToSpan;
use trimtab_delivery::strategy::Rolling;
use trimtab_stats::Verdict;

use crate::check;
use crate::service::{START, Service, judging, out};

/// The last pod of `t2` is lost.
fn loses_one(mut service: Service, why: &str) -> Service {
    let pod = service.pods.iter_mut().rfind(|pod| pod.replica_set == "uid-t2").expect("t2 runs");
    (pod.ready, pod.waiting) = (false, Some(why.into()));
    service.sets.iter_mut().find(|set| set.template_hash == "t2").expect("t2 runs").available -= 1;
    service
}

#[test]
fn a_pod_is_lost_after_the_rollout() {
    let lost = loses_one(out(), "CrashLoopBackOff").finds("rpc-errors", Verdict::Pass, "0 %");
    check(
        "within the watch",
        &lost.clone().later(60),
        "
        = Releasing: Releasing v2, judged against v1
        why 2 of 3 pods are available -> judges by the others; waits for 5m after the last pod became ready
        why rpc-errors PASS: 0 % -> goes on judging; waits for 5m after the last pod became ready
        wake +5m
    ",
    );
    check("after it", &lost.later(300), "
        event v2 Kept: v2 is kept: low evidence: 1 of 3 pods are not ready: CrashLoopBackOff
        v2 is Kept: low evidence: 1 of 3 pods are not ready: CrashLoopBackOff [Undecided, low evidence, started +0s, ready +0s, decided +5m]
        label pay-t2-0 stable
        label pay-t2-1 stable
        label pay-t2-2 stable
        = Healthy: Healthy on v2
        why v2 was out long enough -> keeps it: low evidence: 1 of 3 pods are not ready: CrashLoopBackOff
    ");
}

#[test]
fn an_autoscaler_finds_no_room() {
    let wants_more = out().target(|target| target.replicas = 10).finds("rpc-errors", Verdict::Pass, "0 %");
    check(
        "after the rollout",
        &wants_more.later(300),
        "
        event v2 Kept: v2 is kept: rpc-errors: 0 %; 3 of 10 pods are available
        v2 is Kept: rpc-errors: 0 %; 3 of 10 pods are available [Pass, started +0s, ready +0s, decided +5m]
        label pay-t2-0 stable
        label pay-t2-1 stable
        label pay-t2-2 stable
        = Healthy: Healthy on v2
        why v2 was out long enough -> keeps it: rpc-errors: 0 %; 3 of 10 pods are available
    ",
    );
    let before_a_look = judging().runs("t1", 0).runs("t2", 3).labelled().target(|target| {
        (target.replicas, target.rolled_out) = (10, true);
    });
    check(
        "before anybody looked",
        &before_a_look,
        "
        v2 is Judging:  [started +0s, ready +0s]
        = Releasing: Releasing v2, judged against v1
        why 3 of 10 pods are available -> judges on; waits for 5m after the last pod became ready
        wake +5m
    ",
    );
    let unseen = before_a_look.target(|target| target.generation += 1);
    check(
        "what was rolled out may be the template before",
        &unseen,
        "
        = Releasing: Releasing v2, judged against v1
        why 3 of 10 pods of v2 are available -> judges what there is; waits for the other pods
        wake +1h
    ",
    );
}

#[test]
fn a_rollout_that_nobody_gives_up() {
    let stuck = judging().runs("t1", 3).runs("t2", 1).labelled().finds("rpc-errors", Verdict::Pass, "0 %");
    check(
        "is waited for",
        &stuck.clone().later(3599),
        "
        = Releasing: Releasing v2, judged against v1
        why 1 of 3 pods of v2 are available -> judges what there is; waits for the other pods
        wake +1h
    ",
    );
    check(
        "a bounded time",
        &stuck.clone().later(3600),
        "
        v2 is Judging:  [started +0s, ready +1h]
        = Releasing: Releasing v2, judged against v1
        why 1 of 3 pods are available -> judges on; waits for 5m after the last pod became ready
        wake +1h5m
    ",
    );
    check("unless a person paused it", &stuck.paused(Some("kubectl-rollout")).later(7200), "
        = Releasing: Releasing v2, judged against v1
        ! Progressing PausedByOther: kubectl-rollout paused the Deployment; Trimtab does not lift a pause that is not its own
        why 1 of 3 pods of v2 are available -> waits: kubectl-rollout paused the Deployment; waits for `kubectl rollout resume deployment/pay -n shop`
    ");
}

/// A rollout that Kubernetes does not give up on, an hour and more after its last pod was made.
fn stalled() -> Service {
    judging().runs("t1", 3).runs("t2", 1).labelled().finds("rpc-errors", Verdict::Pass, "0 %").later(4000)
}

#[test]
fn an_hour_under_a_pause_is_none_without_progress() {
    let resumed =
        stalled().target(|target| target.progressing_since = START.checked_add(3900.seconds()).ok());
    check(
        "the Deployment controller has seen the end of the pause",
        &resumed,
        "
        = Releasing: Releasing v2, judged against v1
        why 1 of 3 pods of v2 are available -> judges what there is; waits for the other pods
        wake +2h5m
    ",
    );
    let unseen = stalled().target(|target| target.generation += 1);
    check(
        "or has not",
        &unseen,
        "
        = Releasing: Releasing v2, judged against v1
        why 1 of 3 pods of v2 are available -> judges what there is; waits for the other pods
        wake +1h
    ",
    );
}

#[test]
fn a_rollout_that_kubernetes_gives_up_ends_where_nothing_is_judged() {
    let given_up = judging().runs("t1", 3).runs("t2", 1).labelled().later(600).target(|target| {
        target.progress_deadline_exceeded = Some("has timed out progressing".into());
    });
    let given_up = given_up.settings(|settings| settings.strategy = &Rolling);
    let ready_at = given_up.now;
    let out = given_up.clone().last(|release| release.status.ready_at = Some(ready_at));
    check("and that is said", &out, "
        event v2 Kept: v2 is kept: 1 of 3 pods are available; strategy Rolling does not judge
        v2 is Kept: 1 of 3 pods are available; strategy Rolling does not judge [started +0s, ready +10m, decided +10m]
        label pay-t2-0 stable
        = Healthy: Healthy on v2
        why v2 was out long enough -> keeps it: 1 of 3 pods are available; strategy Rolling does not judge
    ");
    check(
        "at once, and not whenever it gives up again",
        &given_up,
        "
        v2 is Judging:  [started +0s, ready +10m]
        label pay-t2-0 stable
        = Releasing: Releasing v2, judged against v1
        why 1 of 3 pods are available -> judges on; waits for 5m after the last pod became ready
        wake +15m
    ",
    );
}

#[test]
fn what_came_back_has_its_hour_again() {
    let mut fresh = stalled().waits("t2", "ContainerCreating");
    let now = fresh.now;
    let pod = pod_of(&mut fresh);
    (pod.started_at, pod.created_at) = (None, Some(now));
    check(
        "no node has taken its pod yet",
        &fresh,
        "
        label pay-t2-0 canary
        = Releasing: Releasing v2, judged against v1
        why 0 of 3 pods of v2 are available -> judges what there is; waits for the other pods
        wake +2h6m40s
    ",
    );
    pod_of(&mut fresh).created_at = Some(START);
    check("nor within the hour", &fresh, "
        v2 is RollingBack: progress: no pod of v2 became ready within 1h [Fail, started +0s, decided +1h6m40s]
        restore v1
        v2 is RollingBack: progress: no pod of v2 became ready within 1h [Fail, started +0s, decided +1h6m40s, restores 1]
        = RollingBack: Rolling back v2 to v1
        why the Deployment holds v2, which failed -> restores the template of v1
    ");
}

fn pod_of(service: &mut Service) -> &mut trimtab_workload::Pod {
    service.pods.last_mut().expect("t2 waits")
}

#[test]
fn what_was_complete_while_nobody_looked_did_not_come_to_nothing() {
    let unready = stalled().waits("t2", "CrashLoopBackOff").target(|target| target.rolled_out = true);
    check(
        "its pods are not ready now",
        &unready,
        "
        v2 is Judging:  [started +0s, ready +1h6m40s]
        label pay-t2-0 canary
        = Releasing: Releasing v2, judged against v1
        why 0 of 3 pods are available -> judges on; waits for 5m after the last pod became ready
        wake +1h11m40s
    ",
    );
}
