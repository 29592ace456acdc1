//! A release that failed: the previous template comes back, and stays.

use trimtab_plan::Reason;
use trimtab_stats::Verdict;
use trimtab_workload::{Arm, Pod, Target};

use super::builder::{PlanBuilder, moved_to, no_longer_paused, owe};
use super::hold::hold_changes;
use super::keep::{close, keep_by_decision};
use super::limits::{CALLED_BACK_MAX, RECOVERY_MAX};
use super::restore;
use super::situation::Promise;
use crate::command;
use crate::deadline::after;
use crate::names::release_word;
use crate::snapshot::{Keep, Release, ReleaseEvent, ReleasePhase, Snapshot};

/// The Deployment still, or again, holds the failed template.
pub(super) fn restore(builder: &mut PlanBuilder<'_>, target: &Target, release: &Release) {
    if let Some(decision) = release.keep_decision() {
        return keep_by_decision(builder, release, decision);
    }
    let status = no_longer_paused(builder.snapshot, release);
    restore::restore_with(builder, target, release, status);
}

/// The previous template is back: wait for its pods, then close the record.
pub(super) fn recover(builder: &mut PlanBuilder<'_>, target: &Target, release: &Release) {
    let mut status = no_longer_paused(builder.snapshot, release);
    if let Some(decision) = release.keep_decision() {
        if release.status.restores < CALLED_BACK_MAX {
            let promise = Promise { numbered: release, of: release };
            return restore::keep_promise(builder, promise, CALLED_BACK_MAX);
        }
        status.summary = restore::cannot_keep(builder, release, decision);
    }
    let snapshot = builder.snapshot;
    let word = release_word(release.number);
    let Some(recovery) = Recovery::of(snapshot, target, release) else { return };
    if recovery.is_over {
        return recovered(builder, target, release, &recovery, status.summary);
    }
    let Recovery { left, available, .. } = recovery;
    let back = recovery.back();
    let saw =
        format!("{back} is back on {available} of {} pods, {left} pods of {word} are left", target.replicas);
    let deadline = after(status.decided_at.unwrap_or(snapshot.now), RECOVERY_MAX);
    let paused = target.paused_by_others();
    if snapshot.now < deadline {
        builder.wake_at(deadline);
    }
    // Who is asked already, whatever about, is not asked again on the way back.
    if (snapshot.now >= deadline || paused.is_some()) && status.needs_human.is_none() {
        let note = format!("the previous release does not come back: {saw}");
        restore::ask_for_a_person(builder, release, status, Reason::Recovering, &note);
    } else {
        builder.release_status(release, status);
    }
    let subject = builder.record(release.number);
    let (saw, next) = match paused {
        Some(manager) => {
            let resume = command::resume(&target.name, &snapshot.app.namespace);
            (format!("{saw}, and {manager} paused the Deployment"), format!("`{resume}`"))
        }
        None => (saw, format!("the pods of {back}")),
    };
    builder.waits(Reason::Recovering, subject, saw, "waits", next);
}

/// How far a release that failed is replaced by what was kept before it.
pub(super) struct Recovery {
    /// What comes back.
    current: u64,
    /// Its pods that are available.
    available: i32,
    /// Pods of the release that are left.
    left: usize,
    /// Whether its sets want more: they make another pod for each that is lost.
    wants_more: bool,
    /// Whether nothing is left of the release, and all of the other is back.
    pub(super) is_over: bool,
}

impl Recovery {
    /// `None` where nothing is recorded that could come back.
    pub(super) fn of(snapshot: &Snapshot<'_>, target: &Target, release: &Release) -> Option<Self> {
        let current = snapshot.history().current()?;
        let (own, back) = (snapshot.stage(target, release), snapshot.stage(target, current));
        let is_left = |pod: &&Pod| !pod.deleting && !pod.ended && snapshot.arm(pod, release) == Arm::Canary;
        let left = snapshot.pods.iter().filter(is_left).count();
        let available = back.available();
        let wants_more = own.replica_sets.iter().any(|set| own.runs(set) && set.replicas > 0);
        let is_over = own.is_observed() && left == 0 && available >= target.replicas;
        Some(Self { current: current.number, available, left, wants_more, is_over })
    }

    /// Whether the release has no pod, and gets none.
    pub(super) fn is_for_good(&self) -> bool {
        self.left == 0 && !self.wants_more
    }

    /// What comes back.
    pub(super) fn back(&self) -> String {
        release_word(self.current)
    }
}

/// The release is gone, and what was kept before it is back.
pub(super) fn recovered(
    builder: &mut PlanBuilder<'_>,
    target: &Target,
    release: &Release,
    recovery: &Recovery,
    summary: String,
) {
    let snapshot = builder.snapshot;
    let mut status = moved_to(release, ReleasePhase::RolledBack, summary);
    status.recovered_at = Some(snapshot.recorded_at());
    owe(&mut status, snapshot, ReleaseEvent::RolledBack);
    hold_changes(builder, target, release);
    builder.event(release.number, ReleaseEvent::RolledBack, status.summary.clone());
    builder.release_status(release, status);
    builder.decided(
        Reason::RolledBack,
        builder.record(release.number),
        format!("all {} pods run {} again", recovery.available, recovery.back()),
        format!("closes {} as rolled back", release_word(release.number)),
    );
}

/// Somebody put the previous template back: nothing is left to judge, and nothing was rejected.
pub(super) fn reverted(builder: &mut PlanBuilder<'_>, target: &Target, release: &Release) {
    let undone = format!("{} put the previous template back", target.template_manager);
    let (phase, summary) = match &release.decision {
        Some(decision) if decision.keep == Keep::RollBack => (ReleasePhase::RollingBack, decision.outcome()),
        Some(decision) => {
            let kept = format!("{} had decided to keep it: {}", decision.actor, decision.because);
            (ReleasePhase::Superseded, format!("{undone}; {kept}"))
        }
        // It had failed, and a pause kept it from being rolled back.
        None if release.has_failed() => (ReleasePhase::RollingBack, release.status.summary.clone()),
        None => (ReleasePhase::Superseded, undone),
    };
    let mut status = moved_to(release, phase, summary.clone());
    if phase == ReleasePhase::RollingBack {
        status.verdict = Some(Verdict::Fail);
        (status.restores, status.needs_human) = (0, None);
    }
    close(&mut status, builder.snapshot);
    builder.release_status(release, status);
    let subject = builder.record(release.number);
    let decided = format!("ends {}: {summary}", release_word(release.number));
    builder.decided(Reason::Reverted, subject, "the previous template is back", decided);
}
