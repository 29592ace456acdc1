//! A notice on its way, and how much of them a sender takes.

use std::time::Duration;

use crate::destination::Destination;
use crate::notice::Notice;

/// Limits of a sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderPolicy {
    /// From connecting to the head of the response.
    pub attempt_timeout: Duration,
    /// Letters that may wait for one destination, the one on its way included.
    pub waiting_per_destination: usize,
    /// Letters that may wait in all.
    pub waiting_in_all: usize,
    /// Requests in flight. Only this many destinations that accept and then say nothing can slow the others,
    /// and each by no more than the attempt's timeout.
    pub attempts_at_once: usize,
}

impl Default for SenderPolicy {
    fn default() -> Self {
        Self {
            attempt_timeout: Duration::from_secs(10),
            waiting_per_destination: 1_000,
            waiting_in_all: 10_000,
            attempts_at_once: 256,
        }
    }
}

/// A notice on its way to one destination.
#[derive(Debug, Clone, PartialEq)]
pub struct Letter {
    /// What to tell.
    pub notice: Notice,
    /// Whom to tell.
    pub destination: Destination,
}
