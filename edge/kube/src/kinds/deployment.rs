//! Deployments.

use std::sync::Arc;

use serde_json::Value;

use super::kind::Kind;
use super::workload::{Identity, ReplicaCounts, Strategy, Workload, revision};
use crate::intern::{Interner, LabelSet, Template};
use crate::metadata::{Condition, Metadata};
use crate::resource::{DEPLOYMENTS, Key, Resource};
use crate::uid::Moment;
use crate::watch::{Project, ProjectError, Row};

/// What the Deployment controller says of the rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Neither of the others.
    Underway,
    /// The new ReplicaSet has all pods.
    Complete,
    /// The deadline passed without progress; in its own words.
    DeadlineExceeded(Arc<str>),
}

impl Progress {
    fn read(progressing: Option<&Condition<'_>>, interner: &Interner) -> Progress {
        match progressing.map(|condition| (&*condition.reason, &*condition.message)) {
            Some(("NewReplicaSetAvailable", _)) => Progress::Complete,
            Some(("ProgressDeadlineExceeded", message)) => Progress::DeadlineExceeded(interner.text(message)),
            _ => Progress::Underway,
        }
    }
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
    /// `spec.selector.matchLabels`.
    pub match_labels: LabelSet,
    /// `spec.template`.
    pub template: Arc<Template>,
    /// Field managers that wrote the template, such as `kubectl-client-side-apply`, oldest first.
    pub template_managers: Box<[Arc<str>]>,
    /// Revision number of the current template, once the Deployment controller gave it one.
    pub revision: Option<u64>,
    /// The generation that the status below speaks of.
    pub observed_generation: i64,
    /// Pods the status counts.
    pub status: ReplicaCounts,
    /// How far its rollout is.
    pub progress: Progress,
    /// When its clock of progress began: with the rollout, or with the end of a pause.
    pub progressing_since: Option<Moment>,
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
        let progressing = status.conditions.iter().find(|condition| &*condition.r#type == "Progressing");
        Ok(DeploymentRow {
            identity: Identity::read(&metadata, interner)?,
            replicas: spec.replicas,
            paused: spec.paused,
            paused_manager: paused_manager(&metadata, interner),
            strategy: spec.strategy.read(),
            match_labels: match_labels(&spec.selector, interner),
            template: interner.template(spec.template),
            template_managers: template_managers(&metadata, interner),
            revision: revision(&metadata),
            observed_generation: status.observed_generation,
            status: status.counts,
            progress: Progress::read(progressing, interner),
            progressing_since: progressing.and_then(progressing_since),
        })
    }
}

/// A pause makes the condition unknown, and the progress after it makes it true. In between only its update tells that the
/// pause is over; later updates tell of every pod that becomes ready, the same one again included. One that is false says
/// that the clock ran out.
fn progressing_since(condition: &Condition<'_>) -> Option<Moment> {
    match (&*condition.status, &*condition.reason) {
        ("False", _) => None,
        (_, "DeploymentResumed") => condition.last_update_time,
        _ => condition.last_transition_time,
    }
}

fn match_labels(selector: &Value, interner: &Interner) -> LabelSet {
    let labels = selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten();
    interner.labels(labels.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))))
}

fn template_managers(metadata: &Metadata<'_>, interner: &Interner) -> Box<[Arc<str>]> {
    let mut writers: Vec<_> = metadata.managed_fields().filter(|fields| fields.owned().template).collect();
    writers.sort_by_key(|fields| fields.time);
    writers.iter().map(|fields| interner.text(&fields.manager)).collect()
}

fn paused_manager(metadata: &Metadata<'_>, interner: &Interner) -> Option<Arc<str>> {
    let owner = metadata.managed_fields().find(|fields| fields.owned().paused)?;
    Some(interner.text(&owner.manager))
}
