//! Does the canary get the traffic it was promised? A broken router would otherwise pass a canary that nobody called.

use crate::alpha::log_threshold;
use crate::tilt::{Direction, Evidence};
use serde::{Deserialize, Serialize};

/// What the split of requests looks like so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrafficSplit {
    /// Nothing speaks against the promised weight.
    Plausible,
    /// The canary gets less than the weight tolerates: hold, never PASS.
    TooLittle,
    /// The canary gets more than the weight tolerates.
    TooMuch,
}

/// Routers honour weights roughly (replica counts round, connections live long), so that an exact test would reject
/// every real one at high traffic: half to double the promised odds is plausible.
pub const DEFAULT_TOLERANCE: f64 = 2.0;

const WIDEST_TOLERANCE: f64 = 1e6;

/// Running evidence about the split of requests between the arms. The weight may change between ticks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleRatioTest {
    #[serde(with = "crate::bits::one")]
    tolerance: f64,
    #[serde(with = "crate::bits::one")]
    log_threshold: f64,
    too_little: Evidence,
    too_much: Evidence,
}

impl SampleRatioTest {
    /// Odds within a factor `tolerance` (at least 1) of the promised ones are plausible; `alpha` bounds false alarms of
    /// both kinds together.
    pub fn new(tolerance: f64, alpha: f64) -> Self {
        let tolerance =
            if tolerance.is_nan() { WIDEST_TOLERANCE } else { tolerance.clamp(1.0, WIDEST_TOLERANCE) };
        Self {
            tolerance,
            log_threshold: log_threshold(alpha * 0.5),
            too_little: Evidence::none(Direction::Less),
            too_much: Evidence::none(Direction::More),
        }
    }

    /// Takes in the requests of one tick under the `weight` (the canary's share, in (0, 1)) that was in force. Ticks
    /// without requests, and weights of nothing or all, say nothing.
    pub fn observe(&mut self, canary_requests: u64, stable_requests: u64, weight: f64) {
        if !(weight > 0.0 && weight < 1.0) {
            return;
        }
        let odds = weight / (1.0 - weight);
        let share = |odds: f64| odds / (1.0 + odds);
        let canary = canary_requests as f64;
        let all = canary + stable_requests as f64;
        self.too_little.advance(share(odds / self.tolerance), canary, all, 1.0);
        self.too_much.advance(share((odds * self.tolerance).min(f64::MAX)), canary, all, 1.0);
    }

    /// Judges the current evidence: a router that recovers is plausible again as the requests come in.
    pub fn split(&self) -> TrafficSplit {
        if self.too_little.log() >= self.log_threshold {
            TrafficSplit::TooLittle
        } else if self.too_much.log() >= self.log_threshold {
            TrafficSplit::TooMuch
        } else {
            TrafficSplit::Plausible
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits() {
        let check = |canary, stable, weight, expect| {
            let mut test = SampleRatioTest::new(DEFAULT_TOLERANCE, 0.005);
            test.observe(canary, stable, weight);
            assert_eq!(test.split(), expect, "{canary}:{stable} at {weight}");
        };
        use TrafficSplit::{Plausible, TooLittle, TooMuch};
        check(0, 0, 0.05, Plausible);
        check(0, 100, 0.05, Plausible);
        check(0, 500, 0.05, TooLittle);
        check(50, 950, 0.05, Plausible);
        check(60_000, 940_000, 0.05, Plausible);
        check(500, 500, 0.05, TooMuch);
        check(500, 500, 0.5, Plausible);
        check(0, 20, 0.5, TooLittle);
        check(20, 0, 0.5, TooMuch);
        for weight in [0.0, 1.0, -1.0, f64::NAN] {
            check(0, 1_000_000, weight, Plausible);
        }
        check(u64::MAX, u64::MAX, 1.0 - f64::EPSILON / 2.0, TooLittle);
    }

    #[test]
    fn the_weight_may_change_between_ticks() {
        let mut test = SampleRatioTest::new(DEFAULT_TOLERANCE, 0.005);
        for weight in [0.05, 0.25, 0.5] {
            for _ in 0..100 {
                test.observe((weight * 1000.0) as u64, ((1.0 - weight) * 1000.0) as u64, weight);
            }
        }
        assert_eq!(test.split(), TrafficSplit::Plausible);
    }
}
