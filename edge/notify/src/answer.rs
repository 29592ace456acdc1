//! What an attempt's end means: arrived, later, never, or nobody knows.

use std::time::Duration;

use http::StatusCode;
use trimtab_providers::http::TransportError;

use crate::destination::{Destination, DestinationKind};

/// What follows from one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Arrived.
    Arrived,
    /// Did not arrive, or may arrive again unharmed: try again, not before the given wait.
    Later { why: String, asked: Option<Duration> },
    /// Did not arrive, and never will.
    Never { why: String },
    /// May have arrived, and must not arrive twice.
    Unclear { why: String },
}

/// The meaning of a response that is no success. `said` is the beginning of its body.
pub(crate) fn of_refusal(
    destination: &Destination,
    status: StatusCode,
    asked: Option<Duration>,
    said: &str,
) -> Verdict {
    let said = destination.shown(said);
    let colon = if said.is_empty() { "" } else { ": " };
    let why = format!("{} answered status {}{colon}{said}", destination.name, status.as_u16());
    match status.as_u16() {
        // A gateway gave up waiting for whom it had passed the request on to.
        504 => after_sending(destination.kind, why),
        408 | 425 | 429 | 500.. => Verdict::Later { why, asked },
        300..400 => Verdict::Never { why: format!("{why}; redirects are not followed, set the final url") },
        _ => {
            Verdict::Never { why: format!("{why}; check the destination and the secret that holds its url") }
        }
    }
}

/// The meaning of no response.
pub(crate) fn of_failure(destination: &Destination, error: &TransportError) -> Verdict {
    let why = destination.shown(&error.to_string());
    match error {
        TransportError::Refused { .. } => Verdict::Never { why },
        TransportError::Connect { .. } | TransportError::File { .. } => Verdict::Later { why, asked: None },
        TransportError::Broken { .. } => after_sending(destination.kind, why),
    }
}

/// The meaning of silence.
pub(crate) fn of_timeout(destination: &Destination, after: Duration) -> Verdict {
    after_sending(destination.kind, format!("{} gave no answer within {after:?}", destination.name))
}

/// The request was on its way when it failed.
fn after_sending(kind: DestinationKind, why: String) -> Verdict {
    match kind {
        DestinationKind::Slack => Verdict::Unclear { why },
        DestinationKind::Webhook => Verdict::Later { why, asked: None },
    }
}
