//! What counts of a pod, by what its kubelet reports.

use jiff::Timestamp;
use trimtab_delivery::arms;
use trimtab_delivery::snapshot::ReleasePhase;
use trimtab_judge::Arms;
use trimtab_workload::{ContainerReport, End, Pod};

use crate::check;
use crate::service::{START, judging, out};

fn end(reason: &'static str, exit_code: i32) -> Option<End<'static>> {
    Some(End { reason, exit_code, at: Some(START) })
}

fn container(name: &'static str) -> ContainerReport<'static> {
    ContainerReport { name, ..ContainerReport::default() }
}

#[track_caller]
fn counts(case: &str, containers: &[ContainerReport<'_>], expected: &str) {
    let pod = Pod::default().reported(containers);
    let told = format!(
        "{:?} {:?} last {:?} waits {:?}",
        pod.restarts,
        pod.terminated,
        pod.last_crash.as_deref().unwrap_or_default(),
        pod.waiting.as_deref().unwrap_or_default(),
    );
    assert_eq!(told, expected, "{case}");
}

#[test]
fn containers() {
    let (app, proxy) = (container("app"), container("proxy"));
    let crashed = ContainerReport { restarts: 2, last_end: end("OOMKilled", 137), ..app };
    counts("crashed twice", &[crashed, proxy], r#"{"app": 2} [] last "OOMKilled" waits """#);
    let lies = ContainerReport { end: end("Error", 101), ..app };
    counts("lies crashed", &[lies], r#"{} ["app"] last "Error, exit code 101" waits """#);
    let rebooted = ContainerReport { restarts: 1, last_end: end("Unknown", 255), ..app };
    counts("its node was rebooted", &[rebooted], r#"{} [] last "" waits """#);
    let lost = ContainerReport { end: end("ContainerStatusUnknown", 137), ..app };
    counts("its node is coming back", &[lost], r#"{} [] last "" waits """#);
    let before = ContainerReport { restarts: 3, last_end: end("Unknown", 255), ..app };
    counts("crashed before the reboot", &[before], r#"{"app": 2} [] last "" waits """#);
    let silent = |name| ContainerReport { restarts: 1, last_end: end("Error", 255), ..container(name) };
    counts("all ended unseen", &[silent("app"), silent("proxy")], r#"{} [] last "" waits """#);
    counts(
        "exits with 255 by itself",
        &[silent("app")],
        r#"{"app": 1} [] last "Error, exit code 255" waits """#,
    );
    counts(
        "one of two does",
        &[silent("app"), proxy],
        r#"{"app": 1} [] last "Error, exit code 255" waits """#,
    );
    let init = ContainerReport {
        is_init: true,
        restarts: 4,
        waiting: Some("CrashLoopBackOff"),
        ..container("init")
    };
    let starts = ContainerReport { waiting: Some("PodInitializing"), ..app };
    counts("an init container", &[init, starts], r#"{} [] last "" waits "CrashLoopBackOff""#);
    let creating = ContainerReport { waiting: Some("ContainerCreating"), ..app };
    let pulls = ContainerReport { waiting: Some("ImagePullBackOff"), ..proxy };
    counts("the second waits", &[creating, pulls], r#"{} [] last "" waits "ImagePullBackOff""#);
    let loops = ContainerReport { waiting: Some("CrashLoopBackOff"), ..app };
    counts("both wait", &[loops, pulls], r#"{} [] last "" waits "CrashLoopBackOff, ImagePullBackOff""#);
}

/// The first pod of `t2` was evicted and replaced.
fn evicted(mut service: crate::service::Service) -> crate::service::Service {
    let pod = service.pods.iter_mut().find(|pod| pod.replica_set == "uid-t2").expect("t2 runs");
    (pod.ended, pod.ready) = (true, false);
    let extra =
        Pod { name: "pay-t2-9".into(), uid: "uid-t2-9".into(), ended: false, ready: true, ..pod.clone() };
    pod.terminated = vec!["app".into()];
    service.pods.push(extra);
    service
}

#[test]
fn a_pod_that_is_over_counts_nowhere() {
    let service = evicted(out());
    let snapshot = service.snapshot();
    let release = snapshot.history().in_flight().expect("v2");
    let arms = arms::of(&snapshot, release, &Arms::default());
    assert_eq!(arms.pods.keys().collect::<Vec<_>>(), ["pay-t2-1", "pay-t2-2", "pay-t2-9"]);
    let back = evicted(judging().runs("t2", 1)).applies("t1").last(|release| {
        (release.status.phase, release.status.summary) = (ReleasePhase::RollingBack, "30 %".into());
    });
    let mut back = back;
    back.pods.retain(|pod| pod.name != "pay-t2-9");
    check(
        "nothing of it is left to wait for",
        &back,
        "
        claim hold-changes pay:t2
        event v2 RolledBack: 30 %
        v2 is RolledBack: 30 % [started +0s, recovered +0s]
        = Healthy: Healthy on v1 (v2 rejected)
        why all 3 pods run v1 again -> closes v2 as rolled back
    ",
    );
}

#[test]
fn known_pods_that_end_are_gone() {
    let before = out();
    let snapshot = before.snapshot();
    let release = snapshot.history().in_flight().expect("v2");
    let known = arms::of(&snapshot, release, &Arms::default());
    let after = evicted(before.clone());
    let arms = arms::of(&after.snapshot(), release, &known);
    let gone = arms.pods.get("pay-t2-0").expect("remembered");
    assert_eq!((gone.gone_ms, gone.crashes.len()), (Some(Timestamp::as_millisecond(START)), 0));
}
