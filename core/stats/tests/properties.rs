//! What must hold for every input: fairness on good releases, finite evidence, exact replays.

use proptest::prelude::*;
use trimtab_stats::sample_ratio::DEFAULT_TOLERANCE;
use trimtab_stats::{
    AbsoluteLimit, AbsoluteTest, EventGrid, EventsTest, Harm, MetricPlan, MetricTest, RatioInterval,
    RatioTest, SampleRatioTest, TickCounts,
};

/// Weights `(count, probability)` of a Binomial(n, p), by recurrence from 0.
fn binomial(n: u32, p: f64) -> Vec<f64> {
    let mut weights = vec![(1.0 - p).powi(n as i32)];
    for k in 1..=n {
        let previous = weights[k as usize - 1];
        weights.push(previous * f64::from(n - k + 1) / f64::from(k) * p / (1.0 - p));
    }
    weights
}

/// Exact expectation of the e-value after one tick: no sampling error to hide behind.
fn expected_e_value(start: &RatioTest, canary: (u32, f64), stable: (u32, f64)) -> f64 {
    let mut expectation = 0.0;
    for (canary_bad, canary_weight) in (0..).zip(binomial(canary.0, canary.1)) {
        for (stable_bad, stable_weight) in (0..).zip(binomial(stable.0, stable.1)) {
            let mut test = start.clone();
            test.observe(&TickCounts {
                canary_bad,
                canary_total: f64::from(canary.0),
                stable_bad,
                stable_total: f64::from(stable.0),
            });
            expectation += canary_weight * stable_weight * test.log_evidence().exp();
        }
    }
    expectation
}

fn tick() -> impl Strategy<Value = TickCounts> {
    (0_u64..30, 1.0..1e4_f64, 0_u64..30, 1.0..1e4_f64).prop_map(
        |(canary_bad, canary_total, stable_bad, stable_total)| TickCounts {
            canary_bad,
            canary_total,
            stable_bad,
            stable_total,
        },
    )
}

/// Counts up to 2^53 and exposures of every magnitude, broken ones included.
fn extreme_tick() -> impl Strategy<Value = TickCounts> {
    let count = || prop_oneof![Just(0), 0_u64..10, 0..=(1_u64 << 53), Just(1_u64 << 53)];
    let exposure = || prop_oneof![0.0..10.0_f64, Just(9_007_199_254_740_992.0), any::<f64>()];
    (count(), exposure(), count(), exposure()).prop_map(
        |(canary_bad, canary_total, stable_bad, stable_total)| TickCounts {
            canary_bad,
            canary_total,
            stable_bad,
            stable_total,
        },
    )
}

fn every_process() -> MetricPlan {
    MetricPlan { limit: Some(AbsoluteLimit::new(0.2)), history_rate: Some(0.01), ..MetricPlan::default() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, rng_seed: proptest::test_runner::RngSeed::Fixed(20_260_823), failure_persistence: None, ..ProptestConfig::default() })]

    /// The FAIL process is fair to any release at or below the margin, whatever the error level, the split, the
    /// overdispersion and the evidence so far.
    #[test]
    fn fail_evidence_is_not_expected_to_grow_on_a_good_release(
        canary in 1_u32..14, stable in 1_u32..14, bad in 0.001..0.6_f64, part_of_margin in 0.0..=1.0_f64,
        margin in 1.0..4.0_f64, phi in 1.0..3.0_f64, before in proptest::collection::vec(tick(), 0..3),
    ) {
        let mut test = RatioTest::worse_than(margin, 0.005, phi);
        before.iter().for_each(|tick| test.observe(tick));
        let now = test.log_evidence().exp();
        let canary_rate = (part_of_margin * margin * bad).min(0.99);
        let next = expected_e_value(&test, (canary, canary_rate), (stable, bad));
        prop_assert!(next <= now * (1.0 + 1e-9), "{next} after {now}");
    }

    /// The PASS process is fair to any release at or beyond the refused ratio.
    #[test]
    fn pass_evidence_is_not_expected_to_grow_on_a_harmful_release(
        canary in 1_u32..14, stable in 1_u32..14, bad in 0.001..0.2_f64, beyond in 1.0..3.0_f64,
        refused in 1.0..3.0_f64, before in proptest::collection::vec(tick(), 0..3),
    ) {
        let mut test = RatioTest::milder_than(refused, 0.05, 1.0);
        before.iter().for_each(|tick| test.observe(tick));
        let now = test.log_evidence().exp();
        prop_assume!(refused * beyond * bad < 1.0);
        let next = expected_e_value(&test, (canary, refused * beyond * bad), (stable, bad));
        prop_assert!(next <= now * (1.0 + 1e-9), "{next} after {now}");
    }

    /// One arm: fair at every share up to half the limit, and the mirror at every share from the floor.
    #[test]
    fn absolute_evidence_is_not_expected_to_grow_under_its_null(
        total in 1_u32..40, limit in 0.05..0.9_f64, part in 0.0..=1.0_f64, before in 0_u64..5,
    ) {
        let mut start = AbsoluteTest::new(AbsoluteLimit { limit, harmless: 0.01 }, 0.005, 0.05, 1.0);
        start.observe(before, 5.0);
        let expected = |share: f64, read: fn(&AbsoluteTest) -> f64| -> f64 {
            (0..).zip(binomial(total, share)).map(|(bad, weight)| {
                let mut test = start.clone();
                test.observe(bad, f64::from(total));
                weight * read(&test).exp()
            }).sum()
        };
        let fair = |share, read: fn(&AbsoluteTest) -> f64| expected(share, read) <= read(&start).exp() * (1.0 + 1e-9);
        prop_assert!(fair(part * limit * 0.5, AbsoluteTest::log_evidence));
        prop_assert!(fair(0.01 + part * 0.9, AbsoluteTest::harmless_log_evidence));
    }

    /// History: fair at every Poisson rate up to the baseline (the sum is cut where the tail is negligible).
    #[test]
    fn event_evidence_is_not_expected_to_grow_at_the_baseline(baseline in 0.001..5.0_f64, part in 0.01..=1.0_f64, hours in 0.001..2.0_f64) {
        let mean = baseline * part * hours;
        let mut weight = (-mean).exp();
        let mut expectation = 0.0;
        for events in 0..60_u64 {
            let mut test = EventsTest::new(baseline, 0.005, EventGrid { farthest: 20.0, ..EventGrid::default() });
            test.observe(events, hours);
            expectation += weight * test.log_evidence().exp();
            weight *= mean / (events + 1) as f64;
        }
        prop_assert!(expectation <= 1.0 + 1e-9, "{expectation}");
    }

    /// The split of requests: fair at any weight whose odds are within the tolerance.
    #[test]
    fn a_plausible_split_is_seldom_doubted(weight in 0.02..0.98_f64, requests in 1_u32..400) {
        let doubted: f64 = (0..).zip(binomial(requests, weight)).filter(|(canary, _)| {
            let mut test = SampleRatioTest::new(DEFAULT_TOLERANCE, 0.01);
            test.observe(*canary, u64::from(requests) - *canary, weight);
            test.split() != trimtab_stats::TrafficSplit::Plausible
        }).map(|(_, probability)| probability).sum();
        prop_assert!(doubted <= 0.01, "{doubted}");
    }

    /// A bad event on the canary never lowers the FAIL evidence, one on the stable arm never raises it, and the
    /// interval moves with them.
    #[test]
    fn evidence_is_monotone(tick in tick(), more in 1_u64..20) {
        let evidence = |tick: TickCounts| {
            let mut test = RatioTest::worse_than(1.2, 0.005, 1.0);
            test.observe(&tick);
            test.log_evidence()
        };
        let worse = TickCounts { canary_bad: tick.canary_bad + more, ..tick };
        let milder = TickCounts { stable_bad: tick.stable_bad + more, ..tick };
        prop_assert!(evidence(worse) >= evidence(tick) - 1e-9);
        prop_assert!(evidence(milder) <= evidence(tick) + 1e-9);
    }

    /// With the arms exchanged, "at most r times worse" is "at least 1/r times worse": at r = 1 the two processes are
    /// mirror images.
    #[test]
    fn exchanging_the_arms_exchanges_the_tests(ticks in proptest::collection::vec(tick(), 1..20)) {
        let mut worse = RatioTest::worse_than(1.0, 0.005, 1.0);
        let mut milder = RatioTest::milder_than(1.0, 0.005, 1.0);
        for tick in &ticks {
            worse.observe(tick);
            milder.observe(&TickCounts {
                canary_bad: tick.stable_bad,
                canary_total: tick.stable_total,
                stable_bad: tick.canary_bad,
                stable_total: tick.canary_total,
            });
        }
        let difference = (worse.log_evidence() - milder.log_evidence()).abs();
        prop_assert!(difference <= 1e-9 * (1.0 + worse.log_evidence().abs()), "{difference}");
    }

    /// No input, however broken, makes evidence NaN or infinite, or an interval miss its own estimate.
    #[test]
    fn evidence_stays_finite(ticks in proptest::collection::vec(extreme_tick(), 1..12), phi in any::<f64>(), margin in any::<f64>()) {
        let mut test = MetricTest::new(MetricPlan { phi, margin: Some(margin), ..every_process() });
        let mut harm = Harm::new(phi);
        let mut split = SampleRatioTest::new(margin, phi);
        for tick in &ticks {
            test.observe(tick);
            test.observe_events(tick.canary_bad, tick.canary_total);
            test.set_margin(phi);
            harm.observe(tick);
            split.observe(tick.canary_bad, tick.stable_bad, tick.canary_total);
        }
        let parts = [
            test.comparison().map(RatioTest::log_evidence),
            test.comparison().map(RatioTest::peak_log_evidence),
            test.comparison().map(RatioTest::log_threshold),
            test.limit().map(AbsoluteTest::log_evidence),
            test.limit().map(AbsoluteTest::harmless_log_evidence),
            test.history().map(EventsTest::log_evidence),
            test.pass_log_evidence(),
        ];
        prop_assert!(parts.iter().all(|part| part.is_some_and(f64::is_finite)), "{parts:?}");
        if let Some(ratio) = test.ratio(0.05) {
            prop_assert!(ratio.low <= ratio.ratio && ratio.high.is_none_or(|high| ratio.ratio <= high), "{ratio:?}");
        }
        if let Some(rate) = test.limit().and_then(|limit| limit.estimate(0.05)) {
            prop_assert!(0.0 <= rate.low && rate.low <= rate.rate && rate.rate <= rate.high && rate.high <= 1.0, "{rate:?}");
        }
        let bill = harm.estimate();
        prop_assert!(bill.low <= bill.requests && bill.requests <= bill.high && bill.high.is_finite(), "{bill:?}");
    }

    /// Stored and read back between any two ticks, the evidence goes on with the same bits.
    #[test]
    fn a_restart_of_the_controller_changes_no_bit(
        ticks in proptest::collection::vec(extreme_tick(), 1..12), stop in 0_usize..12, share in 0.001..0.5_f64,
    ) {
        let mut through = MetricTest::new(MetricPlan {
            alpha: share / 3.0,
            margin: Some(1.0 + share),
            limit: Some(AbsoluteLimit { limit: share, harmless: share * share }),
            history_rate: Some(share / 7.0),
            ..MetricPlan::default()
        });
        let mut stored = through.clone();
        for (number, tick) in ticks.iter().enumerate() {
            if number == stop {
                let json = serde_json::to_string(&stored).expect("evidence has no unserialisable part");
                stored = serde_json::from_str(&json).expect("what was written can be read");
            }
            for test in [&mut through, &mut stored] {
                if number == 8 {
                    test.restart();
                }
                test.observe(tick);
                test.observe_events(tick.canary_bad, tick.canary_total);
            }
        }
        prop_assert_eq!(serde_json::to_string(&through).ok(), serde_json::to_string(&stored).ok());
        prop_assert_eq!(through.verdict(), stored.verdict());
    }

    /// The interval holds the ratio of the tick's own rates whenever the grid reaches that far.
    #[test]
    fn the_interval_holds_the_observed_ratio(tick in tick(), level in 0.001..0.2_f64) {
        let observed = tick.canary_bad as f64 * tick.stable_total / (tick.stable_bad as f64 * tick.canary_total);
        prop_assume!(observed > 0.02 && observed < 200.0);
        let mut interval = RatioInterval::new(1.0);
        interval.observe(&tick);
        let got = interval.estimate(level).expect("bad events were seen");
        prop_assert!(got.low <= observed && got.high.is_none_or(|high| observed <= high), "{got:?} {observed}");
    }
}

/// The exact bits of one fixed history. A change here means that recorded decisions no longer replay.
#[test]
fn replays_are_bit_identical() {
    let run = || {
        let mut test = RatioTest::worse_than(1.2, 0.005, 1.0);
        for number in 0..120_u64 {
            test.set_margin(1.2 + 0.01 * (number % 7) as f64);
            test.observe(&TickCounts {
                canary_bad: number % 5,
                canary_total: 500.0 + number as f64,
                stable_bad: number % 3,
                stable_total: 1000.0,
            });
        }
        test.log_evidence().to_bits()
    };
    assert_eq!(run(), run());
    assert_eq!(format!("{:016x}", run()), "40473c1f2e9a7950");
}

/// Stored evidence that was cut short or tampered with is refused, not misread.
#[test]
fn broken_evidence_is_refused() {
    let json = serde_json::to_string(&RatioInterval::new(1.0)).expect("an interval can be written");
    let check = |from: &str, to: &str| {
        assert!(json.contains(from));
        assert!(
            serde_json::from_str::<RatioInterval>(&json.replacen(from, to, 1)).is_err(),
            "{from} -> {to}"
        );
    };
    check("0000", "");
    check("00000000", "zzzzzzzz");
    check("0000000000000000", "7ff8000000000000");
}
