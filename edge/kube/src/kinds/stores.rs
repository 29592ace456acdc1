//! One store a kind, and the watches that keep them up to date.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use serde_json::Value;

use super::changed::Changed;
use super::kind::Kind;
use super::scope::Namespaces;
use super::trusted::Trusted;
use super::watches::Watches;
use crate::api::{Api, ApiError, Selector};
use crate::intern::Interner;
use crate::resource::{Key, Resource};
use crate::store::Store;
use crate::watch::{Event, Row, WatchHealth, WatchPart, WatchStatus};

/// Takes every change, once it can be read.
pub(super) type OnChange = Arc<dyn Fn(Changed<'_>) + Send + Sync>;

/// Everything that decisions are made on, one store a kind. Cheap to clone.
///
/// Which kinds there are is known when a process starts, not when it is built: a cluster need not have all of them.
#[derive(Clone, Default)]
pub struct Stores {
    kinds: Vec<Arc<dyn Stored>>,
    trust: Trusted,
    /// What the watches say of themselves; empty before [`Stores::watch`].
    watched: Arc<OnceLock<BTreeMap<WatchPart, Vec<WatchStatus>>>>,
}

/// A store whose kind is not spelled out.
trait Stored: Send + Sync {
    fn resource(&self) -> &'static Resource;
    fn store(&self) -> &dyn Any;
    fn synced(&self) -> bool;
    fn wait_synced(&self) -> BoxFuture<'_, ()>;
    fn version(&self, key: &Key) -> Option<u64>;
    fn fill(&self, shared: &Shared, objects: &[Value]);
    fn watch(
        &self,
        api: &Api,
        shared: &Shared,
        namespaces: &Namespaces,
        on_change: &OnChange,
        watches: &mut Watches,
    );
}

/// What the projections of one process have in common.
struct Shared {
    interner: Interner,
    trust: Trusted,
}

impl Shared {
    fn projection<K: Kind>(&self) -> K {
        K::new(&self.interner).trusting(&self.trust)
    }
}

struct Of<K: Kind>(Store<K::Row, K::Index>);

impl<K: Kind> Stored for Of<K> {
    fn resource(&self) -> &'static Resource {
        K::RESOURCE
    }

    fn store(&self) -> &dyn Any {
        &self.0
    }

    fn synced(&self) -> bool {
        self.0.synced()
    }

    fn wait_synced(&self) -> BoxFuture<'_, ()> {
        self.0.wait_synced().boxed()
    }

    fn version(&self, key: &Key) -> Option<u64> {
        self.0.read().get(key).map(|row| row.resource_version())
    }

    fn fill(&self, shared: &Shared, objects: &[Value]) {
        let projection = shared.projection::<K>();
        self.0.take(Event::Reset);
        for object in objects {
            // What cannot be read is left out here as it is from a watch.
            if let Ok(row) = projection.project(object.to_string().as_bytes()) {
                self.0.take(Event::Init(row));
            }
        }
        self.0.take(Event::Ready);
    }

    fn watch(
        &self,
        api: &Api,
        shared: &Shared,
        namespaces: &Namespaces,
        on_change: &OnChange,
        watches: &mut Watches,
    ) {
        let on_change = on_change.clone();
        watches.add::<K>(
            api,
            || shared.projection(),
            namespaces,
            &self.0,
            move |old, new| {
                if let Some(changed) = Changed::of::<K>(old, new) {
                    on_change(changed);
                }
            },
        );
    }
}

impl Stores {
    /// These stores, and an empty one of kind `K`.
    #[must_use]
    pub fn with<K: Kind>(mut self) -> Stores {
        self.kinds.push(Arc::new(Of::<K>(Store::indexed(K::index))));
        self
    }

    /// What tells the manager's own objects.
    #[must_use]
    pub fn trust(&self) -> &Trusted {
        &self.trust
    }

    fn shared(&self) -> Shared {
        Shared { interner: Interner::new(), trust: self.trust.clone() }
    }

    /// The store of kind `K`.
    ///
    /// # Panics
    /// When no such kind was added: whoever starts a controller adds what it reads.
    #[must_use]
    pub fn of<K: Kind>(&self) -> &Store<K::Row, K::Index> {
        let stored = self.kinds.iter().find(|stored| stored.resource() == K::RESOURCE);
        let store = stored.and_then(|stored| stored.store().downcast_ref());
        store.unwrap_or_else(|| panic!("no store of {}: add the kind where the process starts", K::RESOURCE))
    }

    /// The keys of all objects of kind `K`.
    ///
    /// # Panics
    /// As [`Self::of`].
    #[must_use]
    pub fn keys<K: Kind>(&self) -> Vec<Key> {
        self.of::<K>().read().iter().map(|row| row.key().clone()).collect()
    }

    /// The version of an object as its store shows it.
    #[must_use]
    pub fn version(&self, resource: &Resource, key: &Key) -> Option<u64> {
        self.kinds.iter().find(|stored| stored.resource() == resource)?.version(key)
    }

    /// Whether every kind has been listed once.
    #[must_use]
    pub fn synced(&self) -> bool {
        self.kinds.iter().all(|stored| stored.synced())
    }

    /// Waits until every kind has been listed once.
    pub async fn wait_synced(&self) {
        for stored in &self.kinds {
            stored.wait_synced().await;
        }
    }

    /// Watches every kind; each change is told to `on_change` once it can be read. To be called once.
    #[must_use]
    pub fn watch(
        &self,
        api: &Api,
        namespaces: &Namespaces,
        on_change: impl Fn(Changed<'_>) + Send + Sync + 'static,
    ) -> Watches {
        let (on_change, shared): (OnChange, _) = (Arc::new(on_change), self.shared());
        let mut watches = Watches::new();
        for stored in &self.kinds {
            stored.watch(api, &shared, namespaces, &on_change, &mut watches);
        }
        let mut watched: BTreeMap<WatchPart, Vec<WatchStatus>> = BTreeMap::new();
        for status in &watches.statuses {
            watched.entry(status.part().clone()).or_default().push(status.clone());
        }
        let _ = self.watched.set(watched);
        watches
    }

    /// Reads every kind once, those with a namespace in `namespace` alone: for commands, which decide on what a manager
    /// would see.
    ///
    /// # Errors
    /// The first kind that could not be listed.
    pub async fn read_once(&self, api: &Api, namespace: &str) -> Result<(), ApiError> {
        let shared = self.shared();
        for stored in &self.kinds {
            let resource = stored.resource();
            let within = resource.namespaced.then_some(namespace);
            stored.fill(&shared, &api.list(resource, within, &Selector::all()).await?);
        }
        Ok(())
    }

    /// What the watches say of themselves; none before [`Stores::watch`].
    pub fn statuses(&self) -> impl Iterator<Item = &WatchStatus> {
        self.watched.get().into_iter().flat_map(BTreeMap::values).flatten()
    }

    /// The parts of the cluster that are watched by themselves.
    pub fn parts(&self) -> impl Iterator<Item = &WatchPart> {
        self.watched.get().into_iter().flat_map(BTreeMap::keys)
    }

    /// The first kind of `part` that may not be decided on now, and why.
    #[must_use]
    pub fn unhealthy(&self, part: &WatchPart) -> Option<String> {
        self.in_part(part).find_map(|watch| match watch.health() {
            WatchHealth::Healthy => None,
            WatchHealth::Unhealthy { why, .. } => {
                let place = part.as_ref().map(|namespace| format!(" in namespace {namespace}"));
                let (kind, place) = (&watch.resource().plural, place.unwrap_or_default());
                Some(format!("the watch of {kind}{place} is unhealthy: {why}"))
            }
        })
    }

    /// Lists every kind of `part` anew by a consistent read; see [`WatchStatus::resync`]. What a store shows then is no older
    /// than the call.
    pub async fn resync(&self, part: &WatchPart) {
        join_all(self.in_part(part).map(WatchStatus::resync)).await;
    }

    fn in_part(&self, part: &WatchPart) -> impl Iterator<Item = &WatchStatus> {
        self.watched.get().and_then(|watched| watched.get(part)).into_iter().flatten()
    }
}

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = self.kinds.iter().map(|stored| &stored.resource().plural);
        f.debug_list().entries(kinds).finish()
    }
}
