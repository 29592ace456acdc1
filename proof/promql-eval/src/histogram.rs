//! `histogram_quantile` over classic buckets.

use std::collections::BTreeMap;

use trimtab_promql::{Labels, METRIC_NAME};

use crate::aggregate::ascending;
use crate::value::Item;

/// The label with a bucket's upper bound.
const BOUND: &str = "le";
/// Counts that differ relatively by less are the same: rates of equal counters differ by rounding.
const SAME_COUNT: f64 = 1e-12;

struct Bucket {
    bound: f64,
    count: f64,
}

/// The value below which the share `rank` of the observations lies, per identity without `le`. Series whose `le` is no
/// number are ignored.
pub(crate) fn histogram_quantile(rank: f64, items: Vec<Item>) -> Vec<Item> {
    let mut histograms: BTreeMap<Labels, Vec<Bucket>> = BTreeMap::new();
    for item in items {
        if let Ok(bound) = item.labels.get(BOUND).parse() {
            let identity = item.labels.filtered(|name| name != BOUND && name != METRIC_NAME);
            histograms.entry(identity).or_default().push(Bucket { bound, count: item.value });
        }
    }
    let reduce = |(labels, buckets)| Item { labels, value: quantile_of(rank, buckets) };
    histograms.into_iter().map(reduce).collect()
}

fn quantile_of(rank: f64, mut buckets: Vec<Bucket>) -> f64 {
    match rank {
        _ if rank.is_nan() => return f64::NAN,
        _ if rank < 0.0 => return f64::NEG_INFINITY,
        _ if rank > 1.0 => return f64::INFINITY,
        _ => buckets.sort_by(|left, right| ascending(left.bound, right.bound)),
    }
    if buckets.last().is_none_or(|last| last.bound != f64::INFINITY) {
        return f64::NAN;
    }
    let buckets = cumulative(buckets);
    let [.., below_top, top] = buckets.as_slice() else { return f64::NAN };
    if top.count == 0.0 {
        return f64::NAN;
    }
    let wanted = rank * top.count;
    let place = buckets.iter().position(|bucket| bucket.count >= wanted).unwrap_or(buckets.len() - 1);
    let Bucket { bound: end, count } = buckets[place];
    match place {
        _ if place == buckets.len() - 1 => below_top.bound,
        0 if end <= 0.0 => end,
        0 => end * (wanted / count),
        _ => {
            let Bucket { bound: start, count: before } = buckets[place - 1];
            start + (end - start) * ((wanted - before) / (count - before))
        }
    }
}

/// Merges buckets with the same bound, and lifts every count to the one below it: buckets scraped at slightly different
/// times may shrink.
fn cumulative(sorted: Vec<Bucket>) -> Vec<Bucket> {
    let mut merged: Vec<Bucket> = Vec::with_capacity(sorted.len());
    for bucket in sorted {
        match merged.last_mut() {
            Some(last) if last.bound == bucket.bound => last.count += bucket.count,
            _ => merged.push(bucket),
        }
    }
    for index in 1..merged.len() {
        let (below, count) = (merged[index - 1].count, merged[index].count);
        let almost_same = (count - below).abs() <= SAME_COUNT * count.abs().max(below.abs());
        if almost_same || count < below {
            merged[index].count = below;
        }
    }
    merged
}
