//! One window of one series -> one number.

use trimtab_promql::Sample;

use crate::aggregate::{Sum, mean, quantile, variance};
use crate::value::RangeWindows;

/// The borders of a window, and how its server extrapolates.
#[derive(Clone, Copy)]
pub(crate) struct Borders {
    pub(crate) start_ms: i64,
    pub(crate) end_ms: i64,
    pub(crate) windows: RangeWindows,
}

/// The value of `function` over the window; `None` when the series has none there (too few samples), or when there is
/// no such function.
pub(crate) fn over_time(function: &str, samples: &[Sample], borders: Borders) -> Option<f64> {
    let values = || samples.iter().map(|sample| sample.value);
    let (first, last) = (samples.first()?, samples.last()?);
    match function {
        "rate" => stretch(samples, borders, Growth::Counter).map(|(growth, factor)| {
            // Divides the factor, not the product: resets of a rate of a rate hang on the last bit.
            growth * (factor / seconds(borders.start_ms, borders.end_ms))
        }),
        "increase" => stretch(samples, borders, Growth::Counter).map(|(growth, factor)| growth * factor),
        "delta" => stretch(samples, borders, Growth::Gauge).map(|(growth, factor)| growth * factor),
        "irate" => last_two(samples).map(|(before, after)| {
            let increase = if after.value < before.value { after.value } else { after.value - before.value };
            increase / seconds(before.at_ms, after.at_ms)
        }),
        "idelta" => last_two(samples).map(|(before, after)| after.value - before.value),
        "deriv" => regression(samples, first.at_ms).map(|(slope, _)| slope),
        "changes" => Some(count_pairs(samples, |before, after| {
            before != after && !(before.is_nan() && after.is_nan())
        })),
        "resets" => Some(count_pairs(samples, |before, after| after < before)),
        "avg_over_time" => Some(mean(values())),
        "sum_over_time" => Some(values().collect::<Sum>().total()),
        "min_over_time" => {
            values().reduce(|best, value| if value < best || best.is_nan() { value } else { best })
        }
        "max_over_time" => {
            values().reduce(|best, value| if value > best || best.is_nan() { value } else { best })
        }
        "count_over_time" => Some(samples.len() as f64),
        "first_over_time" => Some(first.value),
        "last_over_time" => Some(last.value),
        "present_over_time" => Some(1.0),
        "stddev_over_time" => Some(variance(values()).sqrt()),
        "stdvar_over_time" => Some(variance(values())),
        _ => None,
    }
}

/// `quantile_over_time`.
pub(crate) fn quantile_over_time(rank: f64, samples: &[Sample]) -> f64 {
    quantile(rank, samples.iter().map(|sample| sample.value).collect())
}

/// `predict_linear`: the value `ahead` seconds after `at_ms`, on the line through the samples.
pub(crate) fn predict_linear(samples: &[Sample], at_ms: i64, ahead: f64) -> Option<f64> {
    regression(samples, at_ms).map(|(slope, intercept)| slope * ahead + intercept)
}

fn seconds(from_ms: i64, to_ms: i64) -> f64 {
    to_ms.saturating_sub(from_ms) as f64 / 1000.0
}

/// What may happen between two samples.
#[derive(Clone, Copy, PartialEq)]
enum Growth {
    /// Only growth: a fall is a restart from zero.
    Counter,
    /// Anything.
    Gauge,
}

fn growth_of(samples: &[Sample], first: f64, last: f64, kind: Growth) -> f64 {
    let resets = samples.windows(2).filter(|pair| kind == Growth::Counter && pair[1].value < pair[0].value);
    resets.fold(last - first, |growth, pair| growth + pair[0].value)
}

/// The growth between the first and last sample, and the factor that stretches it to the whole window: up to a border
/// that is within 1.1 sample intervals, else by half an interval; a counter not below the point where it was zero.
fn stretch(samples: &[Sample], borders: Borders, kind: Growth) -> Option<(f64, f64)> {
    let [first, .., last] = samples else { return None };
    let growth = growth_of(samples, first.value, last.value, kind);
    let sampled = seconds(first.at_ms, last.at_ms);
    let interval = sampled / (samples.len() - 1) as f64;
    let within = |gap: f64| if gap < interval * 1.1 { gap } else { interval / 2.0 };
    let to_start = seconds(borders.start_ms, first.at_ms);
    let to_end = within(seconds(last.at_ms, borders.end_ms));
    let has_zero = kind == Growth::Counter && growth > 0.0 && first.value >= 0.0;
    let since_zero = if has_zero { sampled * (first.value / growth) } else { f64::INFINITY };
    let to_start = match borders.windows {
        RangeWindows::LeftOpen => within(to_start).min(since_zero),
        RangeWindows::Closed => within(to_start.min(since_zero)),
    };
    Some((growth, (sampled + to_start + to_end) / sampled))
}

/// The last two samples, unless they carry the same time.
fn last_two(samples: &[Sample]) -> Option<(Sample, Sample)> {
    match samples {
        [.., before, after] if after.at_ms > before.at_ms => Some((*before, *after)),
        _ => None,
    }
}

fn count_pairs(samples: &[Sample], counts: impl Fn(f64, f64) -> bool) -> f64 {
    samples.windows(2).filter(|pair| counts(pair[0].value, pair[1].value)).count() as f64
}

/// Least squares: slope per second and value at `origin_ms`. A constant series is answered exactly.
fn regression(samples: &[Sample], origin_ms: i64) -> Option<(f64, f64)> {
    let [first, _, ..] = samples else { return None };
    if samples.iter().all(|sample| sample.value == first.value) {
        return Some(if first.value.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first.value) });
    }
    let points = || samples.iter().map(|sample| (seconds(origin_ms, sample.at_ms), sample.value));
    let count = samples.len() as f64;
    let sum_x = points().map(|(x, _)| x).collect::<Sum>().total();
    let sum_y = points().map(|(_, y)| y).collect::<Sum>().total();
    let sum_xy = points().map(|(x, y)| x * y).collect::<Sum>().total();
    let sum_xx = points().map(|(x, _)| x * x).collect::<Sum>().total();
    let slope = (sum_xy - sum_x * sum_y / count) / (sum_xx - sum_x * sum_x / count);
    Some((slope, sum_y / count - slope * sum_x / count))
}
