//! Watches, stores, a queue, a lease and writes together: the same inputs give the same requests at the same instants.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::{Trace, served};
use serde_json::{Value, json};
use tokio::time::sleep;
use trimtab_kube::api::Patch;
use trimtab_kube::intern::Interner;
use trimtab_kube::kinds::{PodRow, Pods};
use trimtab_kube::lease::{LeaseConfig, elect};
use trimtab_kube::queue::Queue;
use trimtab_kube::resource::{CONFIG_MAPS, EVENTS, PODS, SECRETS};
use trimtab_kube::watch::{Scope, watch};
use trimtab_kube::{Api, ApiError, CancellationToken, Clock, Key, Resource, Store};

const KINDS: [&Resource; 3] = [PODS, CONFIG_MAPS, SECRETS];

fn object(index: u64) -> Value {
    let uid = format!("00000000-0000-4000-8000-{index:012x}");
    json!({"metadata": {"namespace": "shop", "name": format!("object-{index}"), "uid": uid, "resourceVersion": "7"}})
}

/// A server of eight objects per kind that refuses every fifth write and ends every watch at once.
fn server(trace: &Trace) -> Api {
    let (trace, writes, lease) = (trace.clone(), AtomicU64::new(0), Mutex::new(None));
    served(Duration::from_millis(3), move |method, uri, body| {
        trace.add(&format!("{method} {uri} {body}"));
        if uri.contains("/leases") {
            let mut lease = lease.lock().unwrap();
            if method != "GET" {
                *lease = Some(body);
            }
            return lease.clone().map_or((404, Value::Null), |held| (200, held));
        }
        match method {
            "GET" if uri.contains("watch=true") => (200, json!("")),
            "GET" => (
                200,
                json!({"metadata": {"resourceVersion": "9"}, "items": (0..8).map(object).collect::<Vec<_>>()}),
            ),
            _ if writes.fetch_add(1, Ordering::Relaxed) % 5 == 4 => (500, Value::Null),
            _ => (200, json!({})),
        }
    })
}

/// One virtual quarter of an hour of a small manager.
async fn manager() -> Vec<String> {
    let trace = Trace::new();
    let clock = Clock::following_tokio("2026-01-01T00:00:00Z".parse().unwrap());
    let api = server(&trace);
    let stop = CancellationToken::new();
    let (leadership, elector) =
        elect(api.clone(), clock.clone(), LeaseConfig::new(Key::new("shop", "manager"), "me"));
    tokio::spawn(elector.run(stop.clone()));
    let queue: Queue<Key> = Queue::new("test", clock.clone());
    for kind in KINDS {
        let rows = watch(api.clone(), kind, Scope::all(), Pods::new(Interner::new()));
        let (store, queue): (Store<PodRow>, _) = (Store::new(), queue.clone());
        let mark = move |_: Option<&PodRow>, new: Option<&PodRow>| {
            queue.enqueue(new.unwrap().key.clone());
        };
        tokio::spawn(store.drive(rows, mark));
    }
    let writer = api.fenced(leadership.clone());
    let reconcile = async |key: Key| -> Result<_, ApiError> {
        let patch = Patch::Merge(json!({"at": clock.now().to_string()}));
        let event = json!({"metadata": {"namespace": "shop", "name": format!("{}.patched", key.name)}});
        writer.create(EVENTS, key.namespace(), &event).await?;
        writer.patch(PODS, key.namespace(), &key.name, &patch).await?;
        Ok(Some(clock.now() + Duration::from_secs(30 + key.stable_hash() % 60)))
    };
    let stopping = async {
        sleep(Duration::from_secs(900)).await;
        stop.cancel();
    };
    tokio::join!(queue.run(4, stop.clone(), reconcile), stopping);
    sleep(Duration::from_secs(5)).await;
    trace.lines()
}

#[test]
fn the_same_inputs_give_the_same_requests_at_the_same_instants() {
    let run = || {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(manager())
    };
    let first = run();
    for part in ["PATCH /api/v1/namespaces/shop/pods/", "/leases", "POST /apis/events.k8s.io", "watch=true"] {
        assert!(first.iter().filter(|line| line.contains(part)).count() > 5, "{part}");
    }
    for _ in 0..3 {
        let again = run();
        for (left, right) in first.iter().zip(&again) {
            assert_eq!(left, right);
        }
        assert_eq!(first.len(), again.len());
    }
}
