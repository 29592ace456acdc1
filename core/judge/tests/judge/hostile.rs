//! What a server, or whoever it scrapes, may say to do harm: it counts as nothing, and costs little.

use trimtab_judge::finding::finding_line;
use trimtab_judge::rule::{AlertRule, RuleKind, built_in};
use trimtab_promql::Sample;
use trimtab_stats::Verdict;

use crate::lab::{Lab, at_ms, instant, lab};
use crate::{check, every_second};

fn requests() -> Lab {
    lab(built_in().swap_remove(0).kind).traffic(200.0, (9.0, 0.02), (9.0, 0.02))
}

#[test]
fn what_is_no_count_is_not_counted() {
    let plain = requests().findings(&every_second(1, 190)).remove(0);
    let day_ms = 86_400_000;
    for (name, at, value) in [
        ("no number", 20.0, f64::NAN),
        ("infinite", 20.0, f64::INFINITY),
        ("more than can be counted", 20.0, 1e308),
        ("negative", 20.0, -1e308),
    ] {
        for pod in ["a", "x"] {
            let sample = Sample { at_ms: at_ms(at), value };
            let series = "http_requests_total{code=500,path=evil}";
            let odd = requests().sample(series, pod, sample).sample(
                series,
                pod,
                Sample { at_ms: at_ms(35.0), value },
            );
            let found = odd.findings(&every_second(1, 190)).remove(0);
            assert_eq!(found.counts, plain.counts, "{name} on {pod}: {}", finding_line(&found));
        }
    }
    // What is told of tomorrow is read tomorrow.
    let tomorrow = Sample { at_ms: at_ms(20.0) + day_ms, value: 1e6 };
    let mut odd = requests();
    for series in ["http_requests_total{code=200}", "http_requests_total{code=500}"] {
        odd = odd.sample(series, "x", tomorrow);
    }
    let mut judge = odd.judge();
    for at in 1..=190 {
        let now = instant(f64::from(at));
        judge.observe(odd.arms.clone(), now);
        let needs = judge.needs(now);
        let told = needs.into_iter().map(|need| {
            // A server that ignores until when it was asked.
            let answer = match odd.answer(&need.query, f64::from(at)) {
                trimtab_judge::Answer::Samples(mut series) => {
                    series.iter_mut().for_each(|series| series.samples.push(tomorrow));
                    trimtab_judge::Answer::Samples(series)
                }
                answer => answer,
            };
            (need, answer)
        });
        judge.absorb(told.collect(), now);
    }
    let found = judge.findings(instant(190.0)).remove(0);
    assert_eq!(found.counts, plain.counts, "tomorrow: {}", finding_line(&found));
}

#[test]
fn a_pattern_that_explodes_is_refused_and_the_other_rules_judge() {
    let expr = r#"sum(rate(http_requests_total{code=~"(\\pL{99}){99}"}[1m])) > 1"#.to_owned();
    let alert = AlertRule { expr, hold: std::time::Duration::ZERO };
    let mut lab = requests();
    let evil = lab.rules[0].clone();
    lab.rules.push(trimtab_judge::rule::Rule { name: "evil".into(), kind: RuleKind::Alert(alert), ..evil });
    let found = lab.findings(&every_second(1, 190));
    assert!(finding_line(&found[1]).contains("too large"), "{}", finding_line(&found[1]));
    assert_eq!(found[0].verdict, Verdict::Pass);
    assert!(found[0].counts.canary_total > 1_500.0, "{}", finding_line(&found[0]));
}

#[test]
fn names_that_only_begin_like_a_pod_are_no_pod() {
    let long = format!("pay-t2-{}", "x".repeat(10_000));
    let lab = lab(built_in().swap_remove(0).kind)
        .grows("http_requests_total{code=500}", &long, 2.0..100.0, 9.0)
        .grows("http_requests_total{code=200}", "a", -300.0..100.0, 9.0);
    check(
        "a pod with a name that no pod can have",
        &lab,
        &every_second(1, 30),
        "rule undecided: canary 0/0 vs stable 0/0; too little traffic to tell",
    );
}
