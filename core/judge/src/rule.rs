//! Rollback rules after validation: what is counted, and how much harm is tolerated.

use std::time::Duration;

/// One rule, with everything a judgement needs decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Unique among the rules of a service; a service's rule replaces the policy's rule of the same name.
    pub name: String,
    /// Where the rule came from, for people.
    pub origin: Origin,
    /// Share of the release's error budget α, relative to the other rules; > 0.
    pub weight: f64,
    /// How the rule's series tell the arms apart.
    pub arms: ArmLabel,
    /// What is judged.
    pub kind: RuleKind,
}

impl Rule {
    /// Whether somebody must be told when it finds no series: it was written for this fleet, or it is the one that measures
    /// requests. What else ships with Trimtab looks for what a service may not have.
    #[must_use]
    pub fn is_missed(&self) -> bool {
        self.origin != Origin::BuiltIn || matches!(self.kind, RuleKind::Ratio(_))
    }
}

/// Where a rule or a setting came from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Ships with Trimtab.
    BuiltIn,
    /// A `FleetPolicy`, by name.
    Policy(String),
    /// The service's own `ManagedApp`.
    Service,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built in"),
            Self::Policy(name) => write!(f, "FleetPolicy {name}"),
            Self::Service => f.write_str("ManagedApp"),
        }
    }
}

/// How a metric's series tell new pods from old ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArmLabel {
    /// The series carry the pod's name in this label.
    Pod(String),
    /// The series carry the value of `trimtab.dev/phase` in this label.
    Arm(String),
}

impl Default for ArmLabel {
    fn default() -> Self {
        Self::Pod("pod".to_owned())
    }
}

/// What a rule judges.
#[derive(Clone, Debug, PartialEq)]
pub enum RuleKind {
    /// Bad requests over all requests.
    Ratio(RatioRule),
    /// A counter of bad events.
    Events(EventsRule),
    /// Restarts and kills told by the Kubernetes API.
    Crashes(CrashesRule),
    /// An alert expression, asked of both arms.
    Alert(AlertRule),
}

impl RuleKind {
    /// The word for the kind in manifests and tables.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Ratio(_) => "ratio",
            Self::Events(_) => "events",
            Self::Crashes(_) => "crashes",
            Self::Alert(_) => "alert",
        }
    }
}

/// A pair of counters, as plain PromQL vector selectors without arm matchers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RatioSource {
    /// Bad requests.
    pub bad: String,
    /// All requests, the bad ones included.
    pub total: String,
}

/// Bad requests over all requests.
#[derive(Clone, Debug, PartialEq)]
pub struct RatioRule {
    /// The first source whose `total` exists for the service is used.
    pub sources: Vec<RatioSource>,
    /// Absolute limit of the ratio, in (0, 1]; a service above it fails whatever the old pods do.
    pub limit: Option<f64>,
    /// Tolerated ratio of the new pods' rate to the old pods', >= 1.
    pub tolerate: f64,
}

/// A counter of bad events, compared with the old pods and with the service's own history.
#[derive(Clone, Debug, PartialEq)]
pub struct EventsRule {
    /// The first counter that exists for the service is used.
    pub counters: Vec<String>,
    /// Tolerated ratio of the new pods' rate to the usual one, >= 1.
    pub tolerate: f64,
}

/// Restarts, OOM kills and panics: "any panic or crash".
#[derive(Clone, Debug, PartialEq)]
pub struct CrashesRule {
    /// Containers that do not count, by name (a sidecar that restarts by design).
    pub ignore_containers: Vec<String>,
    /// Counters of panics that the process survived; the first one that exists for the service is used. A panic that
    /// also ends its container is seen twice, so a tick counts the larger of the two, never their sum.
    pub counters: Vec<String>,
}

/// An alert expression.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertRule {
    /// PromQL; arm matchers are injected into every selector.
    pub expr: String,
    /// How long the expression must hold without a gap.
    pub hold: Duration,
}

/// Tolerated harm ratio where a rule names none: landscape measurements found smaller margins fire on noise.
pub const TOLERATE_DEFAULT: f64 = 1.2;

fn ratio(bad: &str, total: &str) -> RatioSource {
    RatioSource { bad: bad.to_owned(), total: total.to_owned() }
}

/// The rules that bind every service when nobody wrote any. Series names are those of the common client libraries.
#[must_use]
pub fn built_in() -> Vec<Rule> {
    let rule = |name: &str, weight, kind| Rule {
        name: name.to_owned(),
        origin: Origin::BuiltIn,
        weight,
        arms: ArmLabel::default(),
        kind,
    };
    let counters = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
    vec![
        rule(
            "rpc-errors",
            1.0,
            RuleKind::Ratio(RatioRule {
                sources: vec![
                    ratio(r#"http_requests_total{code=~"5.."}"#, "http_requests_total"),
                    ratio(
                        r#"grpc_server_handled_total{grpc_code=~"Unknown|Internal|Unavailable|DataLoss|DeadlineExceeded|Unimplemented"}"#,
                        "grpc_server_handled_total",
                    ),
                    ratio(
                        r#"http_server_request_duration_seconds_count{http_response_status_code=~"5.."}"#,
                        "http_server_request_duration_seconds_count",
                    ),
                    ratio(
                        r#"http_request_duration_seconds_count{code=~"5.."}"#,
                        "http_request_duration_seconds_count",
                    ),
                ],
                limit: Some(0.20),
                tolerate: TOLERATE_DEFAULT,
            }),
        ),
        rule(
            "panics-and-crashes",
            2.0,
            RuleKind::Crashes(CrashesRule {
                ignore_containers: Vec::new(),
                counters: counters(&["panics_total", "http_panics_total", "grpc_req_panics_recovered_total"]),
            }),
        ),
        rule(
            "database-errors",
            1.0,
            RuleKind::Events(EventsRule {
                counters: counters(&["db_errors_total", "sql_client_errors_total", "db_client_errors_total"]),
                tolerate: 3.0,
            }),
        ),
    ]
}
