//! Strategic merge patch for built-in kinds.

use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::kinds::Kind;

const DIRECTIVE: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const DELETE_PRIMITIVES: &str = "$deleteFromPrimitiveList/";
const SET_ORDER: &str = "$setElementOrder/";

/// The field that tells the items of a list apart, or how else the list is patched.
enum ListRule {
    MergeBy(&'static str),
    MergePrimitives,
    Replace,
}

fn list_rule(kind: &Kind, parent: &str, name: &str) -> ListRule {
    let key = match (parent, name) {
        (_, "containers" | "initContainers" | "ephemeralContainers" | "imagePullSecrets" | "volumes") => {
            "name"
        }
        ("containers" | "initContainers" | "ephemeralContainers", "env") => "name",
        ("containers" | "initContainers" | "ephemeralContainers", "ports") => "containerPort",
        ("containers" | "initContainers" | "ephemeralContainers", "volumeMounts") => "mountPath",
        ("containers" | "initContainers" | "ephemeralContainers", "volumeDevices") => "devicePath",
        ("spec", "ports") if kind.kind == "Service" => "port",
        ("spec", "hostAliases") => "ip",
        ("spec", "topologySpreadConstraints") => "topologyKey",
        ("spec", "schedulingGates" | "resourceClaims" | "variables" | "matchConditions") => "name",
        ("status", "conditions") => "type",
        ("status", "podIPs" | "hostIPs") => "ip",
        ("status", "addresses") => "type",
        ("spec", "taints") => "key",
        ("metadata", "ownerReferences") => "uid",
        ("", "webhooks" | "secrets") => "name",
        ("metadata", "finalizers") | ("spec", "podCIDRs") => return ListRule::MergePrimitives,
        _ => return ListRule::Replace,
    };
    ListRule::MergeBy(key)
}

/// The object with the patch applied.
pub(crate) fn merge(object: &Value, patch: &Value, kind: &Kind) -> Result<Value, Failure> {
    merge_value(object, patch, kind, "", "")
}

fn merge_value(
    object: &Value,
    patch: &Value,
    kind: &Kind,
    parent: &str,
    name: &str,
) -> Result<Value, Failure> {
    match (object, patch) {
        (Value::Object(object), Value::Object(patch)) => merge_object(object, patch, kind, name),
        (_, Value::Object(patch)) => merge_object(&Map::new(), patch, kind, name),
        (Value::Array(items), Value::Array(patches)) => match list_rule(kind, parent, name) {
            ListRule::MergeBy(key) => merge_list(items, patches, key, kind, name),
            ListRule::MergePrimitives => {
                let mut merged = items.clone();
                merged.extend(patches.iter().filter(|one| !items.contains(one)).cloned());
                Ok(Value::Array(merged))
            }
            ListRule::Replace => Ok(Value::Array(patches.clone())),
        },
        (_, Value::Array(patches)) => match list_rule(kind, parent, name) {
            ListRule::MergeBy(key) => merge_list(&[], patches, key, kind, name),
            _ => Ok(patch.clone()),
        },
        _ => Ok(patch.clone()),
    }
}

fn merge_object(
    object: &Map<String, Value>,
    patch: &Map<String, Value>,
    kind: &Kind,
    name: &str,
) -> Result<Value, Failure> {
    match patch.get(DIRECTIVE).and_then(Value::as_str) {
        Some("replace") => {
            let mut replaced = patch.clone();
            replaced.remove(DIRECTIVE);
            return Ok(Value::Object(replaced));
        }
        Some("delete") => return Ok(Value::Object(Map::new())),
        Some("merge") | None => {}
        Some(other) => {
            return Err(Failure::bad_request(format!("Unknown patch type found: {other}")));
        }
    }
    let mut merged = object.clone();
    if let Some(keep) = patch.get(RETAIN).and_then(Value::as_array) {
        merged.retain(|field, _| keep.iter().any(|kept| kept.as_str() == Some(field)));
    }
    for (field, value) in patch {
        if let Some(list) = field.strip_prefix(DELETE_PRIMITIVES) {
            if let (Some(Value::Array(items)), Some(gone)) = (merged.get_mut(list), value.as_array()) {
                items.retain(|item| !gone.contains(item));
            }
        } else if field == DIRECTIVE || field == RETAIN || field.starts_with(SET_ORDER) {
            continue;
        } else if value.is_null() {
            merged.remove(field);
        } else {
            let present = merged.get(field).unwrap_or(&Value::Null);
            let inner = merge_value(present, value, kind, name, field)?;
            merged.insert(field.clone(), inner);
        }
    }
    for (field, order) in patch {
        if let Some(list) = field.strip_prefix(SET_ORDER)
            && let (Some(Value::Array(items)), Some(order)) = (merged.get_mut(list), order.as_array())
        {
            reorder(items, order, &list_rule(kind, name, list));
        }
    }
    Ok(Value::Object(merged))
}

fn merge_list(
    items: &[Value],
    patches: &[Value],
    key: &str,
    kind: &Kind,
    name: &str,
) -> Result<Value, Failure> {
    let replaces = patches.iter().any(|patch| {
        patch.get(DIRECTIVE).and_then(Value::as_str) == Some("replace") && patch.get(key).is_none()
    });
    let mut merged: Vec<Value> = if replaces { Vec::new() } else { items.to_vec() };
    for patch in patches {
        let Some(identity) = patch.get(key) else {
            if patch.get(DIRECTIVE).is_some() {
                continue;
            }
            return Err(Failure::bad_request(format!(
                "map: {patch} does not contain declared merge key: {key}"
            )));
        };
        let position = merged.iter().position(|item| item.get(key) == Some(identity));
        if patch.get(DIRECTIVE).and_then(Value::as_str) == Some("delete") {
            if let Some(position) = position {
                merged.remove(position);
            }
            continue;
        }
        match position {
            Some(position) => merged[position] = merge_value(&merged[position], patch, kind, name, name)?,
            None => merged.push(merge_value(&Value::Null, patch, kind, name, name)?),
        }
    }
    Ok(Value::Array(merged))
}

/// Items named by the order come in that order, at the places that such items had.
fn reorder(items: &mut [Value], order: &[Value], rule: &ListRule) {
    let rank = |item: &Value| match rule {
        ListRule::MergeBy(key) => {
            order.iter().position(|wanted| wanted.get(key).is_some() && wanted.get(key) == item.get(key))
        }
        _ => order.iter().position(|wanted| wanted == item),
    };
    let places: Vec<usize> = (0..items.len()).filter(|index| rank(&items[*index]).is_some()).collect();
    let mut named: Vec<Value> = places.iter().map(|index| items[*index].clone()).collect();
    named.sort_by_key(rank);
    for (place, item) in places.into_iter().zip(named) {
        items[place] = item;
    }
}
