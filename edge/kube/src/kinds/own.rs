//! What the stores keep of our own kinds: little, because a fleet has thousands of services and each remembers many
//! releases. Measured in `control/tests/memory.rs`.

use trimtab_api::ObjectMeta;

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

pub(super) fn version(meta: &ObjectMeta) -> Result<u64, ProjectError> {
    let version = &meta.resource_version;
    version.parse().map_err(|_| ProjectError(format!("resource version {version:?} is not a number")))
}
