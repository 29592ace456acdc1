//! The loop around the controllers: watch, mark, plan, apply.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{BoxStream, FuturesUnordered, select_all};
use futures::{FutureExt, StreamExt};
use jiff::{SignedDuration, Timestamp};
use tokio::time::sleep;
use trimtab_kube::resource::{DEPLOYMENTS, ENDPOINT_SLICES, HPAS, PDBS, PODS, REPLICA_SETS, SERVICES};
use trimtab_kube::watch::{Event, Scope, watch};
use trimtab_kube::{Api, Clock, Resource};

use super::cluster::{Cluster, LeanPods, PodRow, Touched};
use super::hpa::{CpuUsage, Recommendations};
use super::triggers::{Work, work_for};
use super::write::{Done, Plan, Write};
use super::{Controller, deployment, disruption, endpoints, hpa, replica_set};
use crate::row::{KeepWhole, Whole};

/// Objects that are being written at once, over all controllers.
const OBJECTS_IN_FLIGHT: usize = 32;
/// First wait after a failed write; doubles with each failure in a row.
const RETRY_FIRST: SignedDuration = SignedDuration::from_millis(50);
/// How often that wait doubles, which ends at 51 s.
const RETRY_DOUBLINGS: u32 = 10;

/// Through which connection each controller writes; each has its own user.
#[derive(Clone)]
pub struct ControllerApis {
    /// Reads for all of them.
    pub reader: Api,
    /// The Deployment controller's.
    pub deployment: Api,
    /// The ReplicaSet controller's.
    pub replica_set: Api,
    /// The EndpointSlice controller's.
    pub endpoints: Api,
    /// The disruption controller's.
    pub disruption: Api,
    /// The HorizontalPodAutoscaler controller's.
    pub hpa: Api,
}

impl ControllerApis {
    fn of(&self, controller: Controller) -> &Api {
        match controller {
            Controller::Deployment => &self.deployment,
            Controller::ReplicaSet => &self.replica_set,
            Controller::Endpoints => &self.endpoints,
            Controller::Disruption => &self.disruption,
            Controller::Hpa => &self.hpa,
        }
    }
}

/// Says how much CPU pods use now.
pub type CpuMeter = Arc<dyn Fn() -> CpuUsage + Send + Sync>;

enum Heard {
    Pod(Box<Event<PodRow>>),
    Whole(&'static Resource, Event<Whole>),
}

struct Applied {
    work: Work,
    done: Vec<Done>,
    failed: bool,
}

struct Manager {
    cluster: Cluster,
    apis: ControllerApis,
    clock: Clock,
    cpu: CpuMeter,
    recommendations: Recommendations,
    dirty: BTreeSet<Work>,
    busy: BTreeSet<Work>,
    wakes: BTreeSet<(Timestamp, Work)>,
    wake_of: BTreeMap<Work, Timestamp>,
    failures: BTreeMap<Work, u32>,
    requests: FuturesUnordered<BoxFuture<'static, Applied>>,
}

/// Runs all controllers until dropped.
pub async fn run(apis: ControllerApis, clock: Clock, cpu: CpuMeter) {
    let mut heard = select_all(watches(&apis.reader));
    let mut manager = Manager {
        cluster: Cluster::default(),
        apis,
        clock,
        cpu,
        recommendations: Recommendations::new(),
        dirty: BTreeSet::new(),
        busy: BTreeSet::new(),
        wakes: BTreeSet::new(),
        wake_of: BTreeMap::new(),
        failures: BTreeMap::new(),
        requests: FuturesUnordered::new(),
    };
    loop {
        let wake = manager.wakes.first().map_or(Duration::MAX, |(at, _)| manager.clock.until(*at));
        let may_plan = manager.may_plan();
        // Planning comes after hearing: whatever happens at one instant is decided on together.
        tokio::select! {
            biased;
            Some(heard) = heard.next() => manager.heard(heard),
            Some(applied) = manager.requests.next() => manager.applied(applied),
            () = std::future::ready(()), if may_plan => manager.plan_next(),
            () = sleep(wake) => manager.wake(),
        }
    }
}

fn watches(reader: &Api) -> Vec<BoxStream<'static, Heard>> {
    let whole = [DEPLOYMENTS, REPLICA_SETS, SERVICES, ENDPOINT_SLICES, PDBS, HPAS];
    let mut streams: Vec<BoxStream<'static, Heard>> = Vec::new();
    for resource in whole {
        let events = watch(reader.clone(), resource, Scope::all(), KeepWhole);
        streams.push(events.map(move |event| Heard::Whole(resource, event)).boxed());
    }
    streams.push(
        watch(reader.clone(), PODS, Scope::all(), LeanPods).map(|event| Heard::Pod(Box::new(event))).boxed(),
    );
    streams
}

impl Manager {
    fn heard(&mut self, heard: Heard) {
        let touched = match heard {
            Heard::Pod(event) => self.cluster.take_pod(*event),
            Heard::Whole(resource, event) => self.cluster.take(resource, event),
        };
        self.mark(&touched);
    }

    fn mark(&mut self, touched: &[Touched]) {
        for touched in touched {
            self.dirty.extend(work_for(&self.cluster, touched));
        }
    }

    fn may_plan(&self) -> bool {
        self.requests.len() < OBJECTS_IN_FLIGHT
            && self.cluster.is_synced()
            && self.dirty.iter().any(|work| !self.busy.contains(work))
    }

    fn wake(&mut self) {
        let now = self.clock.now();
        while let Some((_, work)) = self.wakes.first().filter(|(at, _)| *at <= now).cloned() {
            self.wakes.pop_first();
            self.wake_of.remove(&work);
            self.dirty.insert(work);
        }
    }

    fn wake_at(&mut self, work: &Work, at: Option<Timestamp>) {
        let old = match at {
            Some(at) => self.wake_of.insert(work.clone(), at),
            None => self.wake_of.remove(work),
        };
        if let Some(old) = old {
            self.wakes.remove(&(old, work.clone()));
        }
        self.wakes.extend(at.map(|at| (at, work.clone())));
    }

    fn plan_next(&mut self) {
        let Some(work) = self.dirty.iter().find(|work| !self.busy.contains(*work)).cloned() else { return };
        self.dirty.remove(&work);
        let Plan { writes, wake_at } = self.plan(&work);
        self.wake_at(&work, wake_at);
        if writes.is_empty() {
            self.failures.remove(&work);
            return;
        }
        self.busy.insert(work.clone());
        let api = self.apis.of(work.0).clone();
        self.requests.push(apply(api, work, writes).boxed());
    }

    fn plan(&mut self, (controller, key): &Work) -> Plan {
        let now = self.clock.now();
        match controller {
            Controller::Deployment => deployment::plan(&self.cluster, key, now),
            Controller::ReplicaSet => replica_set::plan(&self.cluster, key, now),
            Controller::Endpoints => endpoints::plan(&self.cluster, key),
            Controller::Disruption => disruption::plan(&self.cluster, key),
            Controller::Hpa => hpa::plan(&self.cluster, key, &(self.cpu)(), &mut self.recommendations, now),
        }
    }

    /// Own writes are taken in before the watch tells of them, so that nothing is done twice.
    fn applied(&mut self, applied: Applied) {
        let Applied { work, done, failed } = applied;
        self.busy.remove(&work);
        for done in done {
            let touched = match done {
                Done::Stored(resource, object) => self.cluster.stored(resource, object),
                Done::Deleted(uid) => {
                    self.cluster.doom(&uid);
                    Vec::new()
                }
            };
            self.mark(&touched);
        }
        if failed {
            let failures = self.failures.entry(work.clone()).or_insert(0);
            let wait = RETRY_FIRST * 2_i32.pow((*failures).min(RETRY_DOUBLINGS));
            *failures += 1;
            self.dirty.remove(&work);
            let at = self.clock.now() + wait;
            self.wake_at(&work, Some(at));
        } else {
            self.failures.remove(&work);
        }
    }
}

async fn apply(api: Api, work: Work, writes: Vec<Write>) -> Applied {
    let mut done = Vec::new();
    for write in writes {
        match write.apply(&api).await {
            Ok(answer) => done.push(answer),
            Err(_) => return Applied { work, done, failed: true },
        }
    }
    Applied { work, done, failed: false }
}
