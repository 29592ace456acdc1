//! Our own kinds as resources, and the resource of every kind that a plan may write.

use trimtab_kube::Resource;
pub use trimtab_kube::kinds::{APP_RELEASES, FLEET_POLICIES, MANAGED_APPS};
use trimtab_kube::resource::{DEPLOYMENTS, EVENTS, PODS, REPLICA_SETS};
use trimtab_plan::Kind;

/// The resource of a kind that plans write.
#[must_use]
pub fn resource(kind: Kind) -> &'static Resource {
    match kind {
        Kind::Deployment => DEPLOYMENTS,
        Kind::ReplicaSet => REPLICA_SETS,
        Kind::Pod => PODS,
        Kind::Event => EVENTS,
        Kind::ManagedApp => MANAGED_APPS,
        Kind::AppRelease => APP_RELEASES,
        Kind::FleetPolicy => FLEET_POLICIES,
    }
}
