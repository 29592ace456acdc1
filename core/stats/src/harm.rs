//! The harm bill: how many requests failed because of the release.

use crate::ratio::TickCounts;
use serde::{Deserialize, Serialize};

/// Running count of failures beyond what the stable arm explains.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Harm {
    #[serde(with = "crate::bits::one")]
    fair_ratio: f64,
    bad: u64,
    #[serde(with = "crate::bits::one")]
    excess: f64,
    #[serde(with = "crate::bits::one")]
    variance: f64,
}

/// Failed requests with a 95 % interval, for people to read; not anytime-valid and no part of a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HarmEstimate {
    /// Best estimate.
    pub requests: f64,
    /// Lower end, at least 0.
    pub low: f64,
    /// Upper end, at most the bad requests of the canary.
    pub high: f64,
}

/// Standard normal quantile of a two-sided 95 % interval.
const Z: f64 = 1.96;

impl Harm {
    /// `fair_ratio` is the canary's bad rate over the stable one's without the release: 1 unless known better.
    pub fn new(fair_ratio: f64) -> Self {
        let fair_ratio = if fair_ratio.is_finite() && fair_ratio >= 0.0 { fair_ratio } else { 1.0 };
        Self { fair_ratio, bad: 0, excess: 0.0, variance: 0.0 }
    }

    /// Takes in one tick: bad on the canary less the stable rate of the same tick. Skips it when either arm was not
    /// exposed.
    pub fn observe(&mut self, tick: &TickCounts) {
        if !tick.comparable() {
            return;
        }
        let per_stable_bad =
            (self.fair_ratio * (tick.canary_total / tick.stable_total)).min(MOST_PER_STABLE_BAD);
        let (canary, stable) = (tick.canary_bad as f64, tick.stable_bad as f64);
        self.bad = self.bad.saturating_add(tick.canary_bad);
        self.excess += canary - per_stable_bad * stable;
        self.variance += canary + per_stable_bad * per_stable_bad * stable;
    }

    /// The bill so far.
    pub fn estimate(&self) -> HarmEstimate {
        let most = self.bad as f64;
        let half_width = Z * self.variance.sqrt();
        let within = |requests: f64| requests.clamp(0.0, most);
        HarmEstimate {
            requests: within(self.excess),
            low: within(self.excess - half_width),
            high: within(self.excess + half_width),
        }
    }
}

/// A stable arm exposed less than a millionth of the canary predicts nothing; the cap keeps sums finite.
const MOST_PER_STABLE_BAD: f64 = 1e6;

#[cfg(test)]
mod tests {
    use super::*;

    fn bill(fair_ratio: f64, ticks: &[(u64, f64, u64, f64)]) -> HarmEstimate {
        let mut harm = Harm::new(fair_ratio);
        for &(canary_bad, canary_total, stable_bad, stable_total) in ticks {
            harm.observe(&TickCounts { canary_bad, canary_total, stable_bad, stable_total });
        }
        harm.estimate()
    }

    #[test]
    fn bills() {
        let check = |fair_ratio, ticks: &[(u64, f64, u64, f64)], requests: f64, low: f64, high: f64| {
            let got = bill(fair_ratio, ticks);
            let near = |got: f64, expect: f64| (got - expect).abs() < 0.1;
            assert!(near(got.requests, requests) && near(got.low, low) && near(got.high, high), "{got:?}");
        };
        check(1.0, &[], 0.0, 0.0, 0.0);
        check(1.0, &[(43, 1180.0, 9, 2391.0)], 38.6, 25.4, 43.0);
        check(1.0, &[(100, 1000.0, 20, 1000.0), (100, 1000.0, 180, 1000.0)], 0.0, 0.0, 39.2);
        check(2.0, &[(100, 1000.0, 20, 1000.0)], 60.0, 33.7, 86.3);
        check(f64::NAN, &[(5, 10.0, 0, 10.0), (5, 0.0, 0, 10.0), (5, 10.0, 0, f64::NAN)], 5.0, 0.6, 5.0);
        check(1.0, &[(u64::MAX, 1e300, u64::MAX, 1e-300)], 0.0, 0.0, 0.0);
    }
}
