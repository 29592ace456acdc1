//! A model of Prometheus: pods are discovered and scraped, and its HTTP API answers from what was scraped.
//!
//! Scrapes cost nothing by themselves: a target remembers when its counters changed, and samples are made when a query
//! asks for them. So thousands of idle pods are scraped for free, and what is answered is the same as if every scrape
//! had been stored.

mod form;
mod server;
mod target;
#[cfg(test)]
mod tests;
mod transport;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use trimtab_kube::Clock;
use trimtab_kube::rng::{Rng, stable_hash};
use trimtab_promql::{Expr, Matcher, Series};
use trimtab_promql_eval::{RangeWindows, SeriesSource};

pub use self::server::Refused;
use self::target::{Grid, Target, target_labels};
pub use self::transport::InProcess;
use crate::traffic::driver::{PodSeen, locked};
use crate::traffic::load::ServiceLoad;
use crate::traffic::meter::{Counters, PodMeter, Second};

/// How long discovery takes to hear of a pod, at most; each pod has its own delay, in milliseconds.
const DISCOVERY_LAG_MS: u64 = 1_000;
/// Targets that are gone whose samples are kept. Then the oldest go.
const MOST_GONE_TARGETS: usize = 20_000;
/// Changes of counters kept of all of them together: about 100 MB. Then the oldest targets go.
const MOST_GONE_CHANGES: usize = 500_000;
/// Outages that are remembered. Then the oldest are forgotten, and look like scrapes that found what came next.
const MOST_OUTAGES: usize = 10_000;
/// Expressions that are kept parsed: managers ask the same ones again and again. Then all are forgotten.
const MOST_PARSED: usize = 1_000;
/// Resolution of a past that was never lived, in seconds.
pub const BACKFILL_STEP_SECONDS: i64 = 30;
/// The longest such past, in hours: two weeks.
pub const BACKFILL_MOST_HOURS: u32 = 14 * 24;

/// How the phase of a pod (`canary`, `stable`) reaches its series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhaseLabel {
    /// Not at all: it has to be found by the names of pods.
    Absent,
    /// As label `phase`, from the pod label `trimtab.dev/phase`. A pod that changes its phase begins new series.
    FromPodLabel,
}

/// How Prometheus is set up.
#[derive(Debug, Clone)]
pub struct PrometheusConfig {
    /// Time from scrape to scrape of one target.
    pub scrape_interval: Duration,
    /// How long a sample takes until queries see it.
    pub ingest_delay: Duration,
    /// How the phase of a pod reaches its series.
    pub phase_label: PhaseLabel,
    /// Prometheus 3's windows, or Prometheus 2's.
    pub range_windows: RangeWindows,
}

impl Default for PrometheusConfig {
    fn default() -> Self {
        PrometheusConfig {
            scrape_interval: Duration::from_secs(5),
            ingest_delay: Duration::ZERO,
            phase_label: PhaseLabel::Absent,
            range_windows: RangeWindows::LeftOpen,
        }
    }
}

/// Whether and how Prometheus answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// It scrapes and answers.
    Up,
    /// It does neither; connections are refused.
    Refusing,
    /// It does neither; connections are accepted and never answered.
    Silent,
    /// It scrapes, and answers this much later with what it knew when it was asked.
    Slow(Duration),
}

/// A shard that is behind: queries see the samples of some pods later than those of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// Share of the pods that are scraped by this shard, in percent.
    pub share_percent: u64,
    /// How far it is behind, on top of [`PrometheusConfig::ingest_delay`].
    pub by: Duration,
}

/// Everything that was scraped.
pub(crate) struct Scraped {
    config: PrometheusConfig,
    interval_ms: i64,
    live: BTreeMap<Arc<str>, Target>,
    /// Which of `live` are in which namespace: a question is about one, and there may be thousands of pods.
    spaces: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    gone: VecDeque<Target>,
    /// Changes that the targets in `gone` hold.
    gone_changes: usize,
    outages: Vec<(i64, i64)>,
    lag: Option<Lag>,
}

impl Scraped {
    pub(crate) fn new(config: PrometheusConfig) -> Self {
        let interval_ms = i64::try_from(config.scrape_interval.as_millis()).unwrap_or(i64::MAX).max(1);
        Scraped {
            config,
            interval_ms,
            live: BTreeMap::new(),
            spaces: BTreeMap::new(),
            gone: VecDeque::new(),
            gone_changes: 0,
            outages: Vec::new(),
            lag: None,
        }
    }

    /// The pod is there with these counters, or with none if its container does not run.
    pub(crate) fn observe(&mut self, pod: &PodSeen, counters: &Counters, now_ms: i64) {
        if pod.ip.is_empty() {
            return;
        }
        let labels = self.labels(pod);
        if self.live.get(&pod.uid).is_some_and(|target| *target.labels() != labels) {
            self.lose(&pod.uid, now_ms);
        }
        let interval = self.interval_ms.unsigned_abs();
        self.spaces.entry(pod.key.namespace.clone()).or_default().insert(pod.uid.clone());
        let target = self.live.entry(pod.uid.clone()).or_insert_with(|| {
            let lag = stable_hash(&[b"discovery", pod.uid.as_bytes()]) % DISCOVERY_LAG_MS;
            let offset = stable_hash(&[b"scrape", pod.uid.as_bytes()]) % interval;
            Target::new(labels, offset as i64, now_ms + lag as i64)
        });
        target.becomes(now_ms, pod.running.then_some(counters));
    }

    fn labels(&self, pod: &PodSeen) -> trimtab_promql::Labels {
        let job = pod.labels.get("app").map_or(&*pod.key.name, String::as_str);
        let instance = format!("{}:{}", pod.ip, pod.port);
        let phase = match self.config.phase_label {
            PhaseLabel::Absent => "",
            PhaseLabel::FromPodLabel => pod.labels.get("trimtab.dev/phase").map_or("", String::as_str),
        };
        target_labels(&[
            ("namespace", &pod.key.namespace),
            ("pod", &pod.key.name),
            ("job", job),
            ("instance", &instance),
            ("phase", phase),
        ])
    }

    /// If the pod is scraped after `from_ms` and not after `to_ms`, these counters are found. Whether it was.
    pub(crate) fn scrape_within(&mut self, uid: &str, from_ms: i64, to_ms: i64, counters: &Counters) -> bool {
        let Some(target) = self.live.get_mut(uid) else { return false };
        let scrape = target.scrape_within(from_ms, to_ms, self.interval_ms);
        if let Some(at_ms) = scrape {
            target.becomes_if_answering(at_ms, counters);
        }
        scrape.is_some()
    }

    /// The pod is gone.
    pub(crate) fn lose(&mut self, uid: &str, now_ms: i64) {
        let Some(mut target) = self.live.remove(uid) else { return };
        if let Some(space) = self.spaces.get_mut(target.labels().get("namespace")) {
            space.remove(uid);
        }
        target.gone_ms = Some(now_ms);
        self.gone_changes += target.size();
        self.gone.push_back(target);
        while self.gone.len() > MOST_GONE_TARGETS || self.gone_changes > MOST_GONE_CHANGES {
            let Some(oldest) = self.gone.pop_front() else { break };
            self.gone_changes -= oldest.size();
        }
    }

    fn set_scraping(&mut self, is_scraping: bool, now_ms: i64) {
        match (self.outages.last_mut(), is_scraping) {
            (Some((_, until)), true) if *until == i64::MAX => *until = now_ms,
            (Some((_, i64::MAX)), false) | (_, true) => {}
            (_, false) => {
                if self.outages.len() >= MOST_OUTAGES {
                    self.outages.remove(0);
                }
                self.outages.push((now_ms, i64::MAX));
            }
        }
    }

    /// How far the target's shard is behind.
    fn lag_ms(&self, target: &Target) -> i64 {
        let Some(lag) = self.lag else { return 0 };
        let pod = target.labels().get("pod");
        let is_behind = stable_hash(&[b"shard", pod.as_bytes()]) % 100 < lag.share_percent;
        if is_behind { i64::try_from(lag.by.as_millis()).unwrap_or(i64::MAX / 2) } else { 0 }
    }

    /// Every series that passes the matchers, as a query at `now_ms` sees it.
    fn select(&self, matchers: &[Matcher], from_ms: i64, to_ms: i64, now_ms: i64) -> Vec<Series> {
        let delay = i64::try_from(self.config.ingest_delay.as_millis()).unwrap_or(i64::MAX);
        let to_ms = to_ms.min(now_ms.saturating_sub(delay));
        let grid = Grid { interval_ms: self.interval_ms, outages: &self.outages };
        let mut series = Vec::new();
        let about = |space: &str| {
            let mut matchers = matchers.iter().filter(|matcher| matcher.name() == "namespace");
            matchers.all(|matcher| matcher.is_match(space))
        };
        let spaces = self.spaces.iter().filter(|(space, _)| about(space));
        let live = spaces.flat_map(|(_, uids)| uids).filter_map(|uid| self.live.get(uid));
        for target in self.gone.iter().chain(live) {
            let to_ms = to_ms.min(now_ms.saturating_sub(delay + self.lag_ms(target)));
            target.select(matchers, from_ms, to_ms, &grid, &mut series);
        }
        series.sort_by(|one, other| one.labels.cmp(&other.labels));
        series
    }
}

/// Prometheus, to be asked. Cheap to clone.
#[derive(Clone)]
pub struct Prometheus {
    shared: Arc<crate::traffic::driver::Shared>,
    service: Arc<Mutex<Service>>,
    parsed: Arc<Mutex<BTreeMap<String, Arc<Expr>>>>,
    clock: Clock,
    seed: u64,
}

/// What was scraped, as of one instant.
struct View<'p> {
    scraped: &'p Scraped,
    now_ms: i64,
}

impl SeriesSource for View<'_> {
    fn select(&self, matchers: &[Matcher], from_ms: i64, to_ms: i64) -> Vec<Series> {
        self.scraped.select(matchers, from_ms, to_ms, self.now_ms)
    }
}

impl Prometheus {
    pub(crate) fn new(shared: Arc<crate::traffic::driver::Shared>, clock: Clock, seed: u64) -> Self {
        Prometheus { shared, service: Arc::new(Mutex::new(Service::Up)), parsed: Arc::default(), clock, seed }
    }

    /// Lets it work, or not.
    pub fn set_service(&self, service: Service) {
        *locked(&self.service) = service;
        let is_scraping = matches!(service, Service::Up | Service::Slow(_));
        locked(&self.shared.scraped).set_scraping(is_scraping, self.now_ms());
    }

    /// Puts one shard behind, or lets it catch up.
    pub fn set_lag(&self, lag: Option<Lag>) {
        locked(&self.shared.scraped).lag = lag;
    }

    fn now_ms(&self) -> i64 {
        self.clock.now().as_millisecond()
    }

    /// Gives the pods of a `job` in a namespace that run now a quiet past of so many hours under this load. At most
    /// [`BACKFILL_MOST_HOURS`]; about 7 MB per pod and week.
    pub fn backfill(&self, namespace: &str, job: &str, load: &ServiceLoad, hours: u32) {
        let now_ms = self.now_ms();
        let mut traffic = locked(&self.shared.traffic);
        let mut scraped = locked(&self.shared.scraped);
        let of_job = |target: &Target| {
            target.labels().get("namespace") == namespace && target.labels().get("job") == job
        };
        let uids: Vec<Arc<str>> =
            scraped.live.iter().filter(|(_, target)| of_job(target)).map(|(uid, _)| uid.clone()).collect();
        let pods = uids.len().max(1) as f64;
        for uid in uids {
            let Some(meter) = traffic.pod_mut(&uid).filter(|meter| meter.running) else { continue };
            let past = past(self.seed, &uid, load, pods, hours.min(BACKFILL_MOST_HOURS), now_ms, meter);
            let target = scraped.live.get_mut(&uid).expect("its uid comes from this very map");
            target.set_past(past, now_ms, &meter.counters);
        }
    }
}

/// Lives the past of one pod, and leaves its counters where that past ends.
fn past(
    seed: u64,
    uid: &Arc<str>,
    load: &ServiceLoad,
    pods: f64,
    hours: u32,
    now_ms: i64,
    meter: &mut PodMeter,
) -> Vec<(i64, Arc<Counters>)> {
    let steps = i64::from(hours) * 3600 / BACKFILL_STEP_SECONDS;
    let offset = (stable_hash(&[b"backfill", uid.as_bytes()]) % 1000) as i64;
    let mut ghost = PodMeter::ghost(seed, meter, uid);
    ghost.set_error_factor(load.pod_factor(seed, uid));
    let mut rng = Rng::for_key(seed, "backfill", uid);
    let mut past = Vec::new();
    for step in (1..=steps).rev() {
        let at_ms = now_ms - step * BACKFILL_STEP_SECONDS * 1000 + offset;
        past.push((at_ms, Arc::new(ghost.counters.clone())));
        let mean = load.rate.at(at_ms / 1000) / pods * BACKFILL_STEP_SECONDS as f64;
        let requests = crate::traffic::draw::poisson(&mut rng, mean);
        let span = Second { load, error_factor: 1.0, seconds: BACKFILL_STEP_SECONDS as f64 };
        ghost.serve(span, requests);
    }
    meter.continue_from(&ghost.counters);
    past
}
