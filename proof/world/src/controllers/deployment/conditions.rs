//! What a Deployment says about itself: `Progressing` and `Available`.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::Wanted;
use crate::object::{instant, list, stamp, text};

/// The conditions of one Deployment, being brought up to date.
pub(super) struct Conditions {
    conditions: Vec<Value>,
    now: Timestamp,
}

/// What a condition is to say.
pub(super) struct Says<'t> {
    pub(super) kind: &'t str,
    pub(super) status: &'t str,
    pub(super) reason: &'t str,
    pub(super) message: String,
}

impl Conditions {
    pub(super) fn read(deployment: &Value, now: Timestamp) -> Self {
        Conditions { conditions: list(deployment, "/status/conditions").to_vec(), now }
    }

    fn get(&self, kind: &str) -> Option<&Value> {
        self.conditions.iter().find(|condition| text(condition, "/type") == kind)
    }

    /// The reason of `Progressing`; empty without it.
    pub(super) fn progress_reason(&self) -> &str {
        self.get("Progressing").map_or("", |condition| text(condition, "/reason"))
    }

    /// When `Progressing` was last confirmed, plus the deadline.
    pub(super) fn deadline(&self, wanted: &Wanted<'_>) -> Option<Timestamp> {
        let seconds = wanted.progress_deadline_seconds?;
        let confirmed = instant(self.get("Progressing")?, "/lastUpdateTime")?;
        confirmed.checked_add(SignedDuration::from_secs(seconds)).ok()
    }

    /// Says it, unless it was said before with the same status and reason.
    pub(super) fn say(&mut self, says: &Says<'_>) {
        let same = |condition: &&Value| {
            text(condition, "/status") == says.status && text(condition, "/reason") == says.reason
        };
        if self.get(says.kind).filter(same).is_none() {
            self.confirm(says);
        }
    }

    /// Says it again with the present time: it is confirmed.
    pub(super) fn confirm(&mut self, says: &Says<'_>) {
        let old = self.get(says.kind).filter(|old| text(old, "/status") == says.status);
        let since = old.map_or_else(|| stamp(self.now), |old| old["lastTransitionTime"].clone());
        self.conditions.retain(|condition| text(condition, "/type") != says.kind);
        self.conditions.push(json!({
            "type": says.kind, "status": says.status, "reason": says.reason, "message": says.message,
            "lastUpdateTime": stamp(self.now), "lastTransitionTime": since,
        }));
    }

    fn progressing(&mut self, status: &str, reason: &str, message: &str) {
        self.say(&Says { kind: "Progressing", status, reason, message: message.to_owned() });
    }

    /// A pause stops the clock of the deadline, and resuming starts it again.
    pub(super) fn note_pause(&mut self, wanted: &Wanted<'_>) {
        let reason = self.progress_reason();
        if wanted.progress_deadline_seconds.is_none() || reason == "ProgressDeadlineExceeded" {
            return;
        }
        match (wanted.paused, reason == "DeploymentPaused") {
            (true, false) => self.progressing("Unknown", "DeploymentPaused", "Deployment is paused"),
            (false, true) => self.progressing("Unknown", "DeploymentResumed", "Deployment is resumed"),
            _ => {}
        }
    }

    /// The template is that of a ReplicaSet that was there before.
    pub(super) fn note_found(&mut self, wanted: &Wanted<'_>, name: &str) {
        if wanted.progress_deadline_seconds.is_some() && self.get("Progressing").is_none() {
            self.progressing("True", "FoundNewReplicaSet", &format!("Found new replica set \"{name}\""));
        }
    }

    /// A ReplicaSet is being made.
    pub(super) fn note_created(&mut self, wanted: &Wanted<'_>, name: &str) {
        if wanted.progress_deadline_seconds.is_some() {
            self.progressing("True", "NewReplicaSetCreated", &format!("Created new replica set \"{name}\""));
        }
    }

    pub(super) fn into_values(self) -> Vec<Value> {
        self.conditions
    }
}
