//! Whether a decision may be made now: this process leads, has read everything since it does, and still hears every watch.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use trimtab_kube::api::{Leadership, Term};
use trimtab_kube::kinds::Stores;

/// How long a decision that is held waits for the watches to come back.
pub const HELD_AGAIN: Duration = Duration::from_secs(5);

/// Why nothing is decided now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Another process leads, or this one has not read everything since it does. Everything is enqueued once it has.
    Elsewhere,
    /// A watch does not tell what is true now; the words name it. To be tried again after [`HELD_AGAIN`].
    Unhealthy(String),
}

/// What the process may rely on. Cheap to clone.
#[derive(Clone)]
pub struct Standing {
    leadership: Leadership,
    stores: Stores,
    /// The term in which everything was read anew.
    read_in: Arc<Mutex<Option<Term>>>,
}

impl Standing {
    /// Nothing was read in any term yet.
    #[must_use]
    pub fn new(leadership: Leadership, stores: Stores) -> Self {
        Self { leadership, stores, read_in: Arc::default() }
    }

    /// Whether this process leads.
    #[must_use]
    pub fn leadership(&self) -> &Leadership {
        &self.leadership
    }

    /// The term to decide in. What is decided in it must be written in it.
    ///
    /// # Errors
    /// Why nothing may be decided now.
    pub fn may_decide(&self) -> Result<Term, Hold> {
        let term = self.leadership.term().ok_or(Hold::Elsewhere)?;
        if *self.lock() != Some(term) {
            return Err(Hold::Elsewhere);
        }
        self.stores.unhealthy().map_or(Ok(term), |why| Err(Hold::Unhealthy(why)))
    }

    /// Lists everything anew by consistent reads: a cache that was filled when somebody else led may be behind what they
    /// wrote last. Decisions of `term` are made from here on.
    pub async fn read_anew(&self, term: Term) {
        self.stores.resync().await;
        *self.lock() = Some(term);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Term>> {
        self.read_in.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
