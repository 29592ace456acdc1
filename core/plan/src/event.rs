//! Events: what people see of an object with kubectl.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::concern::Concern;
use crate::object::Object;
use crate::reason::Reason;

/// Longest note that the API accepts, in bytes.
const NOTE_BYTES_MAX: usize = 1024;

/// Something that happened to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The Event itself. Its name follows from what happened, so that it exists once.
    pub object: Object,
    /// The object that it happened to.
    pub regarding: Object,
    /// Uid of that object.
    pub uid: String,
    /// What happened.
    pub reason: Reason,
    /// Whether somebody may have to do something.
    pub severity: Severity,
    /// One line for people; what the API does not accept of it is cut off.
    pub note: String,
    /// When.
    pub at: Timestamp,
}

/// Severity of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Information.
    Normal,
    /// Somebody may have to do something.
    Warning,
}

impl Event {
    /// The whole object in `events.k8s.io/v1`, reported by `concern`.
    #[must_use]
    pub fn body(&self, concern: &Concern) -> Value {
        let severity = match self.severity {
            Severity::Normal => "Normal",
            Severity::Warning => "Warning",
        };
        json!({
            "apiVersion": self.object.kind.api_version(),
            "kind": self.object.kind.word,
            "metadata": {"name": self.object.name, "namespace": self.object.namespace},
            // `MicroTime` wants exactly six digits.
            "eventTime": format!("{:.6}", self.at),
            "reportingController": format!("trimtab.dev/{}", concern.name),
            "reportingInstance": concern.manager,
            "action": self.reason.code(),
            "reason": self.reason.code(),
            "type": severity,
            "note": cut(&self.note, NOTE_BYTES_MAX),
            "regarding": {
                "apiVersion": self.regarding.kind.api_version(),
                "kind": self.regarding.kind.word,
                "name": self.regarding.name,
                "namespace": self.regarding.namespace,
                "uid": self.uid,
            },
        })
    }
}

fn cut(text: &str, bytes_max: usize) -> &str {
    let end = (0..=bytes_max.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}
