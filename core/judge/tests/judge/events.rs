//! Counters of bad events: against the old pods, and against the service's own past.

use trimtab_judge::rule::{EventsRule, RuleKind};

use crate::lab::{Lab, lab};
use crate::{check, every_second};

fn errors() -> Lab {
    lab(RuleKind::Events(EventsRule {
        counters: vec!["db_errors_total".into(), "sql_errors_total".into()],
        tolerate: 3.0,
    }))
}

/// Old pods with `rate` errors a second for an hour, scraped until `until`.
fn usual(rate: f64, until: f64) -> Lab {
    let pods = ["a", "b", "c"].into_iter().enumerate();
    pods.fold(errors(), |lab, (index, pod)| {
        lab.grows("db_errors_total", pod, -3600.0 + index as f64 * 4.0..until, rate)
    })
}

#[test]
fn verdicts() {
    let spike = usual(0.01, 120.0).grows("db_errors_total", "x", 2.0..120.0, 1.0);
    check(
        "a spike beside old pods",
        &spike,
        &every_second(1, 40),
        "rule FAIL: 32 on new pods in 0.5 pod-minutes; usual: 105 in 3 pod-hours",
    );
    let same = usual(0.1, 300.0).grows("db_errors_total", "x", 2.0..300.0, 0.1);
    check(
        "as many as always",
        &same,
        &every_second(1, 300),
        "rule undecided: 28 on new pods in 4.8 pod-minutes; usual: 1075 in 3 pod-hours",
    );
    let incident = usual(0.01, 0.0);
    let incident = ["a", "b", "c", "x"].into_iter().fold(incident, |lab, pod| {
        let before = if pod == "x" { 0.0 } else { 900.0 };
        let scrapes = (0..20).map(|n| f64::from(n) * 15.0 + 2.0);
        let samples: Vec<(f64, f64)> = scrapes.map(|at| (at, before + at.floor())).collect();
        lab.samples("db_errors_total", pod, &samples)
    });
    check(
        "an incident on both arms: the past alone would blame the release",
        &incident,
        &every_second(1, 120),
        "rule undecided: 107 on new pods in 1.8 pod-minutes; usual: 105 in 3 pod-hours",
    );
    let replaced = usual(0.01, 0.0).grows("db_errors_total", "x", 2.0..120.0, 1.0);
    let replaced = ["a", "b", "c"].into_iter().fold(replaced, |lab, pod| lab.gone(pod, 0.0));
    check(
        "all old pods are gone: the past is enough",
        &replaced,
        &every_second(1, 40),
        "rule FAIL: 32 on new pods in 0.5 pod-minutes; usual: 105 in 3 pod-hours",
    );
    let one = errors().samples("db_errors_total", "x", &[(32.0, 1.0), (47.0, 1.0)]);
    check(
        "one error of a service that had none in an hour",
        &one,
        &every_second(1, 60),
        "rule undecided: 1 on new pods in 0.8 pod-minutes; usual: 0 in 0 pod-hours",
    );
}

#[test]
fn exposure() {
    let exposed = usual(0.0, 60.0).samples("db_errors_total", "x", &[(10.0, 0.0), (25.0, 0.0), (55.0, 0.0)]);
    check(
        "from the start of a new pod to its last scrape",
        &exposed,
        &[60.0],
        "rule undecided: 0 on new pods in 0.9 pod-minutes; usual: 0 in 3 pod-hours",
    );
    let old =
        errors().samples("db_errors_total", "a", &[(-30.0, 7.0), (-15.0, 7.0), (0.0, 7.0), (15.0, 7.0)]);
    check(
        "an old pod is watched from its first scrape on, not from its start",
        &old,
        &[60.0],
        "rule undecided: 0 on new pods in 0 pod-minutes; usual: 0 in 0 pod-hours",
    );
    let labels = ["a", "b", "c"].into_iter().fold(usual(0.0, 0.0), |lab, pod| lab.gone(pod, 0.0));
    let labels = labels.samples("db_errors_total{db=orders}", "x", &[(10.0, 1.0), (25.0, 2.0)]);
    let labels = labels.samples("db_errors_total{db=users}", "x", &[(25.0, 4.0)]);
    check(
        "several series of a pod share its seconds",
        &labels,
        &[60.0],
        "rule FAIL: 6 on new pods in 0.4 pod-minutes; usual: 0 in 3 pod-hours",
    );
}

#[test]
fn what_cannot_be_judged() {
    check(
        "no such counter",
        &errors(),
        &every_second(1, 60),
        "rule RuleUnbound: no series of this service for db_errors_total, sql_errors_total",
    );
    let second = errors().samples("sql_errors_total", "a", &[(-30.0, 2.0), (-15.0, 2.0)]).gone("a", 0.0);
    check(
        "the second choice exists",
        &second,
        &every_second(1, 60),
        "rule undecided: 0 on new pods in 0 pod-minutes; usual: 0 in 0 pod-hours",
    );
    let down = usual(0.0, 60.0).outage(0.0..400.0);
    check(
        "no answer",
        &down,
        &every_second(1, 30),
        "rule TelemetryLost: no answer for 29 s: connection refused",
    );
    let flaky = usual(0.01, 300.0).grows("db_errors_total", "x", 2.0..300.0, 1.0).outage(20.0..50.0);
    check(
        "an outage that ends loses nothing",
        &flaky,
        &every_second(1, 51),
        "rule FAIL: 47 on new pods in 0.8 pod-minutes; usual: 105 in 3 pod-hours",
    );
}
