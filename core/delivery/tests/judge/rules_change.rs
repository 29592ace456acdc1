//! A rule that is changed, taken away or added in mid-release: judged as by a manager that has never known another.

use trimtab_delivery::finding::Finding;
use trimtab_delivery::rule::{ArmLabel, CrashesRule, Origin, RatioRule, RatioSource, Rule, RuleKind};
use trimtab_stats::Verdict;

use crate::lab::{Lab, instant, lab};

/// 12 requests a second on every pod; 3 % of them fail on the new one, which crashed once.
fn shop() -> Lab {
    lab(errors("5..").kind).traffic(120.0, (12.0, 0.0), (12.0, 0.03)).crashed("x", "service", 1)
}

fn rule(name: &str, kind: RuleKind) -> Rule {
    Rule { name: name.into(), origin: Origin::Service, weight: 1.0, arms: ArmLabel::default(), kind }
}

fn errors(code: &str) -> Rule {
    let source = RatioSource {
        bad: format!("http_requests_total{{code=~\"{code}\"}}"),
        total: "http_requests_total".into(),
    };
    rule("errors", RuleKind::Ratio(RatioRule { sources: vec![source], limit: Some(0.2), tolerate: 1.2 }))
}

fn crashes(ignored: &[&str]) -> Rule {
    let ignore_containers = ignored.iter().map(|name| (*name).to_owned()).collect();
    rule("crashes", RuleKind::Crashes(CrashesRule { ignore_containers, counters: Vec::new() }))
}

/// Findings after 90 s: judged by `before` for 60 s, then by `after`.
fn changed(before: &[Rule], after: &[Rule]) -> Vec<Finding> {
    let shop = Lab { rules: before.to_vec(), ..shop() };
    let mut judge = shop.judge();
    (1..=60).for_each(|second| shop.look(&mut judge, f64::from(second)));
    assert_eq!(judge.judges_by(after, 0.005), before == after);
    let mut judge = judge.with_rules(after, 0.005);
    assert!(judge.judges_by(after, 0.005));
    (61..=90).for_each(|second| shop.look(&mut judge, f64::from(second)));
    judge.findings(instant(90.0))
}

#[test]
fn a_successor_would_find_the_same() {
    let sets: Vec<Vec<Rule>> = vec![
        vec![errors("5.."), crashes(&[])],
        vec![errors("4.."), crashes(&[])],
        vec![errors("5.."), crashes(&["service"])],
        vec![crashes(&[]), errors("5..")],
        vec![errors("5..")],
        vec![crashes(&["service"])],
        vec![],
    ];
    for before in &sets {
        for after in &sets {
            let successor = Lab { rules: after.clone(), ..shop() }.findings(&[90.0]);
            assert_eq!(changed(before, after), successor, "{before:#?}\n--- then\n{after:#?}");
        }
    }
}

#[test]
fn what_no_longer_counts_fails_nothing() {
    let verdicts = |before: &[Rule], after: &[Rule]| -> Vec<Verdict> {
        changed(before, after).iter().map(|finding| finding.verdict).collect()
    };
    let strict = [errors("5.."), crashes(&[])];
    assert_eq!(verdicts(&strict, &strict), [Verdict::Fail, Verdict::Fail]);
    assert_eq!(verdicts(&strict, &[errors("4.."), crashes(&["service"])])[1], Verdict::Undecided);
    assert_eq!(verdicts(&strict, &[]), []);
    assert_eq!(verdicts(&[], &strict), [Verdict::Fail, Verdict::Fail]);
}

/// A share of the tolerated chance is as much a part of the rule as its text.
#[test]
fn another_alpha_is_another_judge() {
    let shop = shop();
    let judge = shop.judge();
    assert!(judge.judges_by(&shop.rules, 0.005));
    assert!(!judge.judges_by(&shop.rules, 0.1));
    assert!(judge.with_rules(&shop.rules, 0.1).judges_by(&shop.rules, 0.1));
}
