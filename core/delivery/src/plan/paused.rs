//! A person paused the Deployment with another template while a release is out: its pods run on, nothing but a person can
//! replace them, and as long as they fail, that is said.

use trimtab_judge::finding::Finding;
use trimtab_plan::Reason;
use trimtab_stats::Verdict;
use trimtab_workload::Target;

use super::builder::{PlanBuilder, back, moved_to};
use super::restore::{ask_for_a_person, evidence};
use crate::names::release_word;
use crate::snapshot::{Keep, Release, ReleasePhase, ReleaseStatus, Snapshot};
use crate::strategy::Next;

/// Asks for a person about a release that fails, or is being rolled back, under a pause by `manager`.
pub(super) fn fails_meanwhile(builder: &mut PlanBuilder<'_>, target: &Target, manager: &str) {
    let Some(release) = builder.snapshot.history().in_flight() else { return };
    let asked = release.status.needs_human == Some(Reason::PausedByOther);
    let judging = release.status.phase == ReleasePhase::Judging;
    if release.decision.as_ref().is_some_and(|decision| judging || decision.keep == Keep::Keep) {
        // Whoever decided it knows of it; what they decided is carried out or answered once the pause is over.
        let needs_human = release.status.needs_human.filter(|_| !asked);
        return builder.release_status(release, ReleaseStatus { needs_human, ..release.status.clone() });
    }
    if !judging {
        return ask_under_pause(builder, release, release.status.clone(), manager);
    }
    match evidence(builder, target, release) {
        // One that was asked about already is asked about once.
        Some(Next::Fail { .. }) if asked => {}
        Some(Next::Fail { summary }) => {
            let mut status = moved_to(release, ReleasePhase::Judging, summary);
            status.verdict = Some(Verdict::Fail);
            status.findings = builder.snapshot.findings.to_vec();
            ask_under_pause(builder, release, status, manager);
        }
        Some(_) if asked && is_taken_back(builder.snapshot, release) => {
            let status = judged_anew(builder.snapshot, release);
            builder.release_status(release, status);
        }
        _ => {}
    }
}

fn ask_under_pause(builder: &mut PlanBuilder<'_>, release: &Release, status: ReleaseStatus, manager: &str) {
    let word = release_word(release.number);
    let note = format!(
        "{word} fails, and {manager} paused the Deployment with another template, so its pods run on: {}",
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
