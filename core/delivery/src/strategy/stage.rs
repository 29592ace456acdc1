//! What a strategy may look at.

use std::time::Duration;

use jiff::Timestamp;
use trimtab_judge::finding::Finding;
use trimtab_judge::rule::Rule;
use trimtab_workload::{Pod, ReplicaSet, Target};

use crate::release::Release;

/// One release, its workload, and what was measured.
#[derive(Clone, Copy, Debug)]
pub struct Stage<'a> {
    /// The instant.
    pub now: Timestamp,
    /// Namespace of the service.
    pub namespace: &'a str,
    /// The Deployment.
    pub target: &'a Target,
    /// The release.
    pub release: &'a Release,
    /// ReplicaSets of the Deployment.
    pub replica_sets: &'a [ReplicaSet],
    /// Pods of those ReplicaSets.
    pub pods: &'a [Pod],
    /// Rules in force.
    pub rules: &'a [Rule],
    /// What they found.
    pub findings: &'a [Finding],
    /// Since when a question to a metrics server is open, whose answer these findings do not have.
    pub measuring_since: Option<Timestamp>,
    /// How long a release is judged after its last pod is ready.
    pub watch: Duration,
}

impl<'a> Stage<'a> {
    /// Whether the Deployment controller has seen the spec as it is; until then its conditions speak of the one before.
    #[must_use]
    pub fn is_observed(&self) -> bool {
        self.target.observed_generation >= self.target.generation
    }

    /// Whether the set runs the release.
    #[must_use]
    pub fn runs(&self, set: &ReplicaSet) -> bool {
        self.release.template_hash.as_deref() == Some(set.template_hash.as_str())
    }

    /// Pods of the release.
    pub fn own_pods(&self) -> impl Iterator<Item = &'a Pod> {
        let (hash, sets) = (self.release.template_hash.as_deref(), self.replica_sets);
        self.pods.iter().filter(move |pod| hash.is_some() && pod.template_hash(sets) == hash)
    }

    /// Pods of the release that are available.
    #[must_use]
    pub fn available(&self) -> i32 {
        self.replica_sets.iter().filter(|set| self.runs(set)).map(|set| set.available).sum()
    }
}
