//! What oracles are shown: every change of the true store, with the state before and after it.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::store::{Change, ChangeType};

/// One change of one object.
#[derive(Clone, Debug)]
pub struct StoreChange {
    /// Virtual time of the change.
    pub at: Timestamp,
    /// Virtual time at which the request for it left its sender.
    pub sent: Timestamp,
    pub(crate) change: Arc<Change>,
}

impl StoreChange {
    /// The store's revision after the change.
    pub fn revision(&self) -> u64 {
        self.change.revision
    }

    /// Whose request it was; empty for the server's own controllers.
    pub fn by(&self) -> &str {
        &self.change.by
    }

    /// The process that made it, by [`Actor::number`](crate::Actor::number); 0 when none did.
    pub fn actor(&self) -> u64 {
        self.change.actor
    }

    /// The resource, such as `deployments.apps`.
    pub fn resource(&self) -> &str {
        &self.change.storage
    }

    /// The object before the change; `None` when it was created.
    pub fn before(&self) -> Option<&Value> {
        self.change.previous.as_ref().map(|stored| &stored.value)
    }

    /// The object after the change; `None` when it was removed.
    pub fn after(&self) -> Option<&Value> {
        (self.change.change != ChangeType::Deleted).then(|| &self.change.object.value)
    }
}
