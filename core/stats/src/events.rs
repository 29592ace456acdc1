//! Events against history: panics, crashes, database errors when everything is replaced at once and no old pod is left
//! to compare with.
//!
//! The previous revision's `K` events in `T0` pod-hours bound its rate from above by `lambda0`, the 95 % point of
//! Gamma(K + 1/2, T0). Evidence against "the rate is at most `lambda0`" is a mixture of Poisson likelihood ratios over a
//! log-spaced grid of higher rates. "Any panic rolls back" is then a consequence for services that never panic, and
//! relaxes by itself for those that do. With old pods still running, use [`crate::RatioTest`] with pod-seconds instead.

use crate::alpha::log_threshold;
use crate::float::{exp, ln, log_mean_exp};
use crate::gamma::quantile;
use serde::{Deserialize, Serialize};

/// Pod-hours without an event that are credited to a history without events: a week of one pod. Without it a young
/// service, whose short history bounds nothing, could panic at every start unnoticed.
pub const QUIET_PRIOR_HOURS: f64 = 168.0;

/// Most grid points of one test.
pub const MAX_GRID_POINTS: usize = 64;

const UPPER_PROBABILITY: f64 = 0.95;

/// Upper bound of the event rate, per hour of exposure, after `events` in `exposure_hours`: the 95 % point of
/// Gamma(events + 1/2, exposure). None unless the exposure is positive and finite.
pub fn upper_rate(events: u64, exposure_hours: f64) -> Option<f64> {
    let usable = exposure_hours.is_finite() && exposure_hours > 0.0;
    usable
        .then(|| quantile(UPPER_PROBABILITY, events as f64 + 0.5) / exposure_hours)
        .filter(|rate| rate.is_finite())
}

/// The baseline rate per pod-hour to hold a release against: [`upper_rate`] of its history, to which
/// [`QUIET_PRIOR_HOURS`] are added when, and only when, it has no event. None when events come without exposure: such a
/// history cannot be a baseline.
pub fn history_rate(events: u64, exposure_hours: f64) -> Option<f64> {
    let hours = if exposure_hours.is_finite() { exposure_hours.max(0.0) } else { 0.0 };
    upper_rate(events, if events == 0 { hours + QUIET_PRIOR_HOURS } else { hours })
}

/// Alternatives, as multiples of the baseline rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventGrid {
    /// Nearest alternative, above 1.
    #[serde(with = "crate::bits::one")]
    pub nearest: f64,
    /// Farthest alternative. It caps what a single event can say: on a log-spaced grid of ends `a` and `b` one event at
    /// once is worth about `(b - a) / ln(b / a)`, because the mixture averages the ratios themselves.
    #[serde(with = "crate::bits::one")]
    pub farthest: f64,
    /// Grid points, 2 to [`MAX_GRID_POINTS`].
    pub points: u16,
}

impl Default for EventGrid {
    /// `[2, 50000]` in 56 points. The end is so far out that ONE event seconds after the start of a service with 168
    /// quiet pod-hours is evidence beyond 1/0.001: a service that crashes as it starts has a rate of hundreds per hour,
    /// tens of thousands of times its baseline. With the end at 5000 that event is worth 639 at most, and an owner whose
    /// share of the budget is 0.001 would have to wait for the second crash. Rates that the exposure already excludes
    /// drop out of the mixture by themselves, so the far end costs 23 % of the evidence on slower ones.
    fn default() -> Self {
        Self { nearest: 2.0, farthest: 50_000.0, points: 56 }
    }
}

impl EventGrid {
    fn log_multiples(&self) -> ([f64; MAX_GRID_POINTS], usize) {
        let nearest = if self.nearest > 1.0 && self.nearest.is_finite() { self.nearest } else { 2.0 };
        let farthest = if self.farthest.is_finite() { self.farthest.max(nearest) } else { nearest };
        let points = usize::from(self.points).clamp(2, MAX_GRID_POINTS);
        let mut logs = [0.0; MAX_GRID_POINTS];
        for (index, log) in logs.iter_mut().take(points).enumerate() {
            let along = index as f64 / (points - 1) as f64;
            *log = ln(nearest) + (ln(farthest) - ln(nearest)) * along;
        }
        (logs, points)
    }
}

/// Running evidence that events come faster than history allows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventsTest {
    grid: EventGrid,
    #[serde(with = "crate::bits::one")]
    baseline: f64,
    #[serde(with = "crate::bits::one")]
    log_threshold: f64,
    events: u64,
    #[serde(with = "crate::bits::one")]
    hours: f64,
    #[serde(with = "crate::bits::one")]
    peak: f64,
}

impl EventsTest {
    /// Evidence against "at most `baseline` events per pod-hour", usually [`history_rate`]; `alpha` bounds false alarms.
    /// A baseline that is not a positive number is read as the largest: nothing would then be evidence.
    pub fn new(baseline: f64, alpha: f64, grid: EventGrid) -> Self {
        let baseline = if baseline > 0.0 { baseline.clamp(MIN_RATE, MAX_RATE) } else { MAX_RATE };
        Self { grid, baseline, log_threshold: log_threshold(alpha), events: 0, hours: 0.0, peak: 0.0 }
    }

    /// Takes in `events` during `exposure_hours` of all new pods together. A crash before the first scraped second has
    /// no exposure and still counts; a negative or unknown exposure makes the tick unusable and is skipped whole.
    pub fn observe(&mut self, events: u64, exposure_hours: f64) {
        if !(exposure_hours.is_finite() && exposure_hours >= 0.0) {
            return;
        }
        self.events = self.events.saturating_add(events);
        self.hours = (self.hours + exposure_hours).min(MAX_HOURS);
        self.peak = self.peak.max(self.log_evidence());
    }

    /// Natural logarithm of the evidence now; always finite.
    pub fn log_evidence(&self) -> f64 {
        let (mut logs, points) = self.grid.log_multiples();
        for log in &mut logs[..points] {
            *log = self.events as f64 * *log - (exp(*log) - 1.0) * self.baseline * self.hours;
        }
        log_mean_exp(&logs[..points])
    }

    /// The highest [`Self::log_evidence`] of any tick so far.
    pub fn peak_log_evidence(&self) -> f64 {
        self.peak
    }

    /// Natural logarithm of the evidence that decides.
    pub fn log_threshold(&self) -> f64 {
        self.log_threshold
    }

    /// Events seen so far.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Whether the threshold was reached at any tick so far; never withdrawn.
    pub fn has_crossed(&self) -> bool {
        self.peak >= self.log_threshold
    }
}

/// Rates per hour and hours outside these ranges are beyond any service and would only overflow.
const MIN_RATE: f64 = 1e-12;
const MAX_RATE: f64 = 1e12;
const MAX_HOURS: f64 = 1e12;

#[cfg(test)]
mod tests {
    use super::*;

    const REFERENCE: EventGrid = EventGrid { nearest: 2.0, farthest: 5000.0, points: 40 };
    const WEEK_OF_THREE_PODS: f64 = 504.0;

    #[test]
    fn baselines() {
        let check = |got: Option<f64>, expect: f64| {
            let got = got.expect("a baseline");
            assert!((got / expect - 1.0).abs() < 1e-3, "{got} is not {expect}");
        };
        check(upper_rate(0, WEEK_OF_THREE_PODS), 0.003_811);
        check(history_rate(0, 0.0), 0.011_433);
        check(history_rate(0, f64::NAN), 0.011_433);
        check(history_rate(0, WEEK_OF_THREE_PODS), 0.002_858);
        check(history_rate(1, WEEK_OF_THREE_PODS), 0.007_753);
        check(history_rate(50, WEEK_OF_THREE_PODS), 0.124_463);
        check(history_rate(500, WEEK_OF_THREE_PODS), 1.067_18);
        for hours in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(history_rate(3, hours), None, "{hours}");
        }
    }

    /// Events, all in the last of `seconds` on three pods, that a release needs to FAIL.
    fn events_to_fail(history: Option<f64>, seconds: f64, alpha: f64, grid: EventGrid) -> u64 {
        let baseline = history.expect("a baseline");
        let fails = |events: &u64| {
            let mut test = EventsTest::new(baseline, alpha, grid);
            test.observe(0, 3.0 * (seconds - 1.0) / 3600.0);
            test.observe(*events, 3.0 / 3600.0);
            test.has_crossed()
        };
        (0..1000).find(fails).expect("enough events always fail")
    }

    #[test]
    fn one_event_seconds_after_start_fails_a_quiet_service() {
        let quiet_week_of_one_pod = upper_rate(0, 168.0);
        for seconds in [1.0, 5.0, 10.0] {
            assert_eq!(
                events_to_fail(quiet_week_of_one_pod, seconds, 0.001, EventGrid::default()),
                1,
                "{seconds}"
            );
            assert_eq!(
                events_to_fail(history_rate(0, 0.0), seconds, 0.001, EventGrid::default()),
                1,
                "{seconds}"
            );
            assert_eq!(events_to_fail(quiet_week_of_one_pod, seconds, 0.001, REFERENCE), 2, "{seconds}");
        }
    }

    /// "One panic fails the release; a service with 50 a week needs 2-3 in quick succession; 500 a week needs 4-7."
    #[test]
    fn the_reference_figures() {
        let check = |history: u64, seconds: f64, expect: std::ops::RangeInclusive<u64>| {
            let rate = upper_rate(history, WEEK_OF_THREE_PODS);
            for grid in [REFERENCE, EventGrid::default()] {
                let needed = events_to_fail(rate, seconds, 0.005, grid);
                assert!(expect.contains(&needed), "{history} in a week, {seconds} s: {needed} with {grid:?}");
            }
        };
        for seconds in [15.0, 30.0, 60.0, 120.0] {
            check(0, seconds, 1..=1);
        }
        check(50, 60.0, 2..=3);
        check(50, 300.0, 2..=3);
        check(500, 600.0, 4..=7);
        check(500, 300.0, 4..=7);
    }

    #[test]
    fn nonsense_is_no_evidence() {
        let check = |baseline: f64, grid: EventGrid| {
            let mut test = EventsTest::new(baseline, 0.005, grid);
            for hours in [f64::NAN, -1.0, f64::INFINITY] {
                test.observe(5, hours);
            }
            assert_eq!((test.events(), test.log_evidence()), (0, 0.0));
            test.observe(u64::MAX, 1e300);
            test.observe(u64::MAX, 1e300);
            assert!(test.log_evidence().is_finite() && test.peak_log_evidence().is_finite());
        };
        check(f64::NAN, EventGrid::default());
        check(-1.0, EventGrid { nearest: f64::NAN, farthest: f64::INFINITY, points: 0 });
        check(1e300, EventGrid { nearest: 0.1, farthest: 0.1, points: u16::MAX });
    }
}
