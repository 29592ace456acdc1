//! What is said once, what is said again, and what is dropped.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::served;
use serde_json::{Value, json};
use tokio::time::sleep;
use trimtab_kube::events::{Note, ObjectReference, Publisher, QUEUE_ITEMS_MAX, Recorder, Severity, recorder};
use trimtab_kube::resource::{DEPLOYMENTS, NODES};
use trimtab_kube::{Api, CancellationToken, Clock};

type Requests = Arc<Mutex<Vec<(String, Value)>>>;

/// A server that keeps requests; events whose reason is `Known` exist already, with a series of 5.
fn server() -> (Api, Requests) {
    let requests = Requests::default();
    let seen = requests.clone();
    let api = served(Duration::from_millis(1), move |method, uri, body| {
        let known = body["reason"] == "Known";
        let path = uri.split('?').next().unwrap();
        seen.lock().unwrap().push((format!("{method} {path}"), body));
        match method {
            "POST" if known => (409, json!({"reason": "AlreadyExists"})),
            "GET" => (200, json!({"series": {"count": 5}})),
            _ => (200, json!({})),
        }
    });
    (api, requests)
}

fn note(reason: &str, key: &str) -> Note {
    Note {
        regarding: ObjectReference::new(DEPLOYMENTS, "shop", "payments", "u-1"),
        related: None,
        severity: Severity::Normal,
        reason: reason.to_owned(),
        action: "Judged".to_owned(),
        text: "kept".to_owned(),
        key: key.to_owned(),
    }
}

fn publisher(api: Api) -> (Recorder, Publisher) {
    let clock = Clock::following_tokio("2026-01-01T00:00:00Z".parse().unwrap());
    recorder(api, clock, "trimtab.dev/delivery", "manager-0")
}

/// Lets `say` speak while the publisher runs, then stops it; returns the requests, without what is in their bodies.
async fn said(say: impl AsyncFnOnce(Recorder)) -> Vec<(String, Value)> {
    let (api, requests) = server();
    let (recorder, publisher) = publisher(api);
    let stop = CancellationToken::new();
    let speaking = async {
        say(recorder).await;
        stop.cancel();
    };
    tokio::join!(publisher.run(stop.clone()), speaking);
    requests.lock().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn an_event_has_every_field_the_api_asks_for() {
    let requests = said(async |recorder| {
        let related = Some(ObjectReference::new(NODES, "", "node-1", "u-2"));
        recorder.record(Note {
            related,
            severity: Severity::Warning,
            text: "é".repeat(1_000),
            ..note("Failed", "v1")
        });
        sleep(Duration::from_secs(1)).await;
    });
    let [(request, body)] = requests.await.try_into().unwrap();
    assert_eq!(request, "POST /apis/events.k8s.io/v1/namespaces/shop/events");
    let name = body["metadata"]["name"].as_str().unwrap().to_owned();
    assert!(name.starts_with("payments.") && name.len() == "payments.".len() + 16, "{name}");
    let expect = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event",
        "metadata": {"namespace": "shop", "name": name},
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "trimtab.dev/delivery", "reportingInstance": "manager-0",
        "type": "Warning", "reason": "Failed", "action": "Judged", "note": "é".repeat(512),
        "regarding": {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "shop", "name": "payments", "uid": "u-1"},
        "related": {"apiVersion": "v1", "kind": "Node", "name": "node-1", "uid": "u-2"},
    });
    assert_eq!(body, expect);
}

#[tokio::test(start_paused = true)]
async fn repetitions_count_up_at_most_once_a_minute() {
    let requests = said(async |recorder| {
        for _ in 0..300 {
            recorder.record(note("Waiting", "v1"));
            sleep(Duration::from_secs(1)).await;
        }
        sleep(Duration::from_secs(600)).await;
    });
    let counts: Vec<(String, u64)> = requests
        .await
        .into_iter()
        .skip(1)
        .map(|(request, body)| (request, body["series"]["count"].as_u64().unwrap()))
        .collect();
    assert!(counts.iter().all(|(request, _)| request.starts_with("PATCH ")), "{counts:?}");
    assert_eq!(counts.len(), 5, "{counts:?}");
    assert_eq!(counts.last().unwrap().1, 300, "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn an_event_of_an_earlier_process_is_counted_on() {
    let requests = said(async |recorder| {
        recorder.record(note("Known", "v1"));
        sleep(Duration::from_secs(61)).await;
    });
    let requests = requests.await;
    let verbs: Vec<&str> = requests.iter().map(|(request, _)| request.split(' ').next().unwrap()).collect();
    assert_eq!(verbs, ["POST", "GET", "PATCH"]);
    let series = json!({"series": {"count": 6, "lastObservedTime": "2026-01-01T00:00:00.000000Z"}});
    assert_eq!(requests[2].1, series);
}

#[tokio::test(start_paused = true)]
async fn what_is_due_is_written_before_stopping() {
    let requests = said(async |recorder| {
        recorder.record(note("Waiting", "v1"));
        recorder.record(note("Waiting", "v1"));
        sleep(Duration::from_secs(1)).await;
    });
    assert_eq!(requests.await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn names_tell_apart_what_differs() {
    let mut cluster_scoped = note("A", "1");
    cluster_scoped.regarding = ObjectReference::new(NODES, "", &"n".repeat(300), "u-1");
    let mut other_object = note("A", "1");
    other_object.regarding.uid = "u-2".to_owned();
    let different =
        [note("A", "1"), note("A", "2"), note("B", "1"), note("A1", ""), other_object, cluster_scoped];
    let count = different.len();
    let requests = said(async move |recorder| {
        for note in different {
            recorder.record(note);
        }
        sleep(Duration::from_secs(1)).await;
    });
    let requests = requests.await;
    let mut names: Vec<&str> =
        requests.iter().map(|(_, body)| body["metadata"]["name"].as_str().unwrap()).collect();
    assert!(names.iter().all(|name| name.len() <= 253), "{names:?}");
    assert_eq!(requests.last().unwrap().0, "POST /apis/events.k8s.io/v1/namespaces/default/events");
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[tokio::test(start_paused = true)]
async fn recording_never_waits() {
    let (api, _) = server();
    let (recorder, publisher) = publisher(api);
    for index in 0..QUEUE_ITEMS_MAX + 7 {
        recorder.record(note("Waiting", &index.to_string()));
    }
    assert_eq!(recorder.dropped(), 7);
    drop(publisher);
    recorder.record(note("Waiting", ""));
    assert_eq!(recorder.dropped(), 8);
}
