//! What an attempt's end means: arrived, later, never, or nobody knows.

use std::time::Duration;

use http::StatusCode;
use trimtab_providers::http::TransportError;

use crate::destination::{Destination, DestinationKind};
use crate::slack;

/// What follows from one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AttemptEnd {
    /// Arrived.
    Arrived,
    /// Did not arrive, or may arrive again unharmed: try again, not before the given wait.
    Later { why: String, asked: Option<Duration> },
    /// Did not arrive, and never will.
    Never { why: String },
    /// May have arrived, and must not arrive twice.
    Unclear { why: String },
    /// The sender is being closed, and the attempt was not made or is not waited for any longer.
    Stopped,
}

/// The meaning of a response that is no success. Of its body nothing is repeated but a word that Slack documents: a
/// tenant reads the reason, and may have named a server that answers the manager and not them.
pub(crate) fn of_refusal(
    destination: &Destination,
    status: StatusCode,
    asked: Option<Duration>,
    body: &[u8],
) -> AttemptEnd {
    let word = match destination.kind {
        DestinationKind::Slack => slack::refusal_word(body),
        DestinationKind::SlackApp | DestinationKind::Webhook => None,
    };
    let word = word.map_or_else(String::new, |word| format!(" ({word})"));
    let why = format!("{} answered status {}{word}", destination.name, status.as_u16());
    match status.as_u16() {
        // A gateway gave up waiting for whom it had passed the request on to.
        504 => after_sending(destination.kind, why),
        408 | 425 | 429 | 500.. => AttemptEnd::Later { why, asked },
        300..400 => {
            AttemptEnd::Never { why: format!("{why}; redirects are not followed, set the final url") }
        }
        _ => AttemptEnd::Never {
            why: format!("{why}; check the destination and the secret that holds its url"),
        },
    }
}

/// A cause may quote a certificate or another byte of the answer, so only operators read it.
const CAUSE: &str = "the manager's log has the cause";

/// The meaning of no response.
pub(crate) fn of_failure(destination: &Destination, error: &TransportError) -> AttemptEnd {
    let name = &destination.name;
    match error {
        TransportError::Refused { .. } => {
            let why = destination.shown(&error.to_string());
            AttemptEnd::Never {
                why: format!("{why}; an operator allows a range with `trimtab manager --notify-allow`"),
            }
        }
        TransportError::Connect { .. } | TransportError::File { .. } => {
            AttemptEnd::Later { why: format!("cannot connect to {name}; {CAUSE}"), asked: None }
        }
        TransportError::Broken { .. } => {
            after_sending(destination.kind, format!("the connection to {name} broke; {CAUSE}"))
        }
    }
}

/// The meaning of silence.
pub(crate) fn of_timeout(destination: &Destination, after: Duration) -> AttemptEnd {
    after_sending(destination.kind, format!("{} gave no answer within {after:?}", destination.name))
}

/// The meaning of an attempt that nobody waits for any longer.
pub(crate) fn of_cut(destination: &Destination) -> AttemptEnd {
    match destination.kind {
        DestinationKind::Slack => {
            AttemptEnd::Unclear { why: "the manager stopped while it was sent".to_owned() }
        }
        DestinationKind::SlackApp | DestinationKind::Webhook => AttemptEnd::Stopped,
    }
}

/// The request was on its way when it failed.
fn after_sending(kind: DestinationKind, why: String) -> AttemptEnd {
    match kind {
        DestinationKind::Slack => AttemptEnd::Unclear { why },
        // A program drops doubles by the key, and a card is looked up before it is posted again.
        DestinationKind::SlackApp | DestinationKind::Webhook => AttemptEnd::Later { why, asked: None },
    }
}
