//! What people are told, from what is known about a release.

use trimtab_delivery::asked::Asked;
use trimtab_delivery::names::release_word;
use trimtab_delivery::snapshot::{OutboxEntry, Release, ReleaseEvent, ReleasePhase};
use trimtab_judge::rule::{Rule, RuleKind};
use trimtab_notify::{Baseline, BaselineSource, Counts, Event, Evidence, Finding, Notification, Ratio};
use trimtab_plan::Reason;
use trimtab_stats::Verdict;

use crate::observed::{NOTHING_MEASURED, Observed};

/// What is told about one event of a release.
pub(crate) fn notification(
    observed: &Observed,
    release: &Release,
    told: &OutboxEntry,
    key: &str,
) -> Notification {
    let app = &observed.app;
    let status = &release.status;
    let word = release_word(release.number);
    let snapshot = observed.snapshot(told.at.unwrap_or_default(), &NOTHING_MEASURED);
    let mut earlier = snapshot.history().own().rev().filter(|other| other.number < release.number);
    let before = earlier.find(|other| other.status.phase == ReleasePhase::Kept).map(|other| other.number);
    let previous = match told.event {
        // Another template took over, or the Deployment was lost, before what was restored ran again.
        ReleaseEvent::RolledBack if status.recovered_at.is_none() => None,
        ReleaseEvent::RolledBack | ReleaseEvent::NeedsHuman => status.restored.or(before),
        ReleaseEvent::Started | ReleaseEvent::Kept | ReleaseEvent::Held => before,
    };
    // Where a rejected template came back, what was counted the first time is not told as new.
    let anew = told.event == ReleaseEvent::RolledBack && told.again > 0;
    let since = if anew { status.decided_at } else { status.started_at };
    let recovery = status.recovered_at.zip(since).map(|(end, start)| end.duration_since(start).as_secs());
    let found = if anew { &[] } else { status.findings.as_slice() };
    let mut findings: Vec<&trimtab_judge::finding::Finding> = found.iter().collect();
    findings.sort_by_key(|finding| finding.verdict != Verdict::Fail);
    Notification {
        key: key.to_owned(),
        sequence: sequence(told),
        at: told.at.unwrap_or_default(),
        event: match told.event {
            ReleaseEvent::Started => Event::Started,
            ReleaseEvent::Kept => Event::Kept,
            ReleaseEvent::RolledBack => Event::RolledBack,
            ReleaseEvent::Held => Event::Held,
            ReleaseEvent::NeedsHuman => Event::NeedsHuman,
        },
        namespace: app.namespace.clone(),
        service: app.name.clone(),
        release: word.clone(),
        release_number: release.number,
        previous: previous.map(release_word),
        tier: observed.wire.spec.tier,
        actor: Some(release.actor.clone()).filter(|actor| !actor.is_empty()),
        reason: reason(release, told, previous),
        findings: findings.into_iter().map(|found| finding(found, &observed.settings.rules)).collect(),
        requests_harmed: status.harmed.filter(|_| !anew).map(|harmed| harmed.round() as u64),
        recovery_seconds: recovery.and_then(|seconds| u64::try_from(seconds).ok()),
        evidence: if status.low_evidence { Evidence::Low } else { Evidence::Sufficient },
        command: format!("trimtab explain {} {word} -n {}", app.name, app.namespace),
    }
}

fn finding(finding: &trimtab_judge::finding::Finding, rules: &[Rule]) -> Finding {
    let counts = &finding.counts;
    let whole = |total: f64| (total > 0.0).then_some(total.round() as u64);
    // Only ratio rules count requests; the exposure of the others is time, which is no total of events.
    let mut ratios = rules.iter().filter(|rule| matches!(rule.kind, RuleKind::Ratio(_)));
    let requests = ratios.any(|rule| rule.name == finding.rule);
    Finding {
        rule: finding.rule.clone(),
        canary: Counts { bad: counts.canary_bad, total: whole(counts.canary_total).filter(|_| requests) },
        baseline: (counts.stable_total > 0.0).then(|| Baseline {
            source: BaselineSource::Stable,
            counts: Counts { bad: counts.stable_bad, total: whole(counts.stable_total).filter(|_| requests) },
        }),
        // Where the old pods had none, the estimate is only the largest ratio that was thought of.
        ratio: finding.ratio.map(|ratio| {
            let estimate = if counts.stable_bad == 0 { f64::INFINITY } else { ratio.estimate };
            Ratio::new(ratio.low, estimate, ratio.high)
        }),
    }
}

/// Why it happened. A question to a person says what the question is, and then what was found.
fn reason(release: &Release, told: &OutboxEntry, back: Option<u64>) -> String {
    let status = &release.status;
    let Some(reason) = told.reason else { return status.summary.clone() };
    let asked = Asked { number: release.number, phase: status.phase, verdict: status.verdict, reason };
    let back = back.map_or_else(|| "nothing yet".to_owned(), release_word);
    match (status.verdict, reason) {
        // Its summary is the question and the cause.
        (_, Reason::RollbackFailed) => status.summary.clone(),
        (Some(Verdict::Fail), _) => format!("{}: {}", asked.words(&back), status.summary),
        _ => asked.words(&back),
    }
}

/// Rises with every event of a service: no two are owed at one time.
fn sequence(told: &OutboxEntry) -> u64 {
    told.at.map_or(0, |at| at.as_second().unsigned_abs())
}
