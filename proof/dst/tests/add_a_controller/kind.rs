//! The kind: where a `PodFloor` lives, what is kept of one, and what its store is indexed by.

use serde_json::Value;
use trimtab_kube::intern::Interner;
use trimtab_kube::kinds::Kind;
use trimtab_kube::watch::{Project, ProjectError, Row};
use trimtab_kube::{Key, Resource};

/// As plans name it.
pub(crate) const POD_FLOOR: trimtab_plan::Kind =
    trimtab_plan::Kind::new("example.com", "v1", "PodFloor", "podfloors");

/// Asks that a Deployment has so many pods available.
#[derive(Clone, Debug)]
pub(crate) struct PodFloorRow {
    pub(crate) key: Key,
    pub(crate) version: u64,
    pub(crate) generation: i64,
    pub(crate) uid: String,
    pub(crate) deployment: Key,
    pub(crate) pods: u32,
    /// Whether the condition `Met` holds, where it was said.
    pub(crate) met: Option<bool>,
}

impl Row for PodFloorRow {
    fn key(&self) -> &Key {
        &self.key
    }

    fn resource_version(&self) -> u64 {
        self.version
    }
}

/// Reads `PodFloor`s.
pub(crate) struct PodFloors;

impl Project for PodFloors {
    type Row = PodFloorRow;

    fn project(&self, object: &[u8]) -> Result<PodFloorRow, ProjectError> {
        let object: Value = serde_json::from_slice(object)?;
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let namespace = text("/metadata/namespace");
        let version = text("/metadata/resourceVersion").parse();
        let pods = object.pointer("/spec/pods").and_then(Value::as_u64).unwrap_or(1);
        Ok(PodFloorRow {
            key: Key::new(namespace, text("/metadata/name")),
            version: version.map_err(|_| ProjectError("its version is not a number".to_owned()))?,
            generation: object.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default(),
            uid: text("/metadata/uid").to_owned(),
            deployment: Key::new(namespace, text("/spec/deployment")),
            pods: u32::try_from(pods).unwrap_or(u32::MAX),
            met: met(&object),
        })
    }
}

/// Others may have conditions here too, so it is found by its type.
fn met(object: &Value) -> Option<bool> {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array)?;
    conditions
        .iter()
        .find(|condition| condition["type"] == "Met")
        .map(|condition| condition["status"] == "True")
}

impl Kind for PodFloors {
    const RESOURCE: &'static Resource = &Resource::of(POD_FLOOR);

    /// The Deployment: a change of it concerns every floor that names it.
    type Index = Key;

    fn new(_: &Interner) -> Self {
        Self
    }

    fn index(row: &PodFloorRow, out: &mut Vec<Key>) {
        out.push(row.deployment.clone());
    }
}
