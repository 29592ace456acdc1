//! A release that fails: the previous template comes back, and stays.

use trimtab_delivery::plan::RESTORES_MAX;
use trimtab_delivery::snapshot::Keep;
use trimtab_delivery::strategy::Rolling;
use trimtab_plan::Reason;
use trimtab_stats::Verdict;
use trimtab_workload::AdmissionHold;

use crate::Service;
use crate::check;
use crate::service::{judging, rejected};

fn failing() -> Service {
    judging().runs("t1", 2).runs("t2", 1).labelled().finds("rpc-errors", Verdict::Fail, "30 % of 120")
}

/// The verdict fell a moment ago; the template is still the failed one.
fn rolling_back() -> Service {
    failing().failed("rpc-errors: 30 % of 120").last(|release| release.status.restores = 1)
}

/// The previous template is in the spec again.
fn recovering() -> Service {
    rolling_back().applies("t1").claim(AdmissionHold::HoldChanges)
}

#[test]
fn fails() {
    check(
        "the decision is written before it is acted on",
        &failing(),
        "
        v2 is RollingBack: rpc-errors: 30 % of 120 [Fail, started +0s, decided +0s, harmed 7]
        restore v1
        v2 is RollingBack: rpc-errors: 30 % of 120 [Fail, started +0s, decided +0s, restores 1, harmed 7]
        = RollingBack: Rolling back v2 to v1
        why the Deployment holds v2, which failed -> restores the template of v1
    ",
    );
    let rolling = failing().settings(|settings| settings.strategy = &Rolling);
    check(
        "strategy Rolling does not judge",
        &rolling,
        "
        label pay-t2-0 stable
        = Releasing: Releasing v2, judged against v1
        why 1 of 3 pods of v2 are available -> judges what there is; waits for the other pods
        wake +1h
    ",
    );
    let stuck = judging().waits("t2", "ImagePullBackOff").labelled();
    let stuck =
        stuck.target(|target| target.progress_deadline_exceeded = Some("has timed out progressing".into()));
    check("an image that never pulls", &stuck, "
        v2 is RollingBack: progress: ImagePullBackOff; has timed out progressing [Fail, started +0s, decided +0s]
        restore v1
        v2 is RollingBack: progress: ImagePullBackOff; has timed out progressing [Fail, started +0s, decided +0s, restores 1]
        = RollingBack: Rolling back v2 to v1
        why the Deployment holds v2, which failed -> restores the template of v1
    ");
    let stale = stuck.clone().target(|target| target.observed_generation -= 1);
    check(
        "a deadline that the previous template missed says nothing about this one",
        &stale,
        "
        = Releasing: Releasing v2, judged against v1
        why 0 of 3 pods of v2 are available -> judges what there is; waits for the other pods
        wake +1h
    ",
    );
    let mut silent = stuck;
    silent.pods.iter_mut().for_each(|pod| pod.waiting = None);
    check(
        "pods that never become ready",
        &silent,
        "
        v2 is RollingBack: progress: has timed out progressing [Fail, started +0s, decided +0s]
        restore v1
        v2 is RollingBack: progress: has timed out progressing [Fail, started +0s, decided +0s, restores 1]
        = RollingBack: Rolling back v2 to v1
        why the Deployment holds v2, which failed -> restores the template of v1
    ",
    );
    let mut alone = failing();
    alone.releases.remove(0);
    check("nothing to go back to", &alone, "
        event v2 NeedsHuman: v2 failed, and no earlier release is recorded to go back to: rpc-errors: 30 % of 120
        v2 is Judging: rpc-errors: 30 % of 120 [Fail, started +0s, decided +0s, needs a person, harmed 7]
        = Degraded: Needs a person: v2 failed, and no earlier release is recorded to go back to
        ! Progressing NeedsHuman: v2 failed, and no earlier release is recorded to go back to; `trimtab explain pay -n shop` says what was seen and what it waits for
        why v2 failed, and no earlier release is recorded to go back to: rpc-errors: 30 % of 120 -> does nothing; waits for `trimtab promote pay -n shop --because ...`, or another template
    ");
    let told = alone.last(|release| release.status.needs_human = Some(Reason::NothingToRestore)).later(60);
    check("which is said once and costs nothing", &told, "
        = Degraded: Needs a person: v2 failed, and no earlier release is recorded to go back to
        ! Progressing NeedsHuman: v2 failed, and no earlier release is recorded to go back to; `trimtab explain pay -n shop` says what was seen and what it waits for
        why v2 failed, and no earlier release is recorded to go back to: rpc-errors: 30 % of 120 -> does nothing; waits for `trimtab promote pay -n shop --because ...`, or another template
    ");
    let twice = failing().last(|release| release.rollback_to = Some(1));
    check("a rollback that fails too is not undone", &twice, "
        event v2 NeedsHuman: v2 is itself a rollback, and fails too: rpc-errors: 30 % of 120
        v2 is Kept: v2 is itself a rollback, and fails too: rpc-errors: 30 % of 120 [Fail, started +0s, decided +0s, needs a person, harmed 7]
        label pay-t2-0 stable
        = Degraded: Needs a person: v2 is itself a rollback, and failed too; it was not undone
        ! Progressing NeedsHuman: v2 is itself a rollback, and failed too; it was not undone; `trimtab explain pay -n shop` says what was seen and what it waits for
        why v2 is itself a rollback, and fails too: rpc-errors: 30 % of 120 -> keeps it, and asks for a person
    ");
    check(
        "unless a person says so",
        &twice.decides(Keep::RollBack),
        "
        v2 is RollingBack: rolled back by ana: I say so [Fail, started +0s, decided +0s, harmed 7]
        restore v1
        v2 is RollingBack: rolled back by ana: I say so [Fail, started +0s, decided +0s, restores 1, harmed 7]
        = RollingBack: Rolling back v2 to v1
        why the Deployment holds v2, which failed -> restores the template of v1
    ",
    );
}

#[test]
fn restores() {
    check(
        "a crash between decision and restore: restored by the successor",
        &rolling_back(),
        "
        restore v1
        v2 is RollingBack: rpc-errors: 30 % of 120 [Fail, started +0s, decided +0s, restores 2]
        = RollingBack: Rolling back v2 to v1
        why the Deployment holds v2, which failed -> restores the template of v1
    ",
    );
    check(
        "a person wants it kept after all",
        &rolling_back().decides(Keep::Keep),
        "
        event v2 Kept: v2 is kept: kept by ana: I say so
        v2 is Kept: kept by ana: I say so [Fail, started +0s, decided +0s, restores 1, harmed 7]
        label pay-t2-0 stable
        = Healthy: Healthy on v2
        why ana decided to keep v2 -> keeps it: kept by ana: I say so
    ",
    );
    let fought = rolling_back().last(|release| release.status.restores = RESTORES_MAX);
    let fought = fought.target(|target| target.template_manager = "argocd".into());
    check("somebody keeps writing the failed template back", &fought, "
        event v2 NeedsHuman: v2 failed, but argocd wrote its template back after v1 was restored 5 times: stopped
        v2 is RollingBack: rpc-errors: 30 % of 120 [Fail, started +0s, decided +0s, restores 5, needs a person]
        = Degraded: Needs a person: v2 failed, and its template is written back whenever v1 is restored
        ! Progressing NeedsHuman: v2 failed, and its template is written back whenever v1 is restored; `trimtab explain pay -n shop` says what was seen and what it waits for
        why v2 failed, but argocd wrote its template back after v1 was restored 5 times: stopped -> does nothing more; waits for the writer to stop, or `trimtab promote pay -n shop --because ...`
    ");
    check("said once", &fought.last(|release| release.status.needs_human = Some(Reason::RestoresExhausted)), "
        = Degraded: Needs a person: v2 failed, and its template is written back whenever v1 is restored
        ! Progressing NeedsHuman: v2 failed, and its template is written back whenever v1 is restored; `trimtab explain pay -n shop` says what was seen and what it waits for
        why v2 failed, but argocd wrote its template back after v1 was restored 5 times: stopped -> does nothing more; waits for the writer to stop, or `trimtab promote pay -n shop --because ...`
    ");
}

#[test]
fn recovers() {
    check(
        "the pods of the previous release come back",
        &recovering(),
        "
        = RollingBack: Rolling back v2 to v1
        why v1 is back on 2 of 3 pods, 1 pods of v2 are left -> waits; waits for the pods of v1
        wake +10m
    ",
    );
    check(
        "the new pods are gone, not all old ones are there",
        &recovering().runs("t2", 0),
        "
        = RollingBack: Rolling back v2 to v1
        why v1 is back on 2 of 3 pods, 0 pods of v2 are left -> waits; waits for the pods of v1
        wake +10m
    ",
    );
    let unseen = recovering().runs("t2", 0).runs("t1", 3).target(|target| target.observed_generation -= 1);
    check(
        "counted before the Deployment controller saw the restore",
        &unseen,
        "
        = RollingBack: Rolling back v2 to v1
        why v1 is back on 3 of 3 pods, 0 pods of v2 are left -> waits; waits for the pods of v1
        wake +10m
    ",
    );
    check(
        "recovered",
        &recovering().runs("t2", 0).runs("t1", 3).later(25),
        "
        event v2 RolledBack: rpc-errors: 30 % of 120
        v2 is RolledBack: rpc-errors: 30 % of 120 [Fail, started +0s, decided +0s, recovered +25s, restores 1]
        = Healthy: Healthy on v1 (v2 rejected)
        why all 3 pods run v1 again -> closes v2 as rolled back
    ",
    );
    let mut leaving = recovering().runs("t1", 3).later(25);
    leaving.pods.iter_mut().filter(|pod| pod.replica_set == "uid-t2").for_each(|pod| pod.deleting = true);
    check(
        "a pod that is being deleted is as good as gone",
        &leaving,
        "
        event v2 RolledBack: rpc-errors: 30 % of 120
        v2 is RolledBack: rpc-errors: 30 % of 120 [Fail, started +0s, decided +0s, recovered +25s, restores 1]
        = Healthy: Healthy on v1 (v2 rejected)
        why all 3 pods run v1 again -> closes v2 as rolled back
    ",
    );
    let overdue = recovering().runs("t2", 0).later(600);
    check("overdue: a person is asked", &overdue, "
        event v2 NeedsHuman: the previous release does not come back: v1 is back on 2 of 3 pods, 0 pods of v2 are left
        v2 is RollingBack: rpc-errors: 30 % of 120 [Fail, started +0s, decided +0s, restores 1, needs a person]
        = Degraded: Needs a person: v2 failed, and the pods of v1 do not come back
        ! Progressing NeedsHuman: v2 failed, and the pods of v1 do not come back; `trimtab explain pay -n shop` says what was seen and what it waits for
        why v1 is back on 2 of 3 pods, 0 pods of v2 are left -> waits; waits for the pods of v1
    ");
    let asked = overdue.last(|release| release.status.needs_human = Some(Reason::Recovering));
    check(
        "asked once",
        &asked,
        "
        = Degraded: Needs a person: v2 failed, and the pods of v1 do not come back
        ! Progressing NeedsHuman: v2 failed, and the pods of v1 do not come back; `trimtab explain pay -n shop` says what was seen and what it waits for
        why v1 is back on 2 of 3 pods, 0 pods of v2 are left -> waits; waits for the pods of v1
    ",
    );
    check(
        "and closed when it recovers all the same",
        &asked.runs("t1", 3),
        "
        event v2 RolledBack: rpc-errors: 30 % of 120
        v2 is RolledBack: rpc-errors: 30 % of 120 [Fail, started +0s, decided +0s, recovered +10m, restores 1]
        = Healthy: Healthy on v1 (v2 rejected)
        why all 3 pods run v1 again -> closes v2 as rolled back
    ",
    );
    check(
        "rolled back: the claim holds the next change",
        &rejected().claim(AdmissionHold::Open),
        "
        claim hold-changes pay:t2
        = Healthy: Healthy on v1 (v2 rejected)
        why the Deployment runs v1, which was kept -> does nothing; waits for a change of its pod template
        wake +720h
    ",
    );
}

#[test]
fn gives_the_fields_back() {
    check(
        "as soon as the template is out",
        &rejected().target(|target| target.owns_template = true),
        "
        return fields
        = Healthy: Healthy on v1 (v2 rejected)
        why the Deployment runs v1, which was kept -> does nothing; waits for a change of its pod template
        wake +720h
    ",
    );
}

#[test]
fn a_person_wants_it_and_there_is_nothing_to_go_back_to() {
    let alone = judging().without(1).decides(Keep::RollBack);
    check(
        "the record says so",
        &alone,
        "
        event v2 NeedsHuman: v2 failed, and no earlier release is recorded to go back to: rolled back by ana: I say so
        v2 is Judging: ana decided to roll it back, and there is nothing to go back to: I say so [Fail, started +0s, decided +0s, needs a person]
        label pay-t1-0 stable
        label pay-t1-1 stable
        label pay-t1-2 stable
        = Degraded: Needs a person: v2 failed, and no earlier release is recorded to go back to
        ! Progressing NeedsHuman: v2 failed, and no earlier release is recorded to go back to; `trimtab explain pay -n shop` says what was seen and what it waits for
        why v2 failed, and no earlier release is recorded to go back to: rolled back by ana: I say so -> does nothing; waits for `trimtab promote pay -n shop --because ...`, or another template
        "
    );
}

#[test]
fn over_a_template_that_is_too_large() {
    let large = |service: Service| service.applies("t3").target(|target| target.template_bytes = 2 << 20);
    check(
        "a release that was judged ends",
        &large(judging()),
        "
        v2 is Superseded: replaced by a template that is too large to be recorded before a verdict [started +0s, decided +0s]
        = Unclaimed: the pod template of Deployment shop/pay is 2048 KiB as JSON, and at most 1024 KiB can be recorded: it is shipped without being judged, and cannot be rolled back
        ! Claimed TemplateTooLarge: the pod template of Deployment shop/pay is 2048 KiB as JSON, and at most 1024 KiB can be recorded: it is shipped without being judged, and cannot be rolled back; waits for a smaller template; a ConfigMap holds what is large
        why the pod template of Deployment shop/pay is 2048 KiB as JSON, and at most 1024 KiB can be recorded: it is shipped without being judged, and cannot be rolled back -> leaves the Deployment alone; waits for a smaller template; a ConfigMap holds what is large
        "
    );
    check(
        "and what a person decided is carried out",
        &large(judging().decides(Keep::RollBack)),
        "
        claim hold-changes pay:t2
        event v2 RolledBack: rolled back by ana: I say so; replaced by a template that is too large to be recorded
        v2 is RolledBack: rolled back by ana: I say so; replaced by a template that is too large to be recorded [Fail, started +0s, decided +0s]
        = Unclaimed: the pod template of Deployment shop/pay is 2048 KiB as JSON, and at most 1024 KiB can be recorded: it is shipped without being judged, and cannot be rolled back
        ! Claimed TemplateTooLarge: the pod template of Deployment shop/pay is 2048 KiB as JSON, and at most 1024 KiB can be recorded: it is shipped without being judged, and cannot be rolled back; waits for a smaller template; a ConfigMap holds what is large
        why the pod template of Deployment shop/pay is 2048 KiB as JSON, and at most 1024 KiB can be recorded: it is shipped without being judged, and cannot be rolled back -> leaves the Deployment alone; waits for a smaller template; a ConfigMap holds what is large
        "
    );
}

#[test]
fn no_pod_of_it_ever_came() {
    let never = judging().waits("t2", "ImagePullBackOff");
    check(
        "and nobody gives it up",
        &never.later(3600),
        "
        v2 is RollingBack: progress: no pod of v2 became ready within 1h [Fail, started +0s, decided +1h]
        restore v1
        v2 is RollingBack: progress: no pod of v2 became ready within 1h [Fail, started +0s, decided +1h, restores 1]
        = RollingBack: Rolling back v2 to v1
        why the Deployment holds v2, which failed -> restores the template of v1
        "
    );
}
