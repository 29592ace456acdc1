//! Which series an expression reads.

use std::fmt;

use promql_parser::parser::{Expr as Ast, Offset, VectorSelector};
use trimtab_units::GoDuration;

use crate::expr::{Expr, children, parse, parse_printed};
use crate::labels::METRIC_NAME;
use crate::matcher::{Matcher, pinned_metric};
use crate::parse_error::ParseError;

/// One place where an expression reads series.
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    /// The metric's name, when it is fixed.
    pub metric: Option<String>,
    /// Every other condition.
    pub matchers: Vec<Matcher>,
    /// The range of `[5m]`; none for an instant selector.
    pub range: Option<GoDuration>,
    /// How far back `offset` moves it; negative for the future.
    pub offset: GoDuration,
}

impl Selector {
    /// All conditions, with the metric's name as the first one: what a source of series is asked.
    pub fn all_matchers(&self) -> Vec<Matcher> {
        let name = self.metric.iter().map(|metric| Matcher::equal(METRIC_NAME, metric));
        name.chain(self.matchers.iter().cloned()).collect()
    }

    fn new(selector: &VectorSelector, range: Option<GoDuration>) -> Self {
        let all: Vec<Matcher> = selector.matchers.matchers.iter().cloned().map(Matcher).collect();
        let metric = selector.name.clone().or_else(|| pinned_metric(&all).map(str::to_owned));
        let named = metric.as_deref().map(|metric| Matcher::equal(METRIC_NAME, metric));
        let matchers = all.into_iter().filter(|matcher| Some(matcher) != named.as_ref()).collect();
        Selector { metric, matchers, range, offset: signed(selector.offset.as_ref()) }
    }
}

/// `name{a="b"}`, without range and offset: the instant selector of the same series.
impl fmt::Display for Selector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A name before the braces may not be joined by another one inside.
        let alone = self.matchers.iter().all(|matcher| matcher.name() != METRIC_NAME);
        let plain = self.metric.as_deref().filter(|metric| alone && is_plain(metric));
        let quoted = self.metric.as_deref().filter(|_| plain.is_none());
        let name = quoted.map(|metric| Matcher::equal(METRIC_NAME, metric));
        let matchers: Vec<String> = name.iter().chain(&self.matchers).map(ToString::to_string).collect();
        formatter.write_str(plain.unwrap_or_default())?;
        if matchers.is_empty() { Ok(()) } else { write!(formatter, "{{{}}}", matchers.join(",")) }
    }
}

/// Whether a metric's name, written as it is, is that name: `{__name__="a or b"}` must not turn into two metrics.
fn is_plain(metric: &str) -> bool {
    let named =
        |ast| matches!(ast, Ast::VectorSelector(selector) if selector.name.as_deref() == Some(metric));
    parse_printed(metric).is_ok_and(named)
}

/// Every selector of the expression, left to right.
pub fn selectors(expr: &Expr) -> Vec<Selector> {
    let mut found = Vec::new();
    collect(&expr.0, &mut found);
    found
}

fn collect(ast: &Ast, found: &mut Vec<Selector>) {
    match ast {
        Ast::VectorSelector(selector) => found.push(Selector::new(selector, None)),
        Ast::MatrixSelector(matrix) => found.push(Selector::new(&matrix.vs, Some(to_duration(matrix.range)))),
        _ => children(ast).into_iter().for_each(|child| collect(child, found)),
    }
}

/// The scan admits no duration beyond what a `GoDuration` holds.
fn to_duration(duration: std::time::Duration) -> GoDuration {
    GoDuration::try_from(duration).unwrap_or(GoDuration::from_nanos(i64::MAX))
}

pub(crate) fn signed(offset: Option<&Offset>) -> GoDuration {
    match offset {
        None => GoDuration::ZERO,
        Some(Offset::Pos(duration)) => to_duration(*duration),
        Some(Offset::Neg(duration)) => to_duration(*duration).checked_mul(-1).unwrap_or(GoDuration::ZERO),
    }
}

/// Parses the counter of a rule: one plain instant selector with a metric name, such as
/// `http_requests_total{code=~"5.."}`. Trimtab reads the raw samples and takes care of resets and new series itself.
///
/// # Errors
/// When the text is no PromQL, or more than a selector; the error holds an example that works.
pub fn parse_counter_selector(source: &str) -> Result<Selector, CounterError> {
    let expr = parse(source).map_err(CounterError::Parse)?;
    let all = selectors(&expr);
    let refuse = |reason: &str| {
        let named = all.iter().find(|selector| selector.metric.is_some());
        let example = named.map_or_else(|| EXAMPLE_COUNTER.to_owned(), ToString::to_string);
        Err(CounterError::NotASelector { reason: reason.to_owned(), example })
    };
    let Ast::VectorSelector(selector) = &expr.0 else { return refuse(why_not_a_selector(&expr.0)) };
    match all.first() {
        Some(_) if selector.offset.is_some() || selector.at.is_some() => {
            refuse("a counter is read as it is now, without offset or @")
        }
        Some(only) if only.metric.is_some() => Ok(only.clone()),
        _ => refuse("a counter needs a metric name"),
    }
}

const EXAMPLE_COUNTER: &str = "http_requests_total{code=~\"5..\"}";

fn why_not_a_selector(ast: &Ast) -> &'static str {
    match ast {
        Ast::MatrixSelector(_) | Ast::Subquery(_) => "a counter has no range; the window belongs to the rule",
        Ast::Call(_) => "a counter is the raw series, without rate() or another function",
        Ast::Aggregate(_) => "a counter is the raw series; Trimtab sums the series of each arm itself",
        Ast::Binary(_) => "a counter is one selector; use a regular expression to match several series",
        Ast::Paren(_) => "a counter is one selector without parentheses",
        _ => "a counter is one selector",
    }
}

/// Why a text is not the counter of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CounterError {
    /// It is no PromQL.
    Parse(ParseError),
    /// It is PromQL, but not one plain selector.
    NotASelector {
        /// What is in the way.
        reason: String,
        /// A counter that works, from the same series where possible.
        example: String,
    },
}

impl fmt::Display for CounterError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CounterError::Parse(error) => error.fmt(formatter),
            CounterError::NotASelector { reason, example } => write!(formatter, "{reason}; write {example}"),
        }
    }
}

impl std::error::Error for CounterError {}
