//! What a rule found out about a release.

use trimtab_plan::Reason;
use trimtab_stats::Verdict;

/// What one rule knows about the release at one instant.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The rule's name.
    pub rule: String,
    /// `Fail`, `Pass` or `Undecided`; never anything but `Undecided` unless [`Self::state`] is [`FindingState::Judged`].
    pub verdict: Verdict,
    /// Whether the rule could be judged at all.
    pub state: FindingState,
    /// What was counted.
    pub counts: Counts,
    /// Ratio of the new pods' rate to the old pods', where both are known.
    pub ratio: Option<Interval>,
    /// Evidence toward `Fail`.
    pub evidence: Option<Evidence>,
    /// Requests that failed because of the release; `None` where the rule does not count requests.
    pub harmed: Option<f64>,
    /// One line: what was measured, in the rule's own unit.
    pub summary: String,
}

/// Whether a rule can be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FindingState {
    /// Evidence flows.
    Judged,
    /// The metric does not exist for this service, or its series do not tell the arms apart.
    Unbound(String),
    /// New pods are ready but their series are missing, or the metrics server does not answer.
    TelemetryLost(String),
    /// New pods are scraped but got no requests.
    NoTraffic,
}

impl FindingState {
    /// One word for machines.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Judged => None,
            Self::Unbound(_) => Some(Reason::RuleUnbound),
            Self::TelemetryLost(_) => Some(Reason::TelemetryLost),
            Self::NoTraffic => Some(Reason::NoTraffic),
        }
    }
}

/// Bad events and exposure by arm; exposure is requests for ratios and pod-seconds for events.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// Bad events on new pods.
    pub canary_bad: u64,
    /// Exposure of new pods.
    pub canary_total: f64,
    /// Bad events on old pods.
    pub stable_bad: u64,
    /// Exposure of old pods.
    pub stable_total: f64,
}

/// An estimate with its confidence interval, valid whenever it is read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Point estimate.
    pub estimate: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Evidence on a logarithmic scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evidence {
    /// log10 of the e-value.
    pub log10: f64,
    /// log10 of 1/α: `Fail` at or above.
    pub threshold_log10: f64,
}

/// A finding in one line: rule, verdict, and what was measured.
#[must_use]
pub fn finding_line(finding: &Finding) -> String {
    let word = match (&finding.state, finding.verdict) {
        (FindingState::Judged, Verdict::Fail) => "FAIL",
        (FindingState::Judged, Verdict::Pass) => "PASS",
        (FindingState::Judged, Verdict::Undecided) => "undecided",
        (state, _) => state.reason().map_or("undecided", Reason::code),
    };
    format!("{} {word}: {}", finding.rule, finding.summary)
}
