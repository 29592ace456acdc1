//! Who is there to answer, from watches; and the seconds, as long as anybody asks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::sleep;
use trimtab_kube::resource::{ENDPOINT_SLICES, PODS};
use trimtab_kube::store::Rows;
use trimtab_kube::watch::{Event, Project, ProjectError, Row, Scope, watch};
use trimtab_kube::{Api, Clock, Key};

use super::Traffic;
use crate::controllers::cluster::slice_service;
use crate::object::{self, Labels, count, integer, list, text};
use crate::prometheus::Scraped;
use crate::row::{KeepWhole, Whole};

/// The exit code of a panic.
const PANIC_EXIT_CODE: i64 = 101;

/// What traffic and metrics need of a pod.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PodSeen {
    pub(crate) key: Key,
    pub(crate) version: u64,
    pub(crate) uid: Arc<str>,
    pub(crate) ip: Arc<str>,
    pub(crate) port: u32,
    pub(crate) labels: Labels,
    pub(crate) image: Arc<str>,
    /// Whether its first container, the service's, runs.
    pub(crate) running: bool,
    pub(crate) restarts: u32,
    /// How many of the service container's ends were panics, as far as its last state tells.
    pub(crate) panics: u64,
}

impl PodSeen {
    fn read(pod: &Value) -> Self {
        let name = text(pod, "/spec/containers/0/name");
        let none = json!({});
        let statuses = list(pod, "/status/containerStatuses").iter();
        let status = statuses.clone().find(|status| text(status, "/name") == name).unwrap_or(&none);
        let restarts = count(status, "/restartCount", 0);
        let ended_by_panic =
            |state: &str| integer(status, &format!("/{state}/terminated/exitCode")) == Some(PANIC_EXIT_CODE);
        let panics = match (ended_by_panic("state"), ended_by_panic("lastState")) {
            (true, _) => u64::from(restarts) + 1,
            (false, true) => u64::from(restarts).max(1),
            (false, false) => 0,
        };
        PodSeen {
            key: object::key(pod),
            version: object::resource_version(pod),
            uid: object::uid(pod),
            ip: text(pod, "/status/podIP").into(),
            port: count(pod, "/spec/containers/0/ports/0/containerPort", 80),
            labels: object::labels(pod, "/metadata/labels"),
            image: text(pod, "/spec/containers/0/image").into(),
            running: status.pointer("/state/running").is_some(),
            restarts,
            panics,
        }
    }
}

impl Row for PodSeen {
    fn key(&self) -> &Key {
        &self.key
    }

    fn resource_version(&self) -> u64 {
        self.version
    }

    fn differs_from(&self, old: &PodSeen) -> bool {
        let PodSeen { key: _, version: _, uid, ip, port, labels, image, running, restarts, panics } = self;
        (uid, ip, port, labels, image) != (&old.uid, &old.ip, &old.port, &old.labels, &old.image)
            || (running, restarts, panics) != (&old.running, &old.restarts, &old.panics)
    }
}

struct SeePods;

impl Project for SeePods {
    type Row = PodSeen;

    fn project(&self, object: &[u8]) -> Result<PodSeen, ProjectError> {
        Ok(PodSeen::read(&serde_json::from_slice(object)?))
    }
}

/// Traffic and metrics, shared between their driver and whoever sets rates and asks questions.
pub(crate) struct Shared {
    pub(crate) traffic: Mutex<Traffic>,
    pub(crate) scraped: Mutex<Scraped>,
    /// Rung when a load was set: the seconds have to begin.
    pub(crate) load_set: Notify,
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs until dropped.
pub(crate) async fn drive(api: Api, clock: Clock, shared: Arc<Shared>) {
    let mut pods = watch(api.clone(), PODS, Scope::all(), SeePods);
    let mut slices = watch(api, ENDPOINT_SLICES, Scope::all(), KeepWhole);
    let mut known: Rows<PodSeen> = Rows::new();
    let mut listed: Rows<Whole> = Rows::new();
    let mut second = clock.now().as_second();
    loop {
        let idle = locked(&shared.traffic).is_idle();
        let next = if idle { Duration::MAX } else { until_second(&clock, second + 1) };
        tokio::select! {
            biased;
            Some(event) = pods.next() => hear_pod(&mut known, event, &clock, &shared),
            Some(event) = slices.next() => hear_slice(&mut listed, event, &shared),
            () = sleep(next), if !idle => {
                second = clock.now().as_second();
                tick(second, &shared);
            }
            () = shared.load_set.notified() => second = second.max(clock.now().as_second()),
        }
    }
}

fn until_second(clock: &Clock, second: i64) -> Duration {
    jiff::Timestamp::from_second(second).map_or(Duration::MAX, |instant| clock.until(instant))
}

/// One second passes for clients and scrapes.
pub(crate) fn tick(second: i64, shared: &Shared) {
    let mut traffic = locked(&shared.traffic);
    let mut scraped = locked(&shared.scraped);
    // Scrapes of this second come first: they see what was counted until it began.
    traffic.scrape(|uid, counters| scraped.scrape_within(uid, (second - 1) * 1000, second * 1000, counters));
    traffic.tick(second);
}

fn hear_pod(known: &mut Rows<PodSeen>, event: Event<PodSeen>, clock: &Clock, shared: &Shared) {
    let now_ms = clock.now().as_millisecond();
    for change in known.take(event) {
        let mut traffic = locked(&shared.traffic);
        let mut scraped = locked(&shared.scraped);
        let replaced =
            change.old.as_ref().filter(|old| change.new.as_ref().is_none_or(|new| new.uid != old.uid));
        if let Some(old) = replaced {
            traffic.lose_pod(&old.uid);
            scraped.lose(&old.uid, now_ms);
        }
        if let Some(new) = &change.new {
            traffic.observe_pod(new);
            let counters = traffic.pod(&new.uid).map(|meter| meter.counters.clone()).unwrap_or_default();
            scraped.observe(new, &counters, now_ms);
        }
    }
}

fn hear_slice(listed: &mut Rows<Whole>, event: Event<Whole>, shared: &Shared) {
    for change in listed.take(event) {
        let mut traffic = locked(&shared.traffic);
        match (&change.new, &change.old) {
            (Some(slice), _) => {
                let endpoints = list(&slice.object, "/endpoints").iter();
                let ready =
                    endpoints.filter(|endpoint| endpoint.pointer("/conditions/ready") == Some(&json!(true)));
                let uids = ready.map(|endpoint| text(endpoint, "/targetRef/uid").into()).collect();
                traffic.observe_slice(slice_service(slice), slice.key.name.clone(), uids);
            }
            (None, Some(slice)) => traffic.lose_slice(&slice_service(slice), &slice.key.name),
            (None, None) => {}
        }
    }
}
