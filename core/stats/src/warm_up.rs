//! How long new pods of a service fail more often than usual, learnt from its own pods' beginnings.
//!
//! Cold caches and connection pools make a healthy pod fail in its first seconds. Where old pods were seen to start and
//! to fail then, the same span is left out of the judgement, in both arms; where none was, nothing is left out. A release
//! is never excused by its own beginning.

use crate::gamma;

/// Length of a slice of a pod's life, in seconds.
const SLICE_SECONDS: f64 = 5.0;
/// Slices that may be left out: two minutes. A service that needs longer should say so in its readiness probe.
const SLICES: usize = 24;
/// A slice is cold when the pods failed at more than this multiple of their usual rate,
const WORSE: f64 = 2.0;
/// and when that is this unlikely to be chance, for all slices together.
const CHANCE: f64 = 0.001;

/// What pods counted by their age.
#[derive(Clone, Debug, Default)]
pub struct WarmUp {
    young: [(u64, f64); SLICES],
    grown: (u64, f64),
}

impl WarmUp {
    /// Counts `bad` of `total` requests that a pod served at the age of `seconds`.
    pub fn observe(&mut self, seconds: f64, bad: u64, total: f64) {
        // `as` saturates: any age beyond the slices is grown up.
        let slice = (seconds / SLICE_SECONDS).max(0.0) as usize;
        let (all_bad, all_total) = self.young.get_mut(slice).unwrap_or(&mut self.grown);
        *all_bad = all_bad.saturating_add(bad);
        *all_total += total.max(0.0);
    }

    /// How long a pod warms up, in seconds: to the end of its last cold slice. Zero where grown pods never served anything.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        let (bad, total) = self.grown;
        if total <= 0.0 {
            return 0.0;
        }
        // Half an event more than seen: a rate of zero would make every first error a cold start.
        let usual = (bad as f64 + 0.5) / total;
        let cold = |&(bad, total): &(u64, f64)| {
            bad > 0 && gamma::lower_regularised(bad as f64, WORSE * usual * total) < CHANCE / SLICES as f64
        };
        let last = self.young.iter().rposition(cold);
        last.map_or(0.0, |slice| (slice + 1) as f64 * SLICE_SECONDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `grown` errors in 1,000 requests of grown pods, then `young` errors in 100 requests at each age.
    fn learnt(grown: u64, young: &[(f64, u64)]) -> f64 {
        let mut warm_up = WarmUp::default();
        warm_up.observe(600.0, grown, 1_000.0);
        young.iter().for_each(|(age, bad)| warm_up.observe(*age, *bad, 100.0));
        warm_up.seconds()
    }

    #[test]
    fn what_counts_as_warming_up() {
        for (name, grown, young, seconds) in [
            ("no pod was seen to start", 10, vec![], 0.0),
            ("as many errors as ever", 10, vec![(3.0, 1), (8.0, 2), (13.0, 0)], 0.0),
            ("one error where there were none", 0, vec![(3.0, 1)], 0.0),
            ("a third fails in the first seconds", 10, vec![(3.0, 30), (8.0, 2)], 5.0),
            ("to the end of the last cold slice", 10, vec![(3.0, 30), (8.0, 1), (17.0, 20), (22.0, 1)], 20.0),
            ("later than two minutes is grown up", 10, vec![(121.0, 90)], 0.0),
        ] {
            assert_eq!(learnt(grown, &young), seconds, "{name}");
        }
    }

    #[test]
    fn nothing_is_learnt_without_grown_pods() {
        let mut warm_up = WarmUp::default();
        warm_up.observe(2.0, 50, 100.0);
        assert_eq!(warm_up.seconds(), 0.0);
    }
}
