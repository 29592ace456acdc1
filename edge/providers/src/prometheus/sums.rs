//! Sums of counters over the series of a pod, with the times of the scrapes that they were summed up from.

use std::collections::BTreeMap;

use trimtab_promql::{Labels, Sample, Series};

/// What to ask for the sums and for their times, at every multiple of the step in the closed window.
pub(super) fn queries(
    selector: &str,
    by: &[String],
    (from_ms, to_ms): (i64, i64),
    step_ms: i64,
) -> [String; 2] {
    // One millisecond more than the distance: Prometheus 3 leaves the left border out.
    let window_ms = to_ms.saturating_sub(from_ms).max(0).saturating_add(1);
    let (by, step_ms) = (by.join(", "), step_ms.max(1));
    let over_time = |what: String| format!("({what})[{window_ms}ms:{step_ms}ms]");
    [
        over_time(format!("sum by ({by}) ({selector})")),
        over_time(format!("max by ({by}) (timestamp({selector}))")),
    ]
}

/// Each sum at the time of its last scrape, in the closed window; a scrape that several steps saw is there once. The two
/// answers were given one after the other: a sum whose time was not told, or told alone, is left for the next question.
pub(super) fn joined(answers: Vec<Vec<Series>>, (from_ms, to_ms): (i64, i64)) -> Vec<Series> {
    let mut answers = answers.into_iter();
    let sums = answers.next().unwrap_or_default();
    let times: BTreeMap<Labels, BTreeMap<i64, f64>> = answers
        .flatten()
        .map(|series| (series.labels, series.samples.iter().map(|at| (at.at_ms, at.value)).collect()))
        .collect();
    let with_times = |Series { labels, samples }: Series| {
        let times = times.get(&labels)?;
        let scrapes = samples.into_iter().filter_map(|Sample { at_ms, value }| {
            let scraped_ms = milliseconds(*times.get(&at_ms)?);
            (from_ms..=to_ms).contains(&scraped_ms).then_some(Sample { at_ms: scraped_ms, value })
        });
        let mut samples: Vec<Sample> = scrapes.collect();
        samples.sort_by_key(|sample| sample.at_ms);
        samples.dedup_by_key(|sample| sample.at_ms);
        (!samples.is_empty()).then_some(Series { labels, samples })
    };
    sums.into_iter().filter_map(with_times).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a float cast saturates, and no window holds such a time"
)]
fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}
