//! Everything a plan may look at: plain values, gathered by a shell that decides nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::finding::Finding;
use crate::names::{Claim, Phase};
use crate::plan::AppStatus;
use crate::rule::Rule;

pub use crate::release::{Decision, Happening, Keep, Release, ReleasePhase, ReleaseStatus, Told};

/// How long a release that was kept on too little evidence is watched on: traffic that was too thin to tell by day tells
/// within the hour or not at all.
pub const WATCH_ON: Duration = Duration::from_secs(3600);

/// How long a rejected template is remembered: Git may bring it back weeks later.
pub const REJECTED_FOR: Duration = Duration::from_secs(30 * 24 * 3600);
/// Rejections remembered at most for one service; an older one is restored after the fact if it ever comes back.
pub const REJECTED_MAX: usize = 16;

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
    /// Findings on the release that is judged; empty where there is none.
    pub findings: &'a [Finding],
    /// Rules that find no series of the pods as they are; `None` where nobody asked just now.
    pub unbound: Option<&'a [String]>,
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
    /// What is wrong with its spec, with field and cause. The settings are what is left without it.
    pub problems: Vec<String>,
    /// The `ManagedApp` that claims the same Deployment and comes first.
    pub claimed_by: Option<String>,
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
    /// Size of the pod template in the spec as JSON, in bytes.
    pub template_bytes: usize,
    /// Image of the service container in the spec.
    pub image: String,
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
    /// The claim annotation, if there is one.
    pub claim: Option<Claim>,
    /// The images that the claim tells admission to hold.
    pub held_images: Vec<String>,
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

impl Target {
    /// Whether `paused` is the admission policy's doing. It says so in the claim when it pauses; who owns the field tells
    /// nothing there, for a manifest that says `paused: false` owns it too. Elsewhere a pause without an owner is
    /// admission's: people and tools leave their name.
    #[must_use]
    pub fn held_by_admission(&self) -> bool {
        match self.claim {
            Some(Claim::Held) => self.paused,
            Some(Claim::HoldChanges) => self.paused && self.paused_by.is_none(),
            Some(Claim::Open) | None => false,
        }
    }

    /// Who paused the Deployment, where it is paused and admission did not do it.
    #[must_use]
    pub fn paused_by_others(&self) -> Option<&str> {
        self.paused_by.as_deref().filter(|_| self.paused && !self.held_by_admission())
    }
}

/// When the rejection of `release` is forgotten.
fn forgotten_at(release: &Release) -> Option<Timestamp> {
    release.status.decided_at.or(release.created_at).map(|at| after(at, REJECTED_FOR))
}

/// `at` plus `span`, saturating: a deadline beyond the calendar is as good as never.
pub(crate) fn after(at: Timestamp, span: Duration) -> Timestamp {
    let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
    at.checked_add(span).unwrap_or(Timestamp::MAX)
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

    /// What `release` falls back to: what was kept last beside it. That is a later one where a template that was rejected
    /// long ago came back, and never one whose template was rejected since.
    #[must_use]
    pub fn before(&self, release: &Release) -> Option<&'a Release> {
        let rejected: Vec<&Option<String>> = self.rejected().map(|other| &other.template_hash).collect();
        self.releases
            .iter()
            .rev()
            .filter(|other| other.number != release.number && !rejected.contains(&&other.template_hash))
            .find(|other| other.status.phase == ReleasePhase::Kept)
    }

    /// The release that evidence is wanted about: the one under way, or one that was kept on too little evidence.
    #[must_use]
    pub fn judged(&self) -> Option<&'a Release> {
        if !self.settings.strategy.judges() {
            return None;
        }
        let judging = |release: &&Release| {
            release.status.phase == ReleasePhase::Judging && release.status.started_at.is_some()
        };
        match self.in_flight() {
            Some(release) => Some(release).filter(judging),
            None => self.watched_on(),
        }
    }

    /// A release that was kept because the evidence could not tell, and that is watched on for [`WATCH_ON`]. Nothing is
    /// watched that has nothing to fall back to, and nothing that a person wanted.
    fn watched_on(&self) -> Option<&'a Release> {
        let current = self.current()?;
        let decided_at = current.status.decided_at?;
        let watched = current.is_kept_unsure()
            && self.now < after(decided_at, WATCH_ON)
            && self.before(current).is_some();
        watched.then_some(current)
    }

    /// The releases whose templates are held when they are applied again: those that were rolled back and are still
    /// remembered, the newest [`REJECTED_MAX`] of them.
    pub fn rejected(&self) -> impl Iterator<Item = &'a Release> {
        let remembered: Vec<&Release> =
            self.releases.iter().filter(|release| self.is_remembered(release)).collect();
        let surplus = remembered.len().saturating_sub(REJECTED_MAX);
        remembered.into_iter().skip(surplus)
    }

    /// A rejection is remembered for [`REJECTED_FOR`], and longer where the spec holds its template just now: nothing
    /// ships because a month is over. A person lifts it by keeping the release, or a later one of the same template.
    fn is_remembered(&self, release: &Release) -> bool {
        if release.status.phase != ReleasePhase::RolledBack {
            return false;
        }
        let wanted = release.decision.as_ref().is_some_and(|decision| decision.keep == Keep::Keep);
        let mut kept = self
            .releases
            .iter()
            .filter(|other| other.status.phase == ReleasePhase::Kept && other.number > release.number);
        let lifted = kept.any(|other| {
            wanted || (other.template_hash.is_some() && other.template_hash == release.template_hash)
        });
        let over = forgotten_at(release).is_some_and(|at| at <= self.now);
        !lifted && (release.status.held || !over)
    }

    /// When the next rejection is forgotten.
    pub(crate) fn forgets_at(&self) -> Option<Timestamp> {
        self.rejected().filter_map(forgotten_at).filter(|at| *at > self.now).min()
    }

    /// Highest number given so far.
    #[must_use]
    pub fn last_number(&self) -> u64 {
        self.releases.last().map_or(0, |release| release.number)
    }

    /// Hash of the template that a pod was made from.
    #[must_use]
    pub fn template_hash(&self, pod: &Pod) -> Option<&'a str> {
        let set = self.replica_sets.iter().find(|set| set.uid == pod.replica_set)?;
        Some(&set.template_hash)
    }

    /// The arm of a pod while `release` is judged.
    #[must_use]
    pub fn arm(&self, pod: &Pod, release: &Release) -> Phase {
        let hash = self.template_hash(pod);
        if hash.is_some() && hash == release.template_hash.as_deref() { Phase::Canary } else { Phase::Stable }
    }
}
