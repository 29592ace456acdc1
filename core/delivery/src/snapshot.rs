//! Everything a plan may look at: plain values, gathered by a shell that decides nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::finding::Finding;
use crate::names::{Claim, Phase};
use crate::plan::AppStatus;
use crate::rule::Rule;

/// One service at one instant.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'a> {
    /// The instant.
    pub now: Timestamp,
    /// The service.
    pub app: &'a App,
    /// What policy and the service's own spec come to.
    pub settings: &'a Settings,
    /// The Deployment, if it exists.
    pub target: Option<&'a Target>,
    /// ReplicaSets whose controller is the target, in any order.
    pub replica_sets: &'a [ReplicaSet],
    /// Pods of those ReplicaSets.
    pub pods: &'a [Pod],
    /// Releases of the service, ascending by number.
    pub releases: &'a [Release],
    /// Findings on the release in flight; empty where there is none.
    pub findings: &'a [Finding],
}

/// The service as its `ManagedApp` says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct App {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Generation of the spec.
    pub generation: i64,
    /// What is wrong with its spec, with field and cause; a service with problems is not touched.
    pub problems: Vec<String>,
    /// Its status as it stands in the API.
    pub status: AppStatus,
}

/// What policy and the service's own spec come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Name of the Deployment.
    pub target: String,
    /// How releases are shipped.
    pub strategy: Strategy,
    /// How long a release is judged after its last pod is ready.
    pub watch: Duration,
    /// Rules in force.
    pub rules: Vec<Rule>,
    /// Chance that a good release is rolled back.
    pub alpha: f64,
    /// How many finished releases are remembered.
    pub history: usize,
    /// Fields that are valid and not acted on by this version.
    pub not_acted_on: Vec<String>,
    /// Who is told.
    pub notify: Notify,
}

/// How releases are shipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Recorded, not judged.
    Rolling,
    /// Let through, judged, restored on FAIL.
    Guarded,
    /// Shipped as [`Strategy::Guarded`] by this version.
    Progressive,
    /// Shipped as [`Strategy::Guarded`] by this version.
    BlueGreen,
}

impl Strategy {
    /// The word in manifests.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Rolling => "Rolling",
            Self::Guarded => "Guarded",
            Self::Progressive => "Progressive",
            Self::BlueGreen => "BlueGreen",
        }
    }

    /// Whether releases are judged.
    #[must_use]
    pub fn judges(self) -> bool {
        self != Self::Rolling
    }
}

/// Which events are told to which destinations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notify {
    /// Destinations by the name that the outbox knows them by: `slack`, `webhook`.
    pub destinations: Vec<String>,
    /// Events to tell; empty means all.
    pub on: Vec<String>,
}

/// A Deployment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Target {
    /// Name.
    pub name: String,
    /// Unique for all time.
    pub uid: String,
    /// Generation of the spec.
    pub generation: i64,
    /// Generation that the Deployment controller has seen.
    pub observed_generation: i64,
    /// Hash of the pod template in the spec.
    pub template_hash: String,
    /// Image of the service container in the spec.
    pub image: String,
    /// Who wrote the template last, by field manager.
    pub template_manager: String,
    /// Pods wanted.
    pub replicas: i32,
    /// Whether rolling out is paused.
    pub paused: bool,
    /// Field manager that owns `spec.paused`; admission's own pause has none.
    pub paused_by: Option<String>,
    /// The claim annotation, if there is one.
    pub claim: Option<Claim>,
    /// Release number that a person gave to the template in the spec.
    pub release_annotation: Option<u64>,
    /// `Recreate` replaces all pods at once, so no two arms exist side by side.
    pub recreate: bool,
    /// Kind and name of an owner that manages this Deployment.
    pub owner: Option<String>,
    /// Name of an autoscaler that writes its replicas.
    pub autoscaler: Option<String>,
    /// The Deployment controller gave up waiting for progress; its message.
    pub progress_deadline_exceeded: Option<String>,
    /// The Deployment's `deployment.kubernetes.io/revision`.
    pub revision: Option<u64>,
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
    /// Its phase label.
    pub phase: Option<Phase>,
    /// Whether it is ready.
    pub ready: bool,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// When its containers first started.
    pub started_at: Option<Timestamp>,
    /// Restarts by container.
    pub restarts: BTreeMap<String, u32>,
    /// Containers that are terminated and not restarted yet (each is one crash that `restarts` does not count yet).
    pub terminated: Vec<String>,
    /// Reason of the last crash: `OOMKilled`, `Error (exit 101)`.
    pub last_crash: Option<String>,
    /// Why a container does not start: `ImagePullBackOff`, `CrashLoopBackOff`.
    pub waiting: Option<String>,
}

/// A release of the service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Release {
    /// Its number.
    pub number: u64,
    /// Hash of its template; `None` while a person has numbered a release that the cluster has not shown yet.
    pub template_hash: Option<String>,
    /// Its image.
    pub image: String,
    /// Who released it.
    pub actor: String,
    /// When the object was created.
    pub created_at: Option<Timestamp>,
    /// Number of the release whose template it brings back.
    pub rollback_to: Option<u64>,
    /// What a person decided.
    pub decision: Option<Decision>,
    /// What became of it.
    pub status: ReleaseStatus,
}

/// What a person decided about a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Keep it, or roll it back.
    pub keep: Keep,
    /// Who.
    pub actor: String,
    /// Why.
    pub because: String,
}

/// The two things a person can decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Keep the release, whatever the evidence says.
    Keep,
    /// Bring back the previous one now.
    RollBack,
}

/// What became of a release.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReleaseStatus {
    /// Where it stands.
    pub phase: ReleasePhase,
    /// One line for people.
    pub summary: String,
    /// How it was judged.
    pub verdict: Option<trimtab_stats::verdict::Verdict>,
    /// Kept although the evidence could not tell.
    pub low_evidence: bool,
    /// Its template is held at admission.
    pub held: bool,
    /// When it was first seen.
    pub started_at: Option<Timestamp>,
    /// When its last pod became ready.
    pub ready_at: Option<Timestamp>,
    /// When the verdict fell.
    pub decided_at: Option<Timestamp>,
    /// When the service ran on the previous release again.
    pub recovered_at: Option<Timestamp>,
    /// How often the previous template was restored.
    pub restores: u32,
    /// Trimtab could not go on alone, and has said so.
    pub needs_human: bool,
    /// Evidence at the time of the last write.
    pub findings: Vec<Finding>,
    /// Requests that failed because of it.
    pub harmed: Option<f64>,
    /// Events to tell, in order, each exactly once.
    pub told: Vec<Told>,
}

/// An event that people are told, once per destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// What happened.
    pub event: Happening,
    /// To whom.
    pub destination: String,
    /// How far the message got; opaque to plans, which never change an entry that exists.
    pub state: String,
    /// When it was owed.
    pub at: Option<Timestamp>,
}

/// Things worth telling people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Happening {
    /// A release began.
    Started,
    /// It was kept.
    Kept,
    /// It was rolled back.
    RolledBack,
    /// A rejected template was applied again and is held.
    Held,
    /// Trimtab stopped; a person must decide.
    NeedsHuman,
}

impl Happening {
    /// The word in manifests, events and messages.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Started => "Started",
            Self::Kept => "Kept",
            Self::RolledBack => "RolledBack",
            Self::Held => "Held",
            Self::NeedsHuman => "NeedsHuman",
        }
    }

    /// Reads [`Self::word`].
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Started, Self::Kept, Self::RolledBack, Self::Held, Self::NeedsHuman]
            .into_iter()
            .find(|happening| happening.word() == word)
    }
}

/// Where a release stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReleasePhase {
    /// Numbered by a person; the cluster has not shown its template yet.
    #[default]
    Pending,
    /// Its pods are out and judged.
    Judging,
    /// It failed; the previous template is being restored.
    RollingBack,
    /// The previous release runs again. Its template is rejected until a later release is kept.
    RolledBack,
    /// It stayed.
    Kept,
    /// A later release replaced it before a verdict.
    Superseded,
}

impl ReleasePhase {
    /// The word in the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Judging => "Judging",
            Self::RollingBack => "RollingBack",
            Self::RolledBack => "RolledBack",
            Self::Kept => "Kept",
            Self::Superseded => "Superseded",
        }
    }

    /// Reads [`Self::word`].
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Pending, Self::Judging, Self::RollingBack, Self::RolledBack, Self::Kept, Self::Superseded]
            .into_iter()
            .find(|phase| phase.word() == word)
    }

    /// Whether the release is under way.
    #[must_use]
    pub fn in_flight(self) -> bool {
        matches!(self, Self::Judging | Self::RollingBack)
    }
}

impl<'a> Snapshot<'a> {
    /// The release that was kept last: what the service falls back to.
    #[must_use]
    pub fn current(&self) -> Option<&'a Release> {
        self.releases.iter().rev().find(|release| release.status.phase == ReleasePhase::Kept)
    }

    /// The release under way.
    #[must_use]
    pub fn in_flight(&self) -> Option<&'a Release> {
        self.releases.iter().rev().find(|release| release.status.phase.in_flight())
    }

    /// Releases rolled back since the current one was kept: their templates are held when applied again.
    pub fn rejected(&self) -> impl Iterator<Item = &'a Release> {
        let kept = self.current().map_or(0, |release| release.number);
        self.releases
            .iter()
            .filter(move |release| release.number > kept && release.status.phase == ReleasePhase::RolledBack)
    }

    /// Highest number given so far.
    #[must_use]
    pub fn last_number(&self) -> u64 {
        self.releases.last().map_or(0, |release| release.number)
    }

    /// The arm of a pod while `release` is judged.
    #[must_use]
    pub fn arm(&self, pod: &Pod, release: &Release) -> Phase {
        let hash = self
            .replica_sets
            .iter()
            .find(|set| set.uid == pod.replica_set)
            .map(|set| set.template_hash.as_str());
        if hash.is_some() && hash == release.template_hash.as_deref() { Phase::Canary } else { Phase::Stable }
    }
}
