//! The words of requests: how to patch, what to select, under which conditions to delete.

use serde_json::{Value, json};

/// Whether server-side apply takes fields that another manager owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// Takes them. Only for fields that are ours by the rely/guarantee table.
    Yes,
    /// Fails with a conflict that names their owner.
    No,
}

/// A change to one object.
#[derive(Clone, Debug, PartialEq)]
pub enum Patch {
    /// RFC 6902: an array of operations. `test` operations make it conditional on the fields we looked at.
    Json(Value),
    /// RFC 7386: fields to set; `null` removes.
    Merge(Value),
    /// Kubernetes' strategic merge, for built-in kinds: lists merge by their key.
    Strategic(Value),
    /// Server-side apply: the complete set of fields that our manager wants to own.
    Apply {
        /// The applied configuration, with `apiVersion`, `kind` and name.
        value: Value,
        /// What to do about fields owned by others.
        force: Force,
    },
}

impl Patch {
    pub(crate) fn content_type(&self) -> &'static str {
        match self {
            Patch::Json(_) => "application/json-patch+json",
            Patch::Merge(_) => "application/merge-patch+json",
            Patch::Strategic(_) => "application/strategic-merge-patch+json",
            // JSON is YAML, and every served version accepts this type.
            Patch::Apply { .. } => "application/apply-patch+yaml",
        }
    }

    pub(crate) fn body(&self) -> &Value {
        match self {
            Patch::Json(value)
            | Patch::Merge(value)
            | Patch::Strategic(value)
            | Patch::Apply { value, .. } => value,
        }
    }
}

/// Which objects: label and field selectors in the API's own syntax; empty means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// Label selector, for example `app=payments,!trimtab.dev/skip`.
    pub labels: String,
    /// Field selector, for example `status.phase!=Succeeded`.
    pub fields: String,
}

impl Selector {
    /// Selects everything.
    pub fn all() -> Selector {
        Selector::default()
    }

    /// Narrows by labels.
    pub fn labels(self, labels: impl Into<String>) -> Selector {
        Selector { labels: labels.into(), ..self }
    }

    /// Narrows by fields.
    pub fn fields(self, fields: impl Into<String>) -> Selector {
        Selector { fields: fields.into(), ..self }
    }
}

/// What must still hold for a delete or an eviction to happen; `None` does not look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preconditions {
    /// The object is still the same incarnation.
    pub uid: Option<String>,
    /// The object has not changed since.
    pub resource_version: Option<String>,
}

impl Preconditions {
    /// Only this incarnation, whatever its content.
    pub fn uid(uid: impl Into<String>) -> Preconditions {
        Preconditions { uid: Some(uid.into()), resource_version: None }
    }

    pub(crate) fn body(&self) -> Value {
        let mut body = json!({});
        for (field, value) in [("uid", &self.uid), ("resourceVersion", &self.resource_version)] {
            if let Some(value) = value {
                body[field] = json!(value);
            }
        }
        body
    }
}

/// What happens to the objects that a deleted object owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// They are deleted afterwards.
    Background,
    /// They are deleted first.
    Foreground,
    /// They stay.
    Orphan,
}

impl Propagation {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Propagation::Background => "Background",
            Propagation::Foreground => "Foreground",
            Propagation::Orphan => "Orphan",
        }
    }
}
