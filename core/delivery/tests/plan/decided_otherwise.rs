//! A release that a person, or another template, decides about.

use trimtab_delivery::snapshot::{Keep, ReleasePhase};
use trimtab_stats::Verdict;
use trimtab_workload::AdmissionHold;

use crate::check;
use crate::service::{judging, out, rejected, settled};

#[test]
fn a_person_decides() {
    check(
        "keep, before any pod is out",
        &judging().labelled().decides(Keep::Keep),
        "
        event v2 Kept: v2 is kept: kept by ana: I say so
        v2 is Kept: kept by ana: I say so [started +0s, decided +0s]
        = Healthy: Healthy on v2
        why ana decided to keep v2 -> keeps it: kept by ana: I say so
    ",
    );
    check(
        "keep, against the evidence",
        &out().finds("rpc-errors", Verdict::Fail, "30 %").decides(Keep::Keep),
        "
        event v2 Kept: v2 is kept: kept by ana: I say so
        v2 is Kept: kept by ana: I say so [started +0s, ready +0s, decided +0s, harmed 7]
        label pay-t2-0 stable
        label pay-t2-1 stable
        label pay-t2-2 stable
        = Healthy: Healthy on v2
        why ana decided to keep v2 -> keeps it: kept by ana: I say so
    ",
    );
    check("roll back", &out().finds("rpc-errors", Verdict::Pass, "0 %").decides(Keep::RollBack), "
        v2 is RollingBack: rolled back by ana: I say so [Fail, started +0s, ready +0s, decided +0s]
        restore v1
        v2 is RollingBack: rolled back by ana: I say so [Fail, started +0s, ready +0s, decided +0s, restores 1]
        = RollingBack: Rolling back v2 to v1
        why the Deployment holds v2, which failed -> restores the template of v1
    ");
    let kept = settled().decides(Keep::RollBack);
    check(
        "a release that was kept is left alone",
        &kept,
        "
        = Healthy: Healthy on v1
        why the Deployment runs v1, which was kept -> does nothing; waits for a change of its pod template
    ",
    );
    let arriving = rejected().release(3, "t3", ReleasePhase::Judging).started().applies("t3").paused(None);
    check(
        "roll back before admission lets it through",
        &arriving.clone().labelled().decides(Keep::RollBack),
        "
        v3 is RollingBack: rolled back by ana: I say so [Fail, started +0s, decided +0s]
        restore v1
        v3 is RollingBack: rolled back by ana: I say so [Fail, started +0s, decided +0s, restores 1]
        = RollingBack: Rolling back v3 to v1
        why the Deployment holds v3, which failed -> restores the template of v1
        wake +720h
    ",
    );
    check(
        "keep before admission lets it through",
        &arriving.labelled().decides(Keep::Keep),
        "
        event v3 Kept: v3 is kept: kept by ana: I say so
        v3 is Kept: kept by ana: I say so [started +0s, decided +0s]
        claim hold-changes pay:t2, unpause
        = Healthy: Healthy on v3
        why ana decided to keep v3 -> keeps it: kept by ana: I say so
        wake +720h
    ",
    );
}

#[test]
fn is_replaced() {
    let newer = judging().runs("t1", 2).runs("t2", 1).labelled().applies("t3");
    check(
        "a newer template supersedes it",
        &newer,
        "
        v2 is Superseded: replaced by v3 before a verdict [started +0s, decided +0s]
        create v3 t3 by ci after v1
        label pay-t2-0 stable
        = Healthy: Healthy on v1
        why the Deployment holds a new template -> records it as v3
    ",
    );
    let undone = judging().runs("t1", 2).runs("t2", 1).labelled().applies("t1");
    check(
        "somebody puts the previous template back",
        &undone,
        "
        v2 is Superseded: ci put the previous template back [started +0s, decided +0s]
        label pay-t2-0 stable
        = Healthy: Healthy on v1
        why the previous template is back -> ends v2: ci put the previous template back
    ",
    );
    check(
        "as a person ordered",
        &undone.decides(Keep::RollBack),
        "
        v2 is RollingBack: rolled back by ana: I say so [Fail, started +0s, decided +0s]
        = RollingBack: Rolling back v2 to v1
        why the previous template is back -> ends v2: rolled back by ana: I say so
    ",
    );
    let unannounced = settled().release(2, "t2", ReleasePhase::Judging);
    check(
        "put back before the release was announced",
        &unannounced,
        "
        v2 is Superseded: ci put the previous template back [decided +0s]
        = Healthy: Healthy on v1
        why the previous template is back -> ends v2: ci put the previous template back
    ",
    );
    let failing = judging();
    let failing =
        failing.last(|r| (r.status.phase, r.status.summary) = (ReleasePhase::RollingBack, "30 %".into()));
    check(
        "a newer template replaces a failed one: that one stays rejected",
        &failing.labelled().applies("t3"),
        "
        claim hold-changes pay:t2
        event v2 RolledBack: 30 %; replaced by v3
        v2 is RolledBack: 30 %; replaced by v3 [started +0s, decided +0s]
        create v3 t3 by ci after v1
        = Healthy: Healthy on v1 (v2 rejected)
        why the Deployment holds a new template -> records it as v3
    ",
    );
    let remembered = rejected().applies("t3").paused(None);
    check(
        "admission holds a new template until it is recorded",
        &remembered,
        "
        create v3 t3 by ci after v1
        = Healthy: Healthy on v1 (v2 rejected)
        why the Deployment holds a new template -> records it as v3
        wake +720h
    ",
    );
    let announced = remembered.release(3, "t3", ReleasePhase::Judging).started().labelled();
    check("then it is let through", &announced, "
        claim hold-changes pay:t2, unpause
        = Releasing: Releasing v3, judged against v1 (v2 rejected)
        why admission held the new template until it was compared with the rejected ones -> lets it through: it is not one of them
        wake +720h
    ");
    check("beside a claim that holds it", &announced.claim(AdmissionHold::Held), "
        claim hold-changes pay:t2, unpause
        = Releasing: Releasing v3, judged against v1 (v2 rejected)
        why admission held the new template until it was compared with the rejected ones -> lets it through: it is not one of them
        wake +720h
    ");
}
