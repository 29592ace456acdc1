//! Our own kinds as resources, and the resource of every kind that a plan may write.

use trimtab_kube::Resource;
use trimtab_kube::resource::{DEPLOYMENTS, EVENTS, PODS, REPLICA_SETS};
use trimtab_plan::Kind;

const GROUP: &str = trimtab_delivery::names::GROUP;
const VERSION: &str = "v1alpha1";

/// `ManagedApp`.
pub const MANAGED_APPS: &Resource = &Resource::new(GROUP, VERSION, "ManagedApp", "managedapps");
/// `AppRelease`.
pub const APP_RELEASES: &Resource = &Resource::new(GROUP, VERSION, "AppRelease", "appreleases");
/// `FleetPolicy`.
pub const FLEET_POLICIES: &Resource =
    &Resource::cluster_scoped(GROUP, VERSION, "FleetPolicy", "fleetpolicies");

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
