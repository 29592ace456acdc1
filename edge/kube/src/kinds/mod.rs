//! The kinds that are watched: one file a kind, one line in the list of `list.rs`.
//!
//! A kind's file holds its resource, its lean row, the projection that makes rows, and what its store is indexed by. The
//! list makes [`Stores`] out of them; [`Changed`] is one row of one of them that changed.

pub mod app_release;
pub mod autoscaler;
mod changed;
pub mod deployment;
pub mod fleet_policy;
mod kind;
mod list;
pub mod managed_app;
mod own;
pub mod pod;
pub mod replica_set;
mod scope;
mod stores;
mod trusted;
mod watches;
mod workload;

pub use self::app_release::{APP_RELEASES, ReleaseFacts, ReleaseRow, Releases};
pub use self::autoscaler::{AutoscalerRow, Autoscalers};
pub use self::changed::Changed;
pub use self::deployment::{DeploymentRow, Deployments, Progress};
pub use self::fleet_policy::{FLEET_POLICIES, Policies, PolicyRow};
pub use self::kind::Kind;
pub use self::list::all;
pub use self::managed_app::{AppFacts, AppRow, Apps, MANAGED_APPS};
pub use self::own::OwnRow;
pub use self::pod::{PodRow, Pods};
pub use self::replica_set::{ReplicaSetRow, ReplicaSets};
pub use self::scope::Namespaces;
pub use self::stores::Stores;
pub use self::trusted::Trusted;
pub use self::watches::Watches;
pub use self::workload::{Identity, OUR_PREFIX, ReplicaCounts, Strategy};
