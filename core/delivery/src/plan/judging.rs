//! A release under way, and one that is watched on: people come first, then the strategy decides, and it is written down.

use trimtab_plan::Reason;
use trimtab_stats::Verdict;
use trimtab_units::duration_words;
use trimtab_workload::Target;

use super::builder::{PlanBuilder, back, moved_to, owe};
use super::hold::{Rejections, let_pass};
use super::keep::{keep, keep_by_decision};
use super::paused::judged_anew;
use super::restore::fail;
use crate::deadline::after;
use crate::names::release_word;
use crate::snapshot::{Keep, Release, ReleaseEvent, ReleasePhase, WATCH_ON};
use crate::strategy::Next;

/// The template that is being judged is out.
pub(super) fn judge(builder: &mut PlanBuilder<'_>, target: &Target, release: &Release) {
    let snapshot = builder.snapshot;
    if release.status.started_at.is_none() {
        return start(builder, target, release);
    }
    match &release.decision {
        Some(decision) if decision.keep == Keep::Keep => return keep_by_decision(builder, release, decision),
        Some(decision) => return fail(builder, target, release, decision.outcome()),
        None => {}
    }
    if let Some(Reason::PausedByOther | Reason::RestoresExhausted) = release.status.needs_human {
        // What a person was asked about is over: its template is back, and it is judged as it is now.
        let word = release_word(release.number);
        builder.decided(
            Reason::Judging,
            builder.record(release.number),
            format!("the Deployment holds {word} again"),
            format!("judges {word} as it is now"),
        );
        return builder.release_status(release, judged_anew(snapshot, release));
    }
    let_pass(builder, target, Rejections::Known);
    if target.held_by_admission() {
        return builder.decided(
            Reason::LetThrough,
            builder.record(release.number),
            "admission held the new template until it was compared with the rejected ones",
            "lets it through: it is not one of them",
        );
    }
    match snapshot.settings.strategy.next(&snapshot.stage(target, release)) {
        Next::Fail { summary } => fail(builder, target, release, summary),
        Next::Out { saw } => out(builder, release, saw),
        Next::Keep { verdict, summary } => keep(builder, release, verdict, summary),
        Next::Wait { waits, until } => {
            for wait in waits {
                builder.waits_as(builder.record(release.number), wait);
            }
            if let Some(at) = until {
                builder.wake_at(at);
            }
        }
    }
}

/// The record exists and says nothing yet: the release begins.
fn start(builder: &mut PlanBuilder<'_>, target: &Target, release: &Release) {
    let snapshot = builder.snapshot;
    let word = release_word(release.number);
    let back = back(snapshot, release);
    let note = format!("{word} by {} begins: {}", release.actor, target.image);
    let mut status = moved_to(release, ReleasePhase::Judging, format!("judged against {back}"));
    status.started_at = Some(snapshot.recorded_at());
    owe(&mut status, snapshot, ReleaseEvent::Started);
    builder.event(release.number, ReleaseEvent::Started, note);
    builder.release_status(release, status);
    let (saw, decided) = (format!("{word} is out"), format!("judges it against {back}"));
    builder.decided(Reason::Started, builder.record(release.number), saw, decided);
}

/// All of it is out: its watch begins.
fn out(builder: &mut PlanBuilder<'_>, release: &Release, saw: String) {
    let snapshot = builder.snapshot;
    let mut status = release.status.clone();
    status.ready_at = Some(snapshot.recorded_at());
    status.findings = snapshot.findings.to_vec();
    builder.release_status(release, status);
    builder.wake_at(after(snapshot.now, snapshot.settings.watch));
    let until = format!("{} after the last pod became ready", duration_words(snapshot.settings.watch));
    builder.waits(Reason::WatchStarted, builder.record(release.number), saw, "judges on", until);
}

/// A release that was kept on too little evidence: does the evidence since say more?
pub(super) fn watch_on(builder: &mut PlanBuilder<'_>, target: &Target, release: &Release) {
    let snapshot = builder.snapshot;
    let word = release_word(release.number);
    let saw = format!("{word} was kept on too little evidence");
    match snapshot.settings.strategy.reconsider(&snapshot.stage(target, release)) {
        Next::Fail { summary } => fail(builder, target, release, summary),
        Next::Keep { verdict: Some(Verdict::Pass), summary } => {
            let mut status = moved_to(release, ReleasePhase::Kept, summary);
            status.verdict = Some(Verdict::Pass);
            status.low_evidence = false;
            status.findings = snapshot.findings.to_vec();
            let decided = format!("passes it: {}", status.summary);
            builder.decided(Reason::EvidencePassed, builder.record(release.number), saw, decided);
            builder.release_status(release, status);
        }
        Next::Keep { .. } | Next::Wait { .. } | Next::Out { .. } => builder.waits(
            Reason::LowEvidence,
            builder.record(release.number),
            saw,
            format!("goes on watching it for {}", duration_words(WATCH_ON)),
            "evidence, or a change of the pod template",
        ),
    }
}
