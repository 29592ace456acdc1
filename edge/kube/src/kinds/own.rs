//! What the stores keep of our own kinds: little, because a fleet has thousands of services and each remembers many
//! releases. Measured in `control/tests/memory.rs`.
//!
//! What a decision reads is kept as packed JSON and read anew for each decision: a fraction of the same values in structs,
//! most of whose fields are empty.

use serde::Serialize;
use serde::de::DeserializeOwned;
use trimtab_api::ObjectMeta;

use super::packed::Packed;
use crate::resource::Key;
use crate::watch::{ProjectError, Row};

/// An object of one of our kinds as the stores keep it.
#[derive(Clone, Debug)]
pub struct OwnRow<T> {
    pub(super) key: Key,
    pub(super) resource_version: u64,
    /// What is kept of the object.
    pub object: T,
}

impl<T: Send + Sync + 'static> Row for OwnRow<T> {
    fn key(&self) -> &Key {
        &self.key
    }

    fn resource_version(&self) -> u64 {
        self.resource_version
    }
}

pub(super) fn reread<T: DeserializeOwned>(packed: &Packed) -> T {
    packed.read().expect("packed by a projection from a value of the same type")
}

pub(super) fn version(meta: &ObjectMeta) -> Result<u64, ProjectError> {
    let version = &meta.resource_version;
    version.parse().map_err(|_| ProjectError(format!("resource version {version:?} is not a number")))
}

/// The parts of an object that are kept: it is read from them as it was, without what its metadata leaves out.
pub(super) fn pack(
    metadata: &ObjectMeta,
    spec: &impl Serialize,
    status: &impl Serialize,
) -> Result<Packed, ProjectError> {
    #[derive(Serialize)]
    struct Parts<'a, S, T> {
        metadata: &'a ObjectMeta,
        spec: &'a S,
        status: &'a T,
    }
    Ok(Packed::new(&Parts { metadata, spec, status })?)
}
