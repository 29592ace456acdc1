//! What one pod counts about itself, and what is true about it.

use std::sync::Arc;

use trimtab_kube::Key;
use trimtab_kube::rng::Rng;

use super::draw::{binomial, lognormal_share_below, poisson};
use super::load::ServiceLoad;
use crate::behaviour::Behaviour;

/// Upper edges of the duration histogram, in seconds; the last bucket has none.
pub const BUCKET_EDGES: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
/// Buckets of the duration histogram.
pub const BUCKETS: usize = BUCKET_EDGES.len() + 1;
/// CPU of a process that does nothing, in thousandths of a core.
const IDLE_MILLICORES: f64 = 2.0;
/// How fast the CPU reading follows, per second: it averages over about 15 s, as the metrics server does.
const CPU_SMOOTHING: f64 = 1.0 / 15.0;

/// The counters of one process. All start at 0 when it starts, except `panics`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests answered with 200.
    pub succeeded: u64,
    /// Requests answered with 500.
    pub failed: u64,
    /// Requests by duration; not cumulative.
    pub durations: [u64; BUCKETS],
    /// Sum of all durations, in microseconds.
    pub duration_microseconds: u64,
    /// Errors of the database seen by the process.
    pub database_errors: u64,
    /// Panics of this pod's container; counted outside the process, so that a crash does not lose them.
    pub panics: u64,
    /// CPU time, in microseconds.
    pub cpu_microseconds: u64,
}

/// What really happened, which no metric of the service can tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Truth {
    /// Requests that clients sent.
    pub requests: u64,
    /// Requests that failed, for whatever reason.
    pub failed: u64,
    /// Requests that failed only because of how the pod's image behaves, or because nothing was there to answer.
    pub harmed: u64,
}

impl std::ops::AddAssign for Truth {
    fn add_assign(&mut self, other: Truth) {
        self.requests += other.requests;
        self.failed += other.failed;
        self.harmed += other.harmed;
    }
}

/// One pod under load.
#[derive(Debug, Clone)]
pub struct PodMeter {
    /// Namespace and name.
    pub key: Key,
    /// Whether its container runs.
    pub running: bool,
    /// What it exposes.
    pub counters: Counters,
    /// What is true.
    pub truth: Truth,
    behaviour: Behaviour,
    starts: u32,
    error_factor: f64,
    rng: Rng,
    millicores: f64,
}

/// What all pods of a service share for a while.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Second<'l> {
    pub(crate) load: &'l ServiceLoad,
    /// 1, or more during a burst.
    pub(crate) error_factor: f64,
    /// How long it lasts: 1, or more where the past is lived in larger steps.
    pub(crate) seconds: f64,
}

impl PodMeter {
    pub(super) fn new(seed: u64, key: Key, uid: &Arc<str>, image: &str) -> Self {
        PodMeter {
            key,
            running: false,
            counters: Counters::default(),
            truth: Truth::default(),
            behaviour: Behaviour::from_image(image),
            starts: 0,
            error_factor: 1.0,
            rng: Rng::for_key(seed, "traffic", uid),
            millicores: 0.0,
        }
    }

    /// The same pod with a well-behaved image and nothing counted yet, to live a past that was quiet.
    pub(crate) fn ghost(seed: u64, pod: &PodMeter, uid: &Arc<str>) -> Self {
        let mut ghost = PodMeter::new(seed, pod.key.clone(), uid, "");
        ghost.rng = Rng::for_key(seed, "past", uid);
        ghost.running = true;
        ghost
    }

    /// Goes on counting from where a past ended.
    pub(crate) fn continue_from(&mut self, past: &Counters) {
        self.counters = past.clone();
    }

    /// Takes in whether the container runs, how often it was started again, and how many of its ends were panics.
    pub(super) fn observe(&mut self, running: bool, restarts: u32, panics: u64) {
        if restarts != self.starts {
            self.starts = restarts;
            self.counters = Counters::default();
        }
        self.counters.panics = panics;
        self.running = running;
    }

    pub(crate) fn set_error_factor(&mut self, factor: f64) {
        self.error_factor = factor;
    }

    /// CPU in use, in thousandths of a core.
    pub fn millicores(&self) -> u64 {
        self.millicores.round() as u64
    }

    /// `requests` arrive within this time.
    pub(crate) fn serve(&mut self, second: Second<'_>, requests: u64) {
        let mut truth = Truth { requests, ..Truth::default() };
        if self.running {
            self.answer(second, &mut truth);
        } else {
            // Nobody listens: clients see it, no metric of the service does.
            (truth.failed, truth.harmed) = (requests, requests);
        }
        self.truth += truth;
    }

    fn answer(&mut self, second: Second<'_>, truth: &mut Truth) {
        let load = second.load;
        let normal = (load.error_percent / 100.0 * self.error_factor * second.error_factor).clamp(0.0, 1.0);
        let unavoidable = binomial(&mut self.rng, truth.requests, normal);
        let wrong = self.behaviour.error_percent.map_or(normal, |percent| f64::from(percent) / 100.0);
        let excess = if wrong > normal { (wrong - normal) / (1.0 - normal) } else { 0.0 };
        truth.harmed = binomial(&mut self.rng, truth.requests - unavoidable, excess);
        truth.failed = unavoidable + truth.harmed;
        self.counters.failed += truth.failed;
        self.counters.succeeded += truth.requests - truth.failed;
        self.count_durations(load, truth.requests);
        let database = load.database_errors_per_minute + f64::from(self.behaviour.database_errors_per_minute);
        self.counters.database_errors += poisson(&mut self.rng, database / 60.0 * second.seconds);
        let busy = IDLE_MILLICORES + truth.requests as f64 * load.cpu_milliseconds / second.seconds;
        self.counters.cpu_microseconds += (busy * 1000.0 * second.seconds).max(0.0) as u64;
        self.millicores += (busy - self.millicores) * CPU_SMOOTHING;
    }

    fn count_durations(&mut self, load: &ServiceLoad, requests: u64) {
        let added = self.behaviour.added_latency.as_secs_f64();
        let mut left = requests;
        let mut below = 0.0;
        for (bucket, edge) in BUCKET_EDGES.iter().enumerate() {
            let share = lognormal_share_below(edge - added, load.median_seconds, load.duration_spread);
            let chance = if below < 1.0 { (share - below) / (1.0 - below) } else { 1.0 };
            let here = binomial(&mut self.rng, left, chance);
            self.counters.durations[bucket] += here;
            left -= here;
            below = share;
        }
        self.counters.durations[BUCKETS - 1] += left;
        let mean = load.median_seconds * (load.duration_spread.powi(2) / 2.0).exp() + added;
        self.counters.duration_microseconds += (requests as f64 * mean * 1e6).max(0.0) as u64;
    }
}
