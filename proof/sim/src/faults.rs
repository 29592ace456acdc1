//! Seeded faults: what goes wrong, for whom, and how often.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::ids::draw_unit;

/// What happens to a request that a fault strikes.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// It is answered with this HTTP status and not executed.
    Refuse {
        /// HTTP status, such as 429, 500, 503 or 410.
        code: u16,
        /// Seconds for `Retry-After`; absent when `None`.
        retry_after: Option<u32>,
    },
    /// The connection breaks before the request is executed.
    DropBefore,
    /// The request is executed, then the connection breaks: the caller cannot know.
    DropAfter,
    /// It is executed this much later.
    Delay(Duration),
    /// It is executed at once, and answered this much later.
    DelayAnswer(Duration),
}

/// What happens to the watches that a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchEffect {
    /// Events arrive this much after the change.
    Late(Duration),
    /// Events are kept back until the fault ends, then delivered in order. The connection stays open.
    Held,
    /// No bookmarks are sent.
    NoBookmarks,
}

/// Which watches: all when every field is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watches {
    /// Only those of this user.
    pub user: Option<String>,
    /// Only those of this process: see [`Actor::number`](crate::Actor::number).
    pub actor: Option<u64>,
    /// Only those of this resource, such as `replicasets.apps`.
    pub resource: Option<String>,
}

impl Watches {
    /// The watches of one user.
    pub fn of_user(user: &str) -> Self {
        Watches { user: Some(user.to_owned()), ..Watches::default() }
    }

    pub(crate) fn include(&self, user: &str, actor: u64, resource: &str) -> bool {
        self.user.as_deref().is_none_or(|wanted| wanted == user)
            && self.actor.is_none_or(|wanted| wanted == actor)
            && self.resource.as_deref().is_none_or(|wanted| wanted == resource)
    }
}

/// A fault that can be ended: see `Faults::end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultId(u64);

/// Which requests a fault may strike, what it does, and how often.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// Only requests of this user; all when `None`.
    pub user: Option<String>,
    /// Only requests of this process (see [`Actor::number`](crate::Actor::number)); all when `None`.
    pub actor: Option<u64>,
    /// Only these verbs (see [`LedgerEntry::verb`](crate::LedgerEntry::verb), and `get`, `list`, `watch`); all when empty.
    pub verbs: Vec<String>,
    /// Only this resource, such as `replicasets.apps`; all when `None`.
    pub resource: Option<String>,
    /// What happens.
    pub effect: Effect,
    /// Chance that a matching request is struck, `0.0..=1.0`.
    pub probability: f64,
    /// How many requests it may strike before it is spent; unlimited when `None`.
    pub times: Option<u64>,
}

impl Fault {
    /// A fault that strikes every request of everybody, forever; narrow it with struct update syntax.
    pub fn always(effect: Effect) -> Self {
        Fault {
            user: None,
            actor: None,
            verbs: Vec::new(),
            resource: None,
            effect,
            probability: 1.0,
            times: None,
        }
    }
}

#[derive(Debug)]
struct Armed {
    id: FaultId,
    fault: Fault,
    drawn: u64,
    struck: u64,
}

#[derive(Debug, Default)]
struct Plan {
    armed: Vec<Armed>,
    watches: Vec<(FaultId, Watches, WatchEffect)>,
    frozen: BTreeMap<String, u64>,
    ids: u64,
    struck: u64,
}

impl Plan {
    fn next_id(&mut self) -> FaultId {
        self.ids += 1;
        FaultId(self.ids)
    }
}

/// The fault plan of a simulation. Cheap to change while it runs.
#[derive(Debug)]
pub struct Faults {
    seed: u64,
    plan: Mutex<Plan>,
}

impl Faults {
    pub(crate) fn seeded(seed: u64) -> Self {
        Faults { seed, plan: Mutex::default() }
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Arms a fault. When several match one request, the one armed first strikes.
    pub fn add(&self, fault: Fault) -> FaultId {
        let mut plan = self.plan();
        let id = plan.next_id();
        plan.armed.push(Armed { id, fault, drawn: 0, struck: 0 });
        id
    }

    /// Arms a fault of watches. When several match one watch, the one armed last counts. What [`WatchEffect::Held`] kept
    /// back goes out with [`crate::Sim::end_fault`].
    pub fn add_to_watches(&self, watches: Watches, effect: WatchEffect) -> FaultId {
        let mut plan = self.plan();
        let id = plan.next_id();
        plan.watches.push((id, watches, effect));
        id
    }

    pub(crate) fn end(&self, id: FaultId) {
        let mut plan = self.plan();
        plan.armed.retain(|armed| armed.id != id);
        plan.watches.retain(|(other, _, _)| *other != id);
    }

    pub(crate) fn clear(&self) {
        let mut plan = self.plan();
        plan.armed.clear();
        plan.watches.clear();
        plan.frozen.clear();
    }

    /// How many requests were struck so far.
    pub fn struck(&self) -> u64 {
        self.plan().struck
    }

    /// From now on, gets and lists of this user that are allowed to be stale (`resourceVersion=0`) see the store as it was
    /// at `revision`, as from a lagging API server replica. Without a version a read is consistent, and sees the present.
    pub fn freeze_reads(&self, user: &str, revision: u64) {
        self.plan().frozen.insert(user.to_owned(), revision);
    }

    /// Ends [`freeze_reads`](Self::freeze_reads).
    pub fn thaw_reads(&self, user: &str) {
        self.plan().frozen.remove(user);
    }

    fn effect_on(
        &self,
        user: &str,
        actor: u64,
        resource: &str,
        wanted: impl Fn(WatchEffect) -> bool,
    ) -> Option<WatchEffect> {
        let plan = self.plan();
        let mut matching = plan
            .watches
            .iter()
            .rev()
            .filter(|(_, watches, effect)| wanted(*effect) && watches.include(user, actor, resource));
        matching.next().map(|(_, _, effect)| *effect)
    }

    pub(crate) fn watches_held(&self, user: &str, actor: u64, resource: &str) -> bool {
        self.effect_on(user, actor, resource, |effect| effect == WatchEffect::Held).is_some()
    }

    pub(crate) fn bookmarks_withheld(&self, user: &str, actor: u64, resource: &str) -> bool {
        self.effect_on(user, actor, resource, |effect| effect == WatchEffect::NoBookmarks).is_some()
    }

    pub(crate) fn watch_delay(&self, user: &str, actor: u64, resource: &str) -> Option<Duration> {
        match self.effect_on(user, actor, resource, |effect| matches!(effect, WatchEffect::Late(_))) {
            Some(WatchEffect::Late(delay)) => Some(delay),
            _ => None,
        }
    }

    pub(crate) fn frozen_at(&self, user: &str) -> Option<u64> {
        self.plan().frozen.get(user).copied()
    }

    /// Decides the fate of one request.
    pub(crate) fn strike(&self, user: &str, actor: u64, verb: &str, resource: &str) -> Option<Effect> {
        let mut plan = self.plan();
        for index in 0..plan.armed.len() {
            let armed = &mut plan.armed[index];
            if !armed.matches(user, actor, verb, resource) {
                continue;
            }
            armed.drawn += 1;
            let purpose = format!("fault-{}", armed.id.0);
            if draw_unit(self.seed, &purpose, armed.drawn) < armed.fault.probability {
                armed.struck += 1;
                let effect = armed.fault.effect.clone();
                plan.struck += 1;
                return Some(effect);
            }
        }
        None
    }
}

impl Armed {
    fn matches(&self, user: &str, actor: u64, verb: &str, resource: &str) -> bool {
        let fault = &self.fault;
        fault.times.is_none_or(|times| self.struck < times)
            && fault.user.as_deref().is_none_or(|wanted| wanted == user)
            && fault.actor.is_none_or(|wanted| wanted == actor)
            && (fault.verbs.is_empty() || fault.verbs.iter().any(|wanted| wanted == verb))
            && fault.resource.as_deref().is_none_or(|wanted| wanted == resource)
    }
}
