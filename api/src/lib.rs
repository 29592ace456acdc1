//! Wire types of Trimtab's own kinds, and what makes them valid.
//!
//! Reading is lenient: every field is optional, unknown fields are ignored and survive, since only `status` is ever
//! written back. [`resolve`] turns wire values into the domain values of `trimtab_delivery`, with one
//! [`problem::Problem`] per thing that is wrong; the controller's conditions and `trimtab lint` show the same list.

pub mod app_release;
pub mod condition;
pub mod fleet_policy;
pub mod managed_app;
pub mod meta;
pub mod problem;
pub mod resolve;
pub mod rule;

pub use app_release::AppRelease;
pub use fleet_policy::FleetPolicy;
pub use managed_app::ManagedApp;
pub use meta::ObjectMeta;

/// `apiVersion` of our kinds.
pub const API_VERSION: &str = "trimtab.dev/v1alpha1";
