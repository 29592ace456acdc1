//! What happened to a release, as data: everything that a reader needs at night without opening anything
//! else.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What became of the release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// New pods begin to serve.
    Started,
    /// The release stays.
    Kept,
    /// The previous release serves again.
    RolledBack,
    /// The release waits and nothing moves until something named in the reason changes.
    Held,
    /// Trimtab has stopped acting on the service.
    NeedsHuman,
}

impl Event {
    /// Whether this is the last word on a release or a call for help. Such a message is never dropped for another.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Started | Self::Held => false,
            Self::Kept | Self::RolledBack | Self::NeedsHuman => true,
        }
    }
}

/// How much the outcome rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Evidence {
    /// A verdict was reached.
    Sufficient,
    /// Time ran out before a verdict.
    Low,
}

/// Events counted on one side of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Bad events.
    pub bad: u64,
    /// All events; absent where only bad ones are counted, such as panics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

/// What the new pods were compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BaselineSource {
    /// Pods of the previous release at the same time.
    Stable,
    /// The service's own past.
    History,
}

/// The other side of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Baseline {
    /// Where the counts come from.
    pub source: BaselineSource,
    /// The counts.
    pub counts: Counts,
}

/// Bad-event rate of the new pods over that of the baseline, with its confidence interval. Absent bounds are
/// infinite: JSON has no infinity.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ratio {
    /// Lower bound, at least 0.
    pub low: f64,
    /// Point estimate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<f64>,
    /// Upper bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
}

impl Ratio {
    /// A ratio from plain numbers; what is not finite becomes absent, or 0 for the lower bound.
    #[must_use]
    pub fn new(low: f64, estimate: f64, high: f64) -> Self {
        let finite = |value: f64| value.is_finite().then_some(value);
        Self { low: finite(low).unwrap_or(0.0), estimate: finite(estimate), high: finite(high) }
    }
}

/// What one rule saw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Name of the rule.
    pub rule: String,
    /// Counts of the new pods.
    pub canary: Counts,
    /// What they were compared with, if with anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// The comparison's result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<Ratio>,
}

/// One thing that happened to one release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notification {
    /// Same for every attempt to tell this, different for everything else: object uid, revision and trigger,
    /// for example. Printable ASCII.
    pub key: String,
    /// Rises with every notification about the same service, so that a receiver can put them in order.
    pub sequence: u64,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
    /// Namespace of the service.
    pub namespace: String,
    /// Name of the service.
    pub service: String,
    /// Name of the release, such as `v128`.
    pub release: String,
    /// Number of the release, such as 128.
    pub release_number: u64,
    /// Name of the release before, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// Criticality of the service: 0 is the highest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<u8>,
    /// Who started the release, as far as known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Why, in one or two sentences.
    pub reason: String,
    /// What the rules saw, the one that decided first.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// Requests that failed because of the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_harmed: Option<u64>,
    /// From the first bad request until none was harmed any more, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_seconds: Option<u64>,
    /// How much the outcome rests on.
    pub evidence: Evidence,
    /// The command that tells more, such as `trimtab explain payments v128 -n shop`.
    pub command: String,
}
