//! Watches and stores: what the cluster looks like, and which services a change concerns.

use std::ops::Deref;

use trimtab_kube::expectations::Expectations;
pub use trimtab_kube::kinds::Watches;
use trimtab_kube::kinds::{AppRow, Changed, Namespaces, PodRow, Stores};
use trimtab_kube::queue::Queue;
use trimtab_kube::watch::Row;
use trimtab_kube::{Api, Key};

/// What is dirty: a Deployment's namespace and name. A service is decided under the name of its Deployment, so that a claim
/// whose `ManagedApp` is gone is noticed as well.
pub type Dirty = Queue<Key>;

/// Everything that decisions are made on.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    stores: Stores,
}

impl Deref for Cluster {
    type Target = Stores;

    fn deref(&self) -> &Stores {
        &self.stores
    }
}

/// The Deployment that a service claims.
#[must_use]
pub fn target_key(row: &AppRow) -> Key {
    row.target()
}

impl Cluster {
    /// Empty stores.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts to watch. Every change marks the Deployments that it concerns; what was written to an object that is deleted
    /// is not waited for.
    #[must_use]
    pub fn watch(
        &self,
        api: &Api,
        dirty: &Dirty,
        dirty_policies: &Dirty,
        expectations: &Expectations,
    ) -> Watches {
        let (cluster, dirty, dirty_policies) = (self.clone(), dirty.clone(), dirty_policies.clone());
        let expectations = expectations.clone();
        self.stores.watch(api, &Namespaces::All, move |changed| {
            if let Some((resource, key)) = changed.deleted() {
                expectations.forget(resource, key);
            }
            if let Changed::Policy(old, new) = changed {
                both(old, new).for_each(|row| dirty_policies.mark(row.key().clone()));
            }
            for key in cluster.concerned(changed) {
                dirty.mark(key);
            }
        })
    }

    /// The Deployments that a change concerns.
    fn concerned(&self, changed: Changed<'_>) -> Vec<Key> {
        match changed {
            Changed::App(old, new) => both(old, new).map(AppRow::target).collect(),
            Changed::Release(old, new) => {
                both(old, new).flat_map(|row| self.targets_of_service(&row.service())).collect()
            }
            Changed::Policy(old, new) => both(old, new).flat_map(|_| self.all_targets()).collect(),
            Changed::Deployment(old, new) => both(old, new).map(|row| row.key().clone()).collect(),
            Changed::ReplicaSet(old, new) => both(old, new).filter_map(|row| row.deployment()).collect(),
            Changed::Pod(old, new) => both(old, new).filter_map(|row| self.target_of_pod(row)).collect(),
            Changed::Autoscaler(old, new) => both(old, new).map(|row| row.target()).collect(),
        }
    }

    fn all_targets(&self) -> Vec<Key> {
        self.apps.read().iter().map(|app| app.target()).collect()
    }

    fn targets_of_service(&self, service: &Key) -> Vec<Key> {
        self.apps.get(service).map(|app| app.target()).into_iter().collect()
    }

    fn target_of_pod(&self, pod: &PodRow) -> Option<Key> {
        let owner = pod.owner.as_ref()?;
        let set = self.replica_sets.get(&Key::new(pod.key.namespace.clone(), owner.name.clone()))?;
        set.deployment()
    }
}

fn both<'a, R>(old: Option<&'a R>, new: Option<&'a R>) -> impl Iterator<Item = &'a R> {
    old.into_iter().chain(new)
}
