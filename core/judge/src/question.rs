//! What a judge asks of a metrics server, and what comes back.

use std::time::Duration;

use trimtab_promql::Series;
use trimtab_workload::Arm;

/// How far back a service's own past is read to learn its usual rates and the spread between its pods.
pub const HISTORY: Duration = Duration::from_secs(3600);

/// Samples younger than this are left for the next look: a scrape is not visible the instant it happens.
pub(crate) const INGEST_DELAY_MS: i64 = 500;

/// Something to measure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Index of the rule that asks.
    pub(crate) rule: usize,
    /// Which of the rule's questions this is.
    pub(crate) part: Part,
    /// The question.
    pub query: Query,
}

/// Which of a rule's questions a [`Need`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Total(usize),
    Bad(usize),
    Counter(usize),
    Alert(Arm, i64),
    /// Whether the series that an alert reads can be told to be this service's in this way; in no way: whether there are any.
    Whose(Option<usize>),
}

/// A question to a metrics server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// Raw samples of a vector selector in a closed window, in milliseconds since the epoch.
    Samples {
        /// PromQL vector selector.
        selector: String,
        /// Start, inclusive.
        from_ms: i64,
        /// End, inclusive.
        to_ms: i64,
    },
    /// The same, with the series that agree in the labels `by` summed up by the server, at multiples of a step. A sample has
    /// the time of the last scrape in its sum.
    Sums {
        /// PromQL vector selector.
        selector: String,
        /// Labels of the sums.
        by: Vec<String>,
        /// Start, inclusive.
        from_ms: i64,
        /// End, inclusive.
        to_ms: i64,
        /// How often, in milliseconds.
        step_ms: i64,
    },
    /// The value of an expression at one instant.
    Instant {
        /// PromQL expression.
        expr: String,
        /// The instant.
        at_ms: i64,
    },
}

/// An answer to a [`Query`].
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Raw samples.
    Samples(Vec<Series>),
    /// How many series the expression returned.
    Returned(usize),
    /// No answer.
    Failed(Failure),
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The same question may be answered later.
    Passing(String),
    /// The same question will never be answered: nobody is there to ask, or the server does not accept it.
    Lasting(String),
    /// The answer is larger than any that is read.
    TooLarge(String),
}

impl Failure {
    /// The same of a question that is asked in another way next time.
    pub(crate) fn passing(self) -> Self {
        match self {
            Self::Passing(why) | Self::Lasting(why) | Self::TooLarge(why) => Self::Passing(why),
        }
    }
}

impl Query {
    /// Until when samples are asked for.
    pub(crate) fn to_ms(&self) -> i64 {
        match self {
            Self::Samples { to_ms, .. } | Self::Sums { to_ms, .. } | Self::Instant { at_ms: to_ms, .. } => {
                *to_ms
            }
        }
    }
}

/// Where a service's own past begins.
pub(crate) fn history_from(start_ms: i64) -> i64 {
    start_ms - i64::try_from(HISTORY.as_millis()).unwrap_or(i64::MAX)
}
