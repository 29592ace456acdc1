//! What Deployments, ReplicaSets and autoscalers have in common. Pod templates stay raw JSON, one copy for a Deployment and
//! its ReplicaSets.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use trimtab_units::IntOrPercent;

use crate::intern::{Interner, LabelSet, Owner, label};
use crate::metadata::{Condition, Metadata};
use crate::resource::Key;
use crate::uid::Uid;
use crate::watch::ProjectError;

/// Annotation with the revision number that the Deployment controller gives to templates.
const REVISION_ANNOTATION: &str = "deployment.kubernetes.io/revision";

/// Annotation with what a person said about a change; kept too.
const CHANGE_CAUSE_ANNOTATION: &str = "kubernetes.io/change-cause";

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
    /// The controlling owner.
    pub owner: Option<Arc<Owner>>,
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

impl Identity {
    pub(super) fn read(metadata: &Metadata<'_>, interner: &Interner) -> Result<Identity, ProjectError> {
        // Many name the same: a `ManagedApp`, the owner of a ReplicaSet, a label.
        let Key { namespace, name } = metadata.key(interner);
        Ok(Identity {
            key: Key { namespace, name: interner.text(&name) },
            uid: metadata.uid,
            resource_version: metadata.version()?,
            generation: metadata.generation,
            owner: metadata.owner(interner),
            annotations: metadata.annotation_set(interner, |key| {
                key.starts_with(OUR_PREFIX) || key == CHANGE_CAUSE_ANNOTATION
            }),
            has_annotations: metadata.has_annotations(),
        })
    }
}

#[derive(Deserialize)]
pub(super) struct Workload<'a> {
    #[serde(borrow)]
    pub(super) metadata: Metadata<'a>,
    pub(super) spec: WorkloadSpec,
    #[serde(borrow, default)]
    pub(super) status: WorkloadStatus<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WorkloadSpec {
    #[serde(default = "one")]
    pub(super) replicas: u32,
    #[serde(default)]
    pub(super) paused: bool,
    #[serde(default)]
    pub(super) strategy: WireStrategy,
    pub(super) selector: Value,
    #[serde(default)]
    pub(super) template: Value,
}

pub(super) const fn one() -> u32 {
    1
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct WireStrategy {
    r#type: String,
    rolling_update: Option<WireRollingUpdate>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct WireRollingUpdate {
    max_surge: Option<IntOrPercent>,
    max_unavailable: Option<IntOrPercent>,
}

impl WireStrategy {
    /// Kubernetes' own defaults: a quarter each way.
    pub(super) fn read(self) -> Strategy {
        let rolling = self.rolling_update.unwrap_or_default();
        match self.r#type.as_str() {
            "Recreate" => Strategy::Recreate,
            _ => Strategy::RollingUpdate {
                max_surge: rolling.max_surge.unwrap_or(IntOrPercent::Percent(25)),
                max_unavailable: rolling.max_unavailable.unwrap_or(IntOrPercent::Percent(25)),
            },
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct WorkloadStatus<'a> {
    pub(super) observed_generation: i64,
    #[serde(flatten)]
    pub(super) counts: ReplicaCounts,
    #[serde(borrow)]
    pub(super) conditions: Vec<Condition<'a>>,
}

pub(super) fn revision(metadata: &Metadata<'_>) -> Option<u64> {
    metadata.annotation(REVISION_ANNOTATION)?.parse().ok()
}
