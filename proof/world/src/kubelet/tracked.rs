//! What the kubelet's loop remembers of one pod.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use trimtab_kube::api::Patch;

use super::pod::{Effect, Pod};
use super::runtime::PodIdentity;
use crate::object::{count, is_being_deleted, list, text};

/// The grace of pods that say nothing about it.
const DEFAULT_GRACE_SECONDS: u32 = 30;

/// One pod, and what the API was told about it.
pub(super) struct Tracked {
    pub(super) who: PodIdentity,
    pub(super) life: Life,
    /// The status that the API server has from us.
    pub(super) reported: Value,
    /// A request about it is under way.
    pub(super) asking: bool,
    /// The binding or the removal was accepted: the watch will show it.
    pub(super) accepted: bool,
    /// The last request failed; the next waits until then, or until the pod changes.
    pub(super) quiet_until: Option<Timestamp>,
    /// When the loop will look at it without being told.
    pub(super) wake_at: Option<Timestamp>,
    /// The API server no longer has it.
    pub(super) gone: bool,
    deleting: bool,
    grace: Duration,
}

/// How far a pod has come.
pub(super) enum Life {
    /// It has no node yet.
    Unbound,
    /// It runs, or did.
    Bound(Box<Pod>),
    /// It ended before this kubelet knew of it.
    Over,
}

/// What to tell the API next.
pub(super) enum Say {
    Bind,
    Report(Value),
    Remove,
}

impl Tracked {
    pub(super) fn new(who: PodIdentity, life: Life) -> Self {
        Tracked {
            who,
            life,
            reported: json!({}),
            asking: false,
            accepted: false,
            quiet_until: None,
            wake_at: None,
            gone: false,
            deleting: false,
            grace: Duration::ZERO,
        }
    }

    /// A pod that goes on. What its status in the API says already is not reported again.
    pub(super) fn recovered(who: PodIdentity, pod: Pod, known: &Value) -> Self {
        let status = pod.status();
        let reported = if says_all(known, &status) { status } else { json!({}) };
        Tracked { reported, ..Tracked::new(who, Life::Bound(Box::new(pod))) }
    }

    /// The pod was listed anew: what the API server has forgotten is reported again.
    pub(super) fn listed(&mut self, pod: &Value) {
        if !self.asking && !says_all(&pod["status"], &self.reported) {
            self.reported = json!({});
        }
    }

    /// Takes in the pod as the API has it now.
    pub(super) fn observe(&mut self, pod: &Value) {
        self.quiet_until = None;
        self.deleting = is_being_deleted(pod);
        let grace = count(pod, "/metadata/deletionGracePeriodSeconds", DEFAULT_GRACE_SECONDS);
        self.grace = Duration::from_secs(u64::from(grace));
        if let Life::Bound(machine) = &mut self.life {
            machine.observe(pod);
        }
    }

    /// What the runtime has to be asked for now.
    pub(super) fn advance(&mut self, now: Timestamp) -> Vec<Effect> {
        if self.quiet_until.is_some_and(|until| until <= now) {
            self.quiet_until = None;
        }
        match &mut self.life {
            Life::Bound(pod) if self.gone => pod.begin_deletion(Duration::ZERO),
            Life::Bound(pod) if self.deleting => pod.begin_deletion(self.grace),
            Life::Bound(pod) => pod.advance(now),
            Life::Unbound | Life::Over => Vec::new(),
        }
    }

    /// Whether nothing of it is left to end.
    pub(super) fn is_over(&self) -> bool {
        match &self.life {
            Life::Bound(pod) => pod.is_over(),
            Life::Unbound | Life::Over => true,
        }
    }

    /// When it has to be looked at although nothing happens.
    pub(super) fn next_wake(&self) -> Option<Timestamp> {
        let pod = match &self.life {
            Life::Bound(pod) if !self.deleting && !self.gone => pod.wake_at(),
            _ => None,
        };
        pod.into_iter().chain(self.quiet_until).min()
    }

    /// What the API does not know yet.
    pub(super) fn say(&self) -> Option<Say> {
        if self.asking || self.gone || self.quiet_until.is_some() {
            return None;
        }
        let status = match &self.life {
            Life::Unbound if self.deleting => None,
            Life::Unbound => return (!self.accepted).then_some(Say::Bind),
            Life::Bound(pod) => Some(pod.status()).filter(|status| *status != self.reported),
            Life::Over => None,
        };
        match status {
            Some(status) => Some(Say::Report(status)),
            None => (self.deleting && self.is_over() && !self.accepted).then_some(Say::Remove),
        }
    }
}

/// Whether the status `known` to the API says all that `ours` does.
fn says_all(known: &Value, ours: &Value) -> bool {
    let says = |field: &str, value: &Value| match field {
        // Others have conditions there too.
        "conditions" => list(value, "").iter().all(|ours| list(known, "/conditions").contains(ours)),
        _ => known.get(field) == Some(value),
    };
    ours.as_object().is_some_and(|fields| fields.iter().all(|(field, value)| says(field, value)))
}

/// The change from what was reported to `status`. Conditions merge by their type, so that those of others stay; what a
/// condition no longer says has to be taken away by name.
pub(super) fn status_patch(uid: &Arc<str>, reported: &Value, status: &Value) -> Patch {
    let mut status = status.clone();
    let before = list(reported, "/conditions");
    for condition in status.get_mut("conditions").and_then(Value::as_array_mut).into_iter().flatten() {
        let old = before.iter().find(|old| text(old, "/type") == text(condition, "/type"));
        for field in ["reason", "message"] {
            if condition.get(field).is_none() && old.is_some_and(|old| old.get(field).is_some()) {
                condition[field] = Value::Null;
            }
        }
    }
    Patch::Strategic(json!({"metadata": {"uid": uid}, "status": status}))
}
