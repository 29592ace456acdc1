//! Whether a watch may be decided on, and the wish that it lists anew.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::time::Duration;

use common::{Answer, Trace, data, line, ok, scripted, unreachable, wait};
use serde::Deserialize;
use tokio::time::{Instant, sleep_until, timeout};
use trimtab_kube::Store;
use trimtab_kube::resource::{Key, PODS};
use trimtab_kube::watch::{Project, ProjectError, Row, Scope, WatchHealth, WatchStatus, watch};

struct Name(Key);

impl Row for Name {
    fn key(&self) -> &Key {
        &self.0
    }

    fn resource_version(&self) -> u64 {
        1
    }
}

struct Names;

impl Project for Names {
    type Row = Name;

    fn project(&self, object: &[u8]) -> Result<Name, ProjectError> {
        #[derive(Deserialize)]
        struct Object {
            name: String,
        }
        let Object { name } = serde_json::from_slice(object)?;
        Ok(Name(Key::new("shop", name)))
    }
}

/// A whole list of one pod, after `seconds`.
fn page(seconds: u64, name: &str) -> Answer {
    let body = format!(r#"{{"metadata":{{"resourceVersion":"7"}},"items":[{{"name":"{name}"}}]}}"#);
    ok([wait(seconds), data(&body)])
}

fn bookmark() -> common::Piece {
    line(r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"7"}}}"#)
}

/// Plays `play` beside a store that is driven by `script`, and returns what was asked when.
async fn beside<T>(
    script: Vec<Answer>,
    play: impl AsyncFnOnce(WatchStatus, Store<Name>, Instant) -> T,
) -> (T, Vec<String>) {
    let trace = Trace::new();
    let events = watch(scripted(script, &trace), PODS, Scope::all(), Names);
    let (status, store, started) = (events.status(), Store::<Name>::new(), Instant::now());
    let drive = store.clone().drive(events, |_, _| {});
    let done = tokio::select! {
        biased;
        () = drive => unreachable!("a watch has no end"),
        done = play(status, store.clone(), started) => done,
    };
    let asked = |line: String| {
        let (at, asked) = line.split_once(" GET ").unwrap();
        let what = if asked.contains("watch=true") { "watch" } else { "list" };
        assert!(
            what == "watch" || !asked.contains("resourceVersion"),
            "a listing is a consistent read: {asked}"
        );
        format!("{at} {what}")
    };
    (done, trace.lines().into_iter().map(asked).collect())
}

fn holds(store: &Store<Name>, name: &str) -> bool {
    store.get(&Key::new("shop", name)).is_some()
}

#[tokio::test(start_paused = true)]
async fn a_resync_lists_anew_and_is_done_when_the_store_has_taken_it_in() {
    let script =
        vec![page(0, "old"), ok([bookmark(), wait(600)]), page(3, "new"), ok([bookmark(), wait(600)])];
    let ((), asked) = beside(script, async |status, store, started| {
        sleep_until(started + Duration::from_secs(10)).await;
        assert!(holds(&store, "old"));
        status.resync().await;
        assert_eq!(started.elapsed().as_secs(), 13);
        assert!(holds(&store, "new") && !holds(&store, "old"));
        assert!(status.health().is_healthy());
    })
    .await;
    assert_eq!(asked[..3], ["0 list", "0 watch", "10000 list"]);
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_began_before_the_wish_does_not_fulfil_it() {
    let script = vec![page(20, "old"), page(5, "new"), ok([wait(600)])];
    let ((), asked) = beside(script, async |status, store, started| {
        sleep_until(started + Duration::from_secs(10)).await;
        // Two who wish at one time are served by one listing.
        tokio::join!(status.resync(), status.resync());
        assert_eq!(started.elapsed().as_secs(), 25);
        assert!(holds(&store, "new"));
    })
    .await;
    assert_eq!(asked[..2], ["0 list", "20000 list"]);
}

#[tokio::test(start_paused = true)]
async fn a_resync_waits_for_a_server_that_cannot_be_asked() {
    let mut script = vec![page(0, "old"), ok([wait(600)])];
    script.extend(vec![unreachable(); 40]);
    let ((), _) = beside(script, async |status, store, _| {
        assert!(timeout(Duration::from_secs(300), status.resync()).await.is_err());
        assert!(holds(&store, "old"), "what is held stays until a listing is complete");
        let WatchHealth::Unhealthy { why, .. } = status.health() else { panic!("healthy") };
        assert!(why.starts_with("list pods: "), "{why}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_says_whether_it_may_be_decided_on() {
    let mut script = vec![page(5, "a"), ok([wait(60), bookmark(), wait(60), bookmark(), wait(600)])];
    script.extend(vec![unreachable(); 8]);
    script.extend([page(0, "a"), ok([wait(100)])]);
    let ((), asked) = beside(script, async |status, _, started| {
        let at = async |seconds: u64| {
            sleep_until(started + Duration::from_secs(seconds)).await;
            match status.health() {
                WatchHealth::Healthy => "healthy".to_owned(),
                WatchHealth::Unhealthy { since, why } => {
                    format!("since {}: {why}", (since - started).as_secs())
                }
            }
        };
        assert_eq!(at(1).await, "since 0: not listed yet");
        assert_eq!(at(6).await, "healthy");
        assert_eq!(at(130).await, "healthy");
        // Connected, and silent since 125 s: cut at 275 s, and nobody answers then.
        assert_eq!(at(270).await, "healthy");
        let unhealthy = at(280).await;
        assert!(unhealthy.starts_with("since 185: "), "{unhealthy}");
        assert_eq!(at(360).await, "healthy", "connected again");
    })
    .await;
    assert_eq!(asked[1..4], ["5000 watch", "275200 list", "275600 list"]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_the_server_never_ends_is_cut() {
    let drip: Vec<_> = (0..20).flat_map(|_| [wait(60), bookmark()]).collect();
    let ((), asked) =
        beside(vec![page(0, "a"), ok(drip), page(0, "a"), ok([wait(600)])], async |_, _, started| {
            sleep_until(started + Duration::from_secs(400)).await;
        })
        .await;
    assert_eq!(asked, ["0 list", "0 watch", "350200 list", "350200 watch"]);
}
