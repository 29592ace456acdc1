//! The power card: how long a regression takes to be found, before the release starts.

use crate::alpha::log_threshold;
use crate::float::ln;
use serde::{Deserialize, Serialize};

/// What a release looks like to the verdict engine.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// Requests per second on both arms.
    pub requests_per_second: f64,
    /// Bad share of the stable arm, in (0, 1).
    pub bad_share: f64,
    /// The canary's part of the requests, in (0, 1).
    pub canary_share: f64,
}

/// What the mixture over alternatives costs, in nats.
const MIXTURE_COST: f64 = 1.5;

/// Expected seconds until a regression of `ratio` FAILs against `margin` at `alpha`. None when it is not expected to:
/// `ratio` not above `margin`, no traffic, or a value out of its range. Slightly on the slow side.
pub fn seconds_to_fail(traffic: &Traffic, ratio: f64, margin: f64, alpha: f64) -> Option<f64> {
    let share = traffic.canary_share;
    let fraction = |value: f64| value > 0.0 && value < 1.0;
    let findable = ratio.is_finite() && margin >= 1.0 && ratio > margin;
    if !(findable && fraction(share) && fraction(traffic.bad_share)) {
        return None;
    }
    let expected = |ratio: f64| ratio * share / (ratio * share + 1.0 - share);
    let (q, p) = (expected(ratio), expected(margin));
    let divergence = q * ln(q / p) + (1.0 - q) * ln((1.0 - q) / (1.0 - p));
    let bad_per_second = traffic.requests_per_second * traffic.bad_share * (ratio * share + 1.0 - share);
    let seconds = (log_threshold(alpha) + MIXTURE_COST) / (divergence * bad_per_second);
    (seconds.is_finite() && seconds > 0.0).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(requests_per_second: f64, canary_share: f64, ratio: f64) -> Option<f64> {
        let traffic = Traffic { requests_per_second, bad_share: 0.005, canary_share };
        seconds_to_fail(&traffic, ratio, 1.5, 0.005)
    }

    #[test]
    fn the_reference_figures() {
        let check = |rate, share, ratio, expect: f64| {
            let got = seconds(rate, share, ratio).expect("findable");
            assert!((got - expect).abs() < 1.0, "{got} is not {expect}");
        };
        check(5.0, 1.0 / 3.0, 10.0, 195.0);
        check(50.0, 1.0 / 3.0, 3.0, 276.0);
        check(5.0, 0.05, 10.0, 611.0);
    }

    #[test]
    fn not_expected_to_fail() {
        for (rate, share, ratio) in [
            (5.0, 0.3, 1.5),
            (5.0, 0.3, 1.0),
            (0.0, 0.3, 9.0),
            (5.0, 0.0, 9.0),
            (5.0, 1.0, 9.0),
            (-5.0, 0.3, 9.0),
        ] {
            assert_eq!(seconds(rate, share, ratio), None, "{rate} {share} {ratio}");
        }
        assert_eq!(seconds(f64::NAN, 0.3, 9.0), None);
        assert_eq!(seconds(5.0, 0.3, f64::NAN), None);
    }
}
