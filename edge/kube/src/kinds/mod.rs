//! The kinds that are watched: one file a kind, one line in the list of `list.rs`.
//!
//! A kind's file holds its resource, its lean row, the projection that makes rows, and what its store is indexed by. The
//! list makes [`Stores`] (one store a kind) and [`Changed`] (one variant a kind) out of them.

pub mod app_release;
pub mod autoscaler;
pub mod deployment;
pub mod fleet_policy;
mod kind;
mod list;
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
pub use self::deployment::{DeploymentProjection, DeploymentRow, TemplateManager};
pub use self::fleet_policy::{FLEET_POLICIES, PoliciesOf, PolicyRow};
pub use self::kind::Kind;
pub use self::list::{Changed, Stores};
pub use self::managed_app::{AppFacts, AppRow, Apps, MANAGED_APPS};
pub use self::own::OwnRow;
pub use self::pod::{PodProjection, PodRow};
pub use self::replica_set::{ReplicaSetProjection, ReplicaSetRow};
pub use self::scope::Namespaces;
pub use self::stores::{Unhealthy, Watches};
pub use self::workload::{ConditionRow, Identity, OUR_PREFIX, ReplicaCounts, Strategy};
