//! What must hold at every revision of the store, and at rest.

mod capacity;
mod deployments;
mod records;
mod rest;
mod told;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use trimtab_sim::StoreChange;

use self::capacity::Capacity;
use self::deployments::Deployments;
use self::records::Records;
use self::told::Told;
use super::Case;
use crate::stage::{LEASES, MANAGER_USER, Stage};

/// Changes kept to be looked at.
const RECORDED: [&str; 5] = [APPS, RELEASES, DEPLOYMENTS, "pods", LEASES];
const APPS: &str = "managedapps.trimtab.dev";
const RELEASES: &str = "appreleases.trimtab.dev";
const DEPLOYMENTS: &str = "deployments.apps";

/// Violations of one run that are kept: the first ones tell what happened.
const VIOLATIONS_MAX: usize = 20;

/// A promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Oracle {
    /// A release that ended stays as it ended, unless a person decides otherwise.
    DecidedOnce,
    /// A message is sent once to each destination, unless a manager died between sending and recording it.
    ToldOnce,
    /// Release numbers only go up, and none is given twice.
    NumbersRise,
    /// A rejected template that is held gets no pods.
    RejectedStaysDown,
    /// As many pods are available as the Deployment's own strategy demands.
    Capacity,
    /// Every release ends, and the service comes to rest.
    EveryReleaseEnds,
    /// At rest nothing is written, the lease apart.
    QuietAtRest,
    /// What a person decided is what happens.
    DecisionsCount,
    /// Only the holder of the lease writes, and only until it runs out.
    OneWriter,
    /// A template is only written over one that was judged and failed.
    NothingUnjudgedIsReplaced,
    /// A version that behaves is not rolled back.
    GoodIsKept,
    /// A version that fails most requests is not kept.
    BadIsNotKept,
    /// At rest only a rejected template, or a person's wish, keeps a Deployment paused; and nothing unclaimed is marked.
    NothingIsLeftBehind,
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which one.
    pub oracle: Oracle,
    /// When.
    pub at: Timestamp,
    /// How.
    pub what: String,
}

/// Everything that watches one run.
pub(crate) struct Oracles {
    records: Records,
    deployments: Deployments,
    capacity: Capacity,
    told: Told,
    leader: Leader,
    traits: Traits,
    found: Vec<Violation>,
}

/// What about a story excuses an oracle.
struct Traits {
    /// Prometheus is away, or a strategy does not judge: a bad version may be kept.
    may_be_blind: bool,
}

/// Who holds the lease: the process that wrote itself into it.
#[derive(Default)]
struct Leader {
    holder: String,
    actor: u64,
    /// When the lease runs out, unless it is renewed: counted from when the server wrote it, by its own clock.
    ends_at: Option<Timestamp>,
}

impl Oracles {
    pub(crate) fn watch(stage: &Stage, case: &Case) -> Self {
        stage.sim.record_changes(&RECORDED);
        // A manager whose clock is minutes off asks Prometheus for what is not there, and says so.
        let blind = ["prometheus-down", "prometheus-silent", "strategy=Rolling", "skew="];
        let may_be_blind = case.lines.iter().any(|line| blind.iter().any(|word| line.contains(word)));
        Self {
            records: Records::default(),
            deployments: Deployments::default(),
            capacity: Capacity::default(),
            told: Told::default(),
            leader: Leader::default(),
            traits: Traits { may_be_blind },
            found: Vec::new(),
        }
    }

    /// Looks at everything that happened since the last look, revision by revision.
    pub(crate) fn look(&mut self, stage: &Stage) {
        for change in stage.sim.take_changes() {
            self.see(&change);
        }
        let told = self.told.look(stage);
        self.add(told);
    }

    fn see(&mut self, change: &StoreChange) {
        let found = match change.resource() {
            LEASES => self.leader.see(change),
            APPS => {
                self.records.see_app(change);
                self.deployments.see_app(change);
                Vec::new()
            }
            RELEASES => self.records.see_release(change, &self.deployments),
            DEPLOYMENTS => {
                self.capacity.see_deployment(change);
                let mut found = self.deployments.see(change, &self.records);
                self.records.see_deployment(change);
                found.extend(self.capacity.check(change));
                found
            }
            _ => {
                let mut found = self.deployments.see_pod(change);
                self.capacity.see_pod(change);
                found.extend(self.capacity.check(change));
                found
            }
        };
        self.add(found);
        let found = self.leader.check(change);
        self.add(found);
    }

    fn add(&mut self, found: impl IntoIterator<Item = Violation>) {
        let room = VIOLATIONS_MAX.saturating_sub(self.found.len());
        self.found.extend(found.into_iter().take(room));
    }

    /// Managers wrote without end, and were stopped.
    pub(crate) fn ran_away(&mut self, stage: &Stage) {
        let what = "managers write without end".to_owned();
        self.add([Violation { oracle: Oracle::QuietAtRest, at: stage.sim.now(), what }]);
    }

    /// What was found.
    pub(crate) fn violations(&self) -> Vec<Violation> {
        self.found.clone()
    }
}

impl Leader {
    fn see(&mut self, change: &StoreChange) -> Vec<Violation> {
        let lease = change.after().unwrap_or(&Value::Null);
        let holder = text(lease, "/spec/holderIdentity");
        if holder != self.holder {
            self.actor = change.actor();
            holder.clone_into(&mut self.holder);
        }
        let lasts = lease["spec"]["leaseDurationSeconds"].as_i64().map(SignedDuration::from_secs);
        self.ends_at = lasts.and_then(|lasts| change.at.checked_add(lasts).ok());
        Vec::new()
    }

    fn check(&self, change: &StoreChange) -> Option<Violation> {
        if change.by() != MANAGER_USER || change.resource() == LEASES || self.holder.is_empty() {
            return None;
        }
        // Nobody recalls a request that is on its way when the lease ends. All others are guarded by a version; the label of a
        // pod is no decision, and whoever leads puts a late one right.
        if change.resource() == "pods" {
            return None;
        }
        let what = if change.actor() != self.actor {
            format!("{} was written while {} held the lease", subject(change), self.holder)
        } else if let Some(ends_at) = self.ends_at.filter(|ends_at| change.at > *ends_at) {
            format!("{} was written after the lease of {} ran out at {ends_at}", subject(change), self.holder)
        } else {
            return None;
        };
        Some(violation(Oracle::OneWriter, change, what))
    }
}

fn violation(oracle: Oracle, change: &StoreChange, what: impl Into<String>) -> Violation {
    Violation { oracle, at: change.at, what: what.into() }
}

/// Resource, namespace and name of what changed.
fn subject(change: &StoreChange) -> String {
    let object = change.after().or(change.before());
    let name = object.map(|object| text(object, "/metadata/name")).unwrap_or_default();
    format!("{}/{name}", change.resource())
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Whether people or tools made the change: neither the manager nor anything of the cluster.
fn is_by_a_person(change: &StoreChange) -> bool {
    !change.by().is_empty() && !change.by().starts_with("system:")
}

/// Image of the one container of a Deployment or pod; it names the version.
fn image_of(object: &Value) -> &str {
    let deployment = text(object, "/spec/template/spec/containers/0/image");
    if deployment.is_empty() { text(object, "/spec/containers/0/image") } else { deployment }
}
