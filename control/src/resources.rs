//! Our own kinds, as resources.

pub use trimtab_kube::kinds::{APP_RELEASES, FLEET_POLICIES, MANAGED_APPS};
