//! Leader election on a `coordination.k8s.io/v1` Lease.
//!
//! Nobody's wall clock is trusted. A candidate remembers the *local monotonic* instant at which it last saw the record
//! change, and takes over only a whole lease duration later. The leader counts its own validity from the instant it
//! *sent* the renewal that was accepted, and stops earlier than anybody may take over. While all machines' clocks run at
//! about the same rate, no two [`Leadership`]s are valid at once, however long a process was frozen.
//!
//! Every acquisition begins a [`Term`](crate::api::Term), also that of a process whose own lease ran out: what was decided
//! before is not written after.

mod config;
mod record;

use std::fmt;

use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use self::config::LeaseConfig;
use self::record::{Keeping, Record};
use crate::api::{Api, ApiError, Holder, Leadership, LeadershipGrant};
use crate::clock::Clock;
use crate::resource::{Key, LEASES};

/// Writes of unknown fate remembered. More cannot be under way within one lease duration.
const ATTEMPTS_MAX: usize = 16;

/// Competes for one lease. Made by [`elect`]; does nothing until [run](Elector::run).
pub struct Elector {
    api: Api,
    clock: Clock,
    config: LeaseConfig,
    grant: LeadershipGrant,
    /// The record as last seen, and since when we have seen it so.
    seen: Option<(Record, Instant)>,
    /// The specs that would be ours if they showed up: the last one accepted, and every later one whose fate is unknown.
    /// Each was conditional on the version it replaced, so at most one of them can ever follow the accepted one.
    ours: Vec<Value>,
    /// Somebody else's record was replaced, or there was none, since the last term that is known to have begun: an acquisition
    /// whose answer was lost is found as our own record later.
    after_another: bool,
}

/// A leadership that is not held yet, and the elector that competes for it. `api` must not be fenced by it.
pub fn elect(api: Api, clock: Clock, config: LeaseConfig) -> (Leadership, Elector) {
    let (grant, leadership) = Leadership::vacant();
    (leadership, Elector { api, clock, config, grant, seen: None, ours: Vec::new(), after_another: false })
}

impl Elector {
    /// Competes and renews until `stop` is cancelled; then stops leading at once and releases the lease, so that the next
    /// leader need not wait. Stop it only after the last fenced write has been answered.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let round = async {
                let started = Instant::now();
                if let Err(error) = self.round().await {
                    tracing::warn!(lease = %self.config.key, %error, "lease round failed, trying again");
                }
                tokio::time::sleep_until(started + self.config.retry_period).await;
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = round => {}
            }
        }
        self.grant.revoke();
        if let Err(error) = self.release().await {
            tracing::info!(lease = %self.config.key, %error, "lease not released, others wait for it to run out");
        }
    }

    /// One look at the record, and a write if it is ours to write.
    async fn round(&mut self) -> Result<(), ApiError> {
        let (namespace, name) = (self.config.key.namespace.clone(), self.config.key.name.clone());
        let found = self.limited(self.api.get(LEASES, Some(&namespace), &name)).await?;
        let Some(object) = found else {
            return self.write(None).await;
        };
        let record = self.observe(&object);
        if self.is_ours(&record) || self.may_take(&record) {
            self.write(Some((&object, &record))).await
        } else {
            self.grant.revoke();
            Ok(())
        }
    }

    /// Notes when we first saw this record.
    fn observe(&mut self, object: &Value) -> Record {
        let record = Record::read(object);
        if self.seen.as_ref().is_none_or(|(seen, _)| *seen != record) {
            self.seen = Some((record.clone(), Instant::now()));
        }
        record
    }

    /// Whether the record is one that we wrote. The name alone proves nothing: two processes may share it.
    fn is_ours(&self, record: &Record) -> bool {
        self.ours.contains(&record.spec)
    }

    fn may_take(&self, record: &Record) -> bool {
        if record.holder.is_empty() {
            return true;
        }
        // The holder's own promise counts, if it is longer than ours.
        let timeout = record.duration.max(self.config.lease_duration);
        self.seen.as_ref().is_some_and(|(_, since)| since.elapsed() >= timeout)
    }

    async fn write(&mut self, held: Option<(&Value, &Record)>) -> Result<(), ApiError> {
        let sent = Instant::now();
        let now = self.clock.now();
        let ours = held.is_some_and(|(_, record)| self.is_ours(record));
        self.after_another |= !ours;
        // A lease that ran out unrenewed is acquired anew although nobody else took it: its term is over.
        let keeping = if ours && self.grant.is_current() { Keeping::Yes } else { Keeping::No };
        let spec = record::claim(&self.config, now, held.map(|(_, record)| record), keeping);
        if self.ours.len() == ATTEMPTS_MAX {
            self.ours.remove(0);
        }
        self.ours.push(spec.clone());
        match self.store(held, spec).await {
            Ok(stored) => {
                self.ours.drain(..self.ours.len() - 1);
                let transitions = self.observe(&stored).transitions();
                let until = sent + self.config.renew_deadline;
                match keeping {
                    // Too late where the term ended before the answer came: the next round acquires.
                    Keeping::Yes => self.grant.extend(until),
                    Keeping::No => {
                        let another = std::mem::take(&mut self.after_another);
                        let after = if another { Holder::Another } else { Holder::Ourselves };
                        self.grant.begin(until, u64::try_from(transitions).unwrap_or(0), after);
                    }
                }
                Ok(())
            }
            Err(error) => {
                if !error.outcome_unknown() {
                    self.ours.pop();
                }
                Err(error)
            }
        }
    }

    async fn store(&self, held: Option<(&Value, &Record)>, spec: Value) -> Result<Value, ApiError> {
        let Key { namespace, name } = &self.config.key;
        match held {
            None => {
                let object = record::object(&self.config.key, &spec);
                self.limited(self.api.create(LEASES, Some(namespace), &object)).await
            }
            Some((object, _)) => {
                // The resource version makes it conditional: of two candidates one gets a conflict.
                let mut object = object.clone();
                object["spec"] = spec;
                self.limited(self.api.replace(LEASES, Some(namespace), name, &object)).await
            }
        }
    }

    /// No single request may outlast the renewal deadline.
    async fn limited<T>(&self, call: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
        let limit = self.config.renew_deadline / 2;
        tokio::time::timeout(limit, call)
            .await
            .unwrap_or_else(|_| Err(record::too_slow(&self.config.key, limit)))
    }

    async fn release(&mut self) -> Result<(), ApiError> {
        let (namespace, name) = (self.config.key.namespace.clone(), self.config.key.name.clone());
        let Some(mut object) = self.limited(self.api.get(LEASES, Some(&namespace), &name)).await? else {
            return Ok(());
        };
        let record = Record::read(&object);
        if self.is_ours(&record) {
            object["spec"] = record::released(&record, self.clock.now());
            // Conditional: somebody who took over meanwhile keeps it.
            self.limited(self.api.replace(LEASES, Some(&namespace), &name, &object)).await?;
        }
        Ok(())
    }
}

impl fmt::Debug for Elector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Elector").field("config", &self.config).finish_non_exhaustive()
    }
}
