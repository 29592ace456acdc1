//! Every write of a Deployment is one patch of one shape: the claim, and with it the template and the pause where a plan
//! says so.

use serde_json::{Value, json};
use trimtab_plan as plan;
use trimtab_plan::{Copied, IfAbsent, Kind, Object, Part, Patch, Precondition, escaped};

use trimtab_workload::{AdmissionHold, Target};

use crate::names::{CLAIM_ANNOTATION, INSTANCE_ANNOTATION, MANAGER, RELEASE_ANNOTATION, claim_text};
use crate::snapshot::Snapshot;

/// What is written.
#[derive(Clone, Debug)]
pub struct Change {
    /// The claim annotation to set; `None` lets go of the Deployment.
    pub claim: Option<String>,
    /// Where the template to put back is read.
    pub restore: Option<Copied>,
    /// Whether a pause, if there is one, is lifted.
    pub unpause: bool,
}

pub(super) fn change(snapshot: &Snapshot<'_>, target: &Target, change: &Change) -> plan::Write {
    patch(&snapshot.app.namespace, target, snapshot.app.instance.as_deref(), change)
}

/// Puts a template back on a Deployment that is to be let go of, or leaves the one in its spec where there is none to copy,
/// and lifts admission's pause. The claim stays until the fields are given back.
#[must_use]
pub fn put_back(namespace: &str, target: &Target, restore: Option<Copied>) -> plan::Write {
    let claim = Some(claim_text(AdmissionHold::HoldChanges, &target.held_images));
    patch(namespace, target, target.instance.as_deref(), &Change { claim, restore, unpause: true })
}

/// Removes the claim from a Deployment, and nothing else.
#[must_use]
pub fn freed(namespace: &str, target: &Target) -> plan::Write {
    patch(namespace, target, None, &Change { claim: None, restore: None, unpause: false })
}

/// Gives up what our field manager owns of a Deployment's spec. The values stay: whoever applies them next owns them.
#[must_use]
pub fn returned(namespace: &str, target: &Target) -> plan::Write {
    plan::Write::ReturnFields {
        object: Object::new(Kind::DEPLOYMENT, namespace, target.name.clone()),
        manager: MANAGER,
        when: Precondition { generation: Some(target.generation), ..Precondition::uid(target.uid.clone()) },
    }
}

/// The patch of a claim of `instance`, which fails when anybody changed the spec since the Deployment was read. Its status is
/// written several times a second while pods come and go, so the generation is looked at and not the version.
fn patch(namespace: &str, target: &Target, instance: Option<&str>, change: &Change) -> plan::Write {
    let mut when =
        Precondition { generation: Some(target.generation), ..Precondition::uid(target.uid.clone()) };
    let mut operations = Vec::new();
    match &change.claim {
        Some(claim) if target.has_annotations => {
            operations.push(json!({"op": "add", "path": annotation(CLAIM_ANNOTATION), "value": claim}));
            operations.extend(owner(target, instance));
        }
        // Seldom: one that was created paused, which the Deployment controller has not given a revision. Annotations do not
        // count as a generation, so the version is looked at, lest somebody's be lost.
        Some(claim) => {
            when.version = Some(target.version);
            let all = match instance {
                Some(instance) => json!({CLAIM_ANNOTATION: claim, INSTANCE_ANNOTATION: instance}),
                None => json!({CLAIM_ANNOTATION: claim}),
            };
            operations.push(json!({"op": "add", "path": "/metadata/annotations", "value": all}));
        }
        None => {
            let ours = [
                (CLAIM_ANNOTATION, target.hold.is_some()),
                (INSTANCE_ANNOTATION, target.instance.is_some()),
                (RELEASE_ANNOTATION, target.has_release_annotation),
            ];
            let there = ours.into_iter().filter(|(_, there)| *there);
            operations.extend(there.map(|(name, _)| json!({"op": "remove", "path": annotation(name)})));
        }
    }
    if change.restore.is_some() {
        operations.push(json!({"op": "replace", "path": "/spec/template", "value": Value::Null}));
    }
    if change.unpause && target.paused {
        operations.push(json!({"op": "remove", "path": "/spec/paused"}));
    }
    plan::Write::Patch {
        object: Object::new(Kind::DEPLOYMENT, namespace, target.name.clone()),
        part: Part::Main,
        patch: Patch::Json(operations),
        copy: change.restore.clone(),
        when,
        if_absent: IfAbsent::Fail,
    }
}

/// What has the claim say that it is `instance`'s, where it does not say so.
fn owner(target: &Target, instance: Option<&str>) -> Option<Value> {
    if target.instance.as_deref() == instance {
        return None;
    }
    let path = annotation(INSTANCE_ANNOTATION);
    Some(match instance {
        Some(id) => json!({"op": "add", "path": path, "value": id}),
        None => json!({"op": "remove", "path": path}),
    })
}

/// The JSON pointer of an annotation.
fn annotation(name: &str) -> String {
    format!("/metadata/annotations/{}", escaped(name))
}
