//! What the models keep of an object: all of it for kinds that are few, a lean row for pods.

use std::sync::Arc;

use serde_json::Value;
use trimtab_kube::Key;
use trimtab_kube::watch::{Project, ProjectError, Row};

use crate::object;

/// A whole object. For kinds of which there are few, or where only one at a time is looked at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Whole {
    /// Namespace and name.
    pub(crate) key: Key,
    /// Resource version as a number.
    pub(crate) version: u64,
    /// The object.
    pub(crate) object: Arc<Value>,
}

impl Whole {
    /// A row of an object that the API server answered with.
    pub(crate) fn new(object: Value) -> Self {
        Whole {
            key: object::key(&object),
            version: object::resource_version(&object),
            object: Arc::new(object),
        }
    }
}

impl Row for Whole {
    fn key(&self) -> &Key {
        &self.key
    }

    fn resource_version(&self) -> u64 {
        self.version
    }
}

/// Keeps whole objects, without `managedFields`, which nothing here reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeepWhole;

impl Project for KeepWhole {
    type Row = Whole;

    fn project(&self, object: &[u8]) -> Result<Whole, ProjectError> {
        let mut object: Value = serde_json::from_slice(object)?;
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
        Ok(Whole::new(object))
    }
}
