//! What a controller wants done: values, so that plans can be compared, printed and replayed.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use trimtab_kube::api::{Patch, Preconditions, Propagation};
use trimtab_kube::{Api, ApiError, Key, Resource};

use crate::object::{self, text};

/// One write.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// Create `object` in `namespace`.
    Create {
        /// Its kind.
        resource: &'static Resource,
        /// Where.
        namespace: String,
        /// The object, with a name or a `generateName`.
        object: Value,
    },
    /// Merge `body` into an object, or into a subresource of it.
    Merge {
        /// Its kind.
        resource: &'static Resource,
        /// Which object.
        key: Key,
        /// `status`, or the object itself.
        subresource: Option<&'static str>,
        /// RFC 7386; its metadata carries the preconditions.
        body: Value,
    },
    /// Delete an object, if it is still the same one.
    Delete {
        /// Its kind.
        resource: &'static Resource,
        /// Which object.
        key: Key,
        /// Its uid.
        uid: String,
    },
}

/// What came of a write that was done.
#[derive(Debug, Clone)]
pub enum Done {
    /// The object as the server has it now.
    Stored(&'static Resource, Value),
    /// The object of this uid was deleted, or is about to be.
    Deleted(String),
}

impl Write {
    /// Changes fields of `object`, if nobody has changed it since.
    pub fn update(resource: &'static Resource, object: &Value, changes: Value) -> Write {
        let mut body = changes;
        body["metadata"]["uid"] = object["metadata"]["uid"].clone();
        body["metadata"]["resourceVersion"] = object["metadata"]["resourceVersion"].clone();
        Write::Merge { resource, key: object::key(object), subresource: None, body }
    }

    /// Sets the status of `object` to `status`, if nobody has changed the object since. Fields that `status` does not have
    /// are taken away. `None` if nothing differs.
    pub fn status(resource: &'static Resource, object: &Value, status: &Value) -> Option<Write> {
        let changes = difference(object.get("status").unwrap_or(&Value::Null), status);
        if changes.is_empty() {
            return None;
        }
        let metadata = json!({
            "uid": object["metadata"]["uid"], "resourceVersion": object["metadata"]["resourceVersion"],
        });
        let body = json!({"metadata": metadata, "status": changes});
        Some(Write::Merge { resource, key: object::key(object), subresource: Some("status"), body })
    }

    /// Deletes `object`.
    pub fn delete(resource: &'static Resource, object: &Value) -> Write {
        let uid = text(object, "/metadata/uid").to_owned();
        Write::Delete { resource, key: object::key(object), uid }
    }

    /// Does it. What was deleted by somebody else before counts as deleted.
    pub(super) async fn apply(self, api: &Api) -> Result<Done, ApiError> {
        match self {
            Write::Create { resource, namespace, object } => {
                let stored = api.create(resource, Some(&namespace), &object).await?;
                Ok(Done::Stored(resource, stored))
            }
            Write::Merge { resource, key, subresource, body } => {
                let (patch, namespace) = (Patch::Merge(body), key.namespace());
                let stored = match subresource {
                    None => api.patch(resource, namespace, &key.name, &patch).await?,
                    Some(part) => api.patch_subresource(resource, namespace, &key.name, part, &patch).await?,
                };
                Ok(Done::Stored(resource, stored))
            }
            Write::Delete { resource, key, uid } => {
                let same = Preconditions::uid(uid.as_str());
                match api.delete(resource, key.namespace(), &key.name, &same, Propagation::Background).await {
                    Ok(()) | Err(ApiError::NotFound { .. }) => Ok(Done::Deleted(uid)),
                    Err(error) => Err(error),
                }
            }
        }
    }
}

/// The top-level fields of `after` that differ from `before`, and nulls for those that `after` lacks.
fn difference(before: &Value, after: &Value) -> Map<String, Value> {
    let empty = Map::new();
    let (before, after) = (before.as_object().unwrap_or(&empty), after.as_object().unwrap_or(&empty));
    let changed = after.iter().filter(|(field, value)| before.get(*field) != Some(value));
    let lost = before.keys().filter(|field| !after.contains_key(*field));
    let changed = changed.map(|(field, value)| (field.clone(), value.clone()));
    changed.chain(lost.map(|field| (field.clone(), Value::Null))).collect()
}

/// The outcome of looking at one object.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// To be done in this order; the first that fails ends it.
    pub writes: Vec<Write>,
    /// When to look again although nothing changes.
    pub wake_at: Option<Timestamp>,
}

impl Plan {
    /// Nothing to do until something changes.
    pub fn nothing() -> Plan {
        Plan::default()
    }

    /// Only these writes.
    pub fn of(writes: Vec<Write>) -> Plan {
        Plan { writes, wake_at: None }
    }
}
