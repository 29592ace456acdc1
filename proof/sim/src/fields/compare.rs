//! What changed between two states of an object, as field sets.

use std::collections::BTreeMap;

use serde_json::Value;

use super::schema::{ListType, Node};
use super::set::{FieldSet, item_element};

/// Fields that differ between two states.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Comparison {
    pub(crate) added: FieldSet,
    pub(crate) modified: FieldSet,
    pub(crate) removed: FieldSet,
}

impl Comparison {
    /// Fields whose value was written.
    pub(crate) fn written(&self) -> FieldSet {
        self.added.union(&self.modified)
    }
}

/// Compares two states of an object of this schema.
pub(crate) fn compare(old: &Value, new: &Value, node: Node<'_>) -> Comparison {
    values(Some(old), Some(new), node, 0)
}

fn values(old: Option<&Value>, new: Option<&Value>, node: Node<'_>, depth: usize) -> Comparison {
    match (old, new) {
        (None, None) => Comparison::default(),
        (None, Some(new)) => Comparison { added: everything(new, node, depth), ..Comparison::default() },
        (Some(old), None) => Comparison { removed: everything(old, node, depth), ..Comparison::default() },
        (Some(old), Some(new)) if old == new => Comparison::default(),
        (Some(Value::Object(old)), Some(Value::Object(new))) if !node.is_atomic_map() => {
            let mut all = Comparison::default();
            let names = old.keys().chain(new.keys().filter(|name| !old.contains_key(*name)));
            for name in names {
                let inner = values(old.get(name), new.get(name), node.field(name, depth), depth + 1);
                insert(&mut all, &format!("f:{name}"), inner);
            }
            all
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) if node.list_type() != ListType::Atomic => {
            lists(old, new, node, depth).unwrap_or_else(leaf_modified)
        }
        _ => leaf_modified(),
    }
}

fn leaf_modified() -> Comparison {
    Comparison { modified: FieldSet::leaf(), ..Comparison::default() }
}

fn lists(old: &[Value], new: &[Value], node: Node<'_>, depth: usize) -> Option<Comparison> {
    let list = node.list_type();
    let by_element = |items: &'_ [Value]| -> Option<BTreeMap<String, usize>> {
        items
            .iter()
            .enumerate()
            .map(|(index, item)| item_element(&list, item).map(|element| (element, index)))
            .collect()
    };
    let (old_items, new_items) = (by_element(old)?, by_element(new)?);
    let mut all = Comparison::default();
    let elements =
        old_items.keys().chain(new_items.keys().filter(|element| !old_items.contains_key(*element)));
    for element in elements {
        let before = old_items.get(element).map(|index| &old[*index]);
        let after = new_items.get(element).map(|index| &new[*index]);
        insert(&mut all, element, values(before, after, node.items(), depth + 1));
    }
    Some(all)
}

fn insert(all: &mut Comparison, element: &str, inner: Comparison) {
    for (set, child) in [
        (&mut all.added, inner.added),
        (&mut all.modified, inner.modified),
        (&mut all.removed, inner.removed),
    ] {
        if !child.is_empty() {
            set.children.insert(element.to_owned(), child);
        }
    }
}

/// Every field of a value that appeared or vanished, containers included.
pub(crate) fn everything(value: &Value, node: Node<'_>, depth: usize) -> FieldSet {
    let mut set = FieldSet { member: !node.is_always_present(depth), children: BTreeMap::new() };
    match value {
        Value::Object(object) if !node.is_atomic_map() => {
            for (name, inner) in object {
                let child = everything(inner, node.field(name, depth), depth + 1);
                if !child.is_empty() {
                    set.children.insert(format!("f:{name}"), child);
                }
            }
        }
        Value::Array(items) if node.list_type() != ListType::Atomic => {
            let list = node.list_type();
            for item in items {
                match item_element(&list, item) {
                    Some(element) => {
                        let mut child = everything(item, node.items(), depth + 1);
                        child.member = true;
                        set.children.insert(element, child);
                    }
                    None => return FieldSet::leaf(),
                }
            }
        }
        _ => set.member = true,
    }
    set
}
