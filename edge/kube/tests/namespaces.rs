//! Watching a few namespaces: each is listed by itself, and a kind without a namespace need not be allowed.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use common::served;
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use trimtab_kube::expectations::Expectations;
use trimtab_kube::kinds::{self, Apps, Changed, MANAGED_APPS, Namespaces, Pods, Policies, Stores};
use trimtab_kube::resource::Key;
use trimtab_kube::watch::WatchPart;

/// What the server says: names by collection. A collection that is not here is empty.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<Says>>);

#[derive(Default)]
struct Says {
    names: BTreeMap<&'static str, Vec<&'static str>>,
    refused: BTreeMap<&'static str, u16>,
    listed: Vec<String>,
}

impl Server {
    fn with<T>(&self, change: impl FnOnce(&mut Says) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How often the collection was listed.
    fn listed(&self, collection: &str) -> usize {
        self.with(|says| says.listed.iter().filter(|listed| *listed == collection).count())
    }

    fn answer(&self, uri: &str) -> (u16, Value) {
        let path = uri.split('?').next().unwrap_or_default();
        if uri.contains("watch=true") {
            return (200, json!(""));
        }
        self.with(|says| {
            says.listed.push(path.to_owned());
            if let Some(code) = says.refused.get(path) {
                return (*code, json!({"kind": "Status", "code": code, "message": "refused"}));
            }
            let namespace = path.split("/namespaces/").nth(1).and_then(|rest| rest.split('/').next());
            let names = says.names.get(path).into_iter().flatten();
            let items: Vec<Value> = names.map(|name| object(namespace.unwrap_or_default(), name)).collect();
            (200, json!({"metadata": {"resourceVersion": "9"}, "items": items}))
        })
    }

    /// Runs `play` beside the watches of `namespaces`.
    async fn beside(
        &self,
        namespaces: Namespaces,
        on_change: impl Fn(Changed<'_>) + Send + Sync + 'static,
        play: impl AsyncFnOnce(Stores),
    ) {
        let (server, stores) = (self.clone(), kinds::all());
        let api = served(Duration::from_millis(3), move |_, uri, _| server.answer(uri));
        let watches = stores.watch(&api, &namespaces, on_change);
        tokio::select! {
            biased;
            _ = join_all(watches.tasks) => unreachable!("a watch has no end"),
            () = play(stores) => {}
        }
    }
}

fn object(namespace: &str, name: &str) -> Value {
    json!({"metadata": {"namespace": namespace, "name": name, "uid": "00000000-0000-4000-8000-000000000001", "resourceVersion": "7"},
        "spec": {}})
}

const PODS_OF_A: &str = "/api/v1/namespaces/a/pods";
const PODS_OF_B: &str = "/api/v1/namespaces/b/pods";
const POLICIES: &str = "/apis/trimtab.dev/v1alpha1/fleetpolicies";

fn a_and_b() -> Namespaces {
    Namespaces::These(vec![Arc::from("b"), Arc::from("a"), Arc::from("b")])
}

fn in_a() -> WatchPart {
    Some(Arc::from("a"))
}

fn in_b() -> WatchPart {
    Some(Arc::from("b"))
}

fn pods(stores: &Stores) -> Vec<String> {
    stores.of::<Pods>().read().iter().map(|pod| pod.key.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn every_namespace_is_listed_by_itself() {
    let server = Server::default();
    server.with(|says| {
        says.names.extend([(PODS_OF_A, vec!["one", "two"]), (PODS_OF_B, vec!["one"])]);
        says.refused.insert(PODS_OF_B, 503);
    });
    server
        .beside(
            a_and_b(),
            |_| {},
            async |stores| {
                sleep(Duration::from_secs(30)).await;
                assert_eq!(pods(&stores), ["a/one", "a/two"]);
                assert!(!stores.of::<Pods>().synced(), "one of two namespaces is not all of them");
                let unhealthy = stores.unhealthy(&in_b()).unwrap();
                assert!(
                    unhealthy.starts_with("the watch of pods in namespace b is unhealthy: "),
                    "{unhealthy}"
                );
                assert_eq!(stores.unhealthy(&in_a()), None, "the other one is read");
                timeout(Duration::from_secs(60), stores.resync(&in_a())).await.unwrap();

                server.with(|says| says.refused.clear());
                timeout(Duration::from_secs(120), stores.wait_synced()).await.unwrap();
                assert_eq!(pods(&stores), ["a/one", "a/two", "b/one"]);

                server.with(|says| says.names.insert(PODS_OF_A, vec!["two"]));
                timeout(Duration::from_secs(60), stores.resync(&in_a())).await.unwrap();
                assert_eq!(pods(&stores), ["a/two", "b/one"]);
                assert_eq!(stores.unhealthy(&in_b()), None);
            },
        )
        .await;
    assert_eq!(server.listed("/api/v1/pods"), 0, "nothing is asked of the whole cluster");
}

#[tokio::test(start_paused = true)]
async fn a_kind_without_a_namespace_that_is_forbidden_counts_as_empty_and_is_tried_again() {
    let server = Server::default();
    server.with(|says| {
        says.names.insert(POLICIES, vec!["fleet"]);
        says.refused.insert(POLICIES, 403);
    });
    server
        .beside(
            a_and_b(),
            |_| {},
            async |stores| {
                timeout(Duration::from_secs(5), stores.wait_synced()).await.unwrap();
                assert!(stores.of::<Policies>().read().is_empty());
                assert_eq!(stores.unhealthy(&None), None);
                timeout(Duration::from_secs(5), stores.resync(&None)).await.unwrap();
                sleep(Duration::from_secs(3_600)).await;
                let tried = server.listed(POLICIES);
                assert!((10..=14).contains(&tried), "{tried} times in an hour");

                server.with(|says| says.refused.clear());
                sleep(Duration::from_secs(310)).await;
                assert_eq!(stores.of::<Policies>().read().len(), 1);
                assert_eq!(stores.unhealthy(&None), None);
            },
        )
        .await;
}

#[tokio::test(start_paused = true)]
async fn where_everything_is_watched_a_forbidden_kind_is_not_taken_for_empty() {
    let server = Server::default();
    server.with(|says| says.refused.insert(POLICIES, 403));
    server
        .beside(
            Namespaces::All,
            |_| {},
            async |stores| {
                assert!(timeout(Duration::from_secs(600), stores.wait_synced()).await.is_err());
                assert!(stores.of::<Pods>().synced() && !stores.of::<Policies>().synced());
                assert!(stores.unhealthy(&None).is_some());
            },
        )
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_was_written_to_a_deleted_object_is_not_waited_for() {
    const APPS: &str = "/apis/trimtab.dev/v1alpha1/managedapps";
    let server = Server::default();
    server.with(|says| says.names.insert(APPS, vec!["shop"]));
    let expectations = Expectations::default();
    expectations.wrote(MANAGED_APPS, Key::new("", "shop"), 8);
    let seen = expectations.clone();
    let forget = move |changed: Changed<'_>| {
        if let Some((resource, key)) = changed.deleted() {
            seen.forget(resource, key);
        }
    };
    server
        .beside(Namespaces::All, forget, async |stores| {
            stores.wait_synced().await;
            assert_eq!((stores.of::<Apps>().read().len(), expectations.len()), (1, 1));
            server.with(|says| says.names.clear());
            stores.resync(&None).await;
            assert!(stores.of::<Apps>().read().is_empty() && expectations.is_empty());
        })
        .await;
}
