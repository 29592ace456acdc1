//! A settled service, and a rejected template that somebody applied again.

use trimtab_plan::Reason;
use trimtab_workload::{AdmissionHold, Target};

use super::builder::{PlanBuilder, moved_to, owe};
use super::hold::{Rejections, held_images, let_pass, write_hold};
use super::keep::keep_by_decision;
use super::{judging, restore};
use crate::command;
use crate::decision::Pause;
use crate::names::release_word;
use crate::snapshot::{Release, ReleaseEvent, ReleasePhase, ReleaseStatus, Snapshot};

/// The Deployment holds what was kept: the claim says what may pass from here on.
pub(super) fn settle(builder: &mut PlanBuilder<'_>, target: &Target, current: &Release) {
    if let Some(decision) = current.keep_decision().filter(|_| current.status.needs_human.is_some()) {
        return keep_by_decision(builder, current, decision);
    }
    if let Some(watched) = builder.snapshot.judged() {
        judging::watch_on(builder, target, watched);
        if builder.phase_in_flight().is_some() {
            return;
        }
    }
    let word = release_word(current.number);
    // What runs now has answered what was asked about others.
    let is_answered =
        |release: &Release| release.status.needs_human.is_some() && release.number != current.number;
    for release in builder.snapshot.releases {
        let answer = answered(builder.snapshot, release);
        if !(release.status.held || is_answered(release) || answer.is_some()) {
            continue;
        }
        let needs_human = release.status.needs_human.filter(|_| !is_answered(release));
        let summary = answer.unwrap_or_else(|| release.status.summary.clone());
        let status = ReleaseStatus { held: false, needs_human, summary, ..release.status.clone() };
        builder.release_status(release, status);
    }
    let_pass(builder, target, Rejections::Known);
    match target.paused_by_others() {
        Some(manager) => builder.waits(
            Reason::PausedByOther,
            builder.deployment(),
            format!("the Deployment runs {word} and is paused by {manager}"),
            "leaves the pause alone",
            format!("a change, and `{}`", command::resume(&target.name, &builder.snapshot.app.namespace)),
        ),
        None if current.status.needs_human.is_some() => {
            let app = builder.snapshot.app;
            let (rollback, promote) = (app.command("rollback"), app.command("promote"));
            builder.waits(
                Reason::RollbackFailed,
                builder.record(current.number),
                format!("{word} is itself a rollback, failed too, and was not undone"),
                "asks for a person",
                format!("`{rollback}`, another template, or `{promote} --because ...` to leave it at that"),
            );
        }
        None => builder.waits(
            Reason::Settled,
            builder.deployment(),
            format!("the Deployment runs {word}, which was kept"),
            "does nothing",
            "a change of its pod template",
        ),
    }
}

/// The summary of a release that was rejected and that somebody decided to keep since, while its template is not in the
/// spec: it says what the decision means, because nothing else will be seen of it.
fn answered(snapshot: &Snapshot<'_>, release: &Release) -> Option<String> {
    let decision = release.keep_decision().filter(|_| release.status.phase == ReleasePhase::RolledBack)?;
    let (wish, summary) = (decision.wish(), &release.status.summary);
    // What was tried and undone is said already.
    let is_new = !summary.contains(&wish);
    let means = if snapshot.history().is_lifted(release) {
        "another release was kept since, so it is judged when it is applied again"
    } else {
        "it passes when it is applied again before another release is kept"
    };
    is_new.then(|| format!("{summary}; {wish}: {means}"))
}

/// The Deployment holds a rejected template: admission paused it, and it stays so until a person or another template
/// says otherwise.
pub(super) fn hold(builder: &mut PlanBuilder<'_>, target: &Target, release: &Release) {
    let word = release_word(release.number);
    let saw = format!("the Deployment holds the template of {word}, which was rejected");
    if let Some(decision) = release.keep_decision() {
        let decided = format!("keeps {word}: {} said so because {}", decision.actor, decision.because);
        builder.decided(Reason::KeptByDecision, builder.record(release.number), saw, decided);
        return keep_by_decision(builder, release, decision);
    }
    if let Some(other) = builder.snapshot.history().in_flight() {
        return restore::written_over(builder, target, other);
    }
    if !target.paused {
        let decided = "restores the previous template: nothing held this one at admission";
        builder.decided(Reason::RejectedTemplateOut, builder.record(release.number), saw, decided);
        // The previous release has as long to come back as it had the first time.
        let decided_at = Some(builder.snapshot.recorded_at());
        let status = moved_to(release, ReleasePhase::RollingBack, release.status.summary.clone());
        let status = ReleaseStatus { held: false, recovered_at: None, decided_at, ..status };
        return restore::restore_with(builder, target, release, status);
    }
    let others = target.paused_by_others().is_some();
    if !others {
        let images = held_images(builder.snapshot, Rejections::Known);
        write_hold(builder, target, AdmissionHold::Held, images, Pause::Leave);
    }
    if others || release.status.held {
        let promote = builder.snapshot.app.command_on("promote", release.number);
        return builder.waits(
            Reason::Held,
            builder.record(release.number),
            saw,
            "holds it; the pods of the previous release keep running",
            format!("another template, or `{promote} --because ...`"),
        );
    }
    let note = format!(
        "{word} was rejected and applied again by {}: held, no pod is touched",
        target.template_manager
    );
    builder.event(release.number, ReleaseEvent::Held, note.clone());
    let mut status = moved_to(release, ReleasePhase::RolledBack, release.status.summary.clone());
    status.held = true;
    owe(&mut status, builder.snapshot, ReleaseEvent::Held);
    builder.release_status(release, status);
    builder.decided(Reason::Held, builder.record(release.number), saw, "holds it; no pod is touched");
}
