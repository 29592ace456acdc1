//! An `AppRelease` as the API has it, read into what decisions are made on.

use serde_json::Value;
use trimtab_api::AppRelease;
use trimtab_api::app_release::{AppReleaseStatus, RuleEvidence};
use trimtab_delivery::lower::{RATIO_MAX, verdict_word};
use trimtab_delivery::seal::{Author, SEAL_ANNOTATION, Trust, Written};
use trimtab_delivery::snapshot::{
    Decision, Keep, OutboxEntry, Release, ReleaseEvent, ReleasePhase, ReleaseStatus,
};
use trimtab_judge::finding::{Counts, Evidence, Finding, FindingState, Interval};
use trimtab_plan::Reason;
use trimtab_stats::Verdict;

fn author(wire: &AppRelease, trust: &Trust) -> Author {
    let AppRelease { metadata, spec, status, .. } = wire;
    let written = Written {
        namespace: &metadata.namespace,
        service: &spec.app,
        number: spec.number,
        target_uid: spec.target_uid.as_deref(),
        template_hash: spec.template_hash.as_deref(),
        template: spec.template.as_ref(),
        seal: metadata.annotations.get(SEAL_ANNOTATION).map(String::as_str),
        has_status: !status.phase.is_empty(),
    };
    Author::of(&written, trust)
}

/// Where a release's record says it stands, and who wrote it as far as `trust` tells.
#[must_use]
pub fn release(wire: &AppRelease, trust: &Trust) -> Release {
    Release {
        uid: wire.metadata.uid.clone(),
        version: wire.metadata.resource_version.parse().unwrap_or_default(),
        number: wire.spec.number,
        template_hash: wire.spec.template_hash.clone(),
        author: author(wire, trust),
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
        told_at: None,
        status: release_status(&wire.status, wire.spec.template_hash.is_some()),
    }
}

/// A record with a template waits for none any more: where its status does not say so yet, the plan that wrote it did not get
/// further, and it is being judged.
fn release_status(wire: &AppReleaseStatus, has_template: bool) -> ReleaseStatus {
    let said = ReleasePhase::parse(&wire.phase).unwrap_or_default();
    ReleaseStatus {
        phase: if has_template && said == ReleasePhase::Pending { ReleasePhase::Judging } else { said },
        summary: wire.summary.clone(),
        verdict: wire.verdict.as_deref().and_then(parse_verdict),
        low_evidence: wire.low_evidence.unwrap_or_default(),
        held: wire.held.unwrap_or_default(),
        started_at: wire.started_at,
        ready_at: wire.ready_at,
        decided_at: wire.decided_at,
        recovered_at: wire.recovered_at,
        restores: wire.restores.unwrap_or_default(),
        restored: wire.restored,
        needs_human: wire.needs_human.filter(|asked| *asked).map(|_| asked_why(wire)),
        findings: wire.rules.iter().map(finding).collect(),
        harmed: wire.harmed,
        outbox: wire.notifications.iter().filter_map(told).collect(),
    }
}

/// Why a person is asked; a code that this version does not know says that one is.
fn asked_why(wire: &AppReleaseStatus) -> Reason {
    wire.needs_human_reason.as_deref().and_then(Reason::parse).unwrap_or(Reason::NeedsHuman)
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
        reason: Reason::parse(text("reason")),
        destination: text("destination").to_owned(),
        again: wire.get("again").and_then(Value::as_u64).and_then(|times| times.try_into().ok()).unwrap_or(0),
        state: text("state").to_owned(),
        at: text("at").parse().ok(),
        card: wire.get("card").and_then(Value::as_str).map(str::to_owned),
    })
}
