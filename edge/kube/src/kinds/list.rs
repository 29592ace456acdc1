//! The list of watched kinds, and the stores that it makes.

use std::fmt;

use super::app_release::Releases;
use super::autoscaler::HpaProjection;
use super::deployment::DeploymentProjection;
use super::fleet_policy::PoliciesOf;
use super::kind::Kind;
use super::managed_app::Apps;
use super::pod::PodProjection;
use super::replica_set::ReplicaSetProjection;
use super::scope::Namespaces;
use super::stores::{Unhealthy, Watches, kinds, unhealthy};
use crate::intern::Interner;
use crate::watch::WatchStatus;

kinds! {
    /// Services, by the Deployment that they name.
    apps App: Apps;
    /// Releases, by namespace and service.
    releases Release: Releases;
    /// Policies.
    policies Policy: PoliciesOf;
    /// Deployments.
    deployments Deployment: DeploymentProjection;
    /// ReplicaSets, by the uid of their owner.
    replica_sets ReplicaSet: ReplicaSetProjection;
    /// Pods, by the uid of their owner.
    pods Pod: PodProjection;
    /// Autoscalers, by the Deployment that they scale.
    autoscalers Autoscaler: HpaProjection;
}

impl Stores {
    /// The kinds that may not be decided on now, with what is wrong; none where all is well.
    #[must_use]
    pub fn health(&self) -> Vec<Unhealthy> {
        self.statuses.get().map(|statuses| unhealthy(statuses)).unwrap_or_default()
    }

    /// Lists every kind anew by a consistent read; see [`WatchStatus::resync`]. What a store shows then is no older than the
    /// call.
    pub async fn resync(&self) {
        let statuses = self.statuses.get().into_iter().flatten();
        futures::future::join_all(statuses.map(WatchStatus::resync)).await;
    }
}

impl Default for Stores {
    fn default() -> Stores {
        Stores::new()
    }
}

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stores").field("unhealthy", &self.health()).finish_non_exhaustive()
    }
}
