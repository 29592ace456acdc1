//! An alert expression, asked of both arms: it must fire on the new pods, and not on the old ones.

use std::time::Duration;

use trimtab_judge::rule::{AlertRule, RuleKind};

use crate::lab::{Lab, lab};
use crate::{check, every_second};

fn alert(hold: u64) -> Lab {
    lab(RuleKind::Alert(AlertRule { expr: "queue_length > 100".into(), hold: Duration::from_secs(hold) }))
}

/// The value of the gauge on `pod`, every five seconds from the start.
fn gauge(lab: Lab, pod: &str, values: &[f64]) -> Lab {
    let samples: Vec<(f64, f64)> =
        values.iter().enumerate().map(|(n, value)| (n as f64 * 5.0, *value)).collect();
    lab.samples("queue_length", pod, &samples)
}

#[test]
fn verdicts() {
    let high = [500.0; 20];
    let low = [5.0; 20];
    let bad = gauge(gauge(alert(20), "x", &high), "a", &low);
    check(
        "it holds for less than `for`",
        &bad,
        &every_second(1, 25),
        "rule undecided: fires on the new pods for 20 s of 20s",
    );
    check(
        "it holds as long as `for`",
        &bad,
        &every_second(1, 26),
        "rule FAIL: `queue_length > 100` held for 20s on the new pods and not on the old ones",
    );
    let shared = gauge(gauge(alert(20), "x", &high), "a", &high);
    check(
        "it fires on the old pods as well",
        &shared,
        &every_second(1, 60),
        "rule undecided: fires on new and old pods alike: not the release's doing",
    );
    let dip = [500.0, 500.0, 500.0, 5.0, 500.0, 500.0, 500.0, 500.0, 500.0, 500.0];
    let dip = gauge(alert(20), "x", &dip);
    check(
        "a gap begins it again",
        &dip,
        &every_second(1, 36),
        "rule undecided: fires on the new pods for 16 s of 20s",
    );
    check(
        "and then it must hold in full",
        &dip,
        &every_second(1, 41),
        "rule FAIL: `queue_length > 100` held for 20s on the new pods and not on the old ones",
    );
    let at_once = gauge(alert(0), "x", &[5.0, 5.0, 500.0]);
    check(
        "without `for` one instant is enough",
        &at_once,
        &every_second(1, 11),
        "rule FAIL: `queue_length > 100` held for 0s on the new pods and not on the old ones",
    );
    check(
        "no data is no alert",
        &alert(20),
        &every_second(1, 60),
        "rule undecided: does not fire on the new pods",
    );
}

#[test]
fn a_server_that_does_not_answer() {
    let bad = gauge(alert(60), "x", &[500.0; 200]);
    check(
        "the missed instants are asked again",
        &bad.clone().outage(10.0..60.0),
        &every_second(1, 66),
        "rule FAIL: `queue_length > 100` held for 1m on the new pods and not on the old ones",
    );
    check(
        "no answer for long",
        &bad.clone().outage(10.0..100.0),
        &every_second(1, 80),
        "rule TelemetryLost: no answer for 70 s: connection refused",
    );
    let silent = bad.with(|lab| {
        lab.rules[0].kind =
            RuleKind::Alert(AlertRule { expr: "queue_length > 100".into(), hold: Duration::from_secs(400) });
    });
    let looks: Vec<f64> = every_second(1, 10).into_iter().chain(every_second(600, 601)).collect();
    check(
        "nobody looked for ten minutes: what was not seen did not hold",
        &silent,
        &looks,
        "rule undecided: fires on the new pods for 301 s of 6m40s",
    );
}

#[test]
fn arms_without_pods() {
    let elsewhere = |lab: Lab| {
        let labels = [("__name__", "queue_length"), ("namespace", "shop")].into_iter().collect();
        lab.with(|lab| {
            let sample = trimtab_promql::Sample { at_ms: crate::lab::at_ms(1.0), value: 900.0 };
            lab.source.push(&labels, sample);
        })
    };
    let held = elsewhere(alert(0)).with(|lab| lab.arms.canary_sets.clear());
    check(
        "no new pod exists yet: a series without a pod is nobody's",
        &held,
        &every_second(1, 20),
        "rule undecided: does not fire on the new pods",
    );
    let replaced = gauge(elsewhere(alert(0)), "x", &[500.0; 5]).with(|lab| lab.arms.stable_sets.clear());
    check(
        "no old pod exists: a series without a pod excuses nothing",
        &replaced,
        &every_second(1, 20),
        "rule FAIL: `queue_length > 100` held for 0s on the new pods and not on the old ones",
    );
}

#[test]
fn expressions_that_cannot_be_split() {
    let absent = alert(0).with(|lab| {
        lab.rules[0].kind = RuleKind::Alert(AlertRule { expr: "absent(up)".into(), hold: Duration::ZERO });
    });
    check(
        "refused with the reason",
        &absent,
        &every_second(1, 20),
        "rule RuleUnbound: cannot judge this expression by arm: absent() holds for every arm that has just started; count what must be there instead; for example: count(up == 0) > 0",
    );
}
