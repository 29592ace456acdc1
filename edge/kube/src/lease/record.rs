//! The Lease object as JSON: read, claimed, released.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::config::LeaseConfig;
use crate::api::{ApiError, Target};
use crate::resource::{Key, LEASES};

/// What a Lease says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    /// The whole spec: any change of it is a sign of life.
    pub(super) spec: Value,
    /// Empty when released.
    pub(super) holder: String,
    /// How long the holder asks others to wait.
    pub(super) duration: Duration,
}

/// Longest promise believed: a lease that asks for more was not written by an elector.
const DURATION_LONGEST: Duration = Duration::from_secs(3_600);

impl Record {
    pub(super) fn read(object: &Value) -> Record {
        let spec = object.get("spec").cloned().unwrap_or_default();
        let holder = spec["holderIdentity"].as_str().unwrap_or_default().to_owned();
        let seconds = spec["leaseDurationSeconds"].as_u64().unwrap_or(0);
        Record { holder, duration: Duration::from_secs(seconds).min(DURATION_LONGEST), spec }
    }

    /// How often the lease was acquired after it was created.
    pub(super) fn transitions(&self) -> i64 {
        self.spec["leaseTransitions"].as_i64().unwrap_or(0)
    }
}

/// The spec by which `config.identity` takes (or, if `renewing`, keeps) the lease.
pub(super) fn claim(config: &LeaseConfig, now: Timestamp, held: Option<&Record>, renewing: Keeping) -> Value {
    let acquired = match (held, renewing) {
        (Some(record), Keeping::Yes) => record.spec["acquireTime"].clone(),
        _ => json!(micro_time(now)),
    };
    let taken = i64::from(renewing == Keeping::No);
    let transitions = held.map_or(0, |record| record.transitions().saturating_add(taken));
    json!({
        "holderIdentity": config.identity,
        "leaseDurationSeconds": config.lease_duration.as_secs(),
        "acquireTime": acquired,
        "renewTime": micro_time(now),
        "leaseTransitions": transitions,
    })
}

/// Whether a claim keeps the lease or takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeping {
    Yes,
    No,
}

/// The spec of a lease that nobody holds.
pub(super) fn released(record: &Record, now: Timestamp) -> Value {
    json!({
        "holderIdentity": "",
        // The API refuses 0.
        "leaseDurationSeconds": 1,
        "acquireTime": micro_time(now),
        "renewTime": micro_time(now),
        "leaseTransitions": record.transitions(),
    })
}

pub(super) fn object(key: &Key, spec: &Value) -> Value {
    json!({
        "apiVersion": LEASES.api_version(),
        "kind": LEASES.kind,
        "metadata": {"namespace": &*key.namespace, "name": &*key.name},
        "spec": spec,
    })
}

/// Always six digits of fraction: what `metav1.MicroTime` reads, and what compares equal after a round trip.
pub(super) fn micro_time(instant: Timestamp) -> String {
    format!("{instant:.6}")
}

pub(super) fn too_slow(key: &Key, limit: Duration) -> ApiError {
    let target: Arc<Target> = Target::new("renew", LEASES, key.namespace(), Some(&key.name), None);
    ApiError::Transport { target, message: format!("nothing within {} s", limit.as_secs_f64()) }
}
