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
    /// Records that do not count as releases, and why.
    pub refused: &'a [String],
    /// Numbers whose names are held by something that is no release of the service.
    pub taken: &'a [u64],
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
    /// The Deployment controller saw every pod of a template available at one time; of this template, once
    /// `observed_generation` says that it has seen it.
    pub rolled_out: bool,
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
    /// Whether it is over: evicted, or shut down with its node. Such a pod stays listed, is replaced, and counts nowhere.
    pub ended: bool,
    /// When its containers first started.
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

/// `at` plus `span`, saturating: a deadline beyond the calendar is as good as never.
pub(crate) fn after(at: Timestamp, span: Duration) -> Timestamp {
    let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
    at.checked_add(span).unwrap_or(Timestamp::MAX)
}

impl<'a> Snapshot<'a> {
    /// Releases of the Deployment as it is. What was released to another one (it was deleted and made again, or the service
    /// names another) says nothing about this one, and is never restored on it.
    pub fn own_releases(&self) -> impl DoubleEndedIterator<Item = &'a Release> + use<'a> {
        let uid = self.target.map(|target| target.uid.as_str());
        self.releases.iter().filter(move |release| uid.is_none_or(|uid| !release.is_foreign_to(uid)))
    }

    /// The release that was kept last: what the service falls back to.
    #[must_use]
    pub fn current(&self) -> Option<&'a Release> {
        self.own_releases().rev().find(|release| release.status.phase == ReleasePhase::Kept)
    }

    /// The release under way.
    #[must_use]
    pub fn in_flight(&self) -> Option<&'a Release> {
        self.own_releases().rev().find(|release| release.status.phase.in_flight())
    }

    /// What `release` falls back to: what was kept last before it.
    #[must_use]
    pub fn before(&self, release: &Release) -> Option<&'a Release> {
        self.own_releases()
            .rev()
            .filter(|other| other.number < release.number)
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

    /// Releases rolled back since the current one was kept: their templates are held when applied again.
    pub fn rejected(&self) -> impl Iterator<Item = &'a Release> {
        let kept = self.current().map_or(0, |release| release.number);
        self.own_releases()
            .filter(move |release| release.number > kept && release.status.phase == ReleasePhase::RolledBack)
    }

    /// Highest number given so far.
    #[must_use]
    pub fn last_number(&self) -> u64 {
        self.releases.last().map_or(0, |release| release.number)
    }

    /// The first number from `at_least` on that is higher than every other and free.
    #[must_use]
    pub fn free_number(&self, at_least: u64) -> u64 {
        let first = at_least.max(self.last_number().saturating_add(1));
        (first..=u64::MAX).find(|number| !self.taken.contains(number)).unwrap_or(first)
    }

    /// The record that a person created for `number` and that waits for its template. Numbers only go up: one that was
    /// given before another release began has missed its turn.
    #[must_use]
    pub fn awaited(&self, number: u64) -> Option<&'a Release> {
        let pending = |release: &&Release| release.status.phase == ReleasePhase::Pending;
        let used = self.releases.iter().rev().find(|release| !pending(release)).map_or(0, |last| last.number);
        self.releases.iter().filter(pending).find(|release| release.number == number && number > used)
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
