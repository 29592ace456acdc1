//! One service at a time: gather, look, plan, apply.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use trimtab_delivery::judge::Arms;
use trimtab_delivery::{Plan, Report, plan};
use trimtab_kube::api::Leadership;
use trimtab_kube::pod_row::PodRow;
use trimtab_kube::queue::Queue;
use trimtab_kube::watch::Row;
use trimtab_kube::{Api, ApiError, Clock, Key};

use crate::apply::{self, Writer};
use crate::bindings::Bindings;
use crate::cluster::{Cluster, target_key};
use crate::evidence::Evidence;
use crate::expectations::{Expectations, Kind};
use crate::observed::{Measured, NOTHING_MEASURED, Observed};
use crate::rows::AppRow;
use crate::tell::Teller;

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
    /// Whether this process may write.
    pub leadership: Leadership,
    /// Evidence about releases under way.
    pub evidence: Evidence,
    /// Whether the rules of settled services find their series.
    pub bindings: Bindings,
    /// Messages to people.
    pub teller: Teller,
    /// Our own writes that the stores have not shown yet.
    pub expectations: Expectations,
}

impl Shell {
    /// Decides about whatever claims the Deployment `target`, and carries it out. Returns when to look again.
    ///
    /// # Errors
    /// The first write that failed; everything after it was left for the next attempt.
    pub async fn reconcile(&self, target: Key) -> Result<Option<Timestamp>, ApiError> {
        if !self.leadership.is_leader() {
            return Ok(None);
        }
        let services: Vec<Arc<AppRow>> = self.cluster.apps.read().at(&target).cloned().collect();
        if services.is_empty() {
            self.bindings.forget(&target);
            return self.let_go(&target).await;
        }
        let mut wake_at = None;
        for service in services {
            wake_at = earliest(wake_at, self.service(&service).await?);
        }
        Ok(wake_at)
    }

    async fn service(&self, row: &Arc<AppRow>) -> Result<Option<Timestamp>, ApiError> {
        if self.is_behind(row) {
            return Ok(self.clock.now().checked_add(self.expectations.patience()).ok());
        }
        let (measured, next_look) = self.look(row).await;
        // Measuring takes time: the plan is made on what is true after it.
        let Some(row) = self.cluster.apps.get(row.key()) else { return Ok(None) };
        let observed = Observed::gather(&self.cluster, &row);
        let now = self.clock.now();
        let (plan, report) = plan(&observed.snapshot(now, &measured));
        self.log(row.key(), &plan, &report);
        let writer = Writer { api: &self.api, expectations: &self.expectations, observed: &observed, now };
        writer.apply(&plan.writes).await?;
        writer.app_status(&plan.status).await?;
        if plan.writes.is_empty() {
            self.teller.tell(&writer).await?;
        }
        Ok(earliest(plan.wake_at, next_look))
    }

    /// What is measured about the service, and when to look again.
    async fn look(&self, row: &Arc<AppRow>) -> (Measured, Option<Timestamp>) {
        let observed = Observed::gather(&self.cluster, row);
        let snapshot = observed.snapshot(self.clock.now(), &NOTHING_MEASURED);
        let judged = snapshot.judged();
        self.evidence.forget(row.key(), judged.map(|release| release.number));
        let (findings, next_look) = match judged {
            Some(release) => {
                let pods = |before: &Arms| {
                    let observed = Observed::gather(&self.cluster, row);
                    let snapshot = observed.snapshot(self.clock.now(), &NOTHING_MEASURED);
                    (Arms::of(&snapshot, release, before), snapshot.now)
                };
                let (findings, next_look) = self.evidence.look(row.key(), &snapshot, release, pods).await;
                (findings, Some(next_look))
            }
            None => (Vec::new(), None),
        };
        let unbound = self.bindings.known(&target_key(row), &snapshot);
        (Measured { findings, unbound }, next_look)
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
        let Some(service) = service.filter(|_| self.leadership.is_leader()) else {
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
            Kind::App => (key == row.key()).then(|| Some(row.resource_version())),
            Kind::Deployment => {
                (*key == target).then(|| deployments.get(key).map(|row| row.resource_version()))
            }
            Kind::Release => {
                let ours = key.namespace == row.key().namespace && key.name.starts_with(&prefix);
                ours.then(|| releases.get(key).map(|row| row.resource_version()))
            }
        })
    }

    /// Releases a Deployment that is claimed and that no service names.
    async fn let_go(&self, target: &Key) -> Result<Option<Timestamp>, ApiError> {
        let Some(deployment) = self.cluster.deployments.get(target) else { return Ok(None) };
        let claim = deployment.identity.annotation(trimtab_delivery::names::CLAIM_ANNOTATION);
        if claim.is_none()
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
        let sets = self.cluster.replica_sets.read().at(&deployment.identity.uid).cloned().collect::<Vec<_>>();
        let running = sets.iter().max_by_key(|set| (set.status.available, set.revision));
        let held = deployment.paused && deployment.paused_manager.is_none();
        let template = running
            .filter(|set| held && set.template.hash != deployment.template.hash)
            .map(|set| set.template.value());
        tracing::info!(deployment = %target, restored = template.is_some(), "releases a Deployment that no ManagedApp names");
        // The claim goes last: whoever finds it finishes what is left of this.
        let labelled: Vec<Arc<PodRow>> = {
            let pods = self.cluster.pods.read();
            let all = sets.iter().flat_map(|set| pods.at(&set.identity.uid));
            all.filter(|pod| pod.phase_label().is_some()).cloned().collect()
        };
        for pod in labelled {
            let uid = pod.uid.to_string();
            apply::set_phase_label(&self.api, target.namespace(), &pod.key.name, &uid, None).await?;
        }
        let answer = apply::unclaim(&self.api, &deployment, template).await?;
        self.expectations.wrote_answer(Kind::Deployment, target.clone(), &answer);
        Ok(None)
    }

    fn log(&self, service: &Key, plan: &Plan, report: &Report) {
        for write in &plan.writes {
            tracing::info!(%service, ?write, "writes");
        }
        if !plan.writes.is_empty() {
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
