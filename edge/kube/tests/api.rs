//! Requests as they leave, and what becomes of answers.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{Answer, Trace, data, ok, refuse, scripted, unreachable, wait};
use serde_json::json;
use trimtab_kube::api::{Force, Leadership, Patch, Preconditions, Propagation, Selector};
use trimtab_kube::resource::{DEPLOYMENTS, NODES, PODS};
use trimtab_kube::{Api, ApiError};

fn found(body: &str) -> Answer {
    ok([data(body)])
}

#[tokio::test(start_paused = true)]
async fn requests_as_they_leave() {
    let trace = Trace::new();
    let api = scripted(vec![found("{}"); 9], &trace);
    let (shop, none) = (Some("shop"), Preconditions::default());
    api.get(DEPLOYMENTS, shop, "a").await.unwrap();
    api.create(NODES, None, &json!({"metadata": {"name": "n"}})).await.unwrap();
    api.replace(DEPLOYMENTS, shop, "a", &json!({})).await.unwrap();
    api.patch(DEPLOYMENTS, shop, "a", &Patch::Json(json!([]))).await.unwrap();
    api.patch(DEPLOYMENTS, shop, "a", &Patch::Merge(json!({}))).await.unwrap();
    let apply = |force| Patch::Apply { value: json!({}), force };
    api.with_field_manager("other").patch(DEPLOYMENTS, shop, "a", &apply(Force::No)).await.unwrap();
    api.patch_subresource(DEPLOYMENTS, shop, "a", "status", &apply(Force::Yes)).await.unwrap();
    api.delete(PODS, shop, "a", &Preconditions::uid("u"), Propagation::Orphan).await.unwrap();
    api.evict("shop", "a", &none).await.unwrap();
    let deployment = "/apis/apps/v1/namespaces/shop/deployments";
    let deletion = r#"{"apiVersion":"v1","kind":"DeleteOptions","preconditions":{"uid":"u"},"propagationPolicy":"Orphan"}"#;
    let eviction = r#"{"apiVersion":"policy/v1","deleteOptions":{"preconditions":{}},"kind":"Eviction","metadata":{"name":"a","namespace":"shop"}}"#;
    assert_eq!(
        trace.lines(),
        [
            format!("0 GET {deployment}/a"),
            r#"0 POST /api/v1/nodes?fieldManager=tester {"metadata":{"name":"n"}}"#.to_owned(),
            format!("0 PUT {deployment}/a?fieldManager=tester {{}}"),
            format!("0 PATCH {deployment}/a?fieldManager=tester []"),
            format!("0 PATCH {deployment}/a?fieldManager=tester {{}}"),
            format!("0 PATCH {deployment}/a?fieldManager=other {{}}"),
            format!("0 PATCH {deployment}/a/status?fieldManager=tester&force=true {{}}"),
            format!("0 DELETE /api/v1/namespaces/shop/pods/a {deletion}"),
            format!("0 POST /api/v1/namespaces/shop/pods/a/eviction?fieldManager=tester {eviction}"),
        ]
    );
    assert_eq!((api.counters().reads(), api.counters().writes()), (1, 8));
}

#[tokio::test(start_paused = true)]
async fn a_missing_object_is_an_answer_to_a_read_and_an_error_to_a_write() {
    let api = scripted(vec![refuse(404, ""), refuse(404, "")], &Trace::new());
    assert_eq!(api.get(PODS, Some("shop"), "a").await, Ok(None));
    let error = api.patch(PODS, Some("shop"), "a", &Patch::Merge(json!({}))).await.unwrap_err();
    assert_eq!(error.to_string(), "patch pods shop/a: not found");
}

#[tokio::test(start_paused = true)]
async fn lists_read_every_page() {
    let trace = Trace::new();
    let script = vec![
        found(r#"{"metadata":{"continue":"x/y"},"items":[{"n":1}]}"#),
        found(r#"{"metadata":{},"items":[{"n":2}]}"#),
    ];
    let selector = Selector::all().labels("a=b");
    let items = scripted(script, &trace).list(PODS, None, &selector).await.unwrap();
    assert_eq!(items, [json!({"n": 1}), json!({"n": 2})]);
    assert_eq!(trace.lines()[1], "0 GET /api/v1/pods?limit=500&continue=x%2Fy&labelSelector=a%3Db");
}

/// What a call was retried on: virtual milliseconds of each request.
async fn attempts(script: Vec<Answer>, call: impl AsyncFn(Api) -> bool) -> (Vec<u64>, bool) {
    let trace = Trace::new();
    let done = call(scripted(script, &trace)).await;
    let at = |line: String| line.split(' ').next().and_then(|at| at.parse().ok()).unwrap();
    (trace.lines().into_iter().map(at).collect(), done)
}

#[tokio::test(start_paused = true)]
async fn reads_are_repeated_writes_only_when_they_did_not_happen() {
    let read = async |api: Api| api.get(PODS, Some("shop"), "a").await.is_ok();
    let write = async |api: Api| api.patch(PODS, Some("shop"), "a", &Patch::Merge(json!({}))).await.is_ok();
    let evict = async |api: Api| api.evict("shop", "a", &Preconditions::default()).await.is_ok();
    let patient = |seconds| Answer { retry_after: Some(seconds), ..refuse(429, "") };
    let fine = || found("{}");

    assert_eq!(attempts(vec![refuse(500, ""), unreachable(), fine()], read).await, (vec![0, 200, 600], true));
    assert_eq!(attempts(vec![refuse(503, ""); 9], read).await, (vec![0, 200, 600, 1_400], false));
    assert_eq!(attempts(vec![patient(3), patient(60), fine()], read).await, (vec![0, 3_000, 8_000], true));
    assert_eq!(attempts(vec![ok([wait(99)]), fine()], read).await, (vec![0, 30_200], true));
    assert_eq!(attempts(vec![refuse(403, ""), fine()], read).await, (vec![0], false));

    assert_eq!(attempts(vec![refuse(503, ""), patient(1), fine()], write).await, (vec![0, 200, 1_200], true));
    for unknown in [refuse(500, ""), refuse(504, ""), unreachable(), ok([wait(99)])] {
        assert_eq!(attempts(vec![unknown, fine()], write).await, (vec![0], false));
    }
    assert_eq!(attempts(vec![refuse(409, ""), fine()], write).await, (vec![0], false));
    assert_eq!(attempts(vec![refuse(429, ""), fine()], evict).await, (vec![0], false));
}

#[tokio::test(start_paused = true)]
async fn answers_that_cannot_be_read_are_named() {
    let api = scripted(vec![found("<html>"), found("{}")], &Trace::new());
    let error = api.get(PODS, Some("shop"), "a").await.unwrap_err();
    assert!(error.to_string().starts_with("get pods shop/a: answer cannot be read: "), "{error}");
    let error = api.list(PODS, None, &Selector::all()).await.unwrap_err();
    assert_eq!(error.to_string(), "list pods: answer cannot be read: a list without items");
}

#[tokio::test(start_paused = true)]
async fn a_fenced_api_reads_but_does_not_write_without_a_lease() {
    let trace = Trace::new();
    let api = scripted(vec![found("{}"); 2], &trace);
    let (vacant, _elector) = trimtab_kube::lease::elect(
        api.clone(),
        trimtab_kube::Clock::system(),
        trimtab_kube::lease::LeaseConfig::new(trimtab_kube::Key::new("shop", "lease"), "me"),
    );
    let fenced = api.fenced(vacant);
    assert!(fenced.get(PODS, Some("shop"), "a").await.unwrap().is_some());
    let merge = Patch::Merge(json!({}));
    let none = Preconditions::default();
    for result in [
        fenced.patch(PODS, Some("shop"), "a", &merge).await.map(drop),
        fenced.create(PODS, Some("shop"), &json!({})).await.map(drop),
        fenced.replace(PODS, Some("shop"), "a", &json!({})).await.map(drop),
        fenced.delete(PODS, Some("shop"), "a", &none, Propagation::Background).await,
        fenced.evict("shop", "a", &none).await,
    ] {
        assert!(matches!(result, Err(ApiError::Fenced { .. })), "{result:?}");
    }
    assert_eq!(trace.lines().len(), 1, "nothing but the read was sent");
    assert!(api.fenced(Leadership::always()).patch(PODS, Some("shop"), "a", &merge).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn counters_are_exposed_in_order() {
    let api = scripted(vec![refuse(404, ""), found("{}"), refuse(409, "")], &Trace::new());
    api.get(PODS, Some("shop"), "a").await.unwrap();
    api.get(PODS, Some("shop"), "a").await.unwrap();
    api.evict("shop", "a", &Preconditions::default()).await.unwrap_err();
    let host = trimtab_kube::host::Host::new();
    host.register(|registry| api.counters().register(registry));
    let text = host.metrics().unwrap();
    let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(
        samples,
        [
            r#"trimtab_api_requests_total{verb="evict",resource="pods/eviction",outcome="conflict"} 1"#,
            r#"trimtab_api_requests_total{verb="get",resource="pods",outcome="not_found"} 1"#,
            r#"trimtab_api_requests_total{verb="get",resource="pods",outcome="ok"} 1"#,
        ]
    );
}

#[tokio::test]
async fn a_kubeconfig_that_cannot_be_used_says_so() {
    let error =
        Api::from_kubeconfig(Some("/nonexistent/config".as_ref()), None, "tester").await.err().unwrap();
    let text = error.to_string();
    assert!(
        text.starts_with("cannot configure access to the Kubernetes API from /nonexistent/config: "),
        "{text}"
    );
}

/// Whether it refuses or not; where it tells no time, or none that can be read, what it told before goes on.
#[tokio::test(start_paused = true)]
async fn the_clock_of_the_server_is_that_of_its_newest_answer() {
    let at = |date| Answer { date: Some(date), ..found("{}") };
    let script = vec![
        found("{}"),
        at("Mon, 30 Nov 2026 04:32:22 GMT"),
        found("{}"),
        at("yesterday"),
        Answer { date: Some("Mon, 30 Nov 2026 04:30:00 GMT"), ..refuse(404, "") },
    ];
    let api = scripted(script, &Trace::new());
    let own = trimtab_kube::Clock::following_tokio("2030-01-01T00:00:00Z".parse().unwrap());
    let clock = api.with_field_manager("other").server_clock(own);
    for expect in [
        "2030-01-01T00:00:00Z",
        "2026-11-30T04:32:22.5Z",
        "2026-11-30T04:32:32.5Z",
        "2026-11-30T04:32:42.5Z",
        "2026-11-30T04:30:00.5Z",
    ] {
        api.get(PODS, Some("shop"), "a").await.unwrap();
        assert_eq!(clock.now().to_string(), expect);
        tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    }
}
