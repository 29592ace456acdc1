//! Findings in words.

use trimtab_stats::{MetricTest, Verdict};

use crate::finding::{Counts, Evidence, Interval};

/// Confidence intervals shown to people miss the truth this rarely.
const INTERVAL_MISS: f64 = 0.05;

/// `43/1180 (3.6 %)`.
pub(super) fn share(bad: u64, total: f64) -> String {
    if total <= 0.0 {
        return format!("{bad}/0");
    }
    format!("{bad}/{} ({})", total.round(), percent(bad as f64 / total))
}

/// `3.6 %`, with as many digits as the size deserves.
pub(super) fn percent(ratio: f64) -> String {
    let percent = ratio * 100.0;
    match percent {
        0.0 => "0 %".to_owned(),
        p if p < 0.1 => format!("{p:.3} %"),
        p if p < 1.0 => format!("{p:.2} %"),
        p => format!("{p:.1} %"),
    }
}

/// `x9.8 [x6.1, x15.9]`; `at least x6.1` where no ratio is too large to be true; nothing where that says nothing.
fn times(interval: &Interval) -> Option<String> {
    let one = |x: f64| if x < 10.0 { format!("x{x:.1}") } else { format!("x{x:.0}") };
    let (low, high) = (one(interval.low), interval.high);
    match high.is_finite() {
        true => Some(format!("{} [{low}, {}]", one(interval.estimate), one(high))),
        false => (interval.low > 1.0).then(|| format!("at least {low}")),
    }
}

/// The ratio between the arms with its interval, once both were seen.
pub(super) fn ratio(test: &MetricTest) -> Option<Interval> {
    let estimate = test.ratio(INTERVAL_MISS)?;
    Some(Interval {
        estimate: estimate.ratio,
        low: estimate.low,
        high: estimate.high.unwrap_or(f64::INFINITY),
    })
}

/// The strongest evidence toward FAIL of any of the metric's processes.
pub(super) fn evidence(test: &MetricTest) -> Option<Evidence> {
    let comparison = test.comparison().map(|c| (c.peak_log_evidence(), c.log_threshold()));
    let limit = test.limit().map(|l| (l.log_evidence(), l.log_threshold()));
    let history = test.history().map(|h| (h.peak_log_evidence(), h.log_threshold()));
    let strongest = [comparison, limit, history]
        .into_iter()
        .flatten()
        .max_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)))?;
    Some(Evidence {
        log10: strongest.0 / std::f64::consts::LN_10,
        threshold_log10: strongest.1 / std::f64::consts::LN_10,
    })
}

/// `canary 43/1180 (3.6 %) vs stable 9/2391 (0.38 %), x9.8 [x6.1, x15.9]`.
pub(super) fn comparison(counts: &Counts, interval: Option<&Interval>) -> String {
    let mut text = format!(
        "canary {} vs stable {}",
        share(counts.canary_bad, counts.canary_total),
        share(counts.stable_bad, counts.stable_total)
    );
    if let Some(times) = interval.and_then(times) {
        text.push_str(", ");
        text.push_str(&times);
    }
    text
}

/// What a PASS or an undecided answer adds to the numbers.
pub(super) fn because(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Fail => "",
        Verdict::Pass => "; no worse than tolerated",
        Verdict::Undecided => "; too little traffic to tell",
    }
}
