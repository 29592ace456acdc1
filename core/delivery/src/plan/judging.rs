//! A release from its first pod to its verdict.

use jiff::Timestamp;
use trimtab_judge::finding::{Finding, finding_line};
use trimtab_stats::verdict::Verdict;
use trimtab_units::duration_words;
use trimtab_workload::{Arm, Target};

use super::draft::{Draft, moved_to, owe};
use super::held::{Rejections, hold_changes, let_pass};
use super::verdict::{failed_rule, short_of_pods, telemetry_lost, weigh};
use super::{NO_PROGRESS_MAX, NewRelease, Write, rolling_back};
use crate::names::{release_object, release_word};
use crate::snapshot::{
    Decision, Happening, Keep, Release, ReleasePhase, ReleaseStatus, Snapshot, WATCH_ON, after,
};

/// What runs when a service is claimed becomes its first kept release, numbered like the Deployment's own revision so that
/// `kubectl rollout history` and `trimtab history` speak of the same thing.
pub(super) fn adopt_baseline(draft: &mut Draft<'_>, target: &Target) {
    let newest_first = || draft.snapshot.own_releases().rev();
    // A record that is under way here was never announced: it holds what ran a moment ago, whatever was written since.
    let recorded =
        draft.snapshot.in_flight().or_else(|| newest_first().find(|release| shows(release, target)));
    if let Some(release) = recorded {
        let mut status = moved_to(release, ReleasePhase::Kept, "was running when the service was claimed");
        status.low_evidence = true;
        status.started_at = release.created_at;
        draft.decided("what runs was not judged", format!("keeps it as {}", release_word(release.number)));
        return draft.release_status(release, status);
    }
    let number = draft.snapshot.free_number(target.revision.unwrap_or(1));
    draft.decided(
        if draft.snapshot.releases.is_empty() {
            "no release is recorded"
        } else {
            "no release of this Deployment is recorded"
        },
        format!("records what runs as {}", release_word(number)),
    );
    draft.write(Write::CreateRelease(NewRelease {
        number,
        previous: None,
        template_hash: target.template_hash.clone(),
        actor: target.template_manager.clone(),
        reason: Some("was running when the service was claimed".to_owned()),
    }));
}

fn shows(release: &Release, target: &Target) -> bool {
    release.template_hash.as_deref() == Some(target.template_hash.as_str())
}

/// The Deployment holds a new template: give it a number, and take over from whatever was under way.
pub(super) fn begin(draft: &mut Draft<'_>, target: &Target) {
    let snapshot = draft.snapshot;
    if let Some(manager) = target.paused_by_others() {
        return draft.waits(
            "the Deployment holds a new template and is paused",
            format!("waits: {manager} paused it"),
            format!("`kubectl rollout resume deployment/{}`", target.name),
        );
    }
    let previous = snapshot.current().map(|release| release.number);
    let numbered = target.release_annotation.and_then(|number| snapshot.awaited(number));
    let number = numbered.map_or_else(|| snapshot.free_number(1), |release| release.number);
    let next = snapshot.last_number() + 1;
    if numbered.is_none() && number > next {
        let held = release_object(&snapshot.app.name, next);
        draft.decided(format!("AppRelease {held} is no release of this service"), "takes another number");
    }
    if let Some(old) = snapshot.in_flight() {
        supersede(draft, target, old, number);
    }
    let template_hash = target.template_hash.clone();
    match numbered {
        Some(_) => draft.write(Write::AdoptRelease { number, previous, template_hash }),
        None => draft.write(Write::CreateRelease(NewRelease {
            number,
            previous,
            template_hash,
            actor: target.template_manager.clone(),
            reason: None,
        })),
    }
    draft.decided("the Deployment holds a new template", format!("records it as {}", release_word(number)));
}

fn supersede(draft: &mut Draft<'_>, target: &Target, old: &Release, by: u64) {
    let word = release_word(by);
    // A failed release stays rejected even when a newer template arrived before the old one was back.
    let (phase, summary) = match old.status.phase {
        ReleasePhase::RollingBack => {
            (ReleasePhase::RolledBack, format!("{}; replaced by {word}", old.status.summary))
        }
        _ => (ReleasePhase::Superseded, format!("replaced by {word} before a verdict")),
    };
    let mut status = moved_to(old, phase, summary);
    status.decided_at = status.decided_at.or(Some(draft.snapshot.now));
    if phase == ReleasePhase::RolledBack {
        hold_changes(draft, target, old);
        draft.event(old.number, Happening::RolledBack, status.summary.clone());
        owe(&mut status, draft.snapshot, Happening::RolledBack);
    }
    draft.release_status(old, status);
}

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
            "admission held the new template until it was compared with the rejected ones",
            "lets it through: it is not one of them",
        );
    }
    if let Some(summary) = failure(snapshot, target) {
        return fail(draft, target, release, summary);
    }
    // What was out once stays out: a pod that is lost later, or one that an autoscaler finds no room for, is no reason to
    // judge for ever.
    let Some(ready_at) = release.status.ready_at else {
        if !is_out(snapshot, target, release) && target.replicas > 0 {
            return waits_for_pods(draft, target, release);
        }
        let mut status = release.status.clone();
        status.ready_at = Some(snapshot.now);
        status.findings = snapshot.findings.to_vec();
        draft.release_status(release, status);
        draft.wake_at(after(snapshot.now, snapshot.settings.watch));
        let saw = short_of_pods(snapshot, target).unwrap_or_else(|| "all pods are ready".to_owned());
        return draft.waits(saw, "judges on", until(snapshot));
    };
    conclude(draft, target, release, ready_at);
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
    draft.decided(format!("{word} is out"), format!("judges it against {back}"));
}

/// The reason to roll back, if there is one.
fn failure(snapshot: &Snapshot<'_>, target: &Target) -> Option<String> {
    if !snapshot.settings.strategy.judges() {
        return None;
    }
    if let Some(summary) = failed_rule(snapshot) {
        return Some(summary);
    }
    // Until the Deployment controller has seen this template, the condition speaks of the one before.
    let seen = target.observed_generation >= target.generation;
    let stuck = target.progress_deadline_exceeded.as_ref().filter(|_| seen)?;
    let why = snapshot.pods.iter().filter(|pod| !pod.ended).filter_map(|pod| pod.waiting.as_deref()).min();
    Some(match why {
        Some(why) => format!("progress: {why}; {stuck}"),
        None => format!("progress: {stuck}"),
    })
}

/// Whether every pod of the Deployment runs the release and is available, or was, or no more will be.
fn is_out(snapshot: &Snapshot<'_>, target: &Target, release: &Release) -> bool {
    let (mut new, mut old) = (0, 0);
    for set in snapshot.replica_sets {
        if Some(set.template_hash.as_str()) == release.template_hash.as_deref() {
            new += set.available;
        } else {
            old += set.replicas;
        }
    }
    let seen = target.observed_generation >= target.generation;
    let complete = seen && old == 0 && (new >= target.replicas || target.rolled_out);
    complete || stalls_at(snapshot, target, release).is_some_and(|at| snapshot.now >= at)
}

/// When a rollout counts as stalled; `None` while it is paused.
fn stalls_at(snapshot: &Snapshot<'_>, target: &Target, release: &Release) -> Option<Timestamp> {
    let started_at = release.status.started_at.filter(|_| !target.paused)?;
    let new = snapshot.pods.iter().filter(|pod| snapshot.arm(pod, release) == Arm::Canary);
    let last = new.filter_map(|pod| pod.started_at).fold(started_at, Timestamp::max);
    Some(after(last, NO_PROGRESS_MAX))
}

fn waits_for_pods(draft: &mut Draft<'_>, target: &Target, release: &Release) {
    let snapshot = draft.snapshot;
    let word = release_word(release.number);
    let ready: i32 = snapshot
        .replica_sets
        .iter()
        .filter(|set| Some(set.template_hash.as_str()) == release.template_hash.as_deref())
        .map(|set| set.available)
        .sum();
    let saw = format!("{ready} of {} pods of {word} are available", target.replicas);
    match target.paused_by_others() {
        Some(manager) => draft.waits(
            saw,
            format!("waits: {manager} paused the Deployment"),
            format!("`kubectl rollout resume deployment/{}`", target.name),
        ),
        None => draft.waits(saw, "judges what there is", "the other pods"),
    }
    if let Some(at) = stalls_at(snapshot, target, release) {
        draft.wake_at(at);
    }
}

fn until(snapshot: &Snapshot<'_>) -> String {
    format!("{} after the last pod became ready", duration_words(snapshot.settings.watch))
}

/// All pods are out: is there time left, and if not, what do the findings come to?
fn conclude(draft: &mut Draft<'_>, target: &Target, release: &Release, ready_at: Timestamp) {
    let snapshot = draft.snapshot;
    let judged = snapshot.settings.strategy.judges() && target.replicas > 0;
    let patience = if telemetry_lost(snapshot).is_some() { 2 } else { 1 };
    let watch = snapshot.settings.watch.saturating_mul(patience);
    let deadline = after(ready_at, watch);
    if judged && snapshot.now < deadline {
        draft.wake_at(deadline);
        if let Some(short) = short_of_pods(snapshot, target) {
            draft.waits(short, "judges by the others", until(snapshot));
        }
        for finding in snapshot.findings {
            draft.waits(finding_line(finding), "goes on judging", until(snapshot));
        }
        return;
    }
    // A verdict that an answer under way could change is not given before it: every question ends, if only in a failure.
    if judged && let Some(since) = snapshot.measuring_since {
        let asked = snapshot.now.duration_since(since).as_secs();
        return draft.waits(
            format!("the watch is over, and the metrics server was asked {asked} s ago"),
            "decides when it answers",
            "the answer, or the end of its timeout",
        );
    }
    let (verdict, summary) = weigh(snapshot, target);
    keep(draft, release, verdict, summary);
}

/// A release that was kept on too little evidence: does the evidence since say more?
pub(super) fn watch_on(draft: &mut Draft<'_>, target: &Target, release: &Release) {
    let snapshot = draft.snapshot;
    if let Some(summary) = failed_rule(snapshot) {
        return fail(draft, target, release, summary);
    }
    let (verdict, summary) = weigh(snapshot, target);
    let word = release_word(release.number);
    if verdict != Some(Verdict::Pass) {
        return draft.waits(
            format!("{word} was kept on too little evidence"),
            format!("goes on watching it for {}", duration_words(WATCH_ON)),
            "evidence, or a change of the pod template",
        );
    }
    let mut status = moved_to(release, ReleasePhase::Kept, summary);
    status.verdict = verdict;
    status.low_evidence = false;
    status.findings = snapshot.findings.to_vec();
    draft
        .decided(format!("{word} was kept on too little evidence"), format!("passes it: {}", status.summary));
    draft.release_status(release, status);
}

fn keep(draft: &mut Draft<'_>, release: &Release, verdict: Option<Verdict>, summary: String) {
    let snapshot = draft.snapshot;
    let mut status = moved_to(release, ReleasePhase::Kept, summary);
    status.verdict = verdict;
    status.low_evidence = verdict == Some(Verdict::Undecided);
    status.held = false;
    close(&mut status, snapshot, snapshot.findings);
    owe(&mut status, snapshot, Happening::Kept);
    let word = release_word(release.number);
    draft.event(release.number, Happening::Kept, format!("{word} is kept: {}", status.summary));
    draft.decided(format!("{word} was out long enough"), format!("keeps it: {}", status.summary));
    draft.release_status(release, status);
    let Some(target) = snapshot.target else { return };
    let_pass(draft, target, Rejections::After(release));
}

/// A person said to keep it; the pause, if there is one, is lifted once the record says so.
pub(super) fn keep_by_decision(draft: &mut Draft<'_>, release: &Release, decision: &Decision) {
    let summary = format!("kept by {}: {}", decision.actor, decision.because);
    keep(draft, release, release.status.verdict, summary);
}

fn close(status: &mut ReleaseStatus, snapshot: &Snapshot<'_>, findings: &[Finding]) {
    status.decided_at = Some(snapshot.now);
    if !findings.is_empty() {
        status.findings = findings.to_vec();
    }
    status.harmed = findings.iter().filter_map(|finding| finding.harmed).reduce(f64::max).or(status.harmed);
}

fn fail(draft: &mut Draft<'_>, target: &Target, release: &Release, summary: String) {
    let snapshot = draft.snapshot;
    let mut status = moved_to(release, ReleasePhase::RollingBack, summary);
    status.verdict = Some(Verdict::Fail);
    status.low_evidence = false;
    // What was counted so far brought this very release back; the previous template was not restored yet.
    status.restores = 0;
    close(&mut status, snapshot, snapshot.findings);
    let ordered = release.decision.as_ref().is_some_and(|decision| decision.keep == Keep::RollBack);
    if release.rollback_to.is_some() && !ordered {
        // A person went back to this release on purpose; undoing that would bring back what they fled from.
        let note = format!(
            "{} is itself a rollback, and fails too: {}",
            release_word(release.number),
            status.summary
        );
        status.phase = ReleasePhase::Kept;
        status.summary.clone_from(&note);
        rolling_back::ask_for_a_person(draft, release, status, &note);
        return draft.decided(note, "keeps it, and asks for a person");
    }
    rolling_back::restore_with(draft, target, release, status);
}

/// Somebody put the previous template back: nothing is left to judge, and nothing was rejected.
pub(super) fn reverted(draft: &mut Draft<'_>, target: &Target, release: &Release) {
    let ordered = release.decision.as_ref().filter(|decision| decision.keep == Keep::RollBack);
    let (phase, summary) = match ordered {
        Some(decision) => {
            (ReleasePhase::RollingBack, format!("rolled back by {}: {}", decision.actor, decision.because))
        }
        None => {
            (ReleasePhase::Superseded, format!("{} put the previous template back", target.template_manager))
        }
    };
    let mut status = moved_to(release, phase, summary.clone());
    close(&mut status, draft.snapshot, draft.snapshot.findings);
    draft.release_status(release, status);
    draft.decided("the previous template is back", summary);
}
