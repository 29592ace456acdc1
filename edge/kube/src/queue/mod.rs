//! Which objects need a decision, and when.
//!
//! Watches only [enqueue](Queue::enqueue) keys; [`Queue::run`] reconciles them: first come, first served, never two
//! reconciles of one key at once, a bounded number in all. Order and delays follow from the inputs alone.

mod failed;
mod state;

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use self::failed::{Failed, QueueKey};
pub use self::state::QueueCounts;
use self::state::{Ended, QueueMetrics, State};
use crate::clock::Clock;
use crate::sync::locked;

/// Longest time one reconcile may take before it is cut off like a crash, and backed off.
pub const RECONCILE_TIMEOUT: Duration = Duration::from_secs(300);

/// How long [`Queue::run`] waits for running reconciles once it was asked to stop.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

/// A work queue, cheap to clone. Holds each key at most once, so it is bounded by the number of objects.
pub struct Queue<K> {
    shared: Arc<Shared<K>>,
}

struct Shared<K> {
    name: &'static str,
    clock: Clock,
    state: Mutex<State<K>>,
    enqueued: Notify,
}

impl<K> Clone for Queue<K> {
    fn clone(&self) -> Queue<K> {
        Queue { shared: self.shared.clone() }
    }
}

impl<K: QueueKey> Queue<K> {
    /// An empty queue; `name` is its metrics label and appears in logs.
    pub fn new(name: &'static str, clock: Clock) -> Queue<K> {
        let state = Mutex::new(State::default());
        Queue { shared: Arc::new(Shared { name, clock, state, enqueued: Notify::new() }) }
    }

    /// Enqueues `key`. If it is being reconciled right now, it will be reconciled once more afterwards.
    pub fn enqueue(&self, key: K) {
        locked(&self.shared.state).enqueue(key);
        self.shared.enqueued.notify_one();
    }

    /// Enqueues `key` at `at`, unless it already is to be woken earlier. A reconcile that starts before forgets the
    /// wish: what it returns takes its place.
    pub fn wake_at(&self, key: K, at: Timestamp) {
        locked(&self.shared.state).wake_at(key, at, &self.shared.clock);
        self.shared.enqueued.notify_one();
    }

    /// How many keys wait to be reconciled now; those waiting for a later time are not counted.
    pub fn depth(&self) -> usize {
        locked(&self.shared.state).depth()
    }

    /// Whether nothing is waiting, running, or planned for later.
    pub fn is_idle(&self) -> bool {
        locked(&self.shared.state).is_idle()
    }

    /// All counts.
    pub fn counts(&self) -> QueueCounts {
        locked(&self.shared.state).counts()
    }

    /// Exposes depth and counts as `trimtab_queue_*{queue}`.
    pub fn register(&self, registry: &mut Registry)
    where
        K: std::fmt::Debug,
    {
        let queue = self.clone();
        let read = Box::new(move || (queue.depth(), queue.counts()));
        registry.register_collector(Box::new(QueueMetrics::new(self.shared.name, read)));
    }

    /// Reconciles until `stop` is cancelled, then waits up to [`DRAIN_TIMEOUT`] for what is running.
    ///
    /// `reconcile` returns when to look again, if ever without being enqueued. An error, a panic or a run over
    /// [`RECONCILE_TIMEOUT`] is counted, logged, and tried again after a delay that grows with each failure in a row.
    pub async fn run<F, E>(&self, concurrency: usize, stop: CancellationToken, reconcile: impl Fn(K) -> F)
    where
        F: Future<Output = Result<Option<Timestamp>, E>>,
        E: Into<Failed>,
    {
        let mut running = FuturesUnordered::new();
        while !stop.is_cancelled() {
            let free = concurrency.max(1).saturating_sub(running.len());
            let next = self.start(free, |key| running.push(guarded(key, &reconcile)));
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                Some((key, ended)) = running.next() => self.finish(&key, &ended),
                () = self.shared.enqueued.notified() => {}
                () = sleep_until(next) => {}
            }
        }
        let drained = async {
            while let Some((key, ended)) = running.next().await {
                self.finish(&key, &ended);
            }
        };
        if tokio::time::timeout(DRAIN_TIMEOUT, drained).await.is_err() {
            tracing::warn!(queue = self.shared.name, "reconciles still running at shutdown were cut off");
        }
    }

    /// Starts what can be started and returns when the next planned key is due.
    fn start(&self, free: usize, mut begin: impl FnMut(K)) -> Option<Instant> {
        let mut state = locked(&self.shared.state);
        state.promote(&self.shared.clock);
        for _ in 0..free {
            let Some(key) = state.start() else { break };
            begin(key);
        }
        state.next_due()
    }

    fn finish(&self, key: &K, ended: &Ended) {
        if let Ended::Failed(Failed { problem, .. }) | Ended::Panicked(problem) = ended {
            tracing::warn!(queue = self.shared.name, %key, problem, "reconcile failed, trying again later");
        }
        locked(&self.shared.state).finish(key, ended, &self.shared.clock);
    }
}

async fn guarded<K, F, E>(key: K, reconcile: impl Fn(K) -> F) -> (K, Ended)
where
    K: QueueKey,
    F: Future<Output = Result<Option<Timestamp>, E>>,
    E: Into<Failed>,
{
    let work = async { reconcile(key.clone()).await };
    let caught = AssertUnwindSafe(tokio::time::timeout(RECONCILE_TIMEOUT, work)).catch_unwind().await;
    let ended = match caught {
        Ok(Ok(Ok(wake_at))) => Ended::Done(wake_at),
        Ok(Ok(Err(error))) => Ended::Failed(error.into()),
        Ok(Err(_)) => Ended::Failed(format!("not done within {} s", RECONCILE_TIMEOUT.as_secs()).into()),
        Err(panic) => Ended::Panicked(panic_words(&*panic)),
    };
    (key, ended)
}

fn panic_words(panic: &(dyn std::any::Any + Send)) -> String {
    let words = panic.downcast_ref::<String>().map(String::as_str);
    words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panic without a message").to_owned()
}

async fn sleep_until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
