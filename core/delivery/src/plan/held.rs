//! A settled service, and a rejected template that somebody applied again.

use trimtab_workload::{AdmissionHold, Target};

use super::draft::{Draft, moved_to, owe};
use super::{Pause, Write, judging, rolling_back};
use crate::names::release_word;
use crate::snapshot::{Happening, Keep, Release, ReleasePhase, ReleaseStatus};

/// Whether `paused` is the admission policy's doing: it leaves no field manager, people and tools do.
pub(super) fn held_by_admission(target: &Target) -> bool {
    target.paused
        && target.paused_by.is_none()
        && target.claim.is_some_and(|claim| claim != AdmissionHold::Open)
}

/// A release is about to be remembered as rejected: from then on its template must not pass admission, so the claim comes
/// first.
pub(super) fn hold_changes(draft: &mut Draft<'_>, target: &Target) {
    if target.claim.is_none_or(|claim| claim == AdmissionHold::Open) {
        draft.write(Write::Claim { claim: AdmissionHold::HoldChanges, pause: Pause::Leave });
    }
}

/// The Deployment holds what was kept: the claim says what may pass from here on.
pub(super) fn settle(draft: &mut Draft<'_>, target: &Target, current: &Release) {
    if let Some(watched) = draft.snapshot.judged() {
        judging::watch_on(draft, target, watched);
        if draft.phase_in_flight().is_some() {
            return;
        }
    }
    let word = release_word(current.number);
    let rejected: Vec<&Release> = draft.snapshot.rejected().collect();
    for release in draft.snapshot.releases.iter().filter(|release| release.status.held) {
        let status = ReleaseStatus { held: false, ..release.status.clone() };
        draft.release_status(release, status);
    }
    let claim = if rejected.is_empty() { AdmissionHold::Open } else { AdmissionHold::HoldChanges };
    let pause = if held_by_admission(target) { Pause::Clear } else { Pause::Leave };
    if target.claim != Some(claim) || pause == Pause::Clear {
        draft.write(Write::Claim { claim, pause });
    }
    match &target.paused_by {
        Some(manager) if target.paused => draft.waits(
            format!("the Deployment runs {word} and is paused by {manager}"),
            "leaves the pause alone",
            format!("a change, and `kubectl rollout resume deployment/{}`", target.name),
        ),
        _ => draft.waits(
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
    if let Some(decision) = release.decision.as_ref().filter(|decision| decision.keep == Keep::Keep) {
        draft.decided(saw, format!("keeps {word}: {} said so because {}", decision.actor, decision.because));
        return judging::keep_by_decision(draft, release, decision);
    }
    if let Some(other) = draft.snapshot.in_flight() {
        return rolling_back::bring_back(draft, target, other);
    }
    if !target.paused {
        draft.decided(saw, "restores the previous template: nothing held this one at admission");
        // The previous release has as long to come back as it had the first time.
        let decided_at = Some(draft.snapshot.now);
        let status = moved_to(release, ReleasePhase::RollingBack, release.status.summary.clone());
        let status = ReleaseStatus { held: false, recovered_at: None, decided_at, ..status };
        return rolling_back::restore_with(draft, target, release, status);
    }
    if target.paused_by.is_some() || (target.claim == Some(AdmissionHold::Held) && release.status.held) {
        return draft.waits(
            saw,
            "holds it; the pods of the previous release keep running",
            format!("another template, or `trimtab promote {} --because ...`", draft.snapshot.app.name),
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
    if target.claim != Some(AdmissionHold::Held) {
        draft.write(Write::Claim { claim: AdmissionHold::Held, pause: Pause::Leave });
    }
    draft.decided(saw, note);
}
