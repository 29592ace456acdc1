//! Traffic to a Service, request by request, and what came of it.
//!
//! The lab has no kube-proxy: this generator reads the Service's EndpointSlices, as a proxy would, and spreads requests
//! over the endpoints that are ready. It is an open loop: a slow service gets no fewer requests.

mod report;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use trimtab_kube::clock::Clock;

use crate::web::{self, Connections, HttpClient};

pub use self::report::{LoadReport, Outcome, RequestRecord, Target, TemplateTraffic};

/// The highest rate that can be asked for, in requests per second.
pub const HIGHEST_RATE: f64 = 2_000.0;
/// The longest run that can be asked for.
pub const LONGEST_RUN: Duration = Duration::from_secs(3600);
/// How long a request may take before it counts as failed.
const REQUEST_LIMIT: Duration = Duration::from_secs(2);
/// How often EndpointSlices are read.
const ENDPOINT_POLL: Duration = Duration::from_millis(200);
/// Requests under way at once. At the highest rate this is a quarter of what could pile up within [`REQUEST_LIMIT`];
/// what is above it is recorded as [`Outcome::NotSent`].
const MOST_IN_FLIGHT: u32 = 1_000;

/// What traffic to send.
#[derive(Debug, Clone)]
pub struct LoadPlan {
    /// Namespace of the Service.
    pub namespace: String,
    /// Name of the Service.
    pub service: String,
    /// Path to ask for.
    pub path: String,
    /// Requests per second, up to [`HIGHEST_RATE`].
    pub rate: f64,
    /// When to stop by itself, up to [`LONGEST_RUN`].
    pub duration: Duration,
    /// Whether connections are kept.
    pub connections: Connections,
}

impl LoadPlan {
    /// `rate` requests per second to `/` of a Service for `duration`, over kept connections.
    pub fn new(namespace: &str, service: &str, rate: f64, duration: Duration) -> Self {
        let (namespace, service) = (namespace.to_owned(), service.to_owned());
        Self { namespace, service, path: "/".to_owned(), rate, duration, connections: Connections::default() }
    }
}

/// Traffic under way. Dropping it stops it.
#[derive(Debug)]
pub struct Load {
    stop: watch::Sender<bool>,
    running: JoinHandle<LoadReport>,
    recorder: Arc<Recorder>,
}

impl Load {
    /// Begins to send as soon as the first endpoint is ready, or one endpoint poll has passed.
    ///
    /// # Errors
    /// When the plan is beyond its limits or the Service's EndpointSlices cannot be read.
    pub async fn start(client: kube::Client, plan: LoadPlan) -> Result<Self> {
        ensure!(
            plan.rate > 0.0 && plan.rate <= HIGHEST_RATE,
            "a rate of {} requests per second is not within 0..={HIGHEST_RATE}",
            plan.rate
        );
        ensure!(plan.duration <= LONGEST_RUN, "a run of {:?} is longer than {LONGEST_RUN:?}", plan.duration);
        let recorder = Arc::new(Recorder {
            started: Clock::system().now(),
            origin: Instant::now(),
            seen: Mutex::default(),
        });
        let mut discovery = Discovery {
            client,
            plan: plan.clone(),
            recorder: Arc::clone(&recorder),
            templates: BTreeMap::new(),
        };
        let (ready, endpoints) = watch::channel(discovery.read().await?);
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(discovery.follow(ready));
        let running = tokio::spawn(generate(plan, endpoints, stopped, Arc::clone(&recorder)));
        Ok(Self { stop, running, recorder })
    }

    /// What was recorded so far.
    pub fn so_far(&self) -> LoadReport {
        self.recorder.report()
    }

    /// Stops sending, waits for the answers under way, and reports.
    ///
    /// # Errors
    /// When the generator panicked.
    pub async fn stop(self) -> Result<LoadReport> {
        // Nobody listens any more when the run has ended by itself.
        let _ended = self.stop.send(true);
        self.running.await.context("the load generator failed")
    }

    /// Waits until the planned duration has passed, and reports.
    ///
    /// # Errors
    /// When the generator panicked.
    pub async fn finish(self) -> Result<LoadReport> {
        let Self { stop, running, .. } = self;
        let report = running.await.context("the load generator failed");
        drop(stop);
        report
    }
}

/// What is known of a run; shared by all requests of it. Bounded by the rate and the duration of the plan.
#[derive(Debug)]
struct Recorder {
    started: Timestamp,
    origin: Instant,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default, Clone)]
struct Seen {
    targets: Vec<Target>,
    requests: Vec<RequestRecord>,
}

impl Recorder {
    fn with<T>(&self, change: impl FnOnce(&mut Seen) -> T) -> T {
        change(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn record(&self, sent: Instant, target: Option<usize>, outcome: Outcome) {
        let record = RequestRecord { at: sent - self.origin, took: sent.elapsed(), target, outcome };
        self.with(|seen| seen.requests.push(record));
    }

    fn index_of(&self, target: &Target) -> usize {
        self.with(|seen| match seen.targets.iter().position(|known| known == target) {
            Some(index) => index,
            None => {
                seen.targets.push(target.clone());
                seen.targets.len() - 1
            }
        })
    }

    fn report(&self) -> LoadReport {
        let Seen { targets, requests } = self.with(|seen| seen.clone());
        LoadReport { started: self.started, targets, requests }
    }
}

/// Where requests can go now.
type Endpoints = Arc<[(usize, SocketAddr)]>;

struct Discovery {
    client: kube::Client,
    plan: LoadPlan,
    recorder: Arc<Recorder>,
    /// Template hash by pod name: a pod's never changes.
    templates: BTreeMap<String, String>,
}

impl Discovery {
    async fn follow(mut self, ready: watch::Sender<Endpoints>) {
        while !ready.is_closed() {
            sleep(ENDPOINT_POLL).await;
            // A proxy keeps the endpoints it knows while the API server is away.
            if let Ok(endpoints) = self.read().await {
                ready.send_replace(endpoints);
            }
        }
    }

    async fn read(&mut self) -> Result<Endpoints> {
        let LoadPlan { namespace, service, .. } = &self.plan;
        let slices = get(
            &self.client,
            &format!(
                "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices\
                 ?labelSelector=kubernetes.io%2Fservice-name%3D{service}"
            ),
        )
        .await
        .with_context(|| format!("cannot read the endpoints of service {namespace}/{service}"))?;
        let mut endpoints = Vec::new();
        for (pod, address) in slices["items"].as_array().into_iter().flatten().flat_map(ready_endpoints) {
            // An endpoint whose pod is gone already is about to go too.
            let Ok(template_hash) = self.template_hash(&pod).await else { continue };
            endpoints.push((self.recorder.index_of(&Target { pod, address, template_hash }), address));
        }
        Ok(endpoints.into())
    }

    async fn template_hash(&mut self, pod: &str) -> Result<String> {
        if let Some(hash) = self.templates.get(pod) {
            return Ok(hash.clone());
        }
        let object =
            get(&self.client, &format!("/api/v1/namespaces/{}/pods/{pod}", self.plan.namespace)).await?;
        let hash = object["metadata"]["labels"]["pod-template-hash"].as_str().unwrap_or_default().to_owned();
        self.templates.insert(pod.to_owned(), hash.clone());
        Ok(hash)
    }
}

async fn get(client: &kube::Client, path: &str) -> Result<Value> {
    let request = Request::get(path).body(Vec::new()).with_context(|| format!("{path} is not a path"))?;
    Ok(client.request(request).await?)
}

/// Pod name and address of each ready endpoint of an EndpointSlice, at the slice's first port.
fn ready_endpoints(slice: &Value) -> Vec<(String, SocketAddr)> {
    let Some(port) = slice["ports"][0]["port"].as_u64().and_then(|port| u16::try_from(port).ok()) else {
        return Vec::new();
    };
    let endpoints = slice["endpoints"].as_array().into_iter().flatten();
    let ready = endpoints.filter(|endpoint| endpoint["conditions"]["ready"].as_bool().unwrap_or(true));
    ready
        .filter_map(|endpoint| {
            let address = endpoint["addresses"][0].as_str()?.parse().ok()?;
            Some((endpoint["targetRef"]["name"].as_str()?.to_owned(), SocketAddr::new(address, port)))
        })
        .collect()
}

async fn generate(
    plan: LoadPlan,
    mut endpoints: watch::Receiver<Endpoints>,
    mut stopped: watch::Receiver<bool>,
    recorder: Arc<Recorder>,
) -> LoadReport {
    let client = web::client(plan.connections);
    let in_flight = Arc::new(Semaphore::new(MOST_IN_FLIGHT as usize));
    let mut ticks = interval(Duration::from_secs_f64(1.0 / plan.rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let end = recorder.origin + plan.duration;
    let mut turn = 0_usize;
    loop {
        tokio::select! {
            // An error means that whoever could say stop has gone.
            _ = stopped.changed() => break,
            now = ticks.tick() => if now >= end { break },
        }
        let sent = Instant::now();
        let now = Arc::clone(&endpoints.borrow_and_update());
        turn = turn.wrapping_add(1);
        let Some((target, address)) = now.get(turn % now.len().max(1)).copied() else {
            recorder.record(sent, None, Outcome::NoEndpoint);
            continue;
        };
        let Ok(permit) = Arc::clone(&in_flight).try_acquire_owned() else {
            recorder.record(sent, Some(target), Outcome::NotSent);
            continue;
        };
        let url = format!("http://{address}{}", plan.path);
        let (client, recorder) = (client.clone(), Arc::clone(&recorder));
        tokio::spawn(async move {
            let outcome = request(&client, &url).await;
            recorder.record(sent, Some(target), outcome);
            drop(permit);
        });
    }
    // All permits are back when all answers are in; each request is over within its limit.
    let _all = in_flight.acquire_many(MOST_IN_FLIGHT).await;
    recorder.report()
}

async fn request(client: &HttpClient, url: &str) -> Outcome {
    let Ok(request) = Request::get(url).body(Full::<Bytes>::default()) else { return Outcome::Broken };
    let exchange = async {
        let Ok(response) = client.request(request).await else { return Outcome::Broken };
        let code = response.status().as_u16();
        match response.into_body().collect().await {
            Ok(_) => Outcome::Answered(code),
            Err(_) => Outcome::Broken,
        }
    };
    timeout(REQUEST_LIMIT, exchange).await.unwrap_or(Outcome::TimedOut)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn endpoints_that_are_not_ready_get_nothing() {
        let slice = json!({
            "ports": [{"name": "http", "port": 8080}],
            "endpoints": [
                {"addresses": ["10.64.1.1"], "conditions": {"ready": true}, "targetRef": {"name": "a"}},
                {"addresses": ["10.64.1.2"], "conditions": {"ready": false}, "targetRef": {"name": "b"}},
                {"addresses": ["10.64.1.3"], "conditions": {}, "targetRef": {"name": "c"}},
                {"addresses": ["10.64.1.4"], "conditions": {"ready": true}},
            ],
        });
        let expect = [("a", "10.64.1.1:8080"), ("c", "10.64.1.3:8080")];
        let expect = expect.map(|(pod, address)| (pod.to_owned(), address.parse().unwrap()));
        assert_eq!(ready_endpoints(&slice), expect);
        assert_eq!(ready_endpoints(&json!({"ports": null, "endpoints": slice["endpoints"]})), []);
    }
}
