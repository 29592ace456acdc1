//! What every controller stands on.

use serde_json::Value;
use trimtab_kube::expectations::Expectations;
use trimtab_kube::kinds::{Deployments, ReplicaSets, Stores};
use trimtab_kube::{Api, Clock, Key, Resource};
use trimtab_plan::{Copied, Kind};

use crate::seals::Seals;
use crate::standing::Standing;

/// What every controller stands on. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// The API, fenced by the lease.
    pub api: Api,
    /// Time.
    pub clock: Clock,
    /// What the cluster looks like.
    pub stores: Stores,
    /// Whether this process may decide.
    pub standing: Standing,
    /// Our own writes that the stores have not shown yet, of all controllers: they read one another's.
    pub expectations: Expectations,
    /// The key that tells our own records.
    pub seals: Seals,
}

/// Objects that a plan is made on: it is not made while a store is behind our own last write of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reads {
    /// One object.
    One(&'static Resource, Key),
    /// Every object of a namespace whose name begins so and ends with a number, also those that no store has shown yet.
    Numbered {
        /// Their kind.
        resource: &'static Resource,
        /// Their namespace, and how their names begin.
        prefix: Key,
    },
}

impl Reads {
    /// The namespace that they are in; empty for objects without one.
    pub(crate) fn namespace(&self) -> &str {
        let (Self::One(_, key) | Self::Numbered { prefix: key, .. }) = self;
        &key.namespace
    }
}

impl Context {
    /// Whether a store is behind our own last write of anything among `reads`.
    #[must_use]
    pub fn is_behind(&self, reads: &[Reads]) -> bool {
        reads.iter().any(|reads| match reads {
            Reads::One(resource, key) => {
                self.expectations.is_behind(resource, key, |key| self.stores.version(resource, key))
            }
            Reads::Numbered { resource, prefix } => {
                let shown = |key: &Key| self.stores.version(resource, key);
                self.expectations.is_any_numbered_behind(resource, prefix, shown)
            }
        })
    }

    /// The template of a Deployment or a ReplicaSet, where a store holds it.
    pub(crate) fn known(&self, copy: &Copied) -> Option<Value> {
        let key = Key::new(copy.from.namespace.as_deref()?, copy.from.name.as_str());
        match copy.from.kind {
            Kind::DEPLOYMENT => Some(self.stores.of::<Deployments>().get(&key)?.template.value()),
            Kind::REPLICA_SET => Some(self.stores.of::<ReplicaSets>().get(&key)?.template.as_ref()?.value()),
            _ => None,
        }
    }
}
