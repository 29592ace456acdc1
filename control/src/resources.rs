//! Our own kinds, as resources.

use trimtab_kube::Resource;

const GROUP: &str = trimtab_delivery::names::GROUP;
const VERSION: &str = "v1alpha1";

/// `ManagedApp`.
pub const MANAGED_APPS: &Resource = &Resource::new(GROUP, VERSION, "ManagedApp", "managedapps");
/// `AppRelease`.
pub const APP_RELEASES: &Resource = &Resource::new(GROUP, VERSION, "AppRelease", "appreleases");
/// `FleetPolicy`.
pub const FLEET_POLICIES: &Resource =
    &Resource::cluster_scoped(GROUP, VERSION, "FleetPolicy", "fleetpolicies");
