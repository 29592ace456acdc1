//! A template is put back on the Deployment: that of the release before one that failed, or one that was taken away.

use trimtab_plan::Reason;
use trimtab_stats::Verdict;
use trimtab_workload::Target;

use super::builder::{PlanBuilder, moved_to, no_longer_paused, owe};
use super::hold::{Rejections, held_images};
use super::keep::close;
use super::limits::{CALLED_BACK_MAX, RESTORES_MAX};
use super::situation::Promise;
use crate::decision::Write;
use crate::names::release_word;
use crate::snapshot::{Decision, Keep, Release, ReleaseEvent, ReleasePhase, ReleaseStatus};
use crate::strategy::Next;

/// The release failed: what was kept before it comes back.
pub(super) fn fail(builder: &mut PlanBuilder<'_>, target: &Target, release: &Release, summary: String) {
    let snapshot = builder.snapshot;
    let mut status = moved_to(release, ReleasePhase::RollingBack, summary);
    status.verdict = Some(Verdict::Fail);
    status.low_evidence = false;
    // What was counted and asked so far was about bringing this very release back; the previous template was not restored yet.
    (status.restores, status.needs_human) = (0, None);
    close(&mut status, snapshot);
    let ordered = release.decision.as_ref().is_some_and(|decision| decision.keep == Keep::RollBack);
    if release.is_rollback(snapshot.history().own()) && !ordered {
        // A person went back to this release on purpose; undoing that would bring back what they fled from.
        let note = format!(
            "{} is itself a rollback, and fails too: {}",
            release_word(release.number),
            status.summary
        );
        status.phase = ReleasePhase::Kept;
        status.summary.clone_from(&note);
        ask_for_a_person(builder, release, status, Reason::RollbackFailed, &note);
        let subject = builder.record(release.number);
        return builder.decided(Reason::RollbackFailed, subject, note, "keeps it, and asks for a person");
    }
    restore_with(builder, target, release, status);
}

/// Writes `status` and restores, or asks for a person where somebody keeps undoing it. The decision is written before it
/// is acted on, so a successor that takes over in between finishes the job; the restore is counted after it happened, so
/// one that lost a race against another writer of the Deployment is not held against the limit.
pub(super) fn restore_with(
    builder: &mut PlanBuilder<'_>,
    target: &Target,
    release: &Release,
    mut status: ReleaseStatus,
) {
    let word = release_word(release.number);
    let Some(current) = builder.snapshot.history().before(release) else {
        let note =
            format!("{word} failed, and no earlier release is recorded to go back to: {}", status.summary);
        // Without a way back it stays what it is: under way, until a person decides.
        status.phase = ReleasePhase::Judging;
        if let Some(decision) = release.decision.as_ref().filter(|of| of.keep == Keep::RollBack) {
            status.summary =
                format!("{}, and there is nothing to go back to: {}", decision.wish(), decision.because);
        }
        if release.status.needs_human != Some(Reason::NothingToRestore) {
            ask_for_a_person(builder, release, status, Reason::NothingToRestore, &note);
        }
        let next =
            format!("`{} --because ...`, or another template", builder.snapshot.app.command("promote"));
        return builder.waits(
            Reason::NothingToRestore,
            builder.record(release.number),
            note,
            "does nothing",
            next,
        );
    };
    let back = release_word(current.number);
    if status.restored.is_some_and(|number| number != current.number) {
        // Another one was kept since: whoever fought then was answered.
        status.restores = 0;
    }
    if status.restores >= RESTORES_MAX {
        let note = format!(
            "{word} failed, but {} wrote its template back after {back} was restored {} times: stopped",
            target.template_manager, status.restores
        );
        ask_for_a_person(builder, release, status, Reason::RestoresExhausted, &note);
        let next =
            format!("the writer to stop, or `{} --because ...`", builder.snapshot.app.command("promote"));
        let subject = builder.record(release.number);
        return builder.waits(Reason::RestoresExhausted, subject, note, "does nothing more", next);
    }
    restore_and_count(builder, release, current.number, status, Rejections::And(release));
    let (saw, decided) =
        (format!("the Deployment holds {word}, which failed"), format!("restores the template of {back}"));
    builder.decided(Reason::Restoring, builder.record(release.number), saw, decided);
}

fn restore_and_count(
    builder: &mut PlanBuilder<'_>,
    release: &Release,
    number: u64,
    status: ReleaseStatus,
    rejections: Rejections<'_>,
) {
    let images = held_images(builder.snapshot, rejections);
    // One that is brought back itself was not undone.
    let restored = if number == release.number { status.restored } else { Some(number) };
    let counted = ReleaseStatus { restores: status.restores + 1, restored, ..status.clone() };
    builder.release_status(release, status);
    builder.write(Write::Restore { number, images });
    builder.release_status(release, counted);
}

/// A rejected template was written over the release under way: what people decided about that one is carried out all the
/// same, and so is its rollback; otherwise it comes back, a bounded number of times.
pub(super) fn written_over(builder: &mut PlanBuilder<'_>, target: &Target, release: &Release) {
    let judging = release.status.phase == ReleasePhase::Judging;
    match &release.decision {
        Some(decision) if decision.keep == Keep::Keep => {
            bring_back(builder, target, release, CALLED_BACK_MAX);
        }
        Some(decision) if judging => {
            fail(builder, target, release, decision.outcome());
        }
        _ if judging => match evidence(builder, target, release) {
            Some(Next::Fail { summary }) => fail(builder, target, release, summary),
            _ => bring_back(builder, target, release, RESTORES_MAX),
        },
        _ => restore_with(builder, target, release, no_longer_paused(builder.snapshot, release)),
    }
}

/// What the evidence says of a release whose pods run on while the Deployment holds another template.
pub(super) fn evidence(builder: &PlanBuilder<'_>, target: &Target, release: &Release) -> Option<Next> {
    let (snapshot, strategy) = (builder.snapshot, builder.snapshot.settings.strategy);
    strategy.judges().then(|| strategy.reconsider(&snapshot.stage(target, release)))
}

fn bring_back(builder: &mut PlanBuilder<'_>, target: &Target, release: &Release, restores_max: u32) {
    let mut status = release.status.clone();
    let word = release_word(release.number);
    let saw = format!("a rejected template was written over {word}, which is under way");
    if status.restores < restores_max {
        restore_and_count(builder, release, release.number, status, Rejections::Known);
        let subject = builder.record(release.number);
        return builder.decided(Reason::BroughtBack, subject, saw, format!("brings back {word}"));
    }
    let mut next = "another template".to_owned();
    if let Some(decision) = release.keep_decision() {
        status.summary = cannot_keep(builder, release, decision);
    } else {
        let app = builder.snapshot.app;
        let (promote, abort) = (app.command("promote"), app.command("abort"));
        next = format!("`{promote} --because ...` to bring it back again, `{abort}`, or {next}");
    }
    let note = format!("{} keeps writing a rejected template over {word}", target.template_manager);
    ask_for_a_person(builder, release, status, Reason::RestoresExhausted, &note);
    builder.waits(
        Reason::RestoresExhausted,
        builder.record(release.number),
        saw,
        "does nothing more: it was brought back too often",
        next,
    );
}

/// A person called it back, and somebody took its template away each time: the record says so. Returns what it says.
pub(super) fn cannot_keep(builder: &mut PlanBuilder<'_>, release: &Release, decision: &Decision) -> String {
    let answer = format!("{}, and its template was taken away each time", decision.wish());
    let saw = format!("{answer}: {}", decision.because);
    builder.decided(
        Reason::DecisionUndone,
        builder.record(release.number),
        saw,
        "does not bring it back again",
    );
    let summary = &release.status.summary;
    if summary.ends_with(&answer) { summary.clone() } else { format!("{summary}; {answer}") }
}

/// A person decided to keep a template that the manager had put away before it saw the decision: the template comes back,
/// a bounded number of times. It is kept as soon as the Deployment holds it again.
pub(super) fn keep_promise(builder: &mut PlanBuilder<'_>, promise: Promise<'_>, restores_max: u32) {
    let Promise { numbered, of } = promise;
    let Some(decision) = numbered.keep_decision() else { return };
    let word = release_word(of.number);
    let saw = format!("{} decided to keep {word}: {}", decision.actor, decision.because);
    if numbered.status.restores >= restores_max {
        return builder.waits(
            Reason::RestoresExhausted,
            builder.record(numbered.number),
            saw,
            "does nothing more: it was brought back too often",
            "a change of the pod template",
        );
    }
    restore_and_count(builder, numbered, of.number, numbered.status.clone(), Rejections::After(of));
    let decided = format!("brings back the template of {word}, which was taken away before");
    builder.decided(Reason::BroughtBack, builder.record(numbered.number), saw, decided);
}

/// Says that Trimtab cannot go on alone: once as long as the cause is the same.
pub(super) fn ask_for_a_person(
    builder: &mut PlanBuilder<'_>,
    release: &Release,
    mut status: ReleaseStatus,
    reason: Reason,
    note: &str,
) {
    if status.needs_human.replace(reason) != Some(reason) {
        builder.event(release.number, ReleaseEvent::NeedsHuman, note);
        owe(&mut status, builder.snapshot, ReleaseEvent::NeedsHuman);
    }
    builder.release_status(release, status);
}
