//! Which rules find series of the pods that run, before there is a release to judge.

use std::collections::BTreeMap;
use std::time::Duration;

use trimtab_judge::binding::{Bound, Question, askable_at, bound, questions};
use trimtab_judge::rule::{
    AlertRule, ArmLabel, EventsRule, Origin, RatioRule, RatioSource, Rule, RuleKind, built_in,
};
use trimtab_judge::{Answer, Arms, Failure};
use trimtab_workload::{Arm, Pod, ReplicaSet};

use crate::lab::{Lab, instant, lab};

fn rule(name: &str, kind: RuleKind) -> Rule {
    Rule { name: name.into(), origin: Origin::Service, weight: 1.0, arms: ArmLabel::default(), kind }
}

fn ratio(bad: &str, total: &str) -> RuleKind {
    let sources = vec![RatioSource { bad: bad.into(), total: total.into() }];
    RuleKind::Ratio(RatioRule { sources, limit: None, tolerate: 1.2 })
}

fn alert(expr: &str) -> RuleKind {
    RuleKind::Alert(AlertRule { expr: expr.into(), hold: Duration::ZERO })
}

fn events(counters: &[&str]) -> RuleKind {
    let counters = counters.iter().map(|counter| (*counter).to_owned()).collect();
    RuleKind::Events(EventsRule { counters, tolerate: 1.2 })
}

/// Sums that are read of one selector.
const SUMS_MAX: usize = 6;

/// A service at rest, whose pods are the lab's old ones.
struct AtRest {
    rules: Vec<Rule>,
    pods: Vec<Pod>,
}

fn at_rest(rules: Vec<Rule>) -> AtRest {
    let pod = |name: &str| Pod {
        name: crate::lab::name(name),
        replica_set: "set".into(),
        ready: true,
        started_at: Some(instant(0.0)),
        ..Pod::default()
    };
    AtRest { rules, pods: vec![pod("a"), pod("b")] }
}

impl AtRest {
    fn questions(&self) -> Vec<Question> {
        let set = ReplicaSet { name: "pay-t1".into(), uid: "set".into(), ..ReplicaSet::default() };
        let arms = Arms::new("shop", &[(Arm::Canary, &set)], &self.pods, &Arms::default(), instant(600.0))
            .selected_by(&BTreeMap::from([("app".to_owned(), "pay".to_owned())]));
        questions(&self.rules, &arms, SUMS_MAX, instant(600.0))
    }

    /// The rules that find nothing in `lab`.
    fn unbound(&self, lab: &Lab) -> Result<Vec<String>, String> {
        self.bound(lab).map(|bound| bound.unbound)
    }

    fn bound(&self, lab: &Lab) -> Result<Bound, String> {
        let asked = self.questions();
        let answers: Vec<Answer> = asked.iter().map(|question| lab.answer(&question.query, 600.0)).collect();
        bound(&self.rules, &asked.into_iter().zip(answers).collect::<Vec<_>>())
    }
}

/// Old pods that count requests and panics, and nothing else.
fn shop() -> Lab {
    lab(alert("up")).grows("http_requests_total{code=200}", "a", 300.0..600.0, 5.0).grows(
        "panics_total",
        "b",
        300.0..600.0,
        0.0,
    )
}

#[test]
fn what_each_kind_of_rule_needs() {
    let needs = |kind: RuleKind| {
        let service = at_rest(vec![rule("rule", kind)]);
        service.unbound(&shop()).expect("answered").is_empty()
    };
    for (name, bound, kind) in [
        (
            "requests are counted, bad ones did not happen yet",
            true,
            ratio(r#"http_requests_total{code="500"}"#, "http_requests_total"),
        ),
        (
            "bad requests would be counted elsewhere, and are not",
            false,
            ratio("http_errors_total", "http_requests_total"),
        ),
        ("nobody counts these requests", false, ratio(r#"rpc_total{code="x"}"#, "rpc_total")),
        ("an event that was counted", true, events(&["panics_total"])),
        ("the second counter is enough", true, events(&["crashes_total", "panics_total"])),
        ("no such event", false, events(&["crashes_total"])),
        (
            "an alert on a code that did not happen yet",
            true,
            alert(r#"sum(rate(http_requests_total{code="500"}[1m])) > 1"#),
        ),
        ("an alert on nothing", false, alert("queue_length > 3")),
        ("an alert that needs both", false, alert("http_requests_total / queue_length > 3")),
    ] {
        assert_eq!(needs(kind), bound, "{name}");
    }
}

#[test]
fn series_of_other_pods_do_not_count() {
    let other = lab(alert("up")).grows("http_requests_total", "other-1", 300.0..600.0, 5.0);
    let service = at_rest(built_in());
    assert_eq!(service.unbound(&other), Ok(vec!["rpc-errors".to_owned(), "database-errors".to_owned()]));
}

#[test]
fn phases_of_other_services_do_not_count() {
    let by_phase = Rule { arms: ArmLabel::Arm("phase".into()), ..rule("rule", events(&["panics_total"])) };
    let service = at_rest(vec![by_phase]);
    for (name, bound, series, pod) in [
        ("an own pod", true, "panics_total{phase=stable}", "a"),
        ("another service's pod", false, "panics_total{phase=stable}", "cart-t1-a"),
        ("no pod, and labels of this service", true, "panics_total{phase=stable,pod=,app=pay}", "a"),
        ("no pod, and labels of another", false, "panics_total{phase=stable,pod=,app=cart}", "a"),
        ("neither", false, "panics_total{phase=stable,pod=}", "a"),
    ] {
        let lab = lab(alert("up")).grows(series, pod, 300.0..600.0, 1.0);
        assert_eq!(service.unbound(&lab).expect("answered").is_empty(), bound, "{name}");
    }
}

#[test]
fn what_will_not_fit_is_known_before_any_release() {
    let service = at_rest(built_in());
    let pods = |names: &[&str]| {
        let counts = |lab: Lab, pod: &&str| {
            let codes = ["200", "204", "404", "500"].into_iter();
            codes.fold(lab, |lab, code| {
                lab.grows(&format!("http_requests_total{{code={code}}}"), pod, 300.0..600.0, 1.0)
            })
        };
        service.bound(&names.iter().fold(shop(), counts)).expect("answered").too_many
    };
    // A release may have as many pods again, and their series are summed up by pod.
    assert_eq!(pods(&["a", "b", "c"]), Vec::<String>::new());
    assert_eq!(pods(&["a", "b", "c", "d"]), ["rpc-errors"]);
}

#[test]
fn silence_is_no_answer() {
    let service = at_rest(built_in());
    let outage = shop().outage(0.0..900.0);
    assert_eq!(service.unbound(&outage), Err("connection refused".to_owned()));
    let nobody = |question| (question, Answer::Failed(Failure::Lasting("no Prometheus".into())));
    let answers: Vec<_> = service.questions().into_iter().map(nobody).collect();
    assert_eq!(
        bound(&service.rules, &answers).map(|bound| bound.unbound.len()),
        Ok(2),
        "nobody ever answers"
    );
}

#[test]
fn pods_are_asked_about_once_they_can_have_been_scraped() {
    let mut service = at_rest(built_in());
    assert_eq!(askable_at(&service.pods), Some(instant(90.0)));
    service.pods.clear();
    assert_eq!(askable_at(&service.pods), None);
}
