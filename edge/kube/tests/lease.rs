//! Two candidates, one lease: freezes, lost requests, slow servers, clocks that disagree.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Trace, scripted, served};
use http::{Request, Response};
use http_body_util::BodyExt;
use jiff::{Timestamp, ToSpan};
use kube::client::Body;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};
use trimtab_kube::api::{Leadership, Term};
use trimtab_kube::lease::{LeaseConfig, elect};
use trimtab_kube::resource::LEASES;
use trimtab_kube::rng::Rng;
use trimtab_kube::{Api, CancellationToken, Clock, Key};

/// How often the invariant is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// How long after the last fault somebody must lead: a lease, a few retries and slow requests.
const TAKEOVER_MAX: Duration = Duration::from_secs(25);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn epoch() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// The one Lease of the server, with optimistic locking.
#[derive(Clone, Default)]
struct Server {
    lease: Arc<Mutex<Option<Value>>>,
    version: Arc<Mutex<u64>>,
}

impl Server {
    fn answer(&self, method: &str, body: Value) -> (u16, Value) {
        let mut lease = self.lease.lock().unwrap();
        match (method, &*lease) {
            ("GET", Some(held)) => (200, held.clone()),
            ("GET" | "PUT", None) => (404, json!({"reason": "NotFound"})),
            ("POST", Some(_)) => (409, json!({"reason": "AlreadyExists"})),
            ("PUT", Some(held))
                if held["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"] =>
            {
                (409, json!({"reason": "Conflict"}))
            }
            _ => {
                let mut version = self.version.lock().unwrap();
                *version += 1;
                let mut stored = body;
                stored["metadata"]["resourceVersion"] = json!(version.to_string());
                *lease = Some(stored.clone());
                (200, stored)
            }
        }
    }

    fn spec(&self) -> Value {
        self.lease.lock().unwrap().as_ref().map(|lease| lease["spec"].clone()).unwrap_or_default()
    }

    /// An API that is slow and loses requests and answers, until `calm`.
    fn faulty(&self, mut rng: Rng, calm: Instant) -> Api {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            let faulty = Instant::now() < calm;
            let fate = if faulty { rng.below(10) } else { 9 };
            let latency = Duration::from_millis(if faulty { rng.below(3_000) } else { 5 });
            async move {
                let (parts, body) = request.into_parts();
                let body =
                    serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap_or_default();
                sleep(latency / 2).await;
                if fate == 0 {
                    return Err("lost on the way there");
                }
                let (code, body) = server.answer(parts.method.as_str(), body);
                sleep(latency / 2).await;
                if fate == 1 {
                    return Err("lost on the way back");
                }
                let body = Body::from(body.to_string().into_bytes());
                Ok(Response::builder().status(code).body(body).unwrap())
            }
        });
        Api::new(kube::Client::new(service, "default"), "tester")
    }
}

fn config(identity: &str) -> LeaseConfig {
    LeaseConfig::new(Key::new("system", "manager"), identity)
}

/// Runs `process`, except during its freezes: then it does nothing at all, whatever becomes ready.
async fn freezing(process: impl Future<Output = ()>, freezes: Vec<(Instant, Duration)>) {
    let mut process: Pin<Box<dyn Future<Output = ()>>> = Box::pin(process);
    for (start, length) in freezes {
        tokio::select! {
            biased;
            () = sleep_until(start) => {}
            () = &mut process => return,
        }
        sleep(length).await;
    }
    process.await;
}

#[derive(Clone, Debug)]
struct Plan {
    seed: u64,
    /// Per candidate: starts and lengths of freezes, in seconds.
    freezes: [Vec<(u64, u64)>; 2],
    /// How far the second candidate's wall clock is off, in seconds.
    skew: i64,
    /// Both candidates use the same name.
    same_name: bool,
}

const FAULTS_SECONDS: u64 = 300;

fn some_plan() -> impl Strategy<Value = Plan> {
    let freezes = || proptest::collection::vec((0..FAULTS_SECONDS, 1_u64..120), 0..4);
    (any::<u64>(), [freezes(), freezes()], -7_200_i64..7_200, any::<bool>())
        .prop_map(|(seed, freezes, skew, same_name)| Plan { seed, freezes, skew, same_name })
}

async fn no_two_leaders_and_soon_one(plan: Plan) {
    let server = Server::default();
    let started = Instant::now();
    let longest = plan
        .freezes
        .iter()
        .map(|freezes| freezes.iter().map(|(start, length)| start + length).max().unwrap_or(0));
    // Freezes that overlap run one after the other.
    let total: u64 = plan.freezes.iter().flatten().map(|(_, length)| length).sum();
    let calm = started + seconds(FAULTS_SECONDS.max(longest.max().unwrap_or(0)) + total);
    let stop = CancellationToken::new();
    let candidate = |index: usize| {
        let api = server.faulty(Rng::for_key(plan.seed, "lease", &index.to_string()), calm);
        let skew = if index == 0 { 0 } else { plan.skew };
        let clock = Clock::following_tokio(epoch() + skew.seconds());
        let name = if plan.same_name { "same" } else { ["one", "two"][index] };
        let (leadership, elector) = elect(api, clock, config(name));
        let mut freezes = plan.freezes[index].clone();
        freezes.sort_unstable();
        let freezes =
            freezes.into_iter().map(|(start, length)| (started + seconds(start), seconds(length))).collect();
        (leadership, freezing(elector.run(stop.clone()), freezes))
    };
    let (first, first_process) = candidate(0);
    let (second, second_process) = candidate(1);
    let watching = async {
        // The last term of each, and whether the other one led since.
        let mut last: [(Option<Term>, bool); 2] = Default::default();
        while Instant::now() < calm + TAKEOVER_MAX {
            for (index, leadership) in [&first, &second].into_iter().enumerate() {
                let Some(term) = leadership.term() else { continue };
                if let (Some(before), true) = last[index] {
                    assert!(!leadership.led_alone_since(before), "another one led after {before}");
                }
                last[index] = (Some(term), false);
                last[1 - index].1 = true;
            }
            let leading = [&first, &second].map(Leadership::is_leader);
            assert!(leading != [true, true], "two leaders after {:?}", started.elapsed());
            sleep(LOOK).await;
        }
        assert!(
            first.is_leader() || second.is_leader(),
            "nobody leads {TAKEOVER_MAX:?} after the last fault"
        );
        stop.cancel();
    };
    tokio::join!(first_process, second_process, watching);
    assert!(!first.is_leader() && !second.is_leader(), "nobody leads after stopping");
    assert_eq!(server.spec()["holderIdentity"], "", "the lease was released");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn never_two_leaders_and_a_takeover_within_bounds(plan in some_plan()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(no_two_leaders_and_soon_one(plan));
    }
}

/// Notes when each candidate gains and loses, in virtual seconds.
async fn history(
    leadership: Leadership,
    name: &'static str,
    log: Rc<RefCell<Vec<String>>>,
    started: Instant,
) {
    loop {
        leadership.gained().await;
        log.borrow_mut().push(format!("{} {name} leads", started.elapsed().as_secs()));
        leadership.lost().await;
        log.borrow_mut().push(format!("{} {name} does not", started.elapsed().as_secs()));
    }
}

/// Two candidates, the first of which is frozen at 100 s for `frozen`, and stopped at 200 s.
async fn takeover(frozen: Duration) -> Vec<String> {
    let server = Server::default();
    let (started, log) = (Instant::now(), Rc::default());
    let stop = [CancellationToken::new(), CancellationToken::new()];
    let candidate = |index: usize| {
        let answer = server.clone();
        let api = served(Duration::from_millis(5), move |method, _, body| answer.answer(method, body));
        let (leadership, elector) =
            elect(api, Clock::following_tokio(epoch()), config(["one", "two"][index]));
        (leadership, elector.run(stop[index].clone()))
    };
    let (first, first_run) = candidate(0);
    let (second, second_run) = candidate(1);
    let first_process = freezing(first_run, vec![(started + seconds(100), frozen)]);
    let second_process = async {
        sleep(seconds(1)).await;
        second_run.await;
    };
    let stopping = async {
        sleep(seconds(200)).await;
        stop[0].cancel();
        sleep(seconds(20)).await;
    };
    tokio::select! {
        biased;
        _ = async { tokio::join!(first_process, second_process) } => {}
        () = history(first, "one", Rc::clone(&log), started) => {}
        () = history(second, "two", Rc::clone(&log), started) => {}
        () = stopping => {}
    }
    log.take()
}

#[tokio::test(start_paused = true)]
async fn a_short_freeze_changes_nothing_and_a_release_hands_over_at_once() {
    assert_eq!(takeover(seconds(5)).await, ["0 one leads", "200 one does not", "201 two leads"]);
}

#[tokio::test(start_paused = true)]
async fn a_long_freeze_ends_leadership_before_the_other_takes_over() {
    assert_eq!(takeover(seconds(60)).await, ["0 one leads", "108 one does not", "115 two leads"]);
}

#[tokio::test(start_paused = true)]
async fn the_record_is_what_other_electors_expect() {
    let server = Server::default();
    let answer = server.clone();
    let api = served(Duration::from_millis(5), move |method, _, body| answer.answer(method, body));
    let (leadership, elector) = elect(api.clone(), Clock::following_tokio(epoch()), config("me"));
    let stop = CancellationToken::new();
    let look = async {
        sleep(seconds(5)).await;
        assert!(leadership.is_leader());
        let spec = server.spec();
        stop.cancel();
        spec
    };
    let ((), spec) = tokio::join!(elector.run(stop.clone()), look);
    let expect = json!({
        "holderIdentity": "me", "leaseDurationSeconds": 15, "leaseTransitions": 0,
        "acquireTime": "2026-01-01T00:00:00.005000Z", "renewTime": "2026-01-01T00:00:04.005000Z",
    });
    assert_eq!(spec, expect);
    let stored = api.get(LEASES, Some("system"), "manager").await.unwrap().unwrap();
    assert_eq!((&stored["apiVersion"], &stored["kind"]), (&json!("coordination.k8s.io/v1"), &json!("Lease")));
    assert_eq!(stored["spec"]["holderIdentity"], "");
}

#[tokio::test(start_paused = true)]
async fn without_a_server_nobody_leads() {
    let api = scripted(vec![common::unreachable(); 100], &Trace::new());
    let (leadership, elector) = elect(api, Clock::following_tokio(epoch()), config("me"));
    let stop = CancellationToken::new();
    let look = async {
        sleep(seconds(30)).await;
        assert!(!leadership.is_leader());
        stop.cancel();
    };
    tokio::join!(elector.run(stop.clone()), look);
}
