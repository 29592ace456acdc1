//! The queue without its tasks: who waits, who runs, who is due when.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use tokio::time::Instant;

use super::failed::{Failed, QueueKey};
use crate::clock::Clock;
use crate::rng::stable_hash;

/// Delay after the first failure of a key; doubles with each failure in a row.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);

/// Longest delay after failures in a row.
const BACKOFF_LONGEST: Duration = Duration::from_secs(300);

/// The clock is asked again at least this often while a key waits: wall clocks jump, timers do not.
const CLOCK_CHECK: Duration = Duration::from_secs(900);

/// What happened on one queue since it began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueCounts {
    /// Reconciles started.
    pub reconciles: u64,
    /// Reconciles that ended in an error or took too long.
    pub failures: u64,
    /// Reconciles that panicked.
    pub panics: u64,
}

/// How one reconcile ended.
#[derive(Debug)]
pub(super) enum Ended {
    Done(Option<Timestamp>),
    Failed(Failed),
    Panicked(String),
}

#[derive(Clone, Copy)]
struct Timer {
    /// When the key is due, by the monotonic clock.
    due: Instant,
    /// When to look at it: `due`, or earlier to ask the wall clock again.
    check: Instant,
    /// When it is due by the wall clock; `None` for backoff.
    at: Option<Timestamp>,
}

pub(super) struct State<K> {
    ready: VecDeque<K>,
    /// Exactly the keys in `ready`.
    waiting: BTreeSet<K>,
    running: BTreeSet<K>,
    /// Running keys that were enqueued meanwhile.
    again: BTreeSet<K>,
    timers: BTreeMap<K, Timer>,
    /// Exactly the `check` instants of `timers`.
    checks: BTreeSet<(Instant, K)>,
    failures: BTreeMap<K, u32>,
    counts: QueueCounts,
}

impl<K> Default for State<K> {
    fn default() -> State<K> {
        State {
            ready: VecDeque::new(),
            waiting: BTreeSet::new(),
            running: BTreeSet::new(),
            again: BTreeSet::new(),
            timers: BTreeMap::new(),
            checks: BTreeSet::new(),
            failures: BTreeMap::new(),
            counts: QueueCounts::default(),
        }
    }
}

impl<K: QueueKey> State<K> {
    pub(super) fn enqueue(&mut self, key: K) {
        if self.running.contains(&key) {
            self.again.insert(key);
        } else if self.waiting.insert(key.clone()) {
            self.ready.push_back(key);
        }
    }

    pub(super) fn wake_at(&mut self, key: K, at: Timestamp, clock: &Clock) {
        let now = Instant::now();
        let until = clock.until(at);
        self.set_timer(
            key,
            Timer { due: after(now, until), check: now + until.min(CLOCK_CHECK), at: Some(at) },
        );
    }

    /// The earlier of two timers wins.
    fn set_timer(&mut self, key: K, timer: Timer) {
        match self.timers.get(&key) {
            Some(held) if held.due <= timer.due => {}
            _ => {
                self.clear_timer(&key);
                self.checks.insert((timer.check, key.clone()));
                self.timers.insert(key, timer);
            }
        }
    }

    fn clear_timer(&mut self, key: &K) {
        if let Some(timer) = self.timers.remove(key) {
            self.checks.remove(&(timer.check, key.clone()));
        }
    }

    /// Marks every key whose time has come.
    pub(super) fn promote(&mut self, clock: &Clock) {
        let now = Instant::now();
        while let Some((check, key)) = self.checks.first().cloned() {
            if check > now {
                break;
            }
            let at = self.timers.get(&key).and_then(|timer| timer.at);
            self.clear_timer(&key);
            match at {
                Some(at) if clock.now() < at => self.wake_at(key, at, clock),
                _ => self.enqueue(key),
            }
        }
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.checks.first().map(|(check, _)| *check)
    }

    /// The key to reconcile now. It is running until [`State::finish`].
    pub(super) fn start(&mut self) -> Option<K> {
        let key = self.ready.pop_front()?;
        self.waiting.remove(&key);
        self.clear_timer(&key);
        self.running.insert(key.clone());
        self.counts.reconciles += 1;
        Some(key)
    }

    pub(super) fn finish(&mut self, key: &K, ended: &Ended, clock: &Clock) {
        self.running.remove(key);
        match ended {
            Ended::Done(wake_at) => {
                self.failures.remove(key);
                if let Some(at) = wake_at {
                    self.wake_at(key.clone(), *at, clock);
                }
            }
            Ended::Failed(Failed { wake_at, .. }) => {
                self.counts.failures += 1;
                self.back_off(key);
                // What was due anyway is due all the same, but never in a tight loop.
                let soonest = clock.now().checked_add(BACKOFF_FIRST).unwrap_or(Timestamp::MAX);
                if let Some(at) = wake_at {
                    self.wake_at(key.clone(), (*at).max(soonest), clock);
                }
            }
            Ended::Panicked(_) => {
                self.counts.panics += 1;
                self.back_off(key);
            }
        }
        if self.again.remove(key) {
            self.enqueue(key.clone());
        }
    }

    fn back_off(&mut self, key: &K) {
        let failures = self.failures.entry(key.clone()).or_default();
        *failures = failures.saturating_add(1);
        let due = after(Instant::now(), backoff(*failures, stable_hash(&[key.to_string().as_bytes()])));
        self.set_timer(key.clone(), Timer { due, check: due, at: None });
    }

    pub(super) fn depth(&self) -> usize {
        self.ready.len()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.ready.is_empty() && self.running.is_empty() && self.timers.is_empty()
    }

    pub(super) fn counts(&self) -> QueueCounts {
        self.counts.clone()
    }
}

/// Timers hold a few years at most; anything later is looked at again before.
fn after(now: Instant, delay: Duration) -> Instant {
    /// One year, in seconds.
    const LONGEST_SECONDS: u64 = 365 * 86_400;
    now + delay.min(Duration::from_secs(LONGEST_SECONDS))
}

/// Doubles per failure; up to a quarter more, by the key's hash, so that a shared cause is not retried in step.
fn backoff(failures: u32, hash: u64) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let delay = (BACKOFF_FIRST * 2_u32.pow(doublings)).min(BACKOFF_LONGEST);
    delay + delay / 4 * u32::try_from(hash % 1_000).unwrap_or(0) / 1_000
}

type Read = Box<dyn Fn() -> (usize, QueueCounts) + Send + Sync>;

/// A queue's numbers for exposition.
pub(super) struct QueueMetrics {
    queue: &'static str,
    read: Read,
}

impl QueueMetrics {
    pub(super) fn new(queue: &'static str, read: Read) -> QueueMetrics {
        QueueMetrics { queue, read }
    }
}

impl fmt::Debug for QueueMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueMetrics").field("queue", &self.queue).finish_non_exhaustive()
    }
}

impl Collector for QueueMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (depth, counts) = (self.read)();
        let labels = [("queue", self.queue)];
        let help = "keys waiting to be reconciled now";
        let mut metric = encoder.encode_descriptor("trimtab_queue_depth", help, None, MetricType::Gauge)?;
        let depth = i64::try_from(depth).unwrap_or(i64::MAX);
        ConstGauge::new(depth).encode(metric.encode_family(&labels)?)?;
        for (name, help, count) in [
            ("trimtab_queue_reconciles", "reconciles started", counts.reconciles),
            ("trimtab_queue_failures", "reconciles that ended in an error or took too long", counts.failures),
            ("trimtab_queue_panics", "reconciles that panicked", counts.panics),
        ] {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(count).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
