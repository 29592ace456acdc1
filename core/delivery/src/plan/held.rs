//! A settled service, and a rejected template that somebody applied again.

use trimtab_workload::{AdmissionHold, Target};

use super::claim::Refusal;
use super::draft::{Draft, moved_to, owe};
use super::{Pause, TEMPLATE_BYTES_MAX, Write, judging, rolling_back};
use crate::names::{HELD_IMAGES_MAX, fits_claim, release_word};
use crate::snapshot::{Happening, Keep, Release, ReleasePhase, ReleaseStatus, Snapshot};

/// Which rejections a claim is written for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rejections<'a> {
    /// Those that are remembered.
    Known,
    /// Those, and that of a release which is about to be remembered.
    And(&'a Release),
    /// Those that are left when this release is kept.
    After(&'a Release),
}

fn remembered<'a>(snapshot: &Snapshot<'a>, rejections: Rejections<'a>) -> Vec<&'a Release> {
    let mut rejected: Vec<&Release> = snapshot.rejected().collect();
    match rejections {
        Rejections::Known => {}
        Rejections::And(release) => rejected.push(release),
        Rejections::After(kept) => rejected
            .retain(|release| release.number != kept.number && release.template_hash != kept.template_hash),
    }
    rejected
}

/// The images that admission shall hold, those of the newest rejections first.
pub(super) fn held_images<'a>(snapshot: &Snapshot<'a>, rejections: Rejections<'a>) -> Vec<String> {
    let mut images: Vec<String> = Vec::new();
    for release in
        remembered(snapshot, rejections).into_iter().rev().filter(|release| fits_claim(&release.image))
    {
        if images.len() < HELD_IMAGES_MAX && !images.contains(&release.image) {
            images.push(release.image.clone());
        }
    }
    images
}

/// Writes the claim where it is not what it should be.
fn claim(draft: &mut Draft<'_>, target: &Target, claim: AdmissionHold, images: Vec<String>, pause: Pause) {
    if target.claim != Some(claim) || target.held_images != images || pause == Pause::Clear {
        draft.write(Write::Claim { claim, images, pause });
    }
}

/// Nothing in the spec is held any more: what stays is what the rejections ask for. A pause that admission set goes.
pub(super) fn let_pass(draft: &mut Draft<'_>, target: &Target, rejections: Rejections<'_>) {
    let snapshot = draft.snapshot;
    let nothing = remembered(snapshot, rejections).is_empty();
    let word = if nothing { AdmissionHold::Open } else { AdmissionHold::HoldChanges };
    let pause = if target.held_by_admission() { Pause::Clear } else { Pause::Leave };
    claim(draft, target, word, held_images(snapshot, rejections), pause);
}

/// The template is too large to be recorded, so it cannot be judged or put back. It cannot be a rejected one either, for
/// those were recorded: it passes, and a condition says what is missing.
pub(super) fn pass_unjudged(draft: &mut Draft<'_>, target: &Target) {
    if target.claim.is_some() {
        let_pass(draft, target, Rejections::Known);
    }
    draft.refuse(Refusal {
        reason: "TemplateTooLarge",
        message: format!(
            "the pod template of Deployment {}/{} is {} KiB as JSON, and at most {} KiB can be recorded: it is shipped \
             without being judged, and cannot be rolled back",
            draft.snapshot.app.namespace,
            target.name,
            target.template_bytes.div_ceil(1024),
            TEMPLATE_BYTES_MAX / 1024
        ),
        next: "a smaller template; a ConfigMap holds what is large".to_owned(),
    });
}

/// `release` is about to be remembered as rejected: from then on its template must not pass admission, so the claim comes
/// first. What admission holds already stays held.
pub(super) fn hold_changes(draft: &mut Draft<'_>, target: &Target, release: &Release) {
    let images = held_images(draft.snapshot, Rejections::And(release));
    let word = if target.claim == Some(AdmissionHold::Held) {
        AdmissionHold::Held
    } else {
        AdmissionHold::HoldChanges
    };
    claim(draft, target, word, images, Pause::Leave);
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
    for release in draft.snapshot.releases.iter().filter(|release| release.status.held) {
        let status = ReleaseStatus { held: false, ..release.status.clone() };
        draft.release_status(release, status);
    }
    let_pass(draft, target, Rejections::Known);
    match target.paused_by_others() {
        Some(manager) => draft.waits(
            format!("the Deployment runs {word} and is paused by {manager}"),
            "leaves the pause alone",
            format!("a change, and `kubectl rollout resume deployment/{}`", target.name),
        ),
        None => draft.waits(
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
    let others = target.paused_by_others().is_some();
    if !others {
        let images = held_images(draft.snapshot, Rejections::Known);
        claim(draft, target, AdmissionHold::Held, images, Pause::Leave);
    }
    if others || release.status.held {
        return draft.waits(
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
    draft.decided(saw, note);
}
