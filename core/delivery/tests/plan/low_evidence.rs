//! What it takes to pass, and what becomes of a release that was kept on too little evidence.

use trimtab_delivery::snapshot::{Keep, Release, ReleasePhase};
use trimtab_delivery::strategy::Rolling;
use trimtab_judge::finding::FindingState;
use trimtab_judge::rule::{Origin, Rule, RuleKind, built_in};
use trimtab_stats::Verdict;

use crate::check;
use crate::service::{START, Service, out, settled, unclaimed};

/// `v2` was kept just now although too little was measured.
fn watched() -> Service {
    settled().applies("t2").runs("t1", 0).runs("t2", 3).release(2, "t2", ReleasePhase::Kept).last(kept_unsure)
}

fn kept_unsure(release: &mut Release) {
    release.status.started_at = Some(START);
    release.status.decided_at = Some(START);
    release.status.verdict = Some(Verdict::Undecided);
    release.status.low_evidence = true;
}

/// A second ratio rule, which the owner wrote.
fn checkout_errors() -> Rule {
    let shipped = built_in().into_iter().find(|rule| matches!(rule.kind, RuleKind::Ratio(_)));
    let shipped = shipped.expect("a ratio rule ships with Trimtab");
    Rule { name: "checkout-errors".into(), origin: Origin::Service, ..shipped }
}

#[test]
fn a_pass_needs_every_rule_that_measures_requests() {
    let two = || {
        out()
            .settings(|settings| settings.rules.push(checkout_errors()))
            .finds("rpc-errors", Verdict::Pass, "no worse")
            .later(300)
    };
    check(
        "both pass",
        &two().finds("checkout-errors", Verdict::Pass, "better"),
        "
        event v2 Kept: v2 is kept: rpc-errors: no worse; checkout-errors: better
        v2 is Kept: rpc-errors: no worse; checkout-errors: better [Pass, started +0s, ready +0s, decided +5m]
        label pay-t2-0 stable
        label pay-t2-1 stable
        label pay-t2-2 stable
        = Healthy: Healthy on v2
        why v2 was out long enough -> keeps it: rpc-errors: no worse; checkout-errors: better
    ",
    );
    check("a good route does not hide one that nobody can judge", &two().finds("checkout-errors", Verdict::Undecided, "3 requests"), "
        event v2 Kept: v2 is kept: low evidence: checkout-errors: 3 requests
        v2 is Kept: low evidence: checkout-errors: 3 requests [Undecided, low evidence, started +0s, ready +0s, decided +5m]
        label pay-t2-0 stable
        label pay-t2-1 stable
        label pay-t2-2 stable
        = Healthy: Healthy on v2
        why v2 was out long enough -> keeps it: low evidence: checkout-errors: 3 requests
    ");
    let unbound = |rule: &str| two().cannot_judge(rule, FindingState::Unbound("no series".into()));
    check("nor a rule that was written for nothing", &unbound("checkout-errors"), "
        event v2 Kept: v2 is kept: low evidence: checkout-errors: no series
        v2 is Kept: low evidence: checkout-errors: no series [Undecided, low evidence, started +0s, ready +0s, decided +5m]
        label pay-t2-0 stable
        label pay-t2-1 stable
        label pay-t2-2 stable
        = Healthy: Healthy on v2
        why v2 was out long enough -> keeps it: low evidence: checkout-errors: no series
    ");
    check(
        "a rule that ships with Trimtab looks for what a service may not have",
        &unbound("database-errors"),
        "
        event v2 Kept: v2 is kept: rpc-errors: no worse
        v2 is Kept: rpc-errors: no worse [Pass, started +0s, ready +0s, decided +5m]
        label pay-t2-0 stable
        label pay-t2-1 stable
        label pay-t2-2 stable
        = Healthy: Healthy on v2
        why v2 was out long enough -> keeps it: rpc-errors: no worse
    ",
    );
}

#[test]
fn watched_on() {
    check("nothing is known yet", &watched().later(60).finds("rpc-errors", Verdict::Undecided, "3 requests"), "
        = Healthy: Healthy on v2
        why v2 was kept on too little evidence -> goes on watching it for 1h; waits for evidence, or a change of the pod template
        why the Deployment runs v2, which was kept -> does nothing; waits for a change of its pod template
    ");
    check(
        "traffic comes and it is fine",
        &watched().later(60).finds("rpc-errors", Verdict::Pass, "no worse"),
        "
        v2 is Kept: rpc-errors: no worse [Pass, started +0s, decided +0s]
        = Healthy: Healthy on v2
        why v2 was kept on too little evidence -> passes it: rpc-errors: no worse
        why the Deployment runs v2, which was kept -> does nothing; waits for a change of its pod template
    ",
    );
    let fails = watched().finds("rpc-errors", Verdict::Fail, "30 % of 900");
    check(
        "traffic comes and it fails",
        &fails.clone().later(3599),
        "
        v2 is RollingBack: rpc-errors: 30 % of 900 [Fail, started +0s, decided +59m59s, harmed 7]
        restore v1
        v2 is RollingBack: rpc-errors: 30 % of 900 [Fail, started +0s, decided +59m59s, restores 1, harmed 7]
        = RollingBack: Rolling back v2 to v1
        why the Deployment holds v2, which failed -> restores the template of v1
    ",
    );
    assert_eq!(fails.clone().later(3600).snapshot().judged(), None, "an hour later nobody looks");
    assert_eq!(fails.clone().decides(Keep::Keep).snapshot().judged(), None, "a person wanted it");
    let back = fails.clone().last(|release| release.rollback_to = Some(1));
    assert_eq!(back.snapshot().judged(), None, "a person brought it back");
    let rolling = fails.settings(|settings| settings.strategy = &Rolling);
    assert_eq!(rolling.snapshot().judged(), None, "nothing is judged any more");
    let first = unclaimed().release(1, "t1", ReleasePhase::Kept).last(kept_unsure);
    assert_eq!(first.snapshot().judged(), None, "there is nothing to fall back to");
}

#[test]
fn what_it_falls_back_to_is_remembered() {
    let short = watched().settings(|settings| settings.history = 1);
    check("while it is watched", &short.clone().later(60), "
        = Healthy: Healthy on v2
        why v2 was kept on too little evidence -> goes on watching it for 1h; waits for evidence, or a change of the pod template
        why the Deployment runs v2, which was kept -> does nothing; waits for a change of its pod template
    ");
    check(
        "and forgotten after",
        &short.later(3600),
        "
        delete v1
        = Healthy: Healthy on v2
        why the Deployment runs v2, which was kept -> does nothing; waits for a change of its pod template
    ",
    );
}
