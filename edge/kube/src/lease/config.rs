//! How a lease is competed for.

use std::time::Duration;

use crate::resource::Key;

/// Which lease to compete for, as whom, and in which times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseConfig {
    /// Namespace and name of the Lease; it is created if missing.
    pub key: Key,
    /// Who we are: unique per process, for example the pod's name and UID.
    pub identity: String,
    /// How long others wait after the last change they saw before they take over.
    pub lease_duration: Duration,
    /// How long after sending its last accepted renewal a leader may write. Shorter than `lease_duration`: the
    /// difference is the margin for clocks that run at different rates and writes that are under way.
    pub renew_deadline: Duration,
    /// How often to try.
    pub retry_period: Duration,
}

impl LeaseConfig {
    /// The usual times: lease 15 s, renewal 10 s, retry 2 s.
    pub fn new(key: Key, identity: impl Into<String>) -> LeaseConfig {
        LeaseConfig {
            key,
            identity: identity.into(),
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }
}
