//! Spending the false-alarm budget: across metrics by weight, across restarts of the evidence by halves.

use crate::float::ln;

/// Shares `total` among metrics in proportion to `weights`. Weights that are negative or not finite count as zero;
/// when none is left, the shares are equal. The sum never exceeds `total`, so that the union bound holds.
pub fn split(total: f64, weights: &[f64]) -> Vec<f64> {
    let total = probability(total);
    let usable: Vec<f64> = weights.iter().map(|&w| if w.is_finite() && w > 0.0 { w } else { 0.0 }).collect();
    let sum: f64 = usable.iter().sum();
    if sum > 0.0 && sum.is_finite() {
        usable.iter().map(|weight| total * (weight / sum)).collect()
    } else {
        vec![total / weights.len().max(1) as f64; weights.len()]
    }
}

/// What run `run` of the evidence may spend, `alpha / 2^run`: however often the stable revision or the sizing of an arm
/// forces a restart, the sum stays within `alpha`. The first run is 1; 0 is read as 1.
pub fn of_run(alpha: f64, run: u32) -> f64 {
    let halvings = run.clamp(1, MAX_HALVINGS);
    probability(alpha) / (1_u64 << halvings) as f64
}

/// `ln(1/alpha)`: the log evidence at which a test decides.
pub fn log_threshold(alpha: f64) -> f64 {
    -ln(probability(alpha))
}

/// After so many restarts the budget is spent for every practical purpose; more halvings would underflow.
const MAX_HALVINGS: u32 = 60;

/// NaN, zero and below become the smallest budget: what is not understood decides least.
fn probability(alpha: f64) -> f64 {
    if alpha.is_nan() { f64::MIN_POSITIVE } else { alpha.clamp(f64::MIN_POSITIVE, 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn splits() {
        let check = |total: f64, weights: &[f64], expect: &[f64]| assert_eq!(split(total, weights), expect);
        check(0.25, &[1.0, 3.0], &[0.0625, 0.1875]);
        check(0.25, &[], &[]);
        check(0.25, &[0.0, 0.0], &[0.125, 0.125]);
        check(0.25, &[f64::NAN, 1.0, -4.0], &[0.0, 0.25, 0.0]);
        check(0.25, &[f64::MAX, f64::MAX], &[0.125, 0.125]);
    }

    #[test]
    fn all_restarts_together_stay_within_alpha() {
        let spent: f64 = (1..=50).map(|run| of_run(0.005, run)).sum();
        assert!(spent <= 0.005, "{spent}");
        assert_eq!(of_run(0.005, 1), 0.0025);
        assert_eq!(of_run(0.005, 0), 0.0025);
        assert!(log_threshold(of_run(0.005, u32::MAX)).is_finite());
    }

    #[test]
    fn nonsense_decides_least() {
        for alpha in [f64::NAN, -1.0, 0.0, f64::NEG_INFINITY] {
            assert_eq!(log_threshold(alpha), log_threshold(f64::MIN_POSITIVE), "{alpha}");
        }
        assert_eq!(log_threshold(7.0), 0.0);
    }

    proptest! {
        #[test]
        fn shares_never_exceed_the_whole(total in 1e-9..1.0_f64, weights in proptest::collection::vec(0.0..100.0_f64, 1..9)) {
            prop_assert!(split(total, &weights).iter().sum::<f64>() <= total * (1.0 + 1e-12));
        }
    }
}
