//! One arm against absolute limits: the net for "both arms bad", where a comparison is blind by construction.
//!
//! A windowed ratio alone fires on one error of four requests. Here a FAIL needs both a recent estimate above the limit
//! and evidence against "the bad share is at most half the limit". The mirror gathers evidence that the share is below
//! a floor that harms nobody, which lets services without errors pass.

use crate::alpha::log_threshold;
use crate::float::ln;
use crate::gamma::{half_rest, whole_rest, x_ln_ratio};
use crate::ratio::overdispersion;
use crate::tilt::{Direction, log_evidence_of_totals};
use serde::{Deserialize, Serialize};

/// Shares of bad events, both in (0, 1).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AbsoluteLimit {
    /// More than this is a failure whatever the stable arm does.
    #[serde(with = "crate::bits::one")]
    pub limit: f64,
    /// Less than this harms nobody, whatever the ratio to the stable arm.
    #[serde(with = "crate::bits::one")]
    pub harmless: f64,
}

impl AbsoluteLimit {
    /// `limit` with the default harmless floor of 1 %.
    pub fn new(limit: f64) -> Self {
        Self { limit, harmless: 0.01 }
    }

    fn sane(self) -> Self {
        let or = |share: f64, undecided: f64| if share.is_nan() { undecided } else { share };
        Self {
            limit: or(self.limit, 1.0).clamp(SMALLEST_SHARE, 1.0),
            harmless: or(self.harmless, SMALLEST_SHARE).clamp(SMALLEST_SHARE, 1.0 - SMALLEST_SHARE),
        }
    }
}

const SMALLEST_SHARE: f64 = 1e-9;

/// The recent estimate forgets `1/RECENT_TICKS` per tick with traffic: five minutes at a tick of 15 s.
const RECENT_TICKS: f64 = 20.0;

/// Running evidence about the bad share of one arm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AbsoluteTest {
    limits: AbsoluteLimit,
    #[serde(with = "crate::bits")]
    log_thresholds: [f64; 2],
    #[serde(with = "crate::bits::one")]
    phi: f64,
    /// Bad and all, diluted by `phi`, over the whole release.
    #[serde(with = "crate::bits")]
    whole: [f64; 2],
    /// Bad and all, undiluted, of recent ticks.
    #[serde(with = "crate::bits")]
    recent: [f64; 2],
    #[serde(with = "crate::bits::one")]
    peak: f64,
    exceeded: bool,
}

/// A share with its interval, all in [0, 1].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RateEstimate {
    /// Observed share.
    pub rate: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl AbsoluteTest {
    /// `alpha` bounds false FAILs where the true share is at most half the limit, `beta` false "harmless" where it is at
    /// least the floor; `phi` as in [`crate::RatioTest::worse_than`].
    pub fn new(limits: AbsoluteLimit, alpha: f64, beta: f64, phi: f64) -> Self {
        Self {
            limits: limits.sane(),
            log_thresholds: [log_threshold(alpha), log_threshold(beta)],
            phi: overdispersion(phi),
            whole: [0.0; 2],
            recent: [0.0; 2],
            peak: 0.0,
            exceeded: false,
        }
    }

    /// Sets the overdispersion for the ticks to come.
    pub fn set_phi(&mut self, phi: f64) {
        self.phi = overdispersion(phi);
    }

    /// Takes in `bad` of `total` requests; skips a tick without traffic. More bad than total (counters scraped apart)
    /// counts as all bad.
    pub fn observe(&mut self, bad: u64, total: f64) {
        if !(total.is_finite() && total > 0.0) {
            return;
        }
        let bad = (bad as f64).min(total);
        for (index, count) in [bad, total].into_iter().enumerate() {
            self.whole[index] += count / self.phi;
            self.recent[index] += count - self.recent[index] / RECENT_TICKS;
        }
        self.peak = self.peak.max(self.log_evidence());
        self.exceeded |= self.peak >= self.log_thresholds[0] && self.recent_rate() > self.limits.limit;
    }

    /// Natural logarithm of the evidence now that the share exceeds half the limit; always finite.
    pub fn log_evidence(&self) -> f64 {
        self.evidence(Direction::More, self.limits.limit * 0.5)
    }

    /// Natural logarithm of the evidence now that the share is below the harmless floor; always finite.
    pub fn harmless_log_evidence(&self) -> f64 {
        self.evidence(Direction::Less, self.limits.harmless)
    }

    fn evidence(&self, direction: Direction, share: f64) -> f64 {
        log_evidence_of_totals(direction, share, self.whole[0], self.whole[1])
    }

    /// Natural logarithm of the evidence that, with a recent estimate above the limit, decides FAIL.
    pub fn log_threshold(&self) -> f64 {
        self.log_thresholds[0]
    }

    /// Bad share of recent ticks; 0 before any traffic.
    pub fn recent_rate(&self) -> f64 {
        if self.recent[1] > 0.0 { self.recent[0] / self.recent[1] } else { 0.0 }
    }

    /// Whether both conditions of a FAIL held at a tick so far; never withdrawn.
    pub fn has_exceeded(&self) -> bool {
        self.exceeded
    }

    /// Whether the evidence says so now that the share is below the harmless floor.
    pub fn is_harmless(&self) -> bool {
        self.harmless_log_evidence() >= self.log_thresholds[1]
    }

    /// The share over the whole release with an interval that misses the truth, at any time, with probability at most
    /// `miss`. None before any traffic.
    pub fn estimate(&self, miss: f64) -> Option<RateEstimate> {
        let [bad, total] = self.whole;
        if total <= 0.0 {
            return None;
        }
        let rate = bad / total;
        let cut = log_threshold(miss);
        let outside = |share: f64| point_null_log_evidence(bad, total, share) >= cut;
        let (low, high) = (crossing(rate, 0.0, outside), crossing(rate, 1.0, outside));
        Some(RateEstimate { rate, low, high })
    }
}

/// Evidence against "the share is exactly `share`": Beta(1/2, 1/2) mixture in closed form, with the bulk of the
/// likelihoods cancelled by hand so that 2^53 requests lose no digits.
fn point_null_log_evidence(bad: f64, total: f64, share: f64) -> f64 {
    let good = total - bad;
    let divergence = x_ln_ratio(bad, total * share) + x_ln_ratio(good, total * (1.0 - share));
    divergence + half_rest(bad) + half_rest(good) - whole_rest(total)
        + 0.5 * ln(2.0 / (std::f64::consts::PI * total))
}

/// Halvings of the bracket; more than the digits of a share.
const BISECTIONS: u32 = 60;

/// End of the interval between `inside` and `limit`, on the outer side.
fn crossing(inside: f64, limit: f64, outside: impl Fn(f64) -> bool) -> f64 {
    let (mut inner, mut outer) = (inside, limit);
    for _ in 0..BISECTIONS {
        let middle = 0.5 * (inner + outer);
        if outside(middle) {
            outer = middle;
        } else {
            inner = middle;
        }
    }
    outer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(limit: f64) -> AbsoluteTest {
        AbsoluteTest::new(AbsoluteLimit::new(limit), 0.005, 0.05, 1.0)
    }

    /// Ticks until the FAIL when every tick sees `bad` of `total`.
    fn ticks_to_fail(bad: u64, total: f64) -> Option<usize> {
        let mut test = test(0.2);
        (1..=120).find(|_| {
            test.observe(bad, total);
            test.has_exceeded()
        })
    }

    #[test]
    fn a_fail_needs_a_high_estimate_and_evidence() {
        let check = |bad, total, expect: Option<usize>| {
            assert_eq!(ticks_to_fail(bad, total), expect, "{bad}/{total}");
        };
        check(1, 1.0, Some(3));
        check(1, 2.0, Some(7));
        check(19, 100.0, None);
        check(30, 100.0, Some(1));
        check(0, 100.0, None);
        check(9, 0.0, None);
        check(9, f64::NAN, None);
        check(9, 4.0, Some(1));
    }

    #[test]
    fn evidence_alone_is_not_enough_below_the_limit() {
        let mut test = test(0.2);
        for _ in 0..50 {
            test.observe(18, 100.0);
        }
        assert!(test.log_evidence() > test.log_threshold() && !test.has_exceeded());
        for _ in 0..30 {
            test.observe(25, 100.0);
        }
        assert!(test.has_exceeded());
    }

    #[test]
    fn harmlessness_needs_enough_clean_requests() {
        let check = |bad, total, expect| {
            let mut test = test(0.2);
            test.observe(bad, total);
            assert_eq!(test.is_harmless(), expect, "{bad}/{total}");
        };
        check(0, 200.0, false);
        check(0, 500.0, true);
        check(1, 500.0, false);
        check(1, 1000.0, true);
        check(10, 1000.0, false);
    }

    #[test]
    fn intervals_hold_the_estimate_and_narrow() {
        let check = |bad, total, low: f64, high: f64| {
            let mut test = test(0.2);
            test.observe(bad, total);
            let got = test.estimate(0.05).expect("traffic was seen");
            let near = |got: f64, expect: f64| (got - expect).abs() < 1e-5;
            assert!(near(got.low, low) && near(got.high, high), "{bad}/{total}: {got:?}");
            assert!(got.low <= got.rate && got.rate <= got.high);
        };
        check(0, 100.0, 0.0, 0.057_029);
        check(100, 100.0, 0.942_971, 1.0);
        check(50, 100.0, 0.338_258, 0.661_742);
        check(1_000_000, 5_000_000.0, 0.199_164, 0.200_837);
        check(1 << 51, 9_007_199_254_740_992.0, 0.25, 0.25);
        assert_eq!(test(0.2).estimate(0.05), None);
    }

    #[test]
    fn limits_out_of_range_decide_nothing() {
        for limit in [f64::NAN, 1.0, 7.0, f64::INFINITY] {
            let mut test = test(limit);
            test.observe(1_000_000, 1e6);
            assert!(!test.has_exceeded() && test.log_evidence().is_finite(), "{limit}");
        }
        let mut test = AbsoluteTest::new(AbsoluteLimit { limit: -1.0, harmless: f64::NAN }, 0.005, 0.05, 1.0);
        test.observe(0, 1e6);
        assert!(!test.is_harmless() && !test.has_exceeded());
    }
}
