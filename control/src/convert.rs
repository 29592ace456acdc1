//! Between wire types and the core's values. No decision is taken here.

use serde_json::{Map, Value, json};
use trimtab_api::AppRelease;
use trimtab_api::app_release::{AppReleaseStatus, RuleEvidence};
use trimtab_api::condition::{Condition, merge_conditions};
use trimtab_api::managed_app::{ManagedAppStatus, RejectedRelease};
use trimtab_delivery::finding::{Counts, Evidence, Finding, FindingState, Interval};
use trimtab_delivery::plan::{self, AppPhase, AppStatus, Rejected};
use trimtab_delivery::snapshot::{Decision, Happening, Keep, Release, ReleasePhase, ReleaseStatus, Told};
use trimtab_stats::Verdict;

/// Where a release's record says it stands.
#[must_use]
pub fn release(wire: &AppRelease) -> Release {
    Release {
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
        told: wire.notifications.iter().filter_map(told).collect(),
    }
}

/// The merge patch that makes a record's status say `after`. What did not change since `before` is left as it is: rows do not
/// keep all of a finished release.
#[must_use]
pub fn release_status_patch(before: &ReleaseStatus, after: &ReleaseStatus) -> Value {
    let (known, mut patch) = (status_fields(before), status_fields(after));
    // A record without a status reads as if it had a phase.
    patch.retain(|field, value| field == "phase" || known.get(field) != Some(value));
    json!({"status": patch})
}

/// Every field of a status that is patched; `null` removes one.
fn status_fields(status: &ReleaseStatus) -> Map<String, Value> {
    let all = json!({
        "phase": status.phase.word(),
        "summary": status.summary,
        "verdict": status.verdict.map(verdict_word),
        "lowEvidence": status.low_evidence.then_some(true),
        "held": status.held.then_some(true),
        "startedAt": status.started_at,
        "readyAt": status.ready_at,
        "decidedAt": status.decided_at,
        "recoveredAt": status.recovered_at,
        "restores": (status.restores > 0).then_some(status.restores),
        "needsHuman": status.needs_human.then_some(true),
        "harmed": status.harmed,
    });
    let mut fields = all.as_object().cloned().unwrap_or_default();
    // An empty list means "as it was", not "none".
    if !status.findings.is_empty() {
        fields.insert("rules".to_owned(), status.findings.iter().map(rule_evidence).collect());
    }
    if !status.told.is_empty() {
        fields.insert("notifications".to_owned(), status.told.iter().map(told_value).collect());
    }
    fields
}

/// `Pass`, `Fail`, `Undecided`.
#[must_use]
pub fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "Pass",
        Verdict::Fail => "Fail",
        Verdict::Undecided => "Undecided",
    }
}

fn parse_verdict(word: &str) -> Option<Verdict> {
    [Verdict::Pass, Verdict::Fail, Verdict::Undecided]
        .into_iter()
        .find(|verdict| verdict_word(*verdict) == word)
}

fn rule_evidence(finding: &Finding) -> Value {
    let rounded = |value: f64| (value * 1000.0).round() / 1000.0;
    let mut object = Map::new();
    let mut set = |key: &str, value: Value| object.insert(key.to_owned(), value);
    set("name", json!(finding.rule));
    set("verdict", json!(verdict_word(finding.verdict)));
    set("summary", json!(finding.summary));
    if let Some(reason) = finding.state.reason() {
        set("reason", json!(reason));
    }
    set("canaryBad", json!(finding.counts.canary_bad));
    set("canaryTotal", json!(rounded(finding.counts.canary_total)));
    set("stableBad", json!(finding.counts.stable_bad));
    set("stableTotal", json!(rounded(finding.counts.stable_total)));
    // JSON has no infinity: an open end is left at the largest ratio that is ever told.
    let finite = |value: f64| rounded(value.min(RATIO_MAX));
    if let Some(ratio) = finding.ratio {
        set("ratio", json!([finite(ratio.estimate), finite(ratio.low), finite(ratio.high)]));
    }
    if let Some(evidence) = finding.evidence {
        set("evidence", json!([finite(evidence.log10), finite(evidence.threshold_log10)]));
    }
    Value::Object(object)
}

/// Ratios from here on are all the same to a person, and read back as open.
pub const RATIO_MAX: f64 = 1e6;

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

fn told(wire: &Value) -> Option<Told> {
    let text = |key: &str| wire.get(key).and_then(Value::as_str).unwrap_or_default();
    Some(Told {
        event: Happening::parse(text("event"))?,
        destination: text("destination").to_owned(),
        state: text("state").to_owned(),
        at: text("at").parse().ok(),
    })
}

/// One entry of a release's outbox.
#[must_use]
pub fn told_value(told: &Told) -> Value {
    json!({"event": told.event.word(), "destination": told.destination, "state": told.state, "at": told.at})
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

/// The wire form of a service's status; `old` gives the transition times of conditions that did not change.
#[must_use]
pub fn wire_app_status(status: &AppStatus, old: &ManagedAppStatus, now: jiff::Timestamp) -> ManagedAppStatus {
    let conditions = status
        .conditions
        .iter()
        .map(|condition| Condition {
            kind: condition.kind.clone(),
            status: if condition.holds { "True" } else { "False" }.to_owned(),
            reason: condition.reason.clone(),
            message: condition.message.clone(),
            last_transition_time: None,
            observed_generation: Some(status.observed_generation),
        })
        .collect();
    ManagedAppStatus {
        observed_generation: Some(status.observed_generation),
        phase: status.phase.word().to_owned(),
        summary: status.summary.clone(),
        target_uid: status.target_uid.clone(),
        current: status.current,
        in_flight: status.in_flight,
        last_release: status.last_release,
        rejected: status
            .rejected
            .iter()
            .map(|rejected| RejectedRelease {
                number: rejected.number,
                template_hash: rejected.template_hash.clone(),
                at: rejected.at,
            })
            .collect(),
        conditions: merge_conditions(&old.conditions, conditions, now),
    }
}
