//! How a watch is doing, for readiness, metrics and people; and the wish that it lists anew.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::time::Instant;

use super::scope::WatchPart;
use crate::resource::Resource;
use crate::sync::locked;

/// How long after the server's last word a watch without a connection still counts as healthy: long enough to reconnect a
/// few times, short enough that nobody decides on what was true long ago. With a connection, silence is bounded by
/// `SILENCE_MAX`, which cuts it.
pub const HEALTHY_WITHIN: Duration = Duration::from_secs(60);

/// What happened on one watch since it began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchCounts {
    /// Listings begun.
    pub lists: u64,
    /// Watch connections opened.
    pub connections: u64,
    /// Events received, bookmarks included.
    pub events: u64,
    /// Objects skipped because they could not be read.
    pub undecodable: u64,
    /// Listings and connections that failed, of any cause.
    pub errors: u64,
    /// Times the server had forgotten our version (410) and everything was listed again.
    pub expired: u64,
}

/// Whether what a watch shows may be decided on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchHealth {
    /// It was listed, and is connected or was until a moment ago.
    Healthy,
    /// What it shows may be long gone.
    Unhealthy {
        /// Since when.
        since: Instant,
        /// What is wrong, in lower case.
        why: String,
    },
}

impl WatchHealth {
    /// Whether it is healthy.
    pub fn is_healthy(&self) -> bool {
        *self == WatchHealth::Healthy
    }
}

struct State {
    counts: WatchCounts,
    began: Instant,
    synced: bool,
    connected: bool,
    forbidden: bool,
    last_error: Option<String>,
    heard: Option<Instant>,
}

/// Wishes for a new listing, numbered as they come.
struct Resyncs {
    /// The last wish.
    wanted: watch::Sender<u64>,
    /// The last wish that a complete listing has fulfilled.
    fulfilled: watch::Sender<u64>,
}

/// A shared view of one watch, cheap to clone.
#[derive(Clone)]
pub struct WatchStatus {
    resource: &'static Resource,
    part: WatchPart,
    state: Arc<Mutex<State>>,
    resyncs: Arc<Resyncs>,
}

impl WatchStatus {
    pub(crate) fn new(resource: &'static Resource, namespace: Option<&str>) -> WatchStatus {
        let state = State {
            counts: WatchCounts::default(),
            began: Instant::now(),
            synced: false,
            connected: false,
            forbidden: false,
            last_error: None,
            heard: None,
        };
        let resyncs = Resyncs { wanted: watch::channel(0).0, fulfilled: watch::channel(0).0 };
        let part = namespace.map(Arc::from);
        WatchStatus { resource, part, state: Arc::new(Mutex::new(state)), resyncs: Arc::new(resyncs) }
    }

    /// What is watched.
    pub fn resource(&self) -> &'static Resource {
        self.resource
    }

    /// The part of the cluster that is watched.
    pub fn part(&self) -> &WatchPart {
        &self.part
    }

    /// Whether a complete listing has been delivered and the watch after it is not failing.
    pub fn synced(&self) -> bool {
        let state = locked(&self.state);
        state.synced && state.last_error.is_none()
    }

    /// The problem that is being retried right now; `None` once something got through again.
    pub fn last_error(&self) -> Option<String> {
        locked(&self.state).last_error.clone()
    }

    /// Whether what the watch shows may be decided on.
    pub fn health(&self) -> WatchHealth {
        let state = locked(&self.state);
        if state.forbidden {
            return WatchHealth::Healthy;
        }
        let error = || state.last_error.clone();
        let Some(heard) = state.heard.filter(|_| state.synced) else {
            let why = error().unwrap_or_else(|| "not listed yet".to_owned());
            return WatchHealth::Unhealthy { since: state.began, why };
        };
        if state.connected || heard.elapsed() < HEALTHY_WITHIN {
            return WatchHealth::Healthy;
        }
        let why = error().unwrap_or_else(|| format!("nothing heard for {} s", heard.elapsed().as_secs()));
        WatchHealth::Unhealthy { since: heard + HEALTHY_WITHIN, why }
    }

    /// Has everything listed anew by a consistent read, and waits until a listing that began after the call has been taken
    /// in: what the watch shows then is no older than the call. Never returns while the server cannot be listed.
    pub async fn resync(&self) {
        if locked(&self.state).forbidden {
            return;
        }
        let mut ours = 0;
        self.resyncs.wanted.send_modify(|wanted| {
            *wanted += 1;
            ours = *wanted;
        });
        let mut fulfilled = self.resyncs.fulfilled.subscribe();
        // Cannot fail: `self` keeps the sender alive.
        let _ = fulfilled.wait_for(|fulfilled| *fulfilled >= ours).await;
    }

    /// All counts.
    pub fn counts(&self) -> WatchCounts {
        locked(&self.state).counts.clone()
    }

    /// Exposes counts and health as `trimtab_watch_*{resource}`, with the `namespace` where one is watched.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(self.clone()));
    }

    /// A listing begins. Returns the last wish that it fulfils, once it is complete.
    pub(crate) fn listing(&self) -> u64 {
        let mut state = locked(&self.state);
        state.counts.lists += 1;
        state.connected = false;
        *self.resyncs.wanted.borrow()
    }

    /// Waits for a wish after `number`.
    pub(crate) fn wish_after(&self, number: u64) -> impl Future<Output = ()> + Send + use<> {
        let mut wanted = self.resyncs.wanted.subscribe();
        let keeps_the_sender = self.resyncs.clone();
        async move {
            let _ = wanted.wait_for(|wanted| *wanted > number).await;
            drop(keeps_the_sender);
        }
    }

    /// The listing that fulfils `wish` was taken in.
    pub(crate) fn fulfilled(&self, wish: u64) {
        self.resyncs.fulfilled.send_if_modified(|fulfilled| std::mem::replace(fulfilled, wish) != wish);
    }

    /// The kind may not be watched, and need not be: there is nothing to be waited for. Returns whether that is news.
    pub(crate) fn forbid(&self) -> bool {
        let news = !std::mem::replace(&mut locked(&self.state).forbidden, true);
        // There is nothing to list anew: whoever waits for it goes on.
        let wanted = *self.resyncs.wanted.borrow();
        self.resyncs
            .fulfilled
            .send_if_modified(|fulfilled| std::mem::replace(fulfilled, wanted.max(*fulfilled)) < wanted);
        news
    }

    /// The kind is watched.
    pub(crate) fn allow(&self) {
        locked(&self.state).forbidden = false;
    }

    /// A page of a listing came.
    pub(crate) fn page(&self) {
        locked(&self.state).heard = Some(Instant::now());
    }

    pub(crate) fn listed(&self) {
        let mut state = locked(&self.state);
        state.synced = true;
        state.last_error = None;
    }

    pub(crate) fn connected(&self) {
        let mut state = locked(&self.state);
        state.counts.connections += 1;
        state.connected = true;
        state.heard = Some(Instant::now());
    }

    pub(crate) fn disconnected(&self) {
        locked(&self.state).connected = false;
    }

    pub(crate) fn event(&self) {
        let mut state = locked(&self.state);
        state.counts.events += 1;
        state.last_error = None;
        state.heard = Some(Instant::now());
    }

    pub(crate) fn undecodable(&self, named: &str, problem: &str) {
        locked(&self.state).counts.undecodable += 1;
        tracing::error!(resource = %self.resource, object = named, problem, "object cannot be read and is skipped");
    }

    pub(crate) fn failed(&self, problem: String) {
        tracing::warn!(resource = %self.resource, problem, "watch interrupted, trying again");
        let mut state = locked(&self.state);
        state.counts.errors += 1;
        state.connected = false;
        state.last_error = Some(problem);
    }

    pub(crate) fn expired(&self) {
        let mut state = locked(&self.state);
        state.counts.expired += 1;
        state.connected = false;
    }
}

impl fmt::Debug for WatchStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("WatchStatus");
        debug.field("resource", &self.resource.plural).field("counts", &self.counts()).finish_non_exhaustive()
    }
}

impl Collector for WatchStatus {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let counts = self.counts();
        let series = [
            ("trimtab_watch_lists", "listings begun", counts.lists),
            ("trimtab_watch_connections", "watch connections opened", counts.connections),
            ("trimtab_watch_events", "watch events received", counts.events),
            (
                "trimtab_watch_undecodable_objects",
                "objects skipped because they could not be read",
                counts.undecodable,
            ),
            ("trimtab_watch_errors", "listings and watch connections that failed", counts.errors),
            ("trimtab_watch_expired", "times everything was listed again after a 410", counts.expired),
        ];
        let resource = self.resource.to_string();
        let labels: Vec<(&str, &str)> = std::iter::once(("resource", resource.as_str()))
            .chain(self.part.as_deref().map(|namespace| ("namespace", namespace)))
            .collect();
        for (name, help, count) in series {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(count).encode(metric.encode_family(&labels)?)?;
        }
        let (healthy, unhealthy_for) = match self.health() {
            WatchHealth::Healthy => (1_i64, 0.0),
            WatchHealth::Unhealthy { since, .. } => (0, since.elapsed().as_secs_f64()),
        };
        let help = "1 while what the watch shows may be decided on";
        let mut metric = encoder.encode_descriptor("trimtab_watch_healthy", help, None, MetricType::Gauge)?;
        ConstGauge::new(healthy).encode(metric.encode_family(&labels)?)?;
        let (name, help) = (
            "trimtab_watch_unhealthy_seconds",
            "for how long the watch has been unhealthy; 0 while it is not",
        );
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(unhealthy_for).encode(metric.encode_family(&labels)?)
    }
}
