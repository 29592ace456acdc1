//! The one likelihood ratio behind every test here: of `events`, `hits` fell to the canary, when a share `p` was
//! expected, against the alternative that the canary's odds are `m` times those.
//!
//! `ln LR = hits * ln m - events * ln(1 + p * (m - 1))`: one logarithm per grid point, nothing that can overflow, and
//! the expectation of `LR` is at most 1 whenever the true odds are on the null's side.

use crate::float::{exp, ln, ln_1p, log_mean_exp};
use serde::{Deserialize, Serialize};

/// Alternatives mixed by one test.
pub(crate) const POINTS: usize = 24;
const NEAREST: f64 = 1.25;
const FARTHEST: f64 = 64.0;

/// Log-spaced odds multipliers with what the update needs of them.
pub(crate) struct Grid<const N: usize> {
    pub(crate) ln: [f64; N],
    less_one: [f64; N],
}

impl<const N: usize> Grid<N> {
    pub(crate) const fn log_spaced(from: f64, to: f64) -> Self {
        let (first, last) = (ln(from), ln(to));
        let mut grid = Self { ln: [0.0; N], less_one: [0.0; N] };
        let mut index = 0;
        while index < N {
            grid.ln[index] = first + (last - first) * (index as f64 / (N - 1) as f64);
            grid.less_one[index] = exp(grid.ln[index]) - 1.0;
            index += 1;
        }
        grid
    }

    /// Adds one batch to the log-likelihood ratio of every grid point.
    pub(crate) fn advance(&self, logs: &mut [f64; N], share: f64, hits: f64, events: f64, phi: f64) {
        for ((log, ln), less_one) in logs.iter_mut().zip(&self.ln).zip(&self.less_one) {
            *log += (hits * ln - events * ln_1p(share * less_one)) / phi;
        }
    }
}

static MORE: Grid<POINTS> = Grid::log_spaced(NEAREST, FARTHEST);
static LESS: Grid<POINTS> = Grid::log_spaced(1.0 / NEAREST, 1.0 / FARTHEST);

/// Which alternative gathers evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Direction {
    /// The canary has more than its share of the hits.
    More,
    /// The canary has less than its share of the hits.
    Less,
}

impl Direction {
    pub(crate) fn grid(self) -> &'static Grid<POINTS> {
        match self {
            Self::More => &MORE,
            Self::Less => &LESS,
        }
    }
}

/// Evidence of one direction; starts at 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Evidence {
    direction: Direction,
    #[serde(with = "crate::bits")]
    logs: [f64; POINTS],
    #[serde(with = "crate::bits::one")]
    peak: f64,
}

impl Evidence {
    pub(crate) fn none(direction: Direction) -> Self {
        Self { direction, logs: [0.0; POINTS], peak: 0.0 }
    }

    /// `share` in [0, 1] must have been fixed before `hits` of `events` were seen.
    pub(crate) fn advance(&mut self, share: f64, hits: f64, events: f64, phi: f64) {
        if events > 0.0 {
            self.direction.grid().advance(&mut self.logs, share, hits, events, phi);
            self.peak = self.peak.max(self.log());
        }
    }

    pub(crate) fn log(&self) -> f64 {
        log_mean_exp(&self.logs)
    }

    /// Ville's inequality bounds the highest value ever reached, so a crossing stays a crossing.
    pub(crate) fn peak(&self) -> f64 {
        self.peak
    }

    pub(crate) fn direction(&self) -> Direction {
        self.direction
    }
}

/// Evidence of the same kind from cumulative counts, for tests whose null does not move between ticks.
pub(crate) fn log_evidence_of_totals(direction: Direction, share: f64, hits: f64, events: f64) -> f64 {
    let mut logs = [0.0; POINTS];
    direction.grid().advance(&mut logs, share, hits, events, 1.0);
    log_mean_exp(&logs)
}
