//! Merging an applied configuration into the live object, and taking away what it no longer applies.

use serde_json::Value;

use super::schema::{ListType, Node};
use super::set::{FieldSet, item_element};

/// The live object with the configuration's fields written over it.
pub(crate) fn merge(live: &Value, configuration: &Value, node: Node<'_>, depth: usize) -> Value {
    match (live, configuration) {
        (Value::Object(live), Value::Object(wanted)) if !node.is_atomic_map() => {
            let mut merged = live.clone();
            for (name, value) in wanted {
                let inner = match live.get(name) {
                    Some(present) => merge(present, value, node.field(name, depth), depth + 1),
                    None => value.clone(),
                };
                merged.insert(name.clone(), inner);
            }
            Value::Object(merged)
        }
        (Value::Array(live), Value::Array(wanted)) => {
            merge_lists(live, wanted, node, depth).unwrap_or_else(|| configuration.clone())
        }
        _ => configuration.clone(),
    }
}

/// Items keep their live order; the order of the configuration decides where it can.
fn merge_lists(live: &[Value], wanted: &[Value], node: Node<'_>, depth: usize) -> Option<Value> {
    let list = node.list_type();
    if list == ListType::Atomic {
        return None;
    }
    let elements = |items: &[Value]| -> Option<Vec<String>> {
        items.iter().map(|item| item_element(&list, item)).collect()
    };
    let (live_elements, wanted_elements) = (elements(live)?, elements(wanted)?);
    let mut merged = Vec::with_capacity(live.len() + wanted.len());
    let mut next_live = 0;
    for (element, item) in wanted_elements.iter().zip(wanted) {
        let position = live_elements.iter().position(|other| other == element);
        if let Some(position) = position {
            // Live items that the configuration does not name stay in front of the next one that it does.
            while next_live < position {
                if !wanted_elements.contains(&live_elements[next_live]) {
                    merged.push(live[next_live].clone());
                }
                next_live += 1;
            }
            next_live = next_live.max(position + 1);
            merged.push(merge(&live[position], item, node.items(), depth + 1));
        } else {
            merged.push(item.clone());
        }
    }
    for index in next_live..live.len() {
        if !wanted_elements.contains(&live_elements[index]) {
            merged.push(live[index].clone());
        }
    }
    Some(Value::Array(merged))
}

/// Removes the fields of `gone`; containers in it go only when `kept` has nothing within them.
pub(crate) fn remove(value: &mut Value, gone: &FieldSet, kept: &FieldSet, node: Node<'_>, depth: usize) {
    match value {
        Value::Object(object) => {
            let names: Vec<String> = object.keys().cloned().collect();
            for name in names {
                let element = format!("f:{name}");
                let Some(lost) = gone.children.get(&element) else { continue };
                let owned = kept.children.get(&element).cloned().unwrap_or_default();
                if lost.member && owned.is_empty() {
                    object.remove(&name);
                } else if let Some(inner) = object.get_mut(&name) {
                    remove(inner, lost, &owned, node.field(&name, depth), depth + 1);
                    let emptied = inner.as_object().is_some_and(serde_json::Map::is_empty)
                        || inner.as_array().is_some_and(Vec::is_empty);
                    if emptied && owned.is_empty() {
                        object.remove(&name);
                    }
                }
            }
        }
        Value::Array(items) => {
            let list = node.list_type();
            items.retain_mut(|item| {
                let Some(element) = item_element(&list, item) else { return true };
                let Some(lost) = gone.children.get(&element) else { return true };
                let owned = kept.children.get(&element).cloned().unwrap_or_default();
                if lost.member && owned.is_empty() {
                    return false;
                }
                remove(item, lost, &owned, node.items(), depth + 1);
                true
            });
        }
        _ => {}
    }
}
