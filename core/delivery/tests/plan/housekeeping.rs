//! Bounded memory, and bounded work in one plan.

use trimtab_delivery::snapshot::{OutboxEntry, ReleaseEvent, ReleasePhase, Settings};

use crate::Service;
use crate::check;
use crate::planned;
use crate::service::{START, held, judging, rejected, settled};

fn short(settings: &mut Settings) {
    settings.history = 2;
}

#[test]
fn old_releases_are_forgotten() {
    let long = settled()
        .release(2, "t2", ReleasePhase::Superseded)
        .release(3, "t3", ReleasePhase::Superseded)
        .release(4, "t1", ReleasePhase::Kept)
        .settings(short);
    check(
        "the oldest go, the current one never does",
        &long,
        "
        delete v1
        delete v2
        = Healthy: Healthy on v4
        why the Deployment runs v4, which was kept -> does nothing; waits for a change of its pod template
    ",
    );
    let busy = long.clone().release(5, "t5", ReleasePhase::Judging).applies("t5");
    check(
        "not in the middle of a release",
        &busy,
        "
        event v5 Started: v5 by ci begins: pay:t5
        v5 is Judging: judged against v4 [started +0s]
        label pay-t1-0 stable
        label pay-t1-1 stable
        label pay-t1-2 stable
        = Releasing: Releasing v5, judged against v4
        why v5 is out -> judges it against v4
    ",
    );
    let many = (5..12).fold(long, |service, number| service.release(number, "t1", ReleasePhase::Kept));
    check(
        "a few at a time",
        &many,
        "
        delete v1
        delete v2
        delete v3
        delete v4
        = Healthy: Healthy on v11
        why the Deployment runs v11, which was kept -> does nothing; waits for a change of its pod template
    ",
    );
    let refused =
        rejected().release(3, "t3", ReleasePhase::RolledBack).release(4, "t4", ReleasePhase::RolledBack);
    check(
        "rejected ones are remembered as long as they are held",
        &refused.settings(short),
        "
        claim hold-changes pay:t4 pay:t3 pay:t2
        = Healthy: Healthy on v1 (v2, v3, v4 rejected)
        why the Deployment runs v1, which was kept -> does nothing; waits for a change of its pod template
        wake +720h
    ",
    );
    let flying = judging().release(1, "t1", ReleasePhase::Kept).labelled().settings(short);
    check(
        "the release in flight is not finished",
        &flying,
        "
        = Releasing: Releasing v2, judged against v1
        why 0 of 3 pods of v2 are available -> judges what there is; waits for the other pods
        wake +1h
    ",
    );
}

#[test]
fn labels_are_bounded() {
    let huge = judging().runs("t1", 60);
    let (plan, _) = planned(&huge.snapshot());
    assert_eq!(plan.writes.len(), 50, "a huge service cannot delay a rollback by its labels");
}

#[test]
fn a_number_for_a_template_that_is_rejected() {
    let numbered = held().release(3, "t2", ReleasePhase::Pending).last(|release| {
        release.template_hash = None;
    });
    let numbered = numbered.target(|target| target.release_annotation = Some(3));
    check(
        "comes to nothing, and says so",
        &numbered,
        "
        v3 is Superseded: nothing to release: its template is that of v2, which was rejected []
        = Held: Healthy on v1 (v2 rejected)
        why the Deployment holds the template of v2, which was rejected -> holds it; the pods of the previous release keep running; waits for another template, or `trimtab promote pay v2 -n shop --because ...`
        wake +720h
    ",
    );
}

#[test]
fn what_people_are_still_to_be_told_is_not_forgotten() {
    let long = settled().release(2, "t2", ReleasePhase::Kept).release(3, "t1", ReleasePhase::Kept);
    let told = |state: &'static str| {
        let mut service = long.clone().settings(|settings| settings.history = 1);
        service.releases[0].status.outbox = vec![OutboxEntry {
            event: ReleaseEvent::Kept,
            reason: None,
            destination: "ops".into(),
            again: 0,
            state: state.into(),
            at: None,
            card: None,
        }];
        service
    };
    check(
        "one that is on its way",
        &told("Sending"),
        "
        delete v2
        = Healthy: Healthy on v3
        why the Deployment runs v3, which was kept -> does nothing; waits for a change of its pod template
        ",
    );
    check(
        "one that arrived",
        &told("Sent"),
        "
        delete v1
        delete v2
        = Healthy: Healthy on v3
        why the Deployment runs v3, which was kept -> does nothing; waits for a change of its pod template
        ",
    );
}

#[test]
fn numbers_that_hundreds_took_are_closed_over_several_plans() {
    let numbered = |service: Service, number| {
        service.release(number, "t1", ReleasePhase::Pending).last(|release| {
            (release.template_hash, release.created_at) = (None, Some(START));
        })
    };
    let service = (2..=300).fold(settled(), numbered).later(3600);
    let (decided, _) = planned(&service.snapshot());
    assert_eq!(decided.writes.len(), 299);
}
