//! Function calls.

use promql_parser::label::{MatchOp, Matcher as AstMatcher};
use promql_parser::parser::token::T_EQL_REGEX;
use promql_parser::parser::{Call, Expr as Ast, VectorSelector};
use trimtab_promql::{Labels, METRIC_NAME, Matcher, Series};

use crate::aggregate::{ascending, descending};
use crate::calendar;
use crate::evaluate::Evaluator;
use crate::histogram::histogram_quantile;
use crate::range::{Borders, over_time, predict_linear, quantile_over_time};
use crate::value::{EvalError, Item, Value, distinct};

/// Functions of one range that answer with one number per series.
const RANGE_FUNCTIONS: [&str; 19] = [
    "rate",
    "increase",
    "delta",
    "irate",
    "idelta",
    "deriv",
    "changes",
    "resets",
    "avg_over_time",
    "sum_over_time",
    "min_over_time",
    "max_over_time",
    "count_over_time",
    "first_over_time",
    "last_over_time",
    "present_over_time",
    "stddev_over_time",
    "stdvar_over_time",
    "absent_over_time",
];

impl Evaluator<'_> {
    pub(crate) fn call(&mut self, call: &Call, at_ms: i64) -> Result<Value, EvalError> {
        let name = call.func.name;
        match name {
            "time" => Ok(Value::Scalar(at_ms as f64 / 1000.0)),
            "vector" => {
                let value = self.scalar(call, 0, at_ms)?;
                Ok(Value::Vector(vec![Item { labels: Labels::new(), value }]))
            }
            "scalar" => Ok(Value::Scalar(match self.vector(call, 0, at_ms)?.as_slice() {
                [only] => only.value,
                _ => f64::NAN,
            })),
            "absent" => {
                let is_absent = self.vector(call, 0, at_ms)?.is_empty();
                Ok(Value::Vector(absent(call, is_absent)))
            }
            "timestamp" => self.timestamp(call, at_ms),
            "sort" | "sort_desc" => {
                let mut items = self.vector(call, 0, at_ms)?;
                let order = if name == "sort" { ascending } else { descending };
                items.sort_by(|left, right| order(left.value, right.value));
                Ok(Value::Vector(items))
            }
            "histogram_quantile" => {
                let rank = self.scalar(call, 0, at_ms)?;
                Ok(Value::Vector(histogram_quantile(rank, self.vector(call, 1, at_ms)?)))
            }
            "label_replace" => self.label_replace(call, at_ms),
            "label_join" => self.label_join(call, at_ms),
            "quantile_over_time" | "predict_linear" => self.range_call_with_number(call, at_ms),
            _ if RANGE_FUNCTIONS.contains(&name) => self.range_call(call, at_ms),
            _ => self.number_call(call, at_ms),
        }
    }

    fn argument<'c>(&self, call: &'c Call, index: usize) -> Result<&'c Ast, EvalError> {
        let missing = || EvalError::Invalid(format!("{}() lacks an argument", call.func.name));
        call.args.args.get(index).map(|argument| &**argument).ok_or_else(missing)
    }

    fn vector(&mut self, call: &Call, index: usize, at_ms: i64) -> Result<Vec<Item>, EvalError> {
        let items = self.eval(self.argument(call, index)?, at_ms)?.into_vector(call.func.name)?;
        self.spend(items.len())?;
        Ok(items)
    }

    fn scalar(&mut self, call: &Call, index: usize, at_ms: i64) -> Result<f64, EvalError> {
        self.eval(self.argument(call, index)?, at_ms)?.into_scalar(call.func.name)
    }

    fn text(&mut self, call: &Call, index: usize, at_ms: i64) -> Result<String, EvalError> {
        self.eval(self.argument(call, index)?, at_ms)?.into_text(call.func.name)
    }

    fn range_call(&mut self, call: &Call, at_ms: i64) -> Result<Value, EvalError> {
        let window = self.window(self.argument(call, 0)?, at_ms)?;
        let name = call.func.name;
        if name == "absent_over_time" {
            return Ok(Value::Vector(absent(call, window.series.is_empty())));
        }
        let windows = self.options.range_windows;
        let borders = Borders { start_ms: window.start_ms, end_ms: window.end_ms, windows };
        let keeps_name = matches!(name, "last_over_time" | "first_over_time");
        let reduce = |Series { labels, samples }| {
            let value = over_time(name, &samples, borders)?;
            Some(Item { labels: if keeps_name { labels } else { labels.without_metric() }, value })
        };
        distinct(window.series.into_iter().filter_map(reduce).collect())
    }

    /// The functions of a range and a number, which differ in the order of the two.
    fn range_call_with_number(&mut self, call: &Call, at_ms: i64) -> Result<Value, EvalError> {
        let is_quantile = call.func.name == "quantile_over_time";
        let (range_index, number_index) = if is_quantile { (1, 0) } else { (0, 1) };
        let number = self.scalar(call, number_index, at_ms)?;
        let window = self.window(self.argument(call, range_index)?, at_ms)?;
        let reduce = |Series { labels, samples }| {
            let value = match is_quantile {
                true => quantile_over_time(number, &samples),
                false => predict_linear(&samples, at_ms, number)?,
            };
            Some(Item { labels: labels.without_metric(), value })
        };
        distinct(window.series.into_iter().filter_map(reduce).collect())
    }

    /// When the sample of each series was taken; of anything but a selector, the time of the evaluation.
    fn timestamp(&mut self, call: &Call, at_ms: i64) -> Result<Value, EvalError> {
        let stamped = |labels: Labels, time_ms: i64| Item {
            labels: labels.without_metric(),
            value: time_ms as f64 / 1000.0,
        };
        match selector_of(self.argument(call, 0)?) {
            Some(selector) => {
                let latest = self.latest(selector, at_ms)?;
                distinct(latest.into_iter().map(|(labels, sample)| stamped(labels, sample.at_ms)).collect())
            }
            None => {
                let items = self.vector(call, 0, at_ms)?;
                distinct(items.into_iter().map(|item| stamped(item.labels, at_ms)).collect())
            }
        }
    }

    fn label_replace(&mut self, call: &Call, at_ms: i64) -> Result<Value, EvalError> {
        let mut items = self.vector(call, 0, at_ms)?;
        let (target, replacement) = (self.text(call, 1, at_ms)?, self.text(call, 2, at_ms)?);
        let (source, pattern) = (self.text(call, 3, at_ms)?, self.text(call, 4, at_ms)?);
        let invalid =
            |what: &str| EvalError::Invalid(format!("label_replace(): {what} is not a regular expression"));
        // The parser would take a pattern that escapes the anchors it puts around it.
        if Matcher::regex(&source, &pattern).is_err() {
            return Err(invalid(&pattern));
        }
        let built = AstMatcher::new_matcher(T_EQL_REGEX, source.clone(), pattern.clone());
        let Ok(MatchOp::Re(regex)) = built.map(|matcher| matcher.op) else { return Err(invalid(&pattern)) };
        for item in &mut items {
            let expanded = regex.captures(item.labels.get(&source)).map(|captures| {
                let mut value = String::new();
                captures.expand(&replacement, &mut value);
                value
            });
            if let Some(value) = expanded {
                item.labels.set(&target, &value);
            }
        }
        distinct(items)
    }

    fn label_join(&mut self, call: &Call, at_ms: i64) -> Result<Value, EvalError> {
        let mut items = self.vector(call, 0, at_ms)?;
        let (target, separator) = (self.text(call, 1, at_ms)?, self.text(call, 2, at_ms)?);
        let sources =
            (3..call.args.len()).map(|index| self.text(call, index, at_ms)).collect::<Result<Vec<_>, _>>()?;
        for item in &mut items {
            let parts: Vec<&str> = sources.iter().map(|name| item.labels.get(name)).collect();
            let joined = parts.join(&separator);
            item.labels.set(&target, &joined);
        }
        distinct(items)
    }

    /// Functions of each number by itself.
    fn number_call(&mut self, call: &Call, at_ms: i64) -> Result<Value, EvalError> {
        let name = call.func.name;
        let function: Box<dyn Fn(f64) -> f64> = match name {
            "abs" => Box::new(f64::abs),
            "ceil" => Box::new(f64::ceil),
            "floor" => Box::new(f64::floor),
            "sqrt" => Box::new(f64::sqrt),
            "exp" => Box::new(f64::exp),
            "ln" => Box::new(f64::ln),
            "log2" => Box::new(f64::log2),
            "log10" => Box::new(f64::log10),
            "sgn" => {
                Box::new(|value: f64| if value == 0.0 || value.is_nan() { value } else { value.signum() })
            }
            "round" => {
                let nearest = if call.args.len() > 1 { self.scalar(call, 1, at_ms)? } else { 1.0 };
                let inverse = 1.0 / nearest;
                Box::new(move |value| (value * inverse + 0.5).floor() / inverse)
            }
            "clamp" | "clamp_min" | "clamp_max" => {
                let low = if name == "clamp_max" { f64::NEG_INFINITY } else { self.scalar(call, 1, at_ms)? };
                let high = match name {
                    "clamp_min" => f64::INFINITY,
                    _ => self.scalar(call, call.args.len().saturating_sub(1), at_ms)?,
                };
                if high < low {
                    return Ok(Value::Vector(Vec::new()));
                }
                Box::new(move |value| clamp(value, low, high))
            }
            _ if calendar::field(name, 0.0).is_some() => return self.calendar_call(call, at_ms),
            other => return Err(EvalError::Unsupported(format!("the function {other}()"))),
        };
        let items = self.vector(call, 0, at_ms)?;
        distinct(items.iter().map(|item| item.renamed(function(item.value))).collect())
    }

    /// Fields of the dates in a vector, or of the time of the evaluation.
    fn calendar_call(&mut self, call: &Call, at_ms: i64) -> Result<Value, EvalError> {
        let items = match call.args.is_empty() {
            true => vec![Item { labels: Labels::new(), value: at_ms as f64 / 1000.0 }],
            false => self.vector(call, 0, at_ms)?,
        };
        let fields =
            items.iter().filter_map(|item| Some(item.renamed(calendar::field(call.func.name, item.value)?)));
        distinct(fields.collect())
    }
}

/// NaN anywhere gives NaN, unlike `f64::clamp`, which panics on a NaN limit.
fn clamp(value: f64, low: f64, high: f64) -> f64 {
    if value.is_nan() || low.is_nan() || high.is_nan() { f64::NAN } else { value.min(high).max(low) }
}

fn selector_of(ast: &Ast) -> Option<&VectorSelector> {
    match ast {
        Ast::Paren(paren) => selector_of(&paren.expr),
        Ast::VectorSelector(selector) => Some(selector),
        Ast::MatrixSelector(matrix) => Some(&matrix.vs),
        _ => None,
    }
}

/// The one element of `absent()`: the labels that the selector fixes, each by exactly one `=`.
fn absent(call: &Call, is_absent: bool) -> Vec<Item> {
    if !is_absent {
        return Vec::new();
    }
    let selector = call.args.args.first().and_then(|argument| selector_of(argument));
    let matchers = selector.map(|selector| selector.matchers.matchers.as_slice()).unwrap_or_default();
    let mut labels = Labels::new();
    for matcher in
        matchers.iter().filter(|matcher| matcher.op == MatchOp::Equal && matcher.name != METRIC_NAME)
    {
        let alone = matchers.iter().filter(|other| other.name == matcher.name).count() == 1;
        if alone {
            labels.set(&matcher.name, &matcher.value);
        }
    }
    vec![Item { labels, value: 1.0 }]
}
