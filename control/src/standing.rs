//! Whether a decision may be made now: this process leads, has read everything since it does, and still hears every watch.
//!
//! Where some namespaces are watched, each by itself, one that cannot be read holds up the decisions in it and no others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use trimtab_kube::api::{Leadership, Term};
use trimtab_kube::kinds::Stores;
use trimtab_kube::watch::WatchPart;

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
    /// The term in which each part of the cluster was read anew.
    read_in: Arc<Mutex<BTreeMap<WatchPart, Term>>>,
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

    /// The term to decide in about what is in these `namespaces`; an empty name stands for objects without one. What is
    /// decided in it must be written in it. A decision on nothing that a watch could tell needs the term alone.
    ///
    /// # Errors
    /// Why nothing may be decided now.
    pub fn may_decide(&self, namespaces: &[&str]) -> Result<Term, Hold> {
        let term = self.leadership.term().ok_or(Hold::Elsewhere)?;
        if namespaces.is_empty() {
            return Ok(term);
        }
        let concerned = |part: &WatchPart| part.as_ref().is_none_or(|name| namespaces.contains(&&**name));
        for part in self.stores.parts().filter(|part| concerned(part)) {
            if self.lock().get(part) != Some(&term) {
                return Err(Hold::Elsewhere);
            }
            if let Some(why) = self.stores.unhealthy(part) {
                return Err(Hold::Unhealthy(why));
            }
        }
        Ok(term)
    }

    /// Lists everything anew by consistent reads: a cache that was filled when somebody else led may be behind what they
    /// wrote last. Decisions of `term` are made from here on; `more` is told each time that there is more to decide about. A
    /// namespace that cannot be listed is waited for without an end, and holds up no other.
    pub async fn read_anew(&self, term: Term, more: impl Fn()) {
        let read = |part: &WatchPart| {
            let part = part.clone();
            async move {
                self.stores.resync(&part).await;
                part
            }
        };
        let mut reading: FuturesUnordered<_> = self.stores.parts().map(read).collect();
        while let Some(part) = reading.next().await {
            self.lock().insert(part, term);
            // Those that are ready at one time are told at one time.
            while let Some(Some(part)) = reading.next().now_or_never() {
                self.lock().insert(part, term);
            }
            more();
        }
    }

    /// What the whole process stands on and cannot be relied on, and why; `None` while at least a part can be decided about.
    #[must_use]
    pub fn unready(&self) -> Option<String> {
        let (namespaces, whole): (Vec<_>, Vec<_>) = self.stores.parts().partition(|part| part.is_some());
        let found = |parts: &[&WatchPart]| -> Vec<String> {
            parts.iter().filter_map(|part| self.stores.unhealthy(part)).collect()
        };
        let (whole, in_namespaces) = (found(&whole), found(&namespaces));
        let all_fail = !namespaces.is_empty() && in_namespaces.len() == namespaces.len();
        whole.into_iter().next().or_else(|| in_namespaces.into_iter().next().filter(|_| all_fail))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<WatchPart, Term>> {
        self.read_in.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
