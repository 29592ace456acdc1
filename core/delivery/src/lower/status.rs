//! The status of a service as it is written, and the words and numbers in it.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use trimtab_plan as plan;
use trimtab_plan::{Condition, IfAbsent, Part, Patch, Precondition};
use trimtab_stats::Verdict;

use crate::app::{App, AppStatus};
use crate::objects;
use crate::snapshot::Snapshot;
use trimtab_judge::finding::Finding;

/// Applies the service's status, if it is not what it should be.
pub(super) fn of_service(snapshot: &Snapshot<'_>, status: &AppStatus) -> Option<plan::Write> {
    (*status != snapshot.app.status).then(|| apply(snapshot, status, IfAbsent::Done))
}

/// Writes nothing new of the service, and ends the plan there where the service is no longer as it was seen.
pub(super) fn unchanged(snapshot: &Snapshot<'_>) -> plan::Write {
    apply(snapshot, &snapshot.app.status, IfAbsent::Fail)
}

fn apply(snapshot: &Snapshot<'_>, status: &AppStatus, if_absent: IfAbsent) -> plan::Write {
    let app = snapshot.app;
    let object = objects::service(app);
    let body = json!({
        "apiVersion": object.kind.api_version(),
        "kind": object.kind.word,
        "metadata": {"name": app.name, "namespace": app.namespace},
        "status": service_status(app, status, snapshot.recorded_at()),
    });
    plan::Write::Patch {
        object,
        part: Part::Status,
        patch: Patch::Apply(body),
        copy: None,
        when: Precondition { uid: None, version: Some(app.version), generation: None },
        if_absent,
    }
}

/// The status of `app` as it is applied: what is left out is removed.
#[must_use]
pub fn service_status(app: &App, status: &AppStatus, now: Timestamp) -> Value {
    let rejected: Vec<Value> = status
        .rejected
        .iter()
        .map(|rejected| {
            let at = rejected.at.map(|at| at.to_string());
            present(json!({"number": rejected.number, "templateHash": rejected.template_hash, "at": at}))
        })
        .collect();
    let written = |of: &Condition| of.written(&app.transitions, status.observed_generation, now);
    let conditions: Vec<Value> = status.conditions.iter().map(written).collect();
    present(json!({
        "observedGeneration": status.observed_generation,
        "phase": status.phase.word(),
        "summary": status.summary,
        "targetUid": status.target_uid,
        "current": status.current,
        "inFlight": status.in_flight,
        "lastRelease": status.last_release,
        "rejected": (!rejected.is_empty()).then_some(rejected),
        "conditions": (!conditions.is_empty()).then_some(conditions),
    }))
}

/// Without the members that are null.
fn present(mut value: Value) -> Value {
    if let Some(members) = value.as_object_mut() {
        members.retain(|_, member| !member.is_null());
    }
    value
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

/// Ratios from here on are all the same to a person, and read back as open.
pub const RATIO_MAX: f64 = 1e6;

/// What one rule found, as a record keeps it.
pub(super) fn rule_evidence(finding: &Finding) -> Value {
    let rounded = |value: f64| (value * 1000.0).round() / 1000.0;
    let mut object = Map::new();
    let mut set = |key: &str, value: Value| object.insert(key.to_owned(), value);
    set("name", json!(finding.rule));
    set("verdict", json!(verdict_word(finding.verdict)));
    set("summary", json!(finding.summary));
    if let Some(reason) = finding.state.reason() {
        set("reason", json!(reason.code()));
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
