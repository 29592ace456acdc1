//! A question to the metrics server is open: what it could change is not decided, everything else is.

use jiff::SignedDuration;
use trimtab_delivery::snapshot::ReleasePhase;
use trimtab_judge::finding::FindingState;
use trimtab_stats::Verdict;

use crate::planned;
use crate::service::{START, Service, finding, out};

fn after_the_watch(verdict: Verdict) -> Service {
    let mut service = out();
    service.now = START.checked_add(SignedDuration::from_secs(301)).expect("within the calendar");
    service.findings = vec![finding("rpc-errors", verdict, FindingState::Judged, "as measured")];
    service
}

fn phase_after(service: &Service) -> Option<ReleasePhase> {
    let (plan, _) = planned(&service.snapshot());
    plan.writes.iter().find_map(|write| match write {
        trimtab_delivery::Write::ReleaseStatus { number: 2, status } => Some(status.phase),
        _ => None,
    })
}

#[test]
fn a_verdict_waits_for_the_answer_and_a_failure_does_not() {
    let check = |verdict: Verdict, open: bool, expect: Option<ReleasePhase>| {
        let mut service = after_the_watch(verdict);
        service.measuring_since = open.then_some(START);
        assert_eq!(phase_after(&service), expect, "{verdict:?}, a question is open: {open}");
    };
    check(Verdict::Pass, false, Some(ReleasePhase::Kept));
    check(Verdict::Pass, true, None);
    check(Verdict::Undecided, true, None);
    check(Verdict::Fail, true, Some(ReleasePhase::RollingBack));
}

#[test]
fn what_is_waited_for_is_said() {
    let mut service = after_the_watch(Verdict::Pass);
    service.measuring_since = Some(START);
    let report = planned(&service.snapshot()).1.text();
    assert!(report.contains("the metrics server was asked 301 s ago"), "{report}");
}
