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
    /// Only the holder of the lease sends writes, and only until it runs out.
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

/// Who held the lease, and when: the process that wrote itself into it.
#[derive(Default)]
struct Leader {
    holder: String,
    terms: Vec<Term>,
}

struct Term {
    actor: u64,
    since: Timestamp,
    /// When the server heard of it last.
    renewed_at: Timestamp,
    /// When it runs out, unless it is renewed: counted from when the server wrote it, by its own clock.
    ends_at: Timestamp,
}

impl Oracles {
    pub(crate) fn watch(stage: &Stage, case: &Case) -> Self {
        stage.sim.record_changes(&RECORDED);
        // A manager whose clock is minutes off asks Prometheus for what is not there, and says so.
        let blind =
            ["prometheus-down", "prometheus-silent", "prometheus-partial", "strategy=Rolling", "skew="];
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
        let told = self.told.look(stage, &self.leader);
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
            RELEASES => {
                self.told.see_release(change);
                self.records.see_release(change, &self.deployments)
            }
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
        let lasts = lease["spec"]["leaseDurationSeconds"].as_i64().map(SignedDuration::from_secs);
        let ends_at = lasts.and_then(|lasts| change.at.checked_add(lasts).ok()).unwrap_or(change.at);
        let same = holder == self.holder;
        holder.clone_into(&mut self.holder);
        match self.terms.last_mut() {
            Some(term) if same && change.at <= term.ends_at => {
                (term.ends_at, term.renewed_at) = (ends_at, change.at);
            }
            last => {
                // Whoever gives it up, or loses it, writes nothing more.
                last.into_iter().for_each(|term| {
                    term.ends_at = term.ends_at.min(change.at);
                    if term.actor == change.actor() {
                        term.renewed_at = change.at;
                    }
                });
                if !holder.is_empty() {
                    let (actor, since) = (change.actor(), change.at);
                    self.terms.push(Term { actor, since, renewed_at: since, ends_at });
                }
            }
        }
        Vec::new()
    }

    /// Whether nothing was heard after `sent` of the one who led then, until another one had taken over by `again`: what it had
    /// sent by then it could not write down.
    fn was_cut_off(&self, sent: Timestamp, again: Timestamp) -> bool {
        let Some(place) = self.terms.iter().rposition(|term| term.since <= sent) else { return false };
        let (sender, next) = (&self.terms[place], self.terms.get(place + 1));
        sender.renewed_at <= sent
            && next.is_some_and(|next| next.actor != sender.actor && next.since <= again)
    }

    /// Nobody recalls a request that is on its way: what counts is when it was sent. It is guarded by the version that it was
    /// decided on, and the other promises tell whether that is enough.
    fn check(&self, change: &StoreChange) -> Option<Violation> {
        if change.by() != MANAGER_USER || change.resource() == LEASES || self.terms.is_empty() {
            return None;
        }
        let mut own = self.terms.iter().filter(|term| term.actor == change.actor());
        let (subject, sent, holder) = (subject(change), change.sent, &self.holder);
        (!own.any(|term| term.since <= sent && sent <= term.ends_at)).then(|| {
            let what =
                format!("{subject} was written without the lease, at {sent}; its holder is {holder:?}");
            violation(Oracle::OneWriter, change, what)
        })
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
