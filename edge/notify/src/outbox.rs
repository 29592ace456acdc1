//! What is known about one notice for one destination, and what may follow. Pure; whoever owns the outbox
//! persists it.
//!
//! [`State::Sending`] is written down *before* the request leaves. So a process that finds it after a restart
//! knows that the notice may have arrived: a webhook gets it again under the same idempotency key, and Slack,
//! where people would read it twice, does not. Then it is [`State::Unknown`], which a person is told
//! elsewhere.

use serde::{Deserialize, Serialize};

use crate::destination::DestinationKind;

/// How far one notice got at one destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// To be sent. It has certainly not arrived, or may arrive again unharmed.
    Pending,
    /// Handed to the sender. It may have arrived.
    Sending,
    /// The destination has confirmed it.
    Sent,
    /// It did not arrive and is not tried again.
    Failed,
    /// It may have arrived and is not tried again.
    Unknown,
}

/// What happened to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// It is about to be handed to the sender.
    Begun,
    /// The sender did not take it.
    Deferred,
    /// The destination confirmed it.
    Confirmed,
    /// The sender gave up; it did not arrive.
    GaveUp,
    /// No answer came; it may have arrived.
    Lost,
    /// The process that owned the sender is gone.
    Restarted,
}

impl State {
    /// Whether it is for the sender.
    #[must_use]
    pub fn is_due(self) -> bool {
        self == Self::Pending
    }

    /// Whether somebody must learn in another way that the destination may not know.
    #[must_use]
    pub fn needs_report(self) -> bool {
        matches!(self, Self::Failed | Self::Unknown)
    }

    /// The state after `change`; `None` when it cannot happen in this state, which leaves the entry as it is.
    #[must_use]
    pub fn after(self, change: Change, kind: DestinationKind) -> Option<Self> {
        match (self, change) {
            (Self::Pending, Change::Begun) => Some(Self::Sending),
            (Self::Pending, Change::Restarted) => Some(Self::Pending),
            (Self::Sending, Change::Deferred) => Some(Self::Pending),
            (Self::Sending, Change::Confirmed) => Some(Self::Sent),
            (Self::Pending | Self::Sending, Change::GaveUp) => Some(Self::Failed),
            (Self::Sending, Change::Lost | Change::Restarted) => Some(match kind {
                DestinationKind::Slack => Self::Unknown,
                DestinationKind::Webhook => Self::Pending,
            }),
            (Self::Sent | Self::Failed | Self::Unknown, Change::Restarted) => Some(self),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STATES: [State; 5] = [State::Pending, State::Sending, State::Sent, State::Failed, State::Unknown];
    const CHANGES: [Change; 6] =
        [Change::Begun, Change::Deferred, Change::Confirmed, Change::GaveUp, Change::Lost, Change::Restarted];

    #[test]
    fn every_transition() {
        use State::{Failed, Pending, Sending, Sent, Unknown};
        // Columns: begun, deferred, confirmed, gave up, lost, restarted.
        let slack = [
            [Some(Sending), None, None, Some(Failed), None, Some(Pending)],
            [None, Some(Pending), Some(Sent), Some(Failed), Some(Unknown), Some(Unknown)],
            [None, None, None, None, None, Some(Sent)],
            [None, None, None, None, None, Some(Failed)],
            [None, None, None, None, None, Some(Unknown)],
        ];
        let mut webhook = slack;
        webhook[1][4] = Some(Pending);
        webhook[1][5] = Some(Pending);
        for (kind, table) in [(DestinationKind::Slack, slack), (DestinationKind::Webhook, webhook)] {
            for (state, row) in STATES.into_iter().zip(table) {
                for (change, expect) in CHANGES.into_iter().zip(row) {
                    assert_eq!(state.after(change, kind), expect, "{kind:?}: {state:?} and {change:?}");
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// A notice that arrived once, though no confirmation came, is never handed to Slack's sender again.
        #[test]
        fn slack_never_gets_a_notice_twice(changes in proptest::collection::vec(0..CHANGES.len(), 0..30)) {
            let mut state = State::Pending;
            let mut may_have_arrived = false;
            for change in changes.into_iter().map(|index| CHANGES[index]) {
                let Some(next) = state.after(change, DestinationKind::Slack) else { continue };
                prop_assert!(!(may_have_arrived && next == State::Sending));
                // Deferred and GaveUp are the sender's word that nothing arrived.
                let is_uncertain = matches!(change, Change::Confirmed | Change::Lost | Change::Restarted);
                may_have_arrived |= state == State::Sending && is_uncertain;
                state = next;
            }
        }
    }
}
