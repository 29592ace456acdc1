//! The manager: wires watches, queue, shell, lease and probes together, and stops them in order.

use std::sync::Arc;

use futures::future::{join, join_all, join4, select};
use jiff::Timestamp;
use serde_json::json;
use trimtab_api::condition::{Condition, merge_conditions};
use trimtab_api::resolve::check_policy;
use trimtab_kube::api::Patch;
use trimtab_kube::expectations::Expectations;
use trimtab_kube::host::Host;
use trimtab_kube::lease::{LeaseConfig, elect};
use trimtab_kube::queue::Queue;
use trimtab_kube::watch::{Row, WatchStatus};
use trimtab_kube::{Api, ApiError, CancellationToken, Clock, Key};
use trimtab_providers::http::HttpTransport;

use crate::bindings::Bindings;
use crate::cluster::{Cluster, target_key};
use crate::measurements::{Measure, Measurements};
use crate::outbox::Outbox;
use crate::reconcile::Shell;
use crate::resources::FLEET_POLICIES;
use crate::rows::PolicyRow;
use crate::standing::{HELD_AGAIN, Hold, Standing};

/// Services decided at one time. One is measured while others are, and the API server is spared.
const RECONCILES_AT_ONCE: usize = 16;
/// Services whose rules are looked up at one time: nobody waits for it.
const CHECKS_AT_ONCE: usize = 2;
/// Name of the lease.
const LEASE_NAME: &str = "trimtab-manager";

/// How a manager is set up.
#[derive(Clone, Debug)]
pub struct ManagerOptions {
    /// Namespace of the lease, and of the Secrets that policies name.
    pub namespace: String,
    /// Who this process is among its replicas; unique.
    pub identity: String,
}

/// What a manager stands on; the simulated cluster brings its own.
pub struct Parts {
    /// The API, with the delivery field manager.
    pub api: Api,
    /// Time.
    pub clock: Clock,
    /// Answers the judges.
    pub measure: Arc<dyn Measure>,
    /// Takes messages to people.
    pub transport: Arc<dyn HttpTransport>,
    /// Probes and metrics are registered here.
    pub host: Host,
}

/// Runs until `stop` is cancelled: leads when it can, watches always. Returns after the last write was answered and the
/// lease was given back.
pub async fn run(options: ManagerOptions, parts: Parts, stop: CancellationToken) {
    let Parts { api, clock, measure, transport, host } = parts;
    let lease = LeaseConfig::new(Key::new(options.namespace.as_str(), LEASE_NAME), options.identity.clone());
    let (leadership, elector) = elect(api.clone(), clock.clone(), lease);
    let dirty: Queue<Key> = Queue::new("services", clock.clone());
    let dirty_policies: Queue<Key> = Queue::new("policies", clock.clone());
    let unasked: Queue<Key> = Queue::new("bindings", clock.clone());
    let cluster = Cluster::new();
    let expectations = Expectations::default();
    let watches = cluster.watch(&api, &dirty, &dirty_policies, &expectations);
    let fenced = api.fenced(leadership.clone());
    let measurements = Measurements::new(measure.clone(), clock.clone(), dirty.clone());
    let standing = Standing::new(leadership.clone(), watches.statuses.clone());
    register(
        &host,
        &cluster,
        &standing,
        &watches.statuses,
        &[&dirty, &dirty_policies, &unasked, measurements.queue()],
        &api,
    );
    let shell = Shell {
        cluster: cluster.clone(),
        api: fenced.clone(),
        clock: clock.clone(),
        standing: standing.clone(),
        measurements: measurements.clone(),
        bindings: Bindings::new(measure, unasked.clone()),
        outbox: Outbox::new(fenced.clone(), transport, clock.clone(), options.namespace, dirty.clone()),
        expectations,
    };
    // The lease outlives the last write: it is given back only once nothing of ours is under way.
    let after_writes = CancellationToken::new();
    let work = async {
        let synced = std::pin::pin!(cluster.wait_synced());
        let stopped = std::pin::pin!(stop.cancelled());
        select(synced, stopped).await;
        let services = dirty.run(RECONCILES_AT_ONCE, stop.clone(), |key| shell.reconcile(key));
        let policies = dirty_policies
            .run(1, stop.clone(), |key| policy_status(&cluster, &fenced, &standing, &clock, key));
        let bindings = unasked.run(CHECKS_AT_ONCE, stop.clone(), |key| shell.check_bindings(key, &dirty));
        let takeover = take_over(&cluster, &dirty, &dirty_policies, &shell, &stop);
        let measuring = measurements.run(stop.clone());
        join(join4(services, policies, bindings, takeover), measuring).await;
        after_writes.cancel();
    };
    let watching = async {
        let all = std::pin::pin!(join_all(watches.tasks));
        let done = std::pin::pin!(after_writes.cancelled());
        select(all, done).await;
    };
    join(join(work, watching), elector.run(after_writes.clone())).await;
}

/// A new leader reads everything anew and then decides about everything once: what its predecessor left undone has no event
/// of its own.
async fn take_over(
    cluster: &Cluster,
    dirty: &Queue<Key>,
    dirty_policies: &Queue<Key>,
    shell: &Shell,
    stop: &CancellationToken,
) {
    loop {
        let term = async {
            let term = shell.standing.leadership().gained().await;
            // Evidence is a function of the samples: another leader may have judged meanwhile, on other rules.
            shell.measurements.forget_all();
            shell.standing.read_anew(term).await;
            for app in cluster.apps.read().iter() {
                dirty.mark(target_key(app));
            }
            for deployment in cluster.deployments.read().iter() {
                if deployment.identity.annotation(trimtab_delivery::names::CLAIM_ANNOTATION).is_some() {
                    dirty.mark(deployment.key().clone());
                }
            }
            for policy in cluster.policies.read().iter() {
                dirty_policies.mark(policy.key().clone());
            }
            term
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = async { shell.standing.leadership().ended(term.await).await } => {}
        }
    }
}

fn register(
    host: &Host,
    cluster: &Cluster,
    standing: &Standing,
    statuses: &[WatchStatus],
    queues: &[&Queue<Key>],
    api: &Api,
) {
    let (synced, standing) = (cluster.clone(), standing.clone());
    host.ready_when("watches", move || {
        if !synced.synced() {
            return Err("not every kind has been listed yet".to_owned());
        }
        standing.unhealthy().map_or(Ok(()), |why| Err(format!("{why}; decisions are held")))
    });
    host.register(|registry| {
        for status in statuses {
            status.register(registry);
        }
        for queue in queues {
            queue.register(registry);
        }
        api.counters().register(registry);
    });
}

/// Says on a policy whether it is valid.
async fn policy_status(
    cluster: &Cluster,
    api: &Api,
    standing: &Standing,
    clock: &Clock,
    key: Key,
) -> Result<Option<Timestamp>, ApiError> {
    let term = match standing.may_decide() {
        Ok(term) => term,
        Err(Hold::Elsewhere) => return Ok(None),
        Err(Hold::Unhealthy(_)) => return Ok(clock.now().checked_add(HELD_AGAIN).ok()),
    };
    let api = api.in_term(term);
    let Some(row) = cluster.policies.get(&key) else { return Ok(None) };
    let status = &row.object.status;
    let generation = row.object.metadata.generation;
    let condition = validity(&row);
    let said = status.conditions.iter().any(|old| {
        (&old.status, &old.reason, &old.message) == (&condition.status, &condition.reason, &condition.message)
    });
    if said && status.observed_generation == Some(generation) {
        return Ok(None);
    }
    let conditions = merge_conditions(&status.conditions, vec![condition], clock.now());
    let patch = Patch::Merge(json!({"status": {"observedGeneration": generation, "conditions": conditions}}));
    match api.patch_subresource(FLEET_POLICIES, None, &key.name, "status", &patch).await {
        Ok(_) | Err(ApiError::NotFound { .. } | ApiError::Fenced { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn validity(row: &PolicyRow) -> Condition {
    let problems: Vec<String> = check_policy(&row.object).iter().map(ToString::to_string).collect();
    let (status, reason, message) = match problems.as_slice() {
        [] => ("True", "Valid", "the spec is valid".to_owned()),
        problems => {
            ("False", "Invalid", format!("{}; what is wrong counts as not written", problems.join("; ")))
        }
    };
    Condition {
        kind: "Valid".to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        last_transition_time: None,
        observed_generation: Some(row.object.metadata.generation),
    }
}
