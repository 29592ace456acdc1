//! What tells objects that the manager wrote from those of others: known only once a process leads.

use std::sync::{Arc, PoisonError, RwLock};

use trimtab_delivery::seal::Trust;

/// What a process knows about seals; nothing at first. Cheap to clone: all clones learn together. Rows that were made before
/// are made anew by the next listing.
#[derive(Clone, Debug, Default)]
pub struct Trusted(Arc<RwLock<Trust>>);

impl Trusted {
    /// What is known from the beginning.
    #[must_use]
    pub fn new(trust: Trust) -> Self {
        Self(Arc::new(RwLock::new(trust)))
    }

    /// Learns what to trust.
    pub fn learn(&self, trust: Trust) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = trust;
    }

    /// Reads it.
    pub fn with<T>(&self, read: impl FnOnce(&Trust) -> T) -> T {
        read(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}
