//! Reading foreign objects, which stay raw JSON. A field that is missing or of the wrong type reads as its zero value:
//! the API server is the judge of what is valid, a model only has to survive it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use trimtab_kube::Key;

/// Labels or annotations.
pub(crate) type Labels = BTreeMap<String, String>;

/// The text at `pointer`; empty if there is none.
pub(crate) fn text<'v>(object: &'v Value, pointer: &str) -> &'v str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The integer at `pointer`, if there is one.
pub(crate) fn integer(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer).and_then(Value::as_i64)
}

/// The count at `pointer`; `default` if there is none or it is negative.
pub(crate) fn count(object: &Value, pointer: &str, default: u32) -> u32 {
    integer(object, pointer).and_then(|number| u32::try_from(number).ok()).unwrap_or(default)
}

/// The instant at `pointer`, if there is one.
pub(crate) fn instant(object: &Value, pointer: &str) -> Option<Timestamp> {
    object.pointer(pointer)?.as_str()?.parse().ok()
}

/// The list at `pointer`; empty if there is none.
pub(crate) fn list<'v>(object: &'v Value, pointer: &str) -> &'v [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The map of texts at `pointer`: labels, annotations, a selector's `matchLabels`.
pub(crate) fn labels(object: &Value, pointer: &str) -> Labels {
    let entries = object.pointer(pointer).and_then(Value::as_object).into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// Namespace and name.
pub(crate) fn key(object: &Value) -> Key {
    Key::new(text(object, "/metadata/namespace"), text(object, "/metadata/name"))
}

/// The uid.
pub(crate) fn uid(object: &Value) -> Arc<str> {
    text(object, "/metadata/uid").into()
}

/// The owner reference with `controller: true`.
pub(crate) fn controller(object: &Value) -> Option<&Value> {
    list(object, "/metadata/ownerReferences").iter().find(|owner| owner["controller"] == json!(true))
}

/// The uid of the controller; empty for an orphan.
pub(crate) fn controller_uid(object: &Value) -> Arc<str> {
    controller(object).map_or("", |owner| text(owner, "/uid")).into()
}

/// Whether the object waits for its finalizers or its grace period.
pub(crate) fn is_being_deleted(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some_and(|stamp| !stamp.is_null())
}

/// How often the spec was changed; 0 where nobody counts.
pub(crate) fn generation(object: &Value) -> i64 {
    integer(object, "/metadata/generation").unwrap_or(0)
}

/// The resource version as the number that current API servers promise it to be; 0 if it is not one.
pub(crate) fn resource_version(object: &Value) -> u64 {
    text(object, "/metadata/resourceVersion").parse().unwrap_or(0)
}

/// An instant as Kubernetes writes it: whole seconds.
pub(crate) fn stamp(instant: Timestamp) -> Value {
    let seconds =
        Timestamp::from_second(instant.as_second()).expect("the seconds of an instant are in range");
    json!(seconds.to_string())
}

/// A label selector of the built-in workload kinds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LabelSelector {
    equal: Labels,
    expressions: Vec<Expression>,
}

#[derive(Debug, Clone, PartialEq)]
struct Expression {
    key: String,
    operator: String,
    values: Vec<String>,
}

impl LabelSelector {
    /// Reads `matchLabels` and `matchExpressions`.
    pub(crate) fn read(selector: &Value) -> Self {
        let expressions = list(selector, "/matchExpressions").iter().map(|expression| Expression {
            key: text(expression, "/key").to_owned(),
            operator: text(expression, "/operator").to_owned(),
            values: list(expression, "/values").iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        });
        LabelSelector { equal: labels(selector, "/matchLabels"), expressions: expressions.collect() }
    }

    /// A selector by equality only, as a Service has it.
    pub(crate) fn equal(labels: Labels) -> Self {
        LabelSelector { equal: labels, expressions: Vec::new() }
    }

    /// Whether it says nothing. What that selects differs between kinds.
    pub(crate) fn is_empty(&self) -> bool {
        self.equal.is_empty() && self.expressions.is_empty()
    }

    /// The pairs that every selected object carries.
    pub(crate) fn pairs(&self) -> &Labels {
        &self.equal
    }

    /// Whether an object with these labels is selected.
    pub(crate) fn selects(&self, labels: &Labels) -> bool {
        self.equal.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.expressions.iter().all(|expression| expression.holds(labels))
    }
}

impl Expression {
    fn holds(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        let listed = || value.is_some_and(|value| self.values.contains(value));
        match self.operator.as_str() {
            "In" => listed(),
            "NotIn" => !listed(),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_select() {
        let check = |selector: Value, pairs: Value, expect: bool| {
            let found = LabelSelector::read(&selector).selects(&labels(&pairs, ""));
            assert_eq!(found, expect, "{selector} on {pairs}");
        };
        let expression = |operator: &str, values: Value| json!({"matchExpressions": [{"key": "tier", "operator": operator, "values": values}]});
        check(json!({}), json!({"app": "a"}), true);
        check(json!({"matchLabels": {"app": "a"}}), json!({"app": "a", "x": "y"}), true);
        check(json!({"matchLabels": {"app": "a"}}), json!({"app": "b"}), false);
        check(expression("In", json!(["1", "2"])), json!({"tier": "2"}), true);
        check(expression("In", json!(["1", "2"])), json!({}), false);
        check(expression("NotIn", json!(["1"])), json!({}), true);
        check(expression("NotIn", json!(["1"])), json!({"tier": "1"}), false);
        check(expression("Exists", json!([])), json!({"tier": ""}), true);
        check(expression("DoesNotExist", json!([])), json!({"tier": ""}), false);
        check(expression("Sideways", json!([])), json!({"tier": ""}), false);
    }

    #[test]
    fn missing_and_wrong_fields_read_as_nothing() {
        let object = json!({"spec": {"replicas": -1, "name": 7}});
        assert_eq!(count(&object, "/spec/replicas", 1), 1);
        assert_eq!(text(&object, "/spec/name"), "");
        assert_eq!(controller_uid(&object).as_ref(), "");
        assert!(!is_being_deleted(&json!({"metadata": {"deletionTimestamp": null}})));
        assert_eq!(instant(&json!({"at": "yesterday"}), "/at"), None);
    }
}
