//! "Errors x9.8 [x6.1, x15.9]": the harm ratio with an interval that holds at every tick at once.
//!
//! The interval is the set of ratios whose own point-null e-process (mixed over the whole grid, both sides) has not
//! reached `1/level`.

use crate::alpha::log_threshold;
use crate::float::{exp, log_mean_exp};
use crate::ratio::{TickCounts, overdispersion};
use crate::tilt::Grid;
use serde::{Deserialize, Serialize};

/// Grid points of the ratio, one every 23 %; the log-likelihood is concave, so the ends are located between them.
const POINTS: usize = 48;
const SMALLEST: f64 = 1.0 / 64.0;
const LARGEST: f64 = 256.0;

static RATIOS: Grid<POINTS> = Grid::log_spaced(SMALLEST, LARGEST);

/// Running confidence sequence for the ratio of the canary's bad rate to the stable one's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RatioInterval {
    #[serde(with = "crate::bits")]
    logs: [f64; POINTS],
    #[serde(with = "crate::bits::one")]
    phi: f64,
    seen: bool,
}

/// A ratio with its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RatioEstimate {
    /// Most likely ratio, within [1/64, 256].
    pub ratio: f64,
    /// Lower end; 0 when the data do not bound it.
    pub low: f64,
    /// Upper end; none when the data do not bound it.
    pub high: Option<f64>,
}

impl RatioInterval {
    /// No ticks seen yet; `phi` as in [`crate::RatioTest::worse_than`].
    pub fn new(phi: f64) -> Self {
        Self { logs: [0.0; POINTS], phi: overdispersion(phi), seen: false }
    }

    /// Sets the overdispersion for the ticks to come.
    pub fn set_phi(&mut self, phi: f64) {
        self.phi = overdispersion(phi);
    }

    /// Takes in one tick; skips it when either arm was not exposed.
    pub fn observe(&mut self, tick: &TickCounts) {
        if tick.comparable() && tick.bad() > 0.0 {
            let share = tick.share_at(1.0);
            RATIOS.advance(&mut self.logs, share, tick.canary_bad as f64, tick.bad(), self.phi);
            self.seen = true;
        }
    }

    /// The ratio with an interval that misses the truth, at any time, with probability at most `miss` (0.05 is usual).
    /// None before the first bad event.
    pub fn estimate(&self, miss: f64) -> Option<RatioEstimate> {
        if !self.seen {
            return None;
        }
        let cut = log_mean_exp(&self.logs) - log_threshold(miss);
        let peak =
            (0..POINTS).fold(0, |best, index| if self.logs[index] > self.logs[best] { index } else { best });
        let high = upper_crossing(peak, cut, |index| self.logs[index]);
        let low = upper_crossing(POINTS - 1 - peak, cut, |index| self.logs[POINTS - 1 - index]);
        let at = |position: f64| exp(RATIOS.ln[0] + position * spacing());
        let ratio = at(peak as f64 + self.vertex_offset(peak));
        Some(RatioEstimate {
            ratio,
            low: low.map_or(0.0, |position| at((POINTS - 1) as f64 - position).min(ratio)),
            high: high.map(|position| at(position).max(ratio)),
        })
    }

    /// Vertex of the parabola through the best point and its neighbours, in grid steps from the best point.
    fn vertex_offset(&self, peak: usize) -> f64 {
        if peak == 0 || peak == POINTS - 1 {
            return 0.0;
        }
        let (left, best, right) = (self.logs[peak - 1], self.logs[peak], self.logs[peak + 1]);
        let curvature = left - 2.0 * best + right;
        if curvature < 0.0 { (0.5 * (left - right) / curvature).clamp(-0.5, 0.5) } else { 0.0 }
    }
}

fn spacing() -> f64 {
    (RATIOS.ln[POINTS - 1] - RATIOS.ln[0]) / (POINTS - 1) as f64
}

/// Where, above `peak`, the concave `log` falls through `cut`, in grid steps; none when it does not within the grid.
///
/// A concave function lies below the extension of any of its chords, so the extensions of the chords on both sides
/// bound the crossing from above: the interval errs on the wide side.
fn upper_crossing(peak: usize, cut: f64, log: impl Fn(usize) -> f64) -> Option<f64> {
    let outside = (peak + 1..POINTS).find(|&index| log(index) < cut)?;
    let inside = outside - 1;
    let mut crossing = outside as f64;
    if inside > 0 {
        let slope = log(inside) - log(inside - 1);
        if slope < 0.0 {
            crossing = crossing.min(inside as f64 + (cut - log(inside)) / slope);
        }
    }
    if outside + 1 < POINTS {
        let slope = log(outside + 1) - log(outside);
        if slope < 0.0 {
            crossing = crossing.min(outside as f64 + (cut - log(outside)) / slope);
        }
    }
    Some(crossing.max(peak as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(canary_bad: u64, canary_total: f64, stable_bad: u64, stable_total: f64) -> RatioEstimate {
        let mut interval = RatioInterval::new(1.0);
        interval.observe(&TickCounts { canary_bad, canary_total, stable_bad, stable_total });
        interval.estimate(0.05).expect("bad events were seen")
    }

    #[test]
    fn estimates() {
        /// Beyond a million events the grid, not the data, sets the width.
        const RESOLUTION: f64 = 1.14;
        // The exact ends, found by root finding on the definition: ours may be wider by the resolution, never narrower.
        let check = |counts: (u64, f64, u64, f64), ratio: f64, low: f64, high: f64| {
            let got = estimate(counts.0, counts.1, counts.2, counts.3);
            let wider = |outer: f64| (0.999..RESOLUTION).contains(&outer);
            let high_got = got.high.expect("bounded above");
            let close = (got.ratio / ratio - 1.0).abs() < 0.01;
            assert!(close && wider(low / got.low) && wider(high_got / high), "{got:?}");
        };
        // "canary 43/1180 vs stable 9/2391"
        check((43, 1180.0, 9, 2391.0), 9.68, 3.288, 39.44);
        check((1000, 1e6, 1000, 1e6), 1.0, 0.845, 1.183);
        check((1_000_000, 1e8, 2_000_000, 1e8), 0.5, 0.4781, 0.5227);
    }

    #[test]
    fn one_sided_data_leave_an_end_open() {
        let none_on_canary = estimate(0, 100.0, 50, 100.0);
        assert_eq!(none_on_canary.low, 0.0);
        assert!(none_on_canary.high.is_some_and(|high| high < 0.3), "{none_on_canary:?}");
        let none_on_stable = estimate(50, 100.0, 0, 100.0);
        assert_eq!(none_on_stable.high, None);
        assert!(none_on_stable.low > 3.0, "{none_on_stable:?}");
    }

    #[test]
    fn nothing_seen_is_no_estimate() {
        let mut interval = RatioInterval::new(1.0);
        interval.observe(&TickCounts { canary_total: 10.0, stable_total: 10.0, ..TickCounts::default() });
        interval.observe(&TickCounts { canary_bad: 3, stable_total: 10.0, ..TickCounts::default() });
        assert_eq!(interval.estimate(0.05), None);
    }
}
