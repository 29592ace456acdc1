//! ReplicaSets, by the uid of their owner.

use std::num::NonZeroU64;
use std::sync::Arc;

use trimtab_units::{TemplateHash, template_hash};

use super::kind::Kind;
use super::workload::{Workload, revision};
use crate::intern::{Interner, Owner, Template};
use crate::resource::{Key, REPLICA_SETS, Resource};
use crate::uid::Uid;
use crate::watch::{Project, ProjectError, Row};

/// The lean row of one ReplicaSet: a Deployment keeps ten old ones beside the one that runs. Counts are pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaSetRow {
    /// Namespace and name.
    pub key: Key,
    /// Which incarnation.
    pub uid: Uid,
    /// Version of the object this was read from.
    pub resource_version: u64,
    /// The controlling owner.
    pub owner: Option<Arc<Owner>>,
    /// Desired pods.
    pub replicas: u32,
    /// Pods ready for `minReadySeconds`.
    pub available: u32,
    /// Revision number, if a Deployment owns it.
    pub revision: Option<NonZeroU64>,
    /// Hash of its pod template.
    pub template_hash: TemplateHash,
    /// `spec.template`, without the `pod-template-hash` label; `None` where it has no pods and wants none: whoever needs an
    /// old template reads it from the API server.
    pub template: Option<Arc<Template>>,
}

impl ReplicaSetRow {
    /// The Deployment that owns it.
    pub fn deployment(&self) -> Option<Key> {
        let owner = self.owner.as_ref().filter(|owner| &*owner.kind == "Deployment")?;
        Some(Key::new(self.key.namespace.clone(), owner.name.clone()))
    }
}

impl Row for ReplicaSetRow {
    fn key(&self) -> &Key {
        &self.key
    }

    fn resource_version(&self) -> u64 {
        self.resource_version
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
        out.extend(row.owner.as_ref().map(|owner| owner.uid));
    }
}

impl Project for ReplicaSets {
    type Row = ReplicaSetRow;

    fn project(&self, object: &[u8]) -> Result<ReplicaSetRow, ProjectError> {
        let Workload { metadata, spec, status } = serde_json::from_slice(object)?;
        let interner = &self.interner;
        let has_pods = spec.replicas > 0 || status.counts.replicas > 0;
        let (hash, template) = if has_pods {
            let shared = interner.template(spec.template);
            (shared.hash, Some(shared))
        } else {
            (template_hash(&spec.template), None)
        };
        let mut key = metadata.key(interner);
        if has_pods {
            // Its pods name it.
            key.name = interner.text(&key.name);
        }
        Ok(ReplicaSetRow {
            key,
            uid: metadata.uid,
            resource_version: metadata.version()?,
            owner: metadata.owner(interner),
            replicas: spec.replicas,
            available: status.counts.available,
            revision: revision(&metadata).and_then(NonZeroU64::new),
            template_hash: hash,
            template,
        })
    }
}
