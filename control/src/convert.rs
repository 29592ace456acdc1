//! Between wire types and the core's values. No decision is taken here.

use serde_json::Value;
use trimtab_api::AppRelease;
use trimtab_api::app_release::{AppReleaseStatus, RuleEvidence};
use trimtab_api::condition::Condition;
use trimtab_api::managed_app::ManagedAppStatus;
use trimtab_delivery::lower::{RATIO_MAX, verdict_word};
use trimtab_delivery::plan::{self, AppPhase, AppStatus, Rejected};
use trimtab_delivery::snapshot::{
    Decision, Keep, OutboxEntry, Release, ReleaseEvent, ReleasePhase, ReleaseStatus, Transition,
};
use trimtab_judge::finding::{Counts, Evidence, Finding, FindingState, Interval};
use trimtab_stats::Verdict;

/// Where a release's record says it stands.
#[must_use]
pub fn release(wire: &AppRelease) -> Release {
    Release {
        uid: wire.metadata.uid.clone(),
        version: wire.metadata.resource_version.parse().unwrap_or_default(),
        number: wire.spec.number,
        template_hash: wire.spec.template_hash.clone(),
        target_uid: wire.spec.target_uid.clone(),
        image: wire.spec.image.clone().unwrap_or_default(),
        actor: wire.spec.actor.clone(),
        created_at: wire.metadata.creation_timestamp,
        rollback_to: wire.spec.rollback_to,
        decision: wire.spec.decision.as_ref().map(|decision| Decision {
            keep: if decision.verdict == "Keep" { Keep::Keep } else { Keep::RollBack },
            actor: decision.actor.clone(),
            because: decision.because.clone(),
        }),
        status: release_status(&wire.status, wire.spec.template_hash.is_some()),
    }
}

/// A record with a template and no status yet was created by a plan that did not get further: it is being judged.
fn release_status(wire: &AppReleaseStatus, has_template: bool) -> ReleaseStatus {
    let unwritten = if has_template { ReleasePhase::Judging } else { ReleasePhase::Pending };
    ReleaseStatus {
        phase: ReleasePhase::parse(&wire.phase).unwrap_or(unwritten),
        summary: wire.summary.clone(),
        verdict: wire.verdict.as_deref().and_then(parse_verdict),
        low_evidence: wire.low_evidence.unwrap_or_default(),
        held: wire.held.unwrap_or_default(),
        started_at: wire.started_at,
        ready_at: wire.ready_at,
        decided_at: wire.decided_at,
        recovered_at: wire.recovered_at,
        restores: wire.restores.unwrap_or_default(),
        needs_human: wire.needs_human.unwrap_or_default(),
        findings: wire.rules.iter().map(finding).collect(),
        harmed: wire.harmed,
        outbox: wire.notifications.iter().filter_map(told).collect(),
    }
}

fn parse_verdict(word: &str) -> Option<Verdict> {
    [Verdict::Pass, Verdict::Fail, Verdict::Undecided]
        .into_iter()
        .find(|verdict| verdict_word(*verdict) == word)
}

fn finding(wire: &RuleEvidence) -> Finding {
    let state = match wire.reason.as_deref() {
        Some("RuleUnbound") => FindingState::Unbound(wire.summary.clone()),
        Some("TelemetryLost") => FindingState::TelemetryLost(wire.summary.clone()),
        Some("NoTraffic") => FindingState::NoTraffic,
        _ => FindingState::Judged,
    };
    Finding {
        rule: wire.name.clone(),
        verdict: parse_verdict(&wire.verdict).unwrap_or(Verdict::Undecided),
        state,
        counts: Counts {
            canary_bad: wire.canary_bad as u64,
            canary_total: wire.canary_total,
            stable_bad: wire.stable_bad as u64,
            stable_total: wire.stable_total,
        },
        ratio: wire.ratio.map(|ends| {
            let [estimate, low, high] = ends.map(|end| if end < RATIO_MAX { end } else { f64::INFINITY });
            Interval { estimate, low, high }
        }),
        evidence: wire.evidence.map(|[log10, threshold_log10]| Evidence { log10, threshold_log10 }),
        harmed: None,
        summary: wire.summary.clone(),
    }
}

fn told(wire: &Value) -> Option<OutboxEntry> {
    let text = |key: &str| wire.get(key).and_then(Value::as_str).unwrap_or_default();
    Some(OutboxEntry {
        event: ReleaseEvent::parse(text("event"))?,
        destination: text("destination").to_owned(),
        state: text("state").to_owned(),
        at: text("at").parse().ok(),
    })
}

/// The status of a service as the core knows it.
#[must_use]
pub fn app_status(wire: &ManagedAppStatus) -> AppStatus {
    AppStatus {
        observed_generation: wire.observed_generation.unwrap_or_default(),
        phase: AppPhase::parse(&wire.phase),
        summary: wire.summary.clone(),
        target_uid: wire.target_uid.clone(),
        current: wire.current,
        in_flight: wire.in_flight,
        last_release: wire.last_release,
        rejected: wire
            .rejected
            .iter()
            .map(|rejected| Rejected {
                number: rejected.number,
                template_hash: rejected.template_hash.clone(),
                at: rejected.at,
            })
            .collect(),
        conditions: wire
            .conditions
            .iter()
            .map(|condition| plan::Condition {
                kind: condition.kind.clone(),
                holds: condition.status == "True",
                reason: condition.reason.clone(),
                message: condition.message.clone(),
            })
            .collect(),
    }
}

/// Since when each condition of a service says what it says.
#[must_use]
pub fn transitions(wire: &ManagedAppStatus) -> Vec<Transition> {
    let transition = |condition: &Condition| Transition {
        kind: condition.kind.clone(),
        holds: condition.status == "True",
        at: condition.last_transition_time,
    };
    wire.conditions.iter().map(transition).collect()
}
