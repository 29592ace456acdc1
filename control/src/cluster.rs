//! Watches and stores: what the cluster looks like, and which services a change concerns.

use futures::FutureExt;
use futures::future::BoxFuture;
use trimtab_kube::intern::Interner;
use trimtab_kube::pod_row::{PodProjection, PodRow};
use trimtab_kube::queue::Queue;
use trimtab_kube::resource::{DEPLOYMENTS, HPAS, PODS, REPLICA_SETS};
use trimtab_kube::watch::{Project, Row, Scope, WatchStatus, watch};
use trimtab_kube::workload_rows::{
    DeploymentProjection, DeploymentRow, HpaProjection, HpaRow, ReplicaSetProjection, ReplicaSetRow,
};
use trimtab_kube::{Api, Key, Resource, Store, Uid};

use crate::resources::{APP_RELEASES, FLEET_POLICIES, MANAGED_APPS};
use crate::rows::{AppRow, Apps, PoliciesOf, PolicyRow, ReleaseRow, Releases};

/// What is dirty: a Deployment's namespace and name. A service is decided under the name of its Deployment, so that a claim
/// whose `ManagedApp` is gone is noticed as well.
pub type Dirty = Queue<Key>;

/// Everything that decisions are made on.
#[derive(Clone)]
pub struct Cluster {
    /// Services, by the Deployment that they name.
    pub apps: Store<AppRow, Key>,
    /// Policies.
    pub policies: Store<PolicyRow>,
    /// Releases, by namespace and service.
    pub releases: Store<ReleaseRow, Key>,
    /// Deployments.
    pub deployments: Store<DeploymentRow>,
    /// ReplicaSets, by the uid of their owner.
    pub replica_sets: Store<ReplicaSetRow, Uid>,
    /// Pods, by the uid of their owner.
    pub pods: Store<PodRow, Uid>,
    /// Autoscalers, by the Deployment that they scale.
    pub autoscalers: Store<HpaRow, Key>,
}

/// The tasks that keep a [`Cluster`] up to date, and what they say of themselves.
pub struct Watches {
    /// One endless task per kind.
    pub tasks: Vec<BoxFuture<'static, ()>>,
    /// One status per kind.
    pub statuses: Vec<WatchStatus>,
}

/// The Deployment that a service claims.
#[must_use]
pub fn target_key(row: &AppRow) -> Key {
    Key::new(row.key().namespace.clone(), row.object.target.clone())
}

fn service_of(row: &ReleaseRow) -> Key {
    Key::new(row.key().namespace.clone(), row.object.app.clone())
}

impl Cluster {
    /// Empty stores.
    #[must_use]
    pub fn new() -> Self {
        Self {
            apps: Store::indexed(|row, out| out.push(target_key(row))),
            policies: Store::new(),
            releases: Store::indexed(|row, out| out.push(service_of(row))),
            deployments: Store::new(),
            replica_sets: Store::indexed(|row, out| {
                out.extend(row.identity.owner.as_ref().map(|owner| owner.uid));
            }),
            pods: Store::indexed(|row, out| out.extend(row.owner.as_ref().map(|owner| owner.uid))),
            autoscalers: Store::indexed(|row, out| {
                if &*row.target_kind == "Deployment" {
                    out.push(Key::new(row.identity.key.namespace.clone(), row.target_name.clone()));
                }
            }),
        }
    }

    /// Whether every kind has been listed once.
    #[must_use]
    pub fn synced(&self) -> bool {
        self.apps.synced()
            && self.policies.synced()
            && self.releases.synced()
            && self.deployments.synced()
            && self.replica_sets.synced()
            && self.pods.synced()
            && self.autoscalers.synced()
    }

    /// Waits until every kind has been listed once.
    pub async fn wait_synced(&self) {
        self.apps.wait_synced().await;
        self.policies.wait_synced().await;
        self.releases.wait_synced().await;
        self.deployments.wait_synced().await;
        self.replica_sets.wait_synced().await;
        self.pods.wait_synced().await;
        self.autoscalers.wait_synced().await;
    }

    /// Starts to watch. Every change marks the Deployments that it concerns.
    #[must_use]
    pub fn watch(&self, api: &Api, dirty: &Dirty, dirty_policies: &Dirty) -> Watches {
        let interner = Interner::new();
        let mut watches = Watches { tasks: Vec::new(), statuses: Vec::new() };
        let cluster = self.clone();
        let apps = Apps::new(interner.clone());
        watches.add(api, MANAGED_APPS, apps, self.apps.clone(), dirty, |row| vec![target_key(row)]);
        let releases = Releases::new(interner.clone());
        watches.add(api, APP_RELEASES, releases, self.releases.clone(), dirty, {
            let cluster = cluster.clone();
            move |row| cluster.targets_of_service(&service_of(row))
        });
        watches.add(api, FLEET_POLICIES, PoliciesOf, self.policies.clone(), dirty, {
            let cluster = cluster.clone();
            let dirty_policies = dirty_policies.clone();
            move |policy| {
                dirty_policies.mark(policy.key().clone());
                cluster.apps.read().iter().map(|app| target_key(app)).collect()
            }
        });
        let deployments = DeploymentProjection::new(interner.clone());
        watches.add(api, DEPLOYMENTS, deployments, self.deployments.clone(), dirty, |row| {
            vec![row.key().clone()]
        });
        let sets = ReplicaSetProjection::new(interner.clone());
        watches.add(api, REPLICA_SETS, sets, self.replica_sets.clone(), dirty, |row| {
            owning_deployment(row).into_iter().collect()
        });
        let pods = PodProjection::new(interner.clone());
        watches.add(api, PODS, pods, self.pods.clone(), dirty, {
            let cluster = cluster.clone();
            move |row| cluster.target_of_pod(row).into_iter().collect()
        });
        watches.add(api, HPAS, HpaProjection::new(interner), self.autoscalers.clone(), dirty, |row| {
            vec![Key::new(row.identity.key.namespace.clone(), row.target_name.clone())]
        });
        watches
    }

    fn targets_of_service(&self, service: &Key) -> Vec<Key> {
        self.apps.get(service).map(|app| target_key(&app)).into_iter().collect()
    }

    fn target_of_pod(&self, pod: &PodRow) -> Option<Key> {
        let owner = pod.owner.as_ref()?;
        let set = self.replica_sets.get(&Key::new(pod.key.namespace.clone(), owner.name.clone()))?;
        owning_deployment(&set)
    }
}

impl Default for Cluster {
    fn default() -> Self {
        Self::new()
    }
}

fn owning_deployment(set: &ReplicaSetRow) -> Option<Key> {
    let owner = set.identity.owner.as_ref().filter(|owner| &*owner.kind == "Deployment")?;
    Some(Key::new(set.identity.key.namespace.clone(), owner.name.clone()))
}

impl Watches {
    fn add<P: Project, I: Ord + Send + Sync + 'static>(
        &mut self,
        api: &Api,
        resource: &'static Resource,
        projection: P,
        store: Store<P::Row, I>,
        dirty: &Dirty,
        concerns: impl Fn(&P::Row) -> Vec<Key> + Send + 'static,
    ) {
        let events = watch(api.clone(), resource, Scope::all(), projection);
        self.statuses.push(events.status());
        let dirty = dirty.clone();
        let mark = move |old: Option<&P::Row>, new: Option<&P::Row>| {
            for key in old.into_iter().chain(new).flat_map(&concerns) {
                dirty.mark(key);
            }
        };
        self.tasks.push(store.drive(events, mark).boxed());
    }
}
