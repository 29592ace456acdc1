//! A write belongs to one term: none outlives its lease, and a lease that was got again is another term.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::cell::RefCell;
use std::convert::Infallible;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::Trace;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use jiff::Timestamp;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};
use trimtab_kube::api::{Leadership, Patch};
use trimtab_kube::lease::{LeaseConfig, elect};
use trimtab_kube::queue::Queue;
use trimtab_kube::resource::PODS;
use trimtab_kube::{Api, ApiError, CancellationToken, Clock, Key};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn clock() -> Clock {
    Clock::following_tokio("2026-01-01T00:00:00Z".parse().unwrap())
}

/// A server that keeps one lease, and answers nothing about it during `outage` (seconds). What it does with writes of pods
/// follows from their name: `slow-N` are answered after N seconds, `busy` are refused for now.
fn server(outage: Range<u64>, trace: &Trace) -> Api {
    let (lease, started, trace) = (Arc::new(Mutex::new(None::<Value>)), Instant::now(), trace.clone());
    let service = tower::service_fn(move |request: Request<Body>| {
        let (lease, outage, trace) = (lease.clone(), outage.clone(), trace.clone());
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let name = parts.uri.path().rsplit('/').next().unwrap_or_default().to_owned();
            let (code, answer) = if parts.uri.path().contains("/leases") {
                if outage.contains(&started.elapsed().as_secs()) {
                    std::future::pending::<()>().await;
                }
                let mut lease = lease.lock().unwrap();
                if parts.method != Method::GET {
                    *lease = Some(serde_json::from_slice(&body).unwrap());
                }
                lease.clone().map_or((404, Value::Null), |lease| (200, lease))
            } else {
                trace.add(&format!("{} {name}", parts.method));
                let wait = name.strip_prefix("slow-").map_or(0, |wait| wait.parse().unwrap());
                sleep(seconds(wait)).await;
                if name == "busy" { (503, Value::Null) } else { (200, json!({})) }
            };
            let body = Body::from(answer.to_string().into_bytes());
            let answer = Response::builder().status(code).header("retry-after", 5).body(body).unwrap();
            Ok::<_, Infallible>(answer)
        }
    });
    Api::new(kube::Client::new(service, "default"), "tester")
}

/// Plays `play` beside an elector whose server is silent from 100 s on until `silent_until`: the last renewal before is
/// sent at 98 s, so the lease ends at 108 s.
async fn with_outage<T>(
    silent_until: u64,
    play: impl AsyncFnOnce(Api, Leadership, Instant) -> T,
) -> (T, Vec<String>) {
    let trace = Trace::new();
    let api = server(100..silent_until, &trace);
    let config = LeaseConfig::new(Key::new("system", "manager"), "me");
    let (leadership, elector) = elect(api.clone(), clock(), config);
    let (stop, started) = (CancellationToken::new(), Instant::now());
    let playing = async {
        let done = play(api.fenced(leadership.clone()), leadership, started).await;
        stop.cancel();
        done
    };
    let ((), done) = tokio::join!(elector.run(stop.clone()), playing);
    (done, trace.lines())
}

async fn write(api: &Api, name: &str) -> Result<(), ApiError> {
    api.patch(PODS, Some("shop"), name, &Patch::Merge(json!({}))).await.map(drop)
}

#[tokio::test(start_paused = true)]
async fn no_attempt_outlives_the_lease() {
    let ((), lines) = with_outage(1_000, async |api, leadership, started| {
        sleep_until(started + seconds(95)).await;
        let term = leadership.term().unwrap();
        write(&api.in_term(term), "slow-9")
            .await
            .expect("the lease is renewed while the answer is waited for");
        sleep_until(started + seconds(105)).await;
        let narrow = api.in_term(term);
        let writes = [(&api, "slow-20"), (&narrow, "slow-20"), (&api, "busy"), (&narrow, "busy")];
        let results = writes.map(async |(api, name)| (name, write(api, name).await.unwrap_err()));
        for (name, error) in futures::future::join_all(results).await {
            // Of a write that the server refused it is known that it did not happen.
            assert_eq!(error.outcome_unknown(), name == "slow-20", "{error}");
            assert_eq!(error.word(), if name == "busy" { "fenced" } else { "transport" }, "{error}");
        }
        assert_eq!(started.elapsed().as_secs(), 108, "the last renewal was sent at 98 s, for 10 s");
        assert!(!leadership.is_leader());
    })
    .await;
    let sent: Vec<&str> = lines.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(sent, ["95000", "105000", "105000", "105000", "105000"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_decided_in_a_term_is_not_written_in_the_next() {
    let ((), lines) = with_outage(109, async |api, leadership, started| {
        let first = leadership.gained().await;
        leadership.ended(first).await;
        assert_eq!(started.elapsed().as_secs(), 108);
        let second = leadership.gained().await;
        assert!(first < second, "{first}, then {second}");
        assert!(matches!(write(&api.in_term(first), "late").await, Err(ApiError::Fenced { .. })));
        write(&api.in_term(second), "new").await.unwrap();
        write(&api, "any").await.unwrap();
    })
    .await;
    let sent: Vec<&str> =
        lines.iter().filter_map(|line| line.split_once(' ').map(|(_, sent)| sent)).collect();
    assert_eq!(sent, ["PATCH new", "PATCH any"]);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_due_while_nobody_led_is_looked_at_in_the_next_term() {
    let (looked, _) = with_outage(109, async |_, leadership, started| {
        let queue: Queue<Key> = Queue::new("services", clock());
        let (stop, looked) = (CancellationToken::new(), RefCell::new(Vec::new()));
        let key = Key::new("shop", "a");
        let reconcile = |_| async {
            let leads = leadership.is_leader();
            looked.borrow_mut().push((started.elapsed().as_secs(), leads));
            // In the lapse its timer is gone with this.
            let next: Timestamp = "2026-01-01T00:01:49Z".parse().unwrap();
            Ok::<_, ApiError>(Some(next).filter(|_| leads && started.elapsed() < seconds(100)))
        };
        let takeover = async {
            loop {
                leadership.gained().await;
                queue.enqueue(key.clone());
                leadership.lost().await;
            }
        };
        let ending = async {
            sleep(seconds(130)).await;
            stop.cancel();
        };
        tokio::select! {
            _ = async { tokio::join!(queue.run(1, stop.clone(), reconcile), ending) } => {}
            () = takeover => {}
        }
        looked.take()
    })
    .await;
    assert_eq!(looked.first(), Some(&(0, true)));
    assert!(looked.contains(&(109, false)), "due while nobody led: {looked:?}");
    assert!(looked.last().is_some_and(|(at, leads)| *leads && *at > 109), "looked at anew: {looked:?}");
}
