//! One answer per metric, from whichever processes the metric has.
//!
//! The budgets are shared here: FAIL processes split `alpha` equally (a union bound), the PASS processes average their
//! evidence, which costs nothing because an average of e-values is an e-value under any dependence.

use crate::absolute::{AbsoluteLimit, AbsoluteTest};
use crate::alpha;
use crate::events::{EventGrid, EventsTest};
use crate::float::log_mean_exp;
use crate::ratio::{RatioTest, TickCounts};
use crate::ratio_interval::{RatioEstimate, RatioInterval};
use serde::{Deserialize, Serialize};

/// What the evidence says about a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Harmful beyond the margin, with at most `alpha` chance of being wrong.
    Fail,
    /// Not harmful enough to matter, with at most `beta` chance of being wrong.
    Pass,
    /// Not enough evidence either way.
    Undecided,
}

impl Verdict {
    /// The verdict on a release from those on its gating metrics: one FAIL fails it, a PASS needs all of them
    /// (and at least one).
    pub fn all(metrics: impl IntoIterator<Item = Self>) -> Self {
        let mut release = None;
        for metric in metrics {
            release = Some(match (release, metric) {
                (Some(Self::Fail), _) | (_, Self::Fail) => Self::Fail,
                (Some(Self::Undecided), _) | (_, Self::Undecided) => Self::Undecided,
                (Some(Self::Pass) | None, Self::Pass) => Self::Pass,
            });
        }
        release.unwrap_or(Self::Undecided)
    }
}

/// Natural logarithm of the mean of several e-values, for instance of the bucket edges of one latency metric: valid
/// under any dependence between them, so no share of the budget is lost. 0 (no evidence) for none.
pub fn average_log_evidence(log_evidence: &[f64]) -> f64 {
    log_mean_exp(log_evidence)
}

/// How a metric is judged; fixed before the release starts. Ranges as in the tests it names. Its numbers are stored as
/// bits, like the evidence they govern.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricPlan {
    /// Chance of a false FAIL granted to this metric over all runs of its evidence.
    #[serde(with = "crate::bits::one")]
    pub alpha: f64,
    /// Chance of passing what must not ship.
    #[serde(with = "crate::bits::one")]
    pub beta: f64,
    /// Overdispersion at the start.
    #[serde(with = "crate::bits::one")]
    pub phi: f64,
    /// Harm ratio to the stable arm that is tolerated; none = no comparison.
    #[serde(with = "crate::bits::optional")]
    pub margin: Option<f64>,
    /// Smallest harm ratio that must not ship.
    #[serde(with = "crate::bits::one")]
    pub refused_ratio: f64,
    /// Absolute limits on the canary; none = no limit.
    pub limit: Option<AbsoluteLimit>,
    /// Events per pod-hour that history allows, see [`crate::events::history_rate`]; none = no history.
    #[serde(with = "crate::bits::optional")]
    pub history_rate: Option<f64>,
}

impl Default for MetricPlan {
    /// A comparison with the defaults of the design: 1.2 tolerated, 2 refused, alpha 0.005, beta 0.05.
    fn default() -> Self {
        Self {
            alpha: 0.005,
            beta: 0.05,
            phi: 1.0,
            margin: Some(1.2),
            refused_ratio: 2.0,
            limit: None,
            history_rate: None,
        }
    }
}

/// All evidence about one metric of one release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricTest {
    plan: MetricPlan,
    run: u32,
    comparison: Option<Comparison>,
    limit: Option<AbsoluteTest>,
    history: Option<EventsTest>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Comparison {
    worse: RatioTest,
    milder: RatioTest,
    interval: RatioInterval,
}

impl MetricTest {
    /// The first run of the evidence.
    pub fn new(plan: MetricPlan) -> Self {
        Self::of_run(plan, 1)
    }

    /// Starts the evidence again, because the stable revision or the sizing of an arm changed under it. The budgets of
    /// all runs together stay within the plan's; margin and overdispersion stay as last set.
    pub fn restart(&mut self) {
        *self = Self::of_run(self.plan, self.run.saturating_add(1));
    }

    fn of_run(plan: MetricPlan, run: u32) -> Self {
        let failing = [plan.margin.is_some(), plan.limit.is_some(), plan.history_rate.is_some()];
        let processes = failing.into_iter().filter(|&present| present).count().max(1);
        let alpha = alpha::of_run(plan.alpha, run) / processes as f64;
        let beta = alpha::of_run(plan.beta, run);
        Self {
            plan,
            run,
            comparison: plan.margin.map(|margin| Comparison {
                worse: RatioTest::worse_than(margin, alpha, plan.phi),
                milder: RatioTest::milder_than(plan.refused_ratio, beta, plan.phi),
                interval: RatioInterval::new(plan.phi),
            }),
            limit: plan.limit.map(|limit| AbsoluteTest::new(limit, alpha, beta, plan.phi)),
            history: plan.history_rate.map(|rate| EventsTest::new(rate, alpha, EventGrid::default())),
        }
    }

    /// Sets the margin for the ticks to come; without a comparison there is nothing to set.
    pub fn set_margin(&mut self, margin: f64) {
        if let Some(comparison) = &mut self.comparison {
            comparison.worse.set_margin(margin);
            self.plan.margin = Some(margin);
        }
    }

    /// Sets the overdispersion for the ticks to come.
    pub fn set_phi(&mut self, phi: f64) {
        self.plan.phi = phi;
        if let Some(Comparison { worse, milder, interval }) = &mut self.comparison {
            worse.set_phi(phi);
            milder.set_phi(phi);
            interval.set_phi(phi);
        }
        if let Some(limit) = &mut self.limit {
            limit.set_phi(phi);
        }
    }

    /// Takes in one tick of both arms, for the comparison and the absolute limit.
    pub fn observe(&mut self, tick: &TickCounts) {
        if let Some(Comparison { worse, milder, interval }) = &mut self.comparison {
            worse.observe(tick);
            milder.observe(tick);
            interval.observe(tick);
        }
        if let Some(limit) = &mut self.limit {
            limit.observe(tick.canary_bad, tick.canary_total);
        }
    }

    /// Takes in `events` during `pod_hours` of new pods, for the comparison with history.
    pub fn observe_events(&mut self, events: u64, pod_hours: f64) {
        if let Some(history) = &mut self.history {
            history.observe(events, pod_hours);
        }
    }

    /// The answer now. A FAIL is never withdrawn; a PASS is, if later ticks speak against it.
    pub fn verdict(&self) -> Verdict {
        let failed = self.comparison.as_ref().is_some_and(|comparison| comparison.worse.has_crossed())
            || self.limit.as_ref().is_some_and(AbsoluteTest::has_exceeded)
            || self.history.as_ref().is_some_and(EventsTest::has_crossed);
        if failed {
            Verdict::Fail
        } else if self.pass_log_evidence().is_some_and(|evidence| evidence >= self.pass_log_threshold()) {
            Verdict::Pass
        } else {
            Verdict::Undecided
        }
    }

    /// Natural logarithm of the evidence for PASS: against "at least the refused ratio *and* above the harmless floor",
    /// averaged over the processes that can speak of it. None when there is none (history alone cannot pass a release).
    pub fn pass_log_evidence(&self) -> Option<f64> {
        let ratio = self.comparison.as_ref().map(|comparison| comparison.milder.log_evidence());
        let floor = self.limit.as_ref().map(AbsoluteTest::harmless_log_evidence);
        match (ratio, floor) {
            (Some(ratio), Some(floor)) => Some(average_log_evidence(&[ratio, floor])),
            (ratio, floor) => ratio.or(floor),
        }
    }

    /// Natural logarithm of the evidence that decides PASS in this run.
    pub fn pass_log_threshold(&self) -> f64 {
        alpha::log_threshold(alpha::of_run(self.plan.beta, self.run))
    }

    /// Which run of the evidence this is, from 1.
    pub fn run(&self) -> u32 {
        self.run
    }

    /// Ratio to the stable arm with an anytime-valid interval that misses with probability at most `miss`.
    pub fn ratio(&self, miss: f64) -> Option<RatioEstimate> {
        self.comparison.as_ref().and_then(|comparison| comparison.interval.estimate(miss))
    }

    /// The comparison with the stable arm, if the metric has one.
    pub fn comparison(&self) -> Option<&RatioTest> {
        self.comparison.as_ref().map(|comparison| &comparison.worse)
    }

    /// The absolute limit, if the metric has one.
    pub fn limit(&self) -> Option<&AbsoluteTest> {
        self.limit.as_ref()
    }

    /// The comparison with history, if the metric has one.
    pub fn history(&self) -> Option<&EventsTest> {
        self.history.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tick(canary_bad: u64, canary_total: f64, stable_bad: u64, stable_total: f64) -> TickCounts {
        TickCounts { canary_bad, canary_total, stable_bad, stable_total }
    }

    fn judge(plan: MetricPlan, ticks: &[TickCounts]) -> Verdict {
        let mut test = MetricTest::new(plan);
        ticks.iter().for_each(|tick| test.observe(tick));
        test.verdict()
    }

    fn limited() -> MetricPlan {
        MetricPlan { limit: Some(AbsoluteLimit::new(0.2)), ..MetricPlan::default() }
    }

    #[test]
    fn verdicts() {
        let check = |plan, ticks: &[TickCounts], expect| assert_eq!(judge(plan, ticks), expect, "{ticks:?}");
        let compared = MetricPlan::default();
        check(compared, &[], Verdict::Undecided);
        check(compared, &[tick(20, 1000.0, 2, 2000.0)], Verdict::Fail);
        check(compared, &[tick(20, 1000.0, 40, 2000.0)], Verdict::Undecided);
        check(compared, &[tick(60, 1000.0, 120, 2000.0)], Verdict::Pass);
        check(compared, &[tick(0, 1000.0, 0, 2000.0)], Verdict::Undecided);
        check(compared, &[tick(500, 1000.0, 1000, 2000.0)], Verdict::Pass);
        // Nobody fails: the comparison cannot speak, the floor can.
        check(limited(), &[tick(0, 2000.0, 0, 2000.0)], Verdict::Pass);
        // Both arms poisoned: the comparison is blind, the limit is not.
        check(limited(), &[tick(500, 1000.0, 1000, 2000.0)], Verdict::Fail);
        check(MetricPlan { margin: None, ..limited() }, &[tick(0, 2000.0, 0, 0.0)], Verdict::Pass);
        check(MetricPlan { margin: None, ..compared }, &[tick(500, 1000.0, 0, 2000.0)], Verdict::Undecided);
    }

    #[test]
    fn a_fail_stays_and_a_pass_does_not() {
        let mut test = MetricTest::new(MetricPlan::default());
        test.observe(&tick(60, 1000.0, 120, 2000.0));
        assert_eq!(test.verdict(), Verdict::Pass);
        test.observe(&tick(40, 1000.0, 20, 2000.0));
        assert_eq!(test.verdict(), Verdict::Undecided);
        test.observe(&tick(200, 1000.0, 20, 2000.0));
        assert_eq!(test.verdict(), Verdict::Fail);
        test.observe(&tick(0, 100_000.0, 10_000, 200_000.0));
        assert_eq!(test.verdict(), Verdict::Fail);
    }

    #[test]
    fn history_fails_a_release_but_cannot_pass_it() {
        let plan = MetricPlan {
            margin: None,
            history_rate: crate::events::history_rate(0, 0.0),
            alpha: 0.002,
            ..MetricPlan::default()
        };
        let mut test = MetricTest::new(plan);
        test.observe_events(0, 10.0);
        assert_eq!((test.verdict(), test.pass_log_evidence()), (Verdict::Undecided, None));
        test.restart();
        test.observe_events(3, 5.0 / 3600.0);
        assert_eq!((test.verdict(), test.run()), (Verdict::Fail, 2));
    }

    /// Overlapping releases: the evidence starts again, and each run needs twice as much of it.
    #[test]
    fn restarts_forget_the_evidence_and_halve_the_budget() {
        let mut test = MetricTest::new(MetricPlan::default());
        let first = test.comparison().map(RatioTest::log_threshold).expect("compared");
        test.observe(&tick(6, 1000.0, 2, 2000.0));
        test.set_margin(3.1);
        test.restart();
        let restarted = test.comparison().expect("compared");
        assert_eq!(restarted.margin(), 3.1);
        assert_eq!(restarted.log_evidence(), 0.0);
        assert!((restarted.log_threshold() - first - 2.0_f64.ln()).abs() < 1e-12);
        assert_eq!(test.ratio(0.05), None);
    }

    #[test]
    fn releases() {
        use Verdict::{Fail, Pass, Undecided};
        let check = |metrics: &[Verdict], expect| assert_eq!(Verdict::all(metrics.iter().copied()), expect);
        check(&[], Undecided);
        check(&[Pass, Pass], Pass);
        check(&[Pass, Undecided], Undecided);
        check(&[Undecided, Pass, Fail], Fail);
        check(&[Fail, Pass], Fail);
    }

    /// 4 KiB of evidence per managed service: three metrics, each with every process.
    #[test]
    fn evidence_is_small() {
        assert!(3 * size_of::<MetricTest>() <= 4096, "{} bytes a metric", size_of::<MetricTest>());
    }
}
