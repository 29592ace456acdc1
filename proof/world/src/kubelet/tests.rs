//! Transcripts: what the status of a pod says over time, for pods that behave in different ways.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Modelled;
use super::pod::{Effect, Pod, identity};
use super::runtime::PodRuntime;
use crate::object::{list, text};

fn pod(spec: &Value) -> Value {
    json!({"metadata": {"name": "a-1", "namespace": "shop", "uid": "u1", "labels": {"app": "a"}}, "spec": spec})
}

fn service(image: &str) -> Value {
    json!({"containers": [{"name": "app", "image": image, "readinessProbe": {"periodSeconds": 5}}]})
}

/// `app:Running`, `app:CrashLoopBackOff`, `app:Error(101)`; `+` when ready, `x2` after two restarts.
fn container_line(status: &Value) -> String {
    let state = &status["state"];
    let word = match state.as_object().and_then(|state| state.keys().next()).map(String::as_str) {
        Some("running") => "Running".to_owned(),
        Some("waiting") => text(state, "/waiting/reason").to_owned(),
        _ => format!("{}({})", text(state, "/terminated/reason"), state["terminated"]["exitCode"]),
    };
    let ready = if status["ready"] == json!(true) { "+" } else { "" };
    let last = status
        .pointer("/lastState/terminated/exitCode")
        .map_or(String::new(), |code| format!(" last {code}"));
    format!("{}:{word}{ready} x{}{last}", text(status, "/name"), status["restartCount"])
}

fn status_line(status: &Value) -> String {
    let containers = ["/initContainerStatuses", "/containerStatuses"]
        .into_iter()
        .flat_map(|pointer| list(status, pointer));
    let containers: Vec<String> = containers.map(container_line).collect();
    let conditions = list(status, "/conditions").iter();
    let ready = conditions.clone().any(|c| text(c, "/type") == "Ready" && text(c, "/status") == "True");
    format!("{}{} {}", text(status, "/phase"), if ready { "+" } else { "" }, containers.join(", "))
}

/// Drives one pod for `seconds`; after `delete_after` it is deleted with a grace of 10 s. Each change of the status is
/// one line; times are whole seconds since the start, rounded down to even ones, since starts are spread over two.
async fn transcript(pod: &Value, seconds: u64, delete_after: u64) -> Vec<String> {
    let epoch: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let origin = Instant::now();
    let now = || epoch + origin.elapsed();
    let mut runtime = Modelled::new(7);
    let address = runtime.address(&identity(pod));
    let mut machine = Pod::new(pod, address, "172.18.0.2".into(), now());
    let mut lines: Vec<String> = Vec::new();
    let (end, mut deletion) =
        (origin + Duration::from_secs(seconds), Some(origin + Duration::from_secs(delete_after)));
    loop {
        let mut effects = machine.advance(now());
        if deletion.is_some_and(|at| at <= Instant::now()) {
            deletion = None;
            effects.extend(machine.begin_deletion(Duration::from_secs(10)));
        }
        for effect in effects {
            match effect {
                Effect::Start(start) => runtime.start(start),
                Effect::Stop(run, grace) => runtime.stop(&run, grace),
            }
        }
        let line = status_line(&machine.status());
        if lines.last().is_none_or(|last| !last.ends_with(&format!(" {line}"))) {
            lines.push(format!("{} {line}", origin.elapsed().as_secs() / 2 * 2));
        }
        if Instant::now() >= end || (deletion.is_none() && machine.is_over()) {
            return lines;
        }
        let wake = machine.wake_at().map(|at| origin + Duration::try_from(at.duration_since(epoch)).unwrap());
        let wake = wake.into_iter().chain(deletion).chain([end]).min().unwrap();
        tokio::select! {
            biased;
            event = runtime.next_event() => machine.happened(&event, now()),
            () = tokio::time::sleep_until(wake) => {}
        }
    }
}

async fn check(spec: Value, seconds: u64, expect: &[&str]) {
    let lines = transcript(&pod(&spec), seconds, 1 << 30).await;
    assert_eq!(lines, expect, "{spec}");
}

#[tokio::test(start_paused = true)]
async fn a_good_container_becomes_ready() {
    check(
        service("a:v1"),
        600,
        &["0 Pending app:ContainerCreating x0", "0 Running app:Running x0", "0 Running+ app:Running+ x0"],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_container_is_ready_late_and_a_broken_one_never() {
    check(
        service("a:v1-slowstart12s"),
        600,
        &["0 Pending app:ContainerCreating x0", "0 Running app:Running x0", "14 Running+ app:Running+ x0"],
    )
    .await;
    check(
        service("a:v1-neverready"),
        3600,
        &["0 Pending app:ContainerCreating x0", "0 Running app:Running x0"],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_loop_backs_off() {
    check(
        service("a:v1-panic20s"),
        400,
        &[
            "0 Pending app:ContainerCreating x0",
            "0 Running app:Running x0",
            "0 Running+ app:Running+ x0",
            "20 Running app:Error(101) x0",
            "22 Running app:Running x1 last 101",
            "22 Running+ app:Running+ x1 last 101",
            "42 Running app:CrashLoopBackOff x1 last 101",
            "52 Running app:Running x2 last 101",
            "52 Running+ app:Running+ x2 last 101",
            "72 Running app:CrashLoopBackOff x2 last 101",
            "94 Running app:Running x3 last 101",
            "94 Running+ app:Running+ x3 last 101",
            "114 Running app:CrashLoopBackOff x3 last 101",
            "156 Running app:Running x4 last 101",
            "156 Running+ app:Running+ x4 last 101",
            "176 Running app:CrashLoopBackOff x4 last 101",
            "258 Running app:Running x5 last 101",
            "258 Running+ app:Running+ x5 last 101",
            "278 Running app:CrashLoopBackOff x5 last 101",
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_long_run_forgives_crashes() {
    check(
        service("a:v1-oom700s"),
        3000,
        &[
            "0 Pending app:ContainerCreating x0",
            "0 Running app:Running x0",
            "0 Running+ app:Running+ x0",
            "700 Running app:OOMKilled(137) x0",
            "702 Running app:Running x1 last 137",
            "702 Running+ app:Running+ x1 last 137",
            "1402 Running app:OOMKilled(137) x1 last 137",
            "1402 Running app:Running x2 last 137",
            "1402 Running+ app:Running+ x2 last 137",
            "2102 Running app:OOMKilled(137) x2 last 137",
            "2104 Running app:Running x3 last 137",
            "2104 Running+ app:Running+ x3 last 137",
            "2804 Running app:OOMKilled(137) x3 last 137",
            "2806 Running app:Running x4 last 137",
            "2806 Running+ app:Running+ x4 last 137",
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_missing_image_is_asked_for_again() {
    check(
        service("a:nopull"),
        60,
        &[
            "0 Pending app:ContainerCreating x0",
            "0 Pending app:ErrImagePull x0",
            "2 Pending app:ImagePullBackOff x0",
            "12 Pending app:ErrImagePull x0",
            "14 Pending app:ImagePullBackOff x0",
            "32 Pending app:ErrImagePull x0",
            "34 Pending app:ImagePullBackOff x0",
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn jobs_end() {
    let job = |script: &str, policy: &str| {
        json!({"restartPolicy": policy, "containers": [
            {"name": "job", "image": "a:v1", "command": ["sh", "-c", script]}]})
    };
    check(
        job("sleep 5 && exit 0", "Never"),
        600,
        &[
            "0 Pending job:ContainerCreating x0",
            "0 Running job:Running x0",
            "0 Running+ job:Running+ x0",
            "6 Succeeded job:Completed(0) x0",
        ],
    )
    .await;
    check(
        job("sleep 5 && exit 3", "Never"),
        600,
        &[
            "0 Pending job:ContainerCreating x0",
            "0 Running job:Running x0",
            "0 Running+ job:Running+ x0",
            "6 Failed job:Error(3) x0",
        ],
    )
    .await;
    check(
        job("sleep 5 && exit 3", "OnFailure"),
        40,
        &[
            "0 Pending job:ContainerCreating x0",
            "0 Running job:Running x0",
            "0 Running+ job:Running+ x0",
            "6 Running job:Error(3) x0",
            "6 Running job:Running x1 last 3",
            "6 Running+ job:Running+ x1 last 3",
            "12 Running job:CrashLoopBackOff x1 last 3",
            "24 Running job:Running x2 last 3",
            "24 Running+ job:Running+ x2 last 3",
            "28 Running job:CrashLoopBackOff x2 last 3",
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn init_containers_go_first_and_sidecars_go_last() {
    let spec = json!({
        "restartPolicy": "Never",
        "initContainers": [
            {"name": "migrate", "image": "m:v1", "command": ["sleep", "3"]},
            {"name": "mesh", "image": "mesh:v1", "restartPolicy": "Always"},
        ],
        "containers": [{"name": "job", "image": "a:v1", "command": ["sleep", "4"]}],
    });
    check(
        spec,
        600,
        &[
            "0 Pending migrate:PodInitializing x0, mesh:PodInitializing x0, job:PodInitializing x0",
            "0 Pending migrate:Running x0, mesh:PodInitializing x0, job:PodInitializing x0",
            "4 Pending migrate:Completed(0)+ x0, mesh:PodInitializing x0, job:PodInitializing x0",
            "4 Pending migrate:Completed(0)+ x0, mesh:Running x0, job:PodInitializing x0",
            "4 Pending migrate:Completed(0)+ x0, mesh:Running+ x0, job:PodInitializing x0",
            "6 Running migrate:Completed(0)+ x0, mesh:Running+ x0, job:Running x0",
            "6 Running+ migrate:Completed(0)+ x0, mesh:Running+ x0, job:Running+ x0",
            "10 Succeeded migrate:Completed(0)+ x0, mesh:Running+ x0, job:Completed(0) x0",
            "10 Succeeded migrate:Completed(0)+ x0, mesh:Completed(0) x0, job:Completed(0) x0",
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn deletion_waits_for_hooks_but_not_beyond_the_grace_period() {
    let mut spec = service("a:v1");
    spec["containers"][0]["lifecycle"] = json!({"preStop": {"sleep": {"seconds": 4}}});
    assert_eq!(
        transcript(&pod(&spec), 600, 20).await,
        [
            "0 Pending app:ContainerCreating x0",
            "0 Running app:Running x0",
            "0 Running+ app:Running+ x0",
            "24 Succeeded app:Completed(0) x0"
        ]
    );
    spec["containers"][0]["lifecycle"] = json!({"preStop": {"sleep": {"seconds": 40}}});
    assert_eq!(
        transcript(&pod(&spec), 600, 20).await,
        [
            "0 Pending app:ContainerCreating x0",
            "0 Running app:Running x0",
            "0 Running+ app:Running+ x0",
            "30 Failed app:Error(137) x0"
        ]
    );
    assert_eq!(
        transcript(&pod(&service("a:v1-panic2s")), 600, 14).await,
        [
            "0 Pending app:ContainerCreating x0",
            "0 Running app:Running x0",
            "0 Running+ app:Running+ x0",
            "2 Running app:Error(101) x0",
            "4 Running app:Running x1 last 101",
            "4 Running+ app:Running+ x1 last 101",
            "6 Running app:CrashLoopBackOff x1 last 101",
            "14 Failed app:CrashLoopBackOff x1 last 101"
        ]
    );
}
