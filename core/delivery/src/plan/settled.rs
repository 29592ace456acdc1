//! A settled service, and a rejected template that somebody applied again.

use trimtab_plan::Reason;
use trimtab_workload::{AdmissionHold, Target};

use super::draft::{Draft, moved_to, owe};
use super::hold::{Rejections, claim, held_images, let_pass};
use super::keep::keep_by_decision;
use super::{judging, restore};
use crate::decision::Pause;
use crate::names::release_word;
use crate::snapshot::{Happening, Release, ReleasePhase, ReleaseStatus};

/// The Deployment holds what was kept: the claim says what may pass from here on.
pub(super) fn settle(draft: &mut Draft<'_>, target: &Target, current: &Release) {
    if let Some(watched) = draft.snapshot.judged() {
        judging::watch_on(draft, target, watched);
        if draft.phase_in_flight().is_some() {
            return;
        }
    }
    let word = release_word(current.number);
    for release in draft.snapshot.releases.iter().filter(|release| release.status.held) {
        let status = ReleaseStatus { held: false, ..release.status.clone() };
        draft.release_status(release, status);
    }
    let_pass(draft, target, Rejections::Known);
    match target.paused_by_others() {
        Some(manager) => draft.waits(
            Reason::PausedByOther,
            draft.deployment(),
            format!("the Deployment runs {word} and is paused by {manager}"),
            "leaves the pause alone",
            format!("a change, and `kubectl rollout resume deployment/{}`", target.name),
        ),
        None => draft.waits(
            Reason::Settled,
            draft.deployment(),
            format!("the Deployment runs {word}, which was kept"),
            "nothing is due",
            "a change of its pod template",
        ),
    }
}

/// The Deployment holds a rejected template: admission paused it, and it stays so until a person or another template
/// says otherwise.
pub(super) fn hold(draft: &mut Draft<'_>, target: &Target, release: &Release) {
    let word = release_word(release.number);
    let saw = format!("the Deployment holds the template of {word}, which was rejected");
    if let Some(decision) = release.keep_decision() {
        let decided = format!("keeps {word}: {} said so because {}", decision.actor, decision.because);
        draft.decided(Reason::KeptByDecision, draft.record(release.number), saw, decided);
        return keep_by_decision(draft, release, decision);
    }
    if let Some(other) = draft.snapshot.in_flight() {
        return restore::bring_back(draft, target, other);
    }
    if !target.paused {
        let decided = "restores the previous template: nothing held this one at admission";
        draft.decided(Reason::RejectedTemplateOut, draft.record(release.number), saw, decided);
        // The previous release has as long to come back as it had the first time.
        let decided_at = Some(draft.snapshot.now);
        let status = moved_to(release, ReleasePhase::RollingBack, release.status.summary.clone());
        let status = ReleaseStatus { held: false, recovered_at: None, decided_at, ..status };
        return restore::restore_with(draft, target, release, status);
    }
    let others = target.paused_by_others().is_some();
    if !others {
        let images = held_images(draft.snapshot, Rejections::Known);
        claim(draft, target, AdmissionHold::Held, images, Pause::Leave);
    }
    if others || release.status.held {
        return draft.waits(
            Reason::Held,
            draft.record(release.number),
            saw,
            "holds it; the pods of the previous release keep running",
            format!(
                "another template, or `trimtab promote {} {word} --because ...`",
                draft.snapshot.app.name
            ),
        );
    }
    let note = format!(
        "{word} was rejected and applied again by {}: held, no pod is touched",
        target.template_manager
    );
    draft.event(release.number, Happening::Held, note.clone());
    let mut status = moved_to(release, ReleasePhase::RolledBack, release.status.summary.clone());
    status.held = true;
    owe(&mut status, draft.snapshot, Happening::Held);
    draft.release_status(release, status);
    draft.decided(Reason::Held, draft.record(release.number), saw, note);
}
