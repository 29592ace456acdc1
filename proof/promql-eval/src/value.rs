//! What an evaluation is given, works with and answers.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use trimtab_promql::{Labels, METRIC_NAME, Sample, Series};

/// Most work one evaluation may do: about a second. A unit is a sample read, or a node of the expression evaluated once.
pub const MAX_WORK: u64 = 2_000_000;
/// Most steps of one subquery, Prometheus' own limit for a range query.
pub const MAX_SUBQUERY_STEPS: i64 = 11_000;
/// The resolution of a subquery that names none (`[1h:]`), in milliseconds: Prometheus' default evaluation interval.
pub const DEFAULT_SUBQUERY_STEP_MS: i64 = 60_000;
/// How far back an instant selector looks for its last sample, in milliseconds, unless a server is set up differently.
pub const DEFAULT_LOOKBACK_MS: i64 = 300_000;

/// Does a window include a sample exactly at its start?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RangeWindows {
    /// No, as in Prometheus 3. `rate` applies its threshold before it looks for the counter's zero.
    #[default]
    LeftOpen,
    /// Yes, as in Prometheus 2. `rate` looks for the counter's zero first, as releases before 2.53 did.
    Closed,
}

/// What differs between servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvalOptions {
    /// See [`RangeWindows`].
    pub range_windows: RangeWindows,
    /// How far back an instant selector looks, in milliseconds.
    pub lookback_ms: i64,
}

impl Default for EvalOptions {
    fn default() -> Self {
        EvalOptions { range_windows: RangeWindows::default(), lookback_ms: DEFAULT_LOOKBACK_MS }
    }
}

/// The result of an evaluation; reads and writes the `data` of Prometheus' HTTP API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
pub enum EvalValue {
    /// One number per identity.
    Vector(Vec<InstantSample>),
    /// Samples per identity.
    Matrix(Vec<Series>),
    /// One number.
    Scalar(ScalarValue),
    /// A text.
    String(TextValue),
}

/// One element of a vector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstantSample {
    /// The identity.
    #[serde(rename = "metric")]
    pub labels: Labels,
    /// The number, at the time of the evaluation.
    #[serde(rename = "value")]
    pub sample: Sample,
}

/// A number without identity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScalarValue {
    /// The time of the evaluation, in milliseconds since 1970.
    pub at_ms: i64,
    /// The number.
    pub value: f64,
}

/// A text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextValue {
    /// The time of the evaluation, in milliseconds since 1970.
    pub at_ms: i64,
    /// The text.
    pub text: String,
}

/// One element of a vector under evaluation.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) labels: Labels,
    pub(crate) value: f64,
}

impl Item {
    /// The same identity without the metric's name, which most operations give up, and another value.
    pub(crate) fn renamed(&self, value: f64) -> Item {
        Item { labels: self.labels.without_metric(), value }
    }
}

pub(crate) enum Value {
    Scalar(f64),
    Text(String),
    Vector(Vec<Item>),
    Matrix(Vec<Series>),
}

impl Value {
    pub(crate) fn into_vector(self, what: &str) -> Result<Vec<Item>, EvalError> {
        match self {
            Value::Vector(items) => Ok(items),
            _ => Err(EvalError::Invalid(format!("{what} needs an instant vector"))),
        }
    }

    pub(crate) fn into_scalar(self, what: &str) -> Result<f64, EvalError> {
        match self {
            Value::Scalar(value) => Ok(value),
            _ => Err(EvalError::Invalid(format!("{what} needs a number"))),
        }
    }

    pub(crate) fn into_text(self, what: &str) -> Result<String, EvalError> {
        match self {
            Value::Text(text) => Ok(text),
            _ => Err(EvalError::Invalid(format!("{what} needs a text"))),
        }
    }
}

/// Every identity of a vector is unique; dropping names can break that.
pub(crate) fn distinct(items: Vec<Item>) -> Result<Value, EvalError> {
    let mut seen = BTreeSet::new();
    match items.iter().find(|item| !seen.insert(&item.labels)) {
        Some(twice) => Err(EvalError::Invalid(format!(
            "the result has {} twice: without {METRIC_NAME} these series are the same",
            twice.labels
        ))),
        None => Ok(Value::Vector(items)),
    }
}

/// Why an expression has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EvalError {
    /// The expression uses something that only a Prometheus server evaluates; this names it.
    Unsupported(String),
    /// The evaluation would do more than [`MAX_WORK`] or [`MAX_SUBQUERY_STEPS`].
    TooMuchWork,
    /// The series do not fit the expression: this says which and how.
    Invalid(String),
}

impl fmt::Display for EvalError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EvalError::Unsupported(what) => {
                write!(formatter, "{what} is not supported here; ask a Prometheus server")
            }
            EvalError::TooMuchWork => write!(
                formatter,
                "the expression reads too much: more than {MAX_WORK} samples or {MAX_SUBQUERY_STEPS} subquery steps; narrow its selectors or ranges"
            ),
            EvalError::Invalid(reason) => write!(formatter, "cannot evaluate: {reason}"),
        }
    }
}

impl std::error::Error for EvalError {}
