//! Decisions of people, and evidence, about a release that something else was written over, or that is away.

use trimtab_delivery::plan::RESTORES_MAX;
use trimtab_delivery::snapshot::{Keep, Release, ReleasePhase};
use trimtab_plan::Reason;
use trimtab_stats::Verdict;

use crate::Service;
use crate::check;
use crate::service::{rejected, settled};

/// `v3` is under way, and somebody keeps writing the rejected `v2` over it; a person was asked.
fn written_over() -> Service {
    rejected().release(3, "t3", ReleasePhase::Judging).started().labelled().applies("t2").paused(None).last(
        |release| {
            release.status.restores = RESTORES_MAX;
            release.status.needs_human = Some(Reason::RestoresExhausted);
        },
    )
}

#[test]
fn over_a_release_that_a_rejected_template_was_written_over() {
    check("it is kept: brought back once more", &written_over().decides(Keep::Keep), "
        restore v3
        v3 is Judging:  [started +0s, restores 6, needs a person]
        = Degraded: Needs a person: a rejected template is written over v3 again and again (v2 rejected)
        ! Progressing NeedsHuman: a rejected template is written over v3 again and again; `trimtab explain pay -n shop` says what was seen and what it waits for
        why a rejected template was written over v3, which is under way -> brings back v3
        wake +720h
    ");
    let undone = written_over().decides(Keep::Keep).last(|release| release.status.restores = 10);
    check("until that is in vain too, which is said", &undone, "
        v3 is Judging: ; ana decided to keep it, and its template was taken away each time [started +0s, restores 10, needs a person]
        = Degraded: Needs a person: a rejected template is written over v3 again and again (v2 rejected)
        ! Progressing NeedsHuman: a rejected template is written over v3 again and again; `trimtab explain pay -n shop` says what was seen and what it waits for
        why ana decided to keep it, and its template was taken away each time: I say so -> does not bring it back again
        why a rejected template was written over v3, which is under way -> does nothing more: it was brought back too often; waits for another template
        wake +720h
    ");
    check(
        "it is rolled back",
        &written_over().decides(Keep::RollBack),
        "
        v3 is RollingBack: rolled back by ana: I say so [Fail, started +0s, decided +0s]
        restore v1
        v3 is RollingBack: rolled back by ana: I say so [Fail, started +0s, decided +0s, restores 1]
        = RollingBack: Rolling back v3 to v1
        why the Deployment holds v3, which failed -> restores the template of v1
        wake +720h
    ",
    );
    let failing = written_over().finds("rpc-errors", Verdict::Fail, "30 % of 120");
    check(
        "nobody decides, and it fails",
        &failing,
        "
        v3 is RollingBack: rpc-errors: 30 % of 120 [Fail, started +0s, decided +0s, harmed 7]
        restore v1
        v3 is RollingBack: rpc-errors: 30 % of 120 [Fail, started +0s, decided +0s, restores 1, harmed 7]
        = RollingBack: Rolling back v3 to v1
        why the Deployment holds v3, which failed -> restores the template of v1
        wake +720h
    ",
    );
    let failed = written_over().failed("rpc-errors: 30 %").last(|release| {
        release.status.needs_human = None;
        release.status.restores = 1;
    });
    check(
        "it had failed before: it is not brought back",
        &failed,
        "
        restore v1
        v3 is RollingBack: rpc-errors: 30 % [Fail, started +0s, decided +0s, restores 2]
        = RollingBack: Rolling back v3 to v1
        why the Deployment holds v3, which failed -> restores the template of v1
        wake +720h
    ",
    );
}

#[test]
fn kept_while_it_is_away() {
    let away = rejected().decides(Keep::Keep);
    check("the record says what that means", &away, "
        v2 is RolledBack: rpc-errors: 30 %; ana decided to keep it: it passes when it is applied again before another release is kept [Fail, started +0s, decided +0s, recovered +0s, restores 1]
        = Healthy: Healthy on v1 (v2 rejected)
        why the Deployment runs v1, which was kept -> does nothing; waits for a change of its pod template
        wake +720h
    ");
    let said = away.last(|release| {
        release.status.summary +=
            "; ana decided to keep it: it passes when it is applied again before another release is kept";
    });
    check(
        "once",
        &said,
        "
        = Healthy: Healthy on v1 (v2 rejected)
        why the Deployment runs v1, which was kept -> does nothing; waits for a change of its pod template
        wake +720h
    ",
    );
}

#[test]
fn what_is_no_line_is_answered_once() {
    let steers = |release: &mut Release| {
        release.decision.as_mut().expect("ana decided").actor = "a\tna\u{200b}".into();
    };
    let away = rejected().decides(Keep::Keep).last(steers);
    check("it is answered in a line", &away, "
        v2 is RolledBack: rpc-errors: 30 %; a na\u{fffd} decided to keep it: it passes when it is applied again before another release is kept [Fail, started +0s, decided +0s, recovered +0s, restores 1]
        = Healthy: Healthy on v1 (v2 rejected)
        why the Deployment runs v1, which was kept -> does nothing; waits for a change of its pod template
        wake +720h
    ");
    let answer = "; a na\u{fffd} decided to keep it: it passes when it is applied again before another release is kept";
    check(
        "once",
        &away.last(|release| release.status.summary += answer),
        "
        = Healthy: Healthy on v1 (v2 rejected)
        why the Deployment runs v1, which was kept -> does nothing; waits for a change of its pod template
        wake +720h
    ",
    );
}

#[test]
fn a_number_for_what_runs() {
    let mut numbered = settled().release(2, "t1", ReleasePhase::Pending).last(|release| {
        release.template_hash = None;
    });
    numbered = numbered.target(|target| target.release_annotation = Some(2));
    check(
        "is no release",
        &numbered,
        "
        v2 is Superseded: nothing to release: its template is that of v1, which was kept []
        = Healthy: Healthy on v1
        why the Deployment runs v1, which was kept -> does nothing; waits for a change of its pod template
    ",
    );
    check(
        "unless a person wants it kept",
        &numbered.decides(Keep::Keep),
        "
        = Healthy: Healthy on v1
        why the Deployment runs v1, which was kept -> does nothing; waits for a change of its pod template
        wake +2m
    ",
    );
}
