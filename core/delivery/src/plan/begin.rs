//! A template that no record speaks of: it gets a number.

use trimtab_plan::Reason;
use trimtab_stats::Verdict;
use trimtab_workload::Target;

use super::builder::{PlanBuilder, moved_to, owe};
use super::hold::hold_changes;
use super::paused::fails_meanwhile;
use crate::command;
use crate::decision::{NewRelease, Write};
use crate::names::{CLAIM_ANNOTATION, release_object, release_word};
use crate::snapshot::{Keep, Release, ReleaseEvent, ReleasePhase};

/// What runs when a service is claimed becomes its first kept release, numbered like the Deployment's own revision so that
/// `kubectl rollout history` and `trimtab history` speak of the same thing.
pub(super) fn adopt_baseline(builder: &mut PlanBuilder<'_>, target: &Target) {
    let history = builder.snapshot.history();
    let ran = |release: &&Release| shows(release, target) && release.status.phase != ReleasePhase::RolledBack;
    // A record that is under way here was never announced: it holds what ran a moment ago, whatever was written since. What
    // was rejected is not what runs while it is held, and is adopted under a new number where it does run.
    let recorded = history.in_flight().or_else(|| history.own().rev().find(ran));
    if let Some(release) = recorded {
        let mut status = moved_to(release, ReleasePhase::Kept, "was running when the service was claimed");
        status.low_evidence = true;
        status.started_at = release.created_at;
        let decided = format!("keeps it as {}", release_word(release.number));
        builder.decided(
            Reason::BaselineKept,
            builder.record(release.number),
            "what runs was not judged",
            decided,
        );
        return builder.release_status(release, status);
    }
    if target.held_by_admission() && target.held_images.contains(&target.image) {
        // What runs is not in the spec: its record is gone, or counts no more.
        builder.held_unrecorded();
        let namespace = &builder.snapshot.app.namespace;
        let unclaim = format!("annotate deployment {} {CLAIM_ANNOTATION}-", target.name);
        let (unclaim, resume) =
            (command::kubectl(&unclaim, namespace), command::resume(&target.name, namespace));
        return builder.waits(
            Reason::HeldUnrecorded,
            builder.deployment(),
            "a rejected template is held, and no release that counts tells what runs instead",
            "leaves it held",
            format!("another pod template; to let this one pass, `{unclaim}` and `{resume}`"),
        );
    }
    let number = builder.snapshot.free_number(target.revision.unwrap_or(1));
    let saw = if builder.snapshot.releases.is_empty() {
        "no release is recorded"
    } else {
        "no release of this Deployment is recorded"
    };
    let decided = format!("records what runs as {}", release_word(number));
    builder.decided(Reason::BaselineRecorded, builder.record(number), saw, decided);
    builder.write(Write::CreateRelease(NewRelease {
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
pub(super) fn begin(builder: &mut PlanBuilder<'_>, target: &Target) {
    let snapshot = builder.snapshot;
    if let Some(manager) = target.paused_by_others() {
        fails_meanwhile(builder, target, manager);
        let resume = command::resume(&target.name, &snapshot.app.namespace);
        // Whoever looks after the release under way must not be sent to ship another one.
        let next = match builder.phase_in_flight() {
            Some(_) => format!("the end of the pause, and that template ships then (`{resume}`)"),
            None => format!("`{resume}`"),
        };
        return builder.waits(
            Reason::PausedByOther,
            builder.deployment(),
            "the Deployment holds a new template and is paused",
            format!("waits: {manager} paused it"),
            next,
        );
    }
    let previous = snapshot.history().current().map(|release| release.number);
    // Somebody may have written another template over the one that was numbered, before anybody saw that.
    let numbered = target.release_annotation.and_then(|number| snapshot.awaited(number));
    let numbered = numbered.filter(|release| release.may_be(&target.image));
    let number = numbered.map_or_else(|| snapshot.free_number(1), |release| release.number);
    let next = snapshot.last_number() + 1;
    if numbered.is_none() && number > next {
        let held = release_object(&snapshot.app.name, next);
        let saw = format!("AppRelease {held} is no release of this service");
        builder.decided(Reason::NumberTaken, builder.record(next), saw, "takes another number");
    }
    if let Some(old) = snapshot.history().in_flight() {
        supersede(builder, target, old, &release_word(number));
    }
    let template_hash = target.template_hash.clone();
    match numbered {
        Some(_) => builder.write(Write::AdoptRelease { number, previous, template_hash }),
        None => builder.write(Write::CreateRelease(NewRelease {
            number,
            previous,
            template_hash,
            actor: target.template_manager.clone(),
            reason: None,
        })),
    }
    let decided = format!("records it as {}", release_word(number));
    builder.decided(
        Reason::ReleaseRecorded,
        builder.record(number),
        "the Deployment holds a new template",
        decided,
    );
}

/// Another template, called `by`, took over from a release that was under way.
pub(super) fn supersede(builder: &mut PlanBuilder<'_>, target: &Target, old: &Release, by: &str) {
    let (phase, summary) = overtaken(old, by);
    let mut status = moved_to(old, phase, summary);
    status.decided_at = status.decided_at.or(Some(builder.snapshot.recorded_at()));
    if phase == ReleasePhase::RolledBack {
        if old.status.phase == ReleasePhase::Judging {
            status.verdict = Some(Verdict::Fail);
        }
        hold_changes(builder, target, old);
        builder.event(old.number, ReleaseEvent::RolledBack, status.summary.clone());
        owe(&mut status, builder.snapshot, ReleaseEvent::RolledBack);
    }
    builder.release_status(old, status);
}

/// Where a release ends that another one, called `word`, takes over from. One that failed stays rejected even when a newer
/// template arrived before the old one was back, and what a person decided is answered.
fn overtaken(old: &Release, word: &str) -> (ReleasePhase, String) {
    match &old.decision {
        Some(decision) if decision.keep == Keep::Keep => {
            let kept = format!("{} had decided to keep it: {}", decision.actor, decision.because);
            (ReleasePhase::Superseded, format!("replaced by {word}; {kept}"))
        }
        Some(decision) if old.status.phase == ReleasePhase::Judging => {
            (ReleasePhase::RolledBack, format!("{}; replaced by {word}", decision.outcome()))
        }
        _ if old.has_failed() => {
            (ReleasePhase::RolledBack, format!("{}; replaced by {word}", old.status.summary))
        }
        _ => (ReleasePhase::Superseded, format!("replaced by {word} before a verdict")),
    }
}
