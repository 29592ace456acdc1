//! Instants that lie ahead.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// `at` plus `span`, saturating: a deadline beyond the calendar is as good as never.
pub(crate) fn after(at: Timestamp, span: Duration) -> Timestamp {
    let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
    at.checked_add(span).unwrap_or(Timestamp::MAX)
}
