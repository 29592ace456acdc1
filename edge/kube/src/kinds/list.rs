//! The kinds that every manager reads, one line each.

use super::app_release::Releases;
use super::autoscaler::Autoscalers;
use super::deployment::Deployments;
use super::fleet_policy::Policies;
use super::managed_app::Apps;
use super::pod::Pods;
use super::replica_set::ReplicaSets;
use super::stores::Stores;

/// Empty stores of the kinds that every manager reads. What only some clusters have is added with [`Stores::with`].
#[must_use]
pub fn all() -> Stores {
    Stores::default()
        .with::<Apps>()
        .with::<Releases>()
        .with::<Policies>()
        .with::<Deployments>()
        .with::<ReplicaSets>()
        .with::<Pods>()
        .with::<Autoscalers>()
}
