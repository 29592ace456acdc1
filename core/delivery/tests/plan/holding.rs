//! A rejected template that comes again.

use trimtab_delivery::plan::RESTORES_MAX;
use trimtab_delivery::snapshot::{Keep, ReleasePhase};
use trimtab_plan::Reason;
use trimtab_stats::Verdict;
use trimtab_workload::AdmissionHold;

use crate::check;
use crate::service::{held, judging, rejected};

#[test]
fn is_held() {
    let again =
        rejected().applies("t2").paused(None).target(|target| target.template_manager = "argocd".into());
    check(
        "applied again, paused by admission",
        &again,
        "
        claim held pay:t2
        event v2 Held: v2 was rejected and applied again by argocd: held, no pod is touched
        v2 is RolledBack: rpc-errors: 30 % [Fail, held, started +0s, decided +0s, recovered +0s, restores 1]
        = Held: Healthy on v1 (v2 rejected)
        why the Deployment holds the template of v2, which was rejected -> holds it; no pod is touched
        wake +720h
    ",
    );
    check("held, and said once", &held(), "
        = Held: Healthy on v1 (v2 rejected)
        why the Deployment holds the template of v2, which was rejected -> holds it; the pods of the previous release keep running; waits for another template, or `trimtab promote pay v2 -n shop --because ...`
        wake +720h
    ");
    let unfinished = held().claim(AdmissionHold::HoldChanges);
    check("a crash before the claim was written", &unfinished, "
        claim held pay:t2
        = Held: Healthy on v1 (v2 rejected)
        why the Deployment holds the template of v2, which was rejected -> holds it; the pods of the previous release keep running; waits for another template, or `trimtab promote pay v2 -n shop --because ...`
        wake +720h
    ");
    check("paused by a person first", &rejected().applies("t2").paused(Some("kubectl-rollout")), "
        = Healthy: Healthy on v1 (v2 rejected)
        ! Progressing PausedByOther: kubectl-rollout paused the Deployment; Trimtab does not lift a pause that is not its own
        why the Deployment holds the template of v2, which was rejected -> holds it; the pods of the previous release keep running; waits for another template, or `trimtab promote pay v2 -n shop --because ...`
        wake +720h
    ");
    let another = held().release(3, "t3", ReleasePhase::RolledBack).applies("t3");
    check(
        "another rejected template instead",
        &another,
        "
        claim held pay:t3 pay:t2
        event v3 Held: v3 was rejected and applied again by ci: held, no pod is touched
        v3 is RolledBack:  [held]
        = Held: Healthy on v1 (v2, v3 rejected)
        why the Deployment holds the template of v3, which was rejected -> holds it; no pod is touched
        wake +720h
    ",
    );
}

#[test]
fn nothing_held_it() {
    let out = rejected().applies("t2").runs("t1", 2).runs("t2", 1).later(900);
    check("without the admission policy it is restored", &out, "
        v2 is RollingBack: rpc-errors: 30 % [Fail, started +0s, decided +15m, restores 1]
        restore v1
        v2 is RollingBack: rpc-errors: 30 % [Fail, started +0s, decided +15m, restores 2]
        = RollingBack: Rolling back v2 to v1
        why the Deployment holds the template of v2, which was rejected -> restores the previous template: nothing held this one at admission
        why the Deployment holds v2, which failed -> restores the template of v1
        wake +720h
    ");
    let resumed = held().target(|target| target.paused = false).later(900);
    check("somebody freed it", &resumed, "
        v2 is RollingBack: rpc-errors: 30 % [Fail, started +0s, decided +15m, restores 1]
        restore v1
        v2 is RollingBack: rpc-errors: 30 % [Fail, started +0s, decided +15m, restores 2]
        = RollingBack: Rolling back v2 to v1
        why the Deployment holds the template of v2, which was rejected -> restores the previous template: nothing held this one at admission
        why the Deployment holds v2, which failed -> restores the template of v1
        wake +720h
    ");
    let fought = out.last(|release| release.status.restores = RESTORES_MAX);
    check("restored a bounded number of times", &fought, "
        event v2 NeedsHuman: v2 failed, but ci wrote its template back after v1 was restored 5 times: stopped
        v2 is RollingBack: rpc-errors: 30 % [Fail, started +0s, decided +15m, restores 5, needs a person]
        = Degraded: Needs a person: v2 failed, and its template is written back whenever v1 is restored
        ! Progressing NeedsHuman: v2 failed, and its template is written back whenever v1 is restored; `trimtab explain pay -n shop` says what was seen and what it waits for
        why the Deployment holds the template of v2, which was rejected -> restores the previous template: nothing held this one at admission
        why v2 failed, but ci wrote its template back after v1 was restored 5 times: stopped -> does nothing more; waits for the writer to stop, or `trimtab promote pay -n shop --because ...`
        wake +720h
    ");
}

#[test]
fn what_ends_a_hold() {
    check("a person promotes it", &held().decides(Keep::Keep), "
        event v2 Kept: v2 is kept: kept by ana: I say so
        v2 is Kept: kept by ana: I say so [Fail, started +0s, decided +0s, recovered +0s, restores 1]
        claim open, unpause
        = Healthy: Healthy on v2
        why the Deployment holds the template of v2, which was rejected -> keeps v2: ana said so because I say so
        why ana decided to keep v2 -> keeps it: kept by ana: I say so
        wake +720h
    ");
    let promoted = held().last(|release| {
        release.status.phase = ReleasePhase::Kept;
        release.status.held = false;
    });
    check(
        "a crash before the pause was lifted",
        &promoted,
        "
        claim open, unpause
        = Healthy: Healthy on v2
        why the Deployment runs v2, which was kept -> does nothing; waits for a change of its pod template
    ",
    );
    check(
        "Git goes back to what runs",
        &held().applies("t1"),
        "
        v2 is RolledBack: rpc-errors: 30 % [Fail, started +0s, decided +0s, recovered +0s, restores 1]
        claim hold-changes pay:t2, unpause
        = Healthy: Healthy on v1 (v2 rejected)
        why the Deployment runs v1, which was kept -> does nothing; waits for a change of its pod template
        wake +720h
    ",
    );
    check(
        "another new template",
        &held().applies("t3"),
        "
        create v3 t3 by ci after v1
        = Held: Healthy on v1 (v2 rejected)
        why the Deployment holds a new template -> records it as v3
        wake +720h
    ",
    );
    let recorded = held().applies("t3").release(3, "t3", ReleasePhase::Judging).started().labelled();
    let kept = held().release(3, "t3", ReleasePhase::Kept).applies("t3").claim(AdmissionHold::Open);
    let kept = kept.target(|target| target.paused = false);
    check(
        "and once that is kept, the hold is over",
        &kept,
        "
        v2 is RolledBack: rpc-errors: 30 % [Fail, started +0s, decided +0s, recovered +0s, restores 1]
        claim hold-changes pay:t2
        = Healthy: Healthy on v3
        why the Deployment runs v3, which was kept -> does nothing; waits for a change of its pod template
        wake +720h
    ",
    );
    check("which is let through", &recorded, "
        claim hold-changes pay:t2, unpause
        = Releasing: Releasing v3, judged against v1 (v2 rejected)
        why admission held the new template until it was compared with the rejected ones -> lets it through: it is not one of them
        wake +720h
    ");
}

#[test]
fn over_a_release_in_flight() {
    let written_over = rejected().release(3, "t3", ReleasePhase::Judging).started().labelled().applies("t2");
    check(
        "the release under way comes back",
        &written_over.clone().paused(None),
        "
        restore v3
        v3 is Judging:  [started +0s, restores 1]
        = Releasing: Releasing v3, judged against v1 (v2 rejected)
        why a rejected template was written over v3, which is under way -> brings back v3
        wake +720h
    ",
    );
    check(
        "also where nothing holds it",
        &written_over,
        "
        restore v3
        v3 is Judging:  [started +0s, restores 1]
        = Releasing: Releasing v3, judged against v1 (v2 rejected)
        why a rejected template was written over v3, which is under way -> brings back v3
        wake +720h
    ",
    );
    let fought = written_over.last(|release| release.status.restores = RESTORES_MAX);
    check("brought back a bounded number of times", &fought, "
        event v3 NeedsHuman: ci keeps writing a rejected template over v3
        v3 is Judging:  [started +0s, restores 5, needs a person]
        = Degraded: Needs a person: a rejected template is written over v3 again and again (v2 rejected)
        ! Progressing NeedsHuman: a rejected template is written over v3 again and again; `trimtab explain pay -n shop` says what was seen and what it waits for
        why a rejected template was written over v3, which is under way -> does nothing more: it was brought back too often; waits for `trimtab promote pay -n shop --because ...` to bring it back again, `trimtab abort pay -n shop`, or another template
        wake +720h
    ");
    check("which is said once", &fought.last(|release| release.status.needs_human = Some(Reason::RestoresExhausted)), "
        = Degraded: Needs a person: a rejected template is written over v3 again and again (v2 rejected)
        ! Progressing NeedsHuman: a rejected template is written over v3 again and again; `trimtab explain pay -n shop` says what was seen and what it waits for
        why a rejected template was written over v3, which is under way -> does nothing more: it was brought back too often; waits for `trimtab promote pay -n shop --because ...` to bring it back again, `trimtab abort pay -n shop`, or another template
        wake +720h
    ");
}

#[test]
fn rejections_are_remembered() {
    let later = || rejected().release(3, "t3", ReleasePhase::Kept).applies("t3").runs("t1", 0).runs("t3", 3);
    check(
        "beside a release that was kept later",
        &later(),
        "
        = Healthy: Healthy on v3
        why the Deployment runs v3, which was kept -> does nothing; waits for a change of its pod template
        wake +720h
    ",
    );
    check(
        "and held when it comes back",
        &later().applies("t2").paused(None).claim(AdmissionHold::Held),
        "
        event v2 Held: v2 was rejected and applied again by ci: held, no pod is touched
        v2 is RolledBack: rpc-errors: 30 % [Fail, held, started +0s, decided +0s, recovered +0s, restores 1]
        = Held: Healthy on v3 (v2 rejected)
        why the Deployment holds the template of v2, which was rejected -> holds it; no pod is touched
        wake +720h
    ",
    );
    check("it comes back where nothing holds it", &later().applies("t2"), "
        v2 is RollingBack: rpc-errors: 30 % [Fail, started +0s, decided +0s, restores 1]
        restore v3
        v2 is RollingBack: rpc-errors: 30 % [Fail, started +0s, decided +0s, restores 2]
        = RollingBack: Rolling back v2 to v3
        why the Deployment holds the template of v2, which was rejected -> restores the previous template: nothing held this one at admission
        why the Deployment holds v2, which failed -> restores the template of v3
        wake +720h
    ");
    check(
        "for a month",
        &later().later(30 * 24 * 3600),
        "
        claim open
        = Healthy: Healthy on v3
        why the Deployment runs v3, which was kept -> does nothing; waits for a change of its pod template
    ",
    );
    let held = later().applies("t2").paused(None).claim(AdmissionHold::Held);
    let mut waits = held.later(31 * 24 * 3600);
    waits.releases[1].status.held = true;
    check("and longer while the spec holds it: nothing ships because time passed", &waits, "
        = Held: Healthy on v3 (v2 rejected)
        why the Deployment holds the template of v2, which was rejected -> holds it; the pods of the previous release keep running; waits for another template, or `trimtab promote pay v2 -n shop --because ...`
    ");
    let mut lifted = later();
    lifted.releases[1].status.phase = ReleasePhase::RolledBack;
    let lifted = lifted.release(4, "t2", ReleasePhase::Kept).applies("t2").runs("t3", 0).runs("t2", 3);
    check(
        "until the same template is kept",
        &lifted,
        "
        claim open
        = Healthy: Healthy on v4
        why the Deployment runs v4, which was kept -> does nothing; waits for a change of its pod template
    ",
    );
}

#[test]
fn what_is_held_is_never_taken_for_what_runs() {
    let mut unrecorded = held().target(|target| target.held_images = vec!["pay:t2".into()]);
    unrecorded.releases.clear();
    check("its records are gone, or count no more", &unrecorded, "
        = Held: Needs a person: a rejected template is held, and no release that counts tells what runs instead
        ! Progressing NeedsHuman: a rejected template is held, and no release that counts tells what runs instead; `trimtab explain pay -n shop` says what was seen and what it waits for
        why a rejected template is held, and no release that counts tells what runs instead -> leaves it held; waits for another pod template; to let this one pass, `kubectl annotate deployment pay trimtab.dev/claim- -n shop` and `kubectl rollout resume deployment/pay -n shop`
    ");
}

#[test]
fn a_rejected_template_is_no_baseline() {
    let alone = held().without(1);
    check(
        "held, and the record of what runs is gone",
        &alone,
        "
        = Held: Needs a person: a rejected template is held, and no release that counts tells what runs instead (v2 rejected)
        ! Progressing NeedsHuman: a rejected template is held, and no release that counts tells what runs instead; `trimtab explain pay -n shop` says what was seen and what it waits for
        why a rejected template is held, and no release that counts tells what runs instead -> leaves it held; waits for another pod template; to let this one pass, `kubectl annotate deployment pay trimtab.dev/claim- -n shop` and `kubectl rollout resume deployment/pay -n shop`
        wake +720h
        "
    );
    let out = rejected().without(1).applies("t2").runs("t1", 0).runs("t2", 3);
    check(
        "out, and no record of another is left",
        &out,
        "
        create v3 t2 by ci: was running when the service was claimed
        = Unclaimed: Claiming
        why no release of this Deployment is recorded -> records what runs as v3
        wake +720h
        ",
    );
}

#[test]
fn a_fight_that_was_answered_counts_no_more() {
    let fought = rejected()
        .release(3, "t3", ReleasePhase::Kept)
        .applies("t2")
        .release_status(2, |status| (status.restores, status.restored) = (RESTORES_MAX, Some(1)));
    check(
        "a later release was kept since",
        &fought,
        "
        v2 is RollingBack: rpc-errors: 30 % [Fail, started +0s, decided +0s]
        restore v3
        v2 is RollingBack: rpc-errors: 30 % [Fail, started +0s, decided +0s, restores 1]
        = RollingBack: Rolling back v2 to v3
        why the Deployment holds the template of v2, which was rejected -> restores the previous template: nothing held this one at admission
        why the Deployment holds v2, which failed -> restores the template of v3
        wake +720h
        "
    );
    let goes_on = fought.release_status(2, |status| status.restored = Some(3));
    check(
        "and where it is that one which is restored, it counts",
        &goes_on,
        "
        event v2 NeedsHuman: v2 failed, but ci wrote its template back after v3 was restored 5 times: stopped
        v2 is RollingBack: rpc-errors: 30 % [Fail, started +0s, decided +0s, restores 5, needs a person]
        = Degraded: Needs a person: v2 failed, and its template is written back whenever v3 is restored
        ! Progressing NeedsHuman: v2 failed, and its template is written back whenever v3 is restored; `trimtab explain pay -n shop` says what was seen and what it waits for
        why the Deployment holds the template of v2, which was rejected -> restores the previous template: nothing held this one at admission
        why v2 failed, but ci wrote its template back after v3 was restored 5 times: stopped -> does nothing more; waits for the writer to stop, or `trimtab promote pay -n shop --because ...`
        wake +720h
        "
    );
}

#[test]
fn a_person_who_paused_it() {
    let failing = judging().runs("t1", 1).runs("t2", 2).labelled().paused(Some("ana"));
    check(
        "keeps the pause when a release fails",
        &failing.clone().finds("rpc-errors", Verdict::Fail, "30 % of 120"),
        "
        v2 is RollingBack: rpc-errors: 30 % of 120 [Fail, started +0s, decided +0s, harmed 7]
        restore v1
        v2 is RollingBack: rpc-errors: 30 % of 120 [Fail, started +0s, decided +0s, restores 1, harmed 7]
        = RollingBack: Rolling back v2 to v1
        ! Progressing PausedByOther: ana paused the Deployment; Trimtab does not lift a pause that is not its own
        why the Deployment holds v2, which failed -> restores the template of v1
        "
    );
    let back = failing.failed("rpc-errors: 30 % of 120").applies("t1").paused(Some("ana"));
    check(
        "is asked to go on at once",
        &back,
        "
        event v2 NeedsHuman: the previous release does not come back: v1 is back on 1 of 3 pods, 2 pods of v2 are left
        v2 is RollingBack: rpc-errors: 30 % of 120 [Fail, started +0s, decided +0s, needs a person]
        = Degraded: Needs a person: v2 failed, and the pods of v1 do not come back
        ! Progressing NeedsHuman: v2 failed, and the pods of v1 do not come back; `trimtab explain pay -n shop` says what was seen and what it waits for; ana paused the Deployment; Trimtab does not lift a pause that is not its own
        why v1 is back on 1 of 3 pods, 2 pods of v2 are left, and ana paused the Deployment -> waits; waits for `kubectl rollout resume deployment/pay -n shop`
        wake +10m
        "
    );
}
