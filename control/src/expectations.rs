//! Reading our own writes: a plan is only made on stores that have seen them.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use trimtab_kube::Key;

/// How long a write may stay unseen before it is no longer waited for: its watch has then lost more than a moment.
const PATIENCE: Duration = Duration::from_secs(30);

/// Which kind of object was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A `ManagedApp`.
    App,
    /// An `AppRelease`.
    Release,
    /// A Deployment.
    Deployment,
}

/// Our last write of each object that the stores have not shown yet.
#[derive(Debug, Default)]
pub struct Expectations {
    unseen: Mutex<BTreeMap<(Kind, Key), Unseen>>,
}

#[derive(Clone, Copy, Debug)]
struct Unseen {
    resource_version: u64,
    since: Instant,
}

impl Expectations {
    /// Remembers that `key` was written at `resource_version`.
    fn wrote(&self, kind: Kind, key: Key, resource_version: u64) {
        let unseen = Unseen { resource_version, since: Instant::now() };
        self.lock().insert((kind, key), unseen);
    }

    /// Remembers a write by what the server answered to it.
    pub fn wrote_answer(&self, kind: Kind, key: Key, answer: &Value) {
        let version = answer.pointer("/metadata/resourceVersion").and_then(Value::as_str);
        if let Some(version) = version.and_then(|version| version.parse().ok()) {
            self.wrote(kind, key, version);
        }
    }

    /// Whether a store is still behind any of our last writes. `seen` answers for the objects that matter with the version
    /// that the store shows (`Some(None)`: no such object yet), and `None` for the others. What was seen, and what was
    /// waited for long enough, is forgotten.
    pub fn is_any_behind(&self, seen: impl Fn(Kind, &Key) -> Option<Option<u64>>) -> bool {
        let mut behind = false;
        self.lock().retain(|(kind, key), unseen| {
            let Some(shown) = seen(*kind, key) else { return true };
            let waits = shown.is_none_or(|version| version < unseen.resource_version)
                && unseen.since.elapsed() < PATIENCE;
            behind |= waits;
            waits
        });
        behind
    }

    /// When to stop waiting, seen from now.
    #[must_use]
    pub fn patience(&self) -> Duration {
        PATIENCE
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(Kind, Key), Unseen>> {
        self.unseen.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
