//! Seeded faults: what goes wrong, for whom, and how often.

use std::collections::{BTreeMap, BTreeSet};
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
}

/// Which requests a fault may strike, what it does, and how often.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// Only requests of this user; all when `None`.
    pub user: Option<String>,
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
        Fault { user: None, verbs: Vec::new(), resource: None, effect, probability: 1.0, times: None }
    }
}

#[derive(Debug)]
struct Armed {
    fault: Fault,
    drawn: u64,
    struck: u64,
}

#[derive(Debug, Default)]
struct Plan {
    armed: Vec<Armed>,
    frozen: BTreeMap<String, u64>,
    held: BTreeSet<String>,
    watch_delay: BTreeMap<String, Duration>,
    struck: u64,
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
    pub fn add(&self, fault: Fault) {
        self.plan().armed.push(Armed { fault, drawn: 0, struck: 0 });
    }

    /// Ends every fault: disarms, thaws reads and removes watch delays. Held watches need [`crate::Sim::release_watches`].
    pub fn clear(&self) {
        let mut plan = self.plan();
        plan.armed.clear();
        plan.frozen.clear();
        plan.watch_delay.clear();
    }

    /// How many requests were struck so far.
    pub fn struck(&self) -> u64 {
        self.plan().struck
    }

    /// From now on, gets and lists of this user that are allowed to be stale (`resourceVersion` unset or `0`) see the store
    /// as it was at `revision`, as from a lagging API server replica.
    pub fn freeze_reads(&self, user: &str, revision: u64) {
        self.plan().frozen.insert(user.to_owned(), revision);
    }

    /// Ends [`freeze_reads`](Self::freeze_reads).
    pub fn thaw_reads(&self, user: &str) {
        self.plan().frozen.remove(user);
    }

    /// Watch events reach this user this much after the change.
    pub fn delay_watches(&self, user: &str, delay: Duration) {
        self.plan().watch_delay.insert(user.to_owned(), delay);
    }

    pub(crate) fn hold_watches(&self, user: &str) {
        self.plan().held.insert(user.to_owned());
    }

    pub(crate) fn release_watches(&self, user: &str) {
        self.plan().held.remove(user);
    }

    pub(crate) fn watches_held(&self, user: &str) -> bool {
        let plan = self.plan();
        !plan.held.is_empty() && plan.held.contains(user)
    }

    pub(crate) fn watch_delay(&self, user: &str) -> Option<Duration> {
        self.plan().watch_delay.get(user).copied()
    }

    pub(crate) fn frozen_at(&self, user: &str) -> Option<u64> {
        self.plan().frozen.get(user).copied()
    }

    /// Decides the fate of one request.
    pub(crate) fn strike(&self, user: &str, verb: &str, resource: &str) -> Option<Effect> {
        let mut plan = self.plan();
        for index in 0..plan.armed.len() {
            let armed = &mut plan.armed[index];
            if !armed.matches(user, verb, resource) {
                continue;
            }
            armed.drawn += 1;
            let purpose = format!("fault-{index}");
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
    fn matches(&self, user: &str, verb: &str, resource: &str) -> bool {
        let fault = &self.fault;
        fault.times.is_none_or(|times| self.struck < times)
            && fault.user.as_deref().is_none_or(|wanted| wanted == user)
            && (fault.verbs.is_empty() || fault.verbs.iter().any(|wanted| wanted == verb))
            && fault.resource.as_deref().is_none_or(|wanted| wanted == resource)
    }
}
