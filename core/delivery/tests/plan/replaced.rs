//! Another Deployment than before: deleted and made again, or another one that the service names now.

use trimtab_delivery::snapshot::ReleasePhase;
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
        v2 is Superseded: 30 %; not rolled back: Deployment pay is not the one that it was released to [started +0s, decided +0s]
        create v3 t2 by ci: was running when the service was claimed
        = Unclaimed: Claiming
        why v2 is under way -> closes it: 30 %; not rolled back: Deployment pay is not the one that it was released to
        why no release of this Deployment is recorded -> records what runs as v3
    ");
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
