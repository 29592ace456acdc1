//! Two arms, one counted metric: is the canary's bad rate more than `margin` times the stable one's?
//!
//! Given that a tick saw `c + b` bad events, the canary's part is compared with the share expected at the margin,
//! `p0 = r0*n_c / (r0*n_c + n_b)`. Whatever moves both arms (an incident, the hour of the day) cancels, and so does the
//! error level itself. Each tick is fair on its own, so margins, weights and pod counts may change between ticks as long
//! as they are set before the tick is seen.

use crate::alpha::log_threshold;
use crate::tilt::{Direction, Evidence};
use serde::{Deserialize, Serialize};

/// What one evaluation tick saw on both arms.
///
/// Totals are exposures: requests for a ratio, pod-seconds actually scraped for events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TickCounts {
    /// Bad events on the canary.
    pub canary_bad: u64,
    /// Exposure of the canary, finite and not negative.
    pub canary_total: f64,
    /// Bad events on the stable arm.
    pub stable_bad: u64,
    /// Exposure of the stable arm, finite and not negative.
    pub stable_total: f64,
}

impl TickCounts {
    /// Whether both arms were exposed. A tick that is not comparable (an empty scrape, NaN, a negative total) carries
    /// no evidence either way and is skipped whole.
    pub fn comparable(&self) -> bool {
        let exposed = |total: f64| total.is_finite() && total > 0.0;
        exposed(self.canary_total) && exposed(self.stable_total)
    }

    /// Bad events on both arms.
    pub(crate) fn bad(&self) -> f64 {
        self.canary_bad as f64 + self.stable_bad as f64
    }

    /// Share of the bad events expected on the canary when its rate is `ratio` times the stable one. Only for
    /// comparable ticks: the quotient below is then never 0/0.
    pub(crate) fn share_at(&self, ratio: f64) -> f64 {
        1.0 / (1.0 + self.stable_total / self.canary_total / ratio)
    }
}

/// Widest margin accepted; also what a margin that is not a number is read as, since it decides least.
const WIDEST_MARGIN: f64 = 1e6;

/// Evidence that the canary is beyond a margin, valid whenever it is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RatioTest {
    evidence: Evidence,
    #[serde(with = "crate::bits::one")]
    margin: f64,
    #[serde(with = "crate::bits::one")]
    phi: f64,
    #[serde(with = "crate::bits::one")]
    log_threshold: f64,
}

impl RatioTest {
    /// Evidence against "the canary's rate is at most `margin` times the stable rate": enough of it is a FAIL.
    ///
    /// `margin` is at least 1, `alpha` the bound on false alarms, `phi` at least 1 the overdispersion that dilutes every
    /// count. Values out of range are moved to the end of the range that decides less.
    pub fn worse_than(margin: f64, alpha: f64, phi: f64) -> Self {
        Self::new(Direction::More, margin, alpha, phi)
    }

    /// Evidence against "the canary's rate is at least `limit` times the stable rate": enough of it is a PASS.
    /// `limit` is the smallest harm that must not ship, `beta` the bound on passing it.
    pub fn milder_than(limit: f64, beta: f64, phi: f64) -> Self {
        Self::new(Direction::Less, limit, beta, phi)
    }

    fn new(direction: Direction, margin: f64, alpha: f64, phi: f64) -> Self {
        let mut test = Self {
            evidence: Evidence::none(direction),
            margin: 1.0,
            phi: 1.0,
            log_threshold: log_threshold(alpha),
        };
        test.set_margin(margin);
        test.set_phi(phi);
        test
    }

    /// Sets the margin for the ticks to come, for instance because the canary grew.
    pub fn set_margin(&mut self, margin: f64) {
        let undecided = match self.evidence.direction() {
            Direction::More => WIDEST_MARGIN,
            Direction::Less => 1.0,
        };
        self.margin = if margin.is_nan() { undecided } else { margin.clamp(1.0, WIDEST_MARGIN) };
    }

    /// Sets the overdispersion for the ticks to come.
    pub fn set_phi(&mut self, phi: f64) {
        self.phi = overdispersion(phi);
    }

    /// Takes in one tick; skips it when either arm was not exposed.
    pub fn observe(&mut self, tick: &TickCounts) {
        if tick.comparable() {
            let share = tick.share_at(self.margin);
            self.evidence.advance(share, tick.canary_bad as f64, tick.bad(), self.phi);
        }
    }

    /// Natural logarithm of the evidence now; always finite.
    pub fn log_evidence(&self) -> f64 {
        self.evidence.log()
    }

    /// The highest [`Self::log_evidence`] of any tick so far.
    pub fn peak_log_evidence(&self) -> f64 {
        self.evidence.peak()
    }

    /// Natural logarithm of the evidence that decides.
    pub fn log_threshold(&self) -> f64 {
        self.log_threshold
    }

    /// The margin in force.
    pub fn margin(&self) -> f64 {
        self.margin
    }

    /// Whether the threshold was reached at any tick so far; never withdrawn.
    pub fn has_crossed(&self) -> bool {
        self.evidence.peak() >= self.log_threshold
    }
}

/// Largest overdispersion accepted; beyond it evidence is diluted to nothing anyway.
const LARGEST_PHI: f64 = 1e6;

/// Below 1 is 1 (counts never weigh more than themselves); NaN dilutes most.
pub(crate) fn overdispersion(phi: f64) -> f64 {
    if phi.is_nan() { LARGEST_PHI } else { phi.clamp(1.0, LARGEST_PHI) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tick(canary_bad: u64, canary_total: f64, stable_bad: u64, stable_total: f64) -> TickCounts {
        TickCounts { canary_bad, canary_total, stable_bad, stable_total }
    }

    fn after(mut test: RatioTest, ticks: &[TickCounts]) -> RatioTest {
        ticks.iter().for_each(|tick| test.observe(tick));
        test
    }

    /// One tick against the formula of the definition, evaluated with the platform's own functions.
    #[test]
    fn agrees_with_the_definition() {
        let check = |margin: f64, phi: f64, tick: TickCounts| {
            let p0 = margin * tick.canary_total / (margin * tick.canary_total + tick.stable_total);
            let mean: f64 = (0..24)
                .map(|j| margin * (1.25_f64.ln() + (64.0_f64 / 1.25).ln() * f64::from(j) / 23.0).exp())
                .map(|r| r * tick.canary_total / (r * tick.canary_total + tick.stable_total))
                .map(|q| {
                    let canary = tick.canary_bad as f64 * (q / p0).ln();
                    ((canary + tick.stable_bad as f64 * ((1.0 - q) / (1.0 - p0)).ln()) / phi).exp()
                })
                .sum::<f64>()
                / 24.0;
            let ours = after(RatioTest::worse_than(margin, 0.005, phi), &[tick]).log_evidence();
            assert!((ours - mean.ln()).abs() < 1e-9, "{ours} {}", mean.ln());
        };
        check(1.0, 1.0, tick(4, 100.0, 3, 200.0));
        check(1.5, 1.0, tick(0, 100.0, 3, 200.0));
        check(1.5, 5.0, tick(40, 10_000.0, 3, 200.5));
        check(7.37, 2.0, tick(9, 1.0, 0, 1e6));
    }

    #[test]
    fn empty_or_impossible_exposure_is_no_evidence() {
        for total in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let test = after(
                RatioTest::worse_than(1.2, 0.005, 1.0),
                &[tick(9, total, 1, 9.0), tick(9, 9.0, 1, total)],
            );
            assert_eq!(test, RatioTest::worse_than(1.2, 0.005, 1.0), "{total}");
        }
    }

    #[test]
    fn settings_out_of_range_decide_less() {
        let check =
            |test: RatioTest, margin: f64, phi: f64| assert_eq!((test.margin(), test.phi), (margin, phi));
        check(RatioTest::worse_than(0.2, 0.1, 0.1), 1.0, 1.0);
        check(RatioTest::worse_than(f64::NAN, 0.1, f64::NAN), WIDEST_MARGIN, LARGEST_PHI);
        check(RatioTest::worse_than(f64::INFINITY, 0.1, f64::INFINITY), WIDEST_MARGIN, LARGEST_PHI);
        check(RatioTest::milder_than(f64::NAN, 0.1, 3.0), 1.0, 3.0);
    }

    #[test]
    fn a_crossing_is_never_withdrawn_and_evidence_carries_over_margin_and_weight_changes() {
        let mut test = RatioTest::worse_than(1.5, 0.005, 1.0);
        test.observe(&tick(2, 100.0, 3, 1900.0));
        let at_five_percent = test.log_evidence();
        assert!(at_five_percent > 0.0 && !test.has_crossed());
        test.set_margin(1.2);
        test.observe(&tick(8, 500.0, 1, 1500.0));
        assert!(test.log_evidence() > at_five_percent && test.has_crossed());
        test.observe(&tick(0, 500.0, 400, 1500.0));
        assert!(test.log_evidence() < 0.0 && test.has_crossed());
        assert!(test.peak_log_evidence() >= test.log_threshold());
    }

    #[test]
    fn fewer_errors_than_the_harm_limit_pass() {
        let mut test = RatioTest::milder_than(2.0, 0.05, 1.0);
        let ticks_needed = (1..).find(|_| {
            test.observe(&tick(1, 500.0, 2, 1000.0));
            test.has_crossed()
        });
        assert!(ticks_needed.is_some_and(|ticks| (10..60).contains(&ticks)), "{ticks_needed:?}");
    }
}
