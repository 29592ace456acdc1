//! Everything a plan may look at: plain values, gathered by a shell that decides nothing.

use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::Timestamp;
use trimtab_judge::binding::Bound;
use trimtab_judge::finding::Finding;
use trimtab_workload::{Arm, Pod, ReplicaSet, Target};

use crate::deadline::after;
use crate::history::History;
use crate::strategy::Stage;

pub use crate::app::{App, AppPhase, AppStatus, Rejected};
pub use crate::release::{
    Decision, Keep, MessageState, OutboxEntry, Release, ReleaseEvent, ReleasePhase, ReleaseStatus,
};
pub use crate::settings::{Notify, Settings};

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

impl<'a> Snapshot<'a> {
    /// Now, as it is written down: in whole seconds, which is how finely Kubernetes tells time and how records are read back.
    pub fn recorded_at(&self) -> Timestamp {
        Timestamp::from_second(self.now.as_second()).expect("a whole second of a time that is in range")
    }

    /// The releases of the Deployment as it is.
    #[must_use]
    pub fn history(&self) -> History<'a> {
        History::new(self.now, self.target.map(|target| target.uid.as_str()), self.releases)
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
        match self.history().in_flight() {
            Some(release) => Some(release).filter(judging),
            None => self.watched_on(),
        }
    }

    /// A release that was kept because the evidence could not tell, and that is watched on for [`WATCH_ON`]. Nothing is
    /// watched that has nothing to fall back to, and nothing that a person wanted.
    fn watched_on(&self) -> Option<&'a Release> {
        let history = self.history();
        let current = history.current()?;
        let decided_at = current.status.decided_at?;
        let watched = current.is_kept_unsure()
            && !current.is_rollback(history.own())
            && self.now < after(decided_at, WATCH_ON)
            && history.before(current).is_some();
        watched.then_some(current)
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
        self.history().last_number(self.app.status.last_release)
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
