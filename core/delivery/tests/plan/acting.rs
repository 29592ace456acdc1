//! Who acts on a workload: what another controller asks before it touches the same pods.

use trimtab_delivery::acting::acting;
use trimtab_delivery::snapshot::{Keep, ReleasePhase};
use trimtab_workload::{Actor, Claim};

use crate::service::{START, Service, held, judging, out, rejected, settled, unclaimed};

fn nobody() -> Claim {
    Claim::default()
}

fn person() -> Claim {
    Claim { by: Actor::Person, since: None, until: None }
}

fn release(number: u64) -> Claim {
    Claim { by: Actor::Release(number), since: Some(START), until: None }
}

/// `v2` failed and its template is being taken back.
fn rolling_back() -> Service {
    out().last(|release| release.status.phase = ReleasePhase::RollingBack)
}

#[test]
fn one_actor_at_a_time() {
    let unannounced = judging().last(|release| release.status.started_at = None);
    let after_watch = out().later(300).now;
    let orphaned = Service { target: None, ..out() };
    for (name, service, expected) in [
        ("a Deployment that nobody claimed yet", unclaimed(), nobody()),
        ("a settled service", settled(), nobody()),
        ("a release that was just recorded", judging().later(30), release(2)),
        (
            "a release whose pods are all out: it is due to end with its watch",
            out().later(200),
            Claim { until: Some(after_watch), ..release(2) },
        ),
        ("a release that failed and is not back yet", rolling_back().later(400), release(2)),
        (
            "a release that is not announced yet holds the workload too",
            unannounced,
            Claim { since: None, ..release(2) },
        ),
        ("a release that ended", rejected().later(900), nobody()),
        ("a release that was kept", out().last(|r| r.status.phase = ReleasePhase::Kept), nobody()),
        ("a number that waits for its template", settled().release(2, "t2", ReleasePhase::Pending), nobody()),
        ("a rejected template, held by admission", held(), nobody()),
        ("a pause by a person", settled().paused(Some("kubectl-rollout")), person()),
        ("a person's pause of a release under way", judging().paused(Some("kubectl-rollout")), release(2)),
        ("a decision that is not carried out yet", judging().decides(Keep::RollBack), release(2)),
        (
            "a field manager that paused once, and resumed",
            settled().target(|target| target.paused_by = Some("kubectl-rollout".into())),
            nobody(),
        ),
        ("a Deployment that does not exist", orphaned, nobody()),
    ] {
        assert_eq!(acting(&service.snapshot()), expected, "{name}");
    }
}
