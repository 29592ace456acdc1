//! Kubernetes' built-in controllers, as far as deploying and sizing services depends on them.
//!
//! Each is a pure function from the [`cluster::Cluster`] and one key to a [`write::Plan`]; the manager watches, marks what
//! changed, plans and applies. All share one view, as the real ones share their informers, and each writes in its own
//! name.

pub mod cluster;
pub mod deployment;
pub mod disruption;
pub mod endpoints;
pub mod hpa;
mod manager;
pub mod replica_set;
#[cfg(test)]
mod tests;
mod triggers;
pub mod write;

pub use self::manager::{ControllerApis, CpuMeter, run};

/// Which controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Controller {
    /// [`deployment`].
    Deployment,
    /// [`replica_set`].
    ReplicaSet,
    /// [`endpoints`].
    Endpoints,
    /// [`disruption`].
    Disruption,
    /// [`hpa`].
    Hpa,
}
