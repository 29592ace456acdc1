//! Aggregations over a vector, and the arithmetic that they share with windows.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use promql_parser::parser::{AggregateExpr, LabelModifier};
use trimtab_promql::json::format_number;
use trimtab_promql::{Labels, METRIC_NAME};

use crate::value::{EvalError, Item, Value};

/// Applies the aggregation of `node`; groups come out in order of their labels.
pub(crate) fn aggregate(
    node: &AggregateExpr,
    items: Vec<Item>,
    parameter: Option<Value>,
) -> Result<Vec<Item>, EvalError> {
    let operator = node.op.to_string();
    let number = |parameter: Option<Value>| match parameter {
        Some(value) => value.into_scalar(&operator),
        None => Err(EvalError::Invalid(format!("{operator} needs a parameter"))),
    };
    let mut groups: BTreeMap<Labels, Vec<Item>> = BTreeMap::new();
    match operator.as_str() {
        "count_values" => {
            let label = parameter.map_or_else(|| Ok(String::new()), |value| value.into_text(&operator))?;
            for item in items {
                let mut key = group_key(node, &item.labels);
                key.set(&label, &format_number(item.value));
                groups.entry(key).or_default().push(item);
            }
            return Ok(fold(groups, |values| values.len() as f64));
        }
        _ => {
            for item in items {
                groups.entry(group_key(node, &item.labels)).or_default().push(item);
            }
        }
    }
    match operator.as_str() {
        "topk" => {
            Ok(first_of_each(groups, number(parameter)?, |left, right| descending(left.value, right.value)))
        }
        "bottomk" => {
            Ok(first_of_each(groups, number(parameter)?, |left, right| ascending(left.value, right.value)))
        }
        "quantile" => {
            let rank = number(parameter)?;
            Ok(fold(groups, |values| quantile(rank, values.to_vec())))
        }
        "sum" => Ok(fold(groups, |values| values.iter().copied().collect::<Sum>().total())),
        "avg" => Ok(fold(groups, |values| mean(values.iter().copied()))),
        "count" => Ok(fold(groups, |values| values.len() as f64)),
        "group" => Ok(fold(groups, |_| 1.0)),
        "min" => Ok(fold(groups, |values| best(values, |value, best| value < best))),
        "max" => Ok(fold(groups, |values| best(values, |value, best| value > best))),
        "stddev" => Ok(fold(groups, |values| variance(values.iter().copied()).sqrt())),
        "stdvar" => Ok(fold(groups, |values| variance(values.iter().copied()))),
        other => Err(EvalError::Unsupported(format!("the aggregation {other}"))),
    }
}

fn group_key(node: &AggregateExpr, labels: &Labels) -> Labels {
    match &node.modifier {
        None => Labels::new(),
        Some(LabelModifier::Include(kept)) => {
            labels.filtered(|name| kept.labels.iter().any(|label| label == name))
        }
        Some(LabelModifier::Exclude(dropped)) => {
            labels.filtered(|name| name != METRIC_NAME && !dropped.labels.iter().any(|label| label == name))
        }
    }
}

fn fold(groups: BTreeMap<Labels, Vec<Item>>, combine: impl Fn(&[f64]) -> f64) -> Vec<Item> {
    let reduce = |(labels, items): (Labels, Vec<Item>)| {
        let values: Vec<f64> = items.iter().map(|item| item.value).collect();
        Item { labels, value: combine(&values) }
    };
    groups.into_iter().map(reduce).collect()
}

/// A group is never empty; NaN loses against any number.
fn best(values: &[f64], beats: impl Fn(f64, f64) -> bool) -> f64 {
    let better = |best: f64, value: f64| if beats(value, best) || best.is_nan() { value } else { best };
    values.iter().copied().reduce(better).unwrap_or(f64::NAN)
}

/// The first `count` of each group in `order`, with their own labels. Less than one gives nothing.
fn first_of_each(
    groups: BTreeMap<Labels, Vec<Item>>,
    count: f64,
    order: impl Fn(&Item, &Item) -> Ordering,
) -> Vec<Item> {
    // A float cast saturates, and NaN becomes zero.
    let count = count as usize;
    let chosen = groups.into_values().flat_map(|mut items| {
        items.sort_by(&order);
        items.truncate(count);
        items
    });
    chosen.collect()
}

/// Rising, NaN last.
pub(crate) fn ascending(left: f64, right: f64) -> Ordering {
    left.partial_cmp(&right).unwrap_or_else(|| left.is_nan().cmp(&right.is_nan()))
}

/// Falling, NaN last.
pub(crate) fn descending(left: f64, right: f64) -> Ordering {
    right.partial_cmp(&left).unwrap_or_else(|| left.is_nan().cmp(&right.is_nan()))
}

/// The value at `rank` (0 to 1) of the sorted values, between two neighbours by weight. NaN sorts first.
pub(crate) fn quantile(rank: f64, mut values: Vec<f64>) -> f64 {
    match rank {
        _ if values.is_empty() || rank.is_nan() => return f64::NAN,
        _ if rank < 0.0 => return f64::NEG_INFINITY,
        _ if rank > 1.0 => return f64::INFINITY,
        _ => values.sort_by(|left, right| {
            left.partial_cmp(right).unwrap_or_else(|| right.is_nan().cmp(&left.is_nan()))
        }),
    }
    let place = rank * (values.len() - 1) as f64;
    let weight = place - place.floor();
    let lower = place.floor() as usize;
    let upper = (lower + 1).min(values.len() - 1);
    values[lower] * (1.0 - weight) + values[upper] * weight
}

/// Population variance, by Welford's recurrence: it does not cancel when the mean is large.
pub(crate) fn variance(values: impl Iterator<Item = f64>) -> f64 {
    let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
    for value in values {
        count += 1.0;
        let delta = value - mean;
        mean += delta / count;
        squares += delta * (value - mean);
    }
    squares / count
}

/// The mean, also where the sum overflows.
pub(crate) fn mean(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let count = values.clone().count() as f64;
    let average = values.clone().collect::<Sum>().total() / count;
    if average.is_infinite() && values.clone().all(f64::is_finite) {
        return values.map(|value| value / count).collect::<Sum>().total();
    }
    average
}

/// A sum that carries its rounding error along (Neumaier), so that the order of series hardly matters.
#[derive(Default)]
pub(crate) struct Sum {
    sum: f64,
    error: f64,
}

impl Sum {
    pub(crate) fn total(&self) -> f64 {
        if self.sum.is_infinite() { self.sum } else { self.sum + self.error }
    }
}

impl FromIterator<f64> for Sum {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        values.into_iter().fold(Sum::default(), |Sum { sum, error }, value| {
            let total = sum + value;
            let lost = match total {
                _ if total.is_infinite() => return Sum { sum: total, error: 0.0 },
                _ if sum.abs() >= value.abs() => (sum - total) + value,
                _ => (value - total) + sum,
            };
            Sum { sum: total, error: error + lost }
        })
    }
}
