//! What is kept of Deployments, ReplicaSets, autoscalers, and of our own kinds.
//!
//! Pod templates stay raw JSON, one copy for a Deployment and its ReplicaSets.

mod project;

use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use trimtab_units::IntOrPercent;

pub use self::project::{DeploymentProjection, HpaProjection, JsonProjection, ReplicaSetProjection};
use crate::intern::{LabelSet, Owner, Template, label};
use crate::resource::Key;
use crate::uid::{Moment, Uid};
use crate::watch::Row;

/// Prefix of the annotations that rows keep.
pub const OUR_PREFIX: &str = "trimtab.dev/";

/// What every row of this module knows about its object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Namespace and name.
    pub key: Key,
    /// Which incarnation.
    pub uid: Uid,
    /// Version of the object this was read from.
    pub resource_version: u64,
    /// Counts changes of the spec.
    pub generation: i64,
    /// When it was created.
    pub created: Option<Moment>,
    /// When it is to be gone; `None` unless it is being deleted.
    pub deletion: Option<Moment>,
    /// The controlling owner.
    pub owner: Option<Arc<Owner>>,
    /// All labels.
    pub labels: LabelSet,
    /// Annotations under [`OUR_PREFIX`], and the change cause.
    pub annotations: LabelSet,
    /// Whether there is any annotation, kept or not: a JSON patch adds only to a map that exists.
    pub has_annotations: bool,
}

impl Identity {
    /// The value of one of the kept annotations.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        label(&self.annotations, key)
    }
}

/// A condition of an object's status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionRow {
    /// Type, for example `Progressing`.
    pub kind: Arc<str>,
    /// `True`, `False` or `Unknown`.
    pub status: Arc<str>,
    /// Machine-readable reason, for example `ProgressDeadlineExceeded`.
    pub reason: Arc<str>,
    /// Words for people.
    pub message: Arc<str>,
    /// When `status` last changed.
    pub changed: Option<Moment>,
    /// When anything of it last changed.
    pub updated: Option<Moment>,
}

impl ConditionRow {
    /// Whether it is `True`.
    pub fn is_true(&self) -> bool {
        &*self.status == "True"
    }
}

/// Who wrote the pod template, from the managed fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateManager {
    /// Field manager, for example `kubectl-client-side-apply` or `argocd-controller`.
    pub manager: Arc<str>,
    /// `Apply` or `Update`.
    pub operation: Arc<str>,
    /// When it last wrote.
    pub time: Option<Moment>,
}

/// How a Deployment replaces its pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// A few at a time.
    RollingUpdate {
        /// Pods above the desired count.
        max_surge: IntOrPercent,
        /// Pods below the desired count that may be unready.
        max_unavailable: IntOrPercent,
    },
    /// All old ones first.
    Recreate,
}

/// The lean row of one Deployment. Counts are pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentRow {
    /// Names, versions, labels.
    pub identity: Identity,
    /// Desired pods.
    pub replicas: u32,
    /// `spec.paused`.
    pub paused: bool,
    /// Field manager that owns `spec.paused`; what admission sets has none.
    pub paused_manager: Option<Arc<str>>,
    /// `spec.strategy`.
    pub strategy: Strategy,
    /// `spec.minReadySeconds`.
    pub min_ready_seconds: u32,
    /// `spec.progressDeadlineSeconds`.
    pub progress_deadline_seconds: u32,
    /// `spec.revisionHistoryLimit`.
    pub revision_history_limit: u32,
    /// `spec.selector` in canonical JSON.
    pub selector: Arc<str>,
    /// `spec.selector.matchLabels`.
    pub match_labels: LabelSet,
    /// `spec.template`.
    pub template: Arc<Template>,
    /// Who wrote the template, oldest first.
    pub template_managers: Box<[TemplateManager]>,
    /// Revision number of the current template, once the Deployment controller gave it one.
    pub revision: Option<u64>,
    /// The generation that the status below speaks of.
    pub observed_generation: i64,
    /// Pods the status counts.
    pub status: ReplicaCounts,
    /// `status.conditions`.
    pub conditions: Box<[ConditionRow]>,
}

/// The lean row of one ReplicaSet. Counts are pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaSetRow {
    /// Names, versions, labels.
    pub identity: Identity,
    /// Desired pods.
    pub replicas: u32,
    /// `spec.minReadySeconds`.
    pub min_ready_seconds: u32,
    /// `spec.selector` in canonical JSON.
    pub selector: Arc<str>,
    /// `spec.template`, without the `pod-template-hash` label.
    pub template: Arc<Template>,
    /// Revision number, if a Deployment owns it.
    pub revision: Option<u64>,
    /// The generation that the status below speaks of.
    pub observed_generation: i64,
    /// Pods the status counts.
    pub status: ReplicaCounts,
}

/// What a status says about pods. Fields that a kind does not have are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ReplicaCounts {
    /// Existing.
    pub replicas: u32,
    /// Of the current template.
    #[serde(rename = "updatedReplicas")]
    pub updated: u32,
    /// Ready.
    #[serde(rename = "readyReplicas")]
    pub ready: u32,
    /// Ready for `minReadySeconds`.
    #[serde(rename = "availableReplicas")]
    pub available: u32,
}

/// The lean row of one HorizontalPodAutoscaler. Counts are pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HpaRow {
    /// Names, versions, labels.
    pub identity: Identity,
    /// `apiVersion` of what it scales.
    pub target_api_version: Arc<str>,
    /// Kind of what it scales.
    pub target_kind: Arc<str>,
    /// Name of what it scales, in its own namespace.
    pub target_name: Arc<str>,
    /// `spec.minReplicas`.
    pub min_replicas: u32,
    /// `spec.maxReplicas`.
    pub max_replicas: u32,
    /// `status.currentReplicas`.
    pub current_replicas: u32,
    /// `status.desiredReplicas`.
    pub desired_replicas: u32,
    /// `status.conditions`.
    pub conditions: Box<[ConditionRow]>,
}

/// An object of one of our own kinds, kept whole as raw JSON.
#[derive(Clone, Debug)]
pub struct JsonRow {
    /// Names, versions, labels.
    pub identity: Identity,
    /// The object with `apiVersion` and `kind`, without `metadata.managedFields`.
    pub object: Arc<RawValue>,
}

impl JsonRow {
    /// Reads the object as `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.object.get())
    }
}

macro_rules! rows {
    ($($row:ty),*) => {
        $(impl Row for $row {
            fn key(&self) -> &Key {
                &self.identity.key
            }

            fn resource_version(&self) -> u64 {
                self.identity.resource_version
            }
        })*
    };
}

rows!(DeploymentRow, ReplicaSetRow, HpaRow, JsonRow);
