//! Bounded memory: numbers that came to nothing, and releases beyond the history limit.

use trimtab_plan::Reason;
use trimtab_workload::Target;

use super::builder::{PlanBuilder, moved_to, owe};
use super::claim::Refusal;
use super::limits::PENDING_MAX;
use crate::deadline::after;
use crate::decision::Write;
use crate::names::release_word;
use crate::snapshot::{OutboxEntry, Release, ReleaseEvent, ReleasePhase, Snapshot};

/// Records forgotten in one plan; the rest follows on the next event.
const FORGET_PER_PLAN_MAX: usize = 4;

/// Ends releases that were under way when the Deployment became another one: nothing is judged or restored across two.
pub(super) fn close_foreign(builder: &mut PlanBuilder<'_>, target: &Target) {
    let gone = format!("Deployment {} is not the one that it was released to", target.name);
    close_under_way(builder, Reason::TargetReplaced, &gone, |release| release.is_foreign_to(&target.uid));
}

/// Ends releases that were under way when the service was left alone: nobody judges them from here on, and what comes
/// later begins anew.
pub(super) fn close_all(builder: &mut PlanBuilder<'_>, refusal: &Refusal) {
    close_under_way(builder, refusal.reason, &refusal.message, |_| true);
}

fn close_under_way(
    builder: &mut PlanBuilder<'_>,
    reason: Reason,
    why: &str,
    concerned: impl Fn(&Release) -> bool,
) {
    let uid = builder.snapshot.target.map(|target| target.uid.as_str());
    let under_way = |release: &&Release| release.status.phase.in_flight() && concerned(release);
    for release in builder.snapshot.releases.iter().filter(under_way) {
        let mut summary = match release.status.phase {
            ReleasePhase::RollingBack => {
                format!("{}; not followed to its end: {why}", release.status.summary)
            }
            _ if release.has_failed() => {
                format!("{}; {why}", release.status.summary)
            }
            _ => format!("ended without a verdict: {why}"),
        };
        // What was carried out is in the summary already.
        if let Some(decision) = release.decision.as_ref().filter(|of| !summary.contains(&of.outcome())) {
            summary = format!("{summary}; {}: {}", decision.wish(), decision.because);
        }
        // What failed here is remembered, for whenever the service is looked after again, unless a person wants it kept.
        let is_here = uid.is_none_or(|uid| !release.is_foreign_to(uid));
        let is_rejected = release.has_failed() && is_here && release.keep_decision().is_none();
        let phase = if is_rejected { ReleasePhase::RolledBack } else { ReleasePhase::Superseded };
        let mut status = moved_to(release, phase, summary.clone());
        status.decided_at = status.decided_at.or(Some(builder.snapshot.recorded_at()));
        if phase == ReleasePhase::RolledBack {
            builder.event(release.number, ReleaseEvent::RolledBack, summary.clone());
            owe(&mut status, builder.snapshot, ReleaseEvent::RolledBack);
        }
        builder.release_status(release, status);
        let (subject, saw) =
            (builder.record(release.number), format!("{} is under way", release_word(release.number)));
        builder.decided(reason, subject, saw, format!("closes it: {summary}"));
    }
}

/// Closes numbers that came to nothing and forgets the oldest finished releases. Housekeeping waits for a quiet moment.
pub(super) fn forget(builder: &mut PlanBuilder<'_>, target: &Target) {
    let snapshot = builder.snapshot;
    for release in snapshot.releases.iter().filter(|release| release.status.phase == ReleasePhase::Pending) {
        close_pending(builder, target, release);
    }
    if !builder.is_quiet() {
        return;
    }
    // What runs, and what a release that is still looked at would fall back to.
    let running = snapshot.history().current().map(|release| release.number);
    let fallback = snapshot
        .judged()
        .and_then(|release| snapshot.history().before(release))
        .map(|release| release.number);
    let finished: Vec<&Release> = snapshot
        .releases
        .iter()
        .filter(|release| {
            matches!(
                release.status.phase,
                ReleasePhase::Kept | ReleasePhase::RolledBack | ReleasePhase::Superseded
            )
        })
        .filter(|release| Some(release.number) != running)
        .filter(|release| !snapshot.history().rejected().any(|rejected| rejected.number == release.number))
        .collect();
    let surplus = finished.len().saturating_sub(snapshot.settings.history.saturating_sub(1));
    // What people are still to be told goes no earlier than that is over.
    let told = |release: &&Release| release.status.outbox.iter().all(OutboxEntry::is_over);
    let forgotten = finished.into_iter().filter(|release| Some(release.number) != fallback).filter(told);
    for release in forgotten.take(surplus.min(FORGET_PER_PLAN_MAX)) {
        builder.write(Write::DeleteRelease { number: release.number });
    }
}

fn close_pending(builder: &mut PlanBuilder<'_>, target: &Target, release: &Release) {
    // A number and its template are written together; a template may be there long before anybody looks.
    if target.release_annotation == Some(release.number) && release.may_be(&target.image) {
        let Some((other, became)) = same_template(builder.snapshot, target, release) else { return };
        // What a person wants kept is brought back first.
        if release.keep_decision().is_none() {
            let word = release_word(other.number);
            let summary = format!("nothing to release: its template is that of {word}, which was {became}");
            return builder.release_status(release, moved_to(release, ReleasePhase::Superseded, summary));
        }
    }
    let Some(created) = release.created_at else { return };
    let deadline = after(created, PENDING_MAX);
    if builder.snapshot.now < deadline {
        builder.wake_at(deadline);
        return;
    }
    let summary = match &release.decision {
        Some(decision) => {
            format!("its template never reached the Deployment, so {} decided nothing", decision.actor)
        }
        None => "its template never reached the Deployment".to_owned(),
    };
    let status = moved_to(release, ReleasePhase::Superseded, summary);
    builder.release_status(release, status);
}

/// The release that the template of the Deployment belongs to already, and what became of it. None where a person still has
/// a finger on it, or wants to keep what was rejected.
fn same_template<'a>(
    snapshot: &Snapshot<'a>,
    target: &Target,
    numbered: &Release,
) -> Option<(&'a Release, &'static str)> {
    let shown = |release: &&Release| release.template_hash.as_deref() == Some(target.template_hash.as_str());
    let history = snapshot.history();
    let kept = history.current().filter(shown).filter(|_| !target.paused);
    // It rests there: what is not held is put away, and the number with it.
    let rests = target.paused && target.paused_by_others().is_none() && history.in_flight().is_none();
    let rejected = || history.rejected().rfind(shown).filter(|_| rests && numbered.keep_decision().is_none());
    kept.map(|release| (release, "kept")).or_else(|| rejected().map(|release| (release, "rejected")))
}
