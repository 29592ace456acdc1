//! Everything a plan may look at: plain values, gathered by a shell that decides nothing.

use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::Timestamp;
use trimtab_judge::binding::Bound;
use trimtab_judge::finding::Finding;
use trimtab_workload::{Arm, Pod, ReplicaSet, Target};

use crate::deadline::after;
use crate::strategy::Stage;

pub use crate::app::{App, AppPhase, AppStatus, Condition, Rejected, Transition};
pub use crate::release::{
    Decision, Keep, MessageState, OutboxEntry, Release, ReleaseEvent, ReleasePhase, ReleaseStatus,
};
pub use crate::settings::{Notify, Settings};

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
    /// Records that do not count as releases, and why.
    pub refused: &'a [String],
    /// Numbers in a row whose names are held by something that is no release of the service.
    pub taken: &'a [RangeInclusive<u64>],
    /// Findings on the release that is judged; empty where there is none.
    pub findings: &'a [Finding],
    /// Since when a question to a metrics server is open, whose answer these findings do not have; `None` where they are as
    /// new as they should be.
    pub measuring_since: Option<Timestamp>,
    /// Whether the rules find series of the pods as they are.
    pub binding: &'a Binding,
}

/// Whether the rules find their series, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Binding {
    /// Nobody asked just now: what was said before stands.
    #[default]
    NotAsked,
    /// The rules have changed, and nobody has answered for all of them yet.
    Changed,
    /// What came of asking.
    Found(Bound),
}

/// When the rejection of `release` is forgotten.
fn forgotten_at(release: &Release) -> Option<Timestamp> {
    release.status.decided_at.or(release.created_at).map(|at| after(at, REJECTED_FOR))
}

impl<'a> Snapshot<'a> {
    /// Now, as it is written down: in whole seconds, which is how finely Kubernetes tells time and how records are read back.
    pub fn recorded_at(&self) -> Timestamp {
        Timestamp::from_second(self.now.as_second()).expect("a whole second of a time that is in range")
    }

    /// Releases of the Deployment as it is. What was released to another one (it was deleted and made again, or the service
    /// names another) says nothing about this one, and is never restored on it.
    pub fn own_releases(&self) -> impl DoubleEndedIterator<Item = &'a Release> + Clone + use<'a> {
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

    /// What `release` falls back to: what was kept last beside it. That is a later one where a template that was rejected
    /// long ago came back, and never one whose template was rejected since.
    #[must_use]
    pub fn before(&self, release: &Release) -> Option<&'a Release> {
        let rejected: Vec<&Option<String>> = self.rejected().map(|other| &other.template_hash).collect();
        self.own_releases()
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
            && !current.is_rollback(self.own_releases())
            && self.now < after(decided_at, WATCH_ON)
            && self.before(current).is_some();
        watched.then_some(current)
    }

    /// The releases whose templates are held when they are applied again: those that were rolled back and are still
    /// remembered, the newest [`REJECTED_MAX`] of them.
    pub fn rejected(&self) -> impl Iterator<Item = &'a Release> {
        let remembered: Vec<&Release> =
            self.own_releases().filter(|release| self.is_remembered(release)).collect();
        let surplus = remembered.len().saturating_sub(REJECTED_MAX);
        remembered.into_iter().skip(surplus)
    }

    /// A rejection is remembered for [`REJECTED_FOR`], and longer where the spec holds its template just now: nothing
    /// ships because a month is over. A person lifts it by keeping the release, or a later one of the same template.
    fn is_remembered(&self, release: &Release) -> bool {
        if release.status.phase != ReleasePhase::RolledBack {
            return false;
        }
        let over = forgotten_at(release).is_some_and(|at| at <= self.now);
        !self.is_lifted(release) && (release.status.held || !over)
    }

    /// Whether a later release was kept that lifts the rejection of `release`.
    pub(crate) fn is_lifted(&self, release: &Release) -> bool {
        let wanted = release.decision.as_ref().is_some_and(|decision| decision.keep == Keep::Keep);
        let mut kept = self
            .own_releases()
            .filter(|other| other.status.phase == ReleasePhase::Kept && other.number > release.number);
        kept.any(|other| {
            wanted || (other.template_hash.is_some() && other.template_hash == release.template_hash)
        })
    }

    /// When the next rejection is forgotten.
    pub(crate) fn forgets_at(&self) -> Option<Timestamp> {
        self.rejected().filter_map(forgotten_at).filter(|at| *at > self.now).min()
    }

    /// What a strategy may look at while `release` is out on `target`.
    pub(crate) fn stage(&self, target: &'a Target, release: &'a Release) -> Stage<'a> {
        Stage {
            namespace: &self.app.namespace,
            now: self.now,
            target,
            release,
            replica_sets: self.replica_sets,
            pods: self.pods,
            rules: &self.settings.rules,
            findings: self.findings,
            measuring_since: self.measuring_since,
            watch: self.settings.watch,
        }
    }

    /// Highest number given so far, also where its record is gone.
    #[must_use]
    pub fn last_number(&self) -> u64 {
        let recorded = self.releases.last().map_or(0, |release| release.number);
        recorded.max(self.app.status.last_release.unwrap_or_default())
    }

    /// The first number from `at_least` on that is higher than every other and free.
    #[must_use]
    pub fn free_number(&self, at_least: u64) -> u64 {
        let first = at_least.max(self.last_number().saturating_add(1));
        let mut number = first;
        while let Some(taken) = self.taken.iter().find(|taken| taken.contains(&number)) {
            let Some(next) = taken.end().checked_add(1) else { return first };
            number = next;
        }
        number
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
        pod.template_hash(self.replica_sets)
    }

    /// The arm of a pod while `release` is judged.
    #[must_use]
    pub fn arm(&self, pod: &Pod, release: &Release) -> Arm {
        let hash = self.template_hash(pod);
        if hash.is_some() && hash == release.template_hash.as_deref() { Arm::Canary } else { Arm::Stable }
    }
}
