//! What an update keeps of the object that it replaces.

use serde_json::Value;

use crate::json::{at, object_mut};
use crate::server::Target;

/// Metadata that no update can change.
pub(crate) fn carry_over(old: &Value, new: &mut Value) {
    let metadata = object_mut(new, "metadata");
    for field in [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "generation",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generateName",
    ] {
        match old["metadata"].get(field) {
            Some(value) => metadata.insert(field.to_owned(), value.clone()),
            None => metadata.remove(field),
        };
    }
}

/// A write to a subresource changes that part only, and a write to the object everything else.
pub(crate) fn restrict_to_subresource(target: &Target, old: &Value, new: &mut Value) {
    let kind = &target.kind;
    match target.route.subresource.as_str() {
        "" | "scale" if kind.features.status => copy_field(old, new, "status"),
        "status" => {
            let status = new.get("status").cloned();
            let managed = at(new, "metadata.managedFields").clone();
            let annotations = at(new, "metadata.annotations").clone();
            let finalizers = at(new, "metadata.finalizers").clone();
            *new = old.clone();
            set_field(new, "status", status);
            let metadata = object_mut(new, "metadata");
            set_or_remove(metadata, "managedFields", managed);
            if kind.custom.is_none() {
                set_or_remove(metadata, "annotations", annotations);
                set_or_remove(metadata, "finalizers", finalizers);
            }
        }
        "resize" => crate::subresource::restrict_to_resize(old, new),
        "finalize" => {
            let finalizers = at(new, "spec.finalizers").clone();
            *new = old.clone();
            set_or_remove(object_mut(new, "spec"), "finalizers", finalizers);
        }
        _ => {}
    }
}

fn set_or_remove(object: &mut crate::json::Object, field: &str, value: Value) {
    if value.is_null() {
        object.remove(field);
    } else {
        object.insert(field.to_owned(), value);
    }
}

fn copy_field(from: &Value, to: &mut Value, field: &str) {
    set_field(to, field, from.get(field).cloned());
}

fn set_field(object: &mut Value, field: &str, value: Option<Value>) {
    let object = crate::json::as_object_mut(object);
    match value {
        Some(value) => object.insert(field.to_owned(), value),
        None => object.remove(field),
    };
}

/// The generation counts changes of what the user wants.
pub(crate) fn count_generation(target: &Target, old: &Value, new: &mut Value) {
    let kind = &target.kind;
    if target.route.subresource == "status" {
        return;
    }
    let changed = if kind.custom.is_some() {
        desired_differs(old, new, kind.features.status)
    } else {
        kind.features.generation && desired_differs(old, new, true)
    };
    if changed {
        let generation = at(old, "metadata.generation").as_i64().unwrap_or(0) + 1;
        new["metadata"]["generation"] = generation.into();
    }
}

fn desired_differs(old: &Value, new: &Value, status_is_apart: bool) -> bool {
    let desired = |value: &Value| {
        let mut value = value.clone();
        if let Some(object) = value.as_object_mut() {
            object.remove("metadata");
            object.remove("apiVersion");
            if status_is_apart {
                object.remove("status");
            }
        }
        value
    };
    match (status_is_apart, old.get("spec"), new.get("spec")) {
        (true, Some(old_spec), Some(new_spec)) if old_spec != new_spec => true,
        _ => desired(old) != desired(new),
    }
}
