//! The kinds that are watched: one file a kind, one line in the list below.
//!
//! A kind's file holds its resource, its lean row, the projection that makes rows, and what its store is indexed by. The
//! list makes [`Stores`] (one store a kind) and [`Changed`] (one variant a kind) out of them.

pub mod app_release;
pub mod autoscaler;
pub mod deployment;
pub mod fleet_policy;
pub mod managed_app;
mod own;
mod packed;
pub mod pod;
pub mod replica_set;
mod scope;
mod stores;
mod workload;

pub use self::app_release::{APP_RELEASES, ReleaseFacts, ReleaseRow, Releases};
pub use self::autoscaler::{HpaProjection, HpaRow};
pub use self::deployment::{DeploymentProjection, DeploymentRow, Strategy, TemplateManager};
pub use self::fleet_policy::{FLEET_POLICIES, PoliciesOf, PolicyRow};
pub use self::managed_app::{AppFacts, AppRow, Apps, MANAGED_APPS};
pub use self::own::OwnRow;
pub use self::pod::{PodProjection, PodRow};
pub use self::replica_set::{ReplicaSetProjection, ReplicaSetRow};
pub use self::scope::Namespaces;
use self::stores::kinds;
pub use self::stores::{Unhealthy, Watches};
pub use self::workload::{ConditionRow, Identity, OUR_PREFIX, ReplicaCounts};
use crate::intern::Interner;
use crate::resource::Resource;
use crate::watch::Project;

/// A watched kind, named by the projection that makes its rows.
pub trait Kind: Project + Sized {
    /// Where it lives in the API.
    const RESOURCE: &'static Resource;

    /// What its store is indexed by; `()` for nothing.
    type Index: Ord + Send + Sync + 'static;

    /// The projection, which shares values through `interner`.
    fn new(interner: &Interner) -> Self;

    /// Pushes the index values of a row.
    fn index(row: &Self::Row, out: &mut Vec<Self::Index>);
}

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
