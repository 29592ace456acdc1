//! Clients: every virtual second, requests go to the ready endpoints of each service that has any.
//!
//! Services without load cost nothing: nothing here loops over them.

pub(crate) mod draw;
pub(crate) mod driver;
pub mod load;
pub mod meter;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use trimtab_kube::Key;
use trimtab_kube::rng::Rng;

use self::draw::{binomial, poisson};
use self::load::ServiceLoad;
use self::meter::{Counters, PodMeter, Second, Truth};
use crate::controllers::hpa::CpuUsage;

/// Pods that are gone whose truth is kept one by one; of older ones only the sum is.
const GONE_PODS_KEPT: usize = 10_000;

/// One service under load.
#[derive(Debug)]
struct Service {
    load: ServiceLoad,
    rng: Rng,
    /// Seconds that the present burst still lasts.
    burst_left: f64,
    truth: Truth,
}

/// All load in the cluster.
#[derive(Debug)]
pub struct Traffic {
    seed: u64,
    services: BTreeMap<Key, Service>,
    pods: BTreeMap<Arc<str>, PodMeter>,
    /// Uids of the ready pods, per slice of a service.
    ready: BTreeMap<Key, BTreeMap<Arc<str>, Vec<Arc<str>>>>,
    gone: Vec<(Key, Truth)>,
    /// Pods that counted something since they were last scraped.
    unscraped: BTreeSet<Arc<str>>,
}

impl Traffic {
    /// No load.
    pub fn new(seed: u64) -> Self {
        Traffic {
            seed,
            services: BTreeMap::new(),
            pods: BTreeMap::new(),
            ready: BTreeMap::new(),
            gone: Vec::new(),
            unscraped: BTreeSet::new(),
        }
    }

    /// Sets the load of a service. A load without requests ends it.
    pub fn set_load(&mut self, service: &Key, load: ServiceLoad) {
        let rng = || Rng::for_key(self.seed, "service-load", &service.to_string());
        let fresh = || Service { load, rng: rng(), burst_left: 0.0, truth: Truth::default() };
        self.services.entry(service.clone()).or_insert_with(fresh).load = load;
    }

    /// The load of a service; `None` if it never had any.
    pub fn load(&self, service: &Key) -> Option<ServiceLoad> {
        self.services.get(service).map(|service| service.load)
    }

    /// Whether any service has requests.
    pub fn is_idle(&self) -> bool {
        self.services.values().all(|service| service.load.rate.is_never())
    }

    /// What really happened to the requests of a service, since the beginning.
    pub fn truth(&self, service: &Key) -> Truth {
        self.services.get(service).map(|service| service.truth).unwrap_or_default()
    }

    /// What really happened at each pod, those that are gone first. Of those, the oldest may have been forgotten.
    pub fn truth_by_pod(&self) -> Vec<(Key, Truth)> {
        let present = self.pods.values().map(|pod| (pod.key.clone(), pod.truth));
        self.gone.iter().cloned().chain(present).collect()
    }

    /// CPU in use by every pod that has been under load.
    pub fn cpu_usage(&self) -> CpuUsage {
        self.pods.iter().map(|(uid, pod)| (uid.clone(), pod.millicores())).collect()
    }

    /// The pod of this uid.
    pub fn pod(&self, uid: &str) -> Option<&PodMeter> {
        self.pods.get(uid)
    }

    pub(crate) fn pod_mut(&mut self, uid: &str) -> Option<&mut PodMeter> {
        self.pods.get_mut(uid)
    }

    /// A pod is there, and its container runs or not.
    pub(crate) fn observe_pod(&mut self, pod: &driver::PodSeen) {
        let seed = self.seed;
        let fresh = || PodMeter::new(seed, pod.key.clone(), &pod.uid, &pod.image);
        let meter = self.pods.entry(pod.uid.clone()).or_insert_with(fresh);
        meter.observe(pod.running, pod.restarts, pod.panics);
    }

    /// A pod is gone.
    pub(crate) fn lose_pod(&mut self, uid: &str) {
        if let Some(pod) = self.pods.remove(uid).filter(|pod| pod.truth != Truth::default()) {
            if self.gone.len() >= GONE_PODS_KEPT {
                self.gone.remove(0);
            }
            self.gone.push((pod.key, pod.truth));
        }
    }

    /// A slice of a service lists these ready pods.
    pub(crate) fn observe_slice(&mut self, service: Key, slice: Arc<str>, ready: Vec<Arc<str>>) {
        self.ready.entry(service).or_default().insert(slice, ready);
    }

    /// A slice of a service is gone.
    pub(crate) fn lose_slice(&mut self, service: &Key, slice: &str) {
        if let Some(slices) = self.ready.get_mut(service) {
            slices.remove(slice);
        }
    }

    /// Offers every pod that counted something to a scraper, which says whether it scraped it.
    pub(crate) fn scrape(&mut self, mut scraper: impl FnMut(&str, &Counters) -> bool) {
        let pods = &self.pods;
        self.unscraped.retain(|uid| pods.get(uid).is_some_and(|pod| !scraper(uid, &pod.counters)));
    }

    /// One second of requests, named by its end in seconds since 1970.
    pub fn tick(&mut self, second: i64) {
        for (key, service) in &mut self.services {
            if service.load.rate.is_never() {
                continue;
            }
            let slices = self.ready.get(key).into_iter().flat_map(BTreeMap::values);
            let ready: BTreeSet<&Arc<str>> = slices.flatten().collect();
            let error_factor = service.burst_factor();
            let mut left = poisson(&mut service.rng, service.load.rate.at(second));
            if ready.is_empty() {
                service.truth += Truth { requests: left, failed: left, harmed: left };
                continue;
            }
            let shared = Second { load: &service.load, error_factor, seconds: 1.0 };
            for (position, uid) in ready.iter().enumerate() {
                let share = 1.0 / (ready.len() - position) as f64;
                let requests = binomial(&mut service.rng, left, share);
                left -= requests;
                let Some(pod) = self.pods.get_mut(*uid) else {
                    // The pod is gone, and its endpoint not yet: nobody answers.
                    service.truth += Truth { requests, failed: requests, harmed: requests };
                    continue;
                };
                pod.set_error_factor(service.load.pod_factor(self.seed, uid));
                let before = pod.truth;
                pod.serve(shared, requests);
                self.unscraped.insert((*uid).clone());
                service.truth += since(before, pod.truth);
            }
        }
    }
}

fn since(before: Truth, after: Truth) -> Truth {
    Truth {
        requests: after.requests - before.requests,
        failed: after.failed - before.failed,
        harmed: after.harmed - before.harmed,
    }
}

impl Service {
    fn burst_factor(&mut self) -> f64 {
        let Some(bursts) = self.load.bursts else { return 1.0 };
        if self.burst_left <= 0.0 {
            if self.rng.unit() >= 1.0 / bursts.every_seconds.max(1.0) {
                return 1.0;
            }
            self.burst_left = -bursts.lasting_seconds * (1.0 - self.rng.unit()).ln();
        }
        self.burst_left -= 1.0;
        bursts.factor
    }
}
