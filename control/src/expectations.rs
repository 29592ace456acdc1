//! Reading our own writes: a plan is only made on stores that have seen them.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;
use trimtab_kube::Key;
use trimtab_plan::Kind;

/// How long a write may stay unseen before it is no longer waited for: its watch has then lost more than a moment.
const PATIENCE: Duration = Duration::from_secs(30);

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
    ///
    /// Pods and Events are not waited for: a label that is set twice is set once, and nobody reads Events back.
    pub fn wrote(&self, kind: Kind, key: Key, resource_version: u64) {
        if matches!(kind, Kind::Pod | Kind::Event) {
            return;
        }
        let unseen = Unseen { resource_version, since: Instant::now() };
        self.lock().insert((kind, key), unseen);
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
