//! From the JSON of workloads to their rows.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use trimtab_units::{IntOrPercent, canonical};

use super::{
    ConditionRow, DeploymentRow, HpaRow, Identity, JsonRow, OUR_PREFIX, ReplicaCounts, ReplicaSetRow,
    Strategy, TemplateManager,
};
use crate::intern::{Interner, LabelSet};
use crate::metadata::{Condition, Metadata, Text};
use crate::resource::Resource;
use crate::watch::{Project, ProjectError};

/// Annotation with the revision number that the Deployment controller gives to templates.
const REVISION_ANNOTATION: &str = "deployment.kubernetes.io/revision";

/// Annotation with what a person said about a change; kept too.
const CHANGE_CAUSE_ANNOTATION: &str = "kubernetes.io/change-cause";

macro_rules! projections {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        $($(#[$doc])*
        #[derive(Clone)]
        pub struct $name {
            interner: Interner,
        }

        impl $name {
            /// Shares values through `interner`.
            pub fn new(interner: Interner) -> $name {
                $name { interner }
            }
        })*
    };
}

projections! {
    /// Makes [`DeploymentRow`]s.
    DeploymentProjection;
    /// Makes [`ReplicaSetRow`]s.
    ReplicaSetProjection;
    /// Makes [`HpaRow`]s.
    HpaProjection;
}

impl Identity {
    fn read(metadata: &Metadata<'_>, interner: &Interner) -> Result<Identity, ProjectError> {
        Ok(Identity {
            key: metadata.key(interner),
            uid: metadata.uid,
            resource_version: metadata.version()?,
            generation: metadata.generation,
            created: metadata.creation_timestamp,
            deletion: metadata.deletion_timestamp,
            owner: metadata.owner(interner),
            labels: metadata.label_set(interner),
            annotations: metadata.annotation_set(interner, |key| {
                key.starts_with(OUR_PREFIX) || key == CHANGE_CAUSE_ANNOTATION
            }),
            has_annotations: metadata.has_annotations(),
        })
    }
}

impl ConditionRow {
    fn read(condition: &Condition<'_>, interner: &Interner) -> ConditionRow {
        ConditionRow {
            kind: interner.text(&condition.r#type),
            status: interner.text(&condition.status),
            reason: interner.text(&condition.reason),
            message: Arc::from(&*condition.message),
            changed: condition.last_transition_time,
            updated: condition.last_update_time,
        }
    }
}

#[derive(Deserialize)]
struct Workload<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    spec: WorkloadSpec,
    #[serde(borrow, default)]
    status: WorkloadStatus<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WorkloadSpec {
    #[serde(default = "one")]
    replicas: u32,
    #[serde(default)]
    paused: bool,
    #[serde(default)]
    strategy: WireStrategy,
    #[serde(default)]
    min_ready_seconds: u32,
    #[serde(default = "ten_minutes")]
    progress_deadline_seconds: u32,
    #[serde(default = "ten")]
    revision_history_limit: u32,
    selector: Value,
    #[serde(default)]
    template: Value,
}

const fn one() -> u32 {
    1
}

const fn ten() -> u32 {
    10
}

const fn ten_minutes() -> u32 {
    600
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WireStrategy {
    r#type: String,
    rolling_update: Option<WireRollingUpdate>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WireRollingUpdate {
    max_surge: Option<IntOrPercent>,
    max_unavailable: Option<IntOrPercent>,
}

impl WireStrategy {
    /// Kubernetes' own defaults: a quarter each way.
    fn read(self) -> Strategy {
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
struct WorkloadStatus<'a> {
    observed_generation: i64,
    #[serde(flatten)]
    counts: ReplicaCounts,
    #[serde(borrow)]
    conditions: Vec<Condition<'a>>,
}

impl Project for DeploymentProjection {
    type Row = DeploymentRow;

    fn project(&self, object: &[u8]) -> Result<DeploymentRow, ProjectError> {
        let Workload { metadata, spec, status } = serde_json::from_slice(object)?;
        let interner = &self.interner;
        Ok(DeploymentRow {
            identity: Identity::read(&metadata, interner)?,
            replicas: spec.replicas,
            paused: spec.paused,
            paused_manager: paused_manager(&metadata, interner),
            strategy: spec.strategy.read(),
            min_ready_seconds: spec.min_ready_seconds,
            progress_deadline_seconds: spec.progress_deadline_seconds,
            revision_history_limit: spec.revision_history_limit,
            selector: interner.text(&canonical::to_string(&spec.selector)),
            match_labels: match_labels(&spec.selector, interner),
            template: interner.template(spec.template),
            template_managers: template_managers(&metadata, interner),
            revision: revision(&metadata),
            observed_generation: status.observed_generation,
            status: status.counts,
            conditions: conditions(&status.conditions, interner),
        })
    }
}

impl Project for ReplicaSetProjection {
    type Row = ReplicaSetRow;

    fn project(&self, object: &[u8]) -> Result<ReplicaSetRow, ProjectError> {
        let Workload { metadata, spec, status } = serde_json::from_slice(object)?;
        let interner = &self.interner;
        Ok(ReplicaSetRow {
            identity: Identity::read(&metadata, interner)?,
            replicas: spec.replicas,
            min_ready_seconds: spec.min_ready_seconds,
            selector: interner.text(&canonical::to_string(&spec.selector)),
            template: interner.template(spec.template),
            revision: revision(&metadata),
            observed_generation: status.observed_generation,
            status: status.counts,
        })
    }
}

fn match_labels(selector: &Value, interner: &Interner) -> LabelSet {
    let labels = selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten();
    interner.labels(labels.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))))
}

fn revision(metadata: &Metadata<'_>) -> Option<u64> {
    metadata.annotation(REVISION_ANNOTATION)?.parse().ok()
}

fn template_managers(metadata: &Metadata<'_>, interner: &Interner) -> Box<[TemplateManager]> {
    let writers = metadata.managed_fields().filter(|fields| fields.owned().template);
    let mut managers: Vec<TemplateManager> = writers
        .map(|fields| TemplateManager {
            manager: interner.text(&fields.manager),
            operation: interner.text(&fields.operation),
            time: fields.time,
        })
        .collect();
    managers.sort_by_key(|manager| manager.time);
    managers.into()
}

fn paused_manager(metadata: &Metadata<'_>, interner: &Interner) -> Option<Arc<str>> {
    let owner = metadata.managed_fields().find(|fields| fields.owned().paused)?;
    Some(interner.text(&owner.manager))
}

fn conditions(conditions: &[Condition<'_>], interner: &Interner) -> Box<[ConditionRow]> {
    conditions.iter().map(|condition| ConditionRow::read(condition, interner)).collect()
}

#[derive(Deserialize)]
struct Hpa<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(borrow)]
    spec: HpaSpec<'a>,
    #[serde(borrow, default)]
    status: HpaStatus<'a>,
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
struct HpaStatus<'a> {
    current_replicas: u32,
    desired_replicas: u32,
    #[serde(borrow)]
    conditions: Option<Vec<Condition<'a>>>,
}

impl Project for HpaProjection {
    type Row = HpaRow;

    fn project(&self, object: &[u8]) -> Result<HpaRow, ProjectError> {
        let Hpa { metadata, spec, status } = serde_json::from_slice(object)?;
        let interner = &self.interner;
        Ok(HpaRow {
            identity: Identity::read(&metadata, interner)?,
            target_api_version: interner.text(&spec.scale_target_ref.api_version),
            target_kind: interner.text(&spec.scale_target_ref.kind),
            target_name: interner.text(&spec.scale_target_ref.name),
            min_replicas: spec.min_replicas,
            max_replicas: spec.max_replicas,
            current_replicas: status.current_replicas,
            desired_replicas: status.desired_replicas,
            conditions: conditions(status.conditions.as_deref().unwrap_or_default(), interner),
        })
    }
}

/// Makes [`JsonRow`]s of one kind.
#[derive(Clone)]
pub struct JsonProjection {
    interner: Interner,
    resource: &'static Resource,
}

impl JsonProjection {
    /// Rows of `resource`, sharing labels through `interner`.
    pub fn new(resource: &'static Resource, interner: Interner) -> JsonProjection {
        JsonProjection { interner, resource }
    }
}

impl Project for JsonProjection {
    type Row = JsonRow;

    fn project(&self, object: &[u8]) -> Result<JsonRow, ProjectError> {
        #[derive(Deserialize)]
        struct Object<'a> {
            #[serde(borrow)]
            metadata: Metadata<'a>,
        }
        let Object { metadata } = serde_json::from_slice(object)?;
        let identity = Identity::read(&metadata, &self.interner)?;
        let mut object: Value = serde_json::from_slice(object)?;
        // Items of a list come without them.
        object["apiVersion"] = Value::from(self.resource.api_version());
        object["kind"] = Value::from(&*self.resource.kind);
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
        Ok(JsonRow { identity, object: serde_json::value::to_raw_value(&object)?.into() })
    }
}
