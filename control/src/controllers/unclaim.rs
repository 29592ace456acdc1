//! A Deployment that is claimed and that no service names any more: it runs on as it is, without anything of ours.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use trimtab_delivery::command;
use trimtab_delivery::lower::{freed, label, put_back, returned};
use trimtab_delivery::names::{CLAIM_ANNOTATION, INSTANCE_ANNOTATION};
use trimtab_delivery::seal::Author;
use trimtab_delivery::snapshot::{Release, ReleasePhase};
use trimtab_delivery::unclaim::{Leaving, OldSet, Step, is_judged, next_step};
use trimtab_kube::expectations::Expectations;
use trimtab_kube::kinds::{
    AppRow, Apps, Changed, DeploymentRow, Deployments, PodRow, Pods, Releases, ReplicaSetRow, ReplicaSets,
    Stores,
};
use trimtab_kube::resource::DEPLOYMENTS;
use trimtab_kube::watch::Row;
use trimtab_kube::{Api, ApiError, Key};
use trimtab_plan::concern::{Concern, UNCLAIM};
use trimtab_plan::report::{self, Report};
use trimtab_plan::{Breach, Copied, Kind, Object, Plan, Reason, Sealing, Write, check};
use trimtab_workload::images;

use crate::context::Reads;
use crate::controller::{Controller, Gathered};
use crate::execute::Executor;
use crate::observed::{self, target_of_pod};

/// Labels removed in one plan; the rest follows on the next event.
const LABELS_PER_PLAN_MAX: usize = 50;

/// How long a claim that no service names is kept before the next look, while a `ManagedApp` beside it cannot be read.
const UNDECODABLE_AGAIN: Duration = Duration::from_secs(60);

/// Deployments let go of at one time.
const DEPLOYMENTS_AT_ONCE: usize = 4;

/// Lets go of Deployments that are claimed and that no service names any more.
pub struct Unclaim {
    /// What the cluster looks like.
    pub stores: Stores,
    /// Whose claims they are: a claim of another instance may be that of a service which this one has not heard of yet.
    pub instance: Option<String>,
}

impl Unclaim {
    /// Whether it is a claim of this instance.
    fn claims(&self, row: &DeploymentRow) -> bool {
        let annotation = |name| row.identity.annotation(name);
        annotation(CLAIM_ANNOTATION).is_some() && annotation(INSTANCE_ANNOTATION) == self.instance.as_deref()
    }
}

/// A Deployment to let go of, as it was seen.
pub struct Seen {
    deployment: Arc<DeploymentRow>,
    sets: Vec<Arc<ReplicaSetRow>>,
    labelled: Vec<Arc<PodRow>>,
    leaving: Leaving,
}

impl Controller for Unclaim {
    type Key = Key;
    type Seen = Seen;

    fn concern(&self) -> &'static Concern {
        &UNCLAIM
    }

    fn at_once(&self) -> usize {
        DEPLOYMENTS_AT_ONCE
    }

    fn concerned(&self, changed: Changed<'_>) -> Vec<Key> {
        let apps = self.stores.of::<Apps>();
        let named = changed.rows::<Apps>().map(AppRow::target);
        let deployments = changed.rows::<Deployments>().map(|deployment| deployment.key().clone());
        let of_sets = changed.rows::<ReplicaSets>().filter_map(|set| set.deployment());
        let of_pods = changed.rows::<Pods>().filter_map(|pod| target_of_pod(&self.stores, pod));
        let all = named.chain(deployments).chain(of_sets).chain(of_pods);
        // Nearly every claim has its service.
        all.filter(|target| apps.read().at(target).next().is_none()).collect()
    }

    fn all(&self) -> Vec<Key> {
        let deployments = self.stores.of::<Deployments>().read();
        let claimed = deployments.iter().filter(|row| self.claims(row));
        claimed.map(|row| row.key().clone()).collect()
    }

    fn reads(&self, target: &Key) -> Vec<Reads> {
        vec![Reads::One(DEPLOYMENTS, target.clone())]
    }

    fn gather(&self, target: &Key, now: Timestamp) -> Gathered<Seen> {
        let claimed = self.stores.of::<Deployments>().get(target);
        let Some(deployment) = claimed.filter(|row| self.claims(row)) else { return Gathered::Nothing };
        let apps = self.stores.of::<Apps>().read();
        if apps.at(target).next().is_some() {
            return Gathered::Nothing;
        }
        // Whom it claims is unknown, and may be this one.
        if let Some(app) = apps.undecodable_in(&target.namespace).next() {
            let shows = command::kubectl(&format!("get managedapp {} -o yaml", app.name), &app.namespace);
            tracing::warn!(deployment = %target, managed_app = %app, "keeps a claim that no ManagedApp names: one of its namespace cannot be read; `{shows}` shows it");
            return now.checked_add(UNDECODABLE_AGAIN).map_or(Gathered::Nothing, Gathered::Later);
        }
        drop(apps);
        Gathered::Seen(seen(&self.stores, deployment))
    }

    fn plan(&self, seen: &Seen) -> (Plan, Report) {
        let step = next_step(&seen.leaving);
        let report = why(seen, &step);
        (unclaimed(seen, step), report)
    }
}

fn seen(stores: &Stores, deployment: Arc<DeploymentRow>) -> Seen {
    let sets: Vec<Arc<ReplicaSetRow>> =
        stores.of::<ReplicaSets>().read().at(&deployment.identity.uid).cloned().collect();
    let labelled = {
        let pods = stores.of::<Pods>().read();
        let all = sets.iter().flat_map(|set| pods.at(&set.uid));
        all.filter(|pod| pod.phase_label().is_some()).cloned().collect()
    };
    let leaving = leaving(stores, &deployment, &sets);
    Seen { deployment, sets, labelled, leaving }
}

fn why(seen: &Seen, step: &Step) -> Report {
    let key = &seen.deployment.identity.key;
    let about = Object::new(Kind::DEPLOYMENT, &key.namespace, &*key.name);
    let decided = match step {
        Step::Restore { template_hash } => format!("puts template {template_hash} back and lifts the hold"),
        Step::ReturnFields => "gives the fields of the restored template back".to_owned(),
        Step::Release => "takes the labels and the claim away".to_owned(),
        Step::ReleasePaused => "takes the claim away and leaves the pause: nothing else may run".to_owned(),
    };
    let step = report::Step {
        code: Reason::Unclaimed,
        subject: about.clone(),
        saw: "no ManagedApp names the claimed Deployment".to_owned(),
        decided,
        waits_for: None,
    };
    Report { about, summary: "is let go of".to_owned(), steps: vec![step] }
}

/// What is due to let go of a Deployment: one step, which is seen before the next one follows.
fn unclaimed(seen: &Seen, step: Step) -> Plan {
    let Seen { deployment, sets, labelled, .. } = seen;
    let namespace = &*deployment.identity.key.namespace;
    let target = observed::target(deployment, None, None);
    let writes = match step {
        Step::Restore { template_hash } => {
            let set = sets.iter().find(|set| *set.template_hash.to_string() == template_hash);
            let other = set.filter(|set| set.template_hash != deployment.template.hash);
            let restore = other.map(|set| Copied {
                from: Object::new(Kind::REPLICA_SET, namespace, &*set.key.name),
                pointer: "/spec/template",
                into: "/spec/template",
                template_hash,
                seal: Sealing::Unsealed,
            });
            vec![put_back(namespace, &target, restore)]
        }
        Step::ReturnFields => vec![returned(namespace, &target)],
        Step::Release | Step::ReleasePaused => {
            let unlabel = |pod: &Arc<PodRow>| label(namespace, &pod.key.name, &pod.uid.to_string(), None);
            let mut writes: Vec<Write> = labelled.iter().take(LABELS_PER_PLAN_MAX).map(unlabel).collect();
            // The claim goes last: whoever finds it finishes what is left of this.
            if labelled.len() <= LABELS_PER_PLAN_MAX {
                writes.push(freed(namespace, &target));
            }
            writes
        }
    };
    Plan { writes, wake_at: None }
}

/// What is known about the Deployment. Its records may be gone with the service.
fn leaving(stores: &Stores, row: &DeploymentRow, sets: &[Arc<ReplicaSetRow>]) -> Leaving {
    let target = observed::target(row, None, None);
    let releases = stores.of::<Releases>().read();
    let here = releases.in_namespace(&row.identity.key.namespace);
    let mut records: Vec<Release> = here.map(|row| row.release()).collect();
    records.retain(|release| release.author == Author::Manager && !release.is_foreign_to(&target.uid));
    records.sort_by_key(|release| release.number);
    let hashes = |phases: &[ReleasePhase]| {
        let those = records.iter().filter(|release| phases.contains(&release.status.phase));
        those.filter_map(|release| release.template_hash.clone()).collect::<Vec<_>>()
    };
    let (_, pods) = observed::arms(stores, row);
    let pods_of = |set: &ReplicaSetRow| {
        let uid = set.uid.to_string();
        pods.iter().filter(move |pod| pod.replica_set == uid)
    };
    let set = |set: &Arc<ReplicaSetRow>| OldSet {
        judged: is_judged(pods_of(set)),
        template_hash: set.template_hash.to_string(),
        revision: set.revision.map_or(0, NonZeroU64::get),
        replicas: set.replicas,
        images: set.template.as_ref().map(|template| images(&template.value())).unwrap_or_default(),
    };
    let kept = hashes(&[ReleasePhase::Kept]);
    // Kept after all: a person said so, or it passed the second time.
    let last_kept = kept.last().cloned();
    let failed = hashes(&[ReleasePhase::RolledBack, ReleasePhase::RollingBack]);
    let rejected = failed.into_iter().filter(|hash| Some(hash) != last_kept.as_ref());
    Leaving {
        held: target.held_by_admission(),
        sets: sets.iter().map(set).collect(),
        rejected: rejected.collect(),
        kept,
        recorded: records.iter().filter_map(|release| release.template_hash.clone()).collect(),
        template_hash: target.template_hash,
        owns_template: target.owns_template,
        held_images: target.held_images,
    }
}

/// Whether admission holds the template in the spec of a Deployment.
#[must_use]
pub fn is_held(deployment: &DeploymentRow) -> bool {
    observed::target(deployment, None, None).held_by_admission()
}

/// How far letting go of a Deployment came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// One step is done; the next one needs the Deployment as it is then.
    Going,
    /// The claim is gone.
    Gone,
}

/// Why a step was not taken.
#[derive(Debug, thiserror::Error)]
pub enum NotLetGo {
    /// The API server refused it, or somebody changed the Deployment since it was read.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// It would have written what it must not: a fault of ours.
    #[error("{0}; please report this")]
    Breach(#[from] Breach),
}

/// Takes the next step of letting go of a Deployment, for a command that has read it, and removes no labels. `restore` is what
/// must run where admission holds the template in the spec; without it, that one was kept and its pause goes.
///
/// # Errors
/// Why the step was not taken.
pub async fn unclaim(
    api: &Api,
    deployment: &DeploymentRow,
    restore: Option<Copied>,
) -> Result<Progress, NotLetGo> {
    let namespace = &*deployment.identity.key.namespace;
    let target = observed::target(deployment, None, None);
    let (write, progress) = if target.held_by_admission() {
        (put_back(namespace, &target, restore), Progress::Going)
    } else if target.owns_template {
        (returned(namespace, &target), Progress::Going)
    } else {
        (freed(namespace, &target), Progress::Gone)
    };
    let plan = Plan { writes: vec![write], wake_at: None };
    let expectations = Expectations::default();
    let executor =
        Executor { api, expectations: &expectations, known: &|_| None, key: None, notify: &|_, _| {} };
    executor.carry_out(check(&plan, &UNCLAIM)?).await.map_err(ApiError::from)?;
    Ok(progress)
}
