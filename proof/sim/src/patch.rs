//! The four kinds of patch.

use serde_json::Value;

use crate::decode;
use crate::failure::{Cause, Failure, Subject};
use crate::fields::managers::{self, OnConflict, Operation};
use crate::json::{object_mut, text};
use crate::kinds::Kind;
use crate::present::{convert, to_storage};
use crate::route::Call;
use crate::server::{Answer, Server, Target};
use crate::strategic;
use crate::write::Tracking;

/// Operations of one JSON patch, as in the real server.
const JSON_PATCH_OPERATIONS_MAX: usize = 10_000;

const JSON: &str = "application/json-patch+json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

impl Server<'_> {
    pub(crate) fn patch(&mut self, call: &Call, target: &Target) -> Result<Answer, Failure> {
        let media = call.content_type.split(';').next().unwrap_or_default().trim();
        if media == APPLY {
            return self.apply(call, target);
        }
        let old = self.existing(target)?;
        let presented = convert(&target.kind, &old.value).into_owned();
        let patched = apply_patch(media, &call.body, &presented, &target.kind)?;
        let patched = decode::conform(patched, target)?;
        if text(&patched, "metadata.name") != target.route.name {
            return Err(Failure::bad_request(format!(
                "the name of the object ({}) does not match the name on the URL ({})",
                text(&patched, "metadata.name"),
                target.route.name
            )));
        }
        let tracking = Tracking::Record(self.writer(call, target, Operation::Update));
        let patched = to_storage(&target.kind, &self.stored_api_version(target), patched);
        self.update_object(call, target, &old, patched, &tracking)
    }

    /// Server-side apply, which creates what does not exist.
    fn apply(&mut self, call: &Call, target: &Target) -> Result<Answer, Failure> {
        let mut configuration = decode::yaml(&call.body)?;
        if text(&configuration, "apiVersion").is_empty() || text(&configuration, "kind").is_empty() {
            return Err(Failure::bad_request("Object 'Kind' is missing in applied configuration"));
        }
        if call.parameter("fieldManager").is_empty() {
            let subject = Subject { group: "meta.k8s.io", plural: "", kind: "PatchOptions" };
            let cause = Cause::required("fieldManager", "is required for apply patch");
            return Err(Failure::invalid(&subject, "", &[cause]));
        }
        let managed = configuration.get("metadata").and_then(|metadata| metadata.get("managedFields"));
        if managed.is_some_and(|managed| !managed.is_null()) {
            return Err(Failure::bad_request("metadata.managedFields must be nil"));
        }
        configuration = decode::conform(configuration, target)?;
        let named = text(&configuration, "metadata.name").to_owned();
        if !named.is_empty() && named != target.route.name {
            return Err(Failure::bad_request(format!(
                "the name of the object ({named}) does not match the name on the URL ({})",
                target.route.name
            )));
        }
        restrict_configuration(target, &mut configuration);
        let writer = self.writer(call, target, Operation::Apply);
        let on_conflict = if call.flag("force") { OnConflict::Take } else { OnConflict::Refuse };
        let live = self.state.store.get(&target.kind.storage, &target.key()).cloned();
        let Some(live) = live else {
            if !target.route.subresource.is_empty() {
                return Err(Failure::not_found(&target.kind.subject(), &target.route.name));
            }
            if !text(&configuration, "metadata.uid").is_empty() {
                let why = "uid mismatch: the provided object specified uid, and no existing object was found";
                return Err(Failure::conflict(&target.kind.subject(), &target.route.name, why));
            }
            let empty = serde_json::json!({
                "apiVersion": target.kind.api_version(), "kind": target.kind.kind,
                "metadata": {"name": target.route.name, "namespace": target.route.namespace},
            });
            let object = managers::apply(&empty, &configuration, &target.kind, &writer, OnConflict::Take)?;
            return self.create_object(call, target, object, &Tracking::Settled);
        };
        let presented = convert(&target.kind, &live.value).into_owned();
        let mut object = managers::apply(&presented, &configuration, &target.kind, &writer, on_conflict)?;
        carry_precondition(&configuration, &mut object);
        let object = to_storage(&target.kind, &self.stored_api_version(target), object);
        self.update_object(call, target, &live, object, &Tracking::Settled)
    }
}

/// A revision or uid in the applied configuration is a precondition.
fn carry_precondition(configuration: &Value, object: &mut Value) {
    for field in ["resourceVersion", "uid"] {
        if let Some(value) = configuration["metadata"].get(field) {
            object_mut(object, "metadata").insert(field.to_owned(), value.clone());
        }
    }
}

/// Fields that this endpoint does not write are not applied by it either.
fn restrict_configuration(target: &Target, configuration: &mut Value) {
    let Some(fields) = configuration.as_object_mut() else { return };
    match target.route.subresource.as_str() {
        "" if target.kind.features.status => {
            fields.remove("status");
        }
        "status" => {
            fields.retain(|name, _| matches!(name.as_str(), "apiVersion" | "kind" | "metadata" | "status"));
        }
        _ => {}
    }
}

/// Applies a JSON, merge or strategic merge patch to an object.
pub(crate) fn apply_patch(media: &str, body: &[u8], object: &Value, kind: &Kind) -> Result<Value, Failure> {
    match media {
        JSON => json_patch(body, object),
        MERGE => {
            let patch = patch_object(body)?;
            let mut merged = object.clone();
            json_patch::merge(&mut merged, &patch);
            Ok(merged)
        }
        STRATEGIC if kind.custom.is_none() => {
            let patch = patch_object(body)?;
            strategic::merge(object, &patch, kind)
        }
        _ => Err(Failure::unsupported_media(if kind.custom.is_some() {
            &[JSON, MERGE, APPLY]
        } else {
            &[JSON, MERGE, STRATEGIC, APPLY]
        })),
    }
}

fn patch_object(body: &[u8]) -> Result<Value, Failure> {
    let patch: Value = serde_json::from_slice(body)
        .map_err(|error| Failure::bad_request(format!("error decoding patch: {error}")))?;
    if patch.is_object() {
        Ok(patch)
    } else {
        Err(Failure::bad_request("error decoding patch: json: cannot unmarshal into a map"))
    }
}

fn json_patch(body: &[u8], object: &Value) -> Result<Value, Failure> {
    let patch: json_patch::Patch = serde_json::from_slice(body)
        .map_err(|error| Failure::bad_request(format!("error decoding patch: {error}")))?;
    if patch.0.len() > JSON_PATCH_OPERATIONS_MAX {
        return Err(Failure::too_large(JSON_PATCH_OPERATIONS_MAX));
    }
    let mut patched = object.clone();
    json_patch::patch(&mut patched, &patch.0).map_err(|_| Failure::unprocessable_patch())?;
    Ok(patched)
}
