//! A person paused the Deployment with another template while a release is out: its pods run on, nothing but a person can
//! replace them, and as long as they fail, that is said.

use trimtab_judge::finding::Finding;
use trimtab_plan::Reason;
use trimtab_stats::Verdict;
use trimtab_workload::Target;

use super::builder::{PlanBuilder, back, moved_to};
use super::restore::{ask_for_a_person, evidence};
use super::rolling_back::{Recovery, recovered};
use crate::asked::why_not;
use crate::names::release_word;
use crate::snapshot::{Keep, Release, ReleasePhase, ReleaseStatus, Snapshot};
use crate::strategy::Next;

/// Asks for a person about a release that fails, or is being rolled back, under a pause by `manager`.
pub(super) fn fails_meanwhile(builder: &mut PlanBuilder<'_>, target: &Target, manager: &str) {
    let Some(release) = builder.snapshot.history().in_flight() else { return };
    let asked = release.status.needs_human == Some(Reason::PausedByOther);
    let judging = release.status.phase == ReleasePhase::Judging;
    match &release.decision {
        Some(decision) if decision.keep == Keep::Keep => {
            // Whoever decided it knows of it; what they decided is carried out or answered once the pause is over.
            let needs_human = release.status.needs_human.filter(|_| !asked);
            return builder.release_status(release, ReleaseStatus { needs_human, ..release.status.clone() });
        }
        // It cannot be carried out, and the pods run on.
        Some(_) if judging && asked => return,
        Some(decision) if judging => {
            let summary = format!("{}: {}", decision.wish(), decision.because);
            let status = moved_to(release, ReleasePhase::Judging, summary);
            return ask_under_pause(builder, target, release, status, manager);
        }
        _ => {}
    }
    if !judging {
        let status = release.status.clone();
        // Nobody scales its sets down under the pause.
        let is_over = |recovery: &Recovery| recovery.is_over && recovery.is_for_good();
        return match Recovery::of(builder.snapshot, target, release).filter(is_over) {
            Some(recovery) => recovered(builder, target, release, &recovery, status.summary),
            None => ask_under_pause(builder, target, release, status, manager),
        };
    }
    match evidence(builder, target, release) {
        // One that was asked about already is asked about once.
        Some(Next::Fail { .. }) if asked => {}
        Some(Next::Fail { summary }) => {
            let mut status = moved_to(release, ReleasePhase::Judging, summary);
            status.verdict = Some(Verdict::Fail);
            status.findings = builder.snapshot.findings.to_vec();
            ask_under_pause(builder, target, release, status, manager);
        }
        Some(_) if asked && is_taken_back(builder.snapshot, release) => {
            let status = judged_anew(builder.snapshot, release);
            builder.release_status(release, status);
        }
        _ => {}
    }
}

fn ask_under_pause(
    builder: &mut PlanBuilder<'_>,
    target: &Target,
    release: &Release,
    status: ReleaseStatus,
    manager: &str,
) {
    let word = release_word(release.number);
    let why = why_not(status.verdict);
    let then = match Recovery::of(builder.snapshot, target, release).filter(Recovery::is_for_good) {
        Some(recovery) => format!("{} does not come back", recovery.back()),
        None => "its pods run on".to_owned(),
    };
    let note = format!(
        "{word} {why}, and {manager} paused the Deployment with another template, so {then}: {}",
        status.summary
    );
    ask_for_a_person(builder, release, status, Reason::PausedByOther, &note);
}

/// Whether what failed `release` is taken back: every rule that did is in force no more, or passes. That nothing is measured
/// yet, as after a restart, takes nothing back.
fn is_taken_back(snapshot: &Snapshot<'_>, release: &Release) -> bool {
    let mut failed =
        release.status.findings.iter().filter(|finding| finding.verdict == Verdict::Fail).peekable();
    let is_over = |rule: &str| {
        let passes = |finding: &Finding| finding.rule == rule && finding.verdict == Verdict::Pass;
        !snapshot.settings.rules.iter().any(|known| known.name == rule)
            || snapshot.findings.iter().any(passes)
    };
    failed.peek().is_some() && failed.all(|finding| is_over(&finding.rule))
}

/// The status of a release about which a person was asked, and that is judged as it is now.
pub(super) fn judged_anew(snapshot: &Snapshot<'_>, release: &Release) -> ReleaseStatus {
    let against = format!("judged against {}", back(snapshot, release));
    let status = moved_to(release, ReleasePhase::Judging, against);
    ReleaseStatus { needs_human: None, verdict: None, findings: snapshot.findings.to_vec(), ..status }
}
