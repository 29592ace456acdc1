//! A metrics server that is behind, with all pods or with some: what is found comes later, and is the same.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use trimtab_judge::finding::{Finding, FindingState, finding_line};
use trimtab_judge::rule::built_in;
use trimtab_stats::Verdict;

use crate::lab::{Lab, at_ms, instant, lab};

fn requests() -> Lab {
    lab(built_in().swap_remove(0).kind)
}

/// The lab with its samples late by shard: those of old pods, and those of new ones.
fn late(lab: Lab, old: [f64; 3], new: f64) -> Lab {
    let lab = ["a", "b", "c"].into_iter().zip(old).fold(lab, |lab, (pod, seconds)| lab.late(pod, seconds));
    lab.late("x", new)
}

/// What was found after every look, until `until`, with looks so many seconds apart.
fn told(lab: &Lab, until: f64, every: f64) -> Vec<Finding> {
    let mut judge = lab.judge();
    let looks = (1..).map(|n| f64::from(n) * every).take_while(|at| *at <= until);
    looks
        .map(|at| {
            lab.look(&mut judge, at);
            judge.findings(instant(at)).remove(0)
        })
        .collect()
}

/// The evidence after each tick: exposure of the new pods, and everything that was counted and concluded by then.
fn ticks(told: &[Finding]) -> BTreeMap<u64, String> {
    let evidence = |finding: &Finding| {
        let Finding { counts, ratio, evidence, harmed, .. } = finding;
        (counts.canary_total.to_bits(), format!("{counts:?} {ratio:?} {evidence:?} {harmed:?}"))
    };
    told.iter().filter(|finding| finding.counts.canary_total > 0.0).map(evidence).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() })]

    /// Every tick is one that a server without lag would have given.
    #[test]
    fn any_lag_finds_the_same(
        old in [0.0..59.0_f64, 0.0..59.0, 0.0..59.0],
        new in 0.0..59.0_f64,
        stable in 0.0..0.2_f64,
        canary in 0.0..0.4_f64,
    ) {
        let lab = requests().traffic(400.0, (9.0, stable), (9.0, canary));
        let expected = ticks(&told(&lab, 300.0, 0.25));
        let behind = told(&late(lab, old, new), 360.0, 1.0);
        let found = ticks(&behind);
        for (exposure, evidence) in &found {
            if let Some(same) = expected.get(exposure) {
                prop_assert_eq!(evidence, same);
            } else {
                let beyond = expected.keys().next_back().is_none_or(|last| exposure > last);
                prop_assert!(beyond, "no such tick without lag: {}", evidence);
            }
        }
        let at_the_end = told(&requests().traffic(400.0, (9.0, stable), (9.0, canary)), 280.0, 1.0);
        prop_assert_eq!(behind.last().map(|f| f.verdict), at_the_end.last().map(|f| f.verdict));
    }
}

#[test]
fn old_pods_that_are_behind_are_waited_for() {
    // The past is clean, and an incident befalls old and new pods alike: the past alone would blame the release.
    let mut incident = requests();
    for pod in ["a", "b", "c", "x"] {
        let from = if pod == "x" { 2.0 } else { -598.0 };
        let bad: Vec<(f64, f64)> =
            (0..20).map(|n| f64::from(n) * 15.0 + 2.0).map(|at| (at, at * 4.0)).collect();
        incident = incident.grows("http_requests_total{code=200}", pod, from..300.0, 10.0);
        incident = incident.samples("http_requests_total{code=500}", pod, &bad);
    }
    // The absolute limit speaks of the new pods alone.
    if let trimtab_judge::rule::RuleKind::Ratio(ratio) = &mut incident.rules[0].kind {
        ratio.limit = None;
    }
    for (name, seconds) in [("no lag", 0.0), ("more than a window's overlap", 45.0), ("the most", 58.0)] {
        let found = told(&late(incident.clone(), [seconds; 3], 0.0), 290.0, 1.0);
        let failed = found.iter().find(|finding| finding.verdict == Verdict::Fail);
        assert_eq!(failed.map(finding_line), None, "{name}");
        let last = found.last().expect("there were looks");
        assert!(last.counts.canary_total > 2000.0, "{name}: {}", finding_line(last));
    }
}

#[test]
fn old_pods_that_went_while_the_server_was_behind_are_counted_where_they_belong() {
    let lab = late(requests().traffic(120.0, (9.0, 0.3), (9.0, 0.3)), [40.0; 3], 0.0);
    let mut judge = lab.judge();
    let mut gone = lab.clone();
    for pod in ["a", "b", "c"] {
        gone = gone.gone(pod, 100.0);
    }
    for at in 1..=170 {
        let lab = if at < 100 { &lab } else { &gone };
        lab.look(&mut judge, f64::from(at));
    }
    let counts = judge.findings(instant(170.0))[0].counts;
    // Three old pods have three times the requests of the new one, in every tick until the last of them.
    let share = counts.stable_total / counts.canary_total;
    assert!((2.5..3.5).contains(&share), "{counts:?}");
}

#[test]
fn samples_that_nobody_waits_for_are_said_and_counted() {
    let lab = late(requests().traffic(400.0, (9.0, 0.01), (9.0, 0.01)), [0.0; 3], 100.0);
    let found = told(&lab, 300.0, 1.0);
    let last = found.last().expect("there were looks");
    let FindingState::TelemetryLost(why) = &last.state else { panic!("{}", finding_line(last)) };
    assert_eq!(why, "samples come 100 s late; they are waited for 60 s");
    let until = at_ms(300.0 - 100.0) - at_ms(0.0);
    let there = until as f64 / 1000.0 * 9.0;
    assert!(last.counts.canary_total > there - 200.0, "late samples count: {:?}", last.counts);
}
