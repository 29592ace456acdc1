//! `metadata.managedFields`: which manager owns which fields, kept through updates and decided by apply.

use serde_json::{Value, json};

use super::compare::{Comparison, compare};
use super::merge::{merge, remove};
use super::schema::{self, Node};
use super::set::{FieldSet, of_configuration};
use crate::failure::{Cause, Failure};
use crate::json::{as_object_mut, list, object_mut, text};
use crate::kinds::Kind;

/// Managers that update; beyond it the oldest are folded into one.
const UPDATE_MANAGERS_MAX: usize = 10;

/// Name of the entry that the oldest update managers are folded into.
const FOLDED_MANAGER: &str = "ancient-changes";

/// How a manager writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Apply,
    Update,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Operation::Apply => "Apply",
            Operation::Update => "Update",
        }
    }
}

/// Who writes, and how.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    pub(crate) manager: String,
    pub(crate) operation: Operation,
    pub(crate) api_version: String,
    pub(crate) subresource: String,
    /// RFC 3339.
    pub(crate) time: String,
}

/// What apply does with fields that others own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnConflict {
    Refuse,
    Take,
}

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    manager: String,
    operation: Operation,
    api_version: String,
    subresource: String,
    time: String,
    fields: FieldSet,
}

impl Entry {
    fn is_of(&self, writer: &Writer) -> bool {
        self.manager == writer.manager
            && self.operation == writer.operation
            && self.subresource == writer.subresource
            && (self.operation == Operation::Apply || self.api_version == writer.api_version)
    }

    fn to_wire(&self) -> Value {
        let mut entry = json!({
            "manager": self.manager, "operation": self.operation.name(), "apiVersion": self.api_version,
            "time": self.time, "fieldsType": "FieldsV1", "fieldsV1": self.fields.to_wire(),
        });
        if !self.subresource.is_empty() {
            entry["subresource"] = self.subresource.clone().into();
        }
        entry
    }
}

fn entries_of(value: &Value) -> Vec<Entry> {
    list(value, "metadata.managedFields")
        .iter()
        .filter(|entry| text(entry, "fieldsType") == "FieldsV1")
        .map(|entry| Entry {
            manager: text(entry, "manager").to_owned(),
            operation: if text(entry, "operation") == "Apply" { Operation::Apply } else { Operation::Update },
            api_version: text(entry, "apiVersion").to_owned(),
            subresource: text(entry, "subresource").to_owned(),
            time: text(entry, "time").to_owned(),
            fields: FieldSet::from_wire(entry.get("fieldsV1").unwrap_or(&Value::Null)),
        })
        .collect()
}

fn store_entries(value: &mut Value, mut entries: Vec<Entry>) {
    entries.retain(|entry| !entry.fields.is_empty());
    entries.sort_by(|a, b| {
        let rank = |entry: &Entry| u8::from(entry.operation == Operation::Update);
        (rank(a), &a.time, &a.manager, &a.api_version, &a.subresource).cmp(&(
            rank(b),
            &b.time,
            &b.manager,
            &b.api_version,
            &b.subresource,
        ))
    });
    fold_oldest(&mut entries);
    let metadata = object_mut(value, "metadata");
    if entries.is_empty() {
        metadata.remove("managedFields");
    } else {
        metadata.insert("managedFields".to_owned(), entries.iter().map(Entry::to_wire).collect());
    }
}

fn fold_oldest(entries: &mut Vec<Entry>) {
    let is_update = |entry: &Entry| entry.operation == Operation::Update && entry.subresource.is_empty();
    while entries.iter().filter(|entry| is_update(entry)).count() > UPDATE_MANAGERS_MAX {
        let Some(first) = entries.iter().position(is_update) else { return };
        let oldest = entries.remove(first);
        match entries[first..]
            .iter_mut()
            .find(|entry| is_update(entry) && entry.api_version == oldest.api_version)
        {
            Some(next) => {
                next.fields = next.fields.union(&oldest.fields);
                next.manager = FOLDED_MANAGER.to_owned();
            }
            None => return,
        }
    }
}

/// Metadata that the server owns and that no manager can.
const UNMANAGED_METADATA: &[&str] = &[
    "name",
    "namespace",
    "creationTimestamp",
    "selfLink",
    "uid",
    "generation",
    "managedFields",
    "resourceVersion",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
];

fn managed_part(value: &Value) -> Value {
    let mut value = value.clone();
    let object = as_object_mut(&mut value);
    object.remove("apiVersion");
    object.remove("kind");
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|name, inner| !UNMANAGED_METADATA.contains(&name.as_str()) && !inner.is_null());
    }
    value
}

/// Records an update in the new object's managed fields. `old` is `None` for a creation.
pub(crate) fn track_update(old: Option<&Value>, new: &mut Value, kind: &Kind, writer: &Writer) {
    let empty = json!({"metadata": {}});
    let base = old.unwrap_or(&empty);
    let resets = new["metadata"].get("managedFields").and_then(Value::as_array).is_some_and(|given| {
        given.is_empty() || given.first().and_then(Value::as_object).is_some_and(serde_json::Map::is_empty)
    });
    if resets {
        object_mut(new, "metadata").remove("managedFields");
        return;
    }
    let given = entries_of(new);
    let mut entries = if given.is_empty() { entries_of(base) } else { given };
    let node = schema::root(kind);
    let comparison = compare(&managed_part(base), &managed_part(new), node);
    settle(&mut entries, &comparison, writer, OnConflict::Take);
    own_written(&mut entries, &comparison, writer);
    store_entries(new, entries);
}

/// Gives what was written to the writer's entry.
fn own_written(entries: &mut Vec<Entry>, comparison: &Comparison, writer: &Writer) {
    let written = comparison.written();
    if written.is_empty() && comparison.removed.is_empty() {
        return;
    }
    match entries.iter_mut().find(|entry| entry.is_of(writer)) {
        Some(entry) => {
            let owned = entry.fields.difference(&comparison.removed).union(&written);
            if !written.is_empty() || owned != entry.fields {
                entry.time = writer.time.clone();
            }
            entry.fields = owned;
        }
        None => entries.push(Entry {
            manager: writer.manager.clone(),
            operation: writer.operation,
            api_version: writer.api_version.clone(),
            subresource: writer.subresource.clone(),
            time: writer.time.clone(),
            fields: written,
        }),
    }
}

/// Takes from the other managers what the writer changed or removed; returns what they owned of it.
fn settle(
    entries: &mut [Entry],
    comparison: &Comparison,
    writer: &Writer,
    on_conflict: OnConflict,
) -> Vec<(usize, FieldSet)> {
    let written = comparison.written();
    let mut conflicts = Vec::new();
    for (index, entry) in entries.iter_mut().enumerate().filter(|(_, entry)| !entry.is_of(writer)) {
        let common = entry.fields.intersection(&written);
        if !common.is_empty() {
            if on_conflict == OnConflict::Take {
                entry.fields = entry.fields.difference(&common);
            }
            conflicts.push((index, common));
        }
        if on_conflict == OnConflict::Take || conflicts.is_empty() {
            entry.fields = entry.fields.recursive_difference(&comparison.removed);
        }
    }
    conflicts
}

/// Server-side apply: the object that results from applying `configuration` to `live`.
///
/// # Errors
/// 409 when another manager owns a field with another value and `on_conflict` refuses.
pub(crate) fn apply(
    live: &Value,
    configuration: &Value,
    kind: &Kind,
    writer: &Writer,
    on_conflict: OnConflict,
) -> Result<Value, Failure> {
    let node = schema::root(kind);
    let mut entries = entries_of(live);
    if entries.is_empty() && live.pointer("/metadata/uid").is_some() {
        entries.push(before_first_apply(live, node, writer));
    }
    let wanted = managed_part(configuration);
    let applied = of_configuration_root(&wanted, node);
    let last = entries.iter().find(|entry| entry.is_of(writer)).map(|entry| entry.fields.clone());
    let others = entries
        .iter()
        .filter(|entry| !entry.is_of(writer))
        .fold(FieldSet::default(), |all, entry| all.union(&entry.fields));
    let mut result = merge(live, &wanted, node, 0);
    if let Some(last) = &last {
        let gone = last.difference(&applied);
        remove(&mut result, &gone, &applied.union(&others), node, 0);
    }
    let comparison = compare(&managed_part(live), &managed_part(&result), node);
    let mut tentative = entries.clone();
    let conflicts = settle(&mut tentative, &comparison, writer, on_conflict);
    if !conflicts.is_empty() && on_conflict == OnConflict::Refuse {
        return Err(Failure::apply_conflict(&conflict_causes(&entries, &conflicts)));
    }
    entries = tentative;
    let unchanged = comparison == Comparison::default();
    match entries.iter_mut().find(|entry| entry.is_of(writer)) {
        Some(entry) => {
            if !unchanged || entry.fields != applied || entry.api_version != writer.api_version {
                entry.time = writer.time.clone();
            }
            entry.api_version = writer.api_version.clone();
            entry.fields = applied;
        }
        None => entries.push(Entry {
            manager: writer.manager.clone(),
            operation: writer.operation,
            api_version: writer.api_version.clone(),
            subresource: writer.subresource.clone(),
            time: writer.time.clone(),
            fields: applied,
        }),
    }
    store_entries(&mut result, entries);
    Ok(result)
}

/// Who owns an object that nobody is said to own, once somebody applies it.
fn before_first_apply(live: &Value, node: Node<'_>, writer: &Writer) -> Entry {
    Entry {
        manager: "before-first-apply".to_owned(),
        operation: Operation::Update,
        api_version: writer.api_version.clone(),
        subresource: String::new(),
        time: writer.time.clone(),
        fields: of_configuration_root(&managed_part(live), node),
    }
}

/// The top level and its metadata are not owned by themselves.
fn of_configuration_root(wanted: &Value, node: Node<'_>) -> FieldSet {
    let mut set = of_configuration(wanted, node, 0);
    set.member = false;
    if let Some(metadata) = set.children.get_mut("f:metadata") {
        metadata.member = false;
        if metadata.is_empty() {
            set.children.remove("f:metadata");
        }
    }
    set
}

fn conflict_causes(entries: &[Entry], conflicts: &[(usize, FieldSet)]) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (index, fields) in conflicts {
        let entry = &entries[*index];
        let mut message = format!("conflict with \"{}\"", entry.manager);
        if !entry.subresource.is_empty() {
            message.push_str(&format!(" with subresource \"{}\"", entry.subresource));
        }
        if entry.operation == Operation::Update {
            message.push_str(&format!(" using {}", entry.api_version));
        }
        for field in fields.paths() {
            causes.push(Cause { reason: "FieldManagerConflict", message: message.clone(), field });
        }
    }
    causes
}

/// Whether two states differ in nothing but the times of their managed fields.
pub(crate) fn same_but_times(old: &Value, new: &Value) -> bool {
    fn without_times(value: &Value) -> Value {
        let mut value = value.clone();
        if let Some(entries) = value["metadata"].get_mut("managedFields").and_then(Value::as_array_mut) {
            for entry in entries {
                as_object_mut(entry).remove("time");
            }
        }
        value
    }
    old == new || without_times(old) == without_times(new)
}
