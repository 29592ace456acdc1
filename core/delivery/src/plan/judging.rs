//! A release under way, and one that is watched on: people come first, then the strategy decides, and it is written down.

use trimtab_plan::Reason;
use trimtab_stats::Verdict;
use trimtab_units::duration_words;
use trimtab_workload::Target;

use super::draft::{Draft, moved_to, owe};
use super::hold::{Rejections, let_pass};
use super::keep::{keep, keep_by_decision};
use super::restore::fail;
use crate::deadline::after;
use crate::names::release_word;
use crate::snapshot::{Happening, Keep, Release, ReleasePhase, WATCH_ON};
use crate::strategy::Next;

/// The template that is being judged is out.
pub(super) fn judge(draft: &mut Draft<'_>, target: &Target, release: &Release) {
    let snapshot = draft.snapshot;
    if release.status.started_at.is_none() {
        return start(draft, target, release);
    }
    match &release.decision {
        Some(decision) if decision.keep == Keep::Keep => return keep_by_decision(draft, release, decision),
        Some(decision) => {
            let summary = format!("rolled back by {}: {}", decision.actor, decision.because);
            return fail(draft, target, release, summary);
        }
        None => {}
    }
    let_pass(draft, target, Rejections::Known);
    if target.held_by_admission() {
        return draft.decided(
            Reason::LetThrough,
            draft.record(release.number),
            "admission held the new template until it was compared with the rejected ones",
            "lets it through: it is not one of them",
        );
    }
    match snapshot.settings.strategy.next(&snapshot.stage(target, release)) {
        Next::Fail { summary } => fail(draft, target, release, summary),
        Next::Out { saw } => out(draft, release, saw),
        Next::Keep { verdict, summary } => keep(draft, release, verdict, summary),
        Next::Wait { waits, until } => {
            for wait in waits {
                draft.waits_as(draft.record(release.number), wait);
            }
            if let Some(at) = until {
                draft.wake_at(at);
            }
        }
    }
}

/// The record exists and says nothing yet: the release begins.
fn start(draft: &mut Draft<'_>, target: &Target, release: &Release) {
    let snapshot = draft.snapshot;
    let word = release_word(release.number);
    let back = snapshot.current().map(|current| release_word(current.number)).unwrap_or_default();
    let note = format!("{word} by {} begins: {}", release.actor, target.image);
    let mut status = moved_to(release, ReleasePhase::Judging, format!("judged against {back}"));
    status.started_at = Some(snapshot.now);
    owe(&mut status, snapshot, Happening::Started);
    draft.event(release.number, Happening::Started, note);
    draft.release_status(release, status);
    let (saw, decided) = (format!("{word} is out"), format!("judges it against {back}"));
    draft.decided(Reason::Started, draft.record(release.number), saw, decided);
}

/// All of it is out: its watch begins.
fn out(draft: &mut Draft<'_>, release: &Release, saw: String) {
    let snapshot = draft.snapshot;
    let mut status = release.status.clone();
    status.ready_at = Some(snapshot.now);
    status.findings = snapshot.findings.to_vec();
    draft.release_status(release, status);
    draft.wake_at(after(snapshot.now, snapshot.settings.watch));
    let until = format!("{} after the last pod became ready", duration_words(snapshot.settings.watch));
    draft.waits(Reason::WatchStarted, draft.record(release.number), saw, "judges on", until);
}

/// A release that was kept on too little evidence: does the evidence since say more?
pub(super) fn watch_on(draft: &mut Draft<'_>, target: &Target, release: &Release) {
    let snapshot = draft.snapshot;
    let word = release_word(release.number);
    let saw = format!("{word} was kept on too little evidence");
    match snapshot.settings.strategy.reconsider(&snapshot.stage(target, release)) {
        Next::Fail { summary } => fail(draft, target, release, summary),
        Next::Keep { verdict: Some(Verdict::Pass), summary } => {
            let mut status = moved_to(release, ReleasePhase::Kept, summary);
            status.verdict = Some(Verdict::Pass);
            status.low_evidence = false;
            status.findings = snapshot.findings.to_vec();
            let decided = format!("passes it: {}", status.summary);
            draft.decided(Reason::EvidencePassed, draft.record(release.number), saw, decided);
            draft.release_status(release, status);
        }
        Next::Keep { .. } | Next::Wait { .. } | Next::Out { .. } => draft.waits(
            Reason::LowEvidence,
            draft.record(release.number),
            saw,
            format!("goes on watching it for {}", duration_words(WATCH_ON)),
            "evidence, or a change of the pod template",
        ),
    }
}
