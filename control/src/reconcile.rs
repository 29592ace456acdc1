//! One service at a time: gather, look, plan, apply.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use trimtab_delivery::{Report, lower, plan};
use trimtab_kube::api::Term;
use trimtab_kube::queue::{Failed, Queue};
use trimtab_kube::watch::Row;
use trimtab_kube::{Api, Clock, Key};

use crate::bindings::Bindings;
use crate::cluster::{Cluster, target_key};
use crate::execute::Executor;
use crate::expectations::Expectations;
use crate::measurements::{Looked, Measurements};
use crate::observed::{Measured, NOTHING_MEASURED, Observed};
use crate::outbox::Outbox;
use crate::rows::AppRow;
use crate::standing::{HELD_AGAIN, Hold, Standing};
use crate::unclaim::unclaimed;
use trimtab_plan::concern::{DELIVERY, UNCLAIM};
use trimtab_plan::{Concern, Copied, Kind, Plan, check};

/// How long a claim that no service names is kept before the next look, while a `ManagedApp` beside it cannot be read.
const UNREADABLE_AGAIN: Duration = Duration::from_secs(60);

/// What every reconcile needs.
pub struct Shell {
    /// What the cluster looks like.
    pub cluster: Cluster,
    /// The API, fenced by `leadership`.
    pub api: Api,
    /// Time.
    pub clock: Clock,
    /// Whether this process may decide.
    pub standing: Standing,
    /// Evidence about releases under way.
    pub measurements: Measurements,
    /// Whether the rules of settled services find their series.
    pub bindings: Bindings,
    /// Messages to people.
    pub outbox: Outbox,
    /// Our own writes that the stores have not shown yet.
    pub expectations: Expectations,
}

impl Shell {
    /// Decides about whatever claims the Deployment `target`, and carries it out. Returns when to look again.
    ///
    /// # Errors
    /// The first write that failed; everything after it was left for the next attempt.
    pub async fn reconcile(&self, target: Key) -> Result<Option<Timestamp>, Failed> {
        let term = match self.standing.may_decide() {
            Ok(term) => term,
            Err(Hold::Elsewhere) => return Ok(None),
            Err(Hold::Unhealthy(why)) => {
                tracing::warn!(deployment = %target, why, "holds its decisions");
                return Ok(self.clock.now().checked_add(HELD_AGAIN).ok());
            }
        };
        let services: Vec<Arc<AppRow>> = self.cluster.apps.read().at(&target).cloned().collect();
        if services.is_empty() {
            self.bindings.forget(&target);
            self.measurements.forget_target(&target);
            self.outbox.forget(&target, &[]);
            return self.unclaim(&target, term).await;
        }
        let mut wake_at = None;
        for service in services {
            wake_at = earliest(wake_at, self.service(&service, term).await?);
        }
        Ok(wake_at)
    }

    async fn service(&self, row: &Arc<AppRow>, term: Term) -> Result<Option<Timestamp>, Failed> {
        if self.is_behind(row) {
            return Ok(self.clock.now().checked_add(self.expectations.patience()).ok());
        }
        let observed = Observed::gather(&self.cluster, row);
        let now = self.clock.now();
        let looked = self.look(row, &observed, now);
        if looked.wait_a_moment {
            return Ok(looked.next);
        }
        let bound = self.bindings.known(&observed.target_key, &observed.snapshot(now, &NOTHING_MEASURED));
        let Looked { findings, measuring_since, next: next_look, .. } = looked;
        let measured = Measured { findings, measuring_since, bound };
        let snapshot = observed.snapshot(now, &measured);
        let (decided, report) = plan(&snapshot);
        let mut due = lower(&snapshot, &decided);
        if decided.writes.is_empty() {
            due.writes.extend(self.outbox.advance(&observed, &snapshot));
        }
        self.outbox.forget(&observed.target_key, &self.outbox.open_entries(&observed, &snapshot));
        let notify =
            |key: &str, destination: &str| self.outbox.hand_over(&observed, &snapshot, key, destination);
        self.log(row.key(), &due, &report);
        let wake_at = earliest(due.wake_at, next_look);
        self.carry_out(&due, term, &DELIVERY, &notify)
            .await
            .map_err(|failed| Failed { wake_at, ..failed })?;
        Ok(wake_at)
    }

    /// Carries out a plan that its concern may carry out; another one is a fault of ours, and changes nothing.
    async fn carry_out(
        &self,
        due: &Plan,
        term: Term,
        concern: &Concern,
        notify: &(dyn Fn(&str, &str) + Send + Sync),
    ) -> Result<(), Failed> {
        if let Err(breach) = check(due, concern) {
            return Err(Failed::from(format!("a plan was not carried out: {breach}; please report this")));
        }
        let api = self.api.in_term(term);
        let executor =
            Executor { api: &api, expectations: &self.expectations, known: &|copy| self.known(copy), notify };
        Ok(executor.carry_out(due).await?)
    }

    /// The template of a Deployment or a ReplicaSet, where a store holds it.
    fn known(&self, copy: &Copied) -> Option<Value> {
        let key = Key::new(copy.from.namespace.as_deref()?, copy.from.name.as_str());
        match copy.from.kind {
            Kind::Deployment => Some(self.cluster.deployments.get(&key)?.template.value()),
            Kind::ReplicaSet => Some(self.cluster.replica_sets.get(&key)?.template.value()),
            _ => None,
        }
    }

    /// What is known about the release that is judged.
    fn look(&self, row: &AppRow, observed: &Observed, now: Timestamp) -> Looked {
        let snapshot = observed.snapshot(now, &NOTHING_MEASURED);
        match snapshot.judged() {
            Some(release) => self.measurements.look(row.key(), &observed.target_key, &snapshot, release),
            None => {
                self.measurements.forget(row.key());
                Looked::default()
            }
        }
    }

    /// Asks whether the rules of whatever claims the Deployment `target` find their series. Returns when to ask again.
    ///
    /// # Errors
    /// None.
    pub async fn check_bindings(
        &self,
        target: Key,
        dirty: &Queue<Key>,
    ) -> Result<Option<Timestamp>, Infallible> {
        let service = self.cluster.apps.read().at(&target).next().cloned();
        let Some(service) = service.filter(|_| self.standing.may_decide().is_ok()) else {
            // Whoever leads next, perhaps this process again, asks anew.
            self.bindings.forget(&target);
            return Ok(None);
        };
        let observed = Observed::gather(&self.cluster, &service);
        let snapshot = observed.snapshot(self.clock.now(), &NOTHING_MEASURED);
        let (known, again_at) = self.bindings.check(&target, &snapshot).await;
        if known {
            dirty.mark(target);
        }
        Ok(again_at)
    }

    /// Whether a store is behind our own last write of anything that the plan would look at.
    fn is_behind(&self, row: &AppRow) -> bool {
        let releases = self.cluster.releases.read();
        let deployments = self.cluster.deployments.read();
        let target = target_key(row);
        let prefix = format!("{}-v", row.key().name);
        self.expectations.is_any_behind(|kind, key| match kind {
            Kind::ManagedApp => (key == row.key()).then(|| Some(row.resource_version())),
            Kind::Deployment => {
                (*key == target).then(|| deployments.get(key).map(|row| row.resource_version()))
            }
            Kind::AppRelease => {
                let ours = key.namespace == row.key().namespace && key.name.starts_with(&prefix);
                ours.then(|| releases.get(key).map(|row| row.resource_version()))
            }
            Kind::FleetPolicy | Kind::ReplicaSet | Kind::Pod | Kind::Event => None,
        })
    }

    /// Unclaims a Deployment that is claimed and that no service names.
    async fn unclaim(&self, target: &Key, term: Term) -> Result<Option<Timestamp>, Failed> {
        let Some(deployment) = self.cluster.deployments.get(target) else { return Ok(None) };
        if deployment.identity.annotation(trimtab_delivery::names::CLAIM_ANNOTATION).is_none()
            || self.expectations.is_any_behind(|kind, key| {
                (kind == Kind::Deployment && key == target).then(|| Some(deployment.resource_version()))
            })
        {
            return Ok(None);
        }
        // Whom it claims is unknown, and may be this one.
        if let Some(app) = self.cluster.apps.read().unreadable_in(&target.namespace).next() {
            tracing::warn!(deployment = %target, managed_app = %app, "keeps a claim that no ManagedApp names: one of its namespace cannot be read; `kubectl get managedapp -o yaml` shows it");
            return Ok(self.clock.now().checked_add(UNREADABLE_AGAIN).ok());
        }
        let due = unclaimed(&self.cluster, &deployment);
        tracing::info!(deployment = %target, writes = due.writes.len(), "unclaims a Deployment that no ManagedApp names");
        self.carry_out(&due, term, &UNCLAIM, &|_, _| {}).await?;
        Ok(None)
    }

    fn log(&self, service: &Key, due: &Plan, report: &Report) {
        for write in &due.writes {
            let object = write.object().map(ToString::to_string).unwrap_or_default();
            tracing::info!(%service, verb = write.verb(), object, "writes");
        }
        if !due.is_quiet() {
            tracing::debug!(%service, report = report.text(), "why");
        }
    }
}

fn earliest(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
