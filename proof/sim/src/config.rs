//! What a simulated API server is configured with, and the clock every timestamp in it comes from.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// How requests that arrive at the same virtual instant are ordered before they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestOrder {
    /// By user, method, path and body: the reproducible default.
    Sorted,
    /// By a permutation drawn from the seed: each seed explores another schedule.
    Shuffled,
}

/// Whether stored RBAC objects decide what a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rbac {
    /// Everything is allowed.
    Off,
    /// Stored roles and bindings decide for service accounts; users outside `system:serviceaccount:` are administrators.
    Enforced,
}

/// Configuration of a [`Sim`](crate::Sim).
#[derive(Clone, Debug)]
pub struct SimConfig {
    /// The wall-clock time of the instant at which the simulation starts.
    pub epoch: Timestamp,
    /// Virtual time between a request and its execution; raised to one millisecond when shorter.
    pub latency: Duration,
    /// Source of uids, generated names, fault decisions and shuffles.
    pub seed: u64,
    /// Order of requests of one virtual instant.
    pub order: RequestOrder,
    /// What `/version` reports as `gitVersion`, such as `v1.36.1`.
    pub git_version: String,
    /// Whether RBAC is enforced.
    pub rbac: Rbac,
}

/// Requests must not run in the instant in which they were sent, or their order would follow the executor's.
const LATENCY_MIN: Duration = Duration::from_millis(1);

/// 2026-01-01T00:00:00Z, in seconds since the Unix epoch.
const EPOCH_SECONDS: i64 = 1_767_225_600;

impl SimConfig {
    /// The usual configuration: sorted order, one millisecond of latency, no RBAC, starting at 2026-01-01T00:00:00Z.
    pub fn seeded(seed: u64) -> Self {
        SimConfig {
            epoch: Timestamp::from_second(EPOCH_SECONDS).expect("a constant within the range of a timestamp"),
            latency: LATENCY_MIN,
            seed,
            order: RequestOrder::Sorted,
            git_version: "v1.36.1".to_owned(),
            rbac: Rbac::Off,
        }
    }

    pub(crate) fn effective_latency(&self) -> Duration {
        self.latency.max(LATENCY_MIN)
    }
}

/// Virtual wall clock: the epoch plus what tokio's clock has advanced since the simulation started.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    epoch: Timestamp,
    started: Instant,
}

impl Clock {
    pub(crate) fn starting_at(epoch: Timestamp) -> Self {
        Clock { epoch, started: Instant::now() }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.at(Instant::now())
    }

    pub(crate) fn at(&self, instant: Instant) -> Timestamp {
        let elapsed = instant.saturating_duration_since(self.started);
        let elapsed = SignedDuration::try_from(elapsed).unwrap_or(SignedDuration::MAX);
        self.epoch.saturating_add(elapsed).unwrap_or(Timestamp::MAX)
    }
}

/// `metav1.Time`: RFC 3339 with whole seconds.
pub(crate) fn wire_time(at: Timestamp) -> String {
    let whole = Timestamp::from_second(at.as_second()).unwrap_or(at);
    whole.to_string()
}
