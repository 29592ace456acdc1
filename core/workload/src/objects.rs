//! A Deployment, its ReplicaSets and its pods, as far as decisions look at them.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{AdmissionHold, Arm};

/// A Deployment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Target {
    /// Name.
    pub name: String,
    /// Unique for all time.
    pub uid: String,
    /// Version of the object that this was read from.
    pub version: u64,
    /// Generation of the spec.
    pub generation: i64,
    /// Generation that the Deployment controller has seen.
    pub observed_generation: i64,
    /// Hash of the pod template in the spec.
    pub template_hash: String,
    /// Size of the pod template in the spec as JSON, in bytes.
    pub template_bytes: usize,
    /// Image of the service container in the spec.
    pub image: String,
    /// Labels that its pods are selected by: `spec.selector.matchLabels`.
    pub selector: BTreeMap<String, String>,
    /// Who wrote the template last, by field manager.
    pub template_manager: String,
    /// Whether our own field manager owns fields of the template, as it does after it restored one.
    pub owns_template: bool,
    /// Pods wanted.
    pub replicas: i32,
    /// Whether rolling out is paused.
    pub paused: bool,
    /// Field manager that owns `spec.paused`, whatever value it wrote: see [`Target::paused_by_others`].
    pub paused_by: Option<String>,
    /// What its claim annotation asks of admission; `None` where it has none, and is not claimed.
    pub hold: Option<AdmissionHold>,
    /// The images that the claim tells admission to hold.
    pub held_images: Vec<String>,
    /// The instance that the claim names as its owner.
    pub instance: Option<String>,
    /// Release number that a person gave to the template in the spec.
    pub release_annotation: Option<u64>,
    /// Whether there is such an annotation, whatever it says.
    pub has_release_annotation: bool,
    /// Whether there are any annotations.
    pub has_annotations: bool,
    /// `Recreate` replaces all pods at once, so no two arms exist side by side.
    pub recreate: bool,
    /// Kind and name of an owner that manages this Deployment.
    pub owner: Option<String>,
    /// Name of an autoscaler that writes its replicas.
    pub autoscaler: Option<String>,
    /// The Deployment controller gave up waiting for progress; its message.
    pub progress_deadline_exceeded: Option<String>,
    /// The Deployment controller saw every pod of a template available at one time; of this template, once
    /// `observed_generation` says that it has seen it.
    pub rolled_out: bool,
    /// When the Deployment controller's clock of progress began: with the rollout, or with the end of a pause. None where the
    /// Deployment has no deadline.
    pub progressing_since: Option<Timestamp>,
    /// The Deployment's `deployment.kubernetes.io/revision`.
    pub revision: Option<u64>,
}

impl Target {
    /// Whether `paused` is the admission policy's doing. It says so in the claim when it pauses; who owns the field tells
    /// nothing there, for a manifest that says `paused: false` owns it too. Elsewhere a pause without an owner is
    /// admission's: people and tools leave their name.
    #[must_use]
    pub fn held_by_admission(&self) -> bool {
        match self.hold {
            Some(AdmissionHold::Held) => self.paused,
            Some(AdmissionHold::HoldChanges) => self.paused && self.paused_by.is_none(),
            Some(AdmissionHold::Open) | None => false,
        }
    }

    /// Who paused the Deployment, where it is paused and admission did not do it.
    #[must_use]
    pub fn paused_by_others(&self) -> Option<&str> {
        self.paused_by.as_deref().filter(|_| self.paused && !self.held_by_admission())
    }
}

/// A ReplicaSet of the target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicaSet {
    /// Name: the prefix of its pods' names.
    pub name: String,
    /// Unique for all time.
    pub uid: String,
    /// Hash of its pod template without the pod-template-hash label.
    pub template_hash: String,
    /// Pods wanted.
    pub replicas: i32,
    /// Pods that are available.
    pub available: i32,
}

/// A pod of the target.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pod {
    /// Name.
    pub name: String,
    /// Unique for all time.
    pub uid: String,
    /// Uid of its ReplicaSet.
    pub replica_set: String,
    /// Its arm, as [`ARM_LABEL`](crate::ARM_LABEL) says.
    pub arm: Option<Arm>,
    /// Whether it is ready.
    pub ready: bool,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether it is over: evicted, or shut down with its node. Such a pod stays listed, is replaced, and counts nowhere.
    pub ended: bool,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// When a node took it.
    pub started_at: Option<Timestamp>,
    /// Restarts by container.
    pub restarts: BTreeMap<String, u32>,
    /// Containers that are terminated and not restarted yet (each is one crash that `restarts` does not count yet).
    pub terminated: Vec<String>,
    /// Reason of the last crash: `OOMKilled`, `Error (exit 101)`.
    pub last_crash: Option<String>,
    /// Why its containers do not start: `ImagePullBackOff`, `CrashLoopBackOff`.
    pub waiting: Option<String>,
}

impl Pod {
    /// Its ReplicaSet, where it is one of `sets`.
    #[must_use]
    pub fn set<'a>(&self, sets: &'a [ReplicaSet]) -> Option<&'a ReplicaSet> {
        sets.iter().find(|set| set.uid == self.replica_set)
    }

    /// Hash of the template that it was made from, where its ReplicaSet is one of `sets`.
    #[must_use]
    pub fn template_hash<'a>(&self, sets: &'a [ReplicaSet]) -> Option<&'a str> {
        self.set(sets).map(|set| set.template_hash.as_str())
    }
}
