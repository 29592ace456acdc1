//! What is queued, and how a reconcile of it fails.

use std::fmt::Display;

use jiff::Timestamp;

use crate::api::ApiError;

/// What may be queued: ordered, and named in logs. The name also spreads retries over time.
pub trait QueueKey: Ord + Clone + Display + Send + Sync + 'static {}

impl<K: Ord + Clone + Display + Send + Sync + 'static> QueueKey for K {}

/// A reconcile that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// What went wrong, naming the object.
    pub problem: String,
    /// When the key is due in any case: a failure delays what failed, and nothing else.
    pub wake_at: Option<Timestamp>,
}

impl From<String> for Failed {
    fn from(problem: String) -> Failed {
        Failed { problem, wake_at: None }
    }
}

impl From<&str> for Failed {
    fn from(problem: &str) -> Failed {
        Failed::from(problem.to_owned())
    }
}

impl From<ApiError> for Failed {
    fn from(error: ApiError) -> Failed {
        Failed::from(error.to_string())
    }
}

impl From<std::convert::Infallible> for Failed {
    fn from(never: std::convert::Infallible) -> Failed {
        match never {}
    }
}
