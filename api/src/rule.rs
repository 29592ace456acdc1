//! Rollback rules as people write them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One rule: a name and exactly one of `ratio`, `events`, `latency`, `crashes`, `alert`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RuleSpec {
    /// Unique within the list; merging goes by name.
    pub name: String,
    /// Turns off a rule of the same name that a policy or the built-in set would bind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
    /// Share of the release's error budget, relative to the other rules; default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// How the series tell the arms apart; default `{by: Pod, label: pod}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arms: Option<ArmsSpec>,
    /// Bad over total.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<RatioSpec>,
    /// Counter of bad events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<EventsSpec>,
    /// Slow requests by histogram.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<LatencySpec>,
    /// Restarts, OOM kills and panics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crashes: Option<CrashesSpec>,
    /// Alert expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert: Option<AlertSpec>,
}

/// How series tell the arms apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ArmsSpec {
    /// `Pod` (the label holds the pod's name) or `Phase` (it holds `canary` or `stable`).
    pub by: String,
    /// The label's name; defaults: `pod`, `trimtab_dev_phase`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// A pair of counters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RatioSourceSpec {
    /// PromQL vector selector of the bad requests.
    pub bad: String,
    /// PromQL vector selector of all requests.
    pub total: String,
}

/// Bad requests over all requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RatioSpec {
    /// PromQL vector selector of the bad requests.
    pub bad: String,
    /// PromQL vector selector of all requests.
    pub total: String,
    /// Tried in order when the first pair does not exist for a service.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub or_else: Vec<RatioSourceSpec>,
    /// Absolute limit: `"20%"` or `0.2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<Value>,
    /// Tolerated ratio of new to old, >= 1; default 1.2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tolerate: Option<f64>,
}

/// A counter of bad events.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EventsSpec {
    /// PromQL vector selector.
    pub counter: String,
    /// Tried in order when the first does not exist for a service.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub or_else: Vec<String>,
    /// Tolerated ratio of new to usual, >= 1; default 1.2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tolerate: Option<f64>,
}

/// Slow requests by histogram.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LatencySpec {
    /// Base name of the histogram, without `_bucket`, with optional matchers.
    pub histogram: String,
    /// Bucket edges in seconds; a request slower than an edge is a slow request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub edges: Vec<f64>,
    /// Tolerated ratio of new to old, >= 1; default 1.2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tolerate: Option<f64>,
}

/// Restarts, OOM kills and panics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CrashesSpec {
    /// Containers that do not count.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignore_containers: Vec<String>,
    /// Counters of survived panics, tried in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub counters: Vec<String>,
}

/// An alert expression.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AlertSpec {
    /// PromQL expression, as in a Prometheus alerting rule.
    pub expr: String,
    /// How long it must hold, as in a Prometheus alerting rule; default `0s`.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub hold: Option<String>,
}
