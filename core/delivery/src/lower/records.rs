//! The records of releases as they are written.

use serde_json::{Map, Value, json};
use trimtab_plan as plan;
use trimtab_plan::{Copied, IfAbsent, IfThere, Kind, Object, Part, Patch, Precondition, Reason, Sealing};

use super::status::{rule_evidence, verdict_word};
use crate::app::App;
use crate::decision::NewRelease;
use crate::names::APP_LABEL;
use crate::objects::record;
use crate::seal::Sealed;
use crate::snapshot::{OutboxEntry, Release, ReleaseStatus, Snapshot};
use trimtab_workload::Target;

/// Where a record and a Deployment keep the pod template.
const TEMPLATE: &str = "/spec/template";
/// Where its status keeps what the rules found.
const RULES: &str = "rules";
/// Where a record keeps its seal.
const SEAL: &str = "/metadata/annotations/trimtab.dev~1seal";

/// Creates the record of a release with the template that the Deployment holds.
pub(super) fn create(snapshot: &Snapshot<'_>, target: &Target, new: &NewRelease) -> plan::Write {
    let app = snapshot.app;
    let object = record(snapshot.app, new.number);
    let mut body = json!({
        "apiVersion": object.kind.api_version(),
        "kind": object.kind.word,
        "metadata": {
            "name": object.name,
            "namespace": app.namespace,
            "labels": {APP_LABEL: app.name},
            "ownerReferences": [{
                "apiVersion": Kind::MANAGED_APP.api_version(),
                "kind": Kind::MANAGED_APP.word,
                "name": app.name,
                "uid": app.uid,
                "controller": true,
            }],
        },
        "spec": {
            "app": app.name,
            "number": new.number,
            "previous": new.previous,
            "templateHash": new.template_hash,
            "targetUid": target.uid,
            "image": image(target),
            "actor": new.actor,
            "reason": new.reason,
        },
    });
    without_nulls(&mut body);
    let copy = Some(template_in_spec(snapshot, target, new.number, &new.template_hash));
    plan::Write::Create { object, body, copy, if_there: IfThere::Fail }
}

/// Fills in the record that a person's command created before the template appeared.
pub(super) fn adopt(
    snapshot: &Snapshot<'_>,
    target: &Target,
    release: &Release,
    previous: Option<u64>,
    template_hash: &str,
) -> plan::Write {
    // What a record says of its image stays.
    let image = image(target).filter(|_| release.image.is_empty());
    let mut body = json!({"spec": {
        "templateHash": template_hash, "targetUid": target.uid, "previous": previous, "image": image,
    }});
    without_nulls(&mut body);
    plan::Write::Patch {
        object: record(snapshot.app, release.number),
        part: Part::Main,
        patch: Patch::Merge(body),
        copy: Some(template_in_spec(snapshot, target, release.number, template_hash)),
        when: Precondition::version(release.version),
        if_absent: IfAbsent::Fail,
    }
}

/// The template goes into a record with the seal that tells it from what others write.
fn template_in_spec(snapshot: &Snapshot<'_>, target: &Target, number: u64, template_hash: &str) -> Copied {
    let App { namespace, name: service, .. } = snapshot.app;
    let about = Sealed { namespace, service, number, target_uid: &target.uid, template_hash };
    Copied {
        from: Object::new(Kind::DEPLOYMENT, namespace, target.name.clone()),
        pointer: TEMPLATE,
        into: TEMPLATE,
        template_hash: template_hash.to_owned(),
        seal: Sealing::Write { about: about.text(), into: SEAL },
    }
}

/// The template that `release` keeps, to be put into a Deployment.
pub(super) fn template_of(snapshot: &Snapshot<'_>, release: &Release) -> Copied {
    let App { namespace, name: service, .. } = snapshot.app;
    let template_hash = release.template_hash.clone().unwrap_or_default();
    let target_uid = release.target_uid.as_deref().unwrap_or_default();
    let about =
        Sealed { namespace, service, number: release.number, target_uid, template_hash: &template_hash };
    // Another record may have come under the name since it was looked at.
    let seal = Sealing::Read { about: about.text(), pointer: SEAL };
    Copied {
        from: record(snapshot.app, release.number),
        pointer: TEMPLATE,
        into: TEMPLATE,
        template_hash,
        seal,
    }
}

fn image(target: &Target) -> Option<&str> {
    Some(target.image.as_str()).filter(|image| !image.is_empty())
}

/// Drops members that are null: the API server would prune or reject them.
fn without_nulls(body: &mut Value) {
    if let Some(spec) = body.get_mut("spec").and_then(Value::as_object_mut) {
        spec.retain(|_, member| !member.is_null());
    }
}

/// Makes a record's status say `after`. What did not change since it was read is left as it is: rows do not keep all of a
/// finished release.
pub(super) fn status(snapshot: &Snapshot<'_>, release: &Release, after: &ReleaseStatus) -> plan::Write {
    status_patch(snapshot, release, &release_status(&release.status, after))
}

/// The fields of a status that are not what they were `before`.
#[must_use]
pub fn release_status(before: &ReleaseStatus, after: &ReleaseStatus) -> Value {
    let (known, mut patch) = (fields(before), fields(after));
    // A record without a status reads as if it had a phase.
    patch.retain(|field, value| field == "phase" || known.get(field) != Some(value));
    if known.contains_key(RULES) && after.findings.is_empty() {
        patch.insert(RULES.to_owned(), Value::Null);
    }
    Value::Object(patch)
}

/// Says how far the messages about `release` got.
#[must_use]
pub fn outbox(snapshot: &Snapshot<'_>, release: &Release, told: &[OutboxEntry]) -> plan::Write {
    let entries: Vec<Value> = told.iter().map(told_value).collect();
    status_patch(snapshot, release, &json!({"notifications": entries}))
}

/// Says what became of one message about `release`, whose place in the outbox holds `before`. It changes nothing else and does
/// not care for what else was written meanwhile, so that nothing delays it; where somebody has said more since, that stands.
#[must_use]
pub fn told(
    snapshot: &Snapshot<'_>,
    release: &Release,
    place: usize,
    before: &OutboxEntry,
    after: &OutboxEntry,
) -> plan::Write {
    let at = |member: &str| format!("/status/notifications/{place}/{member}");
    let mut operations = vec![
        json!({"op": "test", "path": at("event"), "value": before.event.word()}),
        json!({"op": "test", "path": at("destination"), "value": before.destination}),
        json!({"op": "test", "path": at("state"), "value": before.state}),
        json!({"op": "replace", "path": at("state"), "value": after.state}),
    ];
    if before.again > 0 {
        operations.insert(0, json!({"op": "test", "path": at("again"), "value": before.again}));
    }
    let card = after.card.iter().filter(|_| after.card != before.card);
    operations.extend(card.map(|card| json!({"op": "add", "path": at("card"), "value": card})));
    plan::Write::Patch {
        object: record(snapshot.app, release.number),
        part: Part::Status,
        patch: Patch::Json(operations),
        copy: None,
        when: Precondition::uid(release.uid.clone()),
        if_absent: IfAbsent::Done,
    }
}

/// A patch of a record's status, made on the version that was read.
fn status_patch(snapshot: &Snapshot<'_>, release: &Release, status: &Value) -> plan::Write {
    plan::Write::Patch {
        object: record(snapshot.app, release.number),
        part: Part::Status,
        patch: Patch::Merge(json!({"status": status})),
        copy: None,
        when: Precondition::version(release.version),
        if_absent: IfAbsent::Fail,
    }
}

/// Every field of a status that is patched; `null` removes one.
fn fields(status: &ReleaseStatus) -> Map<String, Value> {
    let all = json!({
        "phase": status.phase.word(),
        "summary": status.summary,
        "verdict": status.verdict.map(verdict_word),
        "lowEvidence": status.low_evidence.then_some(true),
        "held": status.held.then_some(true),
        "startedAt": status.started_at.map(|at| at.to_string()),
        "readyAt": status.ready_at.map(|at| at.to_string()),
        "decidedAt": status.decided_at.map(|at| at.to_string()),
        "recoveredAt": status.recovered_at.map(|at| at.to_string()),
        "restores": (status.restores > 0).then_some(status.restores),
        "restored": status.restored,
        "needsHuman": status.needs_human.map(|_| true),
        "needsHumanReason": status.needs_human.map(Reason::code),
        "harmed": status.harmed,
    });
    let mut fields = all.as_object().cloned().unwrap_or_default();
    // Rows of finished releases do not keep them.
    if !status.findings.is_empty() {
        fields.insert(RULES.to_owned(), status.findings.iter().map(rule_evidence).collect());
    }
    if !status.outbox.is_empty() {
        fields.insert("notifications".to_owned(), status.outbox.iter().map(told_value).collect());
    }
    fields
}

fn told_value(told: &OutboxEntry) -> Value {
    let mut value = json!({
        "event": told.event.word(),
        "destination": told.destination,
        "state": told.state,
        "at": told.at.map(|at| at.to_string()),
    });
    if let Some(reason) = told.reason {
        value["reason"] = json!(reason.code());
    }
    if told.again > 0 {
        value["again"] = json!(told.again);
    }
    if let Some(card) = &told.card {
        value["card"] = json!(card);
    }
    value
}
