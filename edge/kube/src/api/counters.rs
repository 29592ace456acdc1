//! How many requests were sent, by verb, resource and outcome.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::Registry;

use crate::sync::locked;

/// Verbs that change something. Everything else is a read.
const WRITE_VERBS: [&str; 5] = ["create", "replace", "patch", "delete", "evict"];

/// What one counter counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestKind {
    /// The verb, as in [`Target::verb`](super::Target).
    pub verb: &'static str,
    /// Resource, with subresource if any: `deployments.apps`, `pods/eviction`.
    pub resource: String,
    /// `ok`, or the error's [`word`](super::ApiError::word).
    pub outcome: &'static str,
}

impl RequestKind {
    /// Whether requests of this kind change something.
    pub fn is_write(&self) -> bool {
        WRITE_VERBS.contains(&self.verb)
    }
}

/// Shared counters of every request an [`Api`](super::Api) and its clones sent, retries included.
#[derive(Clone, Default)]
pub struct RequestCounters {
    counts: Arc<Mutex<BTreeMap<RequestKind, u64>>>,
}

impl RequestCounters {
    pub(crate) fn count(&self, verb: &'static str, resource: &str, outcome: &'static str) {
        let kind = RequestKind { verb, resource: resource.to_owned(), outcome };
        *locked(&self.counts).entry(kind).or_default() += 1;
    }

    /// All counters, in order.
    pub fn snapshot(&self) -> BTreeMap<RequestKind, u64> {
        locked(&self.counts).clone()
    }

    /// Requests that were meant to change something.
    pub fn writes(&self) -> u64 {
        self.sum(RequestKind::is_write)
    }

    /// Requests that only read.
    pub fn reads(&self) -> u64 {
        self.sum(|kind| !kind.is_write())
    }

    fn sum(&self, wanted: impl Fn(&RequestKind) -> bool) -> u64 {
        locked(&self.counts).iter().filter(|(kind, _)| wanted(kind)).map(|(_, count)| count).sum()
    }

    /// Exposes the counters as `trimtab_api_requests_total{verb,resource,outcome}`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(self.clone()));
    }
}

impl fmt::Debug for RequestCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.snapshot()).finish()
    }
}

impl Collector for RequestCounters {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut metric = encoder.encode_descriptor(
            "trimtab_api_requests",
            "requests sent to the Kubernetes API, retries included",
            None,
            MetricType::Counter,
        )?;
        for (kind, count) in self.snapshot() {
            let labels =
                [("verb", kind.verb), ("resource", kind.resource.as_str()), ("outcome", kind.outcome)];
            ConstCounter::new(count).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
