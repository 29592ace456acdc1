//! A release that stays.

use trimtab_plan::Reason;
use trimtab_stats::Verdict;

use super::builder::{PlanBuilder, moved_to, owe};
use super::hold::{Rejections, let_pass};
use crate::names::release_word;
use crate::snapshot::{Decision, Release, ReleaseEvent, ReleasePhase, ReleaseStatus, Snapshot};

/// The release stays.
pub(super) fn keep(
    builder: &mut PlanBuilder<'_>,
    release: &Release,
    verdict: Option<Verdict>,
    summary: String,
) {
    let snapshot = builder.snapshot;
    let mut status = moved_to(release, ReleasePhase::Kept, summary);
    status.verdict = verdict;
    status.low_evidence = verdict == Some(Verdict::Undecided);
    status.held = false;
    close(&mut status, snapshot);
    owe(&mut status, snapshot, ReleaseEvent::Kept);
    let word = release_word(release.number);
    builder.event(release.number, ReleaseEvent::Kept, format!("{word} is kept: {}", status.summary));
    let saw = match release.keep_decision() {
        Some(decision) => format!("{} decided to keep {word}", decision.actor),
        None => format!("{word} was out long enough"),
    };
    let decided = format!("keeps it: {}", status.summary);
    builder.decided(Reason::Kept, builder.record(release.number), saw, decided);
    builder.release_status(release, status);
    let Some(target) = snapshot.target else { return };
    let_pass(builder, target, Rejections::After(release));
}

/// A person said to keep it; the pause, if there is one, is lifted once the record says so.
pub(super) fn keep_by_decision(builder: &mut PlanBuilder<'_>, release: &Release, decision: &Decision) {
    keep(builder, release, release.status.verdict, decision.outcome());
}

/// The verdict fell: what was found so far goes on record.
pub(super) fn close(status: &mut ReleaseStatus, snapshot: &Snapshot<'_>) {
    let findings = snapshot.findings;
    status.decided_at = Some(snapshot.recorded_at());
    if !findings.is_empty() {
        status.findings = findings.to_vec();
    }
    status.harmed = findings.iter().filter_map(|finding| finding.harmed).reduce(f64::max).or(status.harmed);
}
