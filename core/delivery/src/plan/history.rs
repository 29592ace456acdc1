//! Bounded memory: numbers that came to nothing, and releases beyond the history limit.

use trimtab_plan::Reason;
use trimtab_workload::Target;

use super::builder::{PlanBuilder, moved_to};
use super::limits::PENDING_MAX;
use crate::deadline::after;
use crate::decision::Write;
use crate::names::release_word;
use crate::snapshot::{Release, ReleasePhase};

/// Records forgotten in one plan; the rest follows on the next event.
const FORGET_PER_PLAN_MAX: usize = 4;

/// Ends releases that were under way when the Deployment became another one: nothing is judged or restored across two.
pub(super) fn close_foreign(builder: &mut PlanBuilder<'_>, target: &Target) {
    let foreign = |release: &&Release| release.status.phase.in_flight() && release.is_foreign_to(&target.uid);
    for release in builder.snapshot.releases.iter().filter(foreign) {
        let gone = format!("Deployment {} is not the one that it was released to", target.name);
        let summary = match release.status.phase {
            ReleasePhase::RollingBack => format!("{}; not rolled back: {gone}", release.status.summary),
            _ => format!("ended without a verdict: {gone}"),
        };
        let mut status = moved_to(release, ReleasePhase::Superseded, summary.clone());
        status.decided_at = status.decided_at.or(Some(builder.snapshot.recorded_at()));
        builder.release_status(release, status);
        let (subject, saw) =
            (builder.record(release.number), format!("{} is under way", release_word(release.number)));
        builder.decided(Reason::TargetReplaced, subject, saw, format!("closes it: {summary}"));
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
    let running = snapshot.current().map(|release| release.number);
    let fallback =
        snapshot.judged().and_then(|release| snapshot.before(release)).map(|release| release.number);
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
        .filter(|release| !snapshot.rejected().any(|rejected| rejected.number == release.number))
        .collect();
    let surplus = finished.len().saturating_sub(snapshot.settings.history.saturating_sub(1));
    let forgotten = finished.into_iter().filter(|release| Some(release.number) != fallback);
    for release in forgotten.take(surplus.min(FORGET_PER_PLAN_MAX)) {
        builder.write(Write::DeleteRelease { number: release.number });
    }
}

fn close_pending(builder: &mut PlanBuilder<'_>, target: &Target, release: &Release) {
    let hash = Some(target.template_hash.as_str());
    let runs = builder.snapshot.current().filter(|current| current.template_hash.as_deref() == hash);
    let named = target.release_annotation == Some(release.number) && release.may_be(&target.image);
    // Its template is there, however late anybody looks, or a person still has a finger on it.
    if named && (runs.is_none() || target.paused) {
        return;
    }
    // A number and its template are written together; what a person wants kept is brought back first.
    if let Some(current) = runs.filter(|_| named && release.keep_decision().is_none()) {
        let word = release_word(current.number);
        let summary = format!("nothing to release: its template is that of {word}, which was kept");
        return builder.release_status(release, moved_to(release, ReleasePhase::Superseded, summary));
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
