//! ReplicaSets, by the uid of their owner.

use std::sync::Arc;

use trimtab_units::canonical;

use super::kind::Kind;
use super::workload::{Identity, ReplicaCounts, Workload, revision};
use crate::intern::{Interner, Template};
use crate::resource::{Key, REPLICA_SETS, Resource};
use crate::uid::Uid;
use crate::watch::{Project, ProjectError, Row};

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

impl ReplicaSetRow {
    /// The Deployment that owns it.
    pub fn deployment(&self) -> Option<Key> {
        let owner = self.identity.owner.as_ref().filter(|owner| &*owner.kind == "Deployment")?;
        Some(Key::new(self.identity.key.namespace.clone(), owner.name.clone()))
    }
}

impl Row for ReplicaSetRow {
    fn key(&self) -> &Key {
        &self.identity.key
    }

    fn resource_version(&self) -> u64 {
        self.identity.resource_version
    }
}

/// Makes [`ReplicaSetRow`]s.
#[derive(Clone)]
pub struct ReplicaSets {
    interner: Interner,
}

impl ReplicaSets {
    /// Shares values through `interner`.
    pub fn new(interner: Interner) -> ReplicaSets {
        ReplicaSets { interner }
    }
}

impl Kind for ReplicaSets {
    const RESOURCE: &'static Resource = REPLICA_SETS;

    type Index = Uid;

    fn new(interner: &Interner) -> ReplicaSets {
        ReplicaSets::new(interner.clone())
    }

    fn index(row: &ReplicaSetRow, out: &mut Vec<Uid>) {
        out.extend(row.identity.owner.as_ref().map(|owner| owner.uid));
    }
}

impl Project for ReplicaSets {
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
