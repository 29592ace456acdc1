//! A release that failed: the previous template comes back, and stays.

use trimtab_workload::{Arm, Target};

use super::draft::{Draft, moved_to, owe};
use super::held::{Rejections, held_images, hold_changes};
use super::situation::Promise;
use super::{RECOVERY_MAX, RESTORES_MAX, Write, judging};
use crate::names::release_word;
use crate::snapshot::{Happening, Release, ReleasePhase, ReleaseStatus, after};

/// The Deployment still, or again, holds the failed template.
pub(super) fn restore(draft: &mut Draft<'_>, target: &Target, release: &Release) {
    if let Some(decision) = release.keep_decision() {
        return judging::keep_by_decision(draft, release, decision);
    }
    restore_with(draft, target, release, release.status.clone());
}

/// Writes `status` and restores, or asks for a person where somebody keeps undoing it. The decision is written before it
/// is acted on, so a successor that takes over in between finishes the job; the restore is counted after it happened, so
/// one that lost a race against another writer of the Deployment is not held against the limit.
pub(super) fn restore_with(
    draft: &mut Draft<'_>,
    target: &Target,
    release: &Release,
    mut status: ReleaseStatus,
) {
    let word = release_word(release.number);
    let Some(current) = draft.snapshot.before(release) else {
        let note =
            format!("{word} failed, and no earlier release is recorded to go back to: {}", status.summary);
        // Without a way back it stays what it is: under way, until a person decides.
        status.phase = ReleasePhase::Judging;
        if !release.status.needs_human {
            ask_for_a_person(draft, release, status, &note);
        }
        let next =
            format!("`trimtab promote {} --because ...`, or another template", draft.snapshot.app.name);
        return draft.waits(note, "does nothing", next);
    };
    let back = release_word(current.number);
    if status.restores >= RESTORES_MAX {
        let note = format!(
            "{word} failed, but {} wrote its template back after {back} was restored {} times: stopped",
            target.template_manager, status.restores
        );
        ask_for_a_person(draft, release, status, &note);
        let next =
            format!("the writer to stop, or `trimtab promote {} --because ...`", draft.snapshot.app.name);
        return draft.waits(note, "does nothing more", next);
    }
    restore_and_count(draft, release, current.number, status, Rejections::And(release));
    draft.decided(
        format!("the Deployment holds {word}, which failed"),
        format!("restores the template of {back}"),
    );
}

fn restore_and_count(
    draft: &mut Draft<'_>,
    release: &Release,
    number: u64,
    status: ReleaseStatus,
    rejections: Rejections<'_>,
) {
    let images = held_images(draft.snapshot, rejections);
    let counted = ReleaseStatus { restores: status.restores + 1, ..status.clone() };
    draft.release_status(release, status);
    draft.write(Write::Restore { number, images });
    draft.release_status(release, counted);
}

/// A rejected template was written over the release under way: that one comes back, a bounded number of times.
pub(super) fn bring_back(draft: &mut Draft<'_>, target: &Target, release: &Release) {
    let status = release.status.clone();
    let word = release_word(release.number);
    let saw = format!("a rejected template was written over {word}, which is under way");
    if status.restores >= RESTORES_MAX {
        let note = format!("{} keeps writing a rejected template over {word}", target.template_manager);
        ask_for_a_person(draft, release, status, &note);
        return draft.waits(saw, "does nothing more", "the writer to stop");
    }
    restore_and_count(draft, release, release.number, status, Rejections::Known);
    draft.decided(saw, format!("brings back {word}"));
}

/// A person decided to keep a template that the manager had put away before it saw the decision: the template comes back,
/// a bounded number of times. It is kept as soon as the Deployment holds it again.
pub(super) fn keep_promise(draft: &mut Draft<'_>, promise: Promise<'_>) {
    let Promise { numbered, of } = promise;
    let Some(decision) = numbered.keep_decision() else { return };
    let word = release_word(of.number);
    let saw = format!("{} decided to keep {word}: {}", decision.actor, decision.because);
    if numbered.status.restores >= RESTORES_MAX {
        return draft.waits(
            saw,
            "does nothing more: it was brought back too often",
            "a change of the pod template",
        );
    }
    restore_and_count(draft, numbered, of.number, numbered.status.clone(), Rejections::After(of));
    draft.decided(saw, format!("brings back the template of {word}, which was taken away before"));
}

/// The previous template is back: wait for its pods, then close the record.
pub(super) fn recover(draft: &mut Draft<'_>, target: &Target, release: &Release) {
    if release.keep_decision().is_some() && release.status.restores < RESTORES_MAX {
        return keep_promise(draft, Promise { numbered: release, of: release });
    }
    let snapshot = draft.snapshot;
    let word = release_word(release.number);
    let Some(current) = snapshot.current() else { return };
    let back = release_word(current.number);
    let left = snapshot
        .pods
        .iter()
        .filter(|pod| !pod.deleting && !pod.ended && snapshot.arm(pod, release) == Arm::Canary)
        .count();
    let available: i32 = snapshot
        .replica_sets
        .iter()
        .filter(|set| Some(set.template_hash.as_str()) == current.template_hash.as_deref())
        .map(|set| set.available)
        .sum();
    let seen = target.observed_generation >= target.generation;
    if seen && left == 0 && available >= target.replicas {
        let mut status = moved_to(release, ReleasePhase::RolledBack, release.status.summary.clone());
        status.recovered_at = Some(snapshot.now);
        owe(&mut status, snapshot, Happening::RolledBack);
        hold_changes(draft, target, release);
        draft.event(release.number, Happening::RolledBack, status.summary.clone());
        draft.release_status(release, status);
        return draft.decided(
            format!("all {available} pods run {back} again"),
            format!("closes {word} as rolled back"),
        );
    }
    let saw =
        format!("{back} is back on {available} of {} pods, {left} pods of {word} are left", target.replicas);
    let deadline = after(release.status.decided_at.unwrap_or(snapshot.now), RECOVERY_MAX);
    if snapshot.now >= deadline {
        let note = format!("the previous release does not come back: {saw}");
        ask_for_a_person(draft, release, release.status.clone(), &note);
    } else {
        draft.wake_at(deadline);
    }
    draft.waits(saw, "waits", format!("the pods of {back}"));
}

/// Says once that Trimtab cannot go on alone.
pub(super) fn ask_for_a_person(
    draft: &mut Draft<'_>,
    release: &Release,
    mut status: ReleaseStatus,
    note: &str,
) {
    if !status.needs_human {
        draft.event(release.number, Happening::NeedsHuman, note);
        status.needs_human = true;
        owe(&mut status, draft.snapshot, Happening::NeedsHuman);
    }
    draft.release_status(release, status);
}
