//! Reading our own writes: a plan is only made on stores that have seen them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use crate::resource::{Key, Resource};
use crate::sync::locked;

/// How long a write may stay unseen before it is no longer waited for: its watch has then lost more than a moment.
pub const UNSEEN_TIMEOUT: Duration = Duration::from_secs(30);

/// From this many writes on, those that are not waited for any more are dropped before another is remembered.
const SWEEP_WRITES_MIN: usize = 256;

/// Our last write of each object that the stores have not shown yet. Holds no more than twice the objects that are written
/// within [`UNSEEN_TIMEOUT`]. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Expectations {
    writes: Arc<Mutex<Writes>>,
}

#[derive(Debug, Default)]
struct Writes {
    unseen: BTreeMap<(Resource, Key), Unseen>,
    sweep_at: usize,
}

#[derive(Clone, Copy, Debug)]
struct Unseen {
    resource_version: u64,
    since: Instant,
}

impl Unseen {
    fn is_waited_for(&self) -> bool {
        self.since.elapsed() < UNSEEN_TIMEOUT
    }
}

impl Expectations {
    /// Remembers that `key` was written at `resource_version`.
    pub fn wrote(&self, resource: &Resource, key: Key, resource_version: u64) {
        let mut writes = locked(&self.writes);
        if writes.unseen.len() >= writes.sweep_at.max(SWEEP_WRITES_MIN) {
            writes.unseen.retain(|_, unseen| unseen.is_waited_for());
            writes.sweep_at = writes.unseen.len() * 2;
        }
        let unseen = Unseen { resource_version, since: Instant::now() };
        // Answers to two writes may be taken in reverse order.
        let last = writes.unseen.entry((*resource, key)).or_insert(unseen);
        if last.resource_version <= resource_version || !last.is_waited_for() {
            *last = unseen;
        }
    }

    /// Whether a store is still behind our last write of this object. `shown` is the version that the store shows; `None`: no
    /// such object yet. What was seen, and what was waited for long enough, is forgotten.
    pub fn is_behind(&self, resource: &Resource, key: &Key, shown: impl Fn(&Key) -> Option<u64>) -> bool {
        self.is_any_behind(resource, key, |other| (other == key).then_some(true), shown)
    }

    /// The same of every object of this namespace whose name is `prefix` and a number.
    pub fn is_any_numbered_behind(
        &self,
        resource: &Resource,
        prefix: &Key,
        shown: impl Fn(&Key) -> Option<u64>,
    ) -> bool {
        let numbered = |other: &Key| {
            let rest =
                other.name.strip_prefix(&*prefix.name).filter(|_| other.namespace == prefix.namespace)?;
            Some(!rest.is_empty() && rest.bytes().all(|letter| letter.is_ascii_digit()))
        };
        self.is_any_behind(resource, prefix, numbered, shown)
    }

    /// Of the objects from `first` on that are `meant`, until `meant` tells that there are no more: thousands of writes may be
    /// remembered while one plan looks at a few.
    fn is_any_behind(
        &self,
        resource: &Resource,
        first: &Key,
        meant: impl Fn(&Key) -> Option<bool>,
        shown: impl Fn(&Key) -> Option<u64>,
    ) -> bool {
        let mut writes = locked(&self.writes);
        let mut behind = false;
        let mut done = Vec::new();
        for ((of, key), unseen) in writes.unseen.range((*resource, first.clone())..) {
            match meant(key).filter(|_| of == resource) {
                None => break,
                Some(false) => continue,
                Some(true) => {}
            }
            let is_seen = shown(key).is_some_and(|version| version >= unseen.resource_version);
            if is_seen || !unseen.is_waited_for() { done.push(key.clone()) } else { behind = true }
        }
        for key in done {
            writes.unseen.remove(&(*resource, key));
        }
        behind
    }

    /// The object was deleted: what was written to it will not be seen any more.
    pub fn forget(&self, resource: &Resource, key: &Key) {
        locked(&self.writes).unseen.remove(&(*resource, key.clone()));
    }

    /// How many writes are remembered.
    pub fn len(&self) -> usize {
        locked(&self.writes).unseen.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::{DEPLOYMENTS, PODS};

    #[tokio::test(start_paused = true)]
    async fn a_write_is_waited_for_until_it_is_seen_deleted_or_too_old() {
        let (expectations, key) = (Expectations::default(), Key::new("shop", "a"));
        let behind = |shown| expectations.is_behind(DEPLOYMENTS, &key, |_| shown);
        expectations.wrote(DEPLOYMENTS, key.clone(), 7);
        expectations.wrote(PODS, key.clone(), 9);
        assert!(behind(None) && behind(Some(6)) && !behind(Some(7)));
        assert_eq!(expectations.len(), 1, "what was not asked about is kept");
        expectations.forget(PODS, &key);
        assert!(expectations.is_empty());
        expectations.wrote(DEPLOYMENTS, key.clone(), 8);
        tokio::time::sleep(UNSEEN_TIMEOUT).await;
        assert!(!behind(Some(7)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_asks_about_is_dropped_in_time() {
        let expectations = Expectations::default();
        for index in 0..5_000_u64 {
            expectations.wrote(PODS, Key::new("shop", index.to_string()), index);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        assert!(expectations.len() <= SWEEP_WRITES_MIN, "{}", expectations.len());
    }
}
