//! Deployments.

use std::sync::Arc;

use serde_json::Value;
use trimtab_units::canonical;

use super::kind::Kind;
use super::workload::{ConditionRow, Identity, ReplicaCounts, Strategy, Workload, conditions, revision};
use crate::intern::{Interner, LabelSet, Template};
use crate::metadata::Metadata;
use crate::resource::{DEPLOYMENTS, Key, Resource};
use crate::uid::Moment;
use crate::watch::{Project, ProjectError, Row};

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

impl Row for DeploymentRow {
    fn key(&self) -> &Key {
        &self.identity.key
    }

    fn resource_version(&self) -> u64 {
        self.identity.resource_version
    }
}

/// Makes [`DeploymentRow`]s.
#[derive(Clone)]
pub struct Deployments {
    interner: Interner,
}

impl Deployments {
    /// Shares values through `interner`.
    pub fn new(interner: Interner) -> Deployments {
        Deployments { interner }
    }
}

impl Kind for Deployments {
    const RESOURCE: &'static Resource = DEPLOYMENTS;

    type Index = ();

    fn new(interner: &Interner) -> Deployments {
        Deployments::new(interner.clone())
    }

    fn index(_: &DeploymentRow, _: &mut Vec<()>) {}
}

impl Project for Deployments {
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

fn match_labels(selector: &Value, interner: &Interner) -> LabelSet {
    let labels = selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten();
    interner.labels(labels.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))))
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
