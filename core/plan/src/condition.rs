//! Conditions: what holds of an object, and since when.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::reason::Reason;

/// One condition, as its concern sets it: without the time of its last transition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// What it speaks of.
    pub kind: String,
    /// Whether it holds.
    pub holds: bool,
    /// One word for machines.
    pub reason: String,
    /// One line for people.
    pub message: String,
}

/// When a condition last changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transition {
    /// Its type.
    pub kind: String,
    /// Whether it holds since then.
    pub holds: bool,
    /// When.
    pub at: Option<Timestamp>,
}

impl Condition {
    /// A condition with its reason code.
    #[must_use]
    pub fn new(kind: &str, holds: bool, reason: Reason, message: impl Into<String>) -> Self {
        Self { kind: kind.to_owned(), holds, reason: reason.code().to_owned(), message: message.into() }
    }

    /// The condition as it is written about a generation of the spec. Its time is that of the condition of the same type in
    /// `before`, if that one held alike, and otherwise `now`.
    #[must_use]
    pub fn written(&self, before: &[Transition], generation: i64, now: Timestamp) -> Value {
        let same = before.iter().find(|old| old.kind == self.kind && old.holds == self.holds);
        let since = same.and_then(|old| old.at).unwrap_or(now);
        json!({
            "type": self.kind,
            "status": if self.holds { "True" } else { "False" },
            "reason": self.reason,
            "message": self.message,
            "lastTransitionTime": since.to_string(),
            "observedGeneration": generation,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_keeps_its_time_until_it_says_another_thing() {
        let (now, earlier) = (Timestamp::UNIX_EPOCH, Timestamp::MIN);
        let valid = Condition::new("Valid", true, Reason::Valid, "the spec is valid");
        let check = |before: &[(&str, bool, Option<Timestamp>)], since: Timestamp| {
            let transition = |(kind, holds, at): &(&str, bool, Option<Timestamp>)| Transition {
                kind: (*kind).to_owned(),
                holds: *holds,
                at: *at,
            };
            let before: Vec<Transition> = before.iter().map(transition).collect();
            let written = valid.written(&before, 7, now);
            assert_eq!(written["lastTransitionTime"], since.to_string(), "{before:?}");
            assert_eq!(written["observedGeneration"], 7);
        };
        check(&[], now);
        check(&[("Valid", true, Some(earlier))], earlier);
        check(&[("Valid", false, Some(earlier))], now);
        check(&[("Claimed", true, Some(earlier))], now);
        check(&[("Valid", true, None)], now);
    }
}
