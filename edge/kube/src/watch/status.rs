//! How a watch is doing, for readiness, metrics and people.

use std::fmt;
use std::sync::{Arc, Mutex};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::Registry;
use tokio::time::Instant;

use crate::resource::Resource;
use crate::sync::locked;

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
    pub poison: u64,
    /// Listings and connections that failed, of any cause.
    pub errors: u64,
    /// Times the server had forgotten our version (410) and everything was listed again.
    pub expired: u64,
}

struct State {
    counts: WatchCounts,
    synced: bool,
    last_error: Option<String>,
    heard: Option<Instant>,
}

/// A shared view of one watch, cheap to clone.
#[derive(Clone)]
pub struct WatchStatus {
    resource: &'static Resource,
    state: Arc<Mutex<State>>,
}

impl WatchStatus {
    pub(crate) fn new(resource: &'static Resource) -> WatchStatus {
        let state = State { counts: WatchCounts::default(), synced: false, last_error: None, heard: None };
        WatchStatus { resource, state: Arc::new(Mutex::new(state)) }
    }

    /// What is watched.
    pub fn resource(&self) -> &'static Resource {
        self.resource
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

    /// When the server was last heard, bookmarks included.
    pub fn heard(&self) -> Option<Instant> {
        locked(&self.state).heard
    }

    /// All counts.
    pub fn counts(&self) -> WatchCounts {
        locked(&self.state).counts.clone()
    }

    /// Exposes the counts as `trimtab_watch_*_total{resource}`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(self.clone()));
    }

    pub(crate) fn listing(&self) {
        locked(&self.state).counts.lists += 1;
    }

    pub(crate) fn listed(&self) {
        let mut state = locked(&self.state);
        state.synced = true;
        state.last_error = None;
        state.heard = Some(Instant::now());
    }

    pub(crate) fn connected(&self) {
        locked(&self.state).counts.connections += 1;
    }

    pub(crate) fn event(&self) {
        let mut state = locked(&self.state);
        state.counts.events += 1;
        state.last_error = None;
        state.heard = Some(Instant::now());
    }

    pub(crate) fn poison(&self, named: &str, problem: &str) {
        locked(&self.state).counts.poison += 1;
        tracing::error!(resource = %self.resource, object = named, problem, "object cannot be read and is skipped");
    }

    pub(crate) fn failed(&self, problem: String) {
        tracing::warn!(resource = %self.resource, problem, "watch interrupted, trying again");
        let mut state = locked(&self.state);
        state.counts.errors += 1;
        state.last_error = Some(problem);
    }

    pub(crate) fn expired(&self) {
        locked(&self.state).counts.expired += 1;
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
            ("trimtab_watch_poison_objects", "objects skipped because they could not be read", counts.poison),
            ("trimtab_watch_errors", "listings and watch connections that failed", counts.errors),
            ("trimtab_watch_expired", "times everything was listed again after a 410", counts.expired),
        ];
        let resource = self.resource.to_string();
        for (name, help, count) in series {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            let labels = [("resource", resource.as_str())];
            ConstCounter::new(count).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
