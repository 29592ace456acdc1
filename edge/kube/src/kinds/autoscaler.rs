//! HorizontalPodAutoscalers, by the Deployment that they scale.

use std::sync::Arc;

use serde::Deserialize;

use super::kind::Kind;
use super::workload::{Identity, one};
use crate::intern::Interner;
use crate::metadata::{Metadata, Text};
use crate::resource::{HPAS, Key, Resource};
use crate::watch::{Project, ProjectError, Row};

/// The lean row of one HorizontalPodAutoscaler. Counts are pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AutoscalerRow {
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
}

impl AutoscalerRow {
    /// Namespace and name of what it scales, of whatever kind.
    pub fn target(&self) -> Key {
        Key::new(self.identity.key.namespace.clone(), self.target_name.clone())
    }
}

impl Row for AutoscalerRow {
    fn key(&self) -> &Key {
        &self.identity.key
    }

    fn resource_version(&self) -> u64 {
        self.identity.resource_version
    }
}

/// Makes [`AutoscalerRow`]s.
#[derive(Clone)]
pub struct Autoscalers {
    interner: Interner,
}

impl Autoscalers {
    /// Shares values through `interner`.
    pub fn new(interner: Interner) -> Autoscalers {
        Autoscalers { interner }
    }
}

impl Kind for Autoscalers {
    const RESOURCE: &'static Resource = HPAS;

    type Index = Key;

    fn new(interner: &Interner) -> Autoscalers {
        Autoscalers::new(interner.clone())
    }

    fn index(row: &AutoscalerRow, out: &mut Vec<Key>) {
        if &*row.target_kind == "Deployment" {
            out.push(row.target());
        }
    }
}

#[derive(Deserialize)]
struct Hpa<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(borrow)]
    spec: HpaSpec<'a>,
    #[serde(default)]
    status: HpaStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HpaSpec<'a> {
    #[serde(borrow)]
    scale_target_ref: ScaleTarget<'a>,
    #[serde(default = "one")]
    min_replicas: u32,
    max_replicas: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScaleTarget<'a> {
    #[serde(borrow, default)]
    api_version: Text<'a>,
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct HpaStatus {
    current_replicas: u32,
    desired_replicas: u32,
}

impl Project for Autoscalers {
    type Row = AutoscalerRow;

    fn project(&self, object: &[u8]) -> Result<AutoscalerRow, ProjectError> {
        let Hpa { metadata, spec, status } = serde_json::from_slice(object)?;
        let interner = &self.interner;
        Ok(AutoscalerRow {
            identity: Identity::read(&metadata, interner)?,
            target_api_version: interner.text(&spec.scale_target_ref.api_version),
            target_kind: interner.text(&spec.scale_target_ref.kind),
            target_name: interner.text(&spec.scale_target_ref.name),
            min_replicas: spec.min_replicas,
            max_replicas: spec.max_replicas,
            current_replicas: status.current_replicas,
            desired_replicas: status.desired_replicas,
        })
    }
}
