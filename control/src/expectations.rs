//! Reading our own writes: a plan is only made on stores that have seen them.

use std::time::Duration;

use serde_json::Value;
use trimtab_kube::expectations::{self, UNSEEN_TIMEOUT};
use trimtab_kube::resource::DEPLOYMENTS;
use trimtab_kube::{Key, Resource};

use crate::resources::{APP_RELEASES, MANAGED_APPS};

/// Which kind of object was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A `ManagedApp`.
    App,
    /// An `AppRelease`.
    Release,
    /// A Deployment.
    Deployment,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::App, Kind::Release, Kind::Deployment];

    fn resource(self) -> &'static Resource {
        match self {
            Kind::App => MANAGED_APPS,
            Kind::Release => APP_RELEASES,
            Kind::Deployment => DEPLOYMENTS,
        }
    }
}

/// Our last write of each object that the stores have not shown yet.
#[derive(Debug, Default)]
pub struct Expectations(expectations::Expectations);

impl Expectations {
    /// Remembers a write by what the server answered to it.
    pub fn wrote_answer(&self, kind: Kind, key: Key, answer: &Value) {
        self.0.wrote_answer(kind.resource(), key, answer);
    }

    /// Whether a store is still behind any of our last writes; see [`expectations::Expectations::is_any_behind`].
    pub fn is_any_behind(&self, seen: impl Fn(Kind, &Key) -> Option<Option<u64>>) -> bool {
        self.0.is_any_behind(|resource, key| {
            let kind = Kind::ALL.into_iter().find(|kind| kind.resource() == resource)?;
            seen(kind, key)
        })
    }

    /// When to stop waiting, seen from now.
    #[must_use]
    pub fn patience(&self) -> Duration {
        UNSEEN_TIMEOUT
    }
}
