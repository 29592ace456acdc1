//! A person is asked: it is said for as long as it is so, and no longer.

use trimtab_delivery::plan::{RESTORES_MAX, Write};
use trimtab_delivery::snapshot::{Keep, OutboxEntry, ReleaseEvent, ReleasePhase};
use trimtab_plan::Reason;
use trimtab_stats::Verdict;
use trimtab_units::line::is_unsafe;
use trimtab_workload::AdmissionHold;

use crate::Service;
use crate::check;
use crate::service::{START, judging, settled};

/// `v2` brought `v1` back, failed, and runs.
fn failed_rollback() -> Service {
    settled()
        .applies("t2")
        .runs("t1", 0)
        .runs("t2", 3)
        .release(2, "t2", ReleasePhase::Kept)
        .started()
        .last(|release| {
            release.rollback_to = Some(1);
            release.status.decided_at = Some(START);
            release.status.verdict = Some(Verdict::Fail);
            release.status.summary = "v2 is itself a rollback, and fails too: rpc-errors: 30 % of 120".into();
            release.status.needs_human = Some(Reason::RollbackFailed);
        })
        .claim(AdmissionHold::Open)
}

#[test]
fn a_rollback_that_failed() {
    check(
        "is not well, however long it runs",
        &failed_rollback().later(86_400),
        "
        = Degraded: Needs a person: v2 is itself a rollback, and failed too; it was not undone
        ! Progressing NeedsHuman: v2 is itself a rollback, and failed too; it was not undone; `trimtab explain pay -n shop` says what was seen and what it waits for
        why v2 is itself a rollback, failed too, and was not undone -> asks for a person; waits for `trimtab rollback pay -n shop`, another template, or `trimtab promote pay -n shop --because ...` to leave it at that
    ",
    );
    check(
        "until a person says that it stays",
        &failed_rollback().decides(Keep::Keep),
        "
        event v2 Kept: v2 is kept: kept by ana: I say so
        v2 is Kept: kept by ana: I say so [Fail, started +0s, decided +0s]
        = Healthy: Healthy on v2
        why ana decided to keep v2 -> keeps it: kept by ana: I say so
    ",
    );
    let fixed = failed_rollback().applies("t3").release(3, "t3", ReleasePhase::Judging).started();
    check(
        "or ships what mends it",
        &fixed,
        "
        label pay-t2-0 stable
        label pay-t2-1 stable
        label pay-t2-2 stable
        = Releasing: Releasing v3, judged against v2
        why 0 of 3 pods of v3 are available -> judges what there is; waits for the other pods
        wake +1h
    ",
    );
    let kept =
        failed_rollback().applies("t3").runs("t2", 0).runs("t3", 3).release(3, "t3", ReleasePhase::Kept);
    check(
        "which is kept",
        &kept,
        "
        v2 is Kept: v2 is itself a rollback, and fails too: rpc-errors: 30 % of 120 [Fail, started +0s, decided +0s]
        = Healthy: Healthy on v3
        why the Deployment runs v3, which was kept -> does nothing; waits for a change of its pod template
    ",
    );
    let closed = failed_rollback().last(|release| release.status.phase = ReleasePhase::Superseded);
    let closed = closed.applies("t1");
    check(
        "nobody is asked about one that is over",
        &closed,
        "
        v2 is Superseded: v2 is itself a rollback, and fails too: rpc-errors: 30 % of 120 [Fail, started +0s, decided +0s]
        = Healthy: Healthy on v1
        why the Deployment runs v1, which was kept -> does nothing; waits for a change of its pod template
    ",
    );
}

#[test]
fn an_earlier_release_that_was_never_kept() {
    let fails = |earlier: ReleasePhase| {
        settled()
            .release(2, "t2", earlier)
            .applies("t2")
            .release(3, "t2", ReleasePhase::Judging)
            .started()
            .last(|release| release.rollback_to = Some(2))
            .runs("t1", 2)
            .runs("t2", 1)
            .labelled()
            .finds("rpc-errors", Verdict::Fail, "30 % of 120")
    };
    check(
        "is rolled back like any release",
        &fails(ReleasePhase::Superseded),
        "
        v3 is RollingBack: rpc-errors: 30 % of 120 [Fail, started +0s, decided +0s, harmed 7]
        restore v1
        v3 is RollingBack: rpc-errors: 30 % of 120 [Fail, started +0s, decided +0s, restores 1, harmed 7]
        = RollingBack: Rolling back v3 to v1
        why the Deployment holds v3, which failed -> restores the template of v1
    ",
    );
    let mut forgotten = fails(ReleasePhase::Superseded);
    forgotten.releases.retain(|release| release.number != 2);
    check(
        "and where nothing tells, the person's word counts",
        &forgotten,
        "
        event v3 NeedsHuman: v3 is itself a rollback, and fails too: rpc-errors: 30 % of 120
        v3 is Kept: v3 is itself a rollback, and fails too: rpc-errors: 30 % of 120 [Fail, started +0s, decided +0s, needs a person, harmed 7]
        label pay-t2-0 stable
        = Degraded: Needs a person: v3 is itself a rollback, and failed too; it was not undone
        ! Progressing NeedsHuman: v3 is itself a rollback, and failed too; it was not undone; `trimtab explain pay -n shop` says what was seen and what it waits for
        why v3 is itself a rollback, and fails too: rpc-errors: 30 % of 120 -> keeps it, and asks for a person
    ",
    );
}

#[test]
fn while_it_is_under_way() {
    let fought = judging().runs("t1", 3).failed("rpc-errors: 30 % of 120").last(|release| {
        release.status.restores = RESTORES_MAX;
        release.status.needs_human = Some(Reason::RestoresExhausted);
    });
    check(
        "somebody keeps writing the template back",
        &fought,
        "
        = Degraded: Needs a person: v2 failed, and its template is written back whenever v1 is restored
        ! Progressing NeedsHuman: v2 failed, and its template is written back whenever v1 is restored; `trimtab explain pay -n shop` says what was seen and what it waits for
        why v2 failed, but ci wrote its template back after v1 was restored 5 times: stopped -> does nothing more; waits for the writer to stop, or `trimtab promote pay -n shop --because ...`
    ",
    );
    let replaced = fought.clone().applies("t3");
    check(
        "a newer template answers it",
        &replaced,
        "
        claim hold-changes pay:t2
        event v2 RolledBack: rpc-errors: 30 % of 120; replaced by v3
        v2 is RolledBack: rpc-errors: 30 % of 120; replaced by v3 [Fail, started +0s, decided +0s, restores 5]
        create v3 t3 by ci after v1
        = Healthy: Healthy on v1 (v2 rejected)
        why the Deployment holds a new template -> records it as v3
    ",
    );
    let back = fought.applies("t1").runs("t2", 0).claim(AdmissionHold::HoldChanges);
    check(
        "the previous one is back after all",
        &back,
        "
        event v2 RolledBack: rpc-errors: 30 % of 120
        v2 is RolledBack: rpc-errors: 30 % of 120 [Fail, started +0s, decided +0s, recovered +0s, restores 5]
        = Healthy: Healthy on v1 (v2 rejected)
        why all 3 pods run v1 again -> closes v2 as rolled back
    ",
    );
}

#[test]
fn a_release_that_came_back_after_a_fight() {
    let exhausted = judging().runs("t1", 3).last(|release| {
        release.status.restores = RESTORES_MAX;
        release.status.needs_human = Some(Reason::RestoresExhausted);
    });
    check(
        "is judged, and nobody is asked any more",
        &exhausted,
        "
        v2 is Judging: judged against v1 [started +0s, restores 5]
        label pay-t1-0 stable
        label pay-t1-1 stable
        label pay-t1-2 stable
        = Releasing: Releasing v2, judged against v1
        why the Deployment holds v2 again -> judges v2 as it is now
    ",
    );
}

#[test]
fn a_question_with_another_cause_is_another_one() {
    let destinations = vec!["ops".to_owned()];
    let slow = judging()
        .runs("t1", 3)
        .settings(|settings| settings.notify.destinations.clone_from(&destinations))
        .failed("rpc-errors: 30 % of 120")
        .last(|release| {
            release.status.restores = RESTORES_MAX;
            release.status.restored = Some(1);
            release.status.needs_human = Some(Reason::Recovering);
            let told = |again: u32, state: &str| OutboxEntry {
                event: ReleaseEvent::NeedsHuman,
                reason: Some(Reason::Recovering),
                destination: "ops".into(),
                again,
                state: state.into(),
                at: Some(START),
                card: None,
            };
            release.status.outbox = vec![told(0, "Sent"), told(1, "Sent"), told(2, "Sending")];
        });
    let (plan, _) = trimtab_delivery::plan(&slow.snapshot());
    let told = plan.writes.iter().find_map(|write| match write {
        Write::ReleaseStatus { status, .. } => status.outbox.get(3).cloned(),
        _ => None,
    });
    let told = told.expect("the fourth question of the hour has another cause");
    assert_eq!((told.reason, told.again), (Some(Reason::RestoresExhausted), 3));
}

#[test]
fn what_others_wrote_is_one_line_wherever_it_is_printed() {
    let hostile = "ana\u{1b}[2J\nHealthy \u{202e}1v";
    let mut service = judging().decides(Keep::RollBack);
    let decision = service.releases[1].decision.as_mut().expect("just decided");
    (decision.actor, decision.because) = (hostile.into(), hostile.into());
    service.app.problems = vec![hostile.into()];
    let (plan, report) = trimtab_delivery::plan(&service.snapshot());
    let mut texts = vec![plan.status.summary, report.text()];
    texts.extend(plan.status.conditions.into_iter().map(|condition| condition.message));
    for write in plan.writes {
        match write {
            Write::ReleaseStatus { status, .. } => texts.push(status.summary),
            Write::Event { note, .. } => texts.push(note),
            _ => {}
        }
    }
    let said: Vec<&String> = texts.iter().filter(|text| text.contains("ana")).collect();
    assert!(said.len() >= 3, "{texts:#?}");
    for text in &texts {
        let steers = text.chars().any(|character| character != '\n' && is_unsafe(character));
        assert!(!steers, "{text:?}");
    }
}

#[test]
fn a_time_that_somebody_wrote_into_a_status_puts_no_message_off() {
    let told_at = |ahead: i64| {
        let mut service = judging().settings(|settings| settings.notify.destinations = vec!["ops".into()]);
        service.releases[0].status.outbox = vec![OutboxEntry {
            event: ReleaseEvent::Kept,
            reason: None,
            destination: "ops".into(),
            again: 0,
            state: "Sent".into(),
            at: Some(service.clone().later(ahead).now),
            card: None,
        }];
        let service = service.last(|release| release.status.started_at = None);
        let (plan, _) = trimtab_delivery::plan(&service.snapshot());
        let owed = plan.writes.into_iter().find_map(|write| match write {
            Write::ReleaseStatus { status, .. } => status.outbox.into_iter().next(),
            _ => None,
        });
        owed.and_then(|told| told.at).expect("its begin is told").as_second() - START.as_second()
    };
    assert_eq!([told_at(-60), told_at(0), told_at(40), told_at(86_400 * 365)], [0, 1, 41, 0]);
}

/// What was told of a release that is over is not kept, and when it was told is.
#[test]
fn what_is_told_next_comes_after_what_was_told_of_others() {
    let mut service = judging().settings(|settings| settings.notify.destinations = vec!["ops".into()]);
    service.releases[0].told_at = Some(service.clone().later(10).now);
    let service = service.last(|release| release.status.started_at = None);
    let (plan, _) = trimtab_delivery::plan(&service.snapshot());
    let owed = plan.writes.into_iter().find_map(|write| match write {
        Write::ReleaseStatus { status, .. } => status.outbox.into_iter().next(),
        _ => None,
    });
    let at = owed.and_then(|told| told.at).expect("its begin is told");
    assert_eq!(at.as_second() - START.as_second(), 11);
}
