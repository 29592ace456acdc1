//! Ships the releases of services: one service at a time, by the name of its `ManagedApp`.

use std::sync::Arc;

use jiff::Timestamp;
use trimtab_delivery::{Write, lower, plan};
use trimtab_kube::Key;
use trimtab_kube::kinds::{
    APP_RELEASES, AppRow, Apps, Autoscalers, Changed, Deployments, MANAGED_APPS, Pods, Policies, Releases,
    ReplicaSets, Stores,
};
use trimtab_kube::queue::Queue;
use trimtab_kube::resource::DEPLOYMENTS;
use trimtab_kube::watch::Row;
use trimtab_plan::concern::{Concern, DELIVERY};
use trimtab_plan::{Plan, Report};

use crate::bindings::Bindings;
use crate::context::{Context, Reads};
use crate::controller::{Controller, Gathered};
use crate::host::earliest;
use crate::measurements::{Looked, Measurements};
use crate::observed::{Measured, NOTHING_MEASURED, Observed, target_of_pod};
use crate::outbox::Outbox;
use crate::standing::{HELD_AGAIN, Hold};

/// Services decided at one time: the API server is spared.
const SERVICES_AT_ONCE: usize = 16;

/// Ships the releases of services.
pub struct Delivery {
    /// What the cluster looks like.
    pub stores: Stores,
    /// Evidence about releases under way.
    pub measurements: Measurements,
    /// Whether the rules of settled services find their series.
    pub bindings: Arc<Bindings>,
    /// Messages to people.
    pub outbox: Arc<Outbox>,
    /// Which services are looked after: those whose label says so, or that have none.
    pub instance: Option<String>,
}

/// A service as it was seen.
pub struct Seen {
    observed: Observed,
    measured: Measured,
    now: Timestamp,
    next_look: Option<Timestamp>,
}

impl Controller for Delivery {
    type Key = Key;
    type Seen = Seen;

    fn concern(&self) -> &'static Concern {
        &DELIVERY
    }

    fn at_once(&self) -> usize {
        SERVICES_AT_ONCE
    }

    fn concerned(&self, changed: Changed<'_>) -> Vec<Key> {
        let mut services = Vec::new();
        for app in changed.rows::<Apps>() {
            services.push(app.key().clone());
            // Whoever names the same Deployment may have it now.
            services.extend(self.services_of(&app.target()));
        }
        services.extend(changed.rows::<Releases>().map(|release| release.service()));
        if changed.rows::<Policies>().next().is_some() {
            services.extend(self.all());
        }
        let of_deployments = changed.rows::<Deployments>().map(|deployment| deployment.key().clone());
        let of_sets = changed.rows::<ReplicaSets>().filter_map(|set| set.deployment());
        let of_pods = changed.rows::<Pods>().filter_map(|pod| target_of_pod(&self.stores, pod));
        let of_autoscalers = changed.rows::<Autoscalers>().map(|autoscaler| autoscaler.target());
        for target in of_deployments.chain(of_sets).chain(of_pods).chain(of_autoscalers) {
            services.extend(self.services_of(&target));
        }
        services
    }

    fn all(&self) -> Vec<Key> {
        self.stores.of::<Apps>().read().iter().map(|app| app.key().clone()).collect()
    }

    fn begin_term(&self) {
        // Evidence is a function of the samples: another leader may have judged meanwhile, on other rules.
        self.measurements.forget_all();
        self.bindings.forget_all();
        self.outbox.begin_term();
    }

    fn reads(&self, service: &Key) -> Vec<Reads> {
        let records = Key::new(service.namespace.clone(), format!("{}-v", service.name));
        let mut reads = vec![
            Reads::One(MANAGED_APPS, service.clone()),
            Reads::Numbered { resource: APP_RELEASES, prefix: records },
        ];
        let app = self.stores.of::<Apps>().get(service);
        reads.extend(app.map(|app| Reads::One(DEPLOYMENTS, app.target())));
        reads
    }

    fn gather(&self, service: &Key, now: Timestamp) -> Gathered<Seen> {
        let Some(app) = looked_after(&self.stores, self.instance.as_deref(), service) else {
            self.measurements.forget(service);
            self.bindings.forget(service);
            self.outbox.forget(service);
            return Gathered::Nothing;
        };
        let observed = Observed::gather(&self.stores, &app);
        let looked = self.look(service, &observed, now);
        if looked.wait_a_moment {
            return looked.next.map_or(Gathered::Nothing, Gathered::Later);
        }
        let binding = self.bindings.known(service, &observed.snapshot(now, &NOTHING_MEASURED));
        let Looked { findings, measuring_since, next: next_look, .. } = looked;
        let measured = Measured { findings, measuring_since, binding };
        Gathered::Seen(Seen { observed, measured, now, next_look })
    }

    fn plan(&self, seen: &Seen) -> (Plan, Report) {
        let snapshot = seen.observed.snapshot(seen.now, &seen.measured);
        let (decided, report) = plan(&snapshot);
        // People are told of what is recorded. Upkeep keeps nothing back: it may be refused for as long as somebody wants.
        let messages = match decided.writes.iter().all(Write::is_upkeep) {
            true => self.outbox.advance(&seen.observed, &snapshot),
            false => Vec::new(),
        };
        let mut due = lower(&snapshot, &decided, messages);
        due.wake_at = earliest(due.wake_at, seen.next_look);
        (due, report)
    }

    fn notify(&self, seen: &Seen, entry: &str, destination: &str) {
        let snapshot = seen.observed.snapshot(seen.now, &seen.measured);
        self.outbox.hand_over(&seen.observed, &snapshot, entry, destination);
    }
}

/// The service, if it is one of `instance`.
fn looked_after(stores: &Stores, instance: Option<&str>, service: &Key) -> Option<Arc<AppRow>> {
    stores.of::<Apps>().get(service).filter(|app| app.object.instance.as_deref() == instance)
}

impl Delivery {
    /// The services that name the Deployment `target`.
    fn services_of(&self, target: &Key) -> Vec<Key> {
        self.stores.of::<Apps>().read().at(target).map(|app: &Arc<AppRow>| app.key().clone()).collect()
    }

    /// What is known about the release that is judged.
    fn look(&self, service: &Key, observed: &Observed, now: Timestamp) -> Looked {
        let snapshot = observed.snapshot(now, &NOTHING_MEASURED);
        match snapshot.judged() {
            Some(release) => self.measurements.look(service, &snapshot, release),
            None => {
                self.measurements.forget(service);
                Looked::default()
            }
        }
    }
}

/// Asks whether the rules of a service of `instance` find their series, and has it decided anew when that is known. Returns
/// when to ask again.
pub async fn check_bindings(
    context: Context,
    instance: Option<String>,
    bindings: Arc<Bindings>,
    service: Key,
    due: Queue<Key>,
) -> Option<Timestamp> {
    // Whoever leads next, perhaps this process again, asks anew.
    match context.standing.may_decide(&[&service.namespace]) {
        Ok(_) => {}
        Err(Hold::Elsewhere) => return None,
        Err(Hold::Unhealthy(_)) => return context.clock.now().checked_add(HELD_AGAIN).ok(),
    }
    let app = looked_after(&context.stores, instance.as_deref(), &service)?;
    let observed = Observed::gather(&context.stores, &app);
    let now = context.clock.now();
    let (known, again_at) = bindings.check(&service, &observed.snapshot(now, &NOTHING_MEASURED)).await;
    if looked_after(&context.stores, instance.as_deref(), &service).is_none() {
        bindings.forget(&service);
        return None;
    }
    if known {
        due.enqueue(service);
    }
    again_at
}
