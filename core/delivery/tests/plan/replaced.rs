//! Another Deployment than before: deleted and made again, or another one that the service names now.

use trimtab_delivery::snapshot::{Keep, ReleasePhase};
use trimtab_stats::Verdict;

use crate::check;
use crate::service::{Service, judging, rejected, settled};

fn replaced(service: Service) -> Service {
    let mut service =
        service.target(|target| (target.uid, target.hold) = ("uid-new".into(), None)).labelled();
    for release in &mut service.releases {
        release.target_uid = Some("uid-pay".into());
    }
    service
}

#[test]
fn a_release_under_way_ends() {
    check("while it was judged, and failed", &replaced(judging().finds("rpc-errors", Verdict::Fail, "30 %")), "
        v2 is Superseded: ended without a verdict: Deployment pay is not the one that it was released to [started +0s, decided +0s]
        create v3 t2 by ci: was running when the service was claimed
        = Unclaimed: Claiming
        why v2 is under way -> closes it: ended without a verdict: Deployment pay is not the one that it was released to
        why no release of this Deployment is recorded -> records what runs as v3
    ");
    let failing =
        judging().last(|r| (r.status.phase, r.status.summary) = (ReleasePhase::RollingBack, "30 %".into()));
    check("while it was rolled back", &replaced(failing), "
        v2 is Superseded: 30 %; not followed to its end: Deployment pay is not the one that it was released to [started +0s, decided +0s]
        create v3 t2 by ci: was running when the service was claimed
        = Unclaimed: Claiming
        why v2 is under way -> closes it: 30 %; not followed to its end: Deployment pay is not the one that it was released to
        why no release of this Deployment is recorded -> records what runs as v3
    ");
}

#[test]
fn a_release_under_way_ends_where_the_service_is_left_alone() {
    let gone = |mut service: Service| {
        service.target = None;
        service
    };
    check(
        "while it was judged",
        &gone(judging().finds("rpc-errors", Verdict::Fail, "30 %")),
        "
        v2 is Superseded: ended without a verdict: Deployment shop/pay does not exist [started +0s, decided +0s]
        = Unclaimed: Deployment shop/pay does not exist
        ! Claimed TargetNotFound: Deployment shop/pay does not exist; waits for the Deployment to be created, or `spec.target.name` to name another
        why v2 is under way -> closes it: ended without a verdict: Deployment shop/pay does not exist
        why Deployment shop/pay does not exist -> leaves the Deployment alone; waits for the Deployment to be created, or `spec.target.name` to name another
    ",
    );
    check(
        "what a person decided is answered",
        &gone(judging().decides(Keep::RollBack)),
        "
        v2 is Superseded: ended without a verdict: Deployment shop/pay does not exist; ana decided to roll it back: I say so [started +0s, decided +0s]
        = Unclaimed: Deployment shop/pay does not exist
        ! Claimed TargetNotFound: Deployment shop/pay does not exist; waits for the Deployment to be created, or `spec.target.name` to name another
        why v2 is under way -> closes it: ended without a verdict: Deployment shop/pay does not exist; ana decided to roll it back: I say so
        why Deployment shop/pay does not exist -> leaves the Deployment alone; waits for the Deployment to be created, or `spec.target.name` to name another
    ",
    );
    check(
        "while it was taken back",
        &gone(judging().failed("rpc-errors: 30 %")),
        "
        event v2 RolledBack: rpc-errors: 30 %; not followed to its end: Deployment shop/pay does not exist
        v2 is RolledBack: rpc-errors: 30 %; not followed to its end: Deployment shop/pay does not exist [Fail, started +0s, decided +0s]
        = Unclaimed: Deployment shop/pay does not exist
        ! Claimed TargetNotFound: Deployment shop/pay does not exist; waits for the Deployment to be created, or `spec.target.name` to name another
        why v2 is under way -> closes it: rpc-errors: 30 %; not followed to its end: Deployment shop/pay does not exist
        why Deployment shop/pay does not exist -> leaves the Deployment alone; waits for the Deployment to be created, or `spec.target.name` to name another
    ",
    );
    let owned = judging().target(|target| target.owner = Some("Rollout pay".into()));
    check(
        "another controller took it over",
        &owned,
        "
        v2 is Superseded: ended without a verdict: Deployment shop/pay is managed by Rollout pay, which would undo a restored template [started +0s, decided +0s]
        = Unclaimed: Deployment shop/pay is managed by Rollout pay, which would undo a restored template
        ! Claimed TargetOwned: Deployment shop/pay is managed by Rollout pay, which would undo a restored template; waits for `spec.target` to name a Deployment without an owner, or Rollout pay to let go of it
        why v2 is under way -> closes it: ended without a verdict: Deployment shop/pay is managed by Rollout pay, which would undo a restored template
        why Deployment shop/pay is managed by Rollout pay, which would undo a restored template -> leaves the Deployment alone; waits for `spec.target` to name a Deployment without an owner, or Rollout pay to let go of it
    ",
    );
}

#[test]
fn what_was_kept_or_rejected_says_nothing_about_it() {
    check(
        "what was kept",
        &replaced(settled()),
        "
        create v2 t1 by ci: was running when the service was claimed
        label pay-t1-0 stable
        label pay-t1-1 stable
        label pay-t1-2 stable
        = Unclaimed: Claiming
        why no release of this Deployment is recorded -> records what runs as v2
    ",
    );
    check(
        "what was rejected",
        &replaced(rejected().applies("t2")),
        "
        create v3 t2 by ci: was running when the service was claimed
        = Unclaimed: Claiming
        why no release of this Deployment is recorded -> records what runs as v3
    ",
    );
    let again = replaced(settled()).release(2, "t1", ReleasePhase::Kept).applies("t2");
    let failing = again.release(3, "t2", ReleasePhase::Judging).started().labelled();
    let failing = failing.finds("rpc-errors", Verdict::Fail, "30 %");
    check(
        "its own releases are what it falls back to",
        &failing,
        "
        claim open
        v3 is RollingBack: rpc-errors: 30 % [Fail, started +0s, decided +0s, harmed 7]
        restore v2
        v3 is RollingBack: rpc-errors: 30 % [Fail, started +0s, decided +0s, restores 1, harmed 7]
        = RollingBack: Rolling back v3 to v2
        why the Deployment holds v3, which failed -> restores the template of v2
    ",
    );
}

#[test]
fn what_a_person_wants_kept_is_not_rejected_where_the_service_is_left_alone() {
    let mut failed = judging().decides(Keep::Keep).last(|release| {
        release.status.verdict = Some(Verdict::Fail);
        release.status.summary = "rpc-errors: 30 %".into();
    });
    failed.target = None;
    check("it ends, and that is said", &failed, "
        v2 is Superseded: rpc-errors: 30 %; Deployment shop/pay does not exist; ana decided to keep it: I say so [Fail, started +0s, decided +0s]
        = Unclaimed: Deployment shop/pay does not exist
        ! Claimed TargetNotFound: Deployment shop/pay does not exist; waits for the Deployment to be created, or `spec.target.name` to name another
        why v2 is under way -> closes it: rpc-errors: 30 %; Deployment shop/pay does not exist; ana decided to keep it: I say so
        why Deployment shop/pay does not exist -> leaves the Deployment alone; waits for the Deployment to be created, or `spec.target.name` to name another
    ");
}
