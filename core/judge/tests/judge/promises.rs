//! What holds for any samples: the product's promises, as properties.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::SeedableRng as _;
use trimtab_judge::rule::{
    AlertRule, ArmLabel, EventsRule, Origin, RatioRule, RatioSource, Rule, RuleKind, built_in,
};
use trimtab_promql::Sample;
use trimtab_stats::Verdict;

use crate::lab::{Lab, at_ms, instant, lab};

/// A series of one pod: how it was scraped, and what it gained each time.
#[derive(Clone, Debug)]
struct Story {
    series: usize,
    pod: usize,
    from: i32,
    every: i32,
    gains: Vec<Gain>,
}

#[derive(Clone, Copy, Debug)]
enum Gain {
    Some(u8),
    Reset(u8),
    Missed,
}

const SERIES: [&str; 6] = [
    "http_requests_total{code=200}",
    "http_requests_total{code=500}",
    "grpc_server_handled_total{grpc_code=OK}",
    "db_errors_total{db=orders}",
    "db_errors_total{db=users}",
    "queue_length",
];
const PODS: [&str; 6] = ["a", "b", "c", "x", "y", "z"];

fn story() -> impl Strategy<Value = Story> {
    let gain = prop_oneof![
        8 => any::<u8>().prop_map(Gain::Some),
        2 => Just(Gain::Some(0)),
        1 => any::<u8>().prop_map(Gain::Reset),
        1 => Just(Gain::Missed),
    ];
    let every = prop_oneof![Just(5), Just(15), Just(60)];
    (0..SERIES.len(), 0..PODS.len(), -700..250_i32, every, vec(gain, 1..40))
        .prop_map(|(series, pod, from, every, gains)| Story { series, pod, from, every, gains })
}

fn told(stories: &[Story]) -> Lab {
    let alert = AlertRule { expr: "queue_length > 500".into(), hold: Duration::from_secs(20) };
    let rule = |name: &str, kind| Rule {
        name: name.into(),
        origin: Origin::Service,
        weight: 1.0,
        arms: ArmLabel::default(),
        kind,
    };
    let lab = lab(RuleKind::Alert(alert)).new_pod("y", 3.0).new_pod("z", 40.0).with(|lab| {
        let judged = built_in().into_iter().filter(|rule| !matches!(rule.kind, RuleKind::Crashes(_)));
        lab.rules.extend(judged);
        let counters = vec!["absent_total".into(), "queue_length".into(), "db_errors_total".into()];
        lab.rules.push(rule("gauge", RuleKind::Events(EventsRule { counters, tolerate: 1.0 })));
        let sources =
            vec![RatioSource { bad: "db_errors_total".into(), total: "http_requests_total".into() }];
        lab.rules.push(rule("mixed", RuleKind::Ratio(RatioRule { sources, limit: None, tolerate: 1.2 })));
    });
    stories.iter().fold(lab, |lab, story| {
        let mut value = 0.0;
        let mut samples = Vec::new();
        for (index, gain) in story.gains.iter().enumerate() {
            let at = f64::from(story.from) + f64::from(story.every) * index as f64;
            match gain {
                Gain::Some(amount) => value += f64::from(*amount),
                Gain::Reset(amount) => value = f64::from(*amount),
                Gain::Missed => continue,
            }
            samples.push((at, value));
        }
        lab.samples(SERIES[story.series], PODS[story.pod], &samples)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() })]

    /// Evidence lost in a restart is rebuilt from the metrics server: what is found depends on the samples, never on when
    /// anybody looked.
    #[test]
    fn one_late_look_finds_what_many_found(
        stories in vec(story(), 1..24),
        mut looks in vec(0.0..290.0_f64, 0..30),
        restart in 0.0..290.0_f64,
    ) {
        let lab = told(&stories);
        looks.sort_by(f64::total_cmp);
        looks.push(290.0);
        let rebuilt: Vec<f64> = looks.iter().copied().filter(|at| *at >= restart).collect();
        let bits = |looks: &[f64]| format!("{:#?}", lab.findings(looks));
        prop_assert_eq!(bits(&looks), bits(&rebuilt));
        prop_assert_eq!(bits(&looks), bits(&[290.0]));
    }

    /// The server may return series in any order, and in pieces.
    #[test]
    fn the_order_of_answers_does_not_matter(stories in vec(story(), 1..24), turn in 0..24_usize) {
        let lab = told(&stories);
        let mut straight = lab.judge();
        let mut turned = lab.judge();
        for at in [20.0, 90.0, 290.0] {
            lab.look(&mut straight, at);
            lab.look_turned(&mut turned, at, turn);
        }
        prop_assert_eq!(straight.findings(instant(290.0)), turned.findings(instant(290.0)));
    }

    /// Nothing that a server can say makes the judge panic, or makes it pass what it did not see.
    #[test]
    fn any_samples_are_survived(
        samples in vec((0..SERIES.len(), 0..PODS.len(), any::<i64>(), any::<f64>()), 0..60),
        near in vec((0..SERIES.len(), 0..PODS.len(), -4_000_000..300_000_i64, prop_oneof![any::<f64>(), 0.0..1e18_f64]), 0..60),
    ) {
        let near = near.into_iter().map(|(series, pod, at, value)| (series, pod, at_ms(0.0) + at, value));
        let mut lab = told(&[]);
        for (series, pod, at_ms, value) in samples.into_iter().chain(near) {
            lab = lab.sample(SERIES[series], PODS[pod], Sample { at_ms, value });
        }
        for finding in lab.findings(&[1.0, 100.0, 100.0, 290.0]) {
            prop_assert!(finding.verdict != Verdict::Pass || finding.counts.canary_total > 0.0, "{finding:?}");
        }
    }
}

/// A pseudo-random number in [0, 1); a seed means the same everywhere.
fn random(draws: &mut SplitMix64) -> f64 {
    (draws.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Counters of a pod with one request a second, of which a share fails at random, scraped every 15 s.
fn at_random(mut lab: Lab, pod: &str, from: i32, share: f64, draws: &mut SplitMix64) -> Lab {
    let (mut good, mut bad) = (0.0, 0.0);
    for second in from..300 {
        *if random(draws) < share { &mut bad } else { &mut good } += 1.0;
        if (second - from) % 15 == 14 {
            let at_ms = at_ms(f64::from(second));
            lab = lab.sample("http_requests_total{code=200}", pod, Sample { at_ms, value: good });
            lab = lab.sample("http_requests_total{code=500}", pod, Sample { at_ms, value: bad });
        }
    }
    lab
}

/// How many of 200 releases fail at any scrape, with these shares of bad requests on old and new pods.
fn failures(stable: f64, canary: f64) -> usize {
    let fails = |seed: u64| {
        let mut draws = SplitMix64::from_seed(seed.to_le_bytes());
        let mut release = lab(built_in().swap_remove(0).kind);
        release.rules = built_in();
        for pod in ["a", "b", "c"] {
            release = at_random(release, pod, -1800 + pod.len() as i32, stable, &mut draws);
        }
        let release = at_random(release, "x", 0, canary, &mut draws);
        // A FAIL at any scrape in between stands, so the last look tells of all of them.
        release.findings(&[300.0]).iter().any(|finding| finding.verdict == Verdict::Fail)
    };
    (0..200).filter(|seed| fails(*seed)).count()
}

#[test]
fn good_releases_are_kept_and_bad_ones_are_not() {
    assert_eq!(failures(0.02, 0.02), 0, "releases as good as the one before, failed");
    let caught = failures(0.02, 0.3);
    assert!(caught >= 195, "of 200 releases that fail 30 % of one request a second, {caught} were caught");
}
