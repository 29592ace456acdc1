//! Arms that are told apart by a phase: other services of the namespace have pods in these phases as well.

use std::time::Duration;

use trimtab_judge::rule::{AlertRule, ArmLabel, EventsRule, RuleKind, built_in};
use trimtab_stats::Verdict;

use crate::lab::{Lab, lab};
use crate::{check, every_second};

/// A rule whose series carry the phase in the label `phase`.
fn by_phase(kind: RuleKind) -> Lab {
    lab(kind).with(|lab| lab.rules[0].arms = ArmLabel::Arm("phase".into()))
}

fn errors() -> Lab {
    by_phase(built_in().swap_remove(0).kind)
}

/// The labels that an own pod, and one of the service beside it, tell themselves by.
#[derive(Clone, Copy)]
enum Tell {
    /// By the pod's name.
    Pod,
    /// By a label of the Deployment's selector.
    App,
    /// By nothing.
    Nothing,
}

/// Ten requests a second on an old and a new pod of this service and of another one, of which so many fail.
fn two_services(lab: Lab, tell: Tell, own: f64, other: f64) -> Lab {
    let mut lab = lab;
    for (service, pod, phase, bad) in [
        ("pay", "a", "stable", 0.01),
        ("pay", "x", "canary", own),
        ("cart", "cart-t1-a", "stable", 0.01),
        ("cart", "cart-t2-x", "canary", other),
    ] {
        let told = match tell {
            Tell::Pod => String::new(),
            Tell::App => format!("pod=,instance={pod},app={service}"),
            Tell::Nothing => format!("pod=,instance={pod}"),
        };
        let from = if phase == "stable" { -600.0 } else { 2.0 };
        for (code, rate) in [("200", 10.0 * (1.0 - bad)), ("500", 10.0 * bad)] {
            let series = format!("http_requests_total{{code={code},phase={phase},{told}}}");
            lab = lab.grows(&series, pod, from..300.0, rate);
        }
    }
    lab
}

#[test]
fn another_services_requests_are_not_counted() {
    for (name, tell) in [("pods have names", Tell::Pod), ("the selector's label is there", Tell::App)] {
        let verdict = |own, other| {
            let lab = two_services(errors(), tell, own, other);
            lab.findings(&every_second(1, 290)).remove(0).verdict
        };
        assert_eq!(verdict(0.01, 0.6), Verdict::Undecided, "{name}: the other service fails");
        assert_eq!(verdict(0.6, 0.01), Verdict::Fail, "{name}: this one fails");
    }
}

#[test]
fn where_nothing_tells_whose_a_series_is_nothing_is_judged() {
    let unknown = "nothing tells which series of http_requests_total, grpc_server_handled_total, http_server_request_duration_seconds_count, http_request_duration_seconds_count are this service's: they carry a phase, and none of pod, app=\"pay\"";
    check(
        "a ratio",
        &two_services(errors(), Tell::Nothing, 0.01, 0.6),
        &every_second(1, 290),
        &format!("rule RuleUnbound: {unknown}"),
    );
    let counters = vec!["http_requests_total".into()];
    let events = by_phase(RuleKind::Events(EventsRule { counters, tolerate: 1.2 }));
    check(
        "a counter",
        &two_services(events, Tell::Nothing, 0.01, 0.6),
        &every_second(1, 290),
        "rule RuleUnbound: nothing tells which series of http_requests_total are this service's: they carry a phase, and none of pod, app=\"pay\"",
    );
}

#[test]
fn an_alert_reads_this_services_series_alone() {
    let expr = "sum(rate(http_requests_total{code=\"500\"}[1m])) > 2";
    let alert = || by_phase(RuleKind::Alert(AlertRule { expr: expr.into(), hold: Duration::from_secs(20) }));
    let fails = format!("rule FAIL: `{expr}` held for 20s on the new pods and not on the old ones");
    for (name, tell) in [("pods have names", Tell::Pod), ("the selector's label is there", Tell::App)] {
        let other = two_services(alert(), tell, 0.01, 0.6);
        check(name, &other, &every_second(1, 200), "rule undecided: does not fire on the new pods");
        check(name, &two_services(alert(), tell, 0.6, 0.01), &every_second(1, 200), &fails);
    }
    check(
        "nothing tells whose it is",
        &two_services(alert(), Tell::Nothing, 0.01, 0.6),
        &every_second(1, 200),
        "rule RuleUnbound: nothing tells which series of http_requests_total are this service's: they carry a phase, and none of pod, app=\"pay\"",
    );
}
