//! The kubelet's loop: pods from a watch and happenings from a runtime in, status patches and removals out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::sleep;
use trimtab_kube::resource::PODS;
use trimtab_kube::rng::stable_hash;
use trimtab_kube::watch::{Event, Scope, watch};
use trimtab_kube::{Api, Clock, Key};

use super::pod::{Effect, Pod, identity};
use super::runtime::{PodRuntime, RuntimeEvent};
use super::tracked::{Life, Say, Tracked, status_patch};
use super::wire;
use crate::object::{self, text};
use crate::row::{KeepWhole, Whole};

/// Requests that a kubelet has under way at once, one per pod at most.
const REQUESTS_IN_FLIGHT: usize = 64;
/// How long a failed request waits before it is sent again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Who decides on which node a pod runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// This kubelet, in turn over its nodes: there is no scheduler.
    Own,
    /// A scheduler; a pod without a node is left alone.
    Scheduler,
}

/// How a kubelet works.
#[derive(Debug, Clone)]
pub struct KubeletConfig {
    /// Who decides on which node a pod runs.
    pub binding: Binding,
    /// The nodes whose pods it runs. None means all, which only [`Binding::Scheduler`] can do.
    pub nodes: Vec<String>,
}

/// One agent for the pods of all its nodes.
pub struct Kubelet<R> {
    client: kube::Client,
    clock: Clock,
    config: KubeletConfig,
    runtime: R,
    pods: BTreeMap<Arc<str>, Tracked>,
    uids: BTreeMap<Key, Arc<str>>,
    /// While a listing runs: what was in it so far.
    relisted: Option<BTreeSet<Key>>,
    wakes: BTreeSet<(Timestamp, Arc<str>)>,
    dirty: BTreeSet<Arc<str>>,
    requests: FuturesUnordered<BoxFuture<'static, (Arc<str>, Outcome)>>,
    bindings: usize,
}

/// What came of a request about one pod.
enum Outcome {
    Bound,
    Reported(Box<Value>),
    Removed,
    Failed,
}

impl<R: PodRuntime> Kubelet<R> {
    /// A kubelet that speaks through `client`. [`Kubelet::run`] starts it.
    pub fn new(client: kube::Client, clock: Clock, config: KubeletConfig, runtime: R) -> Self {
        Kubelet {
            client,
            clock,
            config,
            runtime,
            pods: BTreeMap::new(),
            uids: BTreeMap::new(),
            relisted: None,
            wakes: BTreeSet::new(),
            dirty: BTreeSet::new(),
            requests: FuturesUnordered::new(),
            bindings: 0,
        }
    }

    /// Drives pods until dropped.
    pub async fn run(mut self) {
        let api = Api::new(self.client.clone(), "kubelet");
        let mut pods = watch(api.clone(), PODS, Scope::all(), KeepWhole);
        loop {
            let wake = self.wakes.first().map_or(Duration::MAX, |(at, _)| self.clock.until(*at));
            let may_ask = !self.dirty.is_empty() && self.requests.len() < REQUESTS_IN_FLIGHT;
            // Asking comes after hearing: what happens at one instant is reported in one request.
            tokio::select! {
                biased;
                Some(event) = pods.next() => self.heard(event),
                event = self.runtime.next_event() => self.happened(&event),
                Some((uid, outcome)) = self.requests.next() => self.answered(&uid, outcome),
                () = std::future::ready(()), if may_ask => self.ask(&api),
                () = sleep(wake) => self.wake(),
            }
        }
    }

    fn heard(&mut self, event: Event<Whole>) {
        match event {
            Event::Reset => self.relisted = Some(BTreeSet::new()),
            Event::Init(row) => {
                self.relisted.get_or_insert_default().insert(row.key.clone());
                self.observe(&row);
                let uid = object::uid(&row.object);
                self.pods.get_mut(&uid).into_iter().for_each(|tracked| tracked.listed(&row.object));
                self.settle(&uid);
            }
            Event::Apply(row) => self.observe(&row),
            Event::Delete(key) => self.lost(&key),
            Event::Undecodable(key) => {
                self.relisted.iter_mut().for_each(|kept| _ = kept.insert(key.clone()));
            }
            Event::Ready => {
                let kept = self.relisted.take().unwrap_or_default();
                let lost: Vec<Key> = self.uids.keys().filter(|key| !kept.contains(key)).cloned().collect();
                lost.iter().for_each(|key| self.lost(key));
            }
        }
    }

    fn observe(&mut self, row: &Whole) {
        let pod = &*row.object;
        let uid = object::uid(pod);
        if self.uids.get(&row.key).is_some_and(|known| *known != uid) {
            self.lost(&row.key);
        }
        let bound = !text(pod, "/spec/nodeName").is_empty();
        let mut tracked = match self.pods.remove(&uid) {
            Some(old) if bound && matches!(old.life, Life::Unbound) => {
                let mut adopted = self.adopt(pod);
                adopted.asking = old.asking;
                adopted
            }
            Some(tracked) => tracked,
            None if !self.is_mine(pod) => return,
            None if bound => self.adopt(pod),
            None => Tracked::new(identity(pod), Life::Unbound),
        };
        tracked.observe(pod);
        self.uids.insert(row.key.clone(), uid.clone());
        self.pods.insert(uid.clone(), tracked);
        self.settle(&uid);
    }

    fn is_mine(&self, pod: &Value) -> bool {
        match (text(pod, "/spec/nodeName"), self.config.binding) {
            ("", binding) => binding == Binding::Own,
            (node, _) => self.config.nodes.is_empty() || self.config.nodes.iter().any(|mine| mine == node),
        }
    }

    fn adopt(&mut self, pod: &Value) -> Tracked {
        let who = identity(pod);
        if matches!(text(pod, "/status/phase"), "Succeeded" | "Failed") {
            return Tracked::new(who, Life::Over);
        }
        let now = self.clock.now();
        if let Some(machine) = Pod::recover(pod, now, |start| self.runtime.recover(start)) {
            return Tracked::recovered(who, machine, &pod["status"]);
        }
        let address = self.runtime.address(&who);
        let machine = Pod::new(pod, address, host_address(text(pod, "/spec/nodeName")), now);
        Tracked::new(who, Life::Bound(Box::new(machine)))
    }

    /// The API server does not have the pod any more: whatever still runs is ended.
    fn lost(&mut self, key: &Key) {
        let Some(uid) = self.uids.remove(key) else { return };
        if let Some(tracked) = self.pods.get_mut(&uid) {
            tracked.gone = true;
        }
        self.settle(&uid);
    }

    fn happened(&mut self, event: &RuntimeEvent) {
        let uid = event.run.pod.uid.clone();
        if let Some(Tracked { life: Life::Bound(pod), .. }) = self.pods.get_mut(&uid) {
            pod.happened(event, self.clock.now());
        }
        self.settle(&uid);
    }

    fn wake(&mut self) {
        let now = self.clock.now();
        while let Some((_, uid)) = self.wakes.first().filter(|(at, _)| *at <= now).cloned() {
            self.wakes.pop_first();
            if let Some(tracked) = self.pods.get_mut(&uid) {
                tracked.wake_at = None;
            }
            self.settle(&uid);
        }
    }

    /// Brings the runtime, the agenda and the list of what to tell the API up to date with one pod.
    fn settle(&mut self, uid: &Arc<str>) {
        let Some(tracked) = self.pods.get_mut(uid) else { return };
        for effect in tracked.advance(self.clock.now()) {
            match effect {
                Effect::Start(start) => self.runtime.start(start),
                Effect::Stop(run, grace) => self.runtime.stop(&run, grace),
            }
        }
        let forget = tracked.gone && tracked.is_over() && !tracked.asking;
        let wake_at = if forget { None } else { tracked.next_wake() };
        if wake_at != tracked.wake_at {
            self.wakes.extend(wake_at.map(|at| (at, uid.clone())));
            if let Some(at) = std::mem::replace(&mut tracked.wake_at, wake_at) {
                self.wakes.remove(&(at, uid.clone()));
            }
        }
        if forget {
            self.runtime.forget(&tracked.who);
            self.pods.remove(uid);
        } else if tracked.say().is_some() {
            self.dirty.insert(uid.clone());
        }
    }

    /// Sends one request that is due.
    fn ask(&mut self, api: &Api) {
        let Some(uid) = self.dirty.pop_first() else { return };
        let Some(tracked) = self.pods.get_mut(&uid) else { return };
        let Some(say) = tracked.say() else { return };
        let (client, api, who) = (self.client.clone(), api.clone(), tracked.who.clone());
        let request: BoxFuture<'static, Outcome> = match say {
            Say::Bind => {
                let turn = self.bindings % self.config.nodes.len().max(1);
                let node = self.config.nodes.get(turn).cloned().unwrap_or_default();
                self.bindings += 1;
                async move { wire::bind(&client, &who, &node).await.map_or(Outcome::Failed, |()| Outcome::Bound) }
                    .boxed()
            }
            Say::Remove => async move {
                wire::remove(&client, &who).await.map_or(Outcome::Failed, |()| Outcome::Removed)
            }
            .boxed(),
            Say::Report(status) => {
                let patch = status_patch(&who.uid, &tracked.reported, &status);
                async move {
                    let sent =
                        api.patch_subresource(PODS, Some(&who.namespace), &who.name, "status", &patch).await;
                    sent.map_or(Outcome::Failed, |_| Outcome::Reported(Box::new(status)))
                }
                .boxed()
            }
        };
        tracked.asking = true;
        self.requests.push(async move { (uid, request.await) }.boxed());
    }

    fn answered(&mut self, uid: &Arc<str>, outcome: Outcome) {
        let Some(tracked) = self.pods.get_mut(uid) else { return };
        tracked.asking = false;
        match outcome {
            Outcome::Reported(status) => tracked.reported = *status,
            // The watch may have shown the node before the answer came.
            Outcome::Bound => tracked.accepted = matches!(tracked.life, Life::Unbound),
            Outcome::Removed => tracked.accepted = true,
            Outcome::Failed => tracked.quiet_until = Some(self.clock.now() + RETRY_AFTER),
        }
        self.settle(uid);
    }
}

/// An address for a node that has told nobody its own.
pub(crate) fn host_address(node: &str) -> Arc<str> {
    let [.., high, low] = stable_hash(&[node.as_bytes()]).to_be_bytes();
    format!("172.18.{high}.{low}").into()
}
