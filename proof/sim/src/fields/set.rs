//! Sets of field paths and their `FieldsV1` form.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::schema::{ListType, Node};
use crate::json::canonical;

/// A set of paths as a tree: an element of a path, and whether the path that ends here is a member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSet {
    pub(crate) member: bool,
    /// Keyed by the serialised path element: `f:name`, `k:{"name":"x"}`, `v:"x"`.
    pub(crate) children: BTreeMap<String, FieldSet>,
}

impl FieldSet {
    pub(crate) fn leaf() -> Self {
        FieldSet { member: true, children: BTreeMap::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.member && self.children.is_empty()
    }

    pub(crate) fn from_wire(fields: &Value) -> Self {
        let mut set = FieldSet::default();
        for (element, inner) in fields.as_object().into_iter().flatten() {
            if element == "." {
                set.member = true;
                continue;
            }
            let mut child = FieldSet::from_wire(inner);
            if inner.as_object().is_none_or(Map::is_empty) {
                child.member = true;
            }
            set.children.insert(element.clone(), child);
        }
        set
    }

    pub(crate) fn to_wire(&self) -> Value {
        let mut fields = Map::new();
        if self.member && !self.children.is_empty() {
            fields.insert(".".to_owned(), Value::Object(Map::new()));
        }
        for (element, child) in &self.children {
            fields.insert(element.clone(), child.to_wire());
        }
        Value::Object(fields)
    }

    pub(crate) fn union(&self, other: &FieldSet) -> FieldSet {
        let mut result = self.clone();
        result.member |= other.member;
        for (element, child) in &other.children {
            let merged = match result.children.get(element) {
                Some(mine) => mine.union(child),
                None => child.clone(),
            };
            result.children.insert(element.clone(), merged);
        }
        result
    }

    pub(crate) fn difference(&self, other: &FieldSet) -> FieldSet {
        let mut result = FieldSet { member: self.member && !other.member, children: BTreeMap::new() };
        for (element, child) in &self.children {
            let left = match other.children.get(element) {
                Some(theirs) => child.difference(theirs),
                None => child.clone(),
            };
            if !left.is_empty() {
                result.children.insert(element.clone(), left);
            }
        }
        result
    }

    /// As [`difference`](Self::difference), and everything beneath a member of `other` goes too.
    pub(crate) fn recursive_difference(&self, other: &FieldSet) -> FieldSet {
        if other.member && other.children.is_empty() {
            return FieldSet::default();
        }
        let mut result = FieldSet { member: self.member && !other.member, children: BTreeMap::new() };
        for (element, child) in &self.children {
            let left = match other.children.get(element) {
                Some(theirs) => child.recursive_difference(theirs),
                None => child.clone(),
            };
            if !left.is_empty() {
                result.children.insert(element.clone(), left);
            }
        }
        result
    }

    pub(crate) fn intersection(&self, other: &FieldSet) -> FieldSet {
        let mut result = FieldSet { member: self.member && other.member, children: BTreeMap::new() };
        for (element, child) in &self.children {
            if let Some(theirs) = other.children.get(element) {
                let common = child.intersection(theirs);
                if !common.is_empty() {
                    result.children.insert(element.clone(), common);
                }
            }
        }
        result
    }

    /// Members in the notation of conflict messages, such as `.spec.containers[name="app"].image`.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect_paths("", &mut paths);
        paths
    }

    fn collect_paths(&self, prefix: &str, paths: &mut Vec<String>) {
        if self.member {
            paths.push(prefix.to_owned());
        }
        for (element, child) in &self.children {
            child.collect_paths(&format!("{prefix}{}", element_text(element)), paths);
        }
    }
}

fn element_text(element: &str) -> String {
    let (kind, rest) = element.split_once(':').unwrap_or(("f", element));
    match kind {
        "f" => format!(".{rest}"),
        "k" => {
            let keys: Value = serde_json::from_str(rest).unwrap_or_default();
            let parts: Vec<String> = keys
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            format!("[{}]", parts.join(","))
        }
        "v" => format!("[={rest}]"),
        _ => format!("[{rest}]"),
    }
}

/// The path element of an item in a list, if the list tells its items apart.
pub(crate) fn item_element(list: &ListType<'_>, item: &Value) -> Option<String> {
    match list {
        ListType::Atomic => None,
        ListType::Set => Some(format!("v:{}", canonical(item))),
        ListType::Map(keys) => {
            let mut found = Map::new();
            for key in keys {
                match item.get(key) {
                    Some(value) => found.insert((*key).to_owned(), value.clone()),
                    None if *key == "protocol" => found.insert((*key).to_owned(), "TCP".into()),
                    None => continue,
                };
            }
            if found.is_empty() { None } else { Some(format!("k:{}", canonical(&Value::Object(found)))) }
        }
    }
}

/// Every field that an applied configuration names.
pub(crate) fn of_configuration(value: &Value, node: Node<'_>, depth: usize) -> FieldSet {
    match value {
        Value::Object(object) if !object.is_empty() && !node.is_atomic_map() => {
            let mut set = FieldSet::default();
            for (name, inner) in object {
                let child = of_configuration(inner, node.field(name, depth), depth + 1);
                set.children.insert(format!("f:{name}"), child);
            }
            set
        }
        Value::Array(items) if !items.is_empty() && node.list_type() != ListType::Atomic => {
            let list = node.list_type();
            let mut set = FieldSet::default();
            for item in items {
                let Some(element) = item_element(&list, item) else { return FieldSet::leaf() };
                let mut child = of_configuration(item, node.items(), depth + 1);
                child.member = true;
                set.children.insert(element, child);
            }
            set
        }
        _ => FieldSet::leaf(),
    }
}
