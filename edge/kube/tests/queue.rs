//! The work queue in virtual time.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use tokio::time::{Instant, sleep};
use trimtab_kube::queue::{Queue, QueueCounts};
use trimtab_kube::{CancellationToken, Clock};

fn clock() -> Clock {
    Clock::following_tokio("2026-01-01T00:00:00Z".parse().unwrap())
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

type Log = Rc<RefCell<Vec<String>>>;

/// Runs `queue` for `time`, noting every start with its virtual milliseconds.
async fn run<F: Future<Output = Result<Option<Timestamp>, String>>>(
    queue: &Queue<String>,
    concurrency: usize,
    time: Duration,
    reconcile: impl Fn(String) -> F,
) -> Vec<String> {
    let log: Log = Rc::default();
    let started = Instant::now();
    let stop = CancellationToken::new();
    let noting = |key: String| {
        log.borrow_mut().push(format!("{} {key}", started.elapsed().as_millis()));
        reconcile(key)
    };
    let stopper = async {
        sleep(time).await;
        stop.cancel();
    };
    tokio::join!(queue.run(concurrency, stop.clone(), noting), stopper);
    log.take()
}

#[tokio::test(start_paused = true)]
async fn first_marked_first_served_once() {
    let queue = Queue::new("test", clock());
    for key in ["b", "a", "b", "c", "a"] {
        queue.enqueue(key.to_owned());
    }
    assert_eq!(queue.depth(), 3);
    let log = run(&queue, 1, seconds(60), async |_| {
        sleep(seconds(1)).await;
        Ok(None)
    });
    assert_eq!(log.await, ["0 b", "1000 a", "2000 c"]);
    assert!(queue.is_idle());
}

#[tokio::test(start_paused = true)]
async fn a_key_marked_while_it_runs_runs_once_more() {
    let queue = Queue::new("test", clock());
    queue.enqueue("a".to_owned());
    let marker = queue.clone();
    let log = run(&queue, 4, seconds(60), async |key: String| {
        let first = marker.counts().reconciles == 1;
        if first {
            marker.enqueue(key.clone());
            marker.enqueue(key);
        }
        sleep(seconds(5)).await;
        Ok(None)
    });
    assert_eq!(log.await, ["0 a", "5000 a"]);
}

#[tokio::test(start_paused = true)]
async fn keys_wake_when_they_asked_to_and_the_earliest_wish_wins() {
    let clock = clock();
    let queue = Queue::new("test", clock.clone());
    let at = |after: u64| clock.now() + seconds(after);
    let (hour, soon) = (at(3_600 * 5), at(7));
    for (key, when) in [("a", hour), ("b", soon), ("c", hour), ("c", soon), ("d", soon), ("d", hour)] {
        queue.wake_at(key.to_owned(), when);
    }
    queue.wake_at("past".to_owned(), at(0) - seconds(50));
    let log = run(&queue, 4, seconds(86_400), async |_| Ok(None)).await;
    assert_eq!(log, ["0 past", "7000 b", "7000 c", "7000 d", "18000000 a"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_reconcile_returns_replaces_what_was_planned() {
    let clock = clock();
    let queue = Queue::new("test", clock.clone());
    queue.wake_at("a".to_owned(), clock.now() + seconds(100));
    queue.enqueue("a".to_owned());
    let log = run(&queue, 1, seconds(250), async |_| Ok(Some(clock.now() + seconds(90)))).await;
    assert_eq!(log, ["0 a", "90000 a", "180000 a"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_or_error_harms_only_its_key_and_backs_off() {
    let queue = Queue::new("test", clock());
    for key in ["bad", "good", "wrong"] {
        queue.enqueue(key.to_owned());
    }
    let log = run(&queue, 2, seconds(14), async |key: String| match key.as_str() {
        "bad" => panic!("told to"),
        "wrong" => Err("told to".to_owned()),
        _ => Ok(None),
    });
    let log = log.await;
    let starts = |key: &str| -> Vec<u64> {
        let of_key = log.iter().filter_map(|line| line.split_once(' ')).filter(|(_, held)| *held == key);
        of_key.map(|(at, _)| at.parse().unwrap()).collect()
    };
    assert_eq!(starts("good"), [0]);
    for key in ["bad", "wrong"] {
        let starts = starts(key);
        // 1, 2, 4 s, each stretched by the same share of at most a quarter.
        let waits: Vec<u64> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(waits.len(), 3, "{key}: {starts:?}");
        for (wait, least) in waits.iter().zip([1_000, 2_000, 4_000]) {
            assert!((least..=least + least / 4).contains(wait), "{key}: {starts:?}");
        }
    }
    assert_eq!(queue.counts(), QueueCounts { reconciles: 9, failures: 4, panics: 4 });
}

#[tokio::test(start_paused = true)]
async fn a_success_forgives_earlier_failures() {
    let queue = Queue::new("test", clock());
    queue.enqueue("a".to_owned());
    let counter = queue.clone();
    let clock = clock();
    let log = run(&queue, 1, seconds(20), async |_| match counter.counts().reconciles {
        1 | 2 | 4 => Err("not yet".to_owned()),
        3 => Ok(Some(clock.now() + seconds(5))),
        _ => Ok(None),
    });
    let starts: Vec<u64> =
        log.await.iter().map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect();
    let (first, after_success) = (starts[1] - starts[0], starts[4] - starts[3]);
    assert_eq!(first, after_success, "{starts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_reconcile_that_hangs_is_cut_off() {
    let queue = Queue::new("test", clock());
    queue.enqueue("a".to_owned());
    let log = run(&queue, 1, seconds(301), async |_| std::future::pending().await).await;
    assert_eq!(log, ["0 a"]);
    assert_eq!(queue.counts().failures, 1);
}

#[tokio::test(start_paused = true)]
async fn stopping_waits_for_what_runs_and_starts_nothing_new() {
    let queue = Queue::new("test", clock());
    for key in ["a", "b"] {
        queue.enqueue(key.to_owned());
    }
    let done = Rc::new(RefCell::new(0));
    let started = Instant::now();
    let log = run(&queue, 1, seconds(3), async |_| {
        sleep(seconds(10)).await;
        *done.borrow_mut() += 1;
        Ok(None)
    });
    assert_eq!(log.await, ["0 a"]);
    assert_eq!((*done.borrow(), started.elapsed()), (1, seconds(10)));

    let log = run(&queue, 1, seconds(3), async |_| std::future::pending().await).await;
    assert_eq!(log, ["0 b"]);
    assert_eq!(started.elapsed(), seconds(10 + 3 + 20), "the wait is bounded");
}

#[tokio::test(start_paused = true)]
async fn a_busy_key_does_not_starve_the_others() {
    let queue = Queue::new("test", clock());
    queue.enqueue("busy".to_owned());
    for index in 0..5 {
        queue.enqueue(format!("{index}"));
    }
    let marker = queue.clone();
    let log = run(&queue, 1, seconds(12), async |key: String| {
        if key == "busy" {
            marker.enqueue(key);
        }
        sleep(seconds(1)).await;
        Ok(None)
    });
    assert_eq!(log.await[..7], ["0 busy", "1000 0", "2000 1", "3000 2", "4000 3", "5000 4", "6000 busy"]);
}

#[test]
fn numbers_are_exposed() {
    let queue = Queue::new("releases", Clock::system());
    queue.enqueue("a".to_owned());
    let host = trimtab_kube::host::Host::new();
    host.register(|registry| queue.register(registry));
    assert!(host.metrics().unwrap().contains("trimtab_queue_depth{queue=\"releases\"} 1\n"));
}

/// A mark at some second, of some key.
fn some_marks() -> impl Strategy<Value = Vec<(u64, u8)>> {
    proptest::collection::vec((0_u64..100, 0_u8..5), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn never_two_at_once_never_too_many_and_never_a_mark_lost(
        marks in some_marks(),
        durations in proptest::collection::vec(0_u64..7, 5),
        concurrency in 1_usize..4,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let queue = Queue::new("test", clock());
            let running: RefCell<BTreeSet<String>> = RefCell::default();
            let last_start: RefCell<BTreeMap<String, Instant>> = RefCell::default();
            let last_mark: RefCell<BTreeMap<String, Instant>> = RefCell::default();
            let marking = async {
                let started = Instant::now();
                let mut marks = marks;
                marks.sort_unstable();
                for (at, key) in marks {
                    tokio::time::sleep_until(started + seconds(at)).await;
                    last_mark.borrow_mut().insert(key.to_string(), Instant::now());
                    queue.enqueue(key.to_string());
                }
            };
            let reconcile = async |key: String| {
                assert!(running.borrow_mut().insert(key.clone()), "two reconciles of {key} at once");
                assert!(running.borrow().len() <= concurrency);
                last_start.borrow_mut().insert(key.clone(), Instant::now());
                sleep(seconds(durations[key.parse::<usize>().unwrap()])).await;
                running.borrow_mut().remove(&key);
                Ok(None)
            };
            let (log, ()) = tokio::join!(run(&queue, concurrency, seconds(1_000), reconcile), marking);
            assert!(queue.is_idle() && !log.is_empty());
            assert_eq!(queue.counts().panics, 0, "an assertion above failed");
            for (key, marked) in last_mark.borrow().iter() {
                assert!(last_start.borrow()[key] >= *marked, "the last mark of {key} was lost");
            }
        });
    }
}
